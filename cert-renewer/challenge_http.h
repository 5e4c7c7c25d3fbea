/* SPDX-License-Identifier: Apache-2.0
 *
 * http-01 (RFC 8555, 8.3), answered on a socket of our own. For a token that is not known here the other hosts' are looked at:
 * the authority may come to any of them.
 */
#ifndef CERT_RENEWER_CHALLENGE_HTTP_H
#define CERT_RENEWER_CHALLENGE_HTTP_H

#include <stdbool.h>

#include "lib/base/buf.h"
#include "lib/base/str.h"
#include "lib/net/loop.h"

struct cert_share;
struct challenge_http;

/* Borrowed for life; `share` may be NULL. */
struct challenge_http *challenge_http_new(struct loop *loop, struct cert_share *share);
void challenge_http_free(struct challenge_http **http);
/* Takes over a listening socket, in place of the one before. -1: there is to be none any more. */
void challenge_http_listen(struct challenge_http *http, int fd);
bool challenge_http_is_listening(const struct challenge_http *http);

void challenge_http_put(struct challenge_http *http, struct str token, struct str key_authorization);
void challenge_http_remove(struct challenge_http *http, struct str token);
/* Under which the hosts share the answer. */
void challenge_http_share_name(struct str token, struct buf *name);

#endif
