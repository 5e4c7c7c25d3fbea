/* SPDX-License-Identifier: Apache-2.0
 *
 * The queue manager against a real Postgres, between a played smtpd and played delivery agents:
 * storing, answering, handing out, recording; deaths on every side.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "tests/qmgr/qmgr_world.h"
#include "tests/support/pg_fixture.h"
#include "tests/support/unit.h"

static void a_message_goes_its_way(void)
{
	struct world *w;
	struct uuid id;

	world_begin();
	w = world_start("host-a", false);
	id = world_submit(w, 7, "Subject: x\r\n\r\nbody\r\n");
	answered(w, 1);
	UNIT_INT(w->answer[0].frame_id, 7);
	UNIT_INT(w->answer[0].verdict, IPC_SUBMIT_STORED);
	UNIT_INT(world_count(
			 "SELECT count(*) FROM message JOIN queue USING (tenant_id, message_id)"),
		 1);
	given(w, 1);
	UNIT_TRUE(uuid_eq(&w->job[0].message, &id));
	UNIT_INT(w->job[0].attempt, 1);
	UNIT_INT(w->job[0].n_recipients, 2);
	UNIT_TEXT(w->job[0].provider, "dev");
	UNIT_TEXT(w->job[0].content, "Subject: x\r\n\r\nbody\r\n");
	world_outcome(w, w->job[0].agent, &id, 1, IPC_OUTCOME_SENT);
	struck_out(w, 1);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 0);
	UNIT_INT(world_count("SELECT count(*) FROM delivery WHERE state = 'sent' AND provider_id = "
			     "'P-1'"),
		 2);
	UNIT_INT(world_count("SELECT count(*) FROM delivery WHERE recipient = E'\"x\\\\\"y, "
			     "{}\"@example.org'"),
		 1);
	forgotten(w);
	UNIT_INT(w->qmgr->messages.body_bytes, 0);
	world_free(&w);
}

static void a_message_handed_in_twice_is_stored_once(void)
{
	struct world *w;
	struct ipc_message m;

	world_begin();
	w = world_start("host-a", false);
	m = world_message("x\r\n");
	world_submit_message(w, 1, &m, -1);
	world_submit_message(w, 2, &m, -1); /* while the first is being stored */
	answered(w, 2);
	world_submit_message(w, 3, &m, -1); /* while it is being sent */
	given(w, 1);
	world_outcome(w, w->job[0].agent, &m.id, 1, IPC_OUTCOME_SENT);
	struck_out(w, 1);
	world_submit_message(w, 4, &m, -1); /* when it is done */
	answered(w, 4);
	world_pass(100 * CLOCK_MS);
	for (unsigned i = 0; i < 4; i++)
		UNIT_INT(w->answer[i].verdict, IPC_SUBMIT_STORED);
	UNIT_INT(w->n_jobs, 1);
	UNIT_INT(world_count("SELECT count(*) FROM message"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 0);
	world_free(&w);
}

static void many_messages_share_a_commit(void)
{
	struct world *w;

	world_begin();
	w = world_start("host-a", false);
	for (unsigned i = 0; i < 1000; i++)
		world_submit(w, i, "x\r\n");
	answered(w, 1000);
	for (unsigned i = 0; i < 1000; i++)
		UNIT_INT(w->answer[i].verdict, IPC_SUBMIT_STORED);
	UNIT_INT(world_count("SELECT count(*) FROM message"), 1000);
	UNIT_TRUE(world_count("SELECT count(DISTINCT xmin::text) FROM message") < 100);
	given(w, 64); /* as many as the provider may have */
	for (unsigned i = 0; i < 1000; i++) {
		given(w, i + 1);
		if (i >= w->n_jobs)
			break;
		world_outcome(w, w->job[i].agent, &w->job[i].message, 1, IPC_OUTCOME_SENT);
	}
	struck_out(w, 1000);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 0);
	UNIT_INT(world_count("SELECT count(*) FROM delivery"), 2000);
	world_free(&w);
}

