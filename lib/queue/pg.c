/* SPDX-License-Identifier: Apache-2.0
 *
 * Postgres on the loop, the only file with libpq: the connection that comes back, the pipeline, and
 * parameters and results in Postgres' binary format. qmgr, gate and smtp-proxyctl stand on it.
 *
 * Every statement is followed by a Sync, so each is a transaction of its own and a refusal does not
 * touch its neighbours in the pipeline. What became of a statement is told only after the server's
 * answer to its Sync: the commit happens between the statement's result and that answer, and may
 * still fail.
 */
#include "lib/queue/pg.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/settings/settings.h"
#include "lib/settings/settings_hosts.h"

/* Numbers of the built-in types, fixed for ever in Postgres' pg_type.dat. */
enum {
	OID_BOOL = 16,
	OID_BYTEA = 17,
	OID_NAME = 19,
	OID_INT8 = 20,
	OID_INT2 = 21,
	OID_INT4 = 23,
	OID_TEXT = 25,
	OID_TEXT_ARRAY = 1009,
	OID_VARCHAR = 1043,
	OID_TIME = 1184,
	OID_UUID = 2950,
};

enum { PARAMS_MAX = 64 };

#define RECONNECT_FIRST (50 * CLOCK_MS)
#define RECONNECT_LONGEST (2 * CLOCK_SECOND)
/* SQLSTATE read_only_sql_transaction: what a server says that became a standby, or was told not to write. */
#define READ_ONLY "25006"
/* 2000-01-01, from which timestamps count, in microseconds since 1970. */
#define POSTGRES_EPOCH 946684800000000LL

struct value {
	unsigned oid;
	int n;	   /* bytes; -1 for NULL */
	size_t at; /* where they begin in `bytes` */
};

struct pg_params {
	struct buf bytes;
	struct value values[PARAMS_MAX];
	unsigned n;
	bool is_in_array, has_nulls;
	enum pg_type array_type;
	uint32_t n_elements;
};

struct pg_result {
	PGresult *res;
	char sqlstate[6];
};

struct statement {
	pg_result_fn *fn;
	void *ctx;
	int64_t sent;
	struct statement *next;
	const char *refusal; /* why it was never sent */
};

struct list {
	struct statement *first, **end;
	unsigned n;
};

enum state { WAITING, CONNECTING, UP };

struct pg {
	struct loop *loop;
	struct pg_options options;
	struct settings_host hosts[SETTINGS_HOSTS_MAX];
	unsigned n_hosts, host; /* which one is, or was last, connected to */
	unsigned n_failed;	/* in this round through them */
	struct buf failures;	/* what they said */
	pg_state_fn *on_state;
	void *ctx;

	enum state state;
	PGconn *conn;
	struct loop_fd *watch;
	int watched;
	struct loop_timer *reconnect; /* WAITING: when to try again; CONNECTING: when to give up */
	struct loop_timer *overdue;
	int64_t delay;

	struct list sent;	 /* in the pipeline */
	struct list refused;	 /* to be told at the end of the turn */
	struct pg_result result; /* of the first sent one, until its Sync is answered */
	int64_t head_since;	 /* when the first sent one became the first */
	struct err broken;	 /* pg_run() found the connection lost */
	bool is_broken, is_later, is_freed;
	unsigned depth; /* callbacks of ours that are on the stack */
};

/* ---- parameters ---- */

static const unsigned element_types[] = {
	[PG_BOOL] = OID_BOOL,	[PG_INT4] = OID_INT4, [PG_INT8] = OID_INT8, [PG_TEXT] = OID_TEXT,
	[PG_BYTES] = OID_BYTEA, [PG_UUID] = OID_UUID, [PG_TIME] = OID_TIME,
};

static const unsigned array_types[] = {
	[PG_BOOL] = 1000,  [PG_INT4] = 1007, [PG_INT8] = 1016, [PG_TEXT] = 1009,
	[PG_BYTES] = 1001, [PG_UUID] = 2951, [PG_TIME] = 1185,
};

struct pg_params *pg_params_new(void)
{
	struct pg_params *p = mem_zero(sizeof(*p));

