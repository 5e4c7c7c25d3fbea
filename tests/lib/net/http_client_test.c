/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of lib/net/http_client.c against a small HTTP server on the same loop, which does what the test
 * scripts for each request that arrives.
 */
#include "lib/net/http_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/mem.h"
#include "tests/support/unit.h"

enum act { ANSWER, HANG, RESET, CLOSE, ANSWER_THEN_CLOSE, HANG_IN_BODY, RESET_IN_BODY, CLOSE_AT_ACCEPT };

/* What the server does with the n-th request; the last one repeats. */
struct step {
	enum act act;
	const char *answer;
};

struct peer {
	struct server *server;
	struct loop_fd *watch;
	int fd;
	struct buf in;
	struct peer *next;
};

struct server {
	struct loop *loop;
	struct loop_fd *watch;
	int fd;
	unsigned port, n_connections, n_requests;
	const struct step *steps;
	unsigned n_steps;
	struct peer *peers;
	struct buf last; /* the last request, whole */
};

static void peer_close(struct peer *peer, bool reset)
{
	struct linger linger = {1, 0};

	if (peer->fd < 0)
		return;
	if (reset)
		setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	loop_fd_want(peer->watch, 0);
	fd_close(&peer->fd);
}

/* The length of the request at the front, or 0 when it is not complete. */
static size_t request_length(struct str in)
{
	char *text = str_dup(in), *end = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "content-length:");
	size_t n = 0;
	uint64_t body = 0;

	if (end != NULL) {
		n = (size_t)(end - text) + 4;
		if (length != NULL && length < end) {
			struct str value = str_of(length + 15);

			value = str_trim(str_first(value, str_find(value, '\r')));
			str_u64(value, 0, 1 << 30, &body);
		}
		n = n + body <= in.n ? n + body : 0;
	}
	free(text);
	return n;
}

static void serve(struct peer *peer)
{
	struct server *s = peer->server;
	const struct step *step = &s->steps[s->n_requests < s->n_steps ? s->n_requests : s->n_steps - 1];

	s->n_requests++;
	if (step->answer != NULL && step->act != HANG)
		UNIT_TRUE(fd_write_all(peer->fd, step->answer, strlen(step->answer)));
	if (step->act == RESET || step->act == RESET_IN_BODY)
		peer_close(peer, true);
	else if (step->act == CLOSE || step->act == ANSWER_THEN_CLOSE)
		peer_close(peer, false);
}

static void on_peer(void *ctx, unsigned events)
{
	struct peer *peer = ctx;
	char bytes[65536];
	ssize_t got = read(peer->fd, bytes, sizeof(bytes));
	size_t n;

	(void)events;
	if (got <= 0) {
		if (got == 0 || errno != EAGAIN)
			peer_close(peer, false);
		return;
	}
	buf_put(&peer->in, bytes, (size_t)got);
	while (peer->fd >= 0 && (n = request_length(buf_str(&peer->in))) > 0) {
		buf_reset(&peer->server->last);
		buf_put(&peer->server->last, peer->in.p, n);
		buf_consume(&peer->in, n);
		serve(peer);
	}
}

static void on_accept(void *ctx, unsigned events)
{
	struct server *s = ctx;
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct peer *peer;

	(void)events;
	if (fd < 0)
		return;
	s->n_connections++;
	if (s->steps[0].act == CLOSE_AT_ACCEPT) {
		close(fd);
		return;
	}
	peer = mem_zero(sizeof(*peer));
	peer->server = s;
	peer->fd = fd;
	peer->in = BUF_MAX(8 << 20);
	peer->watch = loop_fd_new(s->loop, fd, on_peer, peer);
	loop_fd_want(peer->watch, LOOP_READ);
	peer->next = s->peers;
	s->peers = peer;
}