static void a_transient_failure_is_tried_again(void)
{
	struct world *w;
	struct uuid id;

	world_begin();
	w = world_start("host-a", false);
	id = world_submit(w, 1, "x\r\n");
	given(w, 1);
	world_outcome(w, w->job[0].agent, &id, 1, IPC_OUTCOME_TRANSIENT);
	struck_out(w, 1);
	UNIT_INT(world_count("SELECT count(*) FROM queue WHERE attempts = 1 AND due_at > now()"),
		 1);
	given(w, 2);
	UNIT_INT(w->job[1].attempt, 2);
	world_outcome(w, w->job[1].agent, &id, 2, IPC_OUTCOME_PROVIDER_FAULT);
	struck_out(w, 2);
	UNIT_INT(world_count("SELECT count(*) FROM queue WHERE attempts = 2 AND faults = 1"), 1);
	given(w, 3);
	UNIT_INT(w->job[2].attempt, 3);
	world_outcome(w, w->job[2].agent, &id, 3, IPC_OUTCOME_TRANSIENT);
	given(w, 4);
	UNIT_INT(w->job[3].attempt, 4);
	world_outcome(w, w->job[3].agent, &id, 4, IPC_OUTCOME_TRANSIENT);
	struck_out(w, 4);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 0);
	UNIT_INT(world_count("SELECT count(*) FROM dead_letter WHERE attempts = 4"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM delivery WHERE state = 'failed'"), 2);
	UNIT_INT(world_count("SELECT count(*) FROM event"), 4);
	world_free(&w);
}

static void a_refused_message_is_a_dead_letter(void)
{
	struct world *w;
	struct uuid id;

	world_begin();
	w = world_start("host-a", false);
	id = world_submit(w, 1, "x\r\n");
	given(w, 1);
	world_outcome(w, w->job[0].agent, &id, 1, IPC_OUTCOME_PERMANENT);
	struck_out(w, 1);
	UNIT_INT(world_count("SELECT count(*) FROM dead_letter WHERE reason = 'because ?'"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM event WHERE kind = 'dead'"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 0);
	world_free(&w);
}

static void an_outcome_told_twice_is_recorded_once(void)
{
	struct world *w;
	struct uuid id;

	world_begin();
	w = world_start("host-a", false);
	id = world_submit(w, 1, "x\r\n");
	given(w, 1);
	world_outcome(w, 0, &id, 1, IPC_OUTCOME_TRANSIENT);
	world_outcome(w, 0, &id, 1, IPC_OUTCOME_TRANSIENT);
	struck_out(w, 1);
	world_outcome(w, 0, &id, 1, IPC_OUTCOME_TRANSIENT);
	struck_out(w, 2);
	UNIT_INT(world_count("SELECT count(*) FROM event"), 1);
	world_free(&w);
}

static void an_unknown_outcome_is_held_when_the_tenant_wants_it(void)
{
	struct world *w;
	struct uuid id;

	world_begin();
	pg_fixture_sql(world_database(), "UPDATE tenant SET on_unknown = 'hold'");
	w = world_start("host-a", false);
	id = world_submit(w, 1, "x\r\n");
	given(w, 1);
	world_outcome(w, w->job[0].agent, &id, 1, IPC_OUTCOME_UNKNOWN);
	struck_out(w, 1);
	UNIT_INT(world_count("SELECT count(*) FROM queue WHERE is_held"), 1);
	forgotten(w);
	/* An operator releases it. */
	pg_fixture_sql(world_database(), "UPDATE queue SET is_held = false, due_at = now();"
					 "UPDATE shard SET wake = wake + 1");
	given(w, 2);
	UNIT_INT(w->job[1].attempt, 2);
	UNIT_TEXT(w->job[1].content, "x\r\n");
	world_free(&w);
}

/* A provider with an idempotency key may be asked again, as long as it knows the key. */
static void what_a_provider_recognizes_is_held_only_when_it_does_not_any_more(void)
{
	static const struct {
		int64_t began, queued; /* so long ago */
		bool is_pinned, is_held;
	} cases[] = {
		{0, 0, false, false},
		{25 * 3600 * CLOCK_SECOND, 0, false, true},
		{0, 25 * 3600 * CLOCK_SECOND, false, false},
		{0, 25 * 3600 * CLOCK_SECOND, true, true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w;
		struct qmgr_message *m;
		struct uuid id;

		world_begin();
		pg_fixture_sql(world_database(), "UPDATE tenant SET on_unknown = 'hold'");
		w = world_start("host-a", false);
		w->settings->provider[0].type = PROVIDER_RESEND;
		id = world_submit(w, 1, "x\r\n");
		given(w, 1);
		m = qmgr_message_find(w->qmgr, &id, 0);
		m->queued_at -= cases[i].queued;
		if (cases[i].is_pinned) {
			qmgr_message_pin(m, STR("dev"));
			pg_fixture_sql(world_database(), "UPDATE queue SET pinned = true, provider = 'dev'");
		}
		world_report(w, 0, &(struct ipc_outcome){.class = IPC_OUTCOME_UNKNOWN, .started_at = clock_wall() - cases[i].began});
		struck_out(w, 1);
		UNIT_INT(world_count("SELECT count(*) FROM queue WHERE is_held"), cases[i].is_held);
		UNIT_INT(world_count("SELECT count(*) FROM queue WHERE pinned AND provider = 'dev'"), 1);
		world_free(&w);
	}
}

static void a_tenants_mail_goes_to_one_address_and_to_the_sandbox(void)
{
	struct world *w;

	world_begin();
	pg_fixture_sql(world_database(), "UPDATE tenant SET is_test = true, redirect_to = 'all@test.example'");
	w = world_start("host-a", false);
	world_submit(w, 1, "x\r\n");
	given(w, 1);
	UNIT_TRUE(w->job[0].is_test);
	UNIT_INT(w->job[0].n_recipients, 1);
	UNIT_TEXT(w->job[0].recipient, "all@test.example");
	UNIT_TEXT(w->job[0].content, "X-Original-To: a@example.org\r\n"
				     "X-Original-To: \"x\\\"y, {}\"@example.org\r\nx\r\n");
	UNIT_INT(w->job[0].size, strlen(w->job[0].content));
	world_outcome(w, w->job[0].agent, &w->job[0].message, 1, IPC_OUTCOME_SENT);
	struck_out(w, 1);
	/* In the history stand those whom it was written to. */
	UNIT_INT(world_count("SELECT count(*) FROM delivery WHERE recipient LIKE '%@example.org'"), 2);
	world_free(&w);
}

static void a_redirected_message_that_grows_too_large_goes_as_a_file(void)
{
	struct buf text = BUF_MAX(1 << 20);
	struct ipc_message m;
	struct world *w;

	world_begin();
	pg_fixture_sql(world_database(), "UPDATE tenant SET redirect_to = 'all@test.example'");
	w = world_start("host-a", false);
	while (text.n < IPC_INLINE_MAX - 10)
		buf_put_char(&text, 'x');
	m = world_message("");
	m.content = buf_str(&text);
	m.size = (uint32_t)text.n;
	world_submit_message(w, 1, &m, -1);
	given(w, 1);
	UNIT_TRUE(w->job[0].has_file);
	UNIT_TRUE(w->job[0].size > text.n);
	UNIT_TRUE(str_starts(str_of(w->job[0].content), STR("X-Original-To: a@example.org\r\n")));
	UNIT_TRUE(!w->job[0].is_test);
	buf_clear(&text);
	world_free(&w);
}

static bool tenant_is_known(struct world *w, unsigned most_attempts)
{
	return qmgr_tenant_of(w->qmgr, &world_tenant)->wishes.max_attempts == most_attempts;
}

static void a_tenant_may_wish_otherwise_than_the_settings_say(void)
{
	const struct qmgr_tenant *t;
	struct world *w;

	world_begin();
	pg_fixture_sql(world_database(), "UPDATE tenant SET max_attempts = 7, retry_first = '2s', keep_messages = '0'");
	w = world_start("host-a", false);
	UNIT_TRUE(world_until(tenant_is_known, w, 7));
	t = qmgr_tenant_of(w->qmgr, &world_tenant);
	UNIT_INT(t->wishes.retry_first, 2 * CLOCK_SECOND);
	UNIT_INT(t->wishes.keep_messages, 0);
	UNIT_INT(t->wishes.max_age, w->settings->queue.max_age);
	/* What it does not wish for follows the settings. */
	w->settings->queue.max_age += CLOCK_SECOND;
	qmgr_on_reload(w->qmgr);
	UNIT_INT(t->wishes.max_age, w->settings->queue.max_age);
	UNIT_INT(t->wishes.retry_first, 2 * CLOCK_SECOND);
	world_free(&w);
}

static void operators_change_rows_under_it(void)
{
	struct world *w;

	world_begin();
	w = world_start("host-a", true);
	for (unsigned i = 0; i < 10; i++)
		world_submit(w, i, "x\r\n");
	answered(w, 10);
	/* Held before any agent was there. */
	pg_fixture_sql(world_database(), "UPDATE queue SET is_held = true;"
					 "UPDATE shard SET wake = wake + 1");
	world_pass(1500 * CLOCK_MS);
	UNIT_INT(w->qmgr->messages.n, 0);
	world_places(w, 0, 64);
	world_places(w, 1, 64);
	world_pass(200 * CLOCK_MS);
	UNIT_INT(w->n_jobs, 0);
	world_free(&w);
}

static void nothing_is_sent_before_every_agent_has_spoken(void)
{
	struct world *w;

	world_begin();
	w = world_start("host-a", true);
	world_submit(w, 1, "x\r\n");
	answered(w, 1);
	world_places(w, 0, 64);
	world_pass(300 * CLOCK_MS);
	UNIT_INT(w->n_jobs, 0);
	world_places(w, 1, 64);
	given(w, 1);
	world_free(&w);
}

/* Finds a job of this agent. */
static struct world_job *job_of(struct world *w, unsigned agent)
{
	for (unsigned i = 0; i < w->n_jobs; i++)
		if (w->job[i].agent == agent)
			return &w->job[i];
	return NULL;
}

static void what_a_dead_agent_had_is_in_doubt_until_it_is_back(void)
{
	struct world *w;
	struct world_job *one;
	struct uuid sent;
	unsigned n = 0;

	world_begin();
	w = world_start("host-a", false);
	for (unsigned i = 0; i < 10; i++)
		world_submit(w, i, "x\r\n");
	given(w, 10);
	one = job_of(w, 0);
	UNIT_TRUE(one != NULL && job_of(w, 1) != NULL);
	sent = one->message;
	world_close_agent(w, 0);
	world_pass(300 * CLOCK_MS);
	UNIT_INT(world_count("SELECT count(*) FROM event"), 0);
	world_connect_agent(w, 0);
	world_outcome(w, 0, &sent, 1, IPC_OUTCOME_SENT); /* from its journal */
	world_places(w, 0, 64);
	struck_out(w, 1);
	for (unsigned i = 0; i < 10; i++)
		n += w->job[i].agent == 0;
	given(w, 10 + n - 1); /* the others come again, after their backoff */
	UNIT_INT(world_count("SELECT count(*) FROM event WHERE kind = 'unknown'"), n - 1);
	for (unsigned i = 10; i < w->n_jobs; i++)
		UNIT_TRUE(!uuid_eq(&w->job[i].message, &sent) && w->job[i].attempt == 2);
	UNIT_INT(w->n_jobs, 10 + n - 1);
	world_free(&w);
}

static void a_restarted_qmgr_repeats_nothing_that_is_known(void)
{
	struct world *w;
	struct uuid sent, running, fresh;

	world_begin();
	w = world_start("host-a", false);
	sent = world_submit(w, 1, "sent\r\n");
	given(w, 1);
	running = world_submit(w, 2, "running\r\n");
	given(w, 2);
	fresh = world_submit(w, 3, "fresh\r\n");
	given(w, 3);
	world_kill(w);
	world_restart(w, true);
	world_outcome(w, 0, &sent, 1, IPC_OUTCOME_SENT);
	world_running(w, 0, &running, 1);
	world_places(w, 0, 64);
	world_pass(300 * CLOCK_MS);
	world_places(w, 1, 64);
	struck_out(w, 1);
	given(w, 4); /* what nobody knows of was never begun */
	UNIT_TRUE(uuid_eq(&w->job[3].message, &fresh));
	UNIT_INT(w->job[3].attempt, 1);
	UNIT_TEXT(w->job[3].content, "fresh\r\n");
	UNIT_INT(world_count("SELECT count(*) FROM delivery"), 2);
	world_outcome(w, 0, &running, 1, IPC_OUTCOME_SENT);
	struck_out(w, 2);
	UNIT_INT(world_count("SELECT count(*) FROM delivery"), 4);
	world_pass(300 * CLOCK_MS);
	UNIT_INT(w->n_jobs, 4);
	world_free(&w);
}

static void an_outcome_of_a_message_that_is_gone_is_struck_out(void)
{
	struct world *w;
	struct uuid id = uuid_new(clock_wall());

	world_begin();
	w = world_start("host-a", true);
	world_outcome(w, 0, &id, 1, IPC_OUTCOME_SENT);
	struck_out(w, 1);
	forgotten(w);
	world_free(&w);
}

static void a_large_message_travels_as_a_file(void)
{
	enum { LARGE = 100000 };
	struct world *w;
	char *content = mem_zero(LARGE + 1);
	struct ipc_message m;
	int fd = fd_memfile("test");

	memset(content, 'x', LARGE);
	memcpy(content, "large", 5);
	fd_write_all(fd, content, LARGE);
	fd_seal(fd);
	world_begin();
	w = world_start("host-a", false);
	m = world_message(content);
	m.content = STR("");
	world_submit_message(w, 1, &m, fd);
	given(w, 1);
	UNIT_TRUE(w->job[0].has_file && w->job[0].size == LARGE);
	UNIT_INT(strncmp(w->job[0].content, "largexxx", 8), 0);
	UNIT_INT(world_count("SELECT length(content) FROM message"), LARGE);
	/* And again, read back from the table. */
	world_kill(w);
	world_restart(w, false);
	given(w, 2);
	UNIT_TRUE(w->job[1].has_file && w->job[1].size == LARGE);
	UNIT_INT(strncmp(w->job[1].content, "largexxx", 8), 0);
	world_free(&w);
	fd_close(&fd);
	free(content);
}

static void one_bad_row_does_not_fail_its_neighbours(void)
{
	struct world *w;
	struct ipc_message bad;
	unsigned stored = 0;

	world_begin();
	w = world_start("host-a", false);
	log_set(LOG_FORMAT_PLAIN, LOG_LEVEL_ERROR);
	world_submit(w, 0, "x\r\n");
	answered(w, 1);
	bad = world_message("bad\r\n");
	bad.mail_at = INT64_MIN / 8; /* no such year */
	for (unsigned i = 1; i <= 9; i++)
		world_submit(w, i, "x\r\n");
	world_submit_message(w, 10, &bad, -1);
	for (unsigned i = 11; i <= 20; i++)
		world_submit(w, i, "x\r\n");
	answered(w, 21);
	for (unsigned i = 0; i < 21; i++) {
		stored += w->answer[i].verdict == IPC_SUBMIT_STORED;
		UNIT_TRUE((w->answer[i].verdict == IPC_SUBMIT_STORED) ==
			  (w->answer[i].frame_id != 10));
	}
	UNIT_INT(stored, 20);
	world_free(&w);
}

/* Sealed, and nothing in it: what an smtpd that was taken over can make without memory. */
static void submit_hollow(struct world *w, uint64_t frame_id, uint32_t size)
{
	struct ipc_message m = world_message("");
	int fd = fd_memfile("test");

	UNIT_INT(ftruncate(fd, size), 0);
	fd_seal(fd);
	m.size = size;
	world_submit_message(w, frame_id, &m, fd);
	fd_close(&fd);
}

static void a_file_larger_than_permitted_is_refused_and_blocks_nobody(void)
{
	struct world *w;

	world_begin();
	w = world_start("host-a", false);
	log_set(LOG_FORMAT_PLAIN, LOG_LEVEL_ERROR);
	world_submit(w, 1, "x\r\n");
	answered(w, 1);
	submit_hollow(w, 2, 3000000000);
	answered(w, 2);
	/* Permitted, but no statement can be so large. */
	w->settings->smtpd.message_size = UINT32_MAX;
	submit_hollow(w, 3, 1500000000);
	world_submit(w, 4, "x\r\n");
	answered(w, 4);
	for (unsigned i = 0; i < 4; i++)
		UNIT_INT(w->answer[i].verdict, w->answer[i].frame_id % 3 == 1 ? IPC_SUBMIT_STORED : IPC_SUBMIT_UNAVAILABLE);
	world_free(&w);
}

static bool is_up(struct world *w, unsigned n)
{
	(void)n;
	return pg_is_up(w->qmgr->control_pg) && w->qmgr->lease.n_ours == QMGR_SHARDS;
}

static bool is_down(struct world *w, unsigned n)
{
	(void)n;
	for (unsigned i = 0; i < QMGR_INTAKE_CONNECTIONS; i++)
		if (pg_is_up(w->qmgr->intake.connection[i].pg))
			return false;
	return true;
}

static void the_database_goes_away_and_comes_back(void)
{
	struct world *w;
	struct uuid id;

	world_begin();
	w = world_start("host-a", false);
	id = world_submit(w, 1, "x\r\n");
	given(w, 1);
	w->qmgr->intake.grace_until = 0;
	pg_fixture_kill();
	UNIT_TRUE(world_until(is_down, w, 0));
	world_submit(w, 2, "y\r\n");
	answered(w, 2);
	UNIT_INT(w->answer[1].verdict, IPC_SUBMIT_UNAVAILABLE);
	world_outcome(w, w->job[0].agent, &id, 1, IPC_OUTCOME_SENT);
	world_pass(200 * CLOCK_MS);
	UNIT_INT(w->n_stored, 0);
	pg_fixture_restart();
	struck_out(w, 1);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 0);
	UNIT_INT(world_count("SELECT count(*) FROM delivery"), 2);
	UNIT_TRUE(world_until(is_up, w, 0));
	world_submit(w, 3, "z\r\n");
	answered(w, 3);
	UNIT_INT(w->answer[2].verdict, IPC_SUBMIT_STORED);
	given(w, 2);
	UNIT_INT(w->n_jobs, 2);
	world_free(&w);
}

/* smtpd says again what was committed, when there is no database to ask: it was promised. */
static void what_is_known_to_be_stored_is_not_refused(void)
{
	struct world *w;
	struct ipc_message m, other;

	world_begin();
	w = world_start("host-a", false);
	w->settings->provider[0].recipients_per_call = 1;
	m = world_message("x\r\n");
	world_submit_message(w, 1, &m, -1);
	given(w, 2);
	world_report(w, w->job[0].part == 0 ? 0 : 1, &(struct ipc_outcome){.class = IPC_OUTCOME_SENT});
	struck_out(w, 1); /* its first part is done, the other one under way */
	w->qmgr->intake.grace_until = 0;
	pg_fixture_kill();
	UNIT_TRUE(world_until(is_down, w, 0));
	world_reconnect_smtpd(w);
	world_submit_again(w, 2, &m);
	other = world_message("y\r\n");
	world_submit_again(w, 3, &other);
	answered(w, 3);
	UNIT_INT(w->answer[1].verdict, IPC_SUBMIT_STORED);
	UNIT_INT(w->answer[2].verdict, IPC_SUBMIT_UNAVAILABLE);
	UNIT_INT(w->qmgr->intake.n_regrets, 0);
	pg_fixture_restart();
	world_free(&w);
}

static void a_killed_database_keeps_what_was_promised(void)
{
	struct world *w;
	unsigned promised = 0;

	world_begin();
	w = world_start("host-a", true);
	world_submit(w, 0, "x\r\n");
	answered(w, 1);
	for (unsigned i = 1; i < 500; i++)
		world_submit(w, i, "x\r\n");
	world_until(world_has_answers, w, 50);
	pg_fixture_kill();
	pg_fixture_restart();
	answered(w, 500);
	for (unsigned i = 0; i < 500; i++)
		promised += w->answer[i].verdict == IPC_SUBMIT_STORED;
	UNIT_TRUE(promised >= 50);
	UNIT_TRUE(world_until(is_up, w, 0));
	world_pass(500 * CLOCK_MS);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), promised);
	/* Each is sent once, also those that were stored by a commit whose answer was lost. */
	world_places(w, 0, 10000);
	world_places(w, 1, 10000);
	for (unsigned i = 0; i < promised; i++) {
		given(w, i + 1);
		if (i >= w->n_jobs)
			break;
		world_outcome(w, w->job[i].agent, &w->job[i].message, 1, IPC_OUTCOME_SENT);
	}
	struck_out(w, promised);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 0);
	UNIT_INT(w->n_jobs, promised);
	world_free(&w);
}

