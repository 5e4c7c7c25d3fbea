/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole sessions on one loop: a client's connection, our session, and a gate and a qmgr that the test plays at
 * the other ends of their sockets.
 */
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
	unsigned connects, disconnects, insides, mails, not_sent; /* what the counts of gate would be made of */
	char client[ADDR_TEXT];	   /* of the last CONNECT */
	enum ipc_connect_verdict connect;
	enum ipc_auth_verdict auth;
	enum ipc_may_send_verdict may_send;
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

static void answer_auth(struct ipc_peer *peer, uint64_t id)
{
	struct ipc_auth_result result = {.verdict = peers.auth, .tenant = {{1}}, .user = {{2}}, .tenant_name = STR("acme"),
					 .mode = IPC_MODE_OF_LISTENER};
	struct buf body = BUF_MAX(1024);

	ipc_put_auth_result(&body, &result);
	ipc_send(peer, IPC_AUTH_RESULT, id, buf_str(&body), -1);
	buf_clear(&body);
}

static void answer_submit(struct ipc_peer *peer, uint64_t id)
{
	struct ipc_submit_result result = {.verdict = peers.submit, .reason = STR("because")};
	struct buf body = BUF_MAX(1024);

	ipc_put_submit_result(&body, &result);
	ipc_send(peer, IPC_SUBMIT_RESULT, id, buf_str(&body), -1);
	buf_clear(&body);
}

