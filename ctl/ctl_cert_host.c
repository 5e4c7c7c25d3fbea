/* SPDX-License-Identifier: Apache-2.0
 *
 * As much SMTP as it takes to come to STARTTLS.
 */
#include "ctl/ctl_cert_host.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/net/conn.h"

enum { INPUT_MAX = 8192 };
#define PATIENCE (10 * CLOCK_SECOND)

struct visit {
	struct conn *conn;
	struct tls_client *tls;
	const char *host;
	bool is_implicit, is_over, is_good;
	unsigned said; /* of words[] */
	struct tls_certificate *seen;
	struct err *err;
};

static const char *const words[] = {"EHLO localhost\r\n", "STARTTLS\r\n"};
enum { WORDS = sizeof(words) / sizeof(words[0]) };

static void give_up(struct visit *v, const char *why)
{
	if (!v->is_over)
		err_set(v->err, "%s", why);
	v->is_over = true;
}

static void begin_tls(struct visit *v)
{
	conn_start_tls_client(v->conn, v->tls, v->host);
}

/* A reply's last line, taken off the input. False: it has not come yet. */
static bool take_reply(struct visit *v, bool *is_good)
{
	for (;;) {
		struct str input = conn_input(v->conn);
		size_t end = str_find(input, '\n');
		bool is_last = end < 4 || input.p[3] != '-';

		if (end == input.n)
			return false;
		*is_good = input.p[0] == '2';
		conn_consume(v->conn, end + 1);
		if (is_last)
			return true;
	}
}

static void on_input(void *ctx)
{
	struct visit *v = ctx;
	bool is_good;

	if (conn_is_secure(v->conn) || v->is_implicit || v->said > WORDS || !take_reply(v, &is_good))
		return;
	if (!is_good)
		give_up(v, v->said == 0 ? "it takes no connection now" : "it offers no TLS");
	else if (v->said < WORDS)
		conn_write(v->conn, str_of(words[v->said++]));
	else
		v->said++, begin_tls(v);
}

static void on_connected(void *ctx)
{
	struct visit *v = ctx;

	if (v->is_implicit)
		begin_tls(v);
}

static void on_secure(void *ctx)
{
	struct visit *v = ctx;

	v->is_good = tls_peer(conn_tls(v->conn), v->seen);
	give_up(v, "it shows no certificate");
}

static void on_deadline(void *ctx)
{
	give_up(ctx, "it does not answer in time");
}

static void on_end(void *ctx, const char *why)
{
	give_up(ctx, why != NULL ? why : "it has closed the connection");
}

bool ctl_cert_host_look(const char *host, uint16_t port, bool is_implicit, struct tls_certificate *seen, struct err *err)
{
	static const struct conn_events events = {.on_input = on_input,
						  .on_secure = on_secure,
						  .on_deadline = on_deadline,
						  .on_end = on_end,
						  .on_connected = on_connected};
	struct loop *loop = loop_new();
	struct visit v = {.host = host, .is_implicit = is_implicit, .seen = seen, .err = err};

	v.tls = tls_client_new(STR(""), true, TLS_1_2, err);
	v.conn = v.tls == NULL ? NULL : conn_connect(loop, host, port, INPUT_MAX, &events, &v, err);
	if (v.conn != NULL)
		conn_set_deadline(v.conn, PATIENCE);
	while (v.conn != NULL && !v.is_over)
		loop_turn(loop, 100 * CLOCK_MS);
	conn_free(&v.conn);
	loop_turn(loop, 0);
	tls_client_free(&v.tls);
	loop_free(&loop);
	return v.is_good;
}