static bool is_withdrawn(struct world *w, unsigned n)
{
	(void)n;
	return w->qmgr->intake.n_regrets == 0;
}

/* The client of a lost commit was told 451, its smtpd never heard that, and hands the message in again. */
static void a_withdrawn_message_can_be_handed_in_again(void)
{
	struct world *w;
	struct ipc_message m;
	struct qmgr *q;

	world_begin();
	w = world_start("host-a", true);
	m = world_message("x\r\n");
	world_submit_message(w, 1, &m, -1);
	answered(w, 1);
	q = w->qmgr;
	q->intake.regrets = mem_grow(q->intake.regrets, sizeof(*q->intake.regrets));
	q->intake.regrets[0] = m.id;
	q->intake.n_regrets = 1;
	qmgr_message_drop(q, qmgr_message_find(q, &m.id, 0));
	qmgr_intake_withdraw(q);
	UNIT_TRUE(world_until(is_withdrawn, w, 0));
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 0);
	UNIT_INT(world_count("SELECT count(*) FROM message"), 0);
	world_submit_message(w, 2, &m, -1);
	answered(w, 2);
	UNIT_INT(w->answer[1].verdict, IPC_SUBMIT_STORED);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 1);
	world_places(w, 0, 10);
	world_places(w, 1, 10);
	given(w, 1);
	world_free(&w);
}

