/* SPDX-License-Identifier: Apache-2.0
 *
 * Sessions. The dialogue decides, this file moves the bytes: input to smtpd_proto_input(), replies to the
 * connection, questions to gate and qmgr and their answers back.
 */
#include "smtpd/smtpd_session.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/net/conn.h"
#include "lib/service/metrics.h"
#include "smtpd/smtpd_drain.h"
#include "smtpd/smtpd_mail.h"
#include "smtpd/smtpd_pace.h"
#include "smtpd/smtpd_tally.h"
#include "smtpd/smtpd_tls.h"

enum {
	INPUT_MAX = 65536,	 /* read ahead of what the dialogue has taken */
	REPLIES_MAX = 1 << 20,	 /* the dialogue stops itself long before */
	UNSENT_MAX = SMTPD_PROTO_REPLIES, /* replies that a client does not read: then no more commands are taken */
	HANDSHAKE_TIME = 60 * CLOCK_SECOND,
};

struct smtpd_session {
	struct smtpd_session *next, **link;
	struct smtpd_worker *worker;
	struct conn *conn;
	struct smtpd_proto proto;
	struct smtpd_pace pace;
	struct smtpd_tally tally;
	struct smtpd_guest guest; /* its descriptor is the connection's */
	bool is_stalled; /* it does not read its replies */
};

static void count_sessions(const struct smtpd_worker *worker)
{
	metrics_set(METRIC_ACTIVE_CONNECTIONS, (int64_t)worker->n_sessions);
}

static struct ipc_connect gate_name(const struct smtpd_session *s)
{
	return (struct ipc_connect){.session = str_of(s->guest.session), .client = str_of(s->guest.client)};
}

static void end_session(struct smtpd_session *s, const char *why)
{
	struct smtpd_worker *worker = s->worker;
	struct ipc_connect name = gate_name(s);

	smtpd_tally_end(&s->tally, worker, &s->guest, &s->proto, clock_mono() - s->pace.began_at, why);
	if (s->proto.is_waiting) {
		smtpd_gate_forget(worker->gate, s);
		smtpd_queue_forget(worker->queue, s);
	}
	smtpd_proto_clear(&s->proto);
	if (!s->guest.is_local)
		smtpd_gate_tell_disconnect(worker->gate, &name);
	*s->link = s->next;
	if (s->next != NULL)
		s->next->link = s->link;
	worker->n_sessions--;
	count_sessions(worker);
	conn_free(&s->conn);
	free(s);
	smtpd_drain_look(worker);
}

/* ---- replies and deadlines ---- */

/* Replies are gathered here; one dialogue runs at a time. */
static struct buf replies = {.max = REPLIES_MAX};

static void begin_replies(struct smtpd_session *s)
{
	buf_reset(&replies);
	s->proto.out = &replies;
}

/* Octets of a message are due: by DATA, or by BDAT, where commands are between them. Those of a chunk that belongs to no
 * message, or of a message that is refused already, give no time: there could be any number of them. */
static bool is_receiving(const struct smtpd_session *s)
{
	const struct smtpd_proto *p = &s->proto;

	if (p->mail == NULL || p->mail->refusal != SMTP_REPLY_NONE || p->mail->content.refusal != SMTP_REPLY_NONE)
		return false;
	return p->state == SMTPD_DATA || p->state == SMTPD_CHUNKS;
}

static struct smtpd_pace_session pace_session(const struct smtpd_session *s)
{
	return (struct smtpd_pace_session){.has_mail = s->proto.mail != NULL,
					   .is_receiving = is_receiving(s),
					   .drain_at = s->worker->drain_idle_at};
}

static void set_deadline(struct smtpd_session *s)
{
	struct smtpd_pace_session session = pace_session(s);
	int64_t left;

	if (s->proto.is_waiting) {
		conn_set_deadline(s->conn, 0); /* gate's and qmgr's own time runs */
		return;
	}
	left = smtpd_pace_next(&s->pace, s->worker->settings, &session) - clock_mono();
	conn_set_deadline(s->conn, left > 0 ? left : 1);
}

