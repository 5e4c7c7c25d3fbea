/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker of smtpd on one loop with its clients: connections, sessions, and a gate and a qmgr that the test plays at
 * the other ends of their sockets.
 */
#ifndef TESTS_SMTPD_WORLD_H
#define TESTS_SMTPD_WORLD_H

#include "smtpd/smtpd_session.h"

#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/ipc/ipc.h"
#include "lib/net/conn.h"
#include "lib/net/tls_server.h"
#include "smtpd/smtpd_arrival.h"
#include "smtpd/smtpd_drain.h"
#include "tests/support/certificate.h"
#include "tests/support/unit.h"

/* What gate and qmgr were told, and how they answer. */
struct peers {
	struct ipc_peer *gate, *qmgr;
	struct buf messages; /* contents, one behind the other */
	struct uuid ids[64]; /* of the messages */
	unsigned heard;	     /* whose 250 the client was given */
	unsigned asked, submitted, files;
	unsigned again; /* of the submitted ones, those that were said to be so */
	uint64_t last_id; /* of the frame */
	unsigned connects, disconnects, insides, mails, not_sent; /* what the counts of gate would be made of */
	char client[ADDR_TEXT];	   /* of the last CONNECT */
	enum ipc_connect_verdict connect;
	enum ipc_auth_verdict auth;
	enum ipc_may_send_verdict may_send;
	bool asks_recipients;
	unsigned recipients_asked;
	enum ipc_submit_verdict submit;
	bool is_gate_mute, is_qmgr_mute;
};

struct client {
	struct conn *conn;
	struct buf heard;
	unsigned secures, ends;
};

static struct loop *loop;
static struct settings *settings;
static struct certificate certificate;
static struct tls_client *tls_client;
static struct smtpd_worker worker;
static struct smtpd_listener starttls = {.key = "submission", .mode = IPC_QUEUED};
static struct smtpd_listener implicit = {.key = "submissions", .mode = IPC_QUEUED, .is_implicit_tls = true};
static struct peers peers;
static unsigned empties;

/* ---- the far ends ---- */

static inline void answer_auth(struct ipc_peer *peer, uint64_t id)
{
	struct ipc_auth_result result = {.verdict = peers.auth, .tenant = {{1}}, .user = {{2}}, .tenant_name = STR("acme"),
					 .mode = IPC_MODE_OF_LISTENER};
	struct buf body = BUF_MAX(1024);

	ipc_put_auth_result(&body, &result);
	ipc_send(peer, IPC_AUTH_RESULT, id, buf_str(&body), -1);
	buf_clear(&body);
}

static inline void answer_submit(struct ipc_peer *peer, uint64_t id)
{
	struct ipc_submit_result result = {.verdict = peers.submit, .reason = STR("because")};
	struct buf body = BUF_MAX(1024);

	ipc_put_submit_result(&body, &result);
	ipc_send(peer, IPC_SUBMIT_RESULT, id, buf_str(&body), -1);
	buf_clear(&body);
}

static inline void take_submit(struct ipc_frame *frame)
{
	struct str recipients[IPC_RECIPIENTS_MAX];
	struct ipc_message m;
	const char *map;

	UNIT_TRUE(ipc_get_message(&frame->body, &m, recipients));
	UNIT_TRUE(peers.submitted < 64);
	peers.ids[peers.submitted++] = m.id;
	peers.again += frame->type == IPC_SUBMIT_AGAIN;
	peers.last_id = frame->id;
	if (frame->fd >= 0) {
		peers.files++;
		UNIT_TRUE(fd_is_sealed(frame->fd, m.size));
		map = fd_map(frame->fd, m.size);
		buf_put(&peers.messages, map, m.size);
		fd_unmap(map, m.size);
	} else {
		buf_put_str(&peers.messages, m.content);
	}
}

