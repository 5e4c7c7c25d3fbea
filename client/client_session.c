/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's side of SMTP as a machine of steps: each step has written something and waits for
 * one reply. Called by client_send.c, client_batch.c and tests/bench; reports through its events
 * and prints nothing.
 */
#include "client/client_session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/base/encode.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/net/conn.h"
#include "lib/smtp/smtp_reply.h"

enum { INPUT_MAX = SMTP_ANSWER_MAX, COMMAND_MAX = 4096 };

enum step {
	STEP_CONNECT,
	STEP_GREETING,
	STEP_EHLO,
	STEP_HELO,
	STEP_STARTTLS,
	STEP_HANDSHAKE,
	STEP_AUTH_PLAIN,
	STEP_AUTH_LOGIN,
	STEP_AUTH_USER,
	STEP_AUTH_PASSWORD,
	STEP_READY,
	STEP_ENVELOPE,
	STEP_MESSAGE,
	STEP_RESET,
	STEP_QUIT,
	STEP_END,
};

struct client_session {
	struct loop *loop;
	const struct client_session_server *server;
	const struct client_session_events *events;
	void *ctx;
	struct conn *conn;
	enum step step;
	bool is_freed;
	bool has_quit;	  /* QUIT is answered */
	bool has_content; /* of the message under way, sent */
	/* What the server offers. */
	bool has_pipelining, has_starttls, has_size, has_8bit, has_utf8, has_plain, has_login;
	/* The message under way: command 0 is MAIL, then one RCPT each, then DATA. */
	const struct client_session_mail *mail;
	size_t n_written, n_answered;
	struct client_session_result result;
	char reply[512]; /* the one that decided, while RSET follows */
	size_t unsent;	 /* of the message, when its deadline was last set */
	int64_t since;	 /* when this step began */
	struct client_session_times times;
	struct client_session_failure failure;
};

static void free_now(void *ctx)
{
	free(ctx);
}

void client_session_free(struct client_session **session)
{
	struct client_session *s = *session;

	if (s == NULL)
		return;
	*session = NULL;
	s->is_freed = true;
	s->step = STEP_END;
	conn_free(&s->conn);
	loop_later(s->loop, free_now, s); /* it may be in its own callback */
}

/* ---- failures ---- */

static void end(struct client_session *s, const struct client_session_failure *failure)
{
	if (s->step == STEP_END)
		return;
	s->step = STEP_END;
	s->events->on_end(s->ctx, s, failure);
}

static void __attribute__((format(printf, 4, 5)))
fail(struct client_session *s, int status, unsigned code, const char *format, ...)
{
	va_list args;

	if (s->step == STEP_END)
		return;
	s->failure.status = status;
	s->failure.code = code;
	s->failure.is_unknown = s->step == STEP_MESSAGE;
	va_start(args, format);
	vsnprintf(s->failure.text, sizeof(s->failure.text), format, args);
	va_end(args);
	end(s, &s->failure);
}

static void fail_later(void *ctx)
{
	struct client_session *s = ctx;

	if (!s->is_freed)
		end(s, &s->failure);
}

/* A reply's last line with its code: "535 5.7.8 Authentication failed". */
static struct str last_line(const struct smtp_answer *reply)
{
	struct str s = reply->lines;
	size_t from;

