/* SPDX-License-Identifier: Apache-2.0
 *
 * A certificate and the other hosts: ours into the backup, and said to all; theirs from there.
 */
#ifndef CERT_RENEWER_CERT_PUBLISH_H
#define CERT_RENEWER_CERT_PUBLISH_H

#include "cert-renewer/cert_job.h"

/* A new one, obtained under the lock, which is given back when it is there for all. */
void cert_publish_begin(struct cert_job *job, struct str pem, const struct tls_certificate *seen);
/* Does what is due. Returns how many seconds there are until the next time. */
int64_t cert_publish_look(struct cert_job *job, bool is_daily);

#endif