static bool is_storing(struct world *w, unsigned n)
{
	(void)n;
	return w->qmgr->intake.connection[0].batch != NULL;
}

static void a_message_said_again_on_a_new_connection_is_the_first_one(void)
{
	struct world *w;
	struct ipc_message m;

	world_begin();
	w = world_start("host-a", false);
	UNIT_TRUE(world_until(is_up, w, 0));
	m = world_message("x\r\n");
	pg_fixture_sql(world_database(), "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$"
					 " BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$;"
					 " CREATE TRIGGER slow BEFORE INSERT ON message FOR EACH STATEMENT"
					 " EXECUTE FUNCTION wait()");
	world_submit_message(w, 1, &m, -1);
	UNIT_TRUE(world_until(is_storing, w, 0));
	world_reconnect_smtpd(w);
	world_submit_again(w, 2, &m);
	world_pass(100 * CLOCK_MS);
	UNIT_TRUE(is_storing(w, 0));
	UNIT_INT(w->qmgr->intake.pending.n, 0);
	answered(w, 1);
	UNIT_INT(w->answer[0].frame_id, 2);
	UNIT_INT(w->answer[0].verdict, IPC_SUBMIT_STORED);
	given(w, 1);
	world_outcome(w, w->job[0].agent, &m.id, 1, IPC_OUTCOME_SENT);
	struck_out(w, 1);
	/* And once more, when all is over. */
	world_reconnect_smtpd(w);
	world_submit_again(w, 3, &m);
	answered(w, 2);
	UNIT_INT(w->answer[1].verdict, IPC_SUBMIT_STORED);
	world_pass(100 * CLOCK_MS);
	UNIT_INT(w->n_jobs, 1);
	UNIT_INT(world_count("SELECT count(*) FROM message"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 0);
	world_free(&w);
}

/* No row of `message` is written before the gate is opened. */
static void make_gate(void)
{
	pg_fixture_sql(world_database(), "CREATE TABLE gate (is_open int); GRANT SELECT ON gate TO PUBLIC;"
					 "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$"
					 " BEGIN WHILE NOT EXISTS (SELECT FROM gate) LOOP PERFORM pg_sleep(0.01); END LOOP;"
					 " RETURN NULL; END $$;"
					 "CREATE TRIGGER slow BEFORE INSERT ON message FOR EACH STATEMENT"
					 " EXECUTE FUNCTION wait()");
}

static void open_gate(void)
{
	pg_fixture_sql(world_database(), "INSERT INTO gate VALUES (1)");
}

static bool is_storing_twice(struct world *w, unsigned n)
{
	return is_storing(w, n) && w->qmgr->intake.connection[1].batch != NULL;
}

/* With all its connections; each has its epoch counted up, which a commit under way would hold up. */
static bool is_all_up(struct world *w, unsigned n)
{
	for (unsigned i = 0; i < QMGR_INTAKE_CONNECTIONS; i++)
		if (!pg_is_up(w->qmgr->intake.connection[i].pg))
			return false;
	return is_up(w, n) && !w->qmgr->lease.must_retake && !w->qmgr->lease.is_taking;
}

/* One commit is under way with message 1, another with 2 and 3. */
static struct world *two_commits(void)
{
	struct world *w;

	world_begin();
	w = world_start("host-a", false);
	UNIT_TRUE(world_until(is_all_up, w, 0));
	make_gate();
	world_submit(w, 1, "x\r\n");
	UNIT_TRUE(world_until(is_storing, w, 0));
	world_submit(w, 2, "x\r\n");
	world_pass(50 * CLOCK_MS);
	UNIT_INT(w->qmgr->intake.pending.n, 1);
	submit_hollow(w, 3, QMGR_INTAKE_OVERLAP);
	UNIT_TRUE(world_until(is_storing_twice, w, 0));
	return w;
}

static void all_three_are_stored_once(struct world *w)
{
	answered(w, 3);
	for (unsigned i = 0; i < 3; i++)
		UNIT_INT(w->answer[i].verdict, IPC_SUBMIT_STORED);
	UNIT_INT(world_count("SELECT count(*) FROM message"), 3);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 3);
}