	/* A Bind message may have 1 GiB less a byte; leave room for its head. */
	buf_init(&p->bytes, (1U << 30) - 65536);
	return p;
}

void pg_params_free(struct pg_params **params)
{
	if (*params == NULL)
		return;
	buf_clear_secret(&(*params)->bytes);
	mem_free(params);
}

static void empty_params(struct pg_params *p)
{
	must(!p->is_in_array);
	buf_reset(&p->bytes);
	p->n = 0;
}

static struct value *next_value(struct pg_params *p, unsigned oid)
{
	struct value *v;

	must(p->n < PARAMS_MAX);
	v = &p->values[p->n++];
	*v = (struct value){.oid = oid, .at = p->bytes.n};
	return v;
}

/* Room for a value of n bytes, as a parameter of its own or as the open array's next element; NULL
 * when the parameters are full (pg_run() then refuses the statement). */
static char *value_room(struct pg_params *p, enum pg_type type, size_t n)
{
	char *room;

	if (n > INT32_MAX) {
		p->bytes.is_full = true;
		return NULL;
	}
	if (p->is_in_array) {
		must(p->array_type == type);
		p->n_elements++;
		if (!buf_put_u32(&p->bytes, (uint32_t)n))
			return NULL;
	} else {
		next_value(p, element_types[type])->n = (int)n;
	}
	room = buf_room(&p->bytes, n);
	if (room != NULL)
		buf_added(&p->bytes, n);
	return room;
}

static void put_value(struct pg_params *p, enum pg_type type, const void *bytes, size_t n)
{
	char *room = value_room(p, type, n);

	if (room != NULL && n > 0)
		memcpy(room, bytes, n);
}

void pg_put_null(struct pg_params *p)
{
	if (p->is_in_array) {
		p->n_elements++;
		p->has_nulls = true;
		buf_put_u32(&p->bytes, UINT32_MAX);
	} else {
		next_value(p, 0)->n = -1;
	}
}

void pg_put_bool(struct pg_params *p, bool v)
{
	put_value(p, PG_BOOL, v ? "\1" : "\0", 1);
}

static void put_big_endian(struct pg_params *p, enum pg_type type, uint64_t v, unsigned n)
{
	char *room = value_room(p, type, n);

	if (room != NULL)
		for (unsigned i = 0; i < n; i++)
			room[i] = (char)(v >> (8 * (n - 1 - i)));
}

void pg_put_int4(struct pg_params *p, int32_t v)
{
	put_big_endian(p, PG_INT4, (uint32_t)v, 4);
}

void pg_put_int8(struct pg_params *p, int64_t v)
{
	put_big_endian(p, PG_INT8, (uint64_t)v, 8);
}

void pg_put_text(struct pg_params *p, struct str v)
{
	put_value(p, PG_TEXT, v.p, v.n);
}

void pg_put_bytes(struct pg_params *p, struct str v)
{
	put_value(p, PG_BYTES, v.p, v.n);
}

void pg_put_uuid(struct pg_params *p, const struct uuid *v)
{
	put_value(p, PG_UUID, v->b, sizeof(v->b));
}

void pg_put_time(struct pg_params *p, int64_t wall)
{
	/* The ends of the range are -infinity and infinity, here as there. */
	if (wall != INT64_MAX && wall > INT64_MIN + POSTGRES_EPOCH)
		wall -= POSTGRES_EPOCH;
	else if (wall != INT64_MAX)
		wall = INT64_MIN;
	put_big_endian(p, PG_TIME, (uint64_t)wall, 8);
}

/* An array: dimensions, whether it has NULLs, the elements' type; the length and first index of its
 * one dimension; the elements, each behind its length. */
enum { ARRAY_HEAD = 12, ARRAY_DIMENSION = 8 };

void pg_open_array(struct pg_params *p, enum pg_type type)
{
	must(!p->is_in_array);
	next_value(p, array_types[type]);
	p->is_in_array = true;
	p->has_nulls = false;
	p->array_type = type;
	p->n_elements = 0;
	buf_put_u32(&p->bytes, 1);
	buf_put_u32(&p->bytes, 0);
	buf_put_u32(&p->bytes, element_types[type]);
	buf_put_u32(&p->bytes, 0);
	buf_put_u32(&p->bytes, 1);
}