static inline void answer_verdict(struct ipc_peer *peer, enum ipc_type type, uint64_t id, unsigned verdict)
{
	struct buf body = BUF_MAX(16);

	if (peers.is_gate_mute)
		return;
	if (type == IPC_MAY_SEND_RESULT)
		ipc_put_may_send_result(&body, &(struct ipc_may_send_result){verdict, peers.asks_recipients});
	else
		ipc_put_verdict(&body, verdict);
	ipc_send(peer, type, id, buf_str(&body), -1);
	buf_clear(&body);
}

static inline void take_connect(struct ipc_peer *peer, struct ipc_frame *frame)
{
	struct ipc_connect c;

	UNIT_TRUE(ipc_get_connect(&frame->body, &c));
	UNIT_INT(c.session.n, SMTPD_SESSION_ID - 1);
	str_copy(c.client, peers.client, sizeof(peers.client));
	if (frame->type == IPC_DISCONNECT) {
		peers.disconnects++;
	} else if (c.is_inside) {
		peers.insides++;
	} else {
		peers.connects++;
		answer_verdict(peer, IPC_CONNECT_RESULT, frame->id, peers.connect);
	}
}

static inline void take_mail(struct ipc_peer *peer, struct ipc_frame *frame)
{
	struct ipc_may_send m;

	UNIT_TRUE(ipc_get_may_send(&frame->body, &m));
	UNIT_TRUE(uuid_eq(&m.tenant, &(struct uuid){{1}}) && uuid_eq(&m.user, &(struct uuid){{2}}));
	if (frame->type == IPC_NOT_SENT) {
		peers.not_sent++;
		return;
	}
	peers.mails++;
	answer_verdict(peer, IPC_MAY_SEND_RESULT, frame->id, peers.may_send);
}

/* What begins with "no" is suppressed. */
static inline void take_recipient(struct ipc_peer *peer, struct ipc_frame *frame)
{
	struct ipc_may_receive m;

	UNIT_TRUE(ipc_get_may_receive(&frame->body, &m));
	UNIT_TRUE(uuid_eq(&m.tenant, &(struct uuid){{1}}));
	peers.recipients_asked++;
	answer_verdict(peer, IPC_MAY_RECEIVE_RESULT, frame->id,
		       str_starts(m.recipient, STR("no")) ? IPC_MAY_RECEIVE_SUPPRESSED : IPC_MAY_RECEIVE_OK);
}

static inline bool on_frame(void *ctx, struct ipc_peer *peer, struct ipc_frame *frame)
{
	(void)ctx;
	switch (frame->type) {
	case IPC_CONNECT:
	case IPC_DISCONNECT:
		take_connect(peer, frame);
		break;
	case IPC_MAY_SEND:
	case IPC_NOT_SENT:
		take_mail(peer, frame);
		break;
	case IPC_MAY_RECEIVE:
		take_recipient(peer, frame);
		break;
	case IPC_AUTH:
		peers.asked++;
		if (!peers.is_gate_mute)
			answer_auth(peer, frame->id);
		break;
	default:
		take_submit(frame);
		if (!peers.is_qmgr_mute)
			answer_submit(peer, frame->id);
		break;
	}
	return true;
}

static inline void on_close(void *ctx, struct ipc_peer *peer, const char *why)
{
	(void)ctx;
	(void)why;
	if (peers.gate == peer)
		peers.gate = NULL;
	if (peers.qmgr == peer)
		peers.qmgr = NULL;
	ipc_peer_free(&peer);
}

static const struct ipc_events far_events = {on_frame, on_close};

static inline void start_gate(void)
{
	int fds[2];

	ipc_pair(fds);
	smtpd_gate_connect(worker.gate, 0, fds[0]);
	peers.gate = ipc_peer_new(loop, fds[1], ROLE_GATE, ROLE_SMTPD, 0, &far_events, NULL);
}

