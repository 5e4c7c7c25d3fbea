/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections, bans and mails as smtpds ask gate about them, over socket pairs, with users in a real Postgres.
 */
#include "gate/gate.h"

#include <stdlib.h>
#include <unistd.h>

#include "gate/gate_control.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/trouble.h"
#include "lib/ipc/ipc_body.h"
#include "lib/queue/password.h"
#include "lib/service/metrics.h"
#include "tests/support/pg_fixture.h"
#include "tests/support/unit.h"

enum { SMTPDS = 2, NONE = -1 };

static struct loop *loop;
static struct gate *gate;
static struct settings *settings;
static struct ipc_peer *smtpd[SMTPDS];
static unsigned n_answers;
static int verdict; /* the last one */
static unsigned n_of[IPC_AUTH_VERDICTS]; /* answers to logins */
static bool asks_recipients; /* of the last MAY_SEND_RESULT */
static struct ipc_auth_result last_auth; /* its texts are gone */
static struct uuid tenant, user; /* who logged in last */
static char told[131072];

static bool on_frame(void *ctx, struct ipc_peer *peer, struct ipc_frame *frame)
{
	static const unsigned counts[IPC_COUNT] = {[IPC_CONNECT_RESULT] = IPC_CONNECT_VERDICTS,
						   [IPC_MAY_RECEIVE_RESULT] = IPC_MAY_RECEIVE_VERDICTS};
	struct ipc_auth_result result;
	unsigned got;

	(void)ctx;
	(void)peer;
	n_answers++;
	if (frame->type == IPC_AUTH_RESULT) {
		must(ipc_get_auth_result(&frame->body, &result));
		verdict = result.verdict;
		n_of[verdict]++;
		last_auth = result;
		if (result.verdict == IPC_AUTH_OK) {
			tenant = result.tenant;
			user = result.user;
		}
		return true;
	}
	if (frame->type == IPC_MAY_SEND_RESULT) {
		struct ipc_may_send_result send;

		must(ipc_get_may_send_result(&frame->body, &send));
		verdict = (int)send.verdict;
		asks_recipients = send.asks_recipients;
		return true;
	}
	must(ipc_get_verdict(&frame->body, counts[frame->type], &got));
	verdict = (int)got;
	return true;
}

static void on_close(void *ctx, struct ipc_peer *peer, const char *why)
{
	(void)ctx;
	(void)peer;
	(void)why;
}

static const struct ipc_events events = {on_frame, on_close};

static void add_smtpd(unsigned slot)
{
	int fds[2];

	ipc_pair(fds);
	gate_add_peer(gate, slot, fds[0]);
	smtpd[slot] = ipc_peer_new(loop, fds[1], ROLE_SMTPD, ROLE_GATE, slot, &events, NULL);
}

static void kill_smtpd(unsigned slot)
{
	ipc_peer_free(&smtpd[slot]);
	for (int i = 0; i < 3; i++)
		loop_turn(loop, CLOCK_MS);
}

static void put(char **text, const char *value)
{
	free(*text);
	*text = str_dup(str_of(value));
}

static void make_users(void)
{
	char hash[PASSWORD_HASH_MAX], sql[2048];

	pg_fixture_schema("gate");
	must(password_hash(STR("right"), hash, NULL));
	snprintf(sql, sizeof(sql),
		 "INSERT INTO tenant (tenant_id, name) VALUES ('00000000-0000-0000-0000-000000000001', 'acme');"
		 "INSERT INTO smtp_user (tenant_id, user_id, name, password) VALUES "
		 "('00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000011', 'app', '%s'),"
		 "('00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000012', 'bot', '%s')",
		 hash, hash);
	pg_fixture_sql("gate", sql);
}

static void start_gate(void)
{
	gate = gate_new(loop, &(struct gate_options){.settings = settings, .host = "test",
						     .database_host = pg_fixture_start()});
	for (unsigned i = 0; i < SMTPDS; i++)
		add_smtpd(i);
}

static void stop_gate(void)
{
	for (unsigned i = 0; i < SMTPDS; i++)
		ipc_peer_free(&smtpd[i]);
	gate_free(&gate);
}

static void begin(void)
{
	static bool is_made;

	if (!is_made) {
		is_made = true;
		log_set(LOG_FORMAT_PLAIN, LOG_LEVEL_ERROR);
		make_users();
		close(metrics_create());
	}
	loop = loop_new();
	settings = settings_new();
	put(&settings->database.name, "gate");
	put(&settings->limits.allow, "10.0.0.0/8");
	start_gate();
}