void pg_close_array(struct pg_params *p)
{
	struct value *v = &p->values[p->n - 1];
	unsigned char *head;

	must(p->is_in_array);
	p->is_in_array = false;
	if (p->bytes.is_full)
		return;
	head = (unsigned char *)p->bytes.p + v->at;
	if (p->n_elements == 0) {
		/* An empty array has no dimension. */
		head[3] = 0;
		p->bytes.n = v->at + ARRAY_HEAD;
	} else {
		head[7] = p->has_nulls;
		for (unsigned i = 0; i < 4; i++)
			head[ARRAY_HEAD + i] = (unsigned char)(p->n_elements >> (24 - 8 * i));
	}
	v->n = (int)(p->bytes.n - v->at);
}

/* ---- results ---- */

unsigned pg_rows(const struct pg_result *r)
{
	return r->res != NULL ? (unsigned)PQntuples(r->res) : 0;
}

bool pg_is_null(const struct pg_result *r, unsigned row, unsigned column)
{
	must(row < pg_rows(r) && column < (unsigned)PQnfields(r->res));
	return PQgetisnull(r->res, (int)row, (int)column) != 0;
}

/* The bytes of a value of one of the types given; of `n` bytes, unless n is 0. NULL, and what a
 * broken server sends under a right type, is empty. */
static struct str value_of(const struct pg_result *r, unsigned row, unsigned column, size_t n,
			   const unsigned *oids)
{
	struct str bytes;
	Oid oid;

	must(row < pg_rows(r) && column < (unsigned)PQnfields(r->res));
	oid = PQftype(r->res, (int)column);
	while (*oids != 0 && *oids != oid)
		oids++;
	must(*oids != 0);
	bytes = str_bytes(PQgetvalue(r->res, (int)row, (int)column),
			  (size_t)PQgetlength(r->res, (int)row, (int)column));
	return n == 0 || bytes.n == n ? bytes : STR("");
}

static uint64_t integer_of(struct str bytes)
{
	uint64_t v = 0;

	for (size_t i = 0; i < bytes.n; i++)
		v = v << 8 | (unsigned char)bytes.p[i];
	return v;
}

bool pg_bool(const struct pg_result *r, unsigned row, unsigned column)
{
	return integer_of(value_of(r, row, column, 1, (const unsigned[]){OID_BOOL, 0})) != 0;
}

int32_t pg_int4(const struct pg_result *r, unsigned row, unsigned column)
{
	struct str bytes = value_of(r, row, column, 0, (const unsigned[]){OID_INT4, OID_INT2, 0});

	if (bytes.n == 2)
		return (int16_t)integer_of(bytes);
	return bytes.n == 4 ? (int32_t)integer_of(bytes) : 0;
}

int64_t pg_int8(const struct pg_result *r, unsigned row, unsigned column)
{
	return (int64_t)integer_of(value_of(r, row, column, 8, (const unsigned[]){OID_INT8, 0}));
}

struct str pg_text(const struct pg_result *r, unsigned row, unsigned column)
{
	const unsigned oids[] = {OID_TEXT, OID_VARCHAR, OID_NAME, OID_BYTEA, 0};

	return value_of(r, row, column, 0, oids);
}

struct uuid pg_uuid(const struct pg_result *r, unsigned row, unsigned column)
{
	struct str bytes =
		value_of(r, row, column, sizeof(struct uuid), (const unsigned[]){OID_UUID, 0});
	struct uuid u = {{0}};

	if (bytes.n > 0)
		memcpy(u.b, bytes.p, sizeof(u.b));
	return u;
}

int64_t pg_time(const struct pg_result *r, unsigned row, unsigned column)
{
	struct str bytes = value_of(r, row, column, 8, (const unsigned[]){OID_TIME, 0});
	int64_t t = (int64_t)integer_of(bytes);

	if (bytes.n == 0 || t == INT64_MIN)
		return t;
	return t > INT64_MAX - POSTGRES_EPOCH ? INT64_MAX : t + POSTGRES_EPOCH;
}

