/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of qmgr/qmgr_provider*.c in a whole queue manager: who is given messages after what its calls came to, and what
 * operators and other hosts say.
 */
#include "qmgr/qmgr_provider.h"

#include <stdio.h>

#include "lib/base/clock.h"
#include "qmgr/qmgr_provider_control.h"
#include "tests/qmgr/qmgr_world.h"
#include "tests/support/pg_fixture.h"
#include "tests/support/unit.h"

static const struct ipc_outcome sent = {.class = IPC_OUTCOME_SENT, .code = 200};
static const struct ipc_outcome failed = {
	.class = IPC_OUTCOME_TRANSIENT, .code = 500, .about = IPC_ABOUT_PROVIDER, .reason = {"an error", 8}};
static const struct ipc_outcome refused = {
	.class = IPC_OUTCOME_PROVIDER_FAULT, .code = 401, .about = IPC_ABOUT_CREDENTIAL, .reason = {"bad key", 7}};

/* A host whose provider "dev" is left alone for so long after three failures, with `n` messages handed in. */
static struct world *begin(int64_t probe_time, unsigned concurrency, unsigned n)
{
	struct world *w;

	world_begin();
	w = world_start("host-a", true);
	w->settings->health.probe_time = probe_time;
	w->settings->provider[0].concurrency = concurrency;
	w->settings->queue.retry_first = 100 * CLOCK_MS;
	w->settings->queue.max_attempts = 100;
	qmgr_on_reload(w->qmgr);
	world_places(w, 0, 64);
	world_places(w, 1, 64);
	for (unsigned i = 0; i < n; i++)
		world_submit(w, i, "x\r\n");
	return w;
}

static bool is_down(struct world *w, unsigned provider)
{
	return !qmgr_provider_is_usable(w->qmgr, provider, NULL);
}

static bool is_up(struct world *w, unsigned provider)
{
	return qmgr_provider_is_usable(w->qmgr, provider, NULL);
}

static void a_provider_that_fails_is_left_alone_and_probed(void)
{
	struct world *w = begin(CLOCK_SECOND, 1, 6);

	UNIT_TRUE(is_up(w, 0));
	for (unsigned i = 0; i < 3; i++) {
		given(w, i + 1);
		world_report(w, i, &failed);
	}
	UNIT_TRUE(world_until(is_down, w, 0));
	UNIT_TRUE(is_up(w, 1));
	world_pass(500 * CLOCK_MS);
	UNIT_INT(w->n_jobs, 3);
	/* The probe, and one only. */
	given(w, 4);
	world_pass(300 * CLOCK_MS);
	UNIT_INT(w->n_jobs, 4);
	UNIT_TRUE(!is_up(w, 0));
	world_report(w, 3, &sent);
	UNIT_TRUE(world_until(is_up, w, 0));
	for (unsigned i = 4; i < 9; i++) {
		given(w, i + 1);
		world_report(w, i, &sent);
	}
	struck_out(w, 9);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 0);
	UNIT_INT(world_count("SELECT count(*) FROM dead_letter"), 0);
	world_free(&w);
}

static void a_refused_credential_stops_it_at_once_and_bounces_nothing(void)
{
	struct world *w = begin(3600 * CLOCK_SECOND, 1, 3);

	given(w, 1);
	world_report(w, 0, &refused);
	UNIT_TRUE(world_until(is_down, w, 0));
	world_pass(400 * CLOCK_MS);
	UNIT_INT(w->n_jobs, 1);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 3);
	UNIT_INT(world_count("SELECT count(*) FROM dead_letter"), 0);
	/* The operator puts a good key in and reloads. */
	qmgr_on_reload(w->qmgr);
	given(w, 2);
	world_report(w, 1, &sent);
	UNIT_TRUE(world_until(is_up, w, 0));
	given(w, 3);
	world_free(&w);
}

static void a_tenants_own_credential_is_refused_for_it_alone(void)
{
	struct world *w = begin(3600 * CLOCK_SECOND, 1, 0);
	struct qmgr_tenant other = {0}, *acme;
	char sql[256], id[UUID_TEXT];

	snprintf(sql, sizeof(sql),
		 "INSERT INTO provider_credential (tenant_id, provider, sealed) VALUES ('%s', 'dev', repeat('x', 40)::bytea)",
		 uuid_format(&world_tenant, id));
	pg_fixture_sql(world_database(), sql);
	world_pass(2500 * CLOCK_MS);
	world_submit(w, 1, "x\r\n");
	given(w, 1);
	world_report(w, 0, &refused);
	struck_out(w, 1);
	acme = qmgr_tenant_of(w->qmgr, &world_tenant);
	UNIT_TRUE(!qmgr_provider_is_usable(w->qmgr, 0, acme));
	UNIT_TRUE(qmgr_provider_is_usable(w->qmgr, 0, &other));
	UNIT_TRUE(qmgr_provider_is_usable(w->qmgr, 1, acme));
	world_free(&w);
}