static void small_messages_wait_for_the_commit_under_way_large_ones_do_not(void)
{
	struct world *w = two_commits();

	open_gate();
	all_three_are_stored_once(w);
	world_free(&w);
}

static bool is_first_down(struct world *w, unsigned n)
{
	(void)n;
	return !pg_is_up(w->qmgr->intake.connection[0].pg);
}

static void one_of_two_commits_that_is_lost_is_run_again(void)
{
	struct world *w = two_commits();

	log_set(LOG_FORMAT_PLAIN, LOG_LEVEL_ERROR);
	pg_fixture_sql(world_database(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
					 " WHERE query LIKE '%queue_store%' AND pid <> pg_backend_pid()"
					 " ORDER BY query_start LIMIT 1");
	UNIT_TRUE(world_until(is_first_down, w, 0));
	/* The server may be at it still: nothing is stored or withdrawn before that is fenced off. */
	UNIT_TRUE(w->qmgr->lease.must_retake || w->qmgr->lease.is_taking);
	open_gate();
	all_three_are_stored_once(w);
	world_free(&w);
}

static bool is_up_again(struct world *w, unsigned n)
{
	(void)n;
	return pg_is_up(w->qmgr->control_pg) && qmgr_lease_is_safe(w->qmgr, clock_mono());
}

static bool owns(struct world *w, unsigned n)
{
	return w->qmgr->lease.n_ours == n;
}

static void a_lost_lease_fences_its_former_owner(void)
{
	struct world *w;
	struct uuid id;

	world_begin();
	w = world_start("host-a", false);
	id = world_submit(w, 1, "x\r\n");
	given(w, 1);
	pg_fixture_sql(world_database(), "UPDATE shard SET owner = 'host-b', epoch = epoch + 1,"
					 " until = now() + interval '1 hour'");
	world_submit(w, 2, "y\r\n");
	UNIT_TRUE(world_until(owns, w, 0));
	world_pass(300 * CLOCK_MS);
	UNIT_INT(w->n_answers, 1);
	UNIT_INT(world_count("SELECT count(*) FROM message"), 1);
	/* What its agent did is a fact all the same, and the new owner is told to look. */
	world_outcome(w, w->job[0].agent, &id, 1, IPC_OUTCOME_SENT);
	struck_out(w, 1);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 0);
	world_pass(100 * CLOCK_MS);
	UNIT_INT(world_count("SELECT count(*) FROM shard WHERE wake > 0"), 1);
	/* The other one dies. */
	pg_fixture_sql(world_database(), "UPDATE shard SET until = now()");
	answered(w, 2);
	UNIT_INT(w->answer[1].verdict, IPC_SUBMIT_STORED);
	given(w, 2);
	world_free(&w);
}

static void two_hosts_share_the_shards(void)
{
	struct world *a, *b;

	world_begin();
	a = world_start("host-a", false);
	UNIT_TRUE(world_until(owns, a, 64));
	for (unsigned i = 0; i < 200; i++)
		world_submit(a, i, "x\r\n");
	answered(a, 200);
	b = world_start("host-b", false);
	/* What is under way from a shard is finished before it is given away. */
	for (unsigned i = 0; i < a->n_jobs && i < 200; i++) {
		world_outcome(a, a->job[i].agent, &a->job[i].message, 1, IPC_OUTCOME_SENT);
		world_until(world_has_jobs, a, i + 2 < 200 ? i + 2 : 200);
	}
	UNIT_TRUE(world_until(owns, b, 32));
	UNIT_TRUE(world_until(owns, a, 32));
	UNIT_INT(a->n_jobs + b->n_jobs, 200);
	/* One of them dies: the other has it all after the lease. */
	world_kill(a);
	UNIT_TRUE(world_until(owns, b, 64));
	world_restart(a, false);
	world_free(&a);
	world_free(&b);
}