unsigned pg_text_array(const struct pg_result *r, unsigned row, unsigned column, struct str *out,
		       unsigned most)
{
	const unsigned oids[] = {OID_TEXT_ARRAY, 0};
	struct reader in = reader_of(value_of(r, row, column, 0, oids));
	uint32_t dimensions = reader_u32(&in), count;

	reader_u32(&in);
	reader_u32(&in);
	if (in.is_bad || dimensions != 1)
		return 0;
	count = reader_u32(&in);
	reader_u32(&in);
	for (uint32_t i = 0; i < count && !in.is_bad; i++) {
		uint32_t n = reader_u32(&in);
		struct str element = n == UINT32_MAX ? STR("") : reader_bytes(&in, n);

		if (i < most)
			out[i] = element;
	}
	return in.is_bad ? 0 : count;
}

const char *pg_sqlstate(const struct pg_result *r)
{
	return r->sqlstate;
}

unsigned pg_error_position(const struct pg_result *r)
{
	const char *text = PQresultErrorField(r->res, PG_DIAG_INTERNAL_POSITION);
	uint64_t at = 0;

	if (text == NULL)
		text = PQresultErrorField(r->res, PG_DIAG_STATEMENT_POSITION);
	str_u64(str_of(text), 1, UINT32_MAX, &at);
	return (unsigned)at;
}

uint64_t pg_touched(const struct pg_result *r)
{
	uint64_t n = 0;

	if (r->res != NULL)
		str_u64(str_of(PQcmdTuples(r->res)), 0, UINT64_MAX, &n);
	return n;
}

struct pg_result *pg_result_copy(const struct pg_result *r)
{
	struct pg_result *copy = mem_zero(sizeof(*copy));

	must(r->sqlstate[0] == '\0');
	if (r->res == NULL)
		return copy;
	copy->res = PQcopyResult(r->res, PG_COPYRES_ATTRS | PG_COPYRES_TUPLES);
	if (copy->res == NULL)
		die("no memory for a result of the database");
	return copy;
}

void pg_result_free(struct pg_result **r)
{
	if (*r == NULL)
		return;
	PQclear((*r)->res);
	mem_free(r);
}

/* ---- statements ---- */

static void list_add(struct list *list, struct statement *s)
{
	if (list->first == NULL)
		list->end = &list->first;
	s->next = NULL;
	*list->end = s;
	list->end = &s->next;
	list->n++;
}

static struct statement *list_take(struct list *list)
{
	struct statement *s = list->first;

	if (s != NULL) {
		list->first = s->next;
		list->n--;
	}
	return s;
}

/* The primary message only: details and context may quote values, and so content. */
static void error_text(const PGresult *res, struct err *err)
{
	const char *words = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

	if (words != NULL)
		err_set(err, "%s (%s)", words, state != NULL ? state : "no SQLSTATE");
	else
		err_set(err, "the connection to the database was lost");
}

/* libpq's words about a connection, on one line. */
static void connection_text(const PGconn *conn, struct err *err)
{
	struct str rest = str_of(PQerrorMessage(conn)), line;
	struct buf text = BUF_MAX(400);

	while (str_next(&rest, '\n', &line)) {
		line = str_trim(line);
		if (line.n > 0 && text.n > 0)
			buf_put_text(&text, "; ");
		buf_put_str(&text, line);
	}
	if (text.n > 0)
		err_set(err, "%.*s", STR_ARG(buf_str(&text)));
	else
		err_set(err, "the connection to the database was lost");
	buf_clear(&text);
}

static void on_fd(void *ctx, unsigned events);

/* Calls back for a statement that is over, and forgets it. */
static void finish(struct pg *pg, struct statement *s, enum pg_status status,
		   const struct pg_result *result, const struct err *err)
{
	if (!pg->is_freed)
		s->fn(s->ctx, status, result, err);
	free(s);
}

static void drop_watch(void *ctx)
{
	struct loop_fd *watch = ctx;

	loop_fd_free(&watch);
}