static void end(void)
{
	stop_gate();
	loop_turn(loop, 0);
	loop_free(&loop);
	settings_free(&settings);
}

static int wait_for_answer(unsigned before)
{
	int64_t deadline = clock_mono() + 15 * CLOCK_SECOND;

	while (n_answers == before && clock_mono() < deadline)
		loop_turn(loop, 50 * CLOCK_MS);
	UNIT_TRUE(n_answers > before);
	return n_answers == before ? NONE : verdict;
}

static void send_connect(unsigned slot, enum ipc_type type, const char *client, bool is_inside)
{
	struct buf body = BUF_MAX(256);

	ipc_put_connect(&body, &(struct ipc_connect){STR("S"), str_of(client), is_inside});
	ipc_send(smtpd[slot], type, 1, buf_str(&body), -1);
	buf_clear(&body);
}

static int connect_from(unsigned slot, const char *client)
{
	unsigned before = n_answers;

	send_connect(slot, IPC_CONNECT, client, false);
	return wait_for_answer(before);
}

static void disconnect(unsigned slot, const char *client)
{
	send_connect(slot, IPC_DISCONNECT, client, false);
}

static void send_login(unsigned slot, const char *client, const char *name, const char *password)
{
	struct buf body = BUF_MAX(1024);

	ipc_put_auth(&body, &(struct ipc_auth){.session = STR("S"), .client = str_of(client), .user = str_of(name),
					       .password = str_of(password)});
	ipc_send(smtpd[slot], IPC_AUTH, 2, buf_str(&body), -1);
	buf_clear(&body);
}

static int login(unsigned slot, const char *client, const char *name, const char *password)
{
	unsigned before = n_answers;

	send_login(slot, client, name, password);
	return wait_for_answer(before);
}

static void send_mail(unsigned slot, enum ipc_type type, const char *client)
{
	struct buf body = BUF_MAX(256);

	ipc_put_may_send(&body, &(struct ipc_may_send){STR("S"), str_of(client), tenant, user});
	ipc_send(smtpd[slot], type, 3, buf_str(&body), -1);
	buf_clear(&body);
}

static int may_send(unsigned slot, const char *client)
{
	unsigned before = n_answers;

	send_mail(slot, IPC_MAY_SEND, client);
	return wait_for_answer(before);
}

static void on_told(void *ctx, struct str json)
{
	(void)ctx;
	must(str_copy(json, told, sizeof(told)));
}

static const char *ask(const char *words)
{
	told[0] = '\0';
	gate_control_ask(gate, str_of(words), on_told, NULL);
	return told;
}

static bool has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		printf("\nno %s in %s\n", part, text);
	return strstr(text, part) != NULL;
}

/* ---- connections ---- */

static void an_address_has_so_many_connections(void)
{
	begin();
	settings->limits.connections_per_address = 2;
	UNIT_INT(connect_from(0, "192.0.2.1"), IPC_CONNECT_OK);
	UNIT_INT(connect_from(1, "192.0.2.1"), IPC_CONNECT_OK);
	UNIT_INT(connect_from(0, "192.0.2.1"), IPC_CONNECT_TOO_MANY);
	UNIT_INT(connect_from(0, "::ffff:192.0.2.1"), IPC_CONNECT_TOO_MANY);
	UNIT_INT(connect_from(0, "192.0.2.2"), IPC_CONNECT_OK);
	disconnect(1, "192.0.2.1");
	UNIT_INT(connect_from(1, "192.0.2.1"), IPC_CONNECT_OK);
	/* What was refused, or never came in, cannot leave. */
	for (int i = 0; i < 5; i++)
		disconnect(0, "192.0.2.77");
	UNIT_INT(connect_from(1, "192.0.2.1"), IPC_CONNECT_TOO_MANY);
	/* An IPv6 customer has a /64. */
	UNIT_INT(connect_from(0, "2001:db8::1"), IPC_CONNECT_OK);
	UNIT_INT(connect_from(0, "2001:db8::2"), IPC_CONNECT_OK);
	UNIT_INT(connect_from(0, "2001:db8::3"), IPC_CONNECT_TOO_MANY);
	UNIT_INT(connect_from(0, "2001:db8:0:1::1"), IPC_CONNECT_OK);
	settings->limits.connections_per_address = 0;
	UNIT_INT(connect_from(0, "192.0.2.1"), IPC_CONNECT_OK);
	end();
}

