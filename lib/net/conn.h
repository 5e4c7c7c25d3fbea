/* SPDX-License-Identifier: Apache-2.0
 *
 * A buffered connection on the loop, in clear or under TLS, with one deadline and back-pressure. An idle
 * connection holds no buffers. Used by smtpd, the test client and deliver's SMTP client.
 */
#ifndef LIB_NET_CONN_H
#define LIB_NET_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/net/loop.h"
#include "lib/net/tls.h"

struct addr_list;
struct conn;

struct conn_events {
	/* There is (more) input: look at conn_input(), take what you understand with conn_consume(). Called
	 * again when more has come; also once after conn_resume() when something was left. */
	void (*on_input)(void *ctx);
	/* The TLS handshake is done. */
	void (*on_secure)(void *ctx);
	/* All that was written has left. May be NULL. */
	void (*on_flushed)(void *ctx);
	/* The deadline has passed. The connection still stands: write a last word and conn_finish() it. */
	void (*on_deadline)(void *ctx);
	/* It is over: `why` is NULL when the other side ended it in order. Free it now or later. */
	void (*on_end)(void *ctx, const char *why);
	/* For a client: connected (in clear). May be NULL for accepted sockets. */
	void (*on_connected)(void *ctx);
	/* A client of tls_acme_server() wants this host ; the handshake waits for conn_show(), here or
	 * later. May be NULL with other servers. */
	void (*on_wanted)(void *ctx, const char *host);
};

/* Takes over a connected non-blocking socket (sets TCP_NODELAY). events and ctx are borrowed. Input is read
 * up to input_max bytes ahead of what was consumed. */
struct conn *conn_new(struct loop *loop, int fd, size_t input_max, const struct conn_events *events,
		      void *ctx);
/* Connects to the first of these addresses (borrowed) that takes it. NULL: none can even be tried. */
struct conn *conn_open(struct loop *loop, const struct addr_list *addresses, size_t input_max, const struct conn_events *events,
		       void *ctx, struct err *err);
/* The address that does not answer is given up for the next one. False: there is none, or there is a connection already. */
bool conn_skip_address(struct conn *conn);
/* Connects to host:port (resolved, blocking, before: for tools). NULL: err says why it cannot even begin. */
struct conn *conn_connect(struct loop *loop, const char *host, uint16_t port, size_t input_max,
			  const struct conn_events *events, void *ctx, struct err *err);
/* Ends it at once; safe in its own callbacks. */
void conn_free(struct conn **conn);

/* Begins a handshake when what was written so far has left in clear; what is written from now on leaves under
 * TLS. Input that is already buffered in clear is thrown away (STARTTLS injection). */
void conn_start_tls_server(struct conn *conn, struct tls_server *server, enum tls_ask ask);
void conn_start_tls_client(struct conn *conn, struct tls_client *client, const char *host);
/* After on_wanted: shows the (first) certificate of this server; NULL: none, and the handshake fails. */
void conn_show(struct conn *conn, const struct tls_server *server);
bool conn_is_secure(const struct conn *conn);
/* NULL in clear. */
struct tls *conn_tls(const struct conn *conn);

struct str conn_input(const struct conn *conn);
void conn_consume(struct conn *conn, size_t n);
/* Queues bytes; they leave in order, gathered at the end of the turn. */
void conn_write(struct conn *conn, struct str bytes);
size_t conn_unsent(const struct conn *conn);
/* No more input is read or announced until conn_resume(). */
void conn_pause(struct conn *conn);
void conn_resume(struct conn *conn);
/* (Re)starts the one deadline; 0 stops it. */
void conn_set_deadline(struct conn *conn, int64_t microseconds);
/* Sends what is queued, then TLS close_notify, then closes; then on_end(NULL). */
void conn_finish(struct conn *conn);

#endif