/* Watches what libpq's socket is now; while it connects, that may be another with every step. */
static void want(struct pg *pg, unsigned events)
{
	int fd = PQsocket(pg->conn);

	if (pg->watch != NULL && pg->watched != fd) {
		/* Its callback may be running. */
		loop_fd_want(pg->watch, 0);
		loop_later(pg->loop, drop_watch, pg->watch);
		pg->watch = NULL;
	}
	if (pg->watch == NULL && fd >= 0) {
		pg->watch = loop_fd_new(pg->loop, fd, on_fd, pg);
		pg->watched = fd;
	}
	if (pg->watch != NULL)
		loop_fd_want(pg->watch, events);
}

static void close_connection(struct pg *pg)
{
	if (pg->watch != NULL) {
		loop_fd_want(pg->watch, 0);
		if (pg->depth > 0)
			loop_later(pg->loop, drop_watch, pg->watch);
		else
			loop_fd_free(&pg->watch);
		pg->watch = NULL;
	}
	PQfinish(pg->conn);
	pg->conn = NULL;
	PQclear(pg->result.res);
	pg->result = (struct pg_result){NULL, ""};
	pg->state = WAITING;
	pg->is_broken = false;
	loop_timer_stop(pg->overdue);
}

/* This host does not do. True: there is another one to be tried before anybody hears of it; else *err has what all said. */
static bool try_next(struct pg *pg, struct err *err)
{
	const struct settings_host *host = &pg->hosts[pg->host];

	if (pg->n_hosts == 1)
		return false;
	buf_printf(&pg->failures, "%s%s port %u: %s", pg->failures.n > 0 ? "; " : "", host->name, host->port, err->text);
	pg->host = (pg->host + 1) % pg->n_hosts;
	if (++pg->n_failed < pg->n_hosts) {
		loop_timer_set(pg->reconnect, 0);
		return true;
	}
	err_set(err, "%.*s", STR_ARG(buf_str(&pg->failures)));
	return false;
}

/* The connection is of no use any more: tells all who wait, and tries again after a while. */
static void lose(struct pg *pg, const struct err *why)
{
	const struct pg_result nothing = {NULL, ""};
	struct list sent = pg->sent;
	struct statement *s;
	struct err err = *why;
	bool was_up = pg->state == UP;

	/* The server's last words are better than "closed unexpectedly". */
	if (pg->result.res != NULL && pg->result.sqlstate[0] != '\0')
		error_text(pg->result.res, &err);
	close_connection(pg);
	if (!was_up && try_next(pg, &err))
		return;
	pg->n_failed = 0;
	buf_reset(&pg->failures);
	pg->sent = (struct list){0};
	while ((s = list_take(&sent)) != NULL)
		finish(pg, s, PG_LOST, &nothing, &err);
	loop_timer_set(pg->reconnect, pg->delay);
	pg->delay = pg->delay * 2 < RECONNECT_LONGEST ? pg->delay * 2 : RECONNECT_LONGEST;
	if (!pg->is_freed)
		pg->on_state(pg->ctx, false, err.text);
}

static void lose_for(struct pg *pg, const char *why)
{
	struct err err;

	err_set(&err, "%s", why);
	lose(pg, &err);
}

static void keep_result(struct pg *pg, PGresult *res)
{
	const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);

	/* An error after a result: the commit failed. A result after an error: there is none. */
	if (pg->result.res != NULL && pg->result.sqlstate[0] != '\0') {
		PQclear(res);
		return;
	}
	PQclear(pg->result.res);
	pg->result = (struct pg_result){res, ""};
	if (sqlstate != NULL)
		str_copy(str_of(sqlstate), pg->result.sqlstate, sizeof(pg->result.sqlstate));
}

