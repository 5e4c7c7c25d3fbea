/* SPDX-License-Identifier: Apache-2.0
 *
 * Taking connections from a listening socket, on the loop.
 */
#ifndef LIB_NET_ACCEPTOR_H
#define LIB_NET_ACCEPTOR_H

#include <sys/socket.h>

#include "lib/net/loop.h"

struct acceptor;

/* fd is the callee's: non-blocking, closed by exec. */
typedef void acceptor_fn(void *ctx, int fd, const struct sockaddr_storage *from);

/* Takes over the listening socket. Nothing is taken before acceptor_resume(). */
struct acceptor *acceptor_new(struct loop *loop, int fd, acceptor_fn *fn, void *ctx);
void acceptor_resume(struct acceptor *acceptor);
/* Closes the socket. Not within fn. */
void acceptor_free(struct acceptor **acceptor);

#endif