/* It cannot know what the other one sent meanwhile and could not record. */
static void a_host_that_was_away_lets_the_others_come_back_first(void)
{
	struct world *b;

	world_begin();
	pg_fixture_sql(world_database(), "UPDATE shard SET owner = 'host-a', until = now() - interval '1 minute'"
					 " WHERE shard < 32");
	b = world_start("host-b", false);
	UNIT_TRUE(world_until(owns, b, 32));
	world_pass(1000 * CLOCK_MS);
	UNIT_INT(b->qmgr->lease.n_ours, 32);
	UNIT_TRUE(world_until(owns, b, 64)); /* it did not come back */
	pg_fixture_sql(world_database(), "UPDATE shard SET owner = 'host-a', epoch = epoch + 1,"
					 " until = now() + interval '1 minute' WHERE shard < 32");
	UNIT_TRUE(world_until(owns, b, 32));
	pg_fixture_kill();
	world_pass(2200 * CLOCK_MS);
	pg_fixture_restart();
	pg_fixture_sql(world_database(), "UPDATE shard SET until = now() WHERE shard < 32");
	UNIT_TRUE(world_until(is_up_again, b, 0));
	world_pass(1000 * CLOCK_MS);
	UNIT_INT(b->qmgr->lease.n_ours, 32);
	pg_fixture_sql(world_database(), "UPDATE shard SET until = now() + interval '1 minute' WHERE shard < 32");
	world_pass(1500 * CLOCK_MS);
	UNIT_INT(b->qmgr->lease.n_ours, 32);
	world_free(&b);
}

static bool is_loading(struct world *w, unsigned n)
{
	return w->qmgr->loading.n >= n;
}

static bool is_not_asking(struct world *w, unsigned n)
{
	(void)n;
	return !w->qmgr->lease.is_asking && !w->qmgr->lease.is_taking;
}

static void a_body_that_came_after_the_lease_is_not_sent(void)
{
	struct world *w;

	world_begin();
	w = world_start("host-a", true);
	w->settings->queue.memory = 0; /* no body is kept */
	world_submit(w, 1, "x\r\n");
	answered(w, 1);
	w->qmgr->lease.next_at = INT64_MAX; /* it cannot be renewed for now, nor is it just being renewed */
	UNIT_TRUE(world_until(is_not_asking, w, 0));
	w->qmgr->lease.safe_until = clock_mono() + 60 * CLOCK_SECOND;
	world_places(w, 0, 64);
	world_places(w, 1, 64);
	UNIT_TRUE(world_until(is_loading, w, 1));
	w->qmgr->lease.safe_until = 0;
	world_pass(500 * CLOCK_MS);
	UNIT_INT(w->n_jobs, 0);
	w->qmgr->lease.next_at = 0;
	given(w, 1);
	world_free(&w);
}

