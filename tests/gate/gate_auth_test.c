/* SPDX-License-Identifier: Apache-2.0
 *
 * gate as smtpd sees it: AUTH frames over a socket pair, users in a real Postgres, as the role that
 * gate has.
 */
#include "gate/gate_auth.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/trouble.h"
#include "lib/ipc/ipc.h"
#include "lib/ipc/ipc_body.h"
#include "lib/queue/password.h"
#include "lib/service/metrics.h"
#include "tests/support/pg_fixture.h"
#include "tests/support/unit.h"

enum { ANSWERS_MAX = 512, NONE = -1 };

static struct loop *loop;
static struct gate *gate;
static struct ipc_peer *smtpd;
static unsigned n_answers;
static int verdicts[ANSWERS_MAX];
static struct ipc_auth_result last;
static char last_tenant[64], last_user[64], last_senders[128];

static bool on_frame(void *ctx, struct ipc_peer *peer, struct ipc_frame *frame)
{
	struct ipc_auth_result result;

	(void)ctx;
	(void)peer;
	must(frame->type == IPC_AUTH_RESULT && frame->id < ANSWERS_MAX);
	if (!ipc_get_auth_result(&frame->body, &result))
		return false;
	verdicts[frame->id] = result.verdict;
	str_copy(result.tenant_name, last_tenant, sizeof(last_tenant));
	str_copy(result.user_name, last_user, sizeof(last_user));
	str_copy(result.senders, last_senders, sizeof(last_senders));
	last = result;
	n_answers++;
	return true;
}

static void on_close(void *ctx, struct ipc_peer *peer, const char *why)
{
	(void)ctx;
	(void)peer;
	(void)why;
}

static const struct ipc_events events = {on_frame, on_close};

static void add_smtpd(void)
{
	int fds[2];

	ipc_pair(fds);
	gate_add_peer(gate, 0, fds[0]);
	smtpd = ipc_peer_new(loop, fds[1], ROLE_SMTPD, ROLE_GATE, 0, &events, NULL);
}

static void send_auth(uint64_t id, const struct ipc_auth *request)
{
	struct buf body = BUF_MAX(16384);

	verdicts[id] = NONE;
	ipc_put_auth(&body, request);
	ipc_send(smtpd, IPC_AUTH, id, buf_str(&body), -1);
	buf_clear_secret(&body);
}

static void ask(uint64_t id, struct str user, const char *password)
{
	send_auth(id, &(struct ipc_auth){.session = STR("S1"),
					 .client = STR("192.0.2.1"),
					 .user = user,
					 .password = str_of(password)});
}

static void wait_for_answers(unsigned n)
{
	int64_t deadline = clock_mono() + 15 * CLOCK_SECOND;

	while (n_answers < n && clock_mono() < deadline)
		loop_turn(loop, 50 * CLOCK_MS);
	UNIT_INT(n_answers, n);
}

static int verdict_of(const char *user, const char *password)
{
	unsigned before = n_answers;

	ask(0, str_of(user), password);
	wait_for_answers(before + 1);
	return verdicts[0];
}

/* Logs in until the verdict is there, for 10 s: for what gate only hears of later. */
static bool becomes(const char *user, const char *password, int verdict)
{
	int64_t deadline = clock_mono() + 10 * CLOCK_SECOND;

	while (verdict_of(user, password) != verdict) {
		if (clock_mono() > deadline)
			return false;
		loop_turn(loop, 50 * CLOCK_MS);
	}
	return true;
}

/* How many hashes were computed so far, from the metrics. */
static unsigned hashes(void)
{
	static const char name[] = "gate_password_verify_seconds_count ";
	struct buf text = BUF_MAX(1 << 20);
	uint64_t n = 0;
	const char *at;
	struct str line;

	metrics_render(&text);
	buf_put_char(&text, '\0');
	at = strstr(text.p, name);
	must(at != NULL);
	line = str_of(at + strlen(name));
	str_u64(str_first(line, str_find(line, '\n')), 0, UINT32_MAX, &n);
	buf_clear(&text);
	return (unsigned)n;
}

static void set_password(const char *user, const char *password)
{
	char hash[PASSWORD_HASH_MAX], sql[1024];

	must(password_hash(str_of(password), hash, NULL));
	snprintf(sql, sizeof(sql), "UPDATE smtp_user SET password = '%s' WHERE name = '%s'", hash,
		 user);
	pg_fixture_sql("gate", sql);
}

