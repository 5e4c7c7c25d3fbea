/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections and the calls that they carry. A connection that is used again may have been closed by the server meanwhile:
 * when not even MAIL is answered, the message begins anew on a new connection, once, and nobody counts that as a failure.
 */
#include "deliver/smtp_pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/smtp_client.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/network.h"
#include "lib/net/addr.h"
#include "lib/net/conn.h"
#include "lib/net/resolver.h"

#define CONNECT_TIMEOUT (10 * CLOCK_SECOND)

struct call {
	struct smtp_mail mail;
	struct smtp_pool_limits limits;
	provider_done_fn *done;
	void *ctx;
	bool is_anew; /* begun for the second time */
	bool is_check; /* there is no message: that the server lets us in is all that is wanted */
};

struct session {
	struct smtp_pool *pool;
	struct session *next, *prev; /* the one that was used last is the first */
	char *host, *user, *password;
	uint16_t port;
	int tls;
	bool is_tenants; /* as in struct smtp_pool_server */
	struct smtp_client_login login;
	struct resolver_question *question;
	struct loop_timer *timer; /* while there is no connection */
	struct conn *conn;
	struct smtp_client client;
	struct call *call; /* NULL: idle */
	bool is_connected, is_used_again, is_over;
};

struct smtp_pool {
	struct loop *loop;
	struct tls_client *trust;
	struct resolver *resolver;
	char *hello;
	struct session *sessions;
	bool is_draining;
};

static const struct conn_events conn_events;

/* ---- the list, and the end of a session ---- */

static void link_session(struct session *s)
{
	s->prev = NULL;
	s->next = s->pool->sessions;
	if (s->next != NULL)
		s->next->prev = s;
	s->pool->sessions = s;
}

static void unlink_session(struct session *s)
{
	if (s->prev != NULL)
		s->prev->next = s->next;
	else
		s->pool->sessions = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
}

static void free_session(void *ctx)
{
	struct session *s = ctx;

	loop_timer_free(&s->timer);
	smtp_client_clear(&s->client);
	free(s->host);
	free(s->user);
	mem_free_secret(&s->password);
	free(s);
}

/* It may be in a callback of its own. */
static void close_session(struct session *s)
{
	if (s->is_over)
		return;
	s->is_over = true;
	unlink_session(s);
	resolver_forget(s->pool->resolver, &s->question);
	loop_timer_stop(s->timer);
	conn_free(&s->conn);
	loop_later(s->pool->loop, free_session, s);
}

static void free_call(struct call *call)
{
	smtp_mail_clear(&call->mail);
	free(call);
}

static void end_call(struct session *s, struct provider_verdict *verdict)
{
	struct call *call = s->call;

	s->call = NULL;
	call->done(call->ctx, verdict);
	free_call(call);
}

/* With the client's verdict. */
static void end_call_by_client(struct session *s)
{
	struct provider_verdict verdict = s->client.verdict;

	s->client.verdict.refusals = (struct buf){0};
	end_call(s, &verdict);
}

static void fail(struct session *s, const char *status, const char *why)
{
	struct provider_verdict verdict;

	if (s->call != NULL) {
		provider_verdict_set(&verdict, IPC_OUTCOME_TRANSIENT, 0, status, "%s port %u: %s", s->host, s->port, why);
		end_call(s, &verdict);
	}
	close_session(s);
}

/* ---- sessions that are kept ---- */

static void speak(struct session *s)
{
	if (s->client.out.n == 0)
		return;
	conn_write(s->conn, buf_str(&s->client.out));
	buf_clear_secret(&s->client.out);
}

static void quit(struct session *s)
{
	if (s->client.stage == SMTP_CLIENT_READY)
		smtp_client_quit(&s->client);
	speak(s);
	conn_finish(s->conn);
}

static void keep(struct session *s)
{
	unlink_session(s);
	link_session(s);
	speak(s);
	conn_set_deadline(s->conn, SMTP_POOL_IDLE_SECONDS * CLOCK_SECOND);
	if (s->client.stage == SMTP_CLIENT_READY && (s->pool->is_draining || s->client.n_messages >= SMTP_POOL_MESSAGES))
		quit(s);
}

