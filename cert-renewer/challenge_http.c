/* SPDX-License-Identifier: Apache-2.0
 *
 * A small server: one request a connection, and nothing that a stranger could make it keep.
 */
#include "cert-renewer/challenge_http.h"

#include <stdlib.h>
#include <time.h>

#include "cert-renewer/cert_share.h"
#include "cert-renewer/challenge_http_request.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/log_limit.h"
#include "lib/base/mem.h"
#include "lib/net/acceptor.h"
#include "lib/net/addr.h"
#include "lib/net/conn.h"

#define REQUEST_TIME (10 * CLOCK_SECOND)
#define SHARE_TIME (3 * CLOCK_SECOND)

enum {
	CLIENTS_MAX = 256,
	ANSWER_MAX = 2048,
	AUTHORIZATION_MAX = 512, /* TOKEN.THUMBPRINT */
	LINES_A_SECOND = 10,
};

struct answer {
	struct answer *next;
	char *token, *authorization;
};

struct client {
	struct client *older, *younger;
	struct challenge_http *http;
	struct conn *conn;
	char address[ADDR_TEXT];
	char token[CHALLENGE_HTTP_REQUEST_TOKEN + 1];
	bool is_head;
	uint64_t asking; /* the question to all hosts; 0: none */
};

struct challenge_http {
	struct loop *loop;
	struct cert_share *share;
	struct acceptor *acceptor;
	struct answer *answers;
	struct client *oldest, *youngest;
	unsigned n_clients;
	struct log_limit lines;
};

/* ---- clients ---- */

static void end_client(struct client *c)
{
	struct challenge_http *http = c->http;

	if (c->asking != 0)
		cert_share_forget(http->share, c->asking);
	*(c->older != NULL ? &c->older->younger : &http->oldest) = c->younger;
	*(c->younger != NULL ? &c->younger->older : &http->youngest) = c->older;
	http->n_clients--;
	conn_free(&c->conn);
	free(c);
}

