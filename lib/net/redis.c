/* SPDX-License-Identifier: Apache-2.0
 *
 * The connection to Redis. Answers come in the order of the commands, so what waits for them is a queue.
 */
#include "lib/net/redis.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/encode.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/net/conn.h"

enum {
	INPUT_MAX = 65536,
	WORDS_MAX = 64,
	WAITING_MAX = 100000, /* commands without an answer; one more is not sent */
	URL_MAX = 1024,
};

static const int64_t connect_time = 5 * CLOCK_SECOND;
/* Between two attempts to connect; a name that cannot be resolved stops the loop for a moment each time. */
static const int64_t again_first = 1 * CLOCK_SECOND, again_longest = 30 * CLOCK_SECOND;

struct command {
	struct command *next;
	redis_fn *fn;
	void *ctx;
};

struct redis {
	struct loop *loop;
	struct redis_url url;
	struct tls_client *tls;
	struct conn *conn; /* NULL: waits for its time to connect */
	struct loop_timer *again;
	int64_t delay, timeout;
	redisReader *reader;
	struct command *first, **last;
	size_t waiting;
	redis_state_fn *on_state;
	void *ctx;
	bool is_up, is_told; /* that it is down */
};

/* ---- the URL ---- */

/* Percent-decoded, or NULL: malformed, or a NUL in it. */
static char *decoded(struct str text)
{
	char *out = mem_zero(text.n + 1), *to = out;

	for (size_t i = 0; i < text.n; i++) {
		int high, low;

		if (text.p[i] != '%') {
			*to++ = text.p[i];
			continue;
		}
		high = i + 2 < text.n ? encode_hex_digit(text.p[i + 1]) : -1;
		low = i + 2 < text.n ? encode_hex_digit(text.p[i + 2]) : -1;
		if (high < 0 || low < 0 || (high == 0 && low == 0)) {
			mem_wipe(out, text.n);
			free(out);
			return NULL;
		}
		*to++ = (char)(high * 16 + low);
		i += 2;
	}
	return out;
}

/* USER:PASSWORD, or :PASSWORD. */
static bool take_credentials(struct redis_url *url, struct str text, struct err *err)
{
	size_t colon = str_find(text, ':');

	if (colon == text.n)
		return err_set(err, "there is no password before the @; allowed: USER:PASSWORD@ or :PASSWORD@");
	if (colon > 0)
		url->user = decoded(str_first(text, colon));
	url->password = decoded(str_from(text, colon + 1));
	return (url->password != NULL && (colon == 0 || url->user != NULL)) ||
	       err_set(err, "the user or password is not percent-encoded as in a URL");
}

static bool take_host(struct redis_url *url, struct str text, struct err *err)
{
	struct str host = text, port = str_first(text, 0);
	uint64_t number = 6379;
	size_t end;

	if (str_starts(text, STR("["))) {
		end = str_find(text, ']');
		host = str_from(str_first(text, end), 1);
		port = str_from(text, end + 1);
	} else if ((end = str_find(text, ':')) < text.n) {
		host = str_first(text, end);
		port = str_from(text, end);
	}
	if (port.n > 0 && (port.p[0] != ':' || !str_u64(str_from(port, 1), 1, 65535, &number)))
		return err_set(err, "its port is not between 1 and 65535");
	url->port = (uint16_t)number;
	if (host.n == 0 || !str_is_printable(host) || !str_copy(host, url->host, sizeof(url->host)))
		return err_set(err, "it names no host");
	return true;
}

static bool parse(struct str text, struct redis_url *url, struct err *err)
{
	struct str rest, database;
	uint64_t number = 0;
	size_t at;

	url->is_tls = str_starts(text, STR("rediss://"));
	if (text.n > URL_MAX || (!url->is_tls && !str_starts(text, STR("redis://"))))
		return err_set(err, "it is not a redis:// or rediss:// URL");
	rest = str_from(text, url->is_tls ? 9 : 8);
	for (at = rest.n; at > 0 && rest.p[at - 1] != '@'; at--)
		continue;
	if (at > 0 && !take_credentials(url, str_first(rest, at - 1), err))
		return false;
	rest = str_from(rest, at);
	database = str_from(rest, str_find(rest, '/') + 1);
	rest = str_first(rest, str_find(rest, '/'));
	if (database.n > 0 && !str_u64(database, 0, 1000000, &number))
		return err_set(err, "its database is not a number");
	url->database = (unsigned)number;
	return take_host(url, rest, err);
}

bool redis_url_parse(struct str text, struct redis_url *url, struct err *err)
{
	*url = (struct redis_url){.port = 0};
	if (parse(text, url, err))
		return true;
	redis_url_clear(url);
	return false;
}

