/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands to a Redis server on the event loop: one kept connection, in clear or under TLS, pipelined, with a time
 * limit an answer, made again when it is lost. hiredis writes and reads the protocol (RESP); the connection is
 * ours, since Debian 12's hiredis has no TLS.
 */
#ifndef LIB_NET_REDIS_H
#define LIB_NET_REDIS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/net/loop.h"
#include "lib/net/tls.h"

/* redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss:// for TLS; user and password percent-encoded. */
struct redis_url {
	char host[256];
	char *user, *password; /* NULL when there is none; secret */
	unsigned database;
	uint16_t port;
	bool is_tls;
};

/* False: err says what is wrong with it, never the URL itself, and nothing is to be cleared. */
bool redis_url_parse(struct str text, struct redis_url *url, struct err *err);
void redis_url_clear(struct redis_url *url);

/* An answer, borrowed for the callback. */
struct redis_answer;
enum redis_kind { REDIS_NOTHING, REDIS_NUMBER, REDIS_TEXT, REDIS_LIST, REDIS_REFUSED };

enum redis_kind redis_kind(const struct redis_answer *answer);
int64_t redis_number(const struct redis_answer *answer); /* 0 unless it is one */
struct str redis_text(const struct redis_answer *answer); /* of TEXT and REFUSED; else empty */
size_t redis_count(const struct redis_answer *answer);	 /* of a LIST; else 0 */
const struct redis_answer *redis_at(const struct redis_answer *answer, size_t i);

struct redis;

/* `answer` is NULL when none came: there is no connection, it was lost, or the time is over. Then it is not known
 * whether the command was carried out. */
typedef void redis_fn(void *ctx, const struct redis_answer *answer);
/* Can be asked now, or not any more and why. Told when it changes, and for the first attempt that fails. */
typedef void redis_state_fn(void *ctx, bool is_up, const char *why);

/* Copies the URL; `tls` is borrowed for life, and used for rediss. Connects at once, and again for ever. */
struct redis *redis_new(struct loop *loop, const struct redis_url *url, struct tls_client *tls, int64_t timeout,
			redis_state_fn *on_state, void *ctx);
/* Commands under way are not called back. */
void redis_free(struct redis **redis);
bool redis_is_up(const struct redis *redis);
/* How long an answer may take, in microseconds; a slower server's connection is given up. */
void redis_set_timeout(struct redis *redis, int64_t timeout);
/* Sends a command of n words. fn may be NULL; it is called once, inside this call when there is no connection. */
void redis_run(struct redis *redis, const struct str *words, size_t n, redis_fn *fn, void *ctx);

#endif