static void a_host_has_so_many_connections(void)
{
	begin();
	settings->limits.connections = 3;
	settings->limits.connections_per_address = 1;
	UNIT_INT(connect_from(0, "10.0.0.1"), IPC_CONNECT_OK);
	UNIT_INT(connect_from(0, "10.0.0.1"), IPC_CONNECT_OK); /* allowed: not limited by address */
	UNIT_INT(connect_from(0, "192.0.2.1"), IPC_CONNECT_OK);
	UNIT_INT(connect_from(0, "192.0.2.2"), IPC_CONNECT_FULL);
	UNIT_INT(connect_from(0, "10.0.0.1"), IPC_CONNECT_FULL);
	disconnect(0, "10.0.0.1");
	/* One that is refused takes no place. */
	UNIT_INT(connect_from(0, "192.0.2.1"), IPC_CONNECT_TOO_MANY);
	UNIT_INT(connect_from(0, "192.0.2.2"), IPC_CONNECT_OK);
	UNIT_INT(connect_from(0, "192.0.2.3"), IPC_CONNECT_FULL);
	end();
}

static void a_smtpd_that_dies_gives_its_connections_back(void)
{
	begin();
	settings->limits.connections = 4;
	settings->limits.connections_per_address = 2;
	UNIT_INT(connect_from(0, "192.0.2.1"), IPC_CONNECT_OK);
	UNIT_INT(connect_from(1, "192.0.2.1"), IPC_CONNECT_OK);
	UNIT_INT(connect_from(0, "10.0.0.1"), IPC_CONNECT_OK);
	UNIT_INT(connect_from(0, "10.0.0.1"), IPC_CONNECT_OK);
	UNIT_INT(connect_from(1, "192.0.2.2"), IPC_CONNECT_FULL);
	kill_smtpd(0);
	UNIT_INT(gate->connections, 1);
	UNIT_INT(connect_from(1, "192.0.2.1"), IPC_CONNECT_OK);
	UNIT_INT(connect_from(1, "192.0.2.1"), IPC_CONNECT_TOO_MANY);
	add_smtpd(0);
	/* A second connection to the same one takes the first one's place. */
	UNIT_INT(connect_from(0, "192.0.2.9"), IPC_CONNECT_OK);
	UNIT_INT(gate->connections, 3);
	ipc_peer_free(&smtpd[0]);
	add_smtpd(0);
	UNIT_INT(connect_from(0, "192.0.2.9"), IPC_CONNECT_OK);
	UNIT_INT(gate->connections, 3);
	end();
}

static void those_inside_are_counted_by_a_new_gate(void)
{
	unsigned before;

	begin();
	settings->limits.connections = 4;
	settings->limits.connections_per_address = 2;
	before = n_answers;
	for (int i = 0; i < 3; i++)
		send_connect(0, IPC_CONNECT, "192.0.2.1", true);
	UNIT_INT(connect_from(0, "192.0.2.1"), IPC_CONNECT_TOO_MANY);
	UNIT_INT(n_answers, before + 1);
	UNIT_INT(connect_from(0, "192.0.2.2"), IPC_CONNECT_OK);
	UNIT_INT(connect_from(0, "192.0.2.3"), IPC_CONNECT_FULL);
	disconnect(0, "192.0.2.1");
	disconnect(0, "192.0.2.1");
	UNIT_INT(connect_from(0, "192.0.2.1"), IPC_CONNECT_OK);
	end();
}

static void what_left_the_allowed_networks_still_leaves(void)
{
	begin();
	settings->limits.connections_per_address = 1;
	UNIT_INT(connect_from(0, "10.0.0.1"), IPC_CONNECT_OK);
	UNIT_INT(connect_from(0, "192.0.2.1"), IPC_CONNECT_OK);
	put(&settings->limits.allow, "192.0.2.0/24");
	gate_use_settings(gate, settings);
	disconnect(0, "10.0.0.1");
	disconnect(0, "192.0.2.1");
	UNIT_INT(connect_from(0, "10.0.0.1"), IPC_CONNECT_OK);
	UNIT_INT(gate->connections, 1);
	end();
}