/* As when the whole host was stopped while the job was on its way: the agent does not begin it. */
static void a_job_that_came_too_late_is_not_an_attempt(void)
{
	struct world *w;

	world_begin();
	w = world_start("host-a", false);
	world_submit(w, 1, "x\r\n");
	given(w, 1);
	UNIT_TRUE(w->job[0].begin_before > clock_mono());
	UNIT_TRUE(w->job[0].begin_before < clock_mono() + w->settings->queue.lease);
	world_late(w, 0);
	given(w, 2);
	UNIT_INT(w->job[1].attempt, 1);
	UNIT_TRUE(uuid_eq(&w->job[0].message, &w->job[1].message));
	world_late(w, 0); /* said of a job that is over: it changes nothing */
	world_pass(100 * CLOCK_MS);
	UNIT_INT(w->n_jobs, 2);
	/* Its shard is another's by now. */
	pg_fixture_sql(world_database(), "UPDATE shard SET owner = 'host-b', epoch = epoch + 1,"
					 " until = now() + interval '1 hour'");
	UNIT_TRUE(world_until(owns, w, 0));
	world_late(w, 1);
	world_pass(300 * CLOCK_MS);
	UNIT_INT(w->n_jobs, 2);
	UNIT_TRUE(qmgr_dispatch_is_idle(w->qmgr));
	UNIT_INT(world_count("SELECT count(*) FROM queue WHERE attempts = 0"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM event"), 0);
	world_free(&w);
}

static void mail_after_a_long_rest_finds_its_days_partition(void)
{
	struct world *w;

	world_begin();
	pg_fixture_sql(world_database(),
		       "DO $$ DECLARE r record; BEGIN FOR r IN SELECT inhrelid::regclass AS name FROM pg_inherits"
		       " WHERE inhrelid::regclass::text ~ '_[0-9]{8}$'"
		       " LOOP EXECUTE 'DROP TABLE ' || r.name; END LOOP; END $$");
	w = world_start("host-a", false);
	world_submit(w, 1, "x\r\n");
	answered(w, 1);
	UNIT_INT(world_count("SELECT count(*) FROM message"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM message_other"), 0);
	world_free(&w);
}

static void a_tenant_without_provider_waits(void)
{
	struct world *w;

	world_begin();
	pg_fixture_sql(world_database(), "UPDATE tenant SET provider = 'nobody'");
	w = world_start("host-a", false);
	log_set(LOG_FORMAT_PLAIN, LOG_LEVEL_ERROR);
	world_pass(500 * CLOCK_MS);
	world_submit(w, 1, "x\r\n");
	answered(w, 1);
	world_pass(300 * CLOCK_MS);
	UNIT_INT(w->n_jobs, 0);
	UNIT_INT(world_count("SELECT count(*) FROM event WHERE kind = 'provider-fault'"), 1);
	pg_fixture_sql(world_database(), "UPDATE tenant SET provider = 'other'");
	given(w, 1);
	UNIT_TEXT(w->job[0].provider, "other");
	world_free(&w);
}

static bool has_shards(struct world *w, unsigned n)
{
	return w->qmgr->lease.n_ours == n && w->qmgr->lease.is_settled;
}

/* gate reads a new user at once; qmgr looks for changes every now and then. */
static void a_new_tenants_first_message_goes_to_its_own_provider(void)
{
	struct world *w;
	struct ipc_message m;
	struct uuid tenant = uuid_new(clock_wall());
	char sql[256], id[UUID_TEXT];

	world_begin();
	w = world_start("host-a", false);
	UNIT_TRUE(world_until(has_shards, w, QMGR_SHARDS));
	world_pass(100 * CLOCK_MS);
	snprintf(sql, sizeof(sql), "INSERT INTO tenant (tenant_id, name, provider) VALUES ('%s', 'new', 'other')",
		 uuid_format(&tenant, id));
	pg_fixture_sql(world_database(), sql);
	m = world_message("x\r\n");
	m.tenant = tenant;
	world_submit_message(w, 1, &m, -1);
	given(w, 1);
	UNIT_TEXT(w->job[0].provider, "other");
	world_free(&w);
}

/* The tenants are read on another connection than the one that stores. */
static void nothing_is_sent_before_the_tenants_are_known(void)
{
	struct world *w;

	world_begin();
	pg_fixture_sql(world_database(),
		       "UPDATE tenant SET provider = 'other';"
		       "INSERT INTO tenant (tenant_id, name) SELECT gen_random_uuid(), 't' || n"
		       " FROM generate_series(1, 100000) n");
	w = world_start("host-a", false);
	world_submit(w, 1, "x\r\n");
	answered(w, 1);
	given(w, 1);
	UNIT_TEXT(w->job[0].provider, "other");
	world_free(&w);
}

static void a_message_whose_tenant_is_gone_is_not_sent(void)
{
	struct world *w;
	struct ipc_message m;

	world_begin();
	w = world_start("host-a", false);
	m = world_message("x\r\n");
	m.tenant = uuid_new(clock_wall());
	world_submit_message(w, 1, &m, -1);
	answered(w, 1);
	world_pass(500 * CLOCK_MS);
	UNIT_INT(w->n_jobs, 0);
	UNIT_INT(world_count("SELECT count(*) FROM event WHERE kind = 'provider-fault'"
			     " AND reason LIKE 'its tenant is not%'"), 1);
	world_free(&w);
}

static void an_outcome_of_a_message_that_was_only_forgotten_is_recorded(void)
{
	struct world *w;
	struct qmgr_message *m;
	struct uuid id;

	world_begin();
	w = world_start("host-a", true);
	id = world_submit(w, 1, "x\r\n");
	answered(w, 1);
	m = qmgr_message_find(w->qmgr, &id, 0);
	UNIT_TRUE(m != NULL && m->state == QMGR_SCHEDULED);
	/* As when its shard is lost, and taken again, during a scan of it. */
	world_pass(100 * CLOCK_MS);
	w->qmgr->scan.is_running = true;
	w->qmgr->scan.shard = m->shard;
	qmgr_message_drop(w->qmgr, m);
	world_outcome(w, 0, &id, 1, IPC_OUTCOME_SENT);
	struck_out(w, 1);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 0);
	UNIT_INT(world_count("SELECT count(*) FROM delivery"), 2);
	w->qmgr->scan.is_running = false;
	qmgr_message_free_gone(w->qmgr);
	UNIT_INT(w->qmgr->messages.n, 0);
	world_free(&w);
}

/* smtpd hands its messages to a new qmgr as soon as it can. */
static void mail_that_comes_before_go_waits(void)
{
	struct world *w;

	world_begin();
	w = world_start("host-a", false);
	world_kill(w);
	world_restart_early(w);
	world_submit(w, 1, "x\r\n");
	world_pass(50 * CLOCK_MS);
	UNIT_INT(w->n_answers, 0);
	qmgr_go(w->qmgr);
	answered(w, 1);
	UNIT_INT(w->answer[0].verdict, IPC_SUBMIT_STORED);
	given(w, 1);
	world_free(&w);
}

static bool has_job_of_other(struct world *w, unsigned n)
{
	unsigned found = 0;

	for (unsigned i = 0; i < w->n_jobs; i++)
		found += strcmp(w->job[i].provider, "other") == 0;
	return found >= n;
}

#define ROWS(tenant, first, last) \
	"INSERT INTO message (tenant_id, message_id, user_id, session, client, helo, mail_from, recipients," \
	" is_8bit, is_utf8, size, mail_at, received_at, content) SELECT " tenant ", (lpad(to_hex((extract(epoch" \
	" FROM now()) * 1000)::bigint - 200000 + n), 12, '0') || '70008' || substr(md5(n::text), 1, 15))::uuid," \
	" gen_random_uuid(), 's', 'c', 'h', 'f@x', '{a@x}', false, false, 1, now(), now(), 'x'" \
	" FROM generate_series(" first ", " last ") n;" \
	"INSERT INTO queue (shard, tenant_id, message_id, due_at) SELECT (row_number() OVER ()) % 64, tenant_id," \
	" message_id, now() FROM message WHERE tenant_id = " tenant ";"

/* "dev" does not answer. */
static void a_backlog_of_one_tenant_lets_the_others_through(void)
{
	struct world *w;
	struct ipc_message m;

	world_begin();
	pg_fixture_sql(world_database(),
		       "INSERT INTO tenant (tenant_id, name, provider)"
		       " VALUES ('00000000-0000-4000-8000-000000000001', 'b', 'other');"
		       ROWS("(SELECT tenant_id FROM tenant WHERE name = 'acme')", "1", "110000")
		       ROWS("'00000000-0000-4000-8000-000000000001'::uuid", "110001", "110001"));
	w = world_start("host-a", false);
	UNIT_TRUE(world_until(has_shards, w, QMGR_SHARDS));
	given(w, 64);
	for (unsigned i = 0; i < 3; i++) {
		world_pass(1500 * CLOCK_MS);
		pg_fixture_sql(world_database(), "UPDATE shard SET wake = wake + 1");
	}
	UNIT_TRUE(world_until(has_job_of_other, w, 1)); /* the row behind all others */
	m = world_message("x\r\n");
	m.tenant = (struct uuid){{[6] = 0x40, [8] = 0x80, [15] = 1}};
	world_submit_message(w, 1, &m, -1);
	UNIT_TRUE(world_until(has_job_of_other, w, 2));
	UNIT_TRUE(w->qmgr->messages.n <= 60000);
	world_free(&w);
}

static void bodies_beyond_the_budget_are_read_back(void)
{
	struct world *w;
	char content[3000];

	memset(content, 'x', sizeof(content));
	content[sizeof(content) - 1] = '\0';
	world_begin();
	w = world_start("host-a", true);
	w->settings->queue.memory = 100000;
	for (unsigned i = 0; i < 300; i++)
		world_submit(w, i, content);
	answered(w, 300);
	UNIT_TRUE(w->qmgr->messages.body_bytes <= 100000);
	world_places(w, 0, 10000);
	world_places(w, 1, 10000);
	for (unsigned i = 0; i < 300; i++) {
		given(w, i + 1);
		if (i >= w->n_jobs)
			break;
		UNIT_INT(w->job[i].size, sizeof(content) - 1);
		world_outcome(w, w->job[i].agent, &w->job[i].message, 1, IPC_OUTCOME_SENT);
	}
	struck_out(w, 300);
	UNIT_INT(world_count("SELECT count(*) FROM delivery"), 600);
	UNIT_INT(w->qmgr->messages.body_bytes, 0);
	world_free(&w);
}

static bool is_pressed(struct world *w, unsigned n)
{
	return w->is_full == (n == 1);
}

static void a_full_queue_is_told_to_every_smtpd(void)
{
	struct world *w;

	world_begin();
	w = world_start("host-a", true);
	w->settings->queue.max_depth = 20;
	world_until(is_up, w, 0);
	UNIT_INT(w->n_pressures, 1); /* its first word */
	UNIT_TRUE(!w->is_full);
	for (unsigned i = 0; i < 20; i++)
		world_submit(w, i, "x\r\n");
	UNIT_TRUE(world_until(is_pressed, w, 1));
	world_reconnect_smtpd(w);
	w->is_full = false;
	UNIT_TRUE(world_until(is_pressed, w, 1)); /* a new one hears it too */
	world_places(w, 0, 64);
	world_places(w, 1, 64);
	given(w, 20);
	/* 18 is nine tenths: not below it yet. */
	for (unsigned i = 0; i < 2; i++)
		world_outcome(w, w->job[i].agent, &w->job[i].message, 1, IPC_OUTCOME_SENT);
	struck_out(w, 2);
	world_pass(600 * CLOCK_MS);
	UNIT_TRUE(w->is_full);
	world_outcome(w, w->job[2].agent, &w->job[2].message, 1, IPC_OUTCOME_SENT);
	UNIT_TRUE(world_until(is_pressed, w, 0));
	world_free(&w);
}

static void delivery_status_parameters_stay_with_the_message(void)
{
	static const char dsn[] = "RET=HDRS ENVID=QQ314159\n0 NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@b.example\n";
	struct ipc_message m;
	struct world *w;

	world_begin();
	w = world_start("host-a", false);
	w->settings->queue.memory = 0; /* it is read back from the database */
	m = world_message("x\r\n");
	m.dsn = str_of(dsn);
	world_submit_message(w, 1, &m, -1);
	given(w, 1);
	UNIT_TEXT(w->job[0].dsn, dsn);
	UNIT_INT(world_count("SELECT length(dsn) FROM message"), sizeof(dsn) - 1);
	m = world_message("x\r\n");
	world_submit_message(w, 2, &m, -1);
	answered(w, 2);
	UNIT_INT(world_count("SELECT count(*) FROM message WHERE dsn IS NULL"), 1);
	/* No smtpd of ours says that. */
	m = world_message("x\r\n");
	m.dsn = STR("RET=HDRS\r\n");
	world_submit_message(w, 3, &m, -1);
	answered(w, 3);
	UNIT_INT(w->answer[2].verdict, IPC_SUBMIT_UNAVAILABLE);
	world_free(&w);
}

UNIT_TESTS({"a message goes its way", a_message_goes_its_way},
	   {"a message handed in twice is stored once", a_message_handed_in_twice_is_stored_once},
	   {"many messages share a commit", many_messages_share_a_commit},
	   {"a transient failure is tried again", a_transient_failure_is_tried_again},
	   {"a refused message is a dead letter", a_refused_message_is_a_dead_letter},
	   {"an outcome told twice is recorded once", an_outcome_told_twice_is_recorded_once},
	   {"what a provider recognizes is held only when it does not any more",
	    what_a_provider_recognizes_is_held_only_when_it_does_not_any_more},
	   {"an unknown outcome is held when the tenant wants it",
	    an_unknown_outcome_is_held_when_the_tenant_wants_it},
	   {"operators change rows under it", operators_change_rows_under_it},
	   {"a tenant's mail goes to one address and to the sandbox",
	    a_tenants_mail_goes_to_one_address_and_to_the_sandbox},
	   {"a redirected message that grows too large goes as a file",
	    a_redirected_message_that_grows_too_large_goes_as_a_file},
	   {"a tenant may wish otherwise than the settings say", a_tenant_may_wish_otherwise_than_the_settings_say},
	   {"nothing is sent before every agent has spoken",
	    nothing_is_sent_before_every_agent_has_spoken},
	   {"what a dead agent had is in doubt until it is back",
	    what_a_dead_agent_had_is_in_doubt_until_it_is_back},
	   {"a restarted qmgr repeats nothing that is known",
	    a_restarted_qmgr_repeats_nothing_that_is_known},
	   {"an outcome of a message that is gone is struck out",
	    an_outcome_of_a_message_that_is_gone_is_struck_out},
	   {"a large message travels as a file", a_large_message_travels_as_a_file},
	   {"a file larger than permitted is refused and blocks nobody",
	    a_file_larger_than_permitted_is_refused_and_blocks_nobody},
	   {"one bad row does not fail its neighbours", one_bad_row_does_not_fail_its_neighbours},
	   {"the database goes away and comes back", the_database_goes_away_and_comes_back},
	   {"what is known to be stored is not refused", what_is_known_to_be_stored_is_not_refused},
	   {"a message said again on a new connection is the first one",
	    a_message_said_again_on_a_new_connection_is_the_first_one},
	   {"small messages wait for the commit under way, large ones do not",
	    small_messages_wait_for_the_commit_under_way_large_ones_do_not},
	   {"one of two commits that is lost is run again", one_of_two_commits_that_is_lost_is_run_again},
	   {"a killed database keeps what was promised", a_killed_database_keeps_what_was_promised},
	   {"a withdrawn message can be handed in again", a_withdrawn_message_can_be_handed_in_again},
	   {"a lost lease fences its former owner", a_lost_lease_fences_its_former_owner},
	   {"two hosts share the shards", two_hosts_share_the_shards},
	   {"a host that was away lets the others come back first",
	    a_host_that_was_away_lets_the_others_come_back_first},
	   {"a job that came too late is not an attempt", a_job_that_came_too_late_is_not_an_attempt},
	   {"a body that came after the lease is not sent", a_body_that_came_after_the_lease_is_not_sent},
	   {"mail after a long rest finds its day's partition",
	    mail_after_a_long_rest_finds_its_days_partition},
	   {"a tenant without provider waits", a_tenant_without_provider_waits},
	   {"a new tenant's first message goes to its own provider",
	    a_new_tenants_first_message_goes_to_its_own_provider},
	   {"nothing is sent before the tenants are known", nothing_is_sent_before_the_tenants_are_known},
	   {"a message whose tenant is gone is not sent", a_message_whose_tenant_is_gone_is_not_sent},
	   {"an outcome of a message that was only forgotten is recorded",
	    an_outcome_of_a_message_that_was_only_forgotten_is_recorded},
	   {"mail that comes before GO waits", mail_that_comes_before_go_waits},
	   {"a backlog of one tenant lets the others through", a_backlog_of_one_tenant_lets_the_others_through},
	   {"bodies beyond the budget are read back", bodies_beyond_the_budget_are_read_back},
	   {"a full queue is told to every smtpd", a_full_queue_is_told_to_every_smtpd},
	   {"delivery status parameters stay with the message", delivery_status_parameters_stay_with_the_message})