static void take_submit(struct ipc_frame *frame)
{
	struct str recipients[IPC_RECIPIENTS_MAX];
	struct ipc_message m;
	const char *map;

	UNIT_TRUE(ipc_get_message(&frame->body, &m, recipients));
	UNIT_TRUE(peers.submitted < 64);
	peers.ids[peers.submitted++] = m.id;
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

static void answer_verdict(struct ipc_peer *peer, enum ipc_type type, uint64_t id, unsigned verdict)
{
	struct buf body = BUF_MAX(16);

	if (peers.is_gate_mute)
		return;
	ipc_put_verdict(&body, verdict);
	ipc_send(peer, type, id, buf_str(&body), -1);
	buf_clear(&body);
}

static void take_connect(struct ipc_peer *peer, struct ipc_frame *frame)
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

static void take_mail(struct ipc_peer *peer, struct ipc_frame *frame)
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

static bool on_frame(void *ctx, struct ipc_peer *peer, struct ipc_frame *frame)
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

static void on_close(void *ctx, struct ipc_peer *peer, const char *why)
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

static void start_gate(void)
{
	int fds[2];

	ipc_pair(fds);
	smtpd_gate_connect(worker.gate, 0, fds[0]);
	peers.gate = ipc_peer_new(loop, fds[1], ROLE_GATE, ROLE_SMTPD, 0, &far_events, NULL);
}

static void start_qmgr(void)
{
	int fds[2];

	ipc_pair(fds);
	smtpd_queue_connect(worker.queue, 0, fds[0]);
	peers.qmgr = ipc_peer_new(loop, fds[1], ROLE_QMGR, ROLE_SMTPD, 0, &far_events, NULL);
}

/* ---- the client ---- */

static void client_input(void *ctx)
{
	struct client *c = ctx;
	struct str in = conn_input(c->conn);

	buf_put_str(&c->heard, in);
	conn_consume(c->conn, in.n);
}

static void client_secure(void *ctx)
{
	((struct client *)ctx)->secures++;
}

static void client_end(void *ctx, const char *why)
{
	struct client *c = ctx;

	(void)why;
	c->ends++;
	conn_free(&c->conn);
}

static void client_deadline(void *ctx)
{
	(void)ctx;
}

static const struct conn_events client_events = {client_input,	client_secure, NULL,
						 client_deadline, client_end,	 NULL};

static bool until(const unsigned *count, unsigned n)
{
	int64_t end = clock_mono() + 5 * CLOCK_SECOND;

	while (*count < n && clock_mono() < end)
		loop_turn(loop, 5 * CLOCK_MS);
	return *count >= n;
}

static void hear(struct client *c, const char *expected)
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

static void say(struct client *c, const char *text)
{
	conn_write(c->conn, str_of(text));
}

static void settle(void)
{
	for (int i = 0; i < 10; i++)
		loop_turn(loop, 1 * CLOCK_MS);
}

static void pass(int64_t microseconds)
{
	for (int64_t end = clock_mono() + microseconds; clock_mono() < end;)
		loop_turn(loop, CLOCK_MS);
}

/* A connection from that address; what the client says first. */
static void connect_from(struct client *c, const struct smtpd_listener *listener, const char *from, struct str first)
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

static void connect_client(struct client *c, bool is_implicit)
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

static void log_in(struct client *c)
{
	connect_client(c, true);
	hear(c, "220 mail.test ESMTP smtp-proxy\r\n");
	say(c, LOGIN);
	hear(c, LOGIN_ANSWER);
}

/* The 250 of the next message that qmgr was given. */
static void hear_queued(struct client *c)
{
	char expected[100], id[UUID_TEXT];

	UNIT_TRUE(until(&peers.submitted, peers.heard + 1));
	snprintf(expected, sizeof(expected), QUEUED "%s\r\n", uuid_format(&peers.ids[peers.heard++], id));
	hear(c, expected);
}

static void leave(struct client *c)
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

static void on_empty(void *ctx)
{
	(void)ctx;
	empties++;
}

static void start_all(void)
{
	static const struct smtpd_gate_answers answers = {smtpd_arrival_answered, smtpd_session_authenticated,
							  smtpd_session_may_send, smtpd_session_tell_gate};
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

static void stop_all(void)
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

static void starttls_login_and_a_message(void)
{
	struct client c;

	connect_client(&c, false);
	hear(&c, "220 mail.test ESMTP smtp-proxy\r\n");
	say(&c, "EHLO x\r\nSTARTTLS\r\nRSET\r\nNOOP\r\n");
	hear(&c, OFFERS "250 STARTTLS\r\n220 2.0.0 Ready to start TLS\r\n");
	conn_start_tls_client(c.conn, tls_client, "localhost");
	UNIT_TRUE(until(&c.secures, 1));
	say(&c, LOGIN);
	hear(&c, LOGIN_ANSWER);
	UNIT_INT(peers.asked, 1);
	say(&c, ENVELOPE);
	hear(&c, ENVELOPE_ANSWER);
	say(&c, "Date: x\r\nMessage-ID: y\r\n\r\nhello\r\n.\r\n");
	hear_queued(&c);
	UNIT_TRUE(str_ends(buf_str(&peers.messages), STR("\r\nDate: x\r\nMessage-ID: y\r\n\r\nhello\r\n")));
	leave(&c);
}

static void pipelined_messages_large_and_small(void)
{
	struct client c;

	log_in(&c);
	say(&c, ENVELOPE "x: y\r\n\r\nsmall\r\n.\r\n" ENVELOPE "x: y\r\n\r\n");
	for (int i = 0; i < 10000; i++)
		say(&c, "0123456789\r\n");
	say(&c, ".\r\n");
	hear(&c, ENVELOPE_ANSWER);
	hear_queued(&c);
	hear(&c, ENVELOPE_ANSWER);
	hear_queued(&c);
	UNIT_INT(peers.files, 1);
	UNIT_TRUE(str_ends(buf_str(&peers.messages), STR("\r\n0123456789\r\n0123456789\r\n")));
	leave(&c);
}

static void gate_says_no_or_is_away(void)
{
	struct client c;

	peers.auth = IPC_AUTH_BAD;
	connect_client(&c, true);
	say(&c, LOGIN);
	hear(&c, "220 mail.test ESMTP smtp-proxy\r\n" EHLO_ANSWER "535 5.7.8 Authentication credentials invalid\r\n");
	peers.auth = IPC_AUTH_OK;
	peers.is_gate_mute = true;
	say(&c, "AUTH PLAIN AGEAYg==\r\n");
	UNIT_TRUE(until(&peers.asked, peers.asked + 1));
	ipc_peer_free(&peers.gate); /* it dies while it is asked, and none follows */
	hear(&c, "454 4.7.0 Temporary authentication failure\r\n");
	peers.is_gate_mute = false;
	start_gate();
	say(&c, "AUTH PLAIN AGEAYg==\r\n");
	hear(&c, "235 2.7.0 Authentication successful\r\n");
	leave(&c);
}

static void a_login_goes_to_the_next_gate_when_one_dies(void)
{
	struct client c;

	connect_client(&c, true);
	hear(&c, "220 mail.test ESMTP smtp-proxy\r\n");
	peers.is_gate_mute = true;
	say(&c, LOGIN);
	UNIT_TRUE(until(&peers.asked, peers.asked + 1));
	ipc_peer_free(&peers.gate);
	settle();
	peers.is_gate_mute = false;
	start_gate();
	hear(&c, EHLO_ANSWER "235 2.7.0 Authentication successful\r\n");
	leave(&c);
}

static void a_message_goes_to_the_next_qmgr_when_one_dies(void)
{
	struct client c;
	unsigned before;

	log_in(&c);
	before = peers.submitted;
	peers.is_qmgr_mute = true;
	say(&c, ENVELOPE "x: y\r\n\r\n.\r\n");
	hear(&c, ENVELOPE_ANSWER);
	UNIT_TRUE(until(&peers.submitted, before + 1));
	ipc_peer_free(&peers.qmgr);
	settle();
	UNIT_INT(c.heard.n, 0);
	peers.is_qmgr_mute = false;
	start_qmgr();
	hear_queued(&c);
	UNIT_INT(peers.submitted, before + 2);
	UNIT_TRUE(uuid_eq(&peers.ids[before], &peers.ids[before + 1]));
	peers.heard = peers.submitted;
	leave(&c);
}

static void without_a_client_a_message_is_not_sent_again(void)
{
	struct client c;
	unsigned before;

	log_in(&c);
	before = peers.submitted;
	peers.is_qmgr_mute = true;
	say(&c, ENVELOPE "x: y\r\n\r\n.\r\n");
	hear(&c, ENVELOPE_ANSWER);
	UNIT_TRUE(until(&peers.submitted, before + 1));
	smtpd_session_free_all(&worker);
	ipc_peer_free(&peers.qmgr);
	peers.is_qmgr_mute = false;
	start_qmgr();
	settle();
	UNIT_INT(peers.submitted, before + 1);
	peers.heard = peers.submitted;
	conn_free(&c.conn);
	buf_clear(&c.heard);
}

static void what_qmgr_cannot_store_in_time_is_451(void)
{
	struct client c;

	log_in(&c);
	peers.submit = IPC_SUBMIT_UNAVAILABLE;
	say(&c, ENVELOPE "x: y\r\n\r\n.\r\n");
	hear(&c, ENVELOPE_ANSWER NOT_STORED);
	peers.heard = peers.submitted;
	peers.submit = IPC_SUBMIT_STORED;
	ipc_peer_free(&peers.qmgr);
	settings->smtpd.submit_timeout = 20 * CLOCK_MS;
	say(&c, ENVELOPE "x: y\r\n\r\n.\r\n");
	hear(&c, ENVELOPE_ANSWER NOT_STORED);
	settings->smtpd.submit_timeout = 60 * CLOCK_SECOND;
	start_qmgr();
	leave(&c);
}

static void the_idle_and_the_stalled_hear_421(void)
{
	struct client c;

	settings->smtpd.command_timeout = 50 * CLOCK_MS;
	connect_client(&c, false);
	hear(&c, "220 mail.test ESMTP smtp-proxy\r\n421 4.4.2 mail.test Timeout, closing\r\n");
	UNIT_TRUE(until(&c.ends, 1));
	leave(&c);
	connect_client(&c, false);
	conn_start_tls_client(c.conn, tls_client, "localhost"); /* bytes, but no command */
	UNIT_TRUE(until(&c.ends, 1));
	leave(&c);
	settings->smtpd.command_timeout = 300 * CLOCK_SECOND;
	settings->smtpd.data_timeout = 50 * CLOCK_MS;
	log_in(&c);
	say(&c, ENVELOPE "x: y");
	hear(&c, ENVELOPE_ANSWER "421 4.4.2 mail.test Timeout, closing\r\n");
	UNIT_TRUE(until(&c.ends, 1));
	leave(&c);
	settings->smtpd.data_timeout = 180 * CLOCK_SECOND;
}

static void one_session_too_many_hears_421(void)
{
	struct client a, b;

	settings->limits.connections = 1;
	connect_client(&a, false);
	hear(&a, "220 mail.test ESMTP smtp-proxy\r\n");
	connect_client(&b, false);
	hear(&b, "421 4.3.2 mail.test Too many connections, try again later\r\n");
	UNIT_TRUE(until(&b.ends, 1));
	conn_free(&b.conn);
	buf_clear(&b.heard);
	connect_client(&b, true);
	UNIT_TRUE(until(&b.ends, 1));
	buf_clear(&b.heard);
	settings->limits.connections = 1000;
	leave(&a);
}

static void a_client_that_does_not_read_is_not_read_either(void)
{
	struct client c;
	unsigned heard = 0;
	struct buf expected = BUF_MAX(1024);
	char *answers;

	smtp_reply_put(&expected, SMTP_REPLY_OK, STR(""));
	smtp_reply_put(&expected, SMTP_REPLY_HELP, STR(""));
	answers = buf_take_text(&expected);

	connect_client(&c, false);
	hear(&c, "220 mail.test ESMTP smtp-proxy\r\n");
	conn_pause(c.conn);
	for (int i = 0; i < 20000; i++)
		say(&c, "NOOP\r\nHELP\r\n");
	for (int i = 0; i < 50; i++)
		settle();
	UNIT_TRUE(conn_unsent(c.conn) > 0);
	conn_resume(c.conn);
	for (int i = 0; i < 20000 && !c.ends; i++) {
		hear(&c, answers);
		heard++;
	}
	UNIT_INT(heard, 20000);
	mem_free(&answers);
	leave(&c);
}

/* ---- who comes in ---- */

#define GREETING "220 mail.test ESMTP smtp-proxy\r\n"
#define TOO_MANY "421 4.7.0 mail.test Too many connections from your address, try again later\r\n"
#define SHUTDOWN "421 4.3.2 mail.test Service shutting down, try again\r\n"

/* It was closed, with no other words than these. */
static void hear_the_end(struct client *c, const char *expected)
{
	UNIT_TRUE(until(&c->ends, 1));
	UNIT_STR(buf_str(&c->heard), expected);
	buf_clear(&c->heard);
	UNIT_INT(worker.n_arrivals, 0);
}

/* After a death in the family. */
static void forget_counts(void)
{
	settle();
	peers.connects = peers.disconnects = peers.insides = peers.mails = peers.not_sent = 0;
}

static void gate_decides_who_comes_in(void)
{
	static const struct {
		enum ipc_connect_verdict verdict;
		const char *words;
	} rows[] = {
		{IPC_CONNECT_FULL, "421 4.3.2 mail.test Too many connections, try again later\r\n"},
		{IPC_CONNECT_TOO_MANY, TOO_MANY},
		{IPC_CONNECT_BANNED, "421 4.7.0 mail.test Too many failed logins from your address, try again later\r\n"},
	};
	struct client c;

	forget_counts();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		peers.connect = rows[i].verdict;
		connect_from(&c, &starttls, "2001:db8::9", STR(""));
		hear_the_end(&c, rows[i].words);
		UNIT_TEXT(peers.client, "2001:db8::9");
		connect_from(&c, &implicit, "2001:db8::9", STR("")); /* no handshake, no words */
		hear_the_end(&c, "");
		UNIT_INT(c.secures, 0);
	}
	UNIT_INT(peers.connects, 6);
	UNIT_INT(peers.disconnects, 0);
	peers.connect = IPC_CONNECT_OK;
	connect_client(&c, false);
	hear(&c, GREETING);
	leave(&c);
	UNIT_TRUE(until(&peers.disconnects, 1));
	UNIT_INT(peers.connects, 7);
	UNIT_INT(peers.mails, 0);
}

static void nothing_is_said_before_gate_answers(void)
{
	struct client c;

	forget_counts();
	peers.is_gate_mute = true;
	connect_client(&c, false);
	UNIT_TRUE(until(&peers.connects, 1));
	say(&c, "EHLO x\r\n");
	settle();
	UNIT_INT(c.heard.n, 0);
	UNIT_INT(worker.n_arrivals, 1);
	peers.is_gate_mute = false;
	ipc_peer_free(&peers.gate); /* the next one is asked */
	settle();
	start_gate();
	hear(&c, GREETING "250-mail.test\r\n");
	UNIT_INT(peers.connects, 2);
	UNIT_INT(peers.insides, 0);
	c.heard.n = 0;
	leave(&c);
}

static void a_client_that_leaves_before_gate_answers_is_given_back(void)
{
	struct client c;

	forget_counts();
	peers.is_gate_mute = true;
	connect_client(&c, false);
	UNIT_TRUE(until(&peers.connects, 1));
	conn_free(&c.conn);
	peers.is_gate_mute = false;
	ipc_peer_free(&peers.gate);
	settle();
	start_gate();
	UNIT_TRUE(until(&peers.disconnects, 1));
	UNIT_INT(worker.n_sessions, 0);
	buf_clear(&c.heard);
}

static void a_new_gate_hears_first_who_is_in(void)
{
	struct client a, b;

	connect_client(&a, false);
	hear(&a, GREETING);
	log_in(&b);
	forget_counts();
	ipc_peer_free(&peers.gate);
	start_gate();
	UNIT_TRUE(until(&peers.insides, 2));
	UNIT_INT(peers.connects, 0);
	say(&a, "QUIT\r\n");
	hear_the_end(&a, "221 2.0.0 Bye\r\n");
	leave(&b);
	UNIT_TRUE(until(&peers.disconnects, 2));
}

static void without_gate_everybody_comes_in_and_sends(void)
{
	struct client c;
	int64_t began;

	log_in(&c);
	forget_counts();
	ipc_peer_free(&peers.gate);
	settle();
	for (int i = 0; i < 2; i++) {
		struct client d;

		/* The first is asked about for a moment, after that nobody is. */
		began = clock_mono();
		connect_client(&d, false);
		hear(&d, GREETING);
		UNIT_TRUE((clock_mono() - began > 300 * CLOCK_MS) == (i == 0));
		UNIT_INT(worker.n_sessions, 2);
		say(&d, "QUIT\r\n");
		hear_the_end(&d, "221 2.0.0 Bye\r\n");
	}
	say(&c, "MAIL FROM:<a@b>\r\n");
	hear(&c, "250 2.1.0 Ok\r\n");
	UNIT_INT(peers.mails, 0);
	start_gate();
	UNIT_TRUE(until(&peers.insides, 1));
	leave(&c);
	UNIT_TRUE(until(&peers.disconnects, 1));
}

static void a_gate_that_is_slow_stops_nobody(void)
{
	struct client c, d;

	forget_counts();
	peers.is_gate_mute = true;
	connect_client(&c, false);
	hear(&c, GREETING); /* after its time */
	UNIT_INT(peers.connects, 1);
	UNIT_TRUE(until(&peers.insides, 1));
	connect_client(&d, false); /* told, not asked */
	hear(&d, GREETING);
	UNIT_TRUE(until(&peers.insides, 2));
	UNIT_INT(peers.connects, 1);
	peers.is_gate_mute = false;
	say(&d, "QUIT\r\n");
	hear_the_end(&d, "221 2.0.0 Bye\r\n");
	leave(&c);
	UNIT_TRUE(until(&peers.disconnects, 2));
	ipc_peer_free(&peers.gate);
	settle();
	start_gate();
}

static void gate_decides_how_much_is_sent(void)
{
	static const struct {
		enum ipc_may_send_verdict verdict;
		const char *words;
	} rows[] = {
		{IPC_MAY_SEND_ADDRESS, "450 4.7.1 Too many messages from your address, try again later\r\n"},
		{IPC_MAY_SEND_USER, "450 4.7.1 This user has sent as much as is permitted, try again later\r\n"},
		{IPC_MAY_SEND_TENANT, "450 4.7.1 This tenant has sent as much as is permitted, try again later\r\n"},
		{IPC_MAY_SEND_OK, "250 2.1.0 Ok\r\n"},
	};
	struct client c;

	log_in(&c);
	forget_counts();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		peers.may_send = rows[i].verdict;
		say(&c, "MAIL FROM:<a@b>\r\n");
		hear(&c, rows[i].words);
	}
	UNIT_INT(peers.mails, 4);
	say(&c, "RCPT TO:<c@d>\r\nDATA\r\nx: y\r\n\r\n.\r\n");
	hear(&c, "250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n");
	hear_queued(&c);
	say(&c, "MAIL FROM:<a@b>\r\n");
	hear(&c, "250 2.1.0 Ok\r\n");
	UNIT_INT(peers.not_sent, 0);
	leave(&c); /* without having sent this one */
	UNIT_TRUE(until(&peers.not_sent, 1));
}