/* ---- bans ---- */

static void the_fifth_failed_login_bans(void)
{
	begin();
	for (int i = 0; i < 4; i++)
		UNIT_INT(login(0, "192.0.2.1", i == 2 ? "secret-typed-as-name" : "app", "wrong"), IPC_AUTH_BAD);
	/* A success in between changes nothing. */
	UNIT_INT(login(0, "192.0.2.1", "app", "right"), IPC_AUTH_OK);
	UNIT_INT(connect_from(0, "192.0.2.1"), IPC_CONNECT_OK);
	UNIT_INT(login(1, "192.0.2.1", "app", "wrong too"), IPC_AUTH_BANNED);
	UNIT_INT(connect_from(0, "192.0.2.1"), IPC_CONNECT_BANNED);
	UNIT_INT(gate->connections, 1);
	/* Sessions that were there before do not help, not even with the right password. */
	UNIT_INT(login(0, "192.0.2.1", "app", "right"), IPC_AUTH_BANNED);
	UNIT_INT(login(0, "192.0.2.1", "app", "wrong"), IPC_AUTH_BANNED);
	UNIT_INT(login(0, "192.0.2.2", "app", "right"), IPC_AUTH_OK);
	UNIT_INT(metrics_sum(METRIC_BANS, 0), 1);
	UNIT_TRUE(has(ask("ban list"), "\"address\":\"192.0.2.1\""));
	UNIT_TRUE(has(told, "5 failed logins within 300 s: app, app, not a known user, app, app\""));
	UNIT_TRUE(has(told, "\"total\":1"));
	UNIT_TRUE(has(ask("ban why 192.0.2.1"), "\"banned\":true"));
	UNIT_TRUE(has(told, "\"user\":\"app\",\"why\":\"wrong password\""));
	UNIT_TRUE(has(told, "\"user\":\"\",\"why\":\"unknown user\""));
	UNIT_TRUE(strstr(told, "secret") == NULL);
	UNIT_TRUE(has(ask("ban lift 192.0.2.1"), "\"banned\":true"));
	UNIT_INT(metrics_sum(METRIC_BANS, 0), 0);
	UNIT_INT(connect_from(0, "192.0.2.1"), IPC_CONNECT_OK);
	UNIT_INT(login(0, "192.0.2.1", "app", "wrong"), IPC_AUTH_BAD);
	end();
}

/* Guesses from one address fill its own part of the queue, not that of others. */
static void one_address_does_not_keep_the_others_from_logging_in(void)
{
	unsigned before;
	char guess[16];

	begin();
	settings->limits.failed_logins = 0;
	memset(n_of, 0, sizeof(n_of));
	before = n_answers;
	for (int i = 0; i < 400; i++) {
		snprintf(guess, sizeof(guess), "guess-%d", i);
		send_login(0, "192.0.2.1", "app", guess);
	}
	send_login(1, "192.0.2.2", "app", "right");
	while (n_answers < before + 401)
		if (wait_for_answer(n_answers) == NONE)
			break;
	UNIT_INT(n_of[IPC_AUTH_OK], 1);
	UNIT_TRUE(n_of[IPC_AUTH_BAD] >= 16);
	UNIT_TRUE(n_of[IPC_AUTH_UNAVAILABLE] >= 200);
	end();
}

static void allowed_addresses_are_never_banned(void)
{
	begin();
	settings->limits.failed_logins = 1;
	for (int i = 0; i < 3; i++)
		UNIT_INT(login(0, "10.1.1.1", "app", "wrong"), IPC_AUTH_BAD);
	UNIT_TRUE(has(ask("ban add 10.1.1.1 60 root"), "\"error\""));
	UNIT_TRUE(has(ask("ban why 10.1.1.1"), "\"allowed\":true"));
	UNIT_INT(login(0, "192.0.2.5", "app", "wrong"), IPC_AUTH_BANNED);
	settings->limits.failed_logins = 0;
	for (int i = 0; i < 3; i++)
		UNIT_INT(login(0, "192.0.2.6", "app", "wrong"), IPC_AUTH_BAD);
	end();
}

