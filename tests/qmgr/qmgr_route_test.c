/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages and their providers: "dev" is the settings' default, "other" the other one.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/queue/named_id.h"
#include "tests/qmgr/qmgr_world.h"
#include "tests/support/pg_fixture.h"

static const struct ipc_outcome sent = {.class = IPC_OUTCOME_SENT, .code = 200, .provider_id = STR("P-1")};
static const struct ipc_outcome failing = {
	.class = IPC_OUTCOME_TRANSIENT, .code = 500, .reason = STR("500"), .about = IPC_ABOUT_PROVIDER};
static const struct ipc_outcome bad_key = {
	.class = IPC_OUTCOME_PROVIDER_FAULT, .code = 401, .reason = STR("401"), .about = IPC_ABOUT_CREDENTIAL};
static const struct ipc_outcome unknown = {
	.class = IPC_OUTCOME_UNKNOWN, .reason = STR("no answer"), .about = IPC_ABOUT_PROVIDER};
static const struct ipc_outcome unfit = {.class = IPC_OUTCOME_UNFIT, .status = STR("5.6.3"), .reason = STR("too odd")};

static void sql(const char *text)
{
	pg_fixture_sql(world_database(), text);
}

static void add_route(unsigned position, const char *targets, const char *column, const char *value)
{
	char text[1024];

	snprintf(text, sizeof(text), "INSERT INTO route (tenant_id, position, targets%s%s) SELECT tenant_id, %u, '%s'%s%s FROM tenant",
		 column[0] != '\0' ? ", " : "", column, position, targets, column[0] != '\0' ? ", " : "", value);
	sql(text);
}

static unsigned jobs_of(const struct world *w, const char *provider)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w->n_jobs; i++)
		n += strcmp(w->job[i].provider, provider) == 0;
	return n;
}

static bool has_dev(struct world *w, unsigned n)
{
	return jobs_of(w, "dev") >= n;
}

static bool has_other(struct world *w, unsigned n)
{
	return jobs_of(w, "other") >= n;
}

/* The tenant's routes were read for the n-th time. */
static bool has_version(struct world *w, unsigned n)
{
	const struct qmgr_tenant *t = qmgr_tenant_of(w->qmgr, &world_tenant);

	return t->is_known && t->routes.version >= n;
}

static struct world *start(const char *targets)
{
	world_begin();
	if (targets[0] != '\0')
		add_route(10, targets, "", "");
	return world_start("host-a", false);
}

static void submit(struct world *w, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		world_submit(w, i, "X-Kind: bulk\r\n\r\nx\r\n");
}

static void without_a_route_mail_goes_to_the_tenants_provider(void)
{
	struct world *w = start("");

	submit(w, 1);
	given(w, 1);
	UNIT_TEXT(w->job[0].provider, "dev");
	sql("UPDATE tenant SET provider = 'other'");
	UNIT_TRUE(world_until(has_other, w, 0));
	world_pass(2500 * CLOCK_MS);
	submit(w, 1);
	given(w, 2);
	UNIT_TEXT(w->job[1].provider, "other");
	world_free(&w);
}

