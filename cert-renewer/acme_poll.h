/* SPDX-License-Identifier: Apache-2.0
 *
 * Asking until something is decided: the pauses are those that the authority asks for, or grow; and there is an end to it.
 */
#ifndef CERT_RENEWER_ACME_POLL_H
#define CERT_RENEWER_ACME_POLL_H

#include "cert-renewer/acme_reply.h"

struct acme_poll;

/* fn is called when it is time to ask. */
struct acme_poll *acme_poll_new(struct loop *loop, loop_fn *fn, void *ctx);
void acme_poll_free(struct acme_poll **poll);
/* The time for it begins now. */
void acme_poll_begin(struct acme_poll *poll);
/* It is not decided, says this answer: after a pause fn is called. False: there is no time left. */
bool acme_poll_wait(struct acme_poll *poll, const struct acme_reply *reply);

#endif