static void an_operator_bans_and_lifts(void)
{
	static const char *const nonsense[] = {"",	    "ban",	   "ban list all",	 "ban why",	"ban add",
					       "ban why x", "ban add ::1", "ban add ::1 -5 root", "ban eat ::1", "status"};

	begin();
	UNIT_TRUE(has(ask("ban list"), "{\"bans\":[],\"total\":0}"));
	UNIT_TRUE(has(ask("ban add 2001:db8::5 60 root it sent \"spam\""), "\"address\":\"2001:db8::/64\""));
	UNIT_INT(connect_from(0, "2001:db8::6"), IPC_CONNECT_BANNED);
	UNIT_TRUE(has(ask("ban why 2001:db8::7"), "\"reason\":\"by root: it sent \\\"spam\\\"\""));
	UNIT_TRUE(has(ask("ban why 2001:db8::/64"), "\"banned\":true"));
	UNIT_TRUE(has(ask("ban add 192.0.2.1 0 root"), "\"address\":\"192.0.2.1\",\"until\":"));
	UNIT_TRUE(has(ask("ban why 192.0.2.1"), "\"reason\":\"by root\""));
	UNIT_TRUE(has(ask("ban lift 2001:db8::/64"), "\"banned\":true"));
	UNIT_TRUE(has(ask("ban lift 2001:db8::/64"), "\"banned\":false"));
	UNIT_INT(connect_from(0, "2001:db8::6"), IPC_CONNECT_OK);
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++)
		UNIT_TRUE(has(ask(nonsense[i]), "\"error\""));
	end();
}

/* ---- mails ---- */

static void an_address_sends_so_many_mails_a_minute(void)
{
	begin();
	settings->limits.mails_per_address = 3;
	UNIT_INT(login(0, "192.0.2.1", "app", "right"), IPC_AUTH_OK);
	for (int i = 0; i < 3; i++)
		UNIT_INT(may_send(0, "192.0.2.1"), IPC_MAY_SEND_OK);
	/* The minute may have turned once. */
	for (int i = 0; i < 3 && may_send(0, "192.0.2.1") == IPC_MAY_SEND_OK; i++)
		continue;
	UNIT_INT(verdict, IPC_MAY_SEND_ADDRESS);
	UNIT_INT(may_send(0, "192.0.2.2"), IPC_MAY_SEND_OK);
	for (int i = 0; i < 8; i++)
		UNIT_INT(may_send(0, "10.0.0.1"), IPC_MAY_SEND_OK);
	end();
}

static void users_and_tenants_have_limits_of_their_own(void)
{
	begin();
	pg_fixture_sql("gate", "UPDATE tenant SET per_month = 6;"
			       "UPDATE smtp_user SET per_day = 4, per_month = 5 WHERE name = 'app'");
	UNIT_INT(login(0, "10.0.0.1", "app", "right"), IPC_AUTH_OK);
	for (int i = 0; i < 4; i++)
		UNIT_INT(may_send(0, "10.0.0.1"), IPC_MAY_SEND_OK);
	UNIT_INT(may_send(0, "10.0.0.2"), IPC_MAY_SEND_USER);
	send_mail(0, IPC_NOT_SENT, "10.0.0.1");
	UNIT_INT(may_send(0, "10.0.0.1"), IPC_MAY_SEND_OK);
	UNIT_INT(may_send(0, "10.0.0.1"), IPC_MAY_SEND_USER);
	/* The other user has none, and the tenant has two left. */
	UNIT_INT(login(1, "10.0.0.1", "bot", "right"), IPC_AUTH_OK);
	UNIT_INT(may_send(1, "10.0.0.1"), IPC_MAY_SEND_OK);
	UNIT_INT(may_send(1, "10.0.0.1"), IPC_MAY_SEND_OK);
	UNIT_INT(may_send(1, "10.0.0.1"), IPC_MAY_SEND_TENANT);
	pg_fixture_sql("gate", "UPDATE tenant SET per_month = NULL; UPDATE smtp_user SET per_day = NULL, per_month = NULL");
	end();
}