static void make_users(void)
{
	pg_fixture_schema("gate");
	pg_fixture_sql(
		"gate",
		"INSERT INTO tenant (tenant_id, name) VALUES "
		"('00000000-0000-0000-0000-000000000001', 'acme');"
		"INSERT INTO tenant (tenant_id, name, is_enabled) "
		"VALUES ('00000000-0000-0000-0000-000000000002', 'shut', false);"
		"INSERT INTO smtp_user (tenant_id, user_id, name, password, is_enabled) VALUES "
		"('00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000011', "
		"'app', '', true),"
		"('00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000012', "
		"'off', '', false),"
		"('00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000013', "
		"'odd', '*', true),"
		"('00000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-000000000021', "
		"'of-shut', '', "
		"true);"
		"UPDATE tenant SET mode = 'direct-then-queue', per_day = 100 WHERE name = 'acme';"
		"UPDATE smtp_user SET senders = '{@example.com,a@b.example}', certificates = "
		"'{sha256:aa,dns:app.example,dns:shared.example}' WHERE name = 'app';"
		"INSERT INTO smtp_user (tenant_id, user_id, name, password, senders) VALUES "
		"('00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000014', 'many', '', "
		"ARRAY(SELECT 'a' || n || '@b.example' FROM generate_series(1, 2000) AS n));"
		"UPDATE smtp_user SET networks = '{10.0.0.0/8,2001:db8::/32}', certificates = "
		"'{email:odd@b.example,dns:shared.example}' WHERE name = 'odd';"
		"UPDATE smtp_user SET certificates = '{dns:off.example}' WHERE name = 'off'");
	set_password("app", "right");
	set_password("off", "right");
	set_password("of-shut", "right");
	set_password("odd", "odd");
	set_password("many", "right");
}

static void open_gate(void)
{
	static bool is_made;
	static struct settings *settings;
	struct gate_options options = {.database_host = pg_fixture_start(), .host = "test"};

	if (!is_made) {
		is_made = true;
		log_set(LOG_FORMAT_PLAIN, LOG_LEVEL_ERROR);
		make_users();
		close(metrics_create());
	}
	settings_free(&settings);
	settings = settings_new();
	free(settings->database.name);
	settings->database.name = str_dup(STR("gate"));
	/* Failures do not count here: gate_test.c is about that. */
	free(settings->limits.allow);
	settings->limits.allow = str_dup(STR("0.0.0.0/0 ::/0"));
	options.settings = settings;
	loop = loop_new();
	n_answers = 0;
	gate = gate_new(loop, &options);
	add_smtpd();
	UNIT_TRUE(becomes("nobody", "x", IPC_AUTH_BAD));
}

static void close_gate(void)
{
	ipc_peer_free(&smtpd);
	gate_free(&gate);
	loop_turn(loop, 0);
	loop_free(&loop);
}

static void only_the_right_password_of_an_enabled_user_comes_in(void)
{
	static const struct {
		const char *user, *password;
		int verdict;
	} cases[] = {
		{"app", "right", IPC_AUTH_OK},
		{"app", "wrong", IPC_AUTH_BAD},
		{"app", "", IPC_AUTH_BAD},
		{"app", "right ", IPC_AUTH_BAD},
		{"App", "right", IPC_AUTH_BAD},
		{"nobody", "right", IPC_AUTH_BAD},
		{"", "right", IPC_AUTH_BAD},
		{"off", "right", IPC_AUTH_BAD},
		{"of-shut", "right", IPC_AUTH_BAD},
		{"odd", "*", IPC_AUTH_BAD},
		{"odd", "odd", IPC_AUTH_BAD}, /* not from its networks */
		{"' OR 1=1 --", "right", IPC_AUTH_BAD},
		{"\xff\xfe", "right", IPC_AUTH_BAD},
		{"app\n", "right", IPC_AUTH_BAD},
		{"app", "right", IPC_AUTH_OK},
	};

	open_gate();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		UNIT_INT(verdict_of(cases[i].user, cases[i].password), cases[i].verdict);
		UNIT_TEXT(last_tenant, cases[i].verdict == IPC_AUTH_OK ? "acme" : "");
		UNIT_INT(last.user.b[15], cases[i].verdict == IPC_AUTH_OK ? 0x11 : 0);
	}
	close_gate();
}

static void smtpd_is_told_what_the_user_may(void)
{
	open_gate();
	UNIT_INT(verdict_of("app", "right"), IPC_AUTH_OK);
	UNIT_TEXT(last_user, "app");
	UNIT_TEXT(last_senders, "@example.com a@b.example");
	UNIT_INT(last.mode, IPC_DIRECT_THEN_QUEUE);
	close_gate();
}