static bool is_free_for(const struct session *s, const struct smtp_pool_server *server)
{
	return s->call == NULL && s->client.stage == SMTP_CLIENT_READY && s->client.n_messages < SMTP_POOL_MESSAGES &&
	       s->port == server->port && s->tls == server->tls && s->is_tenants == server->is_tenants && strcmp(s->host, server->host) == 0 &&
	       strcmp(s->user, server->user) == 0 && strcmp(s->password, server->password) == 0;
}

/* Another host may have the message now: nothing of it may leave. */
static bool is_late(const struct call *call)
{
	return call->limits.begin_before != 0 && clock_mono() >= call->limits.begin_before;
}

static void end_late(struct session *s)
{
	struct provider_verdict verdict;

	provider_verdict_set(&verdict, IPC_OUTCOME_TRANSIENT, 0, "4.4.7", "it was too late to begin");
	verdict.about = IPC_ABOUT_NOTHING;
	end_call(s, &verdict);
}

static void end_check(struct session *s)
{
	struct provider_verdict verdict;

	provider_verdict_set(&verdict, IPC_OUTCOME_SENT, 250, "2.0.0", "it answers%s",
			     s->user[0] != '\0' ? ", and takes the login" : "");
	keep(s);
	end_call(s, &verdict);
}

static void begin_message(struct session *s)
{
	if (s->call->is_check) {
		end_check(s);
		return;
	}
	if (is_late(s->call)) {
		keep(s);
		end_late(s);
		return;
	}
	if (smtp_client_send(&s->client, &s->call->mail)) {
		speak(s);
		conn_set_deadline(s->conn, s->call->limits.timeout);
		return;
	}
	keep(s);
	end_call_by_client(s);
}

/* ---- connecting ---- */

static void start_tls(struct session *s)
{
	if (s->pool->trust == NULL)
		fail(s, "4.7.5", "no authority is trusted: deliver.ca_file could not be read");
	else
		conn_start_tls_client(s->conn, s->pool->trust, s->host);
}

static int64_t connect_timeout(const struct session *s)
{
	return s->call->limits.timeout < CONNECT_TIMEOUT ? s->call->limits.timeout : CONNECT_TIMEOUT;
}

/* The name may be the tenant's too: what it stands for counts, and that only now. */
static bool is_forbidden(const struct session *s, const struct addr_list *addresses)
{
	char text[ADDR_TEXT];

	for (unsigned i = 0; s->is_tenants && i < addresses->n; i++)
		if (network_is_near(str_of(addr_text(&addresses->address[i], text))))
			return true;
	return false;
}

static void forbid(struct session *s)
{
	struct provider_verdict verdict;

	provider_verdict_set(&verdict, IPC_OUTCOME_PROVIDER_FAULT, 0, "4.7.1",
			     "%s: the name in the tenant's credential stands for this machine or what is only reached from it", s->host);
	verdict.about = IPC_ABOUT_CREDENTIAL;
	end_call(s, &verdict);
	close_session(s);
}

static void on_resolved(void *ctx, const struct addr_list *addresses, const char *why)
{
	struct session *s = ctx;
	struct err err;

	s->question = NULL;
	loop_timer_stop(s->timer);
	if (addresses == NULL) {
		fail(s, "4.4.3", why);
		return;
	}
	if (is_forbidden(s, addresses)) {
		forbid(s);
		return;
	}
	s->conn = conn_open(s->pool->loop, addresses, SMTP_CLIENT_INPUT_MAX, &conn_events, s, &err);
	if (s->conn == NULL)
		fail(s, "4.4.1", err.text);
	else
		conn_set_deadline(s->conn, connect_timeout(s));
}

static void on_not_resolved(void *ctx)
{
	fail(ctx, "4.4.3", "its name could not be looked up in time");
}