static void a_changed_limit_counts_within_seconds(void)
{
	int64_t deadline;

	begin();
	UNIT_INT(login(0, "10.0.0.1", "app", "right"), IPC_AUTH_OK);
	UNIT_INT(may_send(0, "10.0.0.1"), IPC_MAY_SEND_OK);
	pg_fixture_sql("gate", "UPDATE tenant SET per_hour = 1");
	deadline = clock_mono() + 10 * CLOCK_SECOND;
	while (may_send(0, "10.0.0.1") == IPC_MAY_SEND_OK && clock_mono() < deadline)
		loop_turn(loop, 20 * CLOCK_MS);
	UNIT_INT(verdict, IPC_MAY_SEND_TENANT);
	pg_fixture_sql("gate", "UPDATE tenant SET per_hour = NULL");
	deadline = clock_mono() + 10 * CLOCK_SECOND;
	while (may_send(0, "10.0.0.1") != IPC_MAY_SEND_OK && clock_mono() < deadline)
		loop_turn(loop, 20 * CLOCK_MS);
	UNIT_INT(verdict, IPC_MAY_SEND_OK);
	end();
}

static int may_receive(const char *recipient)
{
	struct buf body = BUF_MAX(1024);
	unsigned before = n_answers;

	ipc_put_may_receive(&body, &(struct ipc_may_receive){STR("S"), tenant, str_of(recipient)});
	ipc_send(smtpd[0], IPC_MAY_RECEIVE, 4, buf_str(&body), -1);
	buf_clear(&body);
	return wait_for_answer(before);
}

static void suppressed_recipients_are_refused(void)
{
	static const struct {
		const char *recipient;
		int verdict;
	} cases[] = {
		{"joe@example.org", IPC_MAY_RECEIVE_SUPPRESSED},
		{"JOE@Example.ORG", IPC_MAY_RECEIVE_SUPPRESSED},
		{"Joe@example.org", IPC_MAY_RECEIVE_SUPPRESSED},
		{"joe@example.net", IPC_MAY_RECEIVE_OK},
		{"jo@example.org", IPC_MAY_RECEIVE_OK},
		{"anybody@All.example", IPC_MAY_RECEIVE_SUPPRESSED},
		{"anybody@sub.all.example", IPC_MAY_RECEIVE_OK},
		{"\"a@all.example\"@example.net", IPC_MAY_RECEIVE_OK},
		{"\xc3\xa9ric@EXAMPLE.org", IPC_MAY_RECEIVE_SUPPRESSED},
		{"other@example.com", IPC_MAY_RECEIVE_OK}, /* another tenant's */
		{"", IPC_MAY_RECEIVE_OK},
	};
	int64_t deadline;

	begin();
	UNIT_INT(login(0, "10.0.0.1", "app", "right"), IPC_AUTH_OK);
	UNIT_TRUE(!last_auth.asks_recipients && !last_auth.is_test);
	UNIT_INT(may_send(0, "10.0.0.1"), IPC_MAY_SEND_OK);
	UNIT_TRUE(!asks_recipients);
	pg_fixture_sql("gate", "UPDATE smtp_user SET is_test = true WHERE name = 'bot';"
			       "INSERT INTO suppression (tenant_id, address) VALUES"
			       " ('00000000-0000-0000-0000-000000000001', 'joe@example.org'),"
			       " ('00000000-0000-0000-0000-000000000001', '@all.example'),"
			       " ('00000000-0000-0000-0000-000000000001', '\xc3\xa9ric@example.org'),"
			       " ('00000000-0000-0000-0000-000000000002', 'other@example.com')");
	deadline = clock_mono() + 10 * CLOCK_SECOND;
	while (may_send(0, "10.0.0.1") == IPC_MAY_SEND_OK && !asks_recipients && clock_mono() < deadline)
		loop_turn(loop, 20 * CLOCK_MS);
	UNIT_TRUE(asks_recipients);
	UNIT_INT(login(0, "10.0.0.1", "bot", "right"), IPC_AUTH_OK);
	UNIT_TRUE(last_auth.asks_recipients && last_auth.is_test);
	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
			UNIT_INT(may_receive(cases[i].recipient), cases[i].verdict);
	/* What was heard is good for some seconds, in which nothing is asked. */
	pg_fixture_sql("gate", "ALTER TABLE suppression RENAME TO elsewhere");
	UNIT_INT(may_receive("joe@example.org"), IPC_MAY_RECEIVE_SUPPRESSED);
	UNIT_INT(may_receive("new@example.org"), IPC_MAY_RECEIVE_UNAVAILABLE);
	pg_fixture_sql("gate", "ALTER TABLE elsewhere RENAME TO suppression");
	UNIT_INT(may_receive("new@example.org"), IPC_MAY_RECEIVE_OK);
	pg_fixture_sql("gate", "DELETE FROM suppression; UPDATE tenant SET has_suppressions = false;"
			       "UPDATE smtp_user SET is_test = false");
	end();
}