static void a_user_of_whom_too_much_is_to_be_told_bothers_nobody_else(void)
{
	open_gate();
	UNIT_INT(verdict_of("many", "right"), IPC_AUTH_UNAVAILABLE);
	UNIT_INT(verdict_of("many", "wrong"), IPC_AUTH_BAD);
	UNIT_INT(verdict_of("app", "right"), IPC_AUTH_OK);
	close_gate();
}

static int verdict_from(const char *client)
{
	unsigned before = n_answers;

	send_auth(0, &(struct ipc_auth){.session = STR("S2"), .client = str_of(client), .user = STR("odd"),
					.password = STR("odd")});
	wait_for_answers(before + 1);
	return verdicts[0];
}

static void a_user_with_networks_comes_from_these_only(void)
{
	open_gate();
	for (int i = 0; i < 2; i++) {	/* the second time it is remembered */
		UNIT_INT(verdict_from("192.0.2.1"), IPC_AUTH_BAD);
		UNIT_TEXT(last_tenant, "");
		UNIT_INT(verdict_from("10.1.2.3"), IPC_AUTH_OK);
		UNIT_INT(verdict_from("2001:db8::25"), IPC_AUTH_OK);
		UNIT_INT(verdict_from("unknown"), IPC_AUTH_BAD);
	}
	close_gate();
}

static void a_certificate_stands_for_one_user(void)
{
	static const struct {
		const char *words, *authzid;
		int verdict;
		const char *user;
	} cases[] = {
		{"sha256:aa", "", IPC_AUTH_OK, "app"},
		{"sha256:AA dns:nothing.example", "", IPC_AUTH_OK, "app"},
		{"sha256:aa", "app", IPC_AUTH_OK, "app"},
		{"sha256:aa", "odd", IPC_AUTH_BAD, ""},
		{"sha256:aaa", "", IPC_AUTH_BAD, ""},
		{"sha256:a", "", IPC_AUTH_BAD, ""},
		{"dns:App.Example", "", IPC_AUTH_OK, "app"},
		{"email:app.example", "", IPC_AUTH_BAD, ""},
		{"dns:shared.example", "", IPC_AUTH_BAD, ""},
		{"dns:shared.example", "app", IPC_AUTH_OK, "app"},
		{"dns:shared.example", "odd", IPC_AUTH_BAD, ""}, /* not from its networks */
		{"dns:shared.example", "nobody", IPC_AUTH_BAD, ""},
		{"dns:off.example", "", IPC_AUTH_BAD, ""},
		{"", "", IPC_AUTH_BAD, ""},
		{"", "app", IPC_AUTH_BAD, ""},
		{"   ", "app", IPC_AUTH_BAD, ""},
		{"\"},{\"", "", IPC_AUTH_BAD, ""},
		{"\xff", "\xff", IPC_AUTH_BAD, ""},
		{"sha256:aa", "\xff", IPC_AUTH_BAD, ""},
		{"sha256:aa", "", IPC_AUTH_OK, "app"},
	};
	unsigned before;

	open_gate();
	before = hashes();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned answered = n_answers;

		send_auth(0, &(struct ipc_auth){.mechanism = IPC_AUTH_EXTERNAL, .session = STR("S3"),
						.client = STR("192.0.2.1"), .user = str_of(cases[i].authzid),
						.certificate = str_of(cases[i].words)});
		wait_for_answers(answered + 1);
		UNIT_INT(verdicts[0], cases[i].verdict);
		UNIT_TEXT(last_user, cases[i].user);
	}
	UNIT_INT(hashes(), before);
	close_gate();
}

static void a_name_with_a_nul_is_nobodys(void)
{
	open_gate();
	ask(1, str_bytes("app\0x", 5), "right");
	wait_for_answers(n_answers + 1);
	UNIT_INT(verdicts[1], IPC_AUTH_BAD);
	close_gate();
}

static void an_unknown_user_costs_a_hash_too(void)
{
	unsigned before;

	open_gate();
	before = hashes();
	UNIT_INT(verdict_of("nobody", "y"), IPC_AUTH_BAD);
	UNIT_INT(hashes(), before + 1);
	UNIT_INT(verdict_of("off", "right"), IPC_AUTH_BAD);
	UNIT_INT(hashes(), before + 2);
	close_gate();
}