static void restart_pace(struct smtpd_session *s)
{
	int64_t now = clock_mono();

	smtpd_pace_restart(&s->pace, s->worker->settings, is_receiving(s), now);
	if (s->proto.is_starting_tls && s->pace.idle_at > now + HANDSHAKE_TIME)
		s->pace.idle_at = now + HANDSHAKE_TIME;
}

/* Lets the replies go, and does what the dialogue's new state asks for. */
static void end_replies(struct smtpd_session *s, bool is_progress)
{
	if (replies.n > 0)
		conn_write(s->conn, buf_str(&replies));
	s->proto.out = NULL;
	smtpd_tally_look(&s->tally, &s->proto);
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
		restart_pace(s);
	set_deadline(s);
}

static void say_and_close(struct smtpd_session *s, enum smtp_reply reply)
{
	begin_replies(s);
	smtpd_proto_refuse(&s->proto, reply);
	end_replies(s, false);
}

/* ---- what the dialogue asks for ---- */

static void begin_handshake(struct smtpd_session *s)
{
	conn_start_tls_server(s->conn, s->worker->tls, (enum tls_ask)s->guest.listener->client_certificate);
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
		.session = str_of(s->guest.session), .client = str_of(s->guest.client), .user = user, .password = password};

	smtpd_gate_ask_auth(s->worker->gate, &question, s);
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
		.session = str_of(s->guest.session),
		.client = str_of(s->guest.client),
		.helo = str_of(p->helo),
		.mail_from = str_of(mail->from),
		.recipients = mail->recipients,
		.n_recipients = mail->n_recipients,
		.is_8bit = mail->is_8bit,
		.is_utf8 = mail->is_utf8,
		.mode = smtpd_proto_mode(p),
		.dsn = buf_str(&mail->dsn),
		.idempotency_key = smtpd_mail_key(mail),
		.is_test = p->is_test,
		.mail_at = mail->mail_at,
		.received_at = mail->received_at,
		.size = (uint32_t)size,
		.content = buf_str(&mail->content.bytes),
	};

	s->tally.submitted_at = clock_mono();
	if (!smtpd_queue_submit(s->worker->queue, &m, mail->content.fd,
				s->worker->settings->smtpd.submit_timeout, s)) {
		log_error(&(struct log_context){.session = s->guest.session}, "smtpd.message.unsayable",
			  log_uint("recipients", m.n_recipients), log_uint("size", size));
		smtpd_session_submitted(s, &(struct ipc_submit_result){.verdict = IPC_SUBMIT_UNAVAILABLE});
		return;
	}
	mail->content.fd = -1;
	buf_clear(&mail->content.bytes); /* the frame has it */
}

static struct ipc_may_send gate_mail(const struct smtpd_session *s)
{
	return (struct ipc_may_send){.session = str_of(s->guest.session),
				     .client = str_of(s->guest.client),
				     .tenant = s->proto.tenant_id,
				     .user = s->proto.user_id};
}

static void may_send(void *ctx)
{
	struct smtpd_session *s = ctx;
	struct ipc_may_send question = gate_mail(s);

	smtpd_gate_ask_may_send(s->worker->gate, &question, s);
}

static void not_sent(void *ctx)
{
	struct smtpd_session *s = ctx;
	struct ipc_may_send mail = gate_mail(s);

	smtpd_gate_tell_not_sent(s->worker->gate, &mail);
}

static void authenticate_external(void *ctx, struct str user)
{
	struct smtpd_session *s = ctx;
	struct ipc_auth question = {.mechanism = IPC_AUTH_EXTERNAL,
				    .session = str_of(s->guest.session),
				    .client = str_of(s->guest.client),
				    .user = user,
				    .certificate = str_of(s->proto.certificate)};

	smtpd_gate_ask_auth(s->worker->gate, &question, s);
}