static void a_full_queue_takes_nobody(void)
{
	struct client a, b;
	struct buf body = BUF_MAX(1);

	starttls.mode = IPC_DIRECT;
	connect_client(&a, false);
	hear(&a, GREETING);
	starttls.mode = IPC_QUEUED;
	forget_counts();
	buf_put_u8(&body, 1);
	ipc_send(peers.qmgr, IPC_PRESSURE, 0, buf_str(&body), -1);
	settle();
	connect_client(&b, false);
	hear_the_end(&b, "421 4.3.2 mail.test Too many messages are waiting, try again later\r\n");
	connect_client(&b, true);
	hear_the_end(&b, "");
	UNIT_INT(peers.connects, 0);
	starttls.mode = IPC_DIRECT; /* needs no queue */
	connect_client(&b, false);
	hear(&b, GREETING);
	starttls.mode = IPC_QUEUED;
	say(&b, "QUIT\r\n");
	hear_the_end(&b, "221 2.0.0 Bye\r\n");
	buf_reset(&body);
	buf_put_u8(&body, 0);
	ipc_send(peers.qmgr, IPC_PRESSURE, 0, buf_str(&body), -1);
	settle();
	connect_client(&b, false);
	hear(&b, GREETING);
	say(&b, "QUIT\r\n");
	hear_the_end(&b, "221 2.0.0 Bye\r\n");
	buf_clear(&body);
	leave(&a);
}