static void a_route_with_a_condition_is_taken_by_those_who_meet_it(void)
{
	static const struct {
		const char *column, *value;
		bool is_met;
	} cases[] = {
		{"sender_domain", "'example.org'", true},
		{"sender_domain", "'*.example.org'", false},
		{"header_name, header_pattern", "'x-kind', 'BU*K'", true},
		{"header_name, header_pattern", "'x-kind', 'news'", false},
		{"recipient_domain", "'example.org'", true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w;

		world_begin();
		add_route(10, "other", cases[i].column, cases[i].value);
		w = world_start("host-a", false);
		submit(w, 1);
		given(w, 1);
		UNIT_TEXT(w->job[0].provider, cases[i].is_met ? "other" : "dev");
		world_free(&w);
	}
}

static void a_route_of_a_user_is_taken_by_that_user(void)
{
	struct ipc_message m;
	struct world *w;

	world_begin();
	sql("INSERT INTO smtp_user (tenant_id, user_id, name, password) SELECT tenant_id,"
	    " '01020304-0000-7000-8000-000000000001', 'u', '$' FROM tenant");
	add_route(10, "other", "user_id", "'01020304-0000-7000-8000-000000000001'");
	w = world_start("host-a", false);
	m = world_message("x\r\n");
	world_submit_message(w, 1, &m, -1);
	given(w, 1);
	UNIT_TEXT(w->job[0].provider, "dev");
	m = world_message("x\r\n");
	UNIT_TRUE(uuid_parse(STR("01020304-0000-7000-8000-000000000001"), &m.user));
	world_submit_message(w, 2, &m, -1);
	given(w, 2);
	UNIT_TEXT(w->job[1].provider, "other");
	world_free(&w);
}

static void the_header_of_a_large_message_is_read_too(void)
{
	struct buf text = BUF_MAX(1 << 20);
	struct world *w;

	world_begin();
	add_route(10, "other", "header_name", "'X-Kind'");
	w = world_start("host-a", true);
	buf_put_text(&text, "X-Kind: bulk\r\n\r\n");
	while (text.n < 2 * IPC_INLINE_MAX)
		buf_put_text(&text, "0123456789\r\n");
	/* It is read from the table first. */
	w->settings->queue.memory = 1;
	{
		char *content = buf_take_text(&text);
		struct ipc_message m = world_message("");
		int fd = fd_memfile("test");

		m.size = (uint32_t)strlen(content);
		UNIT_TRUE(fd_write_all(fd, content, m.size));
		fd_seal(fd);
		world_submit_message(w, 1, &m, fd);
		fd_close(&fd);
		free(content);
	}
	answered(w, 1);
	world_places(w, 0, 10);
	world_places(w, 1, 10);
	given(w, 1);
	UNIT_TEXT(w->job[0].provider, "other");
	UNIT_TRUE(w->job[0].has_file);
	world_free(&w);
}

static void recipients_of_different_routes_go_different_ways(void)
{
	static const struct str to[] = {STR("a@one.example"), STR("b@two.example"), STR("c@one.example")};
	struct ipc_message m;
	struct world *w;

	world_begin();
	add_route(10, "other", "recipient_domain", "'two.example'");
	w = world_start("host-a", false);
	m = world_message("x\r\n");
	m.recipients = to;
	m.n_recipients = 3;
	world_submit_message(w, 1, &m, -1);
	given(w, 2);
	UNIT_INT(jobs_of(w, "dev"), 1);
	UNIT_INT(jobs_of(w, "other"), 1);
	for (unsigned i = 0; i < 2; i++) {
		bool is_other = strcmp(w->job[i].provider, "other") == 0;

		UNIT_INT(w->job[i].n_recipients, is_other ? 1 : 2);
		UNIT_TEXT(w->job[i].recipient, is_other ? "b@two.example" : "a@one.example");
		world_report(w, i, &sent);
	}
	struck_out(w, 2);
	UNIT_INT(world_count("SELECT count(*) FROM delivery WHERE state = 'sent' AND provider = 'other'"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM delivery WHERE state = 'sent' AND provider = 'dev'"), 2);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 0);
	world_free(&w);
}

static void what_is_queued_follows_a_change_of_routes(void)
{
	struct world *w;

	world_begin();
	w = world_start("host-a", false);
	w->qmgr->schedule.provider[0].concurrency = 1;
	submit(w, 300);
	answered(w, 300);
	given(w, 1);
	UNIT_TEXT(w->job[0].provider, "dev");
	add_route(10, "other", "", "");
	UNIT_TRUE(world_until(has_other, w, 64));
	UNIT_INT(jobs_of(w, "dev"), 1);
	/* ... and back, the conditions of the new route read from bodies. */
	sql("UPDATE route SET sender_domain = 'not.example'");
	UNIT_TRUE(world_until(has_version, w, 3));
	world_report(w, 0, &sent);
	UNIT_TRUE(world_until(has_dev, w, 2));
	world_free(&w);
}

static void what_is_not_in_memory_is_read_to_be_routed(void)
{
	struct world *w;

	world_begin();
	add_route(10, "other", "header_name", "'X-Kind'");
	w = world_start("host-a", true);
	w->settings->queue.memory = 2000;
	submit(w, 200);
	answered(w, 200);
	world_places(w, 0, 1000);
	world_places(w, 1, 1000);
	for (unsigned i = 0; i < 200; i++) {
		given(w, i + 1);
		if (i >= w->n_jobs)
			break;
		UNIT_TEXT(w->job[i].provider, "other");
		world_report(w, i, &sent);
	}
	struck_out(w, 200);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 0);
	UNIT_INT(w->qmgr->messages.body_bytes, 0);
	world_free(&w);
}

/* Its first calls fail, so that "dev" is down. */
static unsigned bring_down(struct world *w, const struct ipc_outcome *o, unsigned n)
{
	submit(w, n);
	UNIT_TRUE(world_until(has_dev, w, n));
	for (unsigned i = 0; i < n; i++)
		world_report(w, i, o);
	return n;
}

static void a_provider_that_is_down_is_gone_around(void)
{
	struct world *w = start("dev > other");

	bring_down(w, &failing, 3);
	/* The one whose failure was the last straw, too. */
	UNIT_TRUE(world_until(has_other, w, 1));
	submit(w, 20);
	UNIT_TRUE(world_until(has_other, w, 21));
	UNIT_TRUE(jobs_of(w, "dev") <= 4); /* a probe */
	UNIT_INT(world_count("SELECT count(*) FROM dead_letter"), 0);
	world_free(&w);
}

/* They need not wait for the time of their next attempt. */
static void those_that_failed_before_it_was_down_go_around_it_too(void)
{
	/* Whether the first two are recorded when the last one fails. */
	for (unsigned is_recorded = 0; is_recorded < 2; is_recorded++) {
		struct world *w;
		struct qmgr_message *m;

		world_begin();
		add_route(10, "dev > other", "", "");
		sql("UPDATE tenant SET retry_first = '100 seconds', retry_longest = '100 seconds'");
		w = world_start("host-a", false);
		submit(w, 4);
		UNIT_TRUE(world_until(has_dev, w, 4));
		world_report(w, 0, &unknown);
		struck_out(w, 1);
		world_report(w, 1, &failing);
		if (is_recorded > 0) {
			struck_out(w, 2);
			world_pass(200 * CLOCK_MS);
			UNIT_INT(jobs_of(w, "other"), 0);
		}
		world_report(w, 2, &failing);
		UNIT_TRUE(world_until(has_other, w, 2));
		world_pass(300 * CLOCK_MS);
		/* What may have arrived does wait. */
		UNIT_INT(jobs_of(w, "other"), 2);
		m = qmgr_message_find(w->qmgr, &w->job[0].message, 0);
		UNIT_TRUE(m->item.heap_at != 0);
		world_free(&w);
	}
}

static void a_refused_key_is_gone_around_at_once(void)
{
	struct world *w = start("dev > other");

	bring_down(w, &bad_key, 1);
	UNIT_TRUE(world_until(has_other, w, 1));
	UNIT_TRUE(uuid_eq(&w->job[1].message, &w->job[0].message));
	UNIT_INT(w->job[1].attempt, 2);
	world_report(w, 1, &sent);
	struck_out(w, 2);
	UNIT_INT(world_count("SELECT count(*) FROM delivery WHERE provider = 'other'"), 2);
	world_free(&w);
}

static void what_may_have_been_sent_goes_to_no_other(void)
{
	struct world *w = start("dev > other");

	bring_down(w, &unknown, 1);
	struck_out(w, 1);
	UNIT_INT(world_count("SELECT count(*) FROM queue WHERE pinned AND provider = 'dev'"), 1);
	/* "dev" goes down meanwhile. */
	submit(w, 1);
	UNIT_TRUE(world_until(has_dev, w, 2));
	world_report(w, 1, &bad_key);
	UNIT_TRUE(world_until(has_other, w, 1));
	world_pass(2000 * CLOCK_MS);
	for (unsigned i = 0; i < w->n_jobs; i++)
		if (uuid_eq(&w->job[i].message, &w->job[0].message))
			UNIT_TEXT(w->job[i].provider, "dev");
	UNIT_INT(world_count("SELECT count(*) FROM queue WHERE pinned"), 1);
	world_free(&w);
}

static void an_operator_lets_it_go_another_way(void)
{
	struct world *w = start("dev > other");

	bring_down(w, &unknown, 1);
	struck_out(w, 1);
	submit(w, 1);
	UNIT_TRUE(world_until(has_dev, w, 2));
	world_report(w, 1, &bad_key);
	UNIT_TRUE(world_until(has_other, w, 1));
	world_report(w, w->n_jobs - 1, &sent);
	struck_out(w, 3);
	/* It waits for "dev": ready by now, and in memory. */
	world_pass(1500 * CLOCK_MS);
	sql("UPDATE queue SET pinned = false; UPDATE shard SET wake = wake + 1");
	UNIT_TRUE(world_until(has_other, w, 2));
	UNIT_TRUE(uuid_eq(&w->job[w->n_jobs - 1].message, &w->job[0].message));
	world_free(&w);
}

static void when_all_are_down_mail_waits(void)
{
	struct world *w = start("dev");

	bring_down(w, &bad_key, 1);
	struck_out(w, 1);
	submit(w, 10);
	answered(w, 11);
	world_pass(300 * CLOCK_MS);
	UNIT_INT(w->n_jobs, 1);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 11);
	UNIT_INT(world_count("SELECT count(*) FROM dead_letter"), 0);
	/* Another way is opened. */
	sql("UPDATE route SET targets = 'dev > other'");
	UNIT_TRUE(world_until(has_other, w, 10));
	world_free(&w);
}

static void what_one_cannot_carry_goes_to_the_next(void)
{
	struct world *w = start("dev > other");

	submit(w, 1);
	given(w, 1);
	UNIT_TEXT(w->job[0].provider, "dev");
	world_report(w, 0, &unfit);
	given(w, 2);
	UNIT_TEXT(w->job[1].provider, "other");
	world_report(w, 1, &unfit);
	struck_out(w, 2);
	UNIT_INT(world_count("SELECT count(*) FROM dead_letter WHERE reason LIKE '%too odd%' AND status = '5.6.3'"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 0);
	world_free(&w);
}

static void what_the_settings_say_one_cannot_carry_is_not_given_to_it(void)
{
	static const struct str to[] = {STR("\xc3\xa9@one.example")};
	struct ipc_message m;
	struct world *w = start("dev > other");

	w->settings->provider[0].type = PROVIDER_SES;
	qmgr_on_reload(w->qmgr);
	m = world_message("x\r\n");
	m.recipients = to;
	m.n_recipients = 1;
	world_submit_message(w, 1, &m, -1);
	given(w, 1);
	UNIT_TEXT(w->job[0].provider, "other");
	w->settings->provider[1].type = PROVIDER_SES;
	qmgr_on_reload(w->qmgr);
	m = world_message("x\r\n");
	m.recipients = to;
	m.n_recipients = 1;
	world_submit_message(w, 2, &m, -1);
	answered(w, 2);
	world_report(w, 0, &sent);
	struck_out(w, 1);
	world_pass(300 * CLOCK_MS);
	UNIT_INT(w->n_jobs, 1);
	UNIT_INT(world_count("SELECT count(*) FROM dead_letter WHERE reason LIKE '%beyond ASCII%' AND status = '5.6.7'"), 1);
	world_free(&w);
}

static bool is_left(struct world *w, unsigned n)
{
	(void)w;
	return world_count("SELECT count(*) FROM queue WHERE faults = attempts AND last_error LIKE '%gone is not in the settings%'") == n;
}

/* It might carry what the others cannot. */
static void what_is_for_a_provider_that_is_in_no_settings_waits_for_an_operator(void)
{
	struct world *w = start("dev > gone");

	submit(w, 1);
	given(w, 1);
	world_report(w, 0, &unfit);
	UNIT_TRUE(world_until(is_left, w, 1));
	world_pass(300 * CLOCK_MS);
	UNIT_INT(world_count("SELECT count(*) FROM dead_letter"), 0);
	sql("UPDATE route SET targets = 'dev > other'");
	UNIT_TRUE(world_until(has_other, w, 1));
	world_free(&w);
}

static void mail_is_shared_out_by_weight(void)
{
	struct world *w = start("dev:3,other:1");

	for (unsigned i = 0; i < 400; i++)
		world_submit(w, i, "x\r\n");
	for (unsigned i = 0; i < 400; i++) {
		given(w, i + 1);
		if (i >= w->n_jobs)
			break;
		world_report(w, i, &sent);
	}
	UNIT_TRUE(jobs_of(w, "other") > 50 && jobs_of(w, "other") < 150);
	world_free(&w);
}

static void what_waits_follows_a_reload(void)
{
	struct settings_provider swap;
	struct world *w = start("dev > other");

	w->qmgr->schedule.provider[0].concurrency = 1;
	submit(w, 50);
	answered(w, 50);
	given(w, 1);
	/* They change places; and dev is a kind that takes no such messages any more. */
	swap = w->settings->provider[0];
	w->settings->provider[0] = w->settings->provider[1];
	w->settings->provider[1] = swap;
	sql("UPDATE route SET targets = 'other'");
	UNIT_TRUE(world_until(has_version, w, 3));
	qmgr_on_reload(w->qmgr);
	UNIT_TRUE(world_until(has_other, w, 49));
	UNIT_INT(jobs_of(w, "dev"), 1);
	world_report(w, 0, &sent);
	struck_out(w, 1);
	world_free(&w);
}

static void a_route_that_cannot_be_read_is_left_out(void)
{
	struct world *w;

	world_begin();
	add_route(5, "a > > b", "", "");
	add_route(10, "other", "", "");
	w = world_start("host-a", false);
	submit(w, 1);
	given(w, 1);
	UNIT_TEXT(w->job[0].provider, "other");
	world_free(&w);
}

/* Direct: no call has recipients of two routes. */
static void calls_of_direct_modes_go_their_ways(void)
{
	static const struct str to[] = {STR("a@one.example"), STR("b@two.example")};
	struct ipc_message m;
	struct world *w;

	world_begin();
	add_route(10, "other", "recipient_domain", "'two.example'");
	w = world_start("host-a", false);
	UNIT_TRUE(world_until(has_version, w, 2));
	m = world_message("x\r\n");
	m.recipients = to;
	m.n_recipients = 2;
	m.mode = IPC_DIRECT;
	world_submit_message(w, 1, &m, -1);
	given(w, 2);
	UNIT_INT(jobs_of(w, "dev"), 1);
	UNIT_INT(jobs_of(w, "other"), 1);
	world_report(w, 0, &sent);
	world_report(w, 1, &sent);
	answered(w, 1);
	UNIT_INT(w->answer[0].verdict, IPC_SUBMIT_SENT);
	world_free(&w);
}

static void a_direct_call_goes_around_who_cannot_have_it(void)
{
	const struct ipc_outcome *const cases[] = {&bad_key, &unfit};

	for (unsigned i = 0; i < 2; i++) {
		struct world *w = start("dev > other");
		struct ipc_message m = world_message("x\r\n");

		UNIT_TRUE(world_until(has_version, w, 2));
		m.mode = IPC_DIRECT;
		world_submit_message(w, 1, &m, -1);
		given(w, 1);
		UNIT_TEXT(w->job[0].provider, "dev");
		world_report(w, 0, cases[i]);
		struck_out(w, 1);
		given(w, 2);
		UNIT_TEXT(w->job[1].provider, "other");
		UNIT_INT(w->job[1].attempt, 2 | IPC_ATTEMPT_DIRECT);
		UNIT_INT(w->n_answers, 0);
		world_report(w, 1, &sent);
		answered(w, 1);
		UNIT_INT(w->answer[0].verdict, IPC_SUBMIT_SENT);
		world_free(&w);
	}
}

static size_t waiting_for(const struct world *w, unsigned provider)
{
	size_t n = 0;

	for (const struct qmgr_lane *l = qmgr_tenant_of(w->qmgr, &world_tenant)->lanes.first; l != NULL; l = l->next)
		for (const struct qmgr_schedule_item *i = l->lane.first; i != NULL && l->lane.provider == provider; i = i->next)
			n++;
	return n;
}

static bool are_waiting_for_other(struct world *w, unsigned n)
{
	return waiting_for(w, 1) >= n;
}

static bool are_waiting_for_dev(struct world *w, unsigned n)
{
	return waiting_for(w, 0) >= n;
}

/* Tens of thousands follow at once, in steps. */
static void a_backlog_follows_at_once(void)
{
	int64_t begun;
	struct world *w;

	world_begin();
	sql("INSERT INTO queue (shard, tenant_id, message_id, due_at) SELECT n % 64, tenant_id,"
	    " overlay(gen_random_uuid()::text PLACING '01a20000-0000-7' FROM 1 FOR 15)::uuid, now()"
	    " FROM tenant, generate_series(1, 40000) n");
	w = world_start("host-a", true);
	w->qmgr->schedule.provider[0].concurrency = w->qmgr->schedule.provider[1].concurrency = 0;
	world_places(w, 0, 64);
	world_places(w, 1, 64);
	UNIT_TRUE(world_until(are_waiting_for_dev, w, 40000));
	add_route(10, "other", "", "");
	UNIT_TRUE(world_until(has_version, w, 2));
	begun = clock_mono();
	UNIT_TRUE(world_until(are_waiting_for_other, w, 40000));
	UNIT_TRUE(clock_mono() - begun < 2 * CLOCK_SECOND);
	UNIT_INT(w->n_jobs, 0);
	world_free(&w);
}

static void *add_setting(struct settings *s, const char *section, const char *key, const char *name, const char *value)
{
	for (size_t i = 0; i < settings_n_rows; i++) {
		const struct settings_row *row = &settings_rows[i];

		if (strcmp(row->section, section) == 0 && strcmp(row->name, name) == 0) {
			void *thing = settings_add(s, row->list, str_of(key));

			UNIT_TRUE(settings_set(thing, row, str_of(value), NULL));
			return thing;
		}
	}
	return NULL;
}

/* Without a database: what the settings say of a tenant. */
static void a_tenant_of_the_settings_has_its_fallbacks(void)
{
	struct ipc_message m;
	struct world *w;

	world_begin_alone();
	w = world_start("host-a", false);
	UNIT_TRUE(add_setting(w->settings, "tenants", "acme", "fallbacks", "other:3") != NULL);
	qmgr_on_reload(w->qmgr);
	m = world_message("x\r\n");
	m.tenant = named_id("tenant", STR("acme"));
	m.mode = IPC_DIRECT;
	world_submit_message(w, 1, &m, -1);
	given(w, 1);
	UNIT_TEXT(w->job[0].provider, "dev");
	world_report(w, 0, &bad_key);
	given(w, 2);
	UNIT_TEXT(w->job[1].provider, "other");
	world_free(&w);
}

UNIT_TESTS({"without a route mail goes to the tenant's provider", without_a_route_mail_goes_to_the_tenants_provider},
	   {"a route with a condition is taken by those who meet it", a_route_with_a_condition_is_taken_by_those_who_meet_it},
	   {"a route of a user is taken by that user", a_route_of_a_user_is_taken_by_that_user},
	   {"the header of a large message is read too", the_header_of_a_large_message_is_read_too},
	   {"recipients of different routes go different ways", recipients_of_different_routes_go_different_ways},
	   {"what is queued follows a change of routes", what_is_queued_follows_a_change_of_routes},
	   {"what is not in memory is read to be routed", what_is_not_in_memory_is_read_to_be_routed},
	   {"a provider that is down is gone around", a_provider_that_is_down_is_gone_around},
	   {"those that failed before it was down go around it too", those_that_failed_before_it_was_down_go_around_it_too},
	   {"a refused key is gone around at once", a_refused_key_is_gone_around_at_once},
	   {"what may have been sent goes to no other", what_may_have_been_sent_goes_to_no_other},
	   {"an operator lets it go another way", an_operator_lets_it_go_another_way},
	   {"when all are down mail waits", when_all_are_down_mail_waits},
	   {"what one cannot carry goes to the next", what_one_cannot_carry_goes_to_the_next},
	   {"what the settings say one cannot carry is not given to it",
	    what_the_settings_say_one_cannot_carry_is_not_given_to_it},
	   {"what is for a provider that is in no settings waits for an operator",
	    what_is_for_a_provider_that_is_in_no_settings_waits_for_an_operator},
	   {"mail is shared out by weight", mail_is_shared_out_by_weight},
	   {"what waits follows a reload", what_waits_follows_a_reload},
	   {"a route that cannot be read is left out", a_route_that_cannot_be_read_is_left_out},
	   {"calls of direct modes go their ways", calls_of_direct_modes_go_their_ways},
	   {"a backlog follows at once", a_backlog_follows_at_once},
	   {"a tenant of the settings has its fallbacks", a_tenant_of_the_settings_has_its_fallbacks},
	   {"a direct call goes around who cannot have it", a_direct_call_goes_around_who_cannot_have_it})
