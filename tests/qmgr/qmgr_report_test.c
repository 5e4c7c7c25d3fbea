/* SPDX-License-Identifier: Apache-2.0
 *
 * Delivery reports: which facts make one, that they are written with the fact and told once, together, and not too often; and
 * recipients that come back later.
 */
#include "lib/base/clock.h"
#include "tests/qmgr/qmgr_world.h"
#include "tests/support/pg_fixture.h"
#include "tests/support/unit.h"

enum { MOST = 4096 };

static const struct str four[] = {{"a@example.org", 13}, {"b@example.org", 13}, {"c@example.org", 13}, {"d@example.org", 13}};

static struct world *start(void)
{
	world_begin();
	pg_fixture_sql(world_database(), "UPDATE tenant SET bounce_from = 'mailer@acme.example', retry_first = '20 minutes', retry_longest = '20 minutes'");
	return world_start("host-a", false);
}

static struct ipc_message message_to(unsigned n, const char *dsn)
{
	struct ipc_message m = world_message("Subject: hello\r\n\r\nx\r\n");

	m.recipients = four;
	m.n_recipients = n;
	m.dsn = str_of(dsn);
	return m;
}

/* The n-th job and outcome of this world. */
static struct uuid send(struct world *w, unsigned n, const struct ipc_message *m, const struct ipc_outcome *o)
{
	world_submit_message(w, n, m, -1);
	given(w, n);
	world_report(w, n - 1, o);
	struck_out(w, n);
	return m->id;
}

static const struct ipc_outcome taken = {.class = IPC_OUTCOME_SENT, .code = 202, .reason = STR("Accepted"), .provider_id = STR("P-1")};
static const struct ipc_outcome refused = {.class = IPC_OUTCOME_PERMANENT, .code = 550, .status = STR("5.7.1"), .reason = STR("no")};
static const struct ipc_outcome later = {.class = IPC_OUTCOME_TRANSIENT, .code = 451, .status = STR("4.2.1"), .reason = STR("busy")};

static bool is_counted(struct world *w, unsigned n)
{
	(void)w;
	return world_count("SELECT count(*) FROM event WHERE kind IN ('reported', 'unreported')") == (long long)n;
}

static bool is_nothing_to_tell(struct world *w, unsigned n)
{
	(void)w, (void)n;
	return world_count("SELECT count(*) FROM report") == 0;
}

/* The only report, its lines with a bar between them. */
static const char *report(void)
{
	return pg_fixture_ask(world_database(), "SELECT replace(convert_from(content, 'UTF8'), E'\\r\\n', '|') FROM message WHERE content LIKE '%multipart/report%'");
}

static bool says(const char *words)
{
	return strstr(report(), words) != NULL;
}

static void what_failed_together_is_told_in_one_report(void)
{
	struct world *w = start();
	struct ipc_message m = message_to(4, "ENVID=QQ1\n1 NOTIFY=NEVER\n2 ORCPT=rfc822;c@c\n");
	struct buf bytes = BUF_MAX(MOST);
	struct ipc_outcome o = refused;

	/* All in one outcome, with words of their own; c is left, and given up by the next one. */
	ipc_put_refusal(&bytes, &(struct ipc_refusal){2, IPC_OUTCOME_TRANSIENT, 450, STR("4.2.1"), STR("later")});
	ipc_put_refusal(&bytes, &(struct ipc_refusal){3, IPC_OUTCOME_PERMANENT, 551, STR("5.1.1"), STR("nobody")});
	o.refusals = buf_str(&bytes);
	send(w, 1, &m, &o);
	UNIT_INT(world_count("SELECT count(*) FROM report WHERE action = 'failed' AND recipients = '{0,1,3}'"), 1);
	pg_fixture_sql(world_database(), "UPDATE queue SET due_at = now(); UPDATE shard SET wake = wake + 1");
	given(w, 2);
	world_report(w, 1, &later);
	struck_out(w, 2);
	pg_fixture_sql(world_database(), "UPDATE queue SET due_at = now(); UPDATE shard SET wake = wake + 1");
	given(w, 3);
	world_report(w, 2, &refused);
	UNIT_TRUE(world_until(is_counted, w, 1));
	UNIT_INT(world_count("SELECT count(*) FROM report"), 0);
	UNIT_TRUE(says("To: <sender@example.org>|") && says("Original-Envelope-Id: QQ1|"));
	UNIT_TRUE(says("rfc822; a@example.org|Action: failed|Status: 5.7.1|Diagnostic-Code: X-Provider; 550 no|"));
	UNIT_TRUE(says("rfc822; d@example.org|Action: failed|Status: 5.1.1|Diagnostic-Code: X-Provider; 551 nobody|"));
	UNIT_TRUE(says("Original-Recipient: rfc822; c@c|Final-Recipient: rfc822; c@example.org|Action: failed|Status: 5.7.1|"));
	UNIT_TRUE(!says("b@example.org"));
	/* The report fails too: of that nobody is told. */
	given(w, 4);
	UNIT_TEXT(w->job[3].recipient, "sender@example.org");
	UNIT_TEXT(w->job[3].mail_from, "");
	world_report(w, 3, &refused);
	struck_out(w, 4);
	UNIT_INT(world_count("SELECT count(*) FROM report"), 0);
	UNIT_INT(world_count("SELECT count(*) FROM message"), 2);
	buf_clear(&bytes);
	world_free(&w);
}