	while (s.n > 0 && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r'))
		s.n--;
	for (from = s.n; from > 0 && s.p[from - 1] != '\n'; from--)
		;
	return str_trim(str_from(s, from));
}

/* A refusal that ends the session: the server's words and the status that goes with its code. */
static void refuse(struct client_session *s, const char *what, const struct smtp_answer *reply,
		   int status)
{
	if (reply->code / 100 == 4)
		status = EX_TEMPFAIL;
	else if (reply->code / 100 != 5)
		status = EX_PROTOCOL;
	fail(s, status, reply->code, "%s: %.*s", what, STR_ARG(last_line(reply)));
}

static const char *step_name(const struct client_session *s)
{
	static const char *const names[] = {
		[STEP_CONNECT] = "the connection",
		[STEP_GREETING] = "the greeting",
		[STEP_EHLO] = "EHLO",
		[STEP_HELO] = "HELO",
		[STEP_STARTTLS] = "STARTTLS",
		[STEP_HANDSHAKE] = "the TLS handshake",
		[STEP_AUTH_PLAIN] = "AUTH PLAIN",
		[STEP_AUTH_LOGIN] = "AUTH LOGIN",
		[STEP_AUTH_USER] = "AUTH LOGIN",
		[STEP_AUTH_PASSWORD] = "AUTH LOGIN",
		[STEP_READY] = "the next command",
		[STEP_ENVELOPE] = "MAIL, RCPT and DATA",
		[STEP_MESSAGE] = "the message",
		[STEP_RESET] = "RSET",
		[STEP_QUIT] = "QUIT",
		[STEP_END] = "nothing",
	};

	return names[s->step];
}

/* What the server's certificate says and the way out: a person must be able to act on it. */
static void fail_tls(struct client_session *s, const char *why)
{
	struct tls_certificate c;
	char from[32] = "?", to[32] = "?";
	const struct tls *tls = s->conn != NULL ? conn_tls(s->conn) : NULL;
	time_t t;
	struct tm tm;

	if (tls == NULL || !tls_peer(tls, &c)) {
		fail(s, EX_PROTOCOL, 0, "TLS handshake with %s:%u failed: %s", s->server->host,
		     s->server->port, why);
		return;
	}
	t = (time_t)c.not_before;
	if (gmtime_r(&t, &tm) != NULL)
		strftime(from, sizeof(from), "%Y-%m-%d %H:%M:%S UTC", &tm);
	t = (time_t)c.not_after;
	if (gmtime_r(&t, &tm) != NULL)
		strftime(to, sizeof(to), "%Y-%m-%d %H:%M:%S UTC", &tm);
	fail(s, EX_PROTOCOL, 0,
	     "TLS certificate of %s:%u is not trusted: %s\n"
	     "  subject: %s\n  issuer:  %s\n  names:   %s\n  valid:   %s to %s\n  serial:  %s\n"
	     "Give the authority that signed it with --ca FILE, or skip the check with --insecure "
	     "(tests only).",
	     s->server->host, s->server->port, why, c.subject, c.issuer,
	     c.names[0] ? c.names : "(none)", from, to, c.serial);
}

/* ---- writing ---- */

static void show(struct client_session *s, bool is_from_server, struct str line)
{
	if (s->events->on_line != NULL)
		s->events->on_line(s->ctx, is_from_server, line);
}

static void show_all(struct client_session *s, bool is_from_server, struct str lines)
{
	struct str line;

	if (s->events->on_line == NULL)
		return;
	while (str_next(&lines, '\n', &line)) {
		if (str_ends(line, STR("\r")))
			line.n--;
		if (line.n > 0)
			s->events->on_line(s->ctx, is_from_server, line);
	}
}

static void go(struct client_session *s, enum step step)
{
	s->step = step;
	conn_set_deadline(s->conn, step == STEP_READY ? 0 : s->server->timeout);
}

/* Writes a command line and waits for its reply. */
static void __attribute__((format(printf, 3, 4)))
command(struct client_session *s, enum step step, const char *format, ...)
{
	struct buf line = BUF_MAX(COMMAND_MAX);
	va_list args;

	va_start(args, format);
	buf_vprintf(&line, format, args);
	va_end(args);
	show(s, false, buf_str(&line));
	buf_put_text(&line, "\r\n");
	must(!line.is_full);
	conn_write(s->conn, buf_str(&line));
	buf_clear(&line);
	go(s, step);
}

/* Writes a secret as base64, behind `before`; the dialogue shows stars. */
static void secret_command(struct client_session *s, enum step step, const char *before,
			   struct str secret)
{
	struct buf line = BUF_MAX(COMMAND_MAX), shown = BUF_MAX(64);

