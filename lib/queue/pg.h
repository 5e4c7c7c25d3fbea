/* SPDX-License-Identifier: Apache-2.0
 *
 * Postgres on the loop; the only file with libpq. A connection that comes back by itself, to whichever of several
 * hosts takes writes, statements in pipeline mode with binary parameters and results. Nothing depends on session
 * state (no named prepared statements, no SET), so it works through PgBouncer in transaction mode.
 */
#ifndef LIB_QUEUE_PG_H
#define LIB_QUEUE_PG_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/uuid.h"
#include "lib/net/loop.h"

struct pg;
struct pg_result;
struct pg_params;

struct pg_options {
	const char *host; /* a list as in settings_hosts.h */
	const char *name, *user, *password, *ca_file, *application;
	uint16_t port; /* of the hosts that name none */
	int sslmode; /* SSLMODE_... of lib/settings/settings.h */
	int64_t connect_timeout;   /* microseconds; each host has so long */
	int64_t statement_timeout; /* microseconds; a statement that takes longer costs the connection */
};

/* What became of a statement. */
enum pg_status {
	PG_OK,
	PG_REFUSED, /* the server said no: the transaction did not happen */
	PG_LOST,    /* the connection went: it may or may not have happened */
};

/* Called once a statement, in order; never inside pg_run(). `result` lives for the call; `err` says what
 * went wrong when status is not PG_OK. */
typedef void pg_result_fn(void *ctx, enum pg_status status, const struct pg_result *result,
			  const struct err *err);
/* The connection came up, or went, or an attempt to connect failed with every host (why). A server that does not take
 * writes (any more) is none of ours: a connection to it goes. */
typedef void pg_state_fn(void *ctx, bool is_up, const char *why);

/* Connects, and again whenever it is lost (after 50 ms, doubling to 2 s until a statement was answered). The options are
 * copied. */
struct pg *pg_new(struct loop *loop, const struct pg_options *options, pg_state_fn *on_state, void *ctx);
/* Statements under way are dropped without a callback. */
void pg_free(struct pg **pg);
bool pg_is_up(const struct pg *pg);
/* Statements that have no result yet. */
unsigned pg_unanswered(const struct pg *pg);

/* Sends a statement (one; its own transaction) with its parameters, which are emptied. Not up: the callback
 * comes at the end of the turn, with PG_REFUSED. */
void pg_run(struct pg *pg, const char *sql, struct pg_params *params, pg_result_fn *fn, void *ctx);

/* What ALTER ROLE ... PASSWORD takes instead of a password (SCRAM-SHA-256), so that the password itself does
 * not travel. Owned by the caller; NULL when there is no connection. */
char *pg_scram_verifier(struct pg *pg, const char *user, const char *password);

/* Parameters, in order: $1 is the first. Every put copies. 64 at most; bytes beyond 1 GiB in all make pg_run()
 * refuse the statement. */
struct pg_params *pg_params_new(void);
void pg_params_free(struct pg_params **params);
void pg_put_null(struct pg_params *p);
void pg_put_bool(struct pg_params *p, bool v);
void pg_put_int4(struct pg_params *p, int32_t v);
void pg_put_int8(struct pg_params *p, int64_t v);
void pg_put_text(struct pg_params *p, struct str v);
void pg_put_bytes(struct pg_params *p, struct str v); /* bytea */
void pg_put_uuid(struct pg_params *p, const struct uuid *v);
void pg_put_time(struct pg_params *p, int64_t wall);  /* timestamptz, from microseconds since 1970 */

/* An array parameter: open it, put its elements with the functions above (a NULL too), close it. Elements must
 * be of the type given. */
enum pg_type { PG_BOOL, PG_INT4, PG_INT8, PG_TEXT, PG_BYTES, PG_UUID, PG_TIME };
void pg_open_array(struct pg_params *p, enum pg_type type);
void pg_close_array(struct pg_params *p);

/* Results, binary; a `result` is never NULL. pg_int4() reads smallint too. Rows and columns from 0. A value of another type than asked for is our bug. NULL reads as 0,
 * false, "". */
unsigned pg_rows(const struct pg_result *r);
bool pg_is_null(const struct pg_result *r, unsigned row, unsigned column);
bool pg_bool(const struct pg_result *r, unsigned row, unsigned column);
int32_t pg_int4(const struct pg_result *r, unsigned row, unsigned column);
int64_t pg_int8(const struct pg_result *r, unsigned row, unsigned column);
struct str pg_text(const struct pg_result *r, unsigned row, unsigned column);  /* text, bytea; borrowed */
struct uuid pg_uuid(const struct pg_result *r, unsigned row, unsigned column);
int64_t pg_time(const struct pg_result *r, unsigned row, unsigned column);     /* microseconds since 1970 */
/* Elements of a text[] into out[most]; returns how many there are (more than `most` are left out). */
unsigned pg_text_array(const struct pg_result *r, unsigned row, unsigned column, struct str *out,
		       unsigned most);
/* The SQLSTATE of a refusal ("23505"), "" else. */
const char *pg_sqlstate(const struct pg_result *r);
/* Where in the SQL text a refusal points to, in characters from 1; 0 when it does not. */
unsigned pg_error_position(const struct pg_result *r);
/* Rows that an INSERT, UPDATE or DELETE touched. */
uint64_t pg_touched(const struct pg_result *r);

/* A copy that outlives the callback, of a statement that was not refused. The caller ends it with
 * pg_result_free(). */
struct pg_result *pg_result_copy(const struct pg_result *r);
void pg_result_free(struct pg_result **r);

#endif
