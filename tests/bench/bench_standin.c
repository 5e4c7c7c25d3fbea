/* SPDX-License-Identifier: Apache-2.0
 *
 * The stand-in provider: SendGrid's API, and SES's raw messages. As little HTTP as libcurl needs, and as little work a request as possible:
 * it shares the machine with what is measured. Called by bench_run.c.
 */
#include "tests/bench/bench_standin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "lib/base/clock.h"
#include "lib/base/encode.h"
#include "lib/base/mem.h"
#include "lib/net/conn.h"

enum {
	HEAD_MAX = 16384,
	BODY_MAX = 48 << 20,
	ACCEPT_BATCH = 64,
	RAW_LOOKED_AT = 4096, /* of a raw message in base64: its header section begins there */
};

struct request {
	size_t head, body; /* bytes */
	bool is_post, is_ses;
};

struct http_client {
	struct bench_standin *standin;
	struct conn *conn;
	struct loop_timer *timer; /* the answer is due; only with a latency */
	struct request request;	  /* head == 0: not read yet */
	char id[BENCH_BOOK_ID];
	size_t id_n;
	bool is_ses; /* what was read last is SES's */
	struct http_client *next, **link;
};

struct bench_standin {
	struct loop *loop;
	struct bench_book *book;
	struct bench_standin_options options;
	struct bench_standin_counts counts;
	struct loop_fd *watch;
	struct http_client *clients;
};

static void free_client_now(void *ctx)
{
	free(ctx);
}

static void free_client(struct http_client *c)
{
	*c->link = c->next;
	if (c->next != NULL)
		c->next->link = c->link;
	conn_free(&c->conn);
	loop_timer_free(&c->timer);
	loop_later(c->standin->loop, free_client_now, c);
}

static struct str find(struct str in, const char *what)
{
	const char *at = memmem(in.p, in.n, what, strlen(what));

	return at != NULL ? str_from(in, (size_t)(at - in.p)) : (struct str){NULL, 0};
}

static struct str field(struct str head, struct str name)
{
	struct str line;

	while (str_next(&head, '\n', &line))
		if (str_istarts(line, name) && str_first(str_from(line, name.n), 1).n == 1 &&
		    line.p[name.n] == ':') {
			line = str_from(line, name.n + 1);
			line.n -= str_ends(line, STR("\r"));
			return str_trim(line);
		}
	return (struct str){NULL, 0};
}

static void answer(struct http_client *c, const char *status, const char *body)
{
	char text[512];
	int n = snprintf(text, sizeof(text),
			 "HTTP/1.1 %s\r\nServer: stand-in\r\nContent-Type: "
			 "application/json\r\nContent-Length: %zu\r\n\r\n%s",
			 status, strlen(body), body);

	conn_write(c->conn, str_bytes(text, (size_t)n));
}

/* 202 with a message id, as SendGrid does: 22 characters of base64url; or 200 with one in JSON, as SES does. */
static void accept_message(struct http_client *c)
{
	struct bench_standin *s = c->standin;
	char text[256];

	s->counts.accepted++;
	if (c->is_ses) {
		snprintf(text, sizeof(text), "{\"MessageId\":\"0100018standin%015llu-000000\"}",
			 (unsigned long long)s->counts.accepted);
		answer(c, "200 OK", text);
	} else {
		snprintf(text, sizeof(text),
			 "HTTP/1.1 202 Accepted\r\nServer: stand-in\r\nX-Message-Id: "
			 "standin%015llu\r\nContent-Length: 0\r\n\r\n",
			 (unsigned long long)s->counts.accepted);
		conn_write(c->conn, str_of(text));
	}
	if (c->id_n == 0)
		s->counts.without_id++;
	else
		bench_book_answer(s->book, str_bytes(c->id, c->id_n), false, clock_mono());
}

/* False: the connection is gone. */
static bool respond(struct http_client *c)
{
	struct bench_standin *s = c->standin;
	uint64_t n = ++s->counts.requests;

	if (s->options.drop_every != 0 && n % s->options.drop_every == 0) {
		s->counts.dropped++;
		bench_book_answer(s->book, str_bytes(c->id, c->id_n), true, clock_mono());
		free_client(c);
		return false;
	}
	if (s->options.fail_every != 0 && n % s->options.fail_every == 0) {
		s->counts.failed++;
		answer(c, "503 Service Unavailable",
		       "{\"errors\":[{\"message\":\"stand-in failure\"}]}");
	} else {
		accept_message(c);
	}
	return true;
}

/* SES: that the request is signed; what a signature is worth is tested elsewhere, and would cost the machine. */
static bool has_key(const struct bench_standin *s, struct str key, bool is_ses)
{
	return is_ses ? str_starts(key, STR("AWS4-HMAC-SHA256 Credential="))
		      : str_starts(key, STR("Bearer ")) && str_eq(str_from(key, 7), str_of(s->options.api_key));
}