static inline void start_qmgr(void)
{
	int fds[2];

	ipc_pair(fds);
	smtpd_queue_connect(worker.queue, 0, fds[0]);
	peers.qmgr = ipc_peer_new(loop, fds[1], ROLE_QMGR, ROLE_SMTPD, 0, &far_events, NULL);
}

/* ---- the client ---- */

static inline void client_input(void *ctx)
{
	struct client *c = ctx;
	struct str in = conn_input(c->conn);

	buf_put_str(&c->heard, in);
	conn_consume(c->conn, in.n);
}

static inline void client_secure(void *ctx)
{
	((struct client *)ctx)->secures++;
}

static inline void client_end(void *ctx, const char *why)
{
	struct client *c = ctx;

	(void)why;
	c->ends++;
	conn_free(&c->conn);
}

static inline void client_deadline(void *ctx)
{
	(void)ctx;
}

static const struct conn_events client_events = {client_input,	client_secure, NULL,
						 client_deadline, client_end,	 NULL, NULL};

static inline bool until(const unsigned *count, unsigned n)
{
	int64_t end = clock_mono() + 5 * CLOCK_SECOND;

	while (*count < n && clock_mono() < end)
		loop_turn(loop, 5 * CLOCK_MS);
	return *count >= n;
}

static inline void hear(struct client *c, const char *expected)
{
	int64_t end = clock_mono() + 5 * CLOCK_SECOND;
	size_t n = strlen(expected);

	while (c->heard.n < n && clock_mono() < end)
		loop_turn(loop, 5 * CLOCK_MS);
	UNIT_STR(str_first(buf_str(&c->heard), n), expected);
	if (n > c->heard.n)
		n = c->heard.n;
	if (n > 0)
		buf_consume(&c->heard, n);
}

static inline void say(struct client *c, const char *text)
{
	conn_write(c->conn, str_of(text));
}

static inline void settle(void)
{
	for (int i = 0; i < 10; i++)
		loop_turn(loop, 1 * CLOCK_MS);
}

static inline void pass(int64_t microseconds)
{
	for (int64_t end = clock_mono() + microseconds; clock_mono() < end;)
		loop_turn(loop, CLOCK_MS);
}

/* A connection from that address; what the client says first. */
static inline void connect_from(struct client *c, const struct smtpd_listener *listener, const char *from, struct str first)
{
	int fds[2];

	memset(c, 0, sizeof(*c));
	buf_init(&c->heard, 1 << 22);
	UNIT_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	for (int i = 0; i < 2; i++) /* so that a session that does not read is felt soon */
		setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &(int){16384}, sizeof(int));
	if (first.n > 0)
		UNIT_INT(write(fds[1], first.p, first.n), first.n);
	smtpd_arrival_begin(&worker, listener, fds[0], from);
	c->conn = conn_new(loop, fds[1], 65536, &client_events, c);
	if (listener->is_implicit_tls)
		conn_start_tls_client(c->conn, tls_client, "localhost");
}

static inline void connect_client(struct client *c, bool is_implicit)
{
	connect_from(c, is_implicit ? &implicit : &starttls, "192.0.2.7", STR(""));
}

#define EHLO_START "250-mail.test\r\n"
#define OFFERS \
	"250-mail.test\r\n250-SIZE 1048576\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n" \
	"250-CHUNKING\r\n250-SMTPUTF8\r\n250-DSN\r\n250-LIMITS RCPTMAX=100\r\n"
#define EHLO_ANSWER OFFERS "250 AUTH PLAIN LOGIN\r\n"
#define LOGIN "EHLO client.test\r\nAUTH PLAIN AGEAYg==\r\n"
#define LOGIN_ANSWER EHLO_ANSWER "235 2.7.0 Authentication successful\r\n"
#define ENVELOPE "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"
#define ENVELOPE_ANSWER \
	"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n"
#define QUEUED "250 2.0.0 Ok: queued as "
#define NOT_STORED "451 4.3.0 Cannot be queued now, try again later\r\n"