static void may_receive(void *ctx, struct str recipient)
{
	struct smtpd_session *s = ctx;
	struct ipc_may_receive question = {
		.session = str_of(s->guest.session), .tenant = s->proto.tenant_id, .recipient = recipient};

	smtpd_gate_ask_may_receive(s->worker->gate, &question, s);
}

static const struct smtpd_calls calls = {start_tls, authenticate, authenticate_external, may_send,
					 may_receive, not_sent, submit};

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

void smtpd_session_may_send(void *session, const struct ipc_may_send_result *result, bool is_counted)
{
	struct smtpd_session *s = session;
	bool is_inside = begin_answer(s);

	/* Without gate's word the last one holds. */
	if (is_counted)
		s->proto.asks_recipients = result->asks_recipients;
	smtpd_proto_may_send(&s->proto, result->verdict, is_counted);
	if (!is_inside)
		end_replies(s, true);
}

void smtpd_session_may_receive(void *session, enum ipc_may_receive_verdict verdict)
{
	struct smtpd_session *s = session;
	bool is_inside = begin_answer(s);

	smtpd_proto_may_receive(&s->proto, verdict);
	if (!is_inside)
		end_replies(s, true);
}

void smtpd_session_submitted(void *session, const struct ipc_submit_result *result)
{
	struct smtpd_session *s = session;
	bool is_inside = begin_answer(s);

	if (smtpd_mail_is_taken(result->verdict))
		smtpd_tally_accepted(&s->tally, &s->guest, &s->proto, &result->id);
	smtpd_proto_submitted(&s->proto, result);
	if (!is_inside)
		end_replies(s, true);
}

/* ---- what the connection tells ---- */

static uint64_t message_octets(const struct smtpd_session *s)
{
	return s->proto.mail != NULL ? s->proto.mail->content.data.size : 0;
}

/* Of the message only: commands between its chunks are none of it. */
static void count_octets(struct smtpd_session *s, bool was_receiving, uint64_t before)
{
	uint64_t octets = message_octets(s);

	if (is_receiving(s) && !s->proto.is_waiting)
		smtpd_pace_count(&s->pace, octets >= before ? octets - before : octets, clock_mono());
	else if (was_receiving)
		smtpd_pace_stop_counting(&s->pace);
}

static void on_input(void *ctx)
{
	struct smtpd_session *s = ctx;
	unsigned before = s->proto.commands;
	bool was_receiving = is_receiving(s);
	uint64_t octets = message_octets(s);
	size_t used;

	if (s->proto.is_waiting || s->is_stalled || s->proto.state == SMTPD_CLOSED)
		return;
	begin_replies(s);
	used = smtpd_proto_input(&s->proto, conn_input(s->conn), clock_wall());
	/* After STARTTLS the connection has thrown the rest away itself. */
	if (!s->proto.is_starting_tls)
		conn_consume(s->conn, used);
	count_octets(s, was_receiving, octets);
	end_replies(s, s->proto.commands != before);
}