static void retry_after_of_one_call_holds_the_others_back(void)
{
	struct ipc_outcome later = {.class = IPC_OUTCOME_TRANSIENT, .code = 429, .about = IPC_ABOUT_THROTTLE, .retry_after = 1};
	struct world *w = begin(CLOCK_SECOND, 1, 4);
	int64_t from;

	given(w, 1);
	from = clock_mono();
	world_report(w, 0, &later);
	given(w, 2);
	UNIT_TRUE(clock_mono() - from >= 950 * CLOCK_MS); /* the loop's clock is a turn old */
	world_report(w, 1, &sent);
	given(w, 3);
	UNIT_TRUE(is_up(w, 0));
	world_free(&w);
}

static void calls_a_second_are_spread(void)
{
	struct world *w;
	int64_t from;

	world_begin();
	w = world_start("host-a", true);
	w->settings->provider[0].per_second = 20;
	qmgr_on_reload(w->qmgr);
	for (unsigned i = 0; i < 21; i++)
		world_submit(w, i, "x\r\n");
	answered(w, 21);
	from = clock_mono();
	world_places(w, 0, 64);
	world_places(w, 1, 64);
	given(w, 21);
	UNIT_TRUE(clock_mono() - from >= 900 * CLOCK_MS);
	UNIT_TRUE(clock_mono() - from < 20 * CLOCK_SECOND);
	world_free(&w);
}

static bool counted_in_table(struct world *w, unsigned n)
{
	(void)w;
	return world_count("SELECT coalesce(sum(recipients), 0) FROM provider_use WHERE provider = 'dev'") == n;
}

static bool has_counted(struct world *w, unsigned n)
{
	return w->qmgr->providers.at[0]->budget.used_day == n;
}

static void recipients_of_a_day_are_counted_over_all_hosts(void)
{
	struct world *w = begin(CLOCK_SECOND, 8, 3), *second;

	for (unsigned i = 0; i < 3; i++) {
		given(w, i + 1);
		world_report(w, i, &sent);
	}
	UNIT_TRUE(world_until(counted_in_table, w, 6)); /* two recipients a message */
	second = world_start("host-b", false);
	UNIT_TRUE(world_until(has_counted, second, 6));
	second->settings->provider[0].per_day = 6;
	qmgr_on_reload(second->qmgr);
	UNIT_TRUE(is_down(second, 0));
	UNIT_TRUE(is_up(second, 1));
	UNIT_TRUE(is_up(w, 0));
	world_free(&second);
	world_free(&w);
}

static void an_operator_suspends_and_resumes(void)
{
	struct world *w = begin(CLOCK_SECOND, 8, 0);
	struct buf answer = BUF_MAX(65536);

	pg_fixture_sql(world_database(),
		       "INSERT INTO provider_state (provider, suspended_until, reason, who)"
		       " VALUES ('dev', now() + interval '1 hour', 'they move house', 'ann')");
	UNIT_TRUE(world_until(is_down, w, 0));
	world_submit(w, 1, "x\r\n");
	answered(w, 1);
	world_pass(300 * CLOCK_MS);
	UNIT_INT(w->n_jobs, 0);
	qmgr_provider_control_ask(w->qmgr, STR("provider list"), &answer);
	buf_put_char(&answer, '\0');
	UNIT_TRUE(strstr(answer.p, "\"provider\":\"dev\",\"state\":\"suspended\",\"why\":\"they move house\"") != NULL);
	UNIT_TRUE(strstr(answer.p, "\"provider\":\"other\",\"state\":\"up\"") != NULL);
	buf_clear(&answer);
	pg_fixture_sql(world_database(), "UPDATE provider_state SET suspended_until = NULL, changed_at = now()");
	given(w, 1);
	UNIT_TRUE(is_up(w, 0));
	world_free(&w);
}

static void resuming_forgets_what_failed(void)
{
	struct world *w = begin(3600 * CLOCK_SECOND, 1, 4);

	for (unsigned i = 0; i < 3; i++) {
		given(w, i + 1);
		world_report(w, i, &failed);
	}
	UNIT_TRUE(world_until(is_down, w, 0));
	UNIT_TRUE(!qmgr_provider_take_probe(w->qmgr, 0));
	pg_fixture_sql(world_database(), "INSERT INTO provider_state (provider) VALUES ('dev')");
	UNIT_TRUE(world_until(is_up, w, 0));
	given(w, 4);
	world_free(&w);
}