/* ---- behind a load balancer ---- */

#define BALANCER "10.1.2.3"
#define V1 "PROXY TCP4 198.51.100.3 203.0.113.1 56324 587\r\n"
#define V2 "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc6\x33\x64\x03\xcb\x00\x71\x01\xdc\x04\x02\x4b"
#define V2_LOCAL "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"

static void trust_balancers(bool are_trusted)
{
	struct err err;

	network_list_clear(&starttls.proxies);
	network_list_clear(&implicit.proxies);
	if (are_trusted)
		UNIT_TRUE(network_list_parse(STR("10.0.0.0/8"), &starttls.proxies, &err) &&
			  network_list_parse(STR("10.0.0.0/8"), &implicit.proxies, &err));
}

static void a_proxy_header_names_the_client(void)
{
	static const struct {
		struct str header;
		const char *client;
	} rows[] = {
		{STR(V1), "198.51.100.3"},
		{STR(V2), "198.51.100.3"},
		{STR("PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n"), "2001:db8::7"},
		{STR("PROXY UNKNOWN\r\n"), BALANCER},
		{STR(V2_LOCAL), NULL}, /* gate is not asked */
		{STR("PROXY TCP4 " BALANCER " 203.0.113.1 1 2\r\n"), NULL},
	};
	struct client c;

	trust_balancers(true);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (int is_implicit = 0; is_implicit < 2; is_implicit++) {
			forget_counts();
			connect_from(&c, is_implicit ? &implicit : &starttls, BALANCER, rows[i].header);
			hear(&c, GREETING);
			UNIT_INT(c.secures, is_implicit);
			settle();
			UNIT_INT(peers.connects, rows[i].client != NULL);
			if (rows[i].client != NULL)
				UNIT_TEXT(peers.client, rows[i].client);
			leave(&c);
			UNIT_INT(peers.disconnects, rows[i].client != NULL);
		}
	trust_balancers(false);
}