static void on_secure(void *ctx)
{
	struct smtpd_session *s = ctx;
	struct tls *tls = conn_tls(s->conn);
	bool is_first = s->proto.last_reply == SMTP_REPLY_NONE;

	s->proto.certificate = smtpd_tls_secured(tls, s->guest.session, s->guest.client);
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

/* There is no way to say anything. */
static void give_up_handshake(struct smtpd_session *s)
{
	metrics_add(METRIC_TLS_FAILURES, 1);
	conn_finish(s->conn);
}

static void on_deadline(void *ctx)
{
	static const enum smtp_reply replies_to[] = {
		[SMTPD_PACE_GOOD] = SMTP_REPLY_NONE,
		[SMTPD_PACE_IDLE] = SMTP_REPLY_IDLE,
		[SMTPD_PACE_SLOW] = SMTP_REPLY_TOO_SLOW,
		[SMTPD_PACE_TOO_LONG] = SMTP_REPLY_SESSION_TOO_LONG,
		[SMTPD_PACE_DRAINED] = SMTP_REPLY_SHUTDOWN,
	};
	struct smtpd_session *s = ctx;
	struct smtpd_pace_session session = pace_session(s);
	enum smtpd_pace_verdict verdict =
		smtpd_pace_judge(&s->pace, s->worker->settings, &session, clock_mono());

	if (verdict == SMTPD_PACE_GOOD)
		set_deadline(s);
	else if (s->proto.is_starting_tls)
		give_up_handshake(s);
	else
		say_and_close(s, replies_to[verdict]);
}

static void on_end(void *ctx, const char *why)
{
	struct smtpd_session *s = ctx;

	if (s->proto.is_starting_tls) {
		metrics_add(METRIC_TLS_FAILURES, why != NULL);
		why = why != NULL ? why : "no TLS handshake";
	} else if (s->proto.state != SMTPD_CLOSED && !s->guest.is_local) {
		metrics_add(METRIC_CONNECTIONS_LOST, 1);
		why = why != NULL ? why : "the client left";
	}
	end_session(s, why);
}

static const struct conn_events events = {on_input, on_secure, on_flushed, on_deadline, on_end, NULL, NULL};

static void first_words(struct smtpd_session *s)
{
	struct smtpd_worker *worker = s->worker;

	if (s->guest.listener->is_implicit_tls && worker->tls == NULL) {
		conn_finish(s->conn);
		return;
	}
	if (s->guest.listener->is_implicit_tls) {
		s->proto.is_starting_tls = true;
		begin_handshake(s);
		restart_pace(s);
		set_deadline(s);
		return;
	}
	begin_replies(s);
	smtpd_proto_greet(&s->proto);
	end_replies(s, true);
}

void smtpd_session_start(struct smtpd_worker *worker, const struct smtpd_guest *guest)
{
	struct smtpd_session *s = mem_zero(sizeof(*s));

	s->worker = worker;
	s->guest = *guest;
	s->pace.began_at = clock_mono();
	s->next = worker->sessions;
	s->link = &worker->sessions;
	if (s->next != NULL)
		s->next->link = &s->next;
	worker->sessions = s;
	worker->n_sessions++;
	count_sessions(worker);
	log_debug(&(struct log_context){.session = guest->session}, "smtpd.session.begun",
		  log_text("client", guest->client), log_text("listener", guest->listener->key));
	smtpd_proto_init(&s->proto, &worker->rules, &calls, s, s->guest.client);
	s->proto.session = s->guest.session;
	s->proto.listener_mode = guest->listener->mode;
	smtpd_tally_look(&s->tally, &s->proto);
	s->conn = conn_new(worker->loop, guest->fd, INPUT_MAX, &events, s);
	first_words(s);
}

/* ---- all of them ---- */

void smtpd_session_tell_gate(void *worker)
{
	struct smtpd_worker *w = worker;

	for (struct smtpd_session *s = w->sessions; s != NULL; s = s->next)
		if (!s->guest.is_local)
			smtpd_gate_tell_inside(w->gate, gate_name(s));
}

void smtpd_session_drain_all(struct smtpd_worker *worker)
{
	struct smtpd_session *next;

	for (struct smtpd_session *s = worker->sessions; s != NULL; s = next) {
		next = s->next;
		s->proto.is_draining = true;
		if (s->proto.is_starting_tls)
			conn_finish(s->conn);
		else if (s->proto.state != SMTPD_CLOSED)
			set_deadline(s);
	}
}

void smtpd_session_end_all(struct smtpd_worker *worker)
{
	struct smtpd_session *next;

	for (struct smtpd_session *s = worker->sessions; s != NULL; s = next) {
		next = s->next;
		if (s->proto.is_starting_tls)
			conn_finish(s->conn);
		else if (s->proto.state != SMTPD_CLOSED && !s->proto.is_waiting)
			say_and_close(s, SMTP_REPLY_SHUTDOWN);
	}
}

void smtpd_session_free_all(struct smtpd_worker *worker)
{
	while (worker->sessions != NULL)
		end_session(worker->sessions, "cut");
}