static void success_is_told_to_who_asks(void)
{
	struct world *w = start();
	struct ipc_message m = message_to(3, "RET=FULL\n0 NOTIFY=SUCCESS\n1 NOTIFY=FAILURE\n2 NOTIFY=DELAY,SUCCESS\n");
	struct ipc_outcome passed = taken;

	passed.is_dsn_passed = true;
	send(w, 1, &m, &taken);
	/* With the outcome, whatever becomes of this process. */
	UNIT_INT(world_count("SELECT count(*) FROM report WHERE action = 'relayed' AND recipients = '{0,2}'"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM event WHERE kind = 'relayed' AND recipients = '{0,2}'"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM delivery WHERE state = 'sent'"), 3);
	/* Who has these now reports himself; these have no sender; and these were not asked for. */
	m.id = uuid_new(clock_wall());
	send(w, 2, &m, &passed);
	m = message_to(3, "\n0 NOTIFY=SUCCESS\n");
	m.mail_from = STR("");
	send(w, 3, &m, &taken);
	m = message_to(3, "");
	send(w, 4, &m, &taken);
	UNIT_INT(world_count("SELECT count(*) FROM report"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM event WHERE kind = 'relayed'"), 1);
	UNIT_TRUE(world_until(is_counted, w, 1));
	UNIT_TRUE(says("a@example.org|Action: relayed|Status: 2.0.0|") && says("rfc822; c@example.org|"));
	UNIT_TRUE(!says("b@example.org") && says("|Content-Type: text/rfc822-headers||Subject: hello|"));
	world_free(&w);
}

/* The outcome comes from a journal. */
static void success_is_told_of_what_another_process_sent(void)
{
	struct world *w = start();
	struct ipc_message m = message_to(1, "\n0 NOTIFY=SUCCESS\n");

	world_submit_message(w, 1, &m, -1);
	given(w, 1);
	world_kill(w);
	world_restart_early(w);
	world_report(w, 0, &taken);
	qmgr_go(w->qmgr);
	struck_out(w, 1);
	UNIT_INT(world_count("SELECT count(*) FROM delivery WHERE state = 'sent'"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM report WHERE action = 'relayed' AND recipients IS NULL"), 1);
	world_free(&w);
}

static void delay_is_told_once_to_who_asks(void)
{
	struct world *w = start();
	struct ipc_message m = message_to(2, "\n1 NOTIFY=DELAY\n");

	send(w, 1, &m, &later);
	m = message_to(2, "\n0 NOTIFY=SUCCESS\n");
	send(w, 2, &m, &later);
	UNIT_INT(world_count("SELECT count(*) FROM queue WHERE wants_delay"), 1);
	pg_fixture_sql(world_database(), "UPDATE queue SET queued_at = now() - interval '5 hours'");
	UNIT_TRUE(world_until(is_counted, w, 1));
	UNIT_TRUE(says("b@example.org|Action: delayed|Status: 4.0.0|Diagnostic-Code: X-Provider; 0 busy|Will-Retry-Until: "));
	UNIT_TRUE(!says("a@example.org"));
	UNIT_INT(world_count("SELECT count(*) FROM event WHERE kind = 'delayed'"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM queue WHERE wants_delay"), 0);
	UNIT_INT(world_count("SELECT report_delays(1, 10)"), 0);
	/* It arrives after all: the report was one, and the messages are still there. */
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 3);
	world_free(&w);
}

static void of_some_delay_and_of_none_that_is_not_wanted(void)
{
	struct world *w = start();
	struct ipc_message m = message_to(1, "\n0 NOTIFY=DELAY\n");

	w->settings->bounces.delay_after = 0;
	send(w, 1, &m, &later);
	pg_fixture_sql(world_database(), "UPDATE queue SET queued_at = now() - interval '5 hours'");
	/* A turn is over when this is told. */
	m = message_to(1, "");
	send(w, 2, &m, &refused);
	UNIT_TRUE(world_until(is_counted, w, 1));
	UNIT_INT(world_count("SELECT count(*) FROM queue WHERE wants_delay"), 1);
	/* No longer than the settings say, and not of a tenant that wants no reports. */
	UNIT_INT(world_count("SELECT report_delays(6 * 3600000000::int8, 10)"), 0);
	pg_fixture_sql(world_database(), "UPDATE tenant SET bounce_from = ''");
	UNIT_INT(world_count("SELECT report_delays(4 * 3600000000::int8, 10)"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM report"), 0);
	UNIT_INT(world_count("SELECT count(*) FROM event WHERE kind = 'delayed'"), 0);
	world_free(&w);
}

static void a_storm_is_cut_off_and_a_suppressed_sender_hears_nothing(void)
{
	struct world *w = start();
	struct ipc_message m;

	w->settings->bounces.per_hour = 2;
	pg_fixture_sql(world_database(), "INSERT INTO suppression (tenant_id, address) SELECT tenant_id, 'forged@example.org' FROM tenant");
	for (unsigned i = 1; i <= 5; i++) {
		m = message_to(1, "");
		m.mail_from = i == 1 ? STR("\"forged\"@Example.org") : STR("sender@example.org");
		send(w, i, &m, &refused);
	}
	UNIT_TRUE(world_until(is_counted, w, 5));
	UNIT_INT(world_count("SELECT count(*) FROM event WHERE kind = 'reported'"), 2);
	UNIT_INT(world_count("SELECT count(*) FROM event WHERE kind = 'unreported' AND reason LIKE '%per_hour'"), 2);
	UNIT_INT(world_count("SELECT count(*) FROM event WHERE kind = 'unreported' AND reason LIKE '%suppressed'"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM message WHERE mail_from = ''"), 2);
	UNIT_INT(world_count("SELECT count(*) FROM report"), 0);
	/* An hour later it may send some again. */
	pg_fixture_sql(world_database(), "UPDATE report_use SET since = now() - interval '61 minutes'");
	given(w, 7);
	m = message_to(1, "");
	world_submit_message(w, 8, &m, -1);
	given(w, 8);
	world_report(w, 7, &refused);
	UNIT_TRUE(world_until(is_counted, w, 6));
	UNIT_INT(world_count("SELECT n FROM report_use"), 1);
	world_free(&w);
}

static void what_cannot_be_told_goes(void)
{
	struct world *w = start();

	/* The message is gone; its tenant is. */
	pg_fixture_sql(world_database(),
		       "INSERT INTO report (tenant_id, message_id, action, code, status, reason)"
		       " SELECT tenant_id, gen_random_uuid(), 'failed', 550, '', '' FROM tenant;"
		       "INSERT INTO report (tenant_id, message_id, action, code, status, reason)"
		       " SELECT gen_random_uuid(), gen_random_uuid(), 'failed', 550, '', ''");
	UNIT_TRUE(world_until(is_nothing_to_tell, w, 0));
	UNIT_INT(world_count("SELECT count(*) FROM message"), 0);
	world_free(&w);
}

/* Two hosts that tell the same at once, or one that was told that the commit failed. */
static void a_report_is_stored_once(void)
{
	static const char *const store =
		"SELECT report_store(0, s.owner, s.epoch + %s, m.tenant_id, m.message_id, '{1}', gen_random_uuid(), 'sender@example.org',"
		" 'sender@example.org', false, false, 'report', 0) FROM message m, shard s WHERE s.shard = 0 AND m.mail_from <> ''";
	struct world *w = start();
	char sql[512];

	pg_fixture_sql(world_database(),
		       "INSERT INTO message (tenant_id, message_id, user_id, session, client, helo, mail_from, recipients, is_8bit, is_utf8,"
		       " size, mail_at, received_at, content) SELECT tenant_id, gen_random_uuid(), gen_random_uuid(), '', '', '',"
		       " 'sender@example.org', '{a@b.example}', false, false, 1, now(), now(), 'x' FROM tenant;"
		       "INSERT INTO report (tenant_id, message_id, action, code, status, reason, at)"
		       " SELECT tenant_id, message_id, 'failed', 550, '', '', now() + interval '1 hour' FROM message");
	snprintf(sql, sizeof(sql), store, "1");
	UNIT_INT(world_count(sql), 0);
	snprintf(sql, sizeof(sql), store, "0");
	UNIT_INT(world_count(sql), 1);
	UNIT_INT(world_count(sql), 0);
	UNIT_INT(world_count("SELECT count(*) FROM message WHERE mail_from = ''"), 1);
	world_free(&w);
}

static bool has_bounced(struct world *w, unsigned n)
{
	(void)w;
	return world_count("SELECT count(*) FROM delivery WHERE state = 'bounced' AND code = 550 AND status = '5.1.1' AND reason = 'gone'"
			   " AND provider_id = 'P-1'") == (long long)n;
}

/* Also when this process ends between the two. */
static void who_was_taken_bounces_later(void)
{
	struct world *w = start();
	struct ipc_message m = message_to(3, "");
	struct buf bytes = BUF_MAX(MOST);
	struct ipc_outcome o = taken;

	ipc_put_refusal(&bytes, &(struct ipc_refusal){1, IPC_OUTCOME_SENT, 550, STR("5.1.1"), STR("gone")});
	o.refusals = buf_str(&bytes);
	send(w, 1, &m, &o);
	UNIT_INT(world_count("SELECT count(*) FROM delivery WHERE state = 'sent' AND code = 202"), 3);
	UNIT_INT(world_count("SELECT count(*) FROM bounce_later WHERE recipient = 'b@example.org' AND due_at > now()"), 1);
	world_kill(w);
	pg_fixture_sql(world_database(), "UPDATE bounce_later SET due_at = now()");
	world_restart(w, false);
	UNIT_TRUE(world_until(has_bounced, w, 1));
	UNIT_INT(world_count("SELECT count(*) FROM delivery WHERE state = 'sent'"), 2);
	UNIT_INT(world_count("SELECT count(*) FROM bounce_later"), 0);
	UNIT_INT(world_count("SELECT count(*) FROM event WHERE kind = 'bounced' AND recipients = '{1}' AND code = 550"), 1);
	/* The sender is told as of any failure. */
	UNIT_TRUE(world_until(is_counted, w, 1));
	UNIT_TRUE(says("b@example.org|Action: failed|Status: 5.1.1|Diagnostic-Code: X-Provider; 550 gone|"));
	/* It is said a second time, of somebody unknown, and of who was never taken. */
	UNIT_INT(world_count("SELECT count(*) FROM message m, unnest('{b@example.org,x@example.org}'::text[]) r"
			     " WHERE delivery_bounced(m.tenant_id, m.message_id, r, now(), 1, '', '')"), 0);
	buf_clear(&bytes);
	world_free(&w);
}

UNIT_TESTS({"what failed together is told in one report", what_failed_together_is_told_in_one_report},
	   {"success is told to who asks", success_is_told_to_who_asks},
	   {"success is told of what another process sent", success_is_told_of_what_another_process_sent},
	   {"delay is told once to who asks", delay_is_told_once_to_who_asks},
	   {"of some delay and of none that is not wanted", of_some_delay_and_of_none_that_is_not_wanted},
	   {"a storm is cut off and a suppressed sender hears nothing", a_storm_is_cut_off_and_a_suppressed_sender_hears_nothing},
	   {"what cannot be told goes", what_cannot_be_told_goes}, {"a report is stored once", a_report_is_stored_once},
	   {"who was taken bounces later", who_was_taken_bounces_later})