static bool take_head(struct http_client *c, struct str input)
{
	struct str end = find(str_first(input, HEAD_MAX), "\r\n\r\n"), head, length, key;
	struct bench_standin *s = c->standin;
	uint64_t body = 0;

	if (end.p == NULL) {
		if (input.n >= HEAD_MAX)
			free_client(c);
		return false;
	}
	head = str_first(input, (size_t)(end.p - input.p));
	length = field(head, STR("Content-Length"));
	key = field(head, STR("Authorization"));
	if (length.p != NULL && !str_u64(length, 0, BODY_MAX, &body)) {
		s->counts.bad_request++;
		free_client(c);
		return false;
	}
	c->request = (struct request){.head = head.n + 4, .body = (size_t)body};
	c->request.is_ses = str_starts(head, STR("POST /v2/email/outbound-emails "));
	c->request.is_post = (c->request.is_ses || str_starts(head, STR("POST /v3/mail/send "))) && length.p != NULL;
	if (!has_key(s, key, c->request.is_ses)) {
		c->request.is_post = false;
		s->counts.bad_key++;
		answer(c, "401 Unauthorized",
		       "{\"errors\":[{\"message\":\"authorization required\"}]}");
	} else if (!c->request.is_post) {
		s->counts.bad_request += !str_starts(head, STR("GET /v3/scopes "));
		answer(c, "200 OK", "{\"scopes\":[\"mail.send\"]}");
	} else if (str_ieq(field(head, STR("Expect")), STR("100-continue"))) {
		conn_write(c->conn, STR("HTTP/1.1 100 Continue\r\n\r\n"));
	}
	return true;
}

/* The load id stands in the JSON as "X-Load-ID":"...", with or without a blank behind the colon. */
static void take_id(struct http_client *c, struct str body)
{
	struct str at = find(body, "X-Load-ID\"");
	struct str rest = str_from(at, 10);

	c->id_n = 0;
	rest = str_from(rest, str_find(rest, '"') + 1);
	if (at.p != NULL && rest.n > BENCH_BOOK_ID && rest.p[BENCH_BOOK_ID] == '"') {
		memcpy(c->id, rest.p, BENCH_BOOK_ID);
		c->id_n = BENCH_BOOK_ID;
	}
}

/* In a raw message it is a field. */
static void take_raw_id(struct http_client *c, struct str body)
{
	struct str data = find(body, "\"Data\":\""), field;
	struct buf raw = BUF_MAX(RAW_LOOKED_AT);
	size_t n;

	c->id_n = 0;
	data = str_from(data, 8);
	n = str_find(data, '"');
	n = n < RAW_LOOKED_AT ? n : RAW_LOOKED_AT;
	if (encode_from_base64(&raw, str_first(data, n))) {
		field = str_from(find(buf_str(&raw), "X-Load-ID: "), 11);
		if (field.n >= BENCH_BOOK_ID) {
			memcpy(c->id, field.p, BENCH_BOOK_ID);
			c->id_n = BENCH_BOOK_ID;
		}
	}
	buf_clear(&raw);
}

static void on_input(void *ctx)
{
	struct http_client *c = ctx;
	bool is_post;

	for (;;) {
		struct str input = conn_input(c->conn);

		if (c->request.head == 0 && !take_head(c, input))
			return;
		if (input.n < c->request.head + c->request.body)
			return;
		c->is_ses = c->request.is_ses;
		(c->is_ses ? take_raw_id : take_id)(c, str_first(str_from(input, c->request.head), c->request.body));
		c->standin->counts.bytes += c->request.head + c->request.body;
		conn_consume(c->conn, c->request.head + c->request.body);
		is_post = c->request.is_post;
		c->request = (struct request){0};
		if (!is_post)
			continue;
		if (c->timer != NULL) {
			conn_pause(c->conn);
			loop_timer_set(c->timer, c->standin->options.latency);
			return;
		}
		if (!respond(c))
			return;
	}
}

static void on_answer_due(void *ctx)
{
	struct http_client *c = ctx;

	if (respond(c))
		conn_resume(c->conn);
}

static void on_end(void *ctx, const char *why)
{
	(void)why;
	free_client(ctx);
}

static void on_deadline(void *ctx)
{
	(void)ctx;
}

static const struct conn_events events = {
	.on_input = on_input,
	.on_deadline = on_deadline,
	.on_end = on_end,
};

static void on_listen(void *ctx, unsigned what)
{
	struct bench_standin *s = ctx;

	(void)what;
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		int fd = accept4(s->options.listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct http_client *c;

		if (fd < 0)
			return;
		s->counts.connections++;
		c = mem_zero(sizeof(*c));
		c->standin = s;
		c->conn = conn_new(s->loop, fd, HEAD_MAX + BODY_MAX, &events, c);
		if (s->options.latency > 0)
			c->timer = loop_timer_new(s->loop, on_answer_due, c);
		c->next = s->clients;
		c->link = &s->clients;
		if (c->next != NULL)
			c->next->link = &c->next;
		s->clients = c;
	}
}

struct bench_standin *bench_standin_new(struct loop *loop, struct bench_book *book,
					const struct bench_standin_options *options)
{
	struct bench_standin *s = mem_zero(sizeof(*s));

	s->loop = loop;
	s->book = book;
	s->options = *options;
	s->watch = loop_fd_new(loop, options->listen_fd, on_listen, s);
	loop_fd_want(s->watch, LOOP_READ);
	return s;
}

const struct bench_standin_counts *bench_standin_counts(const struct bench_standin *standin)
{
	return &standin->counts;
}

void bench_standin_free(struct bench_standin **standin)
{
	struct bench_standin *s = *standin;

	if (s == NULL)
		return;
	while (s->clients != NULL)
		free_client(s->clients);
	loop_turn(s->loop, 0);
	loop_fd_free(&s->watch);
	mem_free(standin);
}
