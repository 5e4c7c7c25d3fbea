/* SPDX-License-Identifier: Apache-2.0
 *
 * Who comes in: what gate says, what happens without it, a full queue, and load balancers.
 */
#include "smtpd/smtpd_arrival.h"

#include "tests/smtpd/world.h"

/* ---- who comes in ---- */

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

/* Else a user's counts would go down by what was never counted, whenever gate is away for a moment. */
static void what_was_not_counted_is_not_given_back(void)
{
	struct client c;

	log_in(&c);
	forget_counts();
	ipc_peer_free(&peers.gate);
	settle();
	say(&c, "MAIL FROM:<a@b>\r\n");
	hear(&c, "250 2.1.0 Ok\r\n");
	start_gate();
	say(&c, "RSET\r\n");
	hear(&c, "250 2.0.0 Ok\r\n");
	say(&c, "MAIL FROM:<a@b>\r\n"); /* NOT_SENT would come before its question */
	hear(&c, "250 2.1.0 Ok\r\n");
	UNIT_INT(peers.mails, 1);
	UNIT_INT(peers.not_sent, 0);
	leave(&c);
	UNIT_TRUE(until(&peers.not_sent, 1));
}

#define FULL "421 4.3.2 mail.test Too many messages are waiting, try again later\r\n"

static void come_and_go(void)
{
	struct client c;

	connect_client(&c, false);
	hear(&c, GREETING);
	say(&c, "QUIT\r\n");
	hear_the_end(&c, "221 2.0.0 Bye\r\n");
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
	hear_the_end(&b, FULL);
	connect_client(&b, true);
	hear_the_end(&b, "");
	UNIT_INT(peers.connects, 0);
	starttls.mode = IPC_DIRECT; /* needs no queue */
	come_and_go();
	starttls.mode = IPC_QUEUED;
	ipc_peer_free(&peers.qmgr); /* what it said died with it */
	settle();
	come_and_go();
	start_qmgr();
	ipc_send(peers.qmgr, IPC_PRESSURE, 0, buf_str(&body), -1);
	settle();
	connect_client(&b, false);
	hear_the_end(&b, FULL);
	buf_reset(&body);
	buf_put_u8(&body, 0);
	ipc_send(peers.qmgr, IPC_PRESSURE, 0, buf_str(&body), -1);
	settle();
	come_and_go();
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

UNIT_TESTS({"start", start_all},
	   {"gate decides who comes in", gate_decides_who_comes_in},
	   {"nothing is said before gate answers", nothing_is_said_before_gate_answers},
	   {"a client that leaves before gate answers is given back",
	    a_client_that_leaves_before_gate_answers_is_given_back},
	   {"a new gate hears first who is in", a_new_gate_hears_first_who_is_in},
	   {"without gate everybody comes in and sends", without_gate_everybody_comes_in_and_sends},
	   {"a gate that is slow stops nobody", a_gate_that_is_slow_stops_nobody},
	   {"gate decides how much is sent", gate_decides_how_much_is_sent},
	   {"what was not counted is not given back", what_was_not_counted_is_not_given_back},
	   {"a full queue takes nobody", a_full_queue_takes_nobody},
	   {"a PROXY header names the client", a_proxy_header_names_the_client},
	   {"a PROXY header comes in pieces", a_proxy_header_comes_in_pieces},
	   {"without a PROXY header a balancer is closed", without_a_proxy_header_a_balancer_is_closed},
	   {"stop", stop_all})
