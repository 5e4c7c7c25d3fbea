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
#include "tests/support/certificate.h"
#include "tests/support/unit.h"

/* What gate and qmgr were told, and how they answer. */
struct peers {
	struct ipc_peer *gate, *qmgr;
	struct buf messages; /* contents, one behind the other */
	struct uuid ids[64]; /* of the messages */
	unsigned heard;	     /* whose 250 the client was given */
	unsigned asked, submitted, files;
	enum ipc_auth_verdict auth;
	enum ipc_submit_verdict submit;
	bool is_mute;
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

static bool on_frame(void *ctx, struct ipc_peer *peer, struct ipc_frame *frame)
{
	(void)ctx;
	if (frame->type == IPC_AUTH) {
		peers.asked++;
		if (!peers.is_mute)
			answer_auth(peer, frame->id);
	} else {
		take_submit(frame);
		if (!peers.is_mute)
			answer_submit(peer, frame->id);
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

static void connect_client(struct client *c, bool is_implicit)
{
	int fds[2];

	memset(c, 0, sizeof(*c));
	buf_init(&c->heard, 1 << 22);
	UNIT_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	for (int i = 0; i < 2; i++) /* so that a session that does not read is felt soon */
		setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &(int){16384}, sizeof(int));
	smtpd_session_start(&worker, fds[0], "192.0.2.7", is_implicit);
	c->conn = conn_new(loop, fds[1], 65536, &client_events, c);
	if (is_implicit)
		conn_start_tls_client(c->conn, tls_client, "localhost");
}

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
	buf_clear(&c->heard);
}

static void on_empty(void *ctx)
{
	(void)ctx;
	empties++;
}

/* The indices are false and true: a listener of each kind. */
static void add_listener(const char *key, int tls)
{
	for (size_t i = 0; i < settings_n_sections; i++)
		if (strcmp(settings_sections[i].name, "listeners") == 0)
			((struct settings_listener *)settings_add(settings, settings_sections[i].list, str_of(key)))->tls = tls;
}

static void start_all(void)
{
	struct tls_certificate seen;
	struct err err;

	log_set(LOG_FORMAT_JSON, LOG_LEVEL_ERROR);
	loop = loop_new();
	settings = settings_new();
	add_listener("submission", LISTENER_STARTTLS);
	add_listener("submissions", LISTENER_IMPLICIT);
	certificate = certificate_make("mail.test", "DNS:localhost", -86400, 86400, NULL);
	tls_client = tls_client_new(STR(""), true, TLS_1_2, &err);
	worker.loop = loop;
	worker.settings = settings;
	worker.rules = (struct smtpd_rules){
		.host_name = "mail.test", .message_size = 1048576, .recipients = 100, .max_errors = 20, .has_certificate = true};
	worker.tls = tls_server_new(TLS_1_2);
	UNIT_TRUE(tls_server_add(worker.tls, str_of(certificate.both), STR(""), time(NULL), &seen, &err));
	worker.gate = smtpd_gate_new(loop, smtpd_session_authenticated);
	worker.queue = smtpd_queue_new(loop, smtpd_session_submitted);
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
	peers.is_mute = true;
	say(&c, "AUTH PLAIN AGEAYg==\r\n");
	UNIT_TRUE(until(&peers.asked, peers.asked + 1));
	ipc_peer_free(&peers.gate); /* it dies while it is asked, and none follows */
	hear(&c, "454 4.7.0 Temporary authentication failure\r\n");
	peers.is_mute = false;
	start_gate();
	say(&c, "AUTH PLAIN AGEAYg==\r\n");
	hear(&c, "235 2.7.0 Authentication successful\r\n");
	leave(&c);
}

static void a_login_goes_to_the_next_gate_when_one_dies(void)
{
	struct client c;

	connect_client(&c, true);
	peers.is_mute = true;
	say(&c, LOGIN);
	UNIT_TRUE(until(&peers.asked, peers.asked + 1));
	ipc_peer_free(&peers.gate);
	settle();
	peers.is_mute = false;
	start_gate();
	hear(&c, "220 mail.test ESMTP smtp-proxy\r\n" EHLO_ANSWER "235 2.7.0 Authentication successful\r\n");
	leave(&c);
}

static void a_message_goes_to_the_next_qmgr_when_one_dies(void)
{
	struct client c;
	unsigned before;

	log_in(&c);
	before = peers.submitted;
	peers.is_mute = true;
	say(&c, ENVELOPE "x: y\r\n\r\n.\r\n");
	hear(&c, ENVELOPE_ANSWER);
	UNIT_TRUE(until(&peers.submitted, before + 1));
	ipc_peer_free(&peers.qmgr);
	settle();
	UNIT_INT(c.heard.n, 0);
	peers.is_mute = false;
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
	peers.is_mute = true;
	say(&c, ENVELOPE "x: y\r\n\r\n.\r\n");
	hear(&c, ENVELOPE_ANSWER);
	UNIT_TRUE(until(&peers.submitted, before + 1));
	smtpd_session_free_all(&worker);
	ipc_peer_free(&peers.qmgr);
	peers.is_mute = false;
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
		hear(&c, "250 2.0.0 Ok\r\n214 2.0.0 EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT "
			 "(RFC 5321)\r\n");
		heard++;
	}
	UNIT_INT(heard, 20000);
	leave(&c);
}

static void draining_ends_the_idle_and_lets_a_message_finish(void)
{
	struct client idle, busy, shaking;

	connect_client(&idle, false);
	hear(&idle, "220 mail.test ESMTP smtp-proxy\r\n");
	log_in(&busy);
	say(&busy, ENVELOPE "x: y\r\n");
	hear(&busy, ENVELOPE_ANSWER);
	connect_client(&shaking, false);
	hear(&shaking, "220 mail.test ESMTP smtp-proxy\r\n");
	say(&shaking, "STARTTLS\r\n");
	hear(&shaking, "220 2.0.0 Ready to start TLS\r\n");
	smtpd_session_drain_all(&worker);
	hear(&idle, "421 4.3.2 mail.test Service shutting down, try again\r\n");
	UNIT_TRUE(until(&idle.ends, 1));
	UNIT_TRUE(until(&shaking.ends, 1));
	UNIT_INT(empties, 0);
	say(&busy, "\r\nbody\r\n.\r\n");
	hear_queued(&busy);
	hear(&busy, "421 4.3.2 mail.test Service shutting down, try again\r\n");
	UNIT_TRUE(until(&busy.ends, 1));
	UNIT_TRUE(until(&empties, 1));
	worker.is_draining = false;
	buf_clear(&idle.heard);
	buf_clear(&shaking.heard);
	leave(&busy);
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
	   {"draining ends the idle and lets a message finish",
	    draining_ends_the_idle_and_lets_a_message_finish},
	   {"stop", stop_all})
