/* SPDX-License-Identifier: Apache-2.0
 *
 * tls-alpn-01 (RFC 8737), answered on a socket of our own: nothing but handshakes. For a name that
 * is not known here the other hosts' are looked at: the authority may come to any of them.
 */
#ifndef CERT_RENEWER_CHALLENGE_ALPN_H
#define CERT_RENEWER_CHALLENGE_ALPN_H

#include <stdbool.h>

#include "cert-renewer/challenge.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/net/loop.h"

struct cert_share;
struct challenge_alpn;

/* Borrowed for life; `share` may be NULL. */
struct challenge_alpn *challenge_alpn_new(struct loop *loop, struct cert_share *share);
void challenge_alpn_free(struct challenge_alpn **alpn);
/* Takes over a listening socket, in place of the one before. -1: there is to be none any more. */
void challenge_alpn_listen(struct challenge_alpn *alpn, int fd);
bool challenge_alpn_is_listening(const struct challenge_alpn *alpn);

/* Of several for a name the last one counts. False: no certificate can be for the name. */
bool challenge_alpn_put(struct challenge_alpn *alpn, const struct challenge *challenge,
			struct err *err);
void challenge_alpn_remove(struct challenge_alpn *alpn, const struct challenge *challenge);
/* Under which the hosts share the answer, its key authorization. */
void challenge_alpn_share_name(struct str name, struct buf *out);

#endif