/* Every way of cutting it, the client's first words with its end. */
static void a_proxy_header_comes_in_pieces(void)
{
	static const struct str headers[] = {STR(V1 "EHLO x\r\n"), STR(V2 "EHLO x\r\n")};
	struct client c;

	trust_balancers(true);
	for (size_t i = 0; i < 2; i++)
		for (size_t at = 1; at < headers[i].n; at += 3) {
			forget_counts();
			connect_from(&c, &starttls, BALANCER, str_first(headers[i], at));
			loop_turn(loop, CLOCK_MS);
			conn_write(c.conn, str_from(headers[i], at));
			hear(&c, GREETING EHLO_START);
			UNIT_TEXT(peers.client, "198.51.100.3");
			settle();
			c.heard.n = 0;
			leave(&c);
		}
	trust_balancers(false);
}

static void without_a_proxy_header_a_balancer_is_closed(void)
{
	struct client c;

	trust_balancers(true);
	forget_counts();
	settings->smtpd.proxy_timeout = 50 * CLOCK_MS;
	connect_from(&c, &starttls, BALANCER, STR("EHLO x\r\n"));
	hear_the_end(&c, "");
	connect_from(&c, &starttls, BALANCER, STR(""));
	hear_the_end(&c, "");
	connect_from(&c, &implicit, BALANCER, STR("PROXY TCP4 "));
	hear_the_end(&c, "");
	connect_from(&c, &starttls, BALANCER, STR("PROXY "));
	conn_free(&c.conn);
	connect_from(&c, &starttls, BALANCER, STR("")); /* a health check */
	conn_free(&c.conn);
	settle();
	UNIT_INT(worker.n_arrivals, 0);
	UNIT_INT(peers.connects, 0);
	settings->smtpd.proxy_timeout = 5 * CLOCK_SECOND;
	connect_from(&c, &starttls, "192.0.2.1", STR(V1)); /* not trusted */
	hear(&c, GREETING "500 5.5.2 Command not recognized\r\n");
	leave(&c);
	trust_balancers(false);
}

