/* SPDX-License-Identifier: Apache-2.0
 *
 * An HTTP server on the test's own loop: it keeps the requests, and answers them in turn with what it was told (the last answer
 * for all that come later).
 */
#ifndef TESTS_SUPPORT_HTTP_FIXTURE_H
#define TESTS_SUPPORT_HTTP_FIXTURE_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/net/loop.h"
#include "tests/support/unit.h"

enum { HTTP_FIXTURE_MAX = 32 };

struct http_fixture_answer {
	unsigned status;     /* 0: the connection is closed instead */
	const char *headers; /* "Name: value\r\n"..., or NULL */
	const char *body;
};

struct http_fixture;

struct http_fixture_peer {
	struct http_fixture *fixture;
	struct loop_fd *watch;
	int fd;
	struct buf in;
};

struct http_fixture {
	struct loop *loop;
	struct loop_fd *watch;
	int fd;
	char url[64];
	struct http_fixture_peer peer[HTTP_FIXTURE_MAX];
	unsigned n_peers, n_requests, n_answers, n_given;
	struct buf request[HTTP_FIXTURE_MAX]; /* the whole of it */
	struct http_fixture_answer answer[HTTP_FIXTURE_MAX];
};

/* Turns the loop until the condition holds. */
#define HTTP_FIXTURE_UNTIL(loop, condition) \
	do { \
		int64_t end_ = clock_mono() + 60 * CLOCK_SECOND; \
		while (!(condition) && clock_mono() < end_) \
			loop_turn(loop, CLOCK_SECOND); \
		UNIT_TRUE(condition); \
	} while (0)

/* The value of a header of the i-th request, or "". */
static inline struct str http_fixture_header(const struct http_fixture *f, unsigned i, const char *name)
{
	struct str rest = buf_str(&f->request[i]), line;

	while (str_next(&rest, '\n', &line) && line.n > 1)
		if (str_ieq(str_first(line, str_find(line, ':')), str_of(name))) {
			line = str_trim(str_from(line, strlen(name) + 1));
			return str_first(line, line.n - 1);
		}
	return STR("");
}

/* "PUT /path": the begin of the i-th request. */
static inline struct str http_fixture_asked(const struct http_fixture *f, unsigned i)
{
	struct str line = buf_str(&f->request[i]);
	size_t method = str_find(line, ' ');

	return str_first(line, method + 1 + str_find(str_from(line, method + 1), ' '));
}

static inline struct str http_fixture_body(const struct http_fixture *f, unsigned i)
{
	struct str text = buf_str(&f->request[i]);

	for (size_t at = 0; at + 4 <= text.n; at++)
		if (str_starts(str_from(text, at), STR("\r\n\r\n")))
			return str_from(text, at + 4);
	return STR("");
}

static inline void http_fixture_close(struct http_fixture_peer *peer)
{
	loop_fd_free(&peer->watch);
	fd_close(&peer->fd);
	buf_clear(&peer->in);
}

/* The octets of the first request, 0 while it is not complete. */
static inline size_t http_fixture_length(struct str in)
{
	size_t head = 0;
	uint64_t body = 0;
	struct str rest = in, line;

	while (head + 4 <= in.n && !str_starts(str_from(in, head), STR("\r\n\r\n")))
		head++;
	if (head + 4 > in.n)
		return 0;
	while (str_next(&rest, '\n', &line) && line.n > 1)
		if (str_istarts(line, STR("content-length:"))) {
			line = str_trim(str_from(line, 15));
			str_u64(str_first(line, line.n - 1), 0, 1 << 24, &body);
		}
	return head + 4 + body <= in.n ? head + 4 + (size_t)body : 0;
}

static inline void http_fixture_serve(struct http_fixture_peer *peer, size_t n)
{
	struct http_fixture *f = peer->fixture;
	const struct http_fixture_answer *answer = &f->answer[f->n_given + 1 < f->n_answers ? f->n_given : f->n_answers - 1];
	struct buf out = BUF_MAX(1 << 20);

	f->n_given++;
	if (f->n_requests < HTTP_FIXTURE_MAX) {
		f->request[f->n_requests] = BUF_MAX(1 << 20);
		buf_put(&f->request[f->n_requests++], peer->in.p, n);
	}
	buf_consume(&peer->in, n);
	if (answer->status == 0) {
		http_fixture_close(peer);
		return;
	}
	buf_printf(&out, "HTTP/1.1 %u X\r\nContent-Length: %zu\r\n%s\r\n", answer->status, strlen(answer->body),
		   answer->headers != NULL ? answer->headers : "");
	buf_put_text(&out, answer->body);
	fd_write_all(peer->fd, out.p, out.n);
	buf_clear(&out);
}

static inline void http_fixture_on_bytes(void *ctx, unsigned events)
{
	struct http_fixture_peer *peer = ctx;
	char bytes[16384];
	ssize_t got = read(peer->fd, bytes, sizeof(bytes));
	size_t n;

	(void)events;
	if (got <= 0) {
		http_fixture_close(peer);
		return;
	}
	buf_put(&peer->in, bytes, (size_t)got);
	while (peer->fd >= 0 && (n = http_fixture_length(buf_str(&peer->in))) > 0)
		http_fixture_serve(peer, n);
}

static inline void http_fixture_on_connection(void *ctx, unsigned events)
{
	struct http_fixture *f = ctx;
	struct http_fixture_peer *peer = &f->peer[f->n_peers];
	int fd = accept4(f->fd, NULL, NULL, SOCK_CLOEXEC);

	(void)events;
	if (fd < 0)
		return;
	UNIT_TRUE(f->n_peers < HTTP_FIXTURE_MAX);
	f->n_peers++;
	*peer = (struct http_fixture_peer){.fixture = f, .fd = fd, .in = BUF_MAX(1 << 20)};
	peer->watch = loop_fd_new(f->loop, fd, http_fixture_on_bytes, peer);
	loop_fd_want(peer->watch, LOOP_READ);
}

static inline void http_fixture_start(struct http_fixture *f, struct loop *loop)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);

	*f = (struct http_fixture){.loop = loop};
	f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	UNIT_TRUE(bind(f->fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(f->fd, 64) == 0);
	UNIT_TRUE(getsockname(f->fd, (struct sockaddr *)&address, &size) == 0);
	snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%u", ntohs(address.sin_port));
	f->watch = loop_fd_new(loop, f->fd, http_fixture_on_connection, f);
	loop_fd_want(f->watch, LOOP_READ);
}

static inline void http_fixture_says(struct http_fixture *f, unsigned status, const char *headers, const char *body)
{
	UNIT_TRUE(f->n_answers < HTTP_FIXTURE_MAX);
	f->answer[f->n_answers++] = (struct http_fixture_answer){status, headers, body};
}

/* Forgets requests and answers. */
static inline void http_fixture_reset(struct http_fixture *f)
{
	while (f->n_requests > 0)
		buf_clear(&f->request[--f->n_requests]);
	f->n_answers = f->n_given = 0;
}

static inline void http_fixture_stop(struct http_fixture *f)
{
	http_fixture_reset(f);
	for (unsigned i = 0; i < f->n_peers; i++)
		http_fixture_close(&f->peer[i]);
	loop_fd_free(&f->watch);
	fd_close(&f->fd);
}

#endif