static void open_session(struct smtp_pool *pool, const struct smtp_pool_server *server, struct call *call)
{
	struct session *s = mem_zero(sizeof(*s));

	s->pool = pool;
	s->host = mem_text(server->host);
	s->user = mem_text(server->user);
	s->password = mem_text(server->password);
	s->port = server->port;
	s->tls = server->tls;
	s->is_tenants = server->is_tenants;
	s->login = (struct smtp_client_login){.hello = pool->hello,
					      .user = s->user,
					      .password = s->password,
					      .wants_starttls = server->tls == PROVIDER_TLS_STARTTLS,
					      .may_be_clear = server->is_local};
	smtp_client_init(&s->client, &s->login, false);
	s->call = call;
	link_session(s);
	s->timer = loop_timer_new(pool->loop, on_not_resolved, s);
	loop_timer_set(s->timer, connect_timeout(s));
	s->question = resolver_ask(pool->resolver, &(struct resolver_host){s->host, s->port, s->is_tenants}, on_resolved, s);
}

/* The server had closed the connection, or was about to: the message goes by a new one. */
static void begin_anew(struct session *s)
{
	const struct smtp_pool_server server = {s->host, s->port, s->tls, s->user, s->password, s->login.may_be_clear,
					       s->is_tenants};
	struct call *call = s->call;

	log_debug(NULL, "deliver.smtp.begun_anew", log_text("host", s->host), log_uint("messages", s->client.n_messages));
	s->call = NULL;
	call->is_anew = true;
	open_session(s->pool, &server, call);
	close_session(s);
}

/* ---- what the client says ---- */

static void on_verdict(struct session *s)
{
	if (s->client.is_untouched && s->is_used_again && !s->call->is_anew) {
		begin_anew(s);
		return;
	}
	if (s->client.stage == SMTP_CLIENT_OVER) {
		end_call_by_client(s);
		close_session(s);
		return;
	}
	keep(s);
	end_call_by_client(s);
}

static void begin_content(struct session *s)
{
	if (is_late(s->call)) {
		end_late(s);
		close_session(s);
		return;
	}
	smtp_client_more(&s->client);
	speak(s);
	conn_set_deadline(s->conn, s->call->limits.timeout);
}

static void on_ended(struct session *s)
{
	if (s->call != NULL)
		end_call_by_client(s);
	close_session(s);
}

static void act(struct session *s, enum smtp_client_event event)
{
	switch (event) {
	case SMTP_CLIENT_WAITS:
		speak(s);
		if (s->call != NULL)
			conn_set_deadline(s->conn, s->call->limits.timeout);
		break;
	case SMTP_CLIENT_WANTS_TLS:
		start_tls(s);
		break;
	case SMTP_CLIENT_IS_READY:
		if (s->call != NULL)
			begin_message(s);
		else
			keep(s);
		break;
	case SMTP_CLIENT_WANTS_CONTENT:
		begin_content(s);
		break;
	case SMTP_CLIENT_HAS_VERDICT:
		on_verdict(s);
		break;
	case SMTP_CLIENT_HAS_ENDED:
		on_ended(s);
		break;
	}
}

/* ---- the connection's events ---- */

static void on_input(void *ctx)
{
	struct session *s = ctx;
	enum smtp_client_event event;

	do {
		struct str input = conn_input(s->conn), rest = input;

		event = smtp_client_take(&s->client, &rest);
		conn_consume(s->conn, input.n - rest.n);
		/* Half a reply is no sign of life: its deadline runs on. */
		if (event != SMTP_CLIENT_WAITS || rest.n != input.n)
			act(s, event);
	} while (!s->is_over && event != SMTP_CLIENT_WAITS && event != SMTP_CLIENT_WANTS_TLS);
}

static void on_connected(void *ctx)
{
	struct session *s = ctx;

	s->is_connected = true;
	conn_set_deadline(s->conn, s->call->limits.timeout);
	if (s->tls == PROVIDER_TLS_IMPLICIT)
		start_tls(s);
}

static void on_secure(void *ctx)
{
	struct session *s = ctx;

	log_debug(NULL, "deliver.smtp.secure", log_text("host", s->host), log_text("version", tls_version(conn_tls(s->conn))),
		  log_text("cipher", tls_cipher(conn_tls(s->conn))));
	smtp_client_secured(&s->client);
	act(s, SMTP_CLIENT_WAITS);
}