static void wipe(char **text)
{
	if (*text != NULL)
		mem_wipe(*text, strlen(*text));
	mem_free(text);
}

void redis_url_clear(struct redis_url *url)
{
	wipe(&url->user);
	wipe(&url->password);
}

/* ---- answers: a redis_answer is a redisReply ---- */

static const redisReply *reply_of(const struct redis_answer *answer)
{
	return (const redisReply *)(const void *)answer;
}

enum redis_kind redis_kind(const struct redis_answer *answer)
{
	switch (reply_of(answer)->type) {
	case REDIS_REPLY_INTEGER:
		return REDIS_NUMBER;
	case REDIS_REPLY_STRING:
	case REDIS_REPLY_STATUS:
		return REDIS_TEXT;
	case REDIS_REPLY_ARRAY:
		return REDIS_LIST;
	case REDIS_REPLY_ERROR:
		return REDIS_REFUSED;
	default:
		return REDIS_NOTHING;
	}
}

int64_t redis_number(const struct redis_answer *answer)
{
	return redis_kind(answer) == REDIS_NUMBER ? reply_of(answer)->integer : 0;
}

struct str redis_text(const struct redis_answer *answer)
{
	enum redis_kind kind = redis_kind(answer);

	if (kind != REDIS_TEXT && kind != REDIS_REFUSED)
		return STR("");
	return str_bytes(reply_of(answer)->str, reply_of(answer)->len);
}

size_t redis_count(const struct redis_answer *answer)
{
	return redis_kind(answer) == REDIS_LIST ? reply_of(answer)->elements : 0;
}

const struct redis_answer *redis_at(const struct redis_answer *answer, size_t i)
{
	must(i < redis_count(answer));
	return (const struct redis_answer *)(const void *)reply_of(answer)->element[i];
}

/* ---- the connection ---- */

static void connect_again(void *ctx);

static void answer_first(struct redis *r, const struct redis_answer *answer)
{
	struct command c = *r->first;

	free(r->first);
	r->first = c.next;
	if (r->first == NULL)
		r->last = &r->first;
	r->waiting--;
	if (c.fn != NULL)
		c.fn(c.ctx, answer);
}

/* Gives the connection up, and says so once; what waits gets no answer. */
static void lose(struct redis *r, const char *why)
{
	bool is_news = r->is_up || !r->is_told;

	conn_free(&r->conn);
	if (r->reader != NULL)
		redisReaderFree(r->reader);
	r->reader = NULL;
	r->is_up = false;
	r->is_told = true;
	loop_timer_set(r->again, r->delay);
	r->delay = 2 * r->delay < again_longest ? 2 * r->delay : again_longest;
	if (is_news)
		r->on_state(r->ctx, false, why);
	/* What the answers set going may not grow this list: there is no connection. */
	while (r->first != NULL)
		answer_first(r, NULL);
}

static void set_deadline(struct redis *r)
{
	conn_set_deadline(r->conn, !r->is_up ? connect_time : r->first != NULL ? r->timeout : 0);
}

static void send_command(struct redis *r, const struct str *words, size_t n, redis_fn *fn, void *ctx)
{
	const char *argv[WORDS_MAX];
	size_t lengths[WORDS_MAX];
	struct command *c = mem_zero(sizeof(*c));
	char *bytes = NULL;
	int length;

	must(n > 0 && n <= WORDS_MAX);
	for (size_t i = 0; i < n; i++) {
		argv[i] = words[i].p != NULL ? words[i].p : "";
		lengths[i] = words[i].n;
	}
	length = redisFormatCommandArgv(&bytes, (int)n, argv, lengths);
	if (length < 0)
		die("out of memory");
	c->fn = fn;
	c->ctx = ctx;
	*r->last = c;
	r->last = &c->next;
	conn_write(r->conn, str_bytes(bytes, (size_t)length));
	mem_wipe(bytes, (size_t)length); /* AUTH */
	redisFreeCommand(bytes);
	if (r->waiting++ == 0)
		set_deadline(r);
}

static void on_greeted(void *ctx, const struct redis_answer *answer)
{
	struct redis *r = ctx;
	struct err why;

	if (answer == NULL || r->conn == NULL)
		return; /* lose() is at work */
	if (redis_kind(answer) == REDIS_REFUSED) {
		err_set(&why, "%.*s", STR_ARG(str_first(redis_text(answer), 200)));
		lose(r, why.text);
	}
}