/* ---- time ---- */

static void a_command_that_dribbles_is_no_progress(void)
{
	struct client c;
	int64_t began = clock_mono();

	settings->smtpd.command_timeout = 200 * CLOCK_MS;
	connect_client(&c, false);
	hear(&c, GREETING);
	while (c.ends == 0 && clock_mono() - began < 3 * CLOCK_SECOND) {
		conn_write(c.conn, STR("N"));
		pass(20 * CLOCK_MS);
	}
	hear_the_end(&c, "421 4.4.2 mail.test Timeout, closing\r\n");
	UNIT_TRUE(clock_mono() - began < 1500 * CLOCK_MS);
	settings->smtpd.command_timeout = 300 * CLOCK_SECOND;
}

static void a_message_that_dribbles_is_too_slow(void)
{
	struct client c;
	int64_t began;

	settings->smtpd.data_timeout = 200 * CLOCK_MS;
	log_in(&c);
	say(&c, ENVELOPE "x: y\r\n\r\n");
	hear(&c, ENVELOPE_ANSWER);
	began = clock_mono();
	while (c.ends == 0 && clock_mono() - began < 3 * CLOCK_SECOND) {
		conn_write(c.conn, STR("N"));
		pass(20 * CLOCK_MS);
	}
	hear_the_end(&c, "421 4.4.2 mail.test The message comes too slowly, closing\r\n");
	UNIT_TRUE(clock_mono() - began < 1500 * CLOCK_MS);
	settings->smtpd.min_rate = 0;
	log_in(&c);
	say(&c, ENVELOPE "x: y\r\n\r\n");
	hear(&c, ENVELOPE_ANSWER);
	for (int i = 0; i < 25; i++) {
		conn_write(c.conn, STR("N"));
		pass(20 * CLOCK_MS);
	}
	say(&c, "\r\n.\r\n");
	hear_queued(&c);
	settings->smtpd.min_rate = 1024;
	settings->smtpd.data_timeout = 180 * CLOCK_SECOND;
	leave(&c);
}