/* The Sync of the first statement is answered: now it is known what became of it. */
static void finish_first(struct pg *pg)
{
	struct pg_result result = pg->result;
	struct statement *s;
	struct err err = {""};

	if (result.res == NULL) {
		lose_for(pg, "the database answered without a result");
		return;
	}
	pg->result = (struct pg_result){NULL, ""};
	s = list_take(&pg->sent);
	pg->head_since = clock_mono();
	switch (PQresultStatus(result.res)) {
	case PGRES_TUPLES_OK:
	case PGRES_COMMAND_OK:
	case PGRES_EMPTY_QUERY:
		/* Not before: a pooler lets in, and may then have no server to answer. */
		pg->delay = RECONNECT_FIRST;
		finish(pg, s, PG_OK, &result, &err);
		break;
	default:
		error_text(result.res, &err);
		finish(pg, s, PG_REFUSED, &result, &err);
	}
	if (strcmp(result.sqlstate, READ_ONLY) == 0 && pg->state == UP && !pg->is_freed)
		lose(pg, &err);
	PQclear(result.res);
}

/* The server says so unasked when that changes, with its next answer (since version 14; a pooler in between may keep it to
 * itself). */
static bool is_read_only(const PGconn *conn)
{
	static const char *const names[] = {"in_hot_standby", "default_transaction_read_only"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = PQparameterStatus(conn, names[i]);

		if (value != NULL && strcmp(value, "on") == 0)
			return true;
	}
	return false;
}

static void take_results(struct pg *pg)
{
	unsigned nothing = 0;
	PGresult *res;

	/* Also parses what comes unasked (notices), so that it does not pile up. */
	while (!PQisBusy(pg->conn) && pg->sent.first != NULL) {
		res = PQgetResult(pg->conn);
		if (res != NULL && PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
			PQclear(res);
			finish_first(pg);
		} else if (res != NULL) {
			keep_result(pg, res);
		} else if (++nothing > 1) {
			/* A lost connection's why is on_ready()'s to say. */
			if (PQstatus(pg->conn) == CONNECTION_OK)
				lose_for(pg, "the database's answers are out of step");
			return;
		}
		if (res != NULL)
			nothing = 0;
		if (pg->state != UP || pg->is_freed)
			return;
	}
}

static void want_flushed(struct pg *pg)
{
	want(pg, PQflush(pg->conn) == 0 ? LOOP_READ : LOOP_READ | LOOP_WRITE);
}

static void on_ready(struct pg *pg, unsigned events)
{
	bool is_there = true;
	struct err err;

	if (events & LOOP_READ)
		is_there = PQconsumeInput(pg->conn) == 1;
	/* libpq reads one TLS record at most, which may leave the end of it inside OpenSSL, where
	 * the loop does not see it. */
	if (is_there && events & LOOP_READ && PQsslInUse(pg->conn))
		is_there = PQconsumeInput(pg->conn) == 1;
	take_results(pg);
	if (pg->state != UP || pg->is_freed)
		return;
	if (!is_there || PQstatus(pg->conn) != CONNECTION_OK) {
		connection_text(pg->conn, &err);
		lose(pg, &err);
		return;
	}
	if (is_read_only(pg->conn)) {
		lose_for(pg, "the database is read-only now");
		return;
	}
	want_flushed(pg);
}

/* ---- the connection ---- */

static void on_connected(struct pg *pg)
{
	must(PQsetnonblocking(pg->conn, 1) == 0);
	must(PQenterPipelineMode(pg->conn) == 1);
	pg->state = UP;
	pg->n_failed = 0;
	buf_reset(&pg->failures);
	loop_timer_stop(pg->reconnect);
	want(pg, LOOP_READ);
	pg->on_state(pg->ctx, true, NULL);
}

static void on_connecting(struct pg *pg)
{
	struct err err;

	/* libpq may close this socket and open another with the same number. */
	want(pg, 0);
	switch (PQconnectPoll(pg->conn)) {
	case PGRES_POLLING_OK:
		on_connected(pg);
		break;
	case PGRES_POLLING_READING:
		want(pg, LOOP_READ);
		break;
	case PGRES_POLLING_WRITING:
		want(pg, LOOP_WRITE);
		break;
	default:
		connection_text(pg->conn, &err);
		lose(pg, &err);
	}
}

static void on_fd(void *ctx, unsigned events)
{
	struct pg *pg = ctx;

	if (pg->is_freed)
		return;
	pg->depth++;
	if (pg->state == UP)
		on_ready(pg, events);
	else
		on_connecting(pg);
	pg->depth--;
}

static void ignore_notice(void *ctx, const PGresult *res)
{
	(void)ctx;
	(void)res;
}