static bool has_job_of_other(struct world *w, unsigned n)
{
	return w->n_jobs > n && strcmp(w->job[w->n_jobs - 1].provider, "other") == 0;
}

/* Both are down, and what waits waits at the first: the second is probed all the same, and takes all when it is back. */
static void of_several_that_are_down_the_first_that_is_back_takes_the_mail(void)
{
	struct world *w = begin(1500 * CLOCK_MS, 1, 0);
	int64_t late = 3600 * CLOCK_SECOND;
	unsigned n = 0;

	pg_fixture_sql(world_database(), "INSERT INTO route (tenant_id, position, targets) SELECT tenant_id, 1, 'dev > other' FROM tenant");
	world_pass(2500 * CLOCK_MS);
	for (unsigned i = 0; i < 5; i++)
		world_submit(w, i, "x\r\n");
	while (is_up(w, 0) || is_up(w, 1)) {
		given(w, n + 1);
		if (n >= w->n_jobs)
			break;
		world_report(w, n++, &failed);
		world_pass(20 * CLOCK_MS);
	}
	UNIT_TRUE(!is_up(w, 0) && !is_up(w, 1));
	w->qmgr->providers.at[0]->health.probe_at += late; /* that one is down for long */
	for (; n < w->n_jobs; n++)
		world_report(w, n, &failed);
	UNIT_TRUE(world_until(has_job_of_other, w, n));
	n = w->n_jobs;
	world_report(w, n - 1, &sent);
	UNIT_TRUE(world_until(is_up, w, 1));
	for (unsigned i = n; i < n + 4; i++) {
		given(w, i + 1);
		if (i >= w->n_jobs)
			break;
		UNIT_TEXT(w->job[i].provider, "other");
		world_report(w, i, &sent);
	}
	world_free(&w);
}

static void test_mode_says_nothing_of_the_provider(void)
{
	struct world *w = begin(CLOCK_SECOND, 1, 0);

	pg_fixture_sql(world_database(), "UPDATE tenant SET is_test = true");
	world_pass(2500 * CLOCK_MS);
	for (unsigned i = 0; i < 4; i++)
		world_submit(w, i, "x\r\n");
	for (unsigned i = 0; i < 4; i++) {
		given(w, i + 1);
		world_report(w, i, &failed);
	}
	struck_out(w, 4);
	UNIT_TRUE(is_up(w, 0));
	world_free(&w);
}

static bool has_dead(struct world *w, unsigned n)
{
	(void)w;
	return world_count("SELECT count(*) FROM dead_letter") >= n;
}

