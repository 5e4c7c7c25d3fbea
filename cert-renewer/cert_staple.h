/* SPDX-License-Identifier: Apache-2.0
 *
 * A certificate's OCSP response: fetched, kept beside it, refreshed at half its life, taken away when it is not good (any more).
 */
#ifndef CERT_RENEWER_CERT_STAPLE_H
#define CERT_RENEWER_CERT_STAPLE_H

#include "cert-renewer/cert_job.h"

/* Does what is due. Returns how many seconds there are until the next time. */
int64_t cert_staple_look(struct cert_job *job);
/* Nothing is under way any more. */
void cert_staple_stop(struct cert_job *job);

#endif
