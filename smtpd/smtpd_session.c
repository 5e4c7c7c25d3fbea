/* SPDX-License-Identifier: Apache-2.0
 *
 * Sessions. The dialogue decides, this file moves the bytes: input to smtpd_proto_input(), replies to the
 * connection, questions to gate and qmgr and their answers back.
 */
#include "smtpd/smtpd_session.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/encode.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/random.h"
#include "lib/net/addr.h"
#include "lib/net/conn.h"
#include "lib/service/metrics.h"
#include "smtpd/smtpd_mail.h"
#include "smtpd/smtpd_tls.h"

enum {
	INPUT_MAX = 65536,	 /* read ahead of what the dialogue has taken */
	REPLIES_MAX = 1 << 20,	 /* the dialogue stops itself long before */
	UNSENT_MAX = SMTPD_PROTO_REPLIES, /* replies that a client does not read: then no more commands are taken */
	HANDSHAKE_TIME = 60 * CLOCK_SECOND,
	ID_BYTES = 8,
	BEYOND_LIMIT = 256, /* sessions over limits.connections that are told so; more are closed without a word */
};

struct smtpd_session {
	struct smtpd_session *next, **link;
	struct smtpd_worker *worker;
	struct conn *conn;
	struct smtpd_proto proto;
	int64_t started_at, submitted_at; /* monotonic */
	uint64_t bytes;
	unsigned messages, refused;
	char id[2 * ID_BYTES + 1];
	char client[ADDR_TEXT];
	unsigned listener; /* in the settings */
	bool is_stalled; /* it does not read its replies */
};

static void count_sessions(const struct smtpd_worker *worker)
{
	metrics_set(METRIC_ACTIVE_CONNECTIONS, (int64_t)worker->n_sessions);
}

static void end_session(struct smtpd_session *s, const char *why)
{
	struct smtpd_worker *worker = s->worker;
	const struct smtpd_proto *p = &s->proto;
	struct log_context ctx = {.session = s->id, .tenant = p->tenant_name};

	log_info(&ctx, "smtpd.session.end", log_text("client", s->client), log_text("tls", p->tls_version),
		 log_text("cipher", p->tls_cipher), log_text("user", p->user), log_text("helo", p->helo),
		 log_uint("messages", s->messages), log_uint("refused", s->refused),
		 log_uint("bytes", s->bytes), log_text("reply", smtp_reply_token(p->last_reply)),
		 log_text("reason", why), log_ms("duration_ms", clock_mono() - s->started_at));
	if (p->is_waiting) {
		smtpd_gate_forget(worker->gate, s);
		smtpd_queue_forget(worker->queue, s);
	}
	*s->link = s->next;
	if (s->next != NULL)
		s->next->link = s->link;
	worker->n_sessions--;
	count_sessions(worker);
	conn_free(&s->conn);
	smtpd_proto_clear(&s->proto);
	free(s);
	if (worker->is_draining && worker->n_sessions == 0)
		worker->on_empty(worker->ctx);
}

/* ---- replies and deadlines ---- */

/* Replies are gathered here; one dialogue runs at a time. */
static struct buf replies = {.max = REPLIES_MAX};

static void begin_replies(struct smtpd_session *s)
{
	buf_reset(&replies);
	s->proto.out = &replies;
}

static void set_deadline(struct smtpd_session *s)
{
	const struct settings *settings = s->worker->settings;

	if (s->proto.is_waiting)
		conn_set_deadline(s->conn, 0); /* gate's and qmgr's own time runs */
	else if (s->proto.is_starting_tls && settings->smtpd.command_timeout > HANDSHAKE_TIME)
		conn_set_deadline(s->conn, HANDSHAKE_TIME);
	else if (s->proto.state == SMTPD_DATA)
		conn_set_deadline(s->conn, settings->smtpd.data_timeout);
	else
		conn_set_deadline(s->conn, settings->smtpd.command_timeout);
}

/* Lets the replies go, and does what the dialogue's new state asks for. */
static void end_replies(struct smtpd_session *s, bool is_progress)
{
	if (replies.n > 0)
		conn_write(s->conn, buf_str(&replies));
	s->proto.out = NULL;
	if (s->proto.refused != s->refused)
		metrics_add(METRIC_REFUSED, s->proto.refused - s->refused);
	s->refused = s->proto.refused;
	if (s->proto.state == SMTPD_CLOSED) {
		conn_finish(s->conn);
		return;
	}
	if (!s->proto.is_starting_tls && conn_unsent(s->conn) > UNSENT_MAX)
		s->is_stalled = true;
	if (s->proto.is_waiting || s->is_stalled)
		conn_pause(s->conn);
	else
		conn_resume(s->conn);
	if (is_progress)
		set_deadline(s);
}

static void say_and_close(struct smtpd_session *s, enum smtp_reply reply)
{
	begin_replies(s);
	smtpd_proto_refuse(&s->proto, reply);
	end_replies(s, false);
}

/* ---- what the dialogue asks for ---- */

static const struct settings_listener *listener_of(const struct smtpd_session *s)
{
	return &s->worker->settings->listener[s->listener];
}