static void a_session_ends_when_it_had_its_time(void)
{
	struct client idle, busy;

	settings->smtpd.session_time = 100 * CLOCK_MS;
	log_in(&busy);
	say(&busy, ENVELOPE "x: y\r\n");
	hear(&busy, ENVELOPE_ANSWER);
	connect_client(&idle, false);
	hear(&idle, GREETING);
	hear(&idle, "421 4.4.2 mail.test The session took its time, connect again\r\n");
	hear_the_end(&idle, "");
	UNIT_INT(busy.ends, 0);
	say(&busy, "\r\nbody\r\n.\r\n");
	hear_queued(&busy);
	hear(&busy, "421 4.4.2 mail.test The session took its time, connect again\r\n");
	hear_the_end(&busy, "");
	settings->smtpd.session_time = 4 * 3600 * CLOCK_SECOND;
}

/* ---- the end of the service ---- */

static void stop_draining(void)
{
	worker.is_draining = worker.is_cut = false;
	worker.drain_idle_at = 0;
	loop_timer_free(&worker.drain_timer);
	empties = 0;
	forget_counts();
}

static void draining_ends_the_idle_and_lets_a_message_finish(void)
{
	struct client talking, idle, busy, shaking, asked;

	connect_client(&talking, false);
	hear(&talking, GREETING);
	connect_client(&idle, false);
	hear(&idle, GREETING);
	log_in(&busy);
	say(&busy, ENVELOPE "x: y\r\n");
	hear(&busy, ENVELOPE_ANSWER);
	connect_client(&shaking, false);
	hear(&shaking, GREETING);
	say(&shaking, "STARTTLS\r\n");
	hear(&shaking, "220 2.0.0 Ready to start TLS\r\n");
	peers.is_gate_mute = true;
	connect_client(&asked, false);
	settle();
	UNIT_INT(worker.n_arrivals, 1);
	peers.is_gate_mute = false;
	smtpd_drain_begin(&worker, 300 * CLOCK_SECOND);
	hear_the_end(&asked, SHUTDOWN);
	UNIT_TRUE(until(&shaking.ends, 1));
	UNIT_INT(talking.heard.n, 0);
	say(&talking, "NOOP\r\n");
	hear_the_end(&talking, "250 2.0.0 Ok\r\n" SHUTDOWN);
	UNIT_INT(idle.heard.n, 0);
	worker.drain_idle_at = clock_mono() + 20 * CLOCK_MS; /* not to wait for ten seconds */
	smtpd_session_drain_all(&worker);
	hear_the_end(&idle, SHUTDOWN);
	UNIT_INT(empties, 0);
	say(&busy, "\r\nbody\r\n.\r\n");
	hear_queued(&busy);
	hear_the_end(&busy, SHUTDOWN);
	UNIT_TRUE(until(&empties, 1));
	buf_clear(&shaking.heard);
	stop_draining();
}

