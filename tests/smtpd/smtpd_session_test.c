/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole sessions: a client from its greeting to its end, and what happens when gate or qmgr is away.
 */
#include "smtpd/smtpd_session.h"

#include "tests/smtpd/world.h"

#define SUPPRESSED "550 5.7.1 This recipient is on the tenant's suppression list\r\n"
#define UNCHECKED "451 4.3.0 Cannot check this recipient now, try again later\r\n"

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

/* A mail of a tenant with a suppression list, up to where two recipients are asked for and gate dies. */
static void ask_for_recipients(struct client *c)
{
	unsigned before = peers.recipients_asked;

	peers.asks_recipients = true;
	log_in(c);
	say(c, "MAIL FROM:<a@b>\r\n");
	hear(c, "250 2.1.0 Ok\r\n");
	peers.is_gate_mute = true;
	say(c, "RCPT TO:<x@y>\r\nRCPT TO:<no@y>\r\nNOOP\r\n");
	UNIT_TRUE(until(&peers.recipients_asked, before + 1));
	ipc_peer_free(&peers.gate);
	settle();
	UNIT_INT(c->heard.n, 0);
	peers.is_gate_mute = false;
}

static void a_recipient_is_asked_for_at_the_next_gate_when_one_dies(void)
{
	unsigned before = peers.recipients_asked;
	struct client c;

	ask_for_recipients(&c);
	start_gate();
	hear(&c, "250 2.1.5 Ok\r\n" SUPPRESSED "250 2.0.0 Ok\r\n");
	/* The one that was under way once more, and the one behind it. */
	UNIT_INT(peers.recipients_asked, before + 3);
	peers.asks_recipients = false;
	leave(&c);
}

static void without_a_next_gate_a_recipient_is_451(void)
{
	struct client c;

	ask_for_recipients(&c);
	hear(&c, UNCHECKED);
	hear(&c, UNCHECKED "250 2.0.0 Ok\r\n");
	start_gate();
	/* The session is as good as before. */
	say(&c, "RCPT TO:<x@y>\r\nRCPT TO:<no@y>\r\nDATA\r\n");
	hear(&c, "250 2.1.5 Ok\r\n" SUPPRESSED "354 End data with <CR><LF>.<CR><LF>\r\n");
	say(&c, "x: y\r\n\r\n.\r\n");
	hear_queued(&c);
	peers.asks_recipients = false;
	leave(&c);
}

/* The client goes while gate is asked: nobody is told then. */
static void a_client_that_goes_while_a_recipient_is_asked_for_leaves_nothing(void)
{
	struct client c;

	ask_for_recipients(&c);
	conn_free(&c.conn);
	buf_clear(&c.heard);
	settle();
	start_gate();
	settle();
	peers.asks_recipients = false;
	log_in(&c);
	say(&c, ENVELOPE "x: y\r\n\r\n.\r\n");
	hear(&c, ENVELOPE_ANSWER);
	hear_queued(&c);
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
	UNIT_INT(peers.again, 1);
	peers.heard = peers.submitted;
	leave(&c);
}

/* Said again, a message of a direct mode could be sent twice. */
static void an_answer_of_the_qmgr_that_died_counts(void)
{
	struct client c;
	unsigned before;

	log_in(&c);
	before = peers.submitted;
	peers.is_qmgr_mute = true;
	say(&c, ENVELOPE "x: y\r\n\r\n.\r\n");
	hear(&c, ENVELOPE_ANSWER);
	UNIT_TRUE(until(&peers.submitted, before + 1));
	/* It answers and dies, and its successor is there before smtpd's loop has turned. */
	answer_submit(peers.qmgr, peers.last_id);
	ipc_peer_free(&peers.qmgr);
	peers.is_qmgr_mute = false;
	start_qmgr();
	hear_queued(&c);
	UNIT_INT(peers.submitted, before + 1);
	peers.heard = peers.submitted;
	leave(&c);
}

