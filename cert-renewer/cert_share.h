/* SPDX-License-Identifier: Apache-2.0
 *
 * What the hosts share: who renews a certificate now, and the answers to challenges, which the authority may ask any host
 * for. qmgr keeps it, in the database or Redis (qmgr/qmgr_share.c).
 */
#ifndef CERT_RENEWER_CERT_SHARE_H
#define CERT_RENEWER_CERT_SHARE_H

#include <stdint.h>

#include "lib/ipc/ipc_body.h"
#include "lib/net/loop.h"

struct cert_share;

/* UNAVAILABLE also when qmgr does not answer in time. `value` is borrowed. */
typedef void cert_share_fn(void *ctx, enum ipc_share_verdict verdict, struct str value);

struct cert_share *cert_share_new(struct loop *loop);
void cert_share_free(struct cert_share **share);
/* qmgr's end of the socket pair (on_peer). */
void cert_share_connect(struct cert_share *share, unsigned slot, int fd);
/* fn is called once, never before this returns; NULL: nobody wants to know. Texts are borrowed for the call. Returns the
 * question's number. */
uint64_t cert_share_ask(struct cert_share *share, const struct ipc_share *question, cert_share_fn *fn, void *ctx);
/* fn will not be called. */
void cert_share_forget(struct cert_share *share, uint64_t number);

#endif