static inline void log_in(struct client *c)
{
	connect_client(c, true);
	hear(c, "220 mail.test ESMTP smtp-proxy\r\n");
	say(c, LOGIN);
	hear(c, LOGIN_ANSWER);
}

/* The 250 of the next message that qmgr was given. */
static inline void hear_queued(struct client *c)
{
	char expected[100], id[UUID_TEXT];

	UNIT_TRUE(until(&peers.submitted, peers.heard + 1));
	snprintf(expected, sizeof(expected), QUEUED "%s\r\n", uuid_format(&peers.ids[peers.heard++], id));
	hear(c, expected);
}

static inline void leave(struct client *c)
{
	if (c->conn != NULL) {
		say(c, "QUIT\r\n");
		hear(c, "221 2.0.0 Bye\r\n");
		UNIT_TRUE(until(&c->ends, 1));
	}
	conn_free(&c->conn);
	settle();
	UNIT_INT(worker.n_sessions, 0);
	UNIT_INT(worker.n_arrivals, 0);
	buf_clear(&c->heard);
}

static inline void on_empty(void *ctx)
{
	(void)ctx;
	empties++;
}

static inline void start_all(void)
{
	static const struct smtpd_gate_answers answers = {smtpd_arrival_answered, smtpd_session_authenticated,
							  smtpd_session_may_send, smtpd_session_may_receive,
							  smtpd_session_tell_gate};
	struct tls_certificate seen;
	struct err err;

	log_set(LOG_FORMAT_JSON, LOG_LEVEL_ERROR);
	loop = loop_new();
	settings = settings_new();
	certificate = certificate_make("mail.test", "DNS:localhost", -86400, 86400, NULL);
	tls_client = tls_client_new(STR(""), true, TLS_1_2, &err);
	worker.loop = loop;
	worker.settings = settings;
	worker.rules = (struct smtpd_rules){
		.host_name = "mail.test", .message_size = 1048576, .recipients = 100, .max_errors = 20, .has_certificate = true};
	worker.tls = tls_server_new(TLS_1_2);
	UNIT_TRUE(tls_server_add(worker.tls, str_of(certificate.both), STR(""), time(NULL), &seen, &err));
	worker.gate = smtpd_gate_new(loop, &answers, &worker);
	worker.queue = smtpd_queue_new(loop, smtpd_session_submitted);
	smtpd_queue_show_full(worker.queue, &worker.rules.is_under_pressure);
	worker.on_empty = on_empty;
	buf_init(&peers.messages, 64 << 20);
	UNIT_TRUE(tls_client != NULL);
	start_gate();
	start_qmgr();
}

static inline void stop_all(void)
{
	smtpd_session_free_all(&worker);
	smtpd_gate_free(&worker.gate);
	smtpd_queue_free(&worker.queue);
	tls_server_free(&worker.tls);
	tls_client_free(&tls_client);
	settle();
	ipc_peer_free(&peers.gate);
	ipc_peer_free(&peers.qmgr);
	settle();
	settings_free(&settings);
	certificate_clear(&certificate);
	buf_clear(&peers.messages);
	loop_free(&loop);
}

#define GREETING "220 mail.test ESMTP smtp-proxy\r\n"
#define TOO_MANY "421 4.7.0 mail.test Too many connections from your address, try again later\r\n"
#define SHUTDOWN "421 4.3.2 mail.test Service shutting down, try again\r\n"

/* It was closed, with no other words than these. */
static inline void hear_the_end(struct client *c, const char *expected)
{
	UNIT_TRUE(until(&c->ends, 1));
	UNIT_STR(buf_str(&c->heard), expected);
	buf_clear(&c->heard);
	UNIT_INT(worker.n_arrivals, 0);
}

/* After a death in the family. */
static inline void forget_counts(void)
{
	settle();
	peers.connects = peers.disconnects = peers.insides = peers.mails = peers.not_sent = 0;
}

#endif