static void on_flushed(void *ctx)
{
	struct session *s = ctx;

	if (s->call == NULL)
		return;
	smtp_client_more(&s->client);
	act(s, SMTP_CLIENT_WAITS);
}

static void lose(struct session *s, const char *why)
{
	bool is_secure = s->client.is_secure || s->tls == PROVIDER_TLS_OFF;

	if (s->call == NULL) {
		close_session(s);
	} else if (!s->is_connected || s->client.stage == SMTP_CLIENT_HANDSHAKE ||
		   (s->tls == PROVIDER_TLS_IMPLICIT && !is_secure)) {
		fail(s, s->is_connected ? "4.7.5" : "4.4.1", why);
	} else {
		smtp_client_lost(&s->client, conn_unsent(s->conn) > 0, why);
		on_verdict(s);
	}
}

static void on_deadline(void *ctx)
{
	struct session *s = ctx;
	char why[80];

	if (s->call == NULL) {
		quit(s);
		return;
	}
	if (!s->is_connected && conn_skip_address(s->conn)) {
		if (!s->is_over)
			conn_set_deadline(s->conn, connect_timeout(s));
		return;
	}
	s->is_used_again = false; /* it stands, and is only slow */
	snprintf(why, sizeof(why), "no answer within %lld s",
		 (long long)((s->is_connected ? s->call->limits.timeout : connect_timeout(s)) / CLOCK_SECOND));
	lose(s, why);
}

static void on_end(void *ctx, const char *why)
{
	lose(ctx, why != NULL ? why : "the server closed the connection");
}

static const struct conn_events conn_events = {
	.on_input = on_input,
	.on_secure = on_secure,
	.on_flushed = on_flushed,
	.on_deadline = on_deadline,
	.on_end = on_end,
	.on_connected = on_connected,
};

/* ---- for the owner ---- */

void smtp_pool_send(struct smtp_pool *pool, const struct smtp_pool_server *server, const struct ipc_message *message,
		    const struct smtp_pool_limits *limits, provider_done_fn *done, void *ctx)
{
	struct call *call = mem_zero(sizeof(*call));
	struct session *s = pool->sessions;

	smtp_mail_copy(&call->mail, message);
	call->limits = *limits;
	call->done = done;
	call->ctx = ctx;
	while (s != NULL && !is_free_for(s, server))
		s = s->next;
	if (s == NULL) {
		open_session(pool, server, call);
		return;
	}
	s->call = call;
	s->is_used_again = true;
	begin_message(s);
}

void smtp_pool_check(struct smtp_pool *pool, const struct smtp_pool_server *server, const struct smtp_pool_limits *limits,
		     provider_done_fn *done, void *ctx)
{
	struct call *call = mem_zero(sizeof(*call));

	call->limits = *limits;
	call->done = done;
	call->ctx = ctx;
	call->is_check = true;
	/* A connection that stands proves nothing. */
	open_session(pool, server, call);
}

void smtp_pool_drain(struct smtp_pool *pool)
{
	pool->is_draining = true;
	for (struct session *s = pool->sessions; s != NULL; s = s->next)
		if (s->call == NULL)
			quit(s);
}

struct smtp_pool *smtp_pool_new(struct loop *loop, struct tls_client *trust, const char *hello)
{
	struct smtp_pool *pool = mem_zero(sizeof(*pool));

	pool->loop = loop;
	pool->trust = trust;
	pool->hello = mem_text(hello);
	pool->resolver = resolver_new(loop);
	return pool;
}

void smtp_pool_free(struct smtp_pool **pool)
{
	struct smtp_pool *p = *pool;

	if (p == NULL)
		return;
	while (p->sessions != NULL) {
		struct session *s = p->sessions;

		if (s->call != NULL)
			free_call(s->call);
		close_session(s);
	}
	resolver_free(&p->resolver);
	free(p->hello);
	mem_free(pool);
}
