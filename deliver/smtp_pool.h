/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages to SMTP servers on the event loop. A connection carries one message after the other, and is kept for some seconds
 * for those to come.
 */
#ifndef DELIVER_SMTP_POOL_H
#define DELIVER_SMTP_POOL_H

#include "deliver/provider.h"
#include "lib/net/loop.h"
#include "lib/net/tls.h"

enum {
	SMTP_POOL_MESSAGES = 100, /* of one connection: SparkPost takes no more, others take more */
	SMTP_POOL_IDLE_SECONDS = 5, /* shorter than any server's patience that we know of */
};

struct smtp_pool;

/* Borrowed for the call. */
struct smtp_pool_server {
	const char *host;
	uint16_t port;
	int tls; /* PROVIDER_TLS_... */
	const char *user, *password;
	bool is_local; /* it is this host */
	bool is_tenants; /* a tenant named the host: it must not be one that only we can reach */
};

struct smtp_pool_limits {
	int64_t timeout; /* microseconds: for each answer of the server and each piece of the message, anew */
	int64_t begin_before; /* as in struct ipc_job */
};

/* `trust` is borrowed for life; without it no certificate is good. `hello`: our name. */
struct smtp_pool *smtp_pool_new(struct loop *loop, struct tls_client *trust, const char *hello);
/* Ends every call without a word to its owner. */
void smtp_pool_free(struct smtp_pool **pool);
/* Takes a copy of the message. `done` may be called before this returns. */
void smtp_pool_send(struct smtp_pool *pool, const struct smtp_pool_server *server, const struct ipc_message *message,
		    const struct smtp_pool_limits *limits, provider_done_fn *done, void *ctx);
/* Connects and logs in, for nothing else. */
void smtp_pool_check(struct smtp_pool *pool, const struct smtp_pool_server *server, const struct smtp_pool_limits *limits,
		     provider_done_fn *done, void *ctx);
/* From now on QUIT is said on every connection that has nothing to do. */
void smtp_pool_drain(struct smtp_pool *pool);

#endif