/* The first address of a tenant is a change that gate hears of; the others are none. */
static void only_the_first_suppression_is_a_change(void)
{
	long long before, first, second;

	begin();
	before = atoll(pg_fixture_ask("gate", "SELECT generation FROM change WHERE topic = 'smtp_user'"));
	pg_fixture_sql("gate", "INSERT INTO suppression (tenant_id, address)"
			       " SELECT '00000000-0000-0000-0000-000000000001', n || '@x.y' FROM generate_series(1, 9) n");
	first = atoll(pg_fixture_ask("gate", "SELECT generation FROM change WHERE topic = 'smtp_user'"));
	pg_fixture_sql("gate", "INSERT INTO suppression (tenant_id, address)"
			       " VALUES ('00000000-0000-0000-0000-000000000001', '10@x.y')");
	second = atoll(pg_fixture_ask("gate", "SELECT generation FROM change WHERE topic = 'smtp_user'"));
	UNIT_INT(first, before + 1);
	UNIT_INT(second, first);
	pg_fixture_sql("gate", "DELETE FROM suppression; UPDATE tenant SET has_suppressions = false");
	end();
}

static void a_smtpd_sends_only_as_who_logged_in_there(void)
{
	begin();
	UNIT_INT(login(0, "10.0.0.1", "app", "right"), IPC_AUTH_OK);
	UNIT_INT(may_send(0, "10.0.0.1"), IPC_MAY_SEND_OK);
	UNIT_INT(may_send(1, "10.0.0.1"), IPC_MAY_SEND_USER);
	/* The tenant of one with the user of another. */
	tenant.b[15] ^= 2;
	UNIT_INT(may_send(0, "10.0.0.1"), IPC_MAY_SEND_USER);
	end();
}

static void sessions_go_on_when_gate_is_started_again(void)
{
	begin();
	pg_fixture_sql("gate", "UPDATE smtp_user SET per_day = 1000000 WHERE name = 'app'");
	UNIT_INT(login(0, "10.0.0.1", "app", "right"), IPC_AUTH_OK);
	stop_gate();
	start_gate();
	send_connect(0, IPC_CONNECT, "10.0.0.1", true);
	UNIT_INT(may_send(0, "10.0.0.1"), IPC_MAY_SEND_OK);
	UNIT_INT(may_send(0, "10.0.0.1"), IPC_MAY_SEND_OK);
	/* One connection is one identity; and it must be somebody. */
	user.b[15] = 0x12;
	UNIT_INT(may_send(0, "10.0.0.1"), IPC_MAY_SEND_USER);
	send_connect(0, IPC_CONNECT, "10.0.0.1", true);
	user.b[15] = 0x99;
	UNIT_INT(may_send(0, "10.0.0.1"), IPC_MAY_SEND_USER);
	pg_fixture_sql("gate", "UPDATE smtp_user SET per_day = NULL");
	end();
}

UNIT_TESTS({"an address has so many connections", an_address_has_so_many_connections},
	   {"a host has so many connections", a_host_has_so_many_connections},
	   {"a smtpd that dies gives its connections back", a_smtpd_that_dies_gives_its_connections_back},
	   {"those inside are counted by a new gate", those_inside_are_counted_by_a_new_gate},
	   {"what left the allowed networks still leaves", what_left_the_allowed_networks_still_leaves},
	   {"the fifth failed login bans", the_fifth_failed_login_bans},
	   {"one address does not keep the others from logging in",
	    one_address_does_not_keep_the_others_from_logging_in},
	   {"allowed addresses are never banned", allowed_addresses_are_never_banned},
	   {"an operator bans and lifts", an_operator_bans_and_lifts},
	   {"an address sends so many mails a minute", an_address_sends_so_many_mails_a_minute},
	   {"users and tenants have limits of their own", users_and_tenants_have_limits_of_their_own},
	   {"a changed limit counts within seconds", a_changed_limit_counts_within_seconds},
	   {"suppressed recipients are refused", suppressed_recipients_are_refused},
	   {"only the first suppression is a change", only_the_first_suppression_is_a_change},
	   {"a smtpd sends only as who logged in there", a_smtpd_sends_only_as_who_logged_in_there},
	   {"sessions go on when gate is started again", sessions_go_on_when_gate_is_started_again})