static void connect_now(struct pg *pg)
{
	static const char *const modes[] = {[SSLMODE_DISABLE] = "disable",
					    [SSLMODE_PREFER] = "prefer",
					    [SSLMODE_REQUIRE] = "require",
					    [SSLMODE_VERIFY_FULL] = "verify-full"};
	const struct pg_options *o = &pg->options;
	char port[8];
	const char *const names[] = {"host",
				     "port",
				     "dbname",
				     "user",
				     "password",
				     "sslmode",
				     "sslrootcert",
				     "application_name",
				     "client_encoding",
				     "gssencmode",
				     "passfile",
				     "target_session_attrs",
				     NULL};
	const char *const values[] = {pg->hosts[pg->host].name,
				      port,
				      o->name,
				      o->user,
				      o->password,
				      modes[o->sslmode],
				      o->ca_file,
				      o->application,
				      "UTF8",
				      "disable",
				      "/nonexistent/pgpass",
				      "read-write",
				      NULL};
	struct err err;

	snprintf(port, sizeof(port), "%u", pg->hosts[pg->host].port);
	pg->conn = PQconnectStartParams(names, values, 0);
	if (pg->conn == NULL)
		die("cannot allocate a database connection");
	PQsetNoticeReceiver(pg->conn, ignore_notice, NULL);
	if (PQstatus(pg->conn) == CONNECTION_BAD) {
		connection_text(pg->conn, &err);
		lose(pg, &err);
		return;
	}
	pg->state = CONNECTING;
	loop_timer_set(pg->reconnect, o->connect_timeout);
	want(pg, LOOP_WRITE);
}

static void on_reconnect(void *ctx)
{
	struct pg *pg = ctx;

	if (pg->is_freed)
		return;
	pg->depth++;
	if (pg->state == CONNECTING)
		lose_for(pg, "the database did not answer in time");
	else
		connect_now(pg);
	pg->depth--;
}

static void on_overdue(void *ctx)
{
	struct pg *pg = ctx;
	int64_t since, left;

	if (pg->is_freed || pg->state != UP || pg->sent.first == NULL)
		return;
	since = pg->sent.first->sent > pg->head_since ? pg->sent.first->sent : pg->head_since;
	left = since + pg->options.statement_timeout - clock_mono();
	if (left > 0) {
		loop_timer_set(pg->overdue, left);
		return;
	}
	pg->depth++;
	lose_for(pg, "the database took too long over a statement");
	pg->depth--;
}

static void free_list(struct list *list)
{
	struct statement *s;

	while ((s = list_take(list)) != NULL)
		free(s);
}

static void destroy(struct pg *pg)
{
	close_connection(pg);
	free_list(&pg->sent);
	free_list(&pg->refused);
	loop_timer_free(&pg->reconnect);
	loop_timer_free(&pg->overdue);
	buf_clear(&pg->failures);
	free((char *)pg->options.host);
	free((char *)pg->options.name);
	free((char *)pg->options.user);
	mem_free_secret((char **)&pg->options.password);
	free((char *)pg->options.ca_file);
	free((char *)pg->options.application);
	free(pg);
}

/* At the end of the turn: what pg_run() and pg_free() could not do at once. */
static void on_later(void *ctx)
{
	const struct pg_result nothing = {NULL, ""};
	struct pg *pg = ctx;
	struct list refused = pg->refused;
	struct statement *s;
	struct err err;

	pg->is_later = false;
	if (pg->is_freed) {
		destroy(pg);
		return;
	}
	pg->depth++;
	pg->refused = (struct list){0};
	if (pg->is_broken) {
		err = pg->broken;
		lose(pg, &err);
	}
	while ((s = list_take(&refused)) != NULL) {
		err_set(&err, "%s", s->refusal);
		finish(pg, s, PG_REFUSED, &nothing, &err);
	}
	pg->depth--;
}

static void need_later(struct pg *pg)
{
	if (!pg->is_later) {
		pg->is_later = true;
		loop_later(pg->loop, on_later, pg);
	}
}