static void begin_handshake(struct smtpd_session *s)
{
	conn_start_tls_server(s->conn, s->worker->tls, (enum tls_ask)listener_of(s)->client_certificate);
}

static void start_tls(void *ctx)
{
	struct smtpd_session *s = ctx;

	conn_write(s->conn, buf_str(&replies)); /* in clear, up to the 220 */
	buf_reset(&replies);
	begin_handshake(s);
}

static void authenticate(void *ctx, struct str user, struct str password)
{
	struct smtpd_session *s = ctx;
	struct ipc_auth question = {
		.session = str_of(s->id), .client = str_of(s->client), .user = user, .password = password};

	smtpd_gate_ask(s->worker->gate, &question, s);
}

static void submit(void *ctx, struct smtpd_mail *mail)
{
	struct smtpd_session *s = ctx;
	const struct smtpd_proto *p = &s->proto;
	uint64_t size = smtpd_content_size(&mail->content);
	struct ipc_message m = {
		.id = mail->id,
		.tenant = p->tenant_id,
		.user = p->user_id,
		.session = str_of(s->id),
		.client = str_of(s->client),
		.helo = str_of(p->helo),
		.mail_from = str_of(mail->from),
		.recipients = mail->recipients,
		.n_recipients = mail->n_recipients,
		.is_8bit = mail->is_8bit,
		.is_utf8 = mail->is_utf8,
		.mode = smtpd_proto_mode(p),
		.dsn = buf_str(&mail->dsn),
		.mail_at = mail->mail_at,
		.received_at = mail->received_at,
		.size = (uint32_t)size,
		.content = buf_str(&mail->content.bytes),
	};

	s->submitted_at = clock_mono();
	if (!smtpd_queue_submit(s->worker->queue, &m, mail->content.fd,
				s->worker->settings->smtpd.submit_timeout, s)) {
		log_error(&(struct log_context){.session = s->id}, "smtpd.message.unsayable",
			  log_uint("recipients", m.n_recipients), log_uint("size", size));
		smtpd_session_submitted(s, &(struct ipc_submit_result){.verdict = IPC_SUBMIT_UNAVAILABLE});
		return;
	}
	mail->content.fd = -1;
	buf_clear(&mail->content.bytes); /* the frame has it */
}

static void may_send(void *ctx)
{
	struct smtpd_session *s = ctx;

	smtpd_proto_may_send(&s->proto, IPC_MAY_SEND_OK);
}

static void not_sent(void *ctx)
{
	(void)ctx;
}

static void authenticate_external(void *ctx, struct str user)
{
	struct smtpd_session *s = ctx;
	struct ipc_auth question = {.mechanism = IPC_AUTH_EXTERNAL,
				    .session = str_of(s->id),
				    .client = str_of(s->client),
				    .user = user,
				    .certificate = str_of(s->proto.certificate)};

	smtpd_gate_ask(s->worker->gate, &question, s);
}

static const struct smtpd_calls calls = {start_tls, authenticate, authenticate_external, may_send, not_sent, submit};

/* An answer has come: inside the dialogue's own call (then its caller lets the replies go), or later. */
static bool begin_answer(struct smtpd_session *s)
{
	bool is_inside = s->proto.out != NULL;

	if (!is_inside)
		begin_replies(s);
	return is_inside;
}

void smtpd_session_authenticated(void *session, const struct ipc_auth_result *result)
{
	struct smtpd_session *s = session;
	bool is_inside = begin_answer(s);

	if (result->verdict == IPC_AUTH_OK)
		metrics_add(METRIC_AUTH_OK, 1);
	else if (result->verdict == IPC_AUTH_BAD)
		metrics_add(METRIC_AUTH_BAD, 1);
	smtpd_proto_authenticated(&s->proto, result);
	if (!is_inside)
		end_replies(s, true);
}

/* The message's line in the log. */
static void note_accepted(struct smtpd_session *s, const struct smtpd_mail *mail)
{
	char id[UUID_TEXT];
	struct log_context ctx = {s->id, uuid_format(&mail->id, id), s->proto.tenant_name};
	int64_t took = clock_mono() - s->submitted_at;

	metrics_add(METRIC_ACCEPTED, 1);
	metrics_add(METRIC_ACCEPTED_BYTES, mail->content.data.size);
	metrics_time(METRIC_SUBMIT_TIMES, took);
	s->messages++;
	s->bytes += mail->content.data.size;
	log_info(&ctx, "smtpd.message.accepted", log_text("user", s->proto.user),
		 log_text("client", s->client), log_uint("size", mail->content.data.size),
		 log_uint("recipients", mail->n_recipients),
		 log_ms("receive_ms", mail->received_at - mail->mail_at), log_ms("queue_ms", took));
}

void smtpd_session_submitted(void *session, const struct ipc_submit_result *result)
{
	struct smtpd_session *s = session;
	bool is_inside = begin_answer(s);

	if (smtpd_mail_is_taken(result->verdict))
		note_accepted(s, s->proto.mail);
	smtpd_proto_submitted(&s->proto, result);
	if (!is_inside)
		end_replies(s, true);
}

