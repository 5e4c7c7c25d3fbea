/* SPDX-License-Identifier: Apache-2.0
 *
 * What the authority suggests: renewal information (ARI, RFC 9773).
 */
#ifndef CERT_RENEWER_CERT_WINDOW_H
#define CERT_RENEWER_CERT_WINDOW_H

#include "cert-renewer/cert_job.h"

/* Asks when it is time to. Returns how many seconds there are until the next time. */
int64_t cert_window_look(struct cert_job *job);
/* The moment chosen for the certificate in use; 0: the authority suggests none. */
int64_t cert_window_at(const struct cert_job *job);
/* Appends the name by which an order says what it replaces; nothing when the authority does not want to know. */
void cert_window_put_replaced(const struct cert_job *job, struct buf *out);

#endif