static const char *reason_of(unsigned status)
{
	static const struct {
		unsigned status;
		const char *reason;
	} reasons[] = {
		{200, "OK"},
		{400, "Bad Request"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{408, "Request Timeout"},
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Request Header Fields Too Large"; /* 431 */
}

/* RFC 9110, 5.6.7 */
static void put_date(struct buf *out)
{
	time_t now = (time_t)(clock_wall() / CLOCK_SECOND);
	struct tm utc;
	char date[40];

	gmtime_r(&now, &utc);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &utc);
	buf_printf(out, "Date: %s\r\n", date);
}

static void say(struct client *c, unsigned status, struct str body)
{
	struct buf out = BUF_MAX(ANSWER_MAX);
	uint64_t unsaid;

	buf_printf(&out, "HTTP/1.1 %u %s\r\n", status, reason_of(status));
	put_date(&out);
	if (status == 200)
		buf_put_text(&out, "Content-Type: application/octet-stream\r\nCache-Control: no-store\r\n");
	if (status == 405)
		buf_put_text(&out, "Allow: GET, HEAD\r\n");
	buf_printf(&out, "Content-Length: %zu\r\nConnection: close\r\n\r\n", body.n);
	if (!c->is_head)
		buf_put_str(&out, body);
	conn_write(c->conn, buf_str(&out));
	buf_clear(&out);
	conn_finish(c->conn);
	/* All the Internet comes to port 80; whoever has a token is of interest. */
	if (c->token[0] == '\0')
		log_debug(NULL, "challenge.http.stranger", log_text("client", c->address), log_uint("status", status));
	else if (log_limit_take(&c->http->lines, clock_mono(), LINES_A_SECOND, &unsaid))
		log_info(NULL, "challenge.http.request", log_text("client", c->address), log_text("token", c->token),
			 log_uint("status", status), log_uint("unsaid", unsaid));
}

static const struct answer *find_answer(const struct challenge_http *http, struct str token)
{
	const struct answer *a = http->answers;

	while (a != NULL && !str_eq(str_of(a->token), token))
		a = a->next;
	return a;
}

/* Another host's answer, which must be one: others write there too. */
static void on_shared(void *ctx, enum ipc_share_verdict verdict, struct str value)
{
	struct client *c = ctx;
	struct str token = str_of(c->token);
	bool is_answer = verdict == IPC_SHARE_YES && str_starts(value, token) && value.n <= AUTHORIZATION_MAX &&
			 str_starts(str_from(value, token.n), STR("."));

	c->asking = 0;
	say(c, is_answer ? 200 : 404, is_answer ? value : STR(""));
}

static void look_elsewhere(struct client *c)
{
	struct challenge_http *http = c->http;
	struct buf name = BUF_MAX(IPC_SHARE_NAME);

	if (http->share == NULL) {
		say(c, 404, STR(""));
		return;
	}
	challenge_http_share_name(str_of(c->token), &name);
	conn_pause(c->conn);
	conn_set_deadline(c->conn, SHARE_TIME);
	c->asking = cert_share_ask(http->share, &(struct ipc_share){.act = IPC_SHARE_GET, .name = buf_str(&name)}, on_shared, c);
	buf_clear(&name);
}

static void on_input(void *ctx)
{
	struct client *c = ctx;
	struct challenge_http_request request;
	const struct answer *a;

	if (!challenge_http_request_read(conn_input(c->conn), &request))
		return;
	c->is_head = request.is_head;
	if (request.status != 0) {
		say(c, request.status, STR(""));
		return;
	}
	str_copy(request.token, c->token, sizeof(c->token));
	a = find_answer(c->http, request.token);
	if (a != NULL)
		say(c, 200, str_of(a->authorization));
	else
		look_elsewhere(c);
}

static void on_deadline(void *ctx)
{
	struct client *c = ctx;

	if (c->asking == 0) {
		say(c, 408, STR(""));
		return;
	}
	cert_share_forget(c->http->share, c->asking);
	c->asking = 0;
	say(c, 404, STR(""));
}

static void on_end(void *ctx, const char *why)
{
	(void)why;
	end_client(ctx);
}

static void on_connection(void *ctx, int fd, const struct sockaddr_storage *from)
{
	static const struct conn_events events = {.on_input = on_input, .on_deadline = on_deadline, .on_end = on_end};
	struct challenge_http *http = ctx;
	struct client *c;

	/* Whoever holds connections without a word does not keep the authority out. */
	if (http->n_clients == CLIENTS_MAX)
		end_client(http->oldest);
	c = mem_zero(sizeof(*c));
	c->http = http;
	addr_text(from, c->address);
	c->older = http->youngest;
	*(c->older != NULL ? &c->older->younger : &http->oldest) = c;
	http->youngest = c;
	http->n_clients++;
	c->conn = conn_new(http->loop, fd, CHALLENGE_HTTP_REQUEST_MAX, &events, c);
	conn_set_deadline(c->conn, REQUEST_TIME);
}

/* ---- answers ---- */

static void free_answer(struct answer *a)
{
	free(a->token);
	free(a->authorization);
	free(a);
}

void challenge_http_put(struct challenge_http *http, struct str token, struct str key_authorization)
{
	struct answer *a = mem_zero(sizeof(*a));

	*a = (struct answer){.next = http->answers, .token = str_dup(token), .authorization = str_dup(key_authorization)};
	http->answers = a;
}

void challenge_http_remove(struct challenge_http *http, struct str token)
{
	struct answer **at = &http->answers, *a;

	while (*at != NULL && !str_eq(str_of((*at)->token), token))
		at = &(*at)->next;
	a = *at;
	if (a == NULL)
		return;
	*at = a->next;
	free_answer(a);
}

/* ---- making and ending ---- */

void challenge_http_share_name(struct str token, struct buf *name)
{
	buf_printf(name, "challenge/%.*s", STR_ARG(token));
}

struct challenge_http *challenge_http_new(struct loop *loop, struct cert_share *share)
{
	struct challenge_http *http = mem_zero(sizeof(*http));

	http->loop = loop;
	http->share = share;
	return http;
}

void challenge_http_listen(struct challenge_http *http, int fd)
{
	acceptor_free(&http->acceptor);
	if (fd < 0)
		return;
	http->acceptor = acceptor_new(http->loop, fd, on_connection, http);
	acceptor_resume(http->acceptor);
}

bool challenge_http_is_listening(const struct challenge_http *http)
{
	return http->acceptor != NULL;
}

void challenge_http_free(struct challenge_http **http)
{
	struct challenge_http *h = *http;

	if (h == NULL)
		return;
	acceptor_free(&h->acceptor);
	while (h->oldest != NULL)
		end_client(h->oldest);
	while (h->answers != NULL) {
		struct answer *a = h->answers;

		h->answers = a->next;
		free_answer(a);
	}
	mem_free(http);
}