/* ---- what the connection tells ---- */

static void on_input(void *ctx)
{
	struct smtpd_session *s = ctx;
	unsigned before = s->proto.commands;
	size_t used;

	if (s->proto.is_waiting || s->is_stalled || s->proto.state == SMTPD_CLOSED)
		return;
	begin_replies(s);
	used = smtpd_proto_input(&s->proto, conn_input(s->conn), clock_wall());
	/* After STARTTLS the connection has thrown the rest away itself. */
	if (!s->proto.is_starting_tls)
		conn_consume(s->conn, used);
	end_replies(s, s->proto.commands != before);
}

static void on_secure(void *ctx)
{
	struct smtpd_session *s = ctx;
	struct tls *tls = conn_tls(s->conn);
	bool is_first = s->proto.last_reply == SMTP_REPLY_NONE;

	s->proto.certificate = smtpd_tls_secured(tls, s->id, s->client);
	begin_replies(s);
	if (is_first)
		smtpd_proto_greet(&s->proto);
	smtpd_proto_secured(&s->proto, tls_version(tls), tls_cipher(tls));
	end_replies(s, true);
}

static void on_flushed(void *ctx)
{
	struct smtpd_session *s = ctx;

	if (!s->is_stalled)
		return;
	s->is_stalled = false;
	if (!s->proto.is_waiting)
		conn_resume(s->conn);
}

static void on_deadline(void *ctx)
{
	struct smtpd_session *s = ctx;

	if (s->proto.is_starting_tls)
		conn_finish(s->conn);
	else
		say_and_close(s, SMTP_REPLY_IDLE);
}

static void on_end(void *ctx, const char *why)
{
	struct smtpd_session *s = ctx;

	if (s->proto.is_starting_tls && why != NULL)
		metrics_add(METRIC_TLS_FAILURES, 1);
	end_session(s, why);
}

static const struct conn_events events = {on_input, on_secure, on_flushed, on_deadline, on_end, NULL};

static void name_session(struct smtpd_session *s)
{
	unsigned char bytes[ID_BYTES];
	struct buf text = {.p = s->id, .size = sizeof(s->id), .max = sizeof(s->id)};

	random_fill(bytes, sizeof(bytes));
	encode_hex(&text, str_bytes(bytes, sizeof(bytes)));
	s->proto.session = s->id;
}

static void first_words(struct smtpd_session *s)
{
	struct smtpd_worker *worker = s->worker;
	bool is_implicit_tls = listener_of(s)->tls == LISTENER_IMPLICIT;

	if (is_implicit_tls && worker->tls == NULL) {
		conn_finish(s->conn);
		return;
	}
	if (!is_implicit_tls && worker->n_sessions > (size_t)worker->settings->limits.connections) {
		say_and_close(s, SMTP_REPLY_TOO_MANY_SESSIONS);
		return;
	}
	if (is_implicit_tls) {
		s->proto.is_starting_tls = true;
		begin_handshake(s);
		set_deadline(s);
		return;
	}
	begin_replies(s);
	smtpd_proto_greet(&s->proto);
	end_replies(s, true);
}

void smtpd_session_start(struct smtpd_worker *worker, int fd, const char *client, unsigned listener)
{
	bool is_implicit_tls = worker->settings->listener[listener].tls == LISTENER_IMPLICIT;
	size_t limit = (size_t)worker->settings->limits.connections;
	struct smtpd_session *s;

	metrics_add(METRIC_CONNECTIONS, 1);
	/* Under TLS a refusal would cost a handshake. */
	if (worker->n_sessions >= limit + (is_implicit_tls ? 0 : BEYOND_LIMIT)) {
		close(fd);
		return;
	}
	s = mem_zero(sizeof(*s));
	s->worker = worker;
	s->listener = listener;
	s->started_at = clock_mono();
	name_session(s);
	str_copy(str_of(client), s->client, sizeof(s->client));
	s->next = worker->sessions;
	s->link = &worker->sessions;
	if (s->next != NULL)
		s->next->link = &s->next;
	worker->sessions = s;
	worker->n_sessions++;
	count_sessions(worker);
	smtpd_proto_init(&s->proto, &worker->rules, &calls, s, s->client);
	s->conn = conn_new(worker->loop, fd, INPUT_MAX, &events, s);
	first_words(s);
}

void smtpd_session_drain_all(struct smtpd_worker *worker)
{
	struct smtpd_session *next;

	worker->is_draining = true;
	for (struct smtpd_session *s = worker->sessions; s != NULL; s = next) {
		next = s->next;
		if (s->proto.is_starting_tls) {
			conn_finish(s->conn);
			continue;
		}
		if (s->proto.state == SMTPD_CLOSED)
			continue;
		begin_replies(s);
		smtpd_proto_drain(&s->proto);
		end_replies(s, false);
	}
	if (worker->n_sessions == 0)
		worker->on_empty(worker->ctx);
}

void smtpd_session_free_all(struct smtpd_worker *worker)
{
	worker->is_draining = false;
	while (worker->sessions != NULL)
		end_session(worker->sessions, "the process ends");
}