static void fifty_logins_at_once_cost_one_hash_and_later_ones_none(void)
{
	unsigned before, answered;

	open_gate();
	before = hashes();
	answered = n_answers;
	for (uint64_t i = 0; i < 50; i++)
		ask(i, STR("app"), "right");
	wait_for_answers(answered + 50);
	for (uint64_t i = 0; i < 50; i++)
		UNIT_INT(verdicts[i], IPC_AUTH_OK);
	UNIT_INT(hashes(), before + 1);
	UNIT_INT(verdict_of("app", "right"), IPC_AUTH_OK);
	UNIT_INT(hashes(), before + 1);
	close_gate();
}

static void a_changed_password_counts_within_seconds(void)
{
	open_gate();
	UNIT_INT(verdict_of("app", "right"), IPC_AUTH_OK);
	set_password("app", "new");
	UNIT_TRUE(becomes("app", "right", IPC_AUTH_BAD));
	UNIT_INT(verdict_of("app", "new"), IPC_AUTH_OK);
	pg_fixture_sql("gate", "UPDATE tenant SET is_enabled = false WHERE name = 'acme'");
	UNIT_TRUE(becomes("app", "new", IPC_AUTH_BAD));
	pg_fixture_sql("gate", "UPDATE tenant SET is_enabled = true WHERE name = 'acme'");
	set_password("app", "right");
	close_gate();
}

static void without_the_database_only_the_remembered_come_in(void)
{
	open_gate();
	UNIT_TRUE(becomes("app", "right", IPC_AUTH_OK));
	UNIT_INT(metrics_sum(METRIC_GATE_DATABASE_UP, 0), 1);
	pg_fixture_kill();
	UNIT_INT(verdict_of("app", "wrong"), IPC_AUTH_UNAVAILABLE);
	UNIT_INT(verdict_of("app", "right"), IPC_AUTH_OK);
	UNIT_INT(verdict_of("nobody", "x"), IPC_AUTH_UNAVAILABLE);
	UNIT_INT(metrics_sum(METRIC_GATE_DATABASE_UP, 0), 0);
	pg_fixture_restart();
	UNIT_TRUE(becomes("app", "wrong", IPC_AUTH_BAD));
	UNIT_INT(verdict_of("app", "right"), IPC_AUTH_OK);
	close_gate();
}

static void a_smtpd_that_dies_does_not_harm_the_next(void)
{
	open_gate();
	ask(1, STR("app"), "wrong-1");
	loop_turn(loop, 0);
	loop_turn(loop, 0);
	ipc_peer_free(&smtpd);
	add_smtpd();
	UNIT_INT(verdict_of("app", "wrong-1"), IPC_AUTH_BAD);
	UNIT_INT(verdict_of("app", "right"), IPC_AUTH_OK);
	close_gate();
}

static bool is_drained;

static void on_drained(void *ctx)
{
	(void)ctx;
	is_drained = true;
}

static void draining_waits_for_the_logins_under_way(void)
{
	unsigned before;

	open_gate();
	before = n_answers;
	is_drained = false;
	ask(1, STR("app"), "wrong");
	/* The frame is read in one of these turns, and the database is asked. */
	for (int i = 0; i < 3; i++)
		loop_turn(loop, CLOCK_MS);
	UNIT_INT(n_answers, before);
	gate_auth_drain(gate->auth, on_drained, NULL);
	UNIT_TRUE(!is_drained);
	wait_for_answers(before + 1);
	UNIT_TRUE(is_drained);
	UNIT_INT(verdicts[1], IPC_AUTH_BAD);
	close_gate();
}

UNIT_TESTS({"only the right password of an enabled user comes in",
	    only_the_right_password_of_an_enabled_user_comes_in},
	   {"smtpd is told what the user may", smtpd_is_told_what_the_user_may},
	   {"a user of whom too much is to be told bothers nobody else",
	    a_user_of_whom_too_much_is_to_be_told_bothers_nobody_else},
	   {"a user with networks comes from these only", a_user_with_networks_comes_from_these_only},
	   {"a certificate stands for one user", a_certificate_stands_for_one_user},
	   {"a name with a NUL is nobody's", a_name_with_a_nul_is_nobodys},
	   {"an unknown user costs a hash too", an_unknown_user_costs_a_hash_too},
	   {"fifty logins at once cost one hash, and later ones none",
	    fifty_logins_at_once_cost_one_hash_and_later_ones_none},
	   {"a changed password counts within seconds", a_changed_password_counts_within_seconds},
	   {"without the database only the remembered come in",
	    without_the_database_only_the_remembered_come_in},
	   {"a smtpd that dies does not harm the next", a_smtpd_that_dies_does_not_harm_the_next},
	   {"draining waits for the logins under way", draining_waits_for_the_logins_under_way})