static void server_start(struct server *s, struct loop *loop, const struct step *steps, unsigned n_steps)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);

	*s = (struct server){.loop = loop, .steps = steps, .n_steps = n_steps, .last = BUF_MAX(8 << 20)};
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	UNIT_TRUE(bind(s->fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	UNIT_TRUE(listen(s->fd, 64) == 0);
	UNIT_TRUE(getsockname(s->fd, (struct sockaddr *)&address, &size) == 0);
	s->port = ntohs(address.sin_port);
	s->watch = loop_fd_new(loop, s->fd, on_accept, s);
	loop_fd_want(s->watch, LOOP_READ);
}

static void server_stop(struct server *s)
{
	while (s->peers != NULL) {
		struct peer *peer = s->peers;

		s->peers = peer->next;
		peer_close(peer, false);
		loop_fd_free(&peer->watch);
		buf_clear(&peer->in);
		free(peer);
	}
	loop_fd_free(&s->watch);
	fd_close(&s->fd);
	buf_clear(&s->last);
}

/* What came of the calls of a test. */
struct seen {
	unsigned n, of[3];
	struct http_answer last; /* pointers in it are gone */
	char header[64], body[64];
	size_t body_n;
	char error[256];
};

static void on_answer(void *ctx, const struct http_answer *answer)
{
	struct seen *seen = ctx;

	seen->n++;
	seen->of[answer->result]++;
	seen->last = *answer;
	seen->body_n = answer->body.n;
	str_copy(http_client_header(answer, "x-message-id"), seen->header, sizeof(seen->header));
	str_copy(str_first(answer->body, sizeof(seen->body) - 1), seen->body, sizeof(seen->body));
	str_copy(str_of(answer->error), seen->error, sizeof(seen->error));
}

struct bench {
	struct loop *loop;
	struct http_client *client;
	struct server server;
	struct seen seen;
	char url[64];
};

static void bench_open(struct bench *b, const struct step *steps, unsigned n_steps)
{
	const struct http_client_config config = {.connect_timeout = 2 * CLOCK_SECOND, .max_connections = 8};

	memset(b, 0, sizeof(*b));
	http_client_prepare();
	b->loop = loop_new();
	b->client = http_client_new(b->loop, &config);
	server_start(&b->server, b->loop, steps, n_steps);
	snprintf(b->url, sizeof(b->url), "http://127.0.0.1:%u/v3/mail/send", b->server.port);
}

static void bench_close(struct bench *b)
{
	http_client_free(&b->client);
	server_stop(&b->server);
	loop_turn(b->loop, 0);
	loop_free(&b->loop);
}

static void post_before(struct bench *b, struct str body, int64_t timeout, int64_t begin_before)
{
	static const char *const headers[] = {"Authorization: Bearer k", "Content-Type: application/json"};
	const struct http_request request = {"POST", b->url, headers, 2, body, timeout, begin_before};

	http_client_start(b->client, &request, on_answer, &b->seen);
}

static void post(struct bench *b, struct str body, int64_t timeout)
{
	post_before(b, body, timeout, 0);
}

/* Turns the loop until so many calls have ended. */
static void await(struct bench *b, unsigned n)
{
	int64_t end = clock_mono() + 20 * CLOCK_SECOND;

	while (b->seen.n < n && clock_mono() < end)
		loop_turn(b->loop, 100000);
	UNIT_INT(b->seen.n, n);
}

#define ACCEPTED "HTTP/1.1 202 Accepted\r\nX-Message-Id:  abc \r\nContent-Length: 2\r\n\r\nok"

static void an_answer_is_given_with_its_headers(void)
{
	static const struct step steps[] = {{ANSWER, ACCEPTED}};
	struct bench b;

	bench_open(&b, steps, 1);
	post(&b, STR("{\"a\":1}"), 5 * CLOCK_SECOND);
	UNIT_INT(http_client_count(b.client), 1);
	await(&b, 1);
	UNIT_INT(b.seen.last.result, HTTP_ANSWERED);
	UNIT_TRUE(b.seen.last.is_complete);
	UNIT_INT(b.seen.last.status, 202);
	UNIT_TEXT(b.seen.header, "abc");
	UNIT_TEXT(b.seen.body, "ok");
	UNIT_TEXT(b.seen.error, "");
	UNIT_INT(http_client_count(b.client), 0);
	buf_put_char(&b.server.last, '\0');
	UNIT_TRUE(strncmp(b.server.last.p, "POST /v3/mail/send HTTP/1.1\r\n", 29) == 0);
	UNIT_TRUE(strstr(b.server.last.p, "\r\nAuthorization: Bearer k\r\n") != NULL);
	UNIT_TRUE(strstr(b.server.last.p, "\r\n\r\n{\"a\":1}") != NULL);
	bench_close(&b);
}

static void on_links(void *ctx, const struct http_answer *answer)
{
	struct seen *seen = ctx;
	struct str value;
	unsigned n = 0;

	seen->n++;
	seen->last = *answer;
	while (http_client_header_at(answer, "LINK", n, &value))
		n++;
	UNIT_INT(n, 3);
	UNIT_TRUE(http_client_header_at(answer, "link", 1, &value));
	UNIT_STR(value, "<b>;rel=\"up\"");
	UNIT_STR(http_client_header(answer, "link"), "<a>");
	UNIT_TRUE(!http_client_header_at(answer, "links", 0, &value));
}

static void every_header_of_a_name_can_be_had(void)
{
	static const struct step steps[] = {{ANSWER, "HTTP/1.1 200 OK\r\nLink: <a>\r\nLink:<b>;rel=\"up\"\r\n"
						     "lInK: <c>\r\nContent-Length: 0\r\n\r\n"}};
	struct bench b;
	const struct http_request request = {"GET", b.url, NULL, 0, STR(""), 5 * CLOCK_SECOND, 0};

	bench_open(&b, steps, 1);
	http_client_start(b.client, &request, on_links, &b.seen);
	await(&b, 1);
	UNIT_INT(b.seen.last.status, 200);
	UNIT_TRUE(!b.seen.last.is_cut);
	UNIT_INT(b.server.n_requests, 1);
	bench_close(&b);
}

static void a_cancelled_call_says_nothing(void)
{
	static const struct step steps[] = {{HANG, NULL}, {ANSWER, ACCEPTED}};
	struct bench b;
	const struct http_request request = {"POST", b.url, NULL, 0, STR("x"), 5 * CLOCK_SECOND, 0};
	struct http_call *call;

	bench_open(&b, steps, 2);
	call = http_client_start(b.client, &request, on_answer, &b.seen);
	while (b.server.n_requests == 0)
		loop_turn(b.loop, 100000);
	http_client_cancel(&call);
	UNIT_TRUE(call == NULL);
	http_client_cancel(&call);
	UNIT_INT(http_client_count(b.client), 0);
	/* One that was never begun. */
	call = http_client_start(b.client, &request, on_answer, &b.seen);
	http_client_cancel(&call);
	post(&b, STR("x"), 5 * CLOCK_SECOND);
	await(&b, 1);
	UNIT_INT(b.seen.of[HTTP_ANSWERED], 1);
	bench_close(&b);
}

static void connections_are_kept(void)
{
	static const struct step steps[] = {{ANSWER, ACCEPTED}};
	struct bench b;

	bench_open(&b, steps, 1);
	for (unsigned i = 0; i < 50; i++) {
		post(&b, STR("x"), 5 * CLOCK_SECOND);
		await(&b, i + 1);
	}
	UNIT_INT(b.seen.of[HTTP_ANSWERED], 50);
	UNIT_INT(b.server.n_connections, 1);
	bench_close(&b);
}

static void calls_run_side_by_side(void)
{
	static const struct step steps[] = {{ANSWER, ACCEPTED}};
	struct bench b;

	bench_open(&b, steps, 1);
	for (unsigned i = 0; i < 30; i++)
		post(&b, STR("x"), 5 * CLOCK_SECOND);
	await(&b, 30);
	UNIT_INT(b.seen.of[HTTP_ANSWERED], 30);
	bench_close(&b);
}

static void a_large_body_arrives_whole(void)
{
	static const struct step steps[] = {{ANSWER, ACCEPTED}};
	const size_t n = 3 << 20;
	char *body = mem_zero(n);
	struct bench b;

	for (size_t i = 0; i < n; i++)
		body[i] = (char)('a' + i % 26);
	bench_open(&b, steps, 1);
	post(&b, str_bytes(body, n), 10 * CLOCK_SECOND);
	await(&b, 1);
	UNIT_INT(b.seen.last.result, HTTP_ANSWERED);
	UNIT_TRUE(b.server.last.n > n && memcmp(b.server.last.p + b.server.last.n - n, body, n) == 0);
	bench_close(&b);
	free(body);
}

static void a_refused_connection_is_not_sent(void)
{
	static const struct step steps[] = {{ANSWER, ACCEPTED}};
	struct bench b;

	bench_open(&b, steps, 1);
	server_stop(&b.server);
	post(&b, STR("x"), 5 * CLOCK_SECOND);
	await(&b, 1);
	UNIT_INT(b.seen.last.result, HTTP_NOT_SENT);
	UNIT_TRUE(b.seen.error[0] != '\0');
	b.server = (struct server){.fd = -1};
	bench_close(&b);
}

/* On a new connection and on a kept one. */
static void what_comes_too_late_is_not_sent(void)
{
	static const struct step steps[] = {{ANSWER, ACCEPTED}};
	struct bench b;

	bench_open(&b, steps, 1);
	for (unsigned i = 0; i < 3; i++) {
		post_before(&b, STR("x"), 5 * CLOCK_SECOND, clock_mono() + (i == 1 ? 60 * CLOCK_SECOND : 0));
		await(&b, i + 1);
		UNIT_INT(b.seen.last.result, i == 1 ? HTTP_ANSWERED : HTTP_NOT_SENT);
		UNIT_INT(b.seen.last.is_late, i != 1);
	}
	UNIT_TEXT(b.seen.error, "there was no connection in time");
	UNIT_INT(b.server.n_requests, 1);
	bench_close(&b);
}

static void bad_urls_are_not_sent(void)
{
	static const char *const urls[] = {"", "ftp://127.0.0.1/", "file:///etc/passwd", "http://", "http://[::1",
					   "http://name.invalid:1/"};
	static const struct step steps[] = {{ANSWER, ACCEPTED}};
	struct bench b;

	bench_open(&b, steps, 1);
	for (unsigned i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		str_copy(str_of(urls[i]), b.url, sizeof(b.url));
		post(&b, STR("x"), 5 * CLOCK_SECOND);
		await(&b, i + 1);
	}
	UNIT_INT(b.seen.of[HTTP_NOT_SENT], sizeof(urls) / sizeof(urls[0]));
	bench_close(&b);
}

/* A TLS handshake that never ends: nothing of the request has left. */
static void an_unfinished_tls_handshake_is_not_sent(void)
{
	static const struct step steps[] = {{HANG, NULL}};
	struct bench b;

	bench_open(&b, steps, 1);
	snprintf(b.url, sizeof(b.url), "https://127.0.0.1:%u/", b.server.port);
	post(&b, STR("x"), 300000);
	await(&b, 1);
	UNIT_INT(b.seen.last.result, HTTP_NOT_SENT);
	UNIT_INT(b.server.n_connections, 1);
	bench_close(&b);
}

static void what_is_sent_and_not_answered_is_unknown(void)
{
	static const struct {
		const char *name;
		struct step step;
		unsigned connections;
	} cases[] = {
		{"hangs", {HANG, NULL}, 1},
		{"resets after the request", {RESET, NULL}, 1},
		{"closes after the request", {CLOSE, NULL}, 1},
		{"breaks off in the status line", {CLOSE, "HTTP/1.1 2"}, 1},
		{"breaks off in the headers", {RESET, "HTTP/1.1 202 Accepted\r\nX-Mess"}, 1},
		{"hangs in the headers", {ANSWER, "HTTP/1.1 202 Accepted\r\nX-Message-Id: 1\r\n"}, 1},
		{"only continues", {ANSWER, "HTTP/1.1 100 Continue\r\n\r\n"}, 1},
		{"speaks something else", {ANSWER, "220 mail.example ESMTP\r\n"}, 1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bench b;

		bench_open(&b, &cases[i].step, 1);
		post(&b, STR("x"), 400000);
		await(&b, 1);
		if (b.seen.last.result != HTTP_UNKNOWN)
			printf("\nthe server %s:\n", cases[i].name);
		UNIT_INT(b.seen.last.result, HTTP_UNKNOWN);
		UNIT_INT(b.server.n_connections, cases[i].connections);
		UNIT_TRUE(b.seen.error[0] != '\0');
		bench_close(&b);
	}
}

static void a_request_on_a_kept_connection_is_never_sent_twice(void)
{
	static const enum act acts[] = {RESET, CLOSE};

	for (unsigned i = 0; i < 2; i++) {
		struct step steps[] = {{ANSWER, ACCEPTED}, {acts[i], NULL}, {ANSWER, ACCEPTED}};
		struct bench b;

		bench_open(&b, steps, 3);
		post(&b, STR("x"), 5 * CLOCK_SECOND);
		await(&b, 1);
		post(&b, STR("x"), 5 * CLOCK_SECOND);
		await(&b, 2);
		UNIT_INT(b.seen.last.result, HTTP_UNKNOWN);
		UNIT_INT(b.server.n_requests, 2);
		/* And the one after it gets a new connection and is answered. */
		post(&b, STR("x"), 5 * CLOCK_SECOND);
		await(&b, 3);
		UNIT_INT(b.seen.last.result, HTTP_ANSWERED);
		UNIT_INT(b.server.n_requests, 3);
		bench_close(&b);
	}
}

static void a_connection_closed_while_idle_is_replaced(void)
{
	static const struct step steps[] = {{ANSWER_THEN_CLOSE, ACCEPTED}};
	struct bench b;

	bench_open(&b, steps, 1);
	for (unsigned i = 0; i < 5; i++) {
		post(&b, STR("x"), 5 * CLOCK_SECOND);
		await(&b, i + 1);
		loop_turn(b.loop, 10000);
	}
	UNIT_INT(b.seen.of[HTTP_ANSWERED], 5);
	UNIT_INT(b.server.n_requests, 5);
	bench_close(&b);
}

static void a_status_with_a_broken_body_is_an_incomplete_answer(void)
{
	static const struct step steps[] = {
		{RESET_IN_BODY, "HTTP/1.1 202 Accepted\r\nX-Message-Id: m1\r\nContent-Length: 10\r\n\r\nab"},
	};
	struct bench b;

	bench_open(&b, steps, 1);
	post(&b, STR("x"), 5 * CLOCK_SECOND);
	await(&b, 1);
	UNIT_INT(b.seen.last.result, HTTP_ANSWERED);
	UNIT_TRUE(!b.seen.last.is_complete);
	UNIT_INT(b.seen.last.status, 202);
	UNIT_TEXT(b.seen.header, "m1");
	bench_close(&b);
}

static void a_slow_body_ends_with_the_time_limit(void)
{
	static const struct step steps[] = {
		{HANG_IN_BODY, "HTTP/1.1 400 Bad Request\r\nContent-Length: 10\r\n\r\nab"},
	};
	struct bench b;
	int64_t from = clock_mono();

	bench_open(&b, steps, 1);
	post(&b, STR("x"), 300000);
	await(&b, 1);
	UNIT_TRUE(clock_mono() - from < 5 * CLOCK_SECOND);
	UNIT_INT(b.seen.last.result, HTTP_ANSWERED);
	UNIT_TRUE(!b.seen.last.is_complete);
	UNIT_INT(b.seen.last.status, 400);
	bench_close(&b);
}

static void a_huge_answer_is_cut(void)
{
	const size_t n = 4 << 20;
	struct buf answer = BUF_MAX(8 << 20);
	struct step step = {ANSWER, NULL};
	struct bench b;

	buf_printf(&answer, "HTTP/1.1 400 Bad Request\r\n");
	for (unsigned i = 0; i < 300; i++)
		buf_printf(&answer, "X-Filler-%u: %u\r\n", i, i);
	buf_printf(&answer, "Content-Length: 200000\r\n\r\n");
	for (size_t i = 0; i < 200000; i++)
		buf_put_char(&answer, 'x');
	buf_put_char(&answer, '\0');
	UNIT_TRUE(!answer.is_full && answer.n < n);
	step.answer = answer.p;
	bench_open(&b, &step, 1);
	post(&b, STR("x"), 5 * CLOCK_SECOND);
	await(&b, 1);
	UNIT_INT(b.seen.last.result, HTTP_ANSWERED);
	UNIT_TRUE(b.seen.last.is_complete);
	UNIT_INT(b.seen.body_n, HTTP_CLIENT_BODY_MAX);
	UNIT_TRUE(b.seen.last.is_cut);
	bench_close(&b);
	buf_clear(&answer);
}

static void redirects_are_not_followed(void)
{
	static const struct step steps[] = {
		{ANSWER, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"},
	};
	struct bench b;

	bench_open(&b, steps, 1);
	post(&b, STR("x"), 5 * CLOCK_SECOND);
	await(&b, 1);
	UNIT_INT(b.seen.last.status, 302);
	UNIT_INT(b.server.n_requests, 1);
	bench_close(&b);
}

static void an_interim_answer_is_passed_over(void)
{
	static const struct step steps[] = {{ANSWER, "HTTP/1.1 103 Early Hints\r\nX-Message-Id: no\r\n\r\n" ACCEPTED}};
	struct bench b;

	bench_open(&b, steps, 1);
	post(&b, STR("x"), 5 * CLOCK_SECOND);
	await(&b, 1);
	UNIT_INT(b.seen.last.status, 202);
	UNIT_TEXT(b.seen.header, "abc");
	bench_close(&b);
}

static void calls_under_way_can_be_abandoned(void)
{
	static const struct step steps[] = {{HANG, NULL}};
	struct bench b;

	bench_open(&b, steps, 1);
	for (unsigned i = 0; i < 3; i++)
		post(&b, STR("x"), 5 * CLOCK_SECOND);
	for (unsigned i = 0; i < 5 && b.server.n_requests < 3; i++)
		loop_turn(b.loop, 50000);
	bench_close(&b);
	UNIT_INT(b.seen.n, 0);
}

UNIT_TESTS({"an answer is given with its headers", an_answer_is_given_with_its_headers},
	   {"every header of a name can be had", every_header_of_a_name_can_be_had},
	   {"a cancelled call says nothing", a_cancelled_call_says_nothing},
	   {"connections are kept", connections_are_kept},
	   {"calls run side by side", calls_run_side_by_side},
	   {"a large body arrives whole", a_large_body_arrives_whole},
	   {"a refused connection is not sent", a_refused_connection_is_not_sent},
	   {"what comes too late is not sent", what_comes_too_late_is_not_sent},
	   {"bad URLs are not sent", bad_urls_are_not_sent},
	   {"an unfinished TLS handshake is not sent", an_unfinished_tls_handshake_is_not_sent},
	   {"what is sent and not answered is unknown", what_is_sent_and_not_answered_is_unknown},
	   {"a request on a kept connection is never sent twice", a_request_on_a_kept_connection_is_never_sent_twice},
	   {"a connection closed while idle is replaced", a_connection_closed_while_idle_is_replaced},
	   {"a status with a broken body is an incomplete answer", a_status_with_a_broken_body_is_an_incomplete_answer},
	   {"a slow body ends with the time limit", a_slow_body_ends_with_the_time_limit},
	   {"a huge answer is cut", a_huge_answer_is_cut},
	   {"redirects are not followed", redirects_are_not_followed},
	   {"an interim answer is passed over", an_interim_answer_is_passed_over},
	   {"calls under way can be abandoned", calls_under_way_can_be_abandoned})