struct pg *pg_new(struct loop *loop, const struct pg_options *options, pg_state_fn *on_state,
		  void *ctx)
{
	struct pg *pg = mem_zero(sizeof(*pg));

	must(on_state != NULL && options->statement_timeout > 0 && options->connect_timeout > 0);
	pg->loop = loop;
	pg->on_state = on_state;
	pg->ctx = ctx;
	pg->delay = RECONNECT_FIRST;
	pg->options = *options;
	pg->options.host = mem_text(options->host != NULL ? options->host : "");
	pg->options.name = mem_text(options->name != NULL ? options->name : "");
	pg->options.user = mem_text(options->user != NULL ? options->user : "");
	pg->options.password = mem_text(options->password != NULL ? options->password : "");
	pg->options.ca_file = mem_text(options->ca_file != NULL ? options->ca_file : "");
	pg->options.application =
		mem_text(options->application != NULL ? options->application : "");
	pg->failures = BUF_MAX(sizeof(struct err) - 1);
	pg->n_hosts = settings_hosts_read(str_of(pg->options.host), options->port, pg->hosts, NULL);
	must(pg->n_hosts > 0); /* settings_check.c has read it */
	pg->reconnect = loop_timer_new(loop, on_reconnect, pg);
	pg->overdue = loop_timer_new(loop, on_overdue, pg);
	loop_timer_set(pg->reconnect, 0);
	return pg;
}

void pg_free(struct pg **pg)
{
	struct pg *p = *pg;

	if (p == NULL)
		return;
	*pg = NULL;
	p->is_freed = true;
	if (p->depth > 0)
		need_later(p);
	else if (!p->is_later)
		destroy(p);
}

bool pg_is_up(const struct pg *pg)
{
	return pg->state == UP && !pg->is_broken;
}

unsigned pg_unanswered(const struct pg *pg)
{
	return pg->sent.n + pg->refused.n;
}

static bool send_statement(struct pg *pg, const char *sql, const struct pg_params *params)
{
	const char *values[PARAMS_MAX];
	int lengths[PARAMS_MAX], formats[PARAMS_MAX];
	Oid types[PARAMS_MAX];
	unsigned n = params != NULL ? params->n : 0;

	for (unsigned i = 0; i < n; i++) {
		const struct value *v = &params->values[i];

		/* An empty value is not NULL, even when no byte was ever put. */
		values[i] = v->n < 0		      ? NULL
			    : params->bytes.p != NULL ? params->bytes.p + v->at
						      : "";
		lengths[i] = v->n < 0 ? 0 : v->n;
		formats[i] = 1;
		types[i] = v->oid;
	}
	return PQsendQueryParams(pg->conn, sql, (int)n, types, values, lengths, formats, 1) == 1 &&
	       PQpipelineSync(pg->conn) == 1 && PQflush(pg->conn) >= 0;
}

void pg_run(struct pg *pg, const char *sql, struct pg_params *params, pg_result_fn *fn, void *ctx)
{
	struct statement *s = mem_zero(sizeof(*s));

	must(fn != NULL && !pg->is_freed);
	s->fn = fn;
	s->ctx = ctx;
	s->sent = clock_mono();
	if (!pg_is_up(pg))
		s->refusal = "there is no connection to the database";
	else if (params != NULL && params->bytes.is_full)
		s->refusal = "the statement's parameters are too large";
	list_add(s->refusal != NULL ? &pg->refused : &pg->sent, s);
	if (s->refusal != NULL) {
		need_later(pg);
	} else if (!send_statement(pg, sql, params)) {
		connection_text(pg->conn, &pg->broken);
		pg->is_broken = true;
		need_later(pg);
	} else {
		want_flushed(pg);
		if (!loop_timer_is_running(pg->overdue))
			loop_timer_set(pg->overdue, pg->options.statement_timeout);
	}
	if (params != NULL)
		empty_params(params);
}

char *pg_scram_verifier(struct pg *pg, const char *user, const char *password)
{
	char *made = pg->conn != NULL
			     ? PQencryptPasswordConn(pg->conn, password, user, "scram-sha-256")
			     : NULL;
	char *copy = mem_text(made);

	PQfreemem(made);
	return copy;
}