static void a_full_queue_is_seen(void)
{
	static const char words[] = {1, 0};
	bool *is_full = &worker.rules.is_under_pressure;

	smtpd_queue_show_full(worker.queue, is_full);
	for (unsigned i = 0; i < sizeof(words); i++) {
		ipc_send(peers.qmgr, IPC_PRESSURE, 0, str_bytes(&words[i], 1), -1);
		settle();
		UNIT_INT(*is_full, words[i]);
	}
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

/* Else a session could be held for ever between two chunks: a message under way is not ended for its time. */
static void commands_between_chunks_are_no_part_of_the_message(void)
{
	struct client c;
	int64_t began;

	settings->smtpd.data_timeout = 300 * CLOCK_MS;
	log_in(&c);
	say(&c, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 6\r\nx: y\r\n");
	hear(&c, "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n250 2.0.0 6 octets received\r\n");
	began = clock_mono();
	while (c.ends == 0 && clock_mono() - began < 3 * CLOCK_SECOND) {
		for (int i = 0; i < 20; i++)
			conn_write(c.conn, STR("NOOP\r\n"));
		pass(20 * CLOCK_MS);
	}
	UNIT_TRUE(c.ends > 0 && clock_mono() - began < 1500 * CLOCK_MS);
	buf_clear(&c.heard);
	settings->smtpd.data_timeout = 180 * CLOCK_SECOND;
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
	/* the octets of a chunk that is no message's are no way round it */
	connect_client(&idle, false);
	hear(&idle, GREETING);
	say(&idle, "BDAT 1000000000000\r\nQUIT\r\n");
	hear(&idle, "421 4.4.2 mail.test The session took its time, connect again\r\n");
	hear_the_end(&idle, "");
	settings->smtpd.session_time = 4 * 3600 * CLOCK_SECOND;
}

/* It is not stored whatever comes: it may not hold the session. */
static void a_refused_message_is_no_way_round_the_time(void)
{
	struct client c;
	int64_t began = clock_mono();

	settings->smtpd.session_time = 200 * CLOCK_MS;
	settings->smtpd.command_timeout = 200 * CLOCK_MS;
	log_in(&c);
	say(&c, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 2 FIRST\r\nxxBDAT 1000000000000\r\n");
	while (c.ends == 0 && clock_mono() - began < 3 * CLOCK_SECOND) {
		conn_write(c.conn, STR("octets"));
		pass(20 * CLOCK_MS);
	}
	UNIT_TRUE(c.ends > 0 && clock_mono() - began < 1500 * CLOCK_MS);
	buf_clear(&c.heard);
	settings->smtpd.command_timeout = 300 * CLOCK_SECOND;
	settings->smtpd.session_time = 4 * 3600 * CLOCK_SECOND;
}

UNIT_TESTS({"start", start_all},
	   {"STARTTLS, login and a message", starttls_login_and_a_message},
	   {"pipelined messages, large and small", pipelined_messages_large_and_small},
	   {"gate says no, or is away", gate_says_no_or_is_away},
	   {"a login goes to the next gate when one dies", a_login_goes_to_the_next_gate_when_one_dies},
	   {"a recipient is asked for at the next gate when one dies", a_recipient_is_asked_for_at_the_next_gate_when_one_dies},
	   {"without a next gate a recipient is 451", without_a_next_gate_a_recipient_is_451},
	   {"a client that goes while a recipient is asked for leaves nothing",
	    a_client_that_goes_while_a_recipient_is_asked_for_leaves_nothing},
	   {"a message goes to the next qmgr when one dies", a_message_goes_to_the_next_qmgr_when_one_dies},
	   {"an answer of the qmgr that died counts", an_answer_of_the_qmgr_that_died_counts},
	   {"a full queue is seen", a_full_queue_is_seen},
	   {"without a client a message is not sent again", without_a_client_a_message_is_not_sent_again},
	   {"what qmgr cannot store in time is 451", what_qmgr_cannot_store_in_time_is_451},
	   {"the idle and the stalled hear 421", the_idle_and_the_stalled_hear_421},
	   {"one session too many hears 421", one_session_too_many_hears_421},
	   {"a client that does not read is not read either", a_client_that_does_not_read_is_not_read_either},
	   {"a command that dribbles is no progress", a_command_that_dribbles_is_no_progress},
	   {"commands between chunks are no part of the message", commands_between_chunks_are_no_part_of_the_message},
	   {"a refused message is no way round the time", a_refused_message_is_no_way_round_the_time},
	   {"a message that dribbles is too slow", a_message_that_dribbles_is_too_slow},
	   {"a session ends when it had its time", a_session_ends_when_it_had_its_time},
	   {"stop", stop_all})