	buf_put_text(&line, before);
	encode_base64(&line, secret);
	buf_put_text(&line, "\r\n");
	buf_printf(&shown, "%s********", before);
	show(s, false, buf_str(&shown));
	conn_write(s->conn, buf_str(&line));
	buf_clear_secret(&line);
	buf_clear(&shown);
	go(s, step);
}

/* ---- login ---- */

static void become_ready(struct client_session *s)
{
	go(s, STEP_READY);
	s->events->on_ready(s->ctx, s);
}

static void auth_login(struct client_session *s)
{
	command(s, STEP_AUTH_LOGIN, "AUTH LOGIN");
}

static void auth_plain(struct client_session *s)
{
	struct buf both = BUF_MAX(COMMAND_MAX);

	buf_put_char(&both, '\0');
	buf_put_text(&both, s->server->user);
	buf_put_char(&both, '\0');
	buf_put_text(&both, s->server->password);
	secret_command(s, STEP_AUTH_PLAIN, "AUTH PLAIN ", buf_str(&both));
	buf_clear_secret(&both);
}

static void log_in(struct client_session *s)
{
	enum client_session_auth want = s->server->auth;

	if (s->server->user == NULL) {
		become_ready(s);
		return;
	}
	s->since = clock_mono();
	/* A mechanism asked for by name is tried even when it is not announced: it is a test
	 * client. */
	if (want == CLIENT_SESSION_AUTH_PLAIN || (want == CLIENT_SESSION_AUTH_ANY && s->has_plain))
		auth_plain(s);
	else if (want == CLIENT_SESSION_AUTH_LOGIN || s->has_login)
		auth_login(s);
	else
		fail(s, EX_UNAVAILABLE, 0,
		     "SMTP AUTH failed: %s:%u offers neither AUTH PLAIN nor AUTH LOGIN",
		     s->server->host, s->server->port);
}

static void on_auth_reply(struct client_session *s, const struct smtp_answer *reply)
{
	if (reply->code == 235) {
		s->times.auth = clock_mono() - s->since;
		become_ready(s);
	} else if (reply->code == 334 && s->step == STEP_AUTH_LOGIN) {
		secret_command(s, STEP_AUTH_USER, "", str_of(s->server->user));
	} else if (reply->code == 334 && s->step == STEP_AUTH_USER) {
		secret_command(s, STEP_AUTH_PASSWORD, "", str_of(s->server->password));
	} else if (s->step == STEP_AUTH_PLAIN && (reply->code == 504 || reply->code == 534) &&
		   s->has_login && s->server->auth == CLIENT_SESSION_AUTH_ANY) {
		auth_login(s);
	} else {
		refuse(s, "SMTP AUTH failed", reply, EX_NOPERM);
	}
}

static void hello(struct client_session *s)
{
	s->has_pipelining = s->has_starttls = s->has_size = s->has_8bit = s->has_utf8 = false;
	s->has_plain = s->has_login = false;
	command(s, STEP_EHLO, "EHLO %s", s->server->hello);
}

static void take_auth_offer(struct client_session *s, struct str mechanisms)
{
	struct str word;

	while (str_next(&mechanisms, ' ', &word)) {
		if (str_ieq(word, STR("PLAIN")))
			s->has_plain = true;
		else if (str_ieq(word, STR("LOGIN")))
			s->has_login = true;
	}
}

static void take_offers(struct client_session *s, struct str lines)
{
	struct str line, word;

	smtp_reply_next_line(&lines, &line); /* the server's name */
	while (smtp_reply_next_line(&lines, &line)) {
		word = str_first(line, str_find(line, ' '));
		if (str_ieq(word, STR("PIPELINING")))
			s->has_pipelining = true;
		else if (str_ieq(word, STR("STARTTLS")))
			s->has_starttls = true;
		else if (str_ieq(word, STR("SIZE")))
			s->has_size = true;
		else if (str_ieq(word, STR("8BITMIME")))
			s->has_8bit = true;
		else if (str_ieq(word, STR("SMTPUTF8")))
			s->has_utf8 = true;
		else if (str_ieq(word, STR("AUTH")))
			take_auth_offer(s, str_from(line, word.n));
	}
}

static void on_hello_reply(struct client_session *s, const struct smtp_answer *reply)
{
	bool must_secure = s->server->mode == CLIENT_SESSION_STARTTLS && !conn_is_secure(s->conn);

	if (reply->code / 100 == 5 && s->step == STEP_EHLO && !must_secure &&
	    s->server->user == NULL) {
		command(s, STEP_HELO, "HELO %s", s->server->hello);
		return;
	}
	if (reply->code / 100 != 2) {
		refuse(s, "EHLO refused", reply, EX_UNAVAILABLE);
		return;
	}
	if (s->step == STEP_EHLO)
		take_offers(s, reply->lines);
	if (!must_secure)
		log_in(s);
	else if (s->has_starttls)
		command(s, STEP_STARTTLS, "STARTTLS");
	else
		fail(s, EX_UNAVAILABLE, 0,
		     "%s:%u does not offer STARTTLS (for TLS from the first octet, as on port 465, "
		     "give --tls implicit)",
		     s->server->host, s->server->port);
}

static void start_tls(struct client_session *s)
{
	go(s, STEP_HANDSHAKE);
	s->since = clock_mono();
	conn_start_tls_client(s->conn, s->server->tls, s->server->host);
}

/* ---- messages ---- */

static bool is_utf8_mail(const struct client_session_mail *mail)
{
	bool ascii = str_is_ascii(mail->from);

	for (size_t i = 0; i < mail->n_to; i++)
		ascii = ascii && str_is_ascii(mail->to[i]);
	return !ascii;
}

/* Appends command `at` of the message's envelope. */
static void put_envelope(struct client_session *s, size_t at, struct buf *out)
{
	const struct client_session_mail *m = s->mail;

	if (at == 0) {
		buf_printf(out, "MAIL FROM:<%.*s>", STR_ARG(m->from));
		if (s->has_size)
			buf_printf(out, " SIZE=%zu", m->head.n + m->body.n);
		if (m->is_8bit && s->has_8bit)
			buf_put_text(out, " BODY=8BITMIME");
		if (s->has_utf8 && is_utf8_mail(m))
			buf_put_text(out, " SMTPUTF8");
		buf_put_text(out, "\r\n");
	} else if (at <= m->n_to) {
		buf_printf(out, "RCPT TO:<%.*s>\r\n", STR_ARG(m->to[at - 1]));
	} else {
		buf_put_text(out, "DATA\r\n");
	}
}

/* Writes the next commands: all of them when the server takes them so, else one. */
static void write_envelope(struct client_session *s)
{
	struct buf out = BUF_MAX((s->mail->n_to + 2) * COMMAND_MAX);

	do {
		put_envelope(s, s->n_written++, &out);
	} while (s->has_pipelining && s->n_written < s->mail->n_to + 2);
	must(!out.is_full);
	show_all(s, false, buf_str(&out));
	conn_write(s->conn, buf_str(&out));
	buf_clear(&out);
	go(s, STEP_ENVELOPE);
}

void client_session_send(struct client_session *s, const struct client_session_mail *mail)
{
	must(s->step == STEP_READY && mail->n_to > 0);
	s->mail = mail;
	s->n_written = s->n_answered = 0;
	s->has_content = false;
	s->result = (struct client_session_result){.began = clock_mono()};
	write_envelope(s);
}

static void finish_mail(struct client_session *s)
{
	s->mail = NULL;
	go(s, STEP_READY);
	s->events->on_result(s->ctx, s, &s->result);
}

/* Keeps the first refusal: the later ones follow from it. */
static void note_refusal(struct client_session *s, const struct smtp_answer *reply,
			 const char *what)
{
	if (s->result.command != NULL)
		return;
	s->result.command = what;
	s->result.code = reply->code;
	s->result.reply = str_first(last_line(reply), sizeof(s->reply));
	memcpy(s->reply, s->result.reply.p, s->result.reply.n);
	s->result.reply.p = s->reply;
}

static void reset(struct client_session *s)
{
	s->result.ended = clock_mono();
	command(s, STEP_RESET, "RSET");
}

static void write_message(struct client_session *s)
{
	s->has_content = true;
	conn_write(s->conn, s->mail->head);
	conn_write(s->conn, s->mail->body);
	go(s, STEP_MESSAGE);
	s->unsent = conn_unsent(s->conn);
}

static void on_data_reply(struct client_session *s, const struct smtp_answer *reply)
{
	if (reply->code != 354) {
		note_refusal(s, reply, "DATA");
		reset(s);
	} else if (s->result.n_refused == s->mail->n_to ||
		   (s->result.command && s->result.command[0] == 'M')) {
		/* It wants a message though it took no recipient: give it an empty one (RFC
		 * 2920, 3.1). */
		conn_write(s->conn, STR(".\r\n"));
		go(s, STEP_MESSAGE);
	} else {
		write_message(s);
	}
}

static void on_envelope_reply(struct client_session *s, const struct smtp_answer *reply)
{
	size_t at = s->n_answered++;

	if (at == s->mail->n_to + 1) {
		on_data_reply(s, reply);
		return;
	}
	if (reply->code / 100 != 2) {
		note_refusal(s, reply, at == 0 ? "MAIL" : "RCPT");
		s->result.n_refused += at > 0;
	}
	if (s->n_answered < s->n_written)
		return; /* more replies are on their way */
	if (at == 0 ? reply->code / 100 != 2 : s->result.n_refused == s->mail->n_to)
		reset(s);
	else
		write_envelope(s);
}

static void on_message_reply(struct client_session *s, const struct smtp_answer *reply)
{
	s->result.ended = clock_mono();
	if (reply->code / 100 != 2) {
		note_refusal(s, reply, "message");
	} else if (s->has_content) {
		s->result.is_accepted = true;
		s->result.code = reply->code;
		s->result.reply = last_line(reply);
	}
	finish_mail(s);
}

/* ---- the dialogue ---- */

static void on_reply(struct client_session *s, const struct smtp_answer *reply)
{
	if (reply->code == 421 && s->step != STEP_QUIT) {
		/* It closes the session whatever was asked (RFC 5321, 3.8); nothing under way was
		 * taken. */
		if (s->step == STEP_MESSAGE)
			s->step = STEP_ENVELOPE;
		fail(s, EX_TEMPFAIL, 421, "the server closes the session: %.*s",
		     STR_ARG(last_line(reply)));
		return;
	}
	switch (s->step) {
	case STEP_GREETING:
		if (reply->code != 220)
			refuse(s, "the server refuses the session", reply, EX_UNAVAILABLE);
		else
			hello(s);
		break;
	case STEP_EHLO:
	case STEP_HELO:
		on_hello_reply(s, reply);
		break;
	case STEP_STARTTLS:
		if (reply->code != 220)
			refuse(s, "STARTTLS refused", reply, EX_UNAVAILABLE);
		else
			start_tls(s);
		break;
	case STEP_AUTH_PLAIN:
	case STEP_AUTH_LOGIN:
	case STEP_AUTH_USER:
	case STEP_AUTH_PASSWORD:
		on_auth_reply(s, reply);
		break;
	case STEP_ENVELOPE:
		on_envelope_reply(s, reply);
		break;
	case STEP_MESSAGE:
		on_message_reply(s, reply);
		break;
	case STEP_RESET:
		finish_mail(s);
		break;
	case STEP_QUIT:
		s->has_quit = true;
		break;
	default:
		fail(s, EX_PROTOCOL, reply->code, "the server speaks out of turn: %.*s",
		     STR_ARG(last_line(reply)));
	}
}

static void on_input(void *ctx)
{
	struct client_session *s = ctx;

	for (;;) {
		struct str rest = conn_input(s->conn);
		struct smtp_answer reply;

		switch (smtp_reply_take(&rest, &reply)) {
		case SMTP_REPLY_MORE:
			return;
		case SMTP_REPLY_MALFORMED:
			fail(s, EX_PROTOCOL, 0, "%s:%u: not an SMTP reply to %s: %.*s",
			     s->server->host, s->server->port, step_name(s),
			     STR_ARG(str_first(rest, str_find(str_first(rest, 100), '\n'))));
			return;
		case SMTP_REPLY_OK_ANSWER:
			break;
		}
		show_all(s, true, reply.lines);
		on_reply(s, &reply);
		/* The reply borrows from the input: it goes only now. A handshake threw all of it
		 * away. */
		if (s->step == STEP_END || s->step == STEP_HANDSHAKE)
			return;
		conn_consume(s->conn, reply.lines.n);
		if (s->has_quit) {
			conn_finish(s->conn);
			return;
		}
	}
}

static void on_connected(void *ctx)
{
	struct client_session *s = ctx;

	s->times.connect = clock_mono() - s->since;
	if (s->server->mode == CLIENT_SESSION_IMPLICIT)
		start_tls(s);
	else
		go(s, STEP_GREETING);
}

static void on_secure(void *ctx)
{
	struct client_session *s = ctx;

	s->times.tls = clock_mono() - s->since;
	if (s->server->mode == CLIENT_SESSION_IMPLICIT)
		go(s, STEP_GREETING);
	else
		hello(s);
}

static void on_deadline(void *ctx)
{
	struct client_session *s = ctx;

	if (s->step == STEP_MESSAGE && conn_unsent(s->conn) < s->unsent) {
		/* A large message on a slow line: it is getting on. */
		s->unsent = conn_unsent(s->conn);
		conn_set_deadline(s->conn, s->server->timeout);
		return;
	}
	fail(s, EX_TEMPFAIL, 0, "%s:%u: no answer within %lld s, waiting for %s", s->server->host,
	     s->server->port, (long long)(s->server->timeout / CLOCK_SECOND), step_name(s));
}

static void on_conn_end(void *ctx, const char *why)
{
	struct client_session *s = ctx;

	if (s->step == STEP_QUIT)
		end(s, NULL);
	else if (s->step == STEP_CONNECT)
		fail(s, EX_UNAVAILABLE, 0, "cannot connect to %s:%u: %s", s->server->host,
		     s->server->port, why ? why : "it closed the connection");
	else if (s->step == STEP_HANDSHAKE)
		fail_tls(s, why ? why : "the server closed the connection");
	else
		fail(s, EX_TEMPFAIL, 0, "%s:%u: the connection was lost, waiting for %s: %s",
		     s->server->host, s->server->port, step_name(s),
		     why ? why : "the server closed it");
}

static const struct conn_events conn_events = {
	.on_input = on_input,
	.on_secure = on_secure,
	.on_deadline = on_deadline,
	.on_end = on_conn_end,
	.on_connected = on_connected,
};

struct client_session *client_session_new(struct loop *loop,
					  const struct client_session_server *server,
					  const struct client_session_events *events, void *ctx)
{
	struct client_session *s = mem_zero(sizeof(*s));
	struct err err;

	s->loop = loop;
	s->server = server;
	s->events = events;
	s->ctx = ctx;
	s->since = clock_mono();
	s->conn = conn_connect(loop, server->host, server->port, INPUT_MAX, &conn_events, s, &err);
	if (s->conn == NULL) {
		s->failure.status = EX_UNAVAILABLE;
		snprintf(s->failure.text, sizeof(s->failure.text), "cannot connect to %s:%u: %s",
			 server->host, server->port, err.text);
		loop_later(loop, fail_later, s);
	} else {
		conn_set_deadline(s->conn, server->timeout);
	}
	return s;
}

void client_session_quit(struct client_session *s)
{
	must(s->step == STEP_READY);
	command(s, STEP_QUIT, "QUIT");
}

bool client_session_is_ready(const struct client_session *s)
{
	return s->step == STEP_READY;
}

const struct client_session_times *client_session_times(const struct client_session *s)
{
	return &s->times;
}

const struct tls *client_session_tls(const struct client_session *s)
{
	return s->conn != NULL ? conn_tls(s->conn) : NULL;
}