/* Its time goes on, whatever it is that its provider may not be given any for. */
static void what_waits_for_a_provider_is_given_up_when_it_is_too_old(void)
{
	static const struct {
		const struct ipc_outcome *o; /* NULL: suspended */
		unsigned n;
		const char *dead;
	} cases[] = {
		{NULL, 0, "reason LIKE '%max_age%dev: an operator has suspended it'"},
		{&refused, 1, "reason LIKE '%max_age%dev: the credential is refused'"},
		{&failed, 3, "reason LIKE '%max_age%dev: calls failed one after the other'"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = begin(3600 * CLOCK_SECOND, 1, cases[i].n);
		struct qmgr_message *young, *pinned;
		struct uuid ids[4];
		char sql[256], id[UUID_TEXT];

		for (unsigned k = 0; k < cases[i].n; k++) {
			given(w, k + 1);
			world_report(w, k, cases[i].o);
		}
		struck_out(w, cases[i].n);
		if (cases[i].o == NULL)
			pg_fixture_sql(world_database(), "INSERT INTO provider_state (provider, suspended_until) VALUES ('dev', 'infinity')");
		UNIT_TRUE(world_until(is_down, w, 0));
		for (unsigned k = 0; k < 4; k++)
			ids[k] = world_submit(w, 100 + k, "x\r\n");
		answered(w, cases[i].n + 4);
		young = qmgr_message_find(w->qmgr, &ids[0], 0);
		young->queued_at += 3600 * CLOCK_SECOND;
		pinned = qmgr_message_find(w->qmgr, &ids[1], 0);
		qmgr_message_pin(pinned, STR("dev"));
		qmgr_message_lose_body(w->qmgr, qmgr_message_find(w->qmgr, &ids[2], 0));
		snprintf(sql, sizeof(sql), "UPDATE queue SET pinned = true, provider = 'dev' WHERE message_id = '%s'",
			 uuid_format(&ids[1], id));
		pg_fixture_sql(world_database(), sql);
		pg_fixture_sql(world_database(), "UPDATE tenant SET max_age = '2 seconds'");
		UNIT_TRUE(world_until(has_dead, w, cases[i].n + 3));
		snprintf(sql, sizeof(sql), "SELECT count(*) FROM dead_letter WHERE status = '4.4.7' AND provider = 'dev' AND %s",
			 cases[i].dead);
		UNIT_INT(world_count(sql), cases[i].n + 3);
		UNIT_INT(world_count("SELECT count(*) FROM dead_letter WHERE pinned"), 1);
		UNIT_INT(world_count("SELECT count(*) FROM queue"), 1);
		UNIT_INT(w->n_jobs, cases[i].n);
		world_free(&w);
	}
}

/* Whose credential it went by, or whether it was a test, is not known. */
static void a_call_of_a_former_process_says_nothing_of_the_provider(void)
{
	struct world *w = begin(3600 * CLOCK_SECOND, 1, 1);

	given(w, 1);
	world_kill(w);
	world_restart(w, true);
	world_running(w, w->job[0].agent, &w->job[0].message, 1);
	world_places(w, 0, 64);
	world_places(w, 1, 64);
	world_report(w, 0, &refused);
	struck_out(w, 1);
	UNIT_TRUE(is_up(w, 0));
	/* Its own next one does. */
	given(w, 2);
	world_report(w, 1, &refused);
	UNIT_TRUE(world_until(is_down, w, 0));
	world_free(&w);
}

static void a_tenants_own_smarthost_that_fails_is_down_for_it_alone(void)
{
	struct world *w = begin(3600 * CLOCK_SECOND, 1, 0);
	struct qmgr_tenant other = {0};
	char sql[256], id[UUID_TEXT];

	snprintf(sql, sizeof(sql),
		 "INSERT INTO provider_credential (tenant_id, provider, sealed) VALUES ('%s', 'dev', repeat('x', 40)::bytea)",
		 uuid_format(&world_tenant, id));
	pg_fixture_sql(world_database(), sql);
	world_pass(2500 * CLOCK_MS);
	for (unsigned i = 0; i < 3; i++)
		world_submit(w, i, "x\r\n");
	for (unsigned i = 0; i < 3; i++) {
		given(w, i + 1);
		world_report(w, i, &failed);
	}
	world_pass(500 * CLOCK_MS);
	UNIT_TRUE(qmgr_provider_is_usable(w->qmgr, 0, &other));
	world_free(&w);
}

static void a_tenants_own_account_that_is_throttled_holds_nobody_else(void)
{
	struct ipc_outcome later = {.class = IPC_OUTCOME_TRANSIENT, .code = 429, .about = IPC_ABOUT_THROTTLE, .retry_after = 3600};
	struct world *w = begin(3600 * CLOCK_SECOND, 1, 0);
	struct qmgr_tenant other = {0};
	char sql[256], id[UUID_TEXT];

	snprintf(sql, sizeof(sql),
		 "INSERT INTO provider_credential (tenant_id, provider, sealed) VALUES ('%s', 'dev', repeat('x', 40)::bytea)",
		 uuid_format(&world_tenant, id));
	pg_fixture_sql(world_database(), sql);
	world_pass(2500 * CLOCK_MS);
	world_submit(w, 0, "x\r\n");
	given(w, 1);
	world_report(w, 0, &later);
	world_pass(500 * CLOCK_MS);
	UNIT_TRUE(qmgr_provider_is_usable(w->qmgr, 0, &other));
	world_free(&w);
}

UNIT_TESTS({"a tenant's own smarthost that fails is down for it alone", a_tenants_own_smarthost_that_fails_is_down_for_it_alone},
	   {"a tenant's own account that is throttled holds nobody else", a_tenants_own_account_that_is_throttled_holds_nobody_else},
	   {"a provider that fails is left alone and probed", a_provider_that_fails_is_left_alone_and_probed},
	   {"a refused credential stops it at once and bounces nothing",
	    a_refused_credential_stops_it_at_once_and_bounces_nothing},
	   {"a tenant's own credential is refused for it alone", a_tenants_own_credential_is_refused_for_it_alone},
	   {"Retry-After of one call holds the others back", retry_after_of_one_call_holds_the_others_back},
	   {"calls a second are spread", calls_a_second_are_spread},
	   {"recipients of a day are counted over all hosts", recipients_of_a_day_are_counted_over_all_hosts},
	   {"an operator suspends and resumes", an_operator_suspends_and_resumes},
	   {"resuming forgets what failed", resuming_forgets_what_failed},
	   {"of several that are down the first that is back takes the mail",
	    of_several_that_are_down_the_first_that_is_back_takes_the_mail},
	   {"test mode says nothing of the provider", test_mode_says_nothing_of_the_provider},
	   {"what waits for a provider is given up when it is too old",
	    what_waits_for_a_provider_is_given_up_when_it_is_too_old},
	   {"a call of a former process says nothing of the provider",
	    a_call_of_a_former_process_says_nothing_of_the_provider})