static void draining_cuts_what_does_not_end(void)
{
	struct client busy;

	log_in(&busy);
	say(&busy, ENVELOPE "x: y\r\n");
	hear(&busy, ENVELOPE_ANSWER);
	smtpd_drain_begin(&worker, 50 * CLOCK_MS);
	hear_the_end(&busy, SHUTDOWN);
	UNIT_TRUE(until(&empties, 1));
	stop_draining();
	/* One that waits for the queue hears nothing that may be wrong. */
	log_in(&busy);
	peers.is_qmgr_mute = true;
	say(&busy, ENVELOPE "x: y\r\n\r\n.\r\n");
	hear(&busy, ENVELOPE_ANSWER);
	UNIT_TRUE(until(&peers.submitted, peers.heard + 1));
	smtpd_drain_begin(&worker, 50 * CLOCK_MS);
	UNIT_TRUE(until(&empties, 1));
	peers.is_qmgr_mute = false;
	peers.heard = peers.submitted;
	UNIT_INT(worker.n_sessions, 0);
	hear_the_end(&busy, "");
	stop_draining();
}

UNIT_TESTS({"start", start_all}, {"STARTTLS, login and a message", starttls_login_and_a_message},
	   {"pipelined messages, large and small", pipelined_messages_large_and_small},
	   {"gate says no, or is away", gate_says_no_or_is_away},
	   {"a login goes to the next gate when one dies", a_login_goes_to_the_next_gate_when_one_dies},
	   {"a message goes to the next qmgr when one dies", a_message_goes_to_the_next_qmgr_when_one_dies},
	   {"without a client a message is not sent again", without_a_client_a_message_is_not_sent_again},
	   {"what qmgr cannot store in time is 451", what_qmgr_cannot_store_in_time_is_451},
	   {"the idle and the stalled hear 421", the_idle_and_the_stalled_hear_421},
	   {"one session too many hears 421", one_session_too_many_hears_421},
	   {"a client that does not read is not read either", a_client_that_does_not_read_is_not_read_either},
	   {"gate decides who comes in", gate_decides_who_comes_in},
	   {"nothing is said before gate answers", nothing_is_said_before_gate_answers},
	   {"a client that leaves before gate answers is given back",
	    a_client_that_leaves_before_gate_answers_is_given_back},
	   {"a new gate hears first who is in", a_new_gate_hears_first_who_is_in},
	   {"without gate everybody comes in and sends", without_gate_everybody_comes_in_and_sends},
	   {"a gate that is slow stops nobody", a_gate_that_is_slow_stops_nobody},
	   {"gate decides how much is sent", gate_decides_how_much_is_sent},
	   {"a full queue takes nobody", a_full_queue_takes_nobody},
	   {"a PROXY header names the client", a_proxy_header_names_the_client},
	   {"a PROXY header comes in pieces", a_proxy_header_comes_in_pieces},
	   {"without a PROXY header a balancer is closed", without_a_proxy_header_a_balancer_is_closed},
	   {"a command that dribbles is no progress", a_command_that_dribbles_is_no_progress},
	   {"a message that dribbles is too slow", a_message_that_dribbles_is_too_slow},
	   {"a session ends when it had its time", a_session_ends_when_it_had_its_time},
	   {"draining ends the idle and lets a message finish",
	    draining_ends_the_idle_and_lets_a_message_finish},
	   {"draining cuts what does not end", draining_cuts_what_does_not_end},
	   {"stop", stop_all})