/* The last word of the greeting is PING: its answer opens the road. */
static void on_pong(void *ctx, const struct redis_answer *answer)
{
	struct redis *r = ctx;

	on_greeted(ctx, answer);
	if (answer == NULL || r->conn == NULL)
		return;
	r->is_up = true;
	r->is_told = false;
	r->delay = again_first;
	r->on_state(r->ctx, true, NULL);
}

static void greet(struct redis *r)
{
	struct buf database = BUF_MAX(16);

	if (r->url.password != NULL && r->url.user != NULL)
		send_command(r, (struct str[]){STR("AUTH"), str_of(r->url.user), str_of(r->url.password)}, 3, on_greeted,
			     r);
	else if (r->url.password != NULL)
		send_command(r, (struct str[]){STR("AUTH"), str_of(r->url.password)}, 2, on_greeted, r);
	buf_printf(&database, "%u", r->url.database);
	if (r->url.database != 0)
		send_command(r, (struct str[]){STR("SELECT"), buf_str(&database)}, 2, on_greeted, r);
	buf_clear(&database);
	send_command(r, (struct str[]){STR("PING")}, 1, on_pong, r);
}

static void on_input(void *ctx)
{
	struct redis *r = ctx;
	struct str input = conn_input(r->conn);
	void *reply = NULL;

	if (redisReaderFeed(r->reader, input.p, input.n) != REDIS_OK) {
		lose(r, "the answer is not Redis' protocol");
		return;
	}
	conn_consume(r->conn, input.n);
	/* A callback may lose the connection, and the reader with it. */
	while (r->reader != NULL && redisReaderGetReply(r->reader, &reply) == REDIS_OK && reply != NULL) {
		if (r->first == NULL) {
			freeReplyObject(reply);
			lose(r, "an answer that nobody asked for");
			return;
		}
		answer_first(r, (const struct redis_answer *)reply);
		freeReplyObject(reply);
		reply = NULL;
	}
	if (r->reader != NULL && r->reader->err != 0)
		lose(r, "the answer is not Redis' protocol");
	else if (r->conn != NULL)
		set_deadline(r);
}

static void on_connected(void *ctx)
{
	struct redis *r = ctx;

	if (r->url.is_tls)
		conn_start_tls_client(r->conn, r->tls, r->url.host);
	else
		greet(r);
}

static void on_secure(void *ctx)
{
	greet(ctx);
}

static void on_deadline(void *ctx)
{
	struct redis *r = ctx;

	lose(r, r->is_up ? "no answer in time" : "no connection in time");
}

static void on_end(void *ctx, const char *why)
{
	lose(ctx, why != NULL ? why : "the connection was closed");
}

static void connect_again(void *ctx)
{
	static const struct conn_events events = {on_input, on_secure, NULL, on_deadline, on_end, on_connected, NULL};
	struct redis *r = ctx;
	struct err err;

	r->conn = conn_connect(r->loop, r->url.host, r->url.port, INPUT_MAX, &events, r, &err);
	if (r->conn == NULL) {
		lose(r, err.text);
		return;
	}
	r->reader = redisReaderCreate();
	if (r->reader == NULL)
		die("out of memory");
	set_deadline(r);
}

struct redis *redis_new(struct loop *loop, const struct redis_url *url, struct tls_client *tls, int64_t timeout,
			redis_state_fn *on_state, void *ctx)
{
	struct redis *r = mem_zero(sizeof(*r));

	r->loop = loop;
	r->url = *url;
	r->url.user = url->user != NULL ? mem_text(url->user) : NULL;
	r->url.password = url->password != NULL ? mem_text(url->password) : NULL;
	r->tls = tls;
	r->timeout = timeout;
	r->delay = again_first;
	r->last = &r->first;
	r->on_state = on_state;
	r->ctx = ctx;
	r->again = loop_timer_new(loop, connect_again, r);
	loop_timer_set(r->again, 0);
	return r;
}

void redis_free(struct redis **redis)
{
	struct redis *r = *redis;

	if (r == NULL)
		return;
	conn_free(&r->conn);
	if (r->reader != NULL)
		redisReaderFree(r->reader);
	while (r->first != NULL) {
		struct command *c = r->first;

		r->first = c->next;
		free(c);
	}
	loop_timer_free(&r->again);
	redis_url_clear(&r->url);
	mem_free(redis);
}

bool redis_is_up(const struct redis *redis)
{
	return redis->is_up;
}

void redis_set_timeout(struct redis *redis, int64_t timeout)
{
	redis->timeout = timeout;
}

void redis_run(struct redis *redis, const struct str *words, size_t n, redis_fn *fn, void *ctx)
{
	if (redis->is_up && redis->waiting < WAITING_MAX)
		send_command(redis, words, n, fn, ctx);
	else if (fn != NULL)
		fn(ctx, NULL);
}
