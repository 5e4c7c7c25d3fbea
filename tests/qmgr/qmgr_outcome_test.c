/* SPDX-License-Identifier: Apache-2.0
 *
 * Outcomes that come late, of a host that was away while another one had its shards: what they say of recipients holds, and
 * nothing that an operator or a later attempt has decided is lost. Against a real Postgres.
 */
#include "qmgr/qmgr_outcome.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/clock.h"
#include "tests/qmgr/qmgr_world.h"
#include "tests/support/pg_fixture.h"
#include "tests/support/unit.h"

static const struct str four[] = {{"a@x.example", 11}, {"b@x.example", 11}, {"c@x.example", 11}, {"d@x.example", 11}};

static struct ipc_message message_to(unsigned n)
{
	struct ipc_message m = world_message("x\r\n");

	m.recipients = four;
	m.n_recipients = n;
	return m;
}

/* What is tried again is not tried again within the test. */
static struct world *start(void)
{
	struct world *w;

	world_begin();
	pg_fixture_sql(world_database(), "UPDATE tenant SET retry_first = '1 hour', retry_longest = '1 hour'");
	w = world_start("host-a", false);
	UNIT_TRUE(world_until(world_owns_all, w, 0));
	return w;
}

/* Host a has given a message for n recipients to an agent and dies; b takes its shards over, where `each` go by a call. */
struct two {
	struct world *a, *b;
	struct ipc_message m;
};

static struct two take_over(unsigned n, unsigned each)
{
	struct two t = {.a = start()};

	t.m = message_to(n);
	world_submit_message(t.a, 1, &t.m, -1);
	given(t.a, 1);
	world_kill(t.a);
	t.b = world_start("host-b", false);
	t.b->settings->provider[0].recipients_per_call = each;
	UNIT_TRUE(world_until(world_owns_all, t.b, 0));
	given(t.b, (n + each - 1) / each);
	return t;
}

/* Host a is back, and its agent has this in its journal. */
static void return_with(struct two *t, enum ipc_outcome_class class, const char *refusals)
{
	unsigned n = t->a->n_stored;

	world_restart(t->a, true);
	world_report_each(t->a, 0, class, refusals);
	world_places(t->a, 0, 64);
	world_places(t->a, 1, 64);
	struck_out(t->a, n + 1);
}

static void free_two(struct two *t)
{
	world_free(&t->a);
	world_free(&t->b);
}

static void sent(const char *recipients)
{
	UNIT_TEXT(pg_fixture_ask(world_database(), "SELECT string_agg(left(recipient, 1), '' ORDER BY recipient) FROM delivery"
						   " WHERE state = 'sent'"), recipients);
}

static void failed(const char *recipients)
{
	UNIT_TEXT(pg_fixture_ask(world_database(), "SELECT string_agg(left(recipient, 1), '' ORDER BY recipient) FROM delivery"
						   " WHERE state = 'failed'"), recipients);
}

/* Rows of the queue: "part{recipients}attempts". */
static void waiting(const char *rows)
{
	UNIT_TEXT(pg_fixture_ask(world_database(), "SELECT string_agg(part || coalesce(recipients::text, '') || attempts ||"
						   " CASE WHEN pinned THEN ' ' || provider ELSE '' END, '; ' ORDER BY part)"
						   " FROM queue"), rows);
}

static void refusals_that_come_late_name_the_same_recipients(void)
{
	struct two t = take_over(4, 4);

	world_report_each(t.b, 0, IPC_OUTCOME_SENT, "1T 3T");
	struck_out(t.b, 1);
	waiting("0{1,3}1");
	return_with(&t, IPC_OUTCOME_SENT, "1P");
	waiting("");
	sent("acd");
	failed("b");
	UNIT_INT(world_count("SELECT count(*) FROM dead_letter WHERE recipients = '{1}' AND part = 1"), 1);
	free_two(&t);
}

static void an_outcome_of_all_settles_those_who_are_in_the_part(void)
{
	struct two t = take_over(4, 2);

	return_with(&t, IPC_OUTCOME_SENT, "1P 2T 3T");
	waiting("2{2,3}0");
	sent("a");
	failed("b");
	for (unsigned i = 0; i < 2; i++)
		world_report_each(t.b, i, IPC_OUTCOME_SENT, "");
	struck_out(t.b, 2);
	waiting("");
	sent("acd");
	free_two(&t);
}

/* Of two calls of the same number the second to be heard: the row has changed under the host that decided. */
static void what_is_unknown_of_an_attempt_with_the_same_number_pins_the_message(void)
{
	struct two t = take_over(2, 2);

	return_with(&t, IPC_OUTCOME_TRANSIENT, "");
	waiting("01");
	world_report_each(t.b, 0, IPC_OUTCOME_UNKNOWN, "");
	struck_out(t.b, 1);
	waiting("01 dev");
	UNIT_INT(world_count("SELECT count(*) FROM queue WHERE due_at > now() + interval '20 minutes'"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM event WHERE kind = 'unknown'"), 1);
	free_two(&t);
}

static void who_was_sent_to_by_an_attempt_with_the_same_number_is_not_sent_to_again(void)
{
	struct two t = take_over(4, 4);

	return_with(&t, IPC_OUTCOME_TRANSIENT, "");
	world_report_each(t.b, 0, IPC_OUTCOME_SENT, "1T 2P");
	struck_out(t.b, 1);
	waiting("0{1}1");
	sent("ad");
	failed("c");
	free_two(&t);
}

/* Whether there is another attempt was decided already, by one that was made after it. */
static void a_late_outcome_does_not_end_the_attempts(void)
{
	struct two t = take_over(2, 2);

	pg_fixture_sql(world_database(), "UPDATE tenant SET max_attempts = 1");
	world_report_each(t.b, 0, IPC_OUTCOME_PROVIDER_FAULT, "");
	struck_out(t.b, 1);
	return_with(&t, IPC_OUTCOME_TRANSIENT, "0P");
	waiting("0{1}1");
	failed("a");
	UNIT_INT(world_count("SELECT count(*) FROM queue WHERE faults = 1 AND last_error = 'words'"), 1);
	pg_fixture_sql(world_database(), "UPDATE queue SET due_at = now(); UPDATE shard SET wake = wake + 1");
	given(t.b, 2);
	UNIT_TEXT(t.b->job[1].recipient, "b@x.example");
	UNIT_INT(t.b->job[1].attempt, 2);
	free_two(&t);
}

/* And says nothing any more when it is told once more, for an operator may have spoken since. */
static void a_late_outcome_counts_once(void)
{
	struct two t = take_over(2, 2);

	world_report_each(t.b, 0, IPC_OUTCOME_TRANSIENT, "");
	struck_out(t.b, 1);
	return_with(&t, IPC_OUTCOME_UNKNOWN, "");
	waiting("01 dev");
	pg_fixture_sql(world_database(), "UPDATE queue SET pinned = false");
	{
		struct ipc_outcome again = {.attempt = {t.m.id, 1, 0}, .class = IPC_OUTCOME_UNKNOWN, .provider = STR("dev")};
		struct buf body = BUF_MAX(8192);

		again.started_at = again.answered_at =
			world_count("SELECT extract(epoch FROM started_at) * 1000000 FROM event WHERE kind = 'unknown'");
		ipc_put_outcome(&body, &again);
		ipc_send(t.a->agent[0], IPC_OUTCOME, 0, buf_str(&body), -1);
		buf_clear(&body);
	}
	struck_out(t.a, 2);
	waiting("01");
	UNIT_INT(world_count("SELECT count(*) FROM event WHERE kind = 'unknown'"), 1);
	free_two(&t);
}

/* By the host that has a later attempt of it under way. */
static void a_late_outcome_waits_for_the_call_that_is_under_way(void)
{
	struct world *w = start();
	struct ipc_message m = message_to(2);
	struct ipc_outcome first = {.class = IPC_OUTCOME_SENT, .provider = STR("dev"), .started_at = 1};
	struct buf body = BUF_MAX(8192);

	world_submit_message(w, 1, &m, -1);
	given(w, 1);
	world_report_each(w, 0, IPC_OUTCOME_TRANSIENT, "");
	struck_out(w, 1);
	pg_fixture_sql(world_database(), "UPDATE queue SET due_at = now(); UPDATE shard SET wake = wake + 1");
	given(w, 2);
	/* An agent that another host had before: it took a. */
	first.attempt = (struct ipc_attempt){m.id, 1, 0};
	ipc_put_index(&body, 0);
	first.whom = buf_str(&body);
	{
		struct buf frame = BUF_MAX(8192);

		ipc_put_outcome(&frame, &first);
		ipc_send(w->agent[0], IPC_OUTCOME, 0, buf_str(&frame), -1);
		ipc_send(w->agent[0], IPC_OUTCOME, 0, buf_str(&frame), -1);
		buf_clear(&frame);
	}
	world_pass(300 * CLOCK_MS);
	UNIT_INT(w->n_stored, 1);
	waiting("01");
	world_report_each(w, 1, IPC_OUTCOME_TRANSIENT, "");
	struck_out(w, 3);
	waiting("0{1}2");
	sent("a");
	UNIT_INT(w->qmgr->outcomes.waiting.n, 0);
	buf_clear(&body);
	world_free(&w);
}

static bool is_recording(struct world *w, unsigned n)
{
	const struct qmgr_message *m = qmgr_message_find(w->qmgr, &w->job[n].message, 0);

	return m != NULL && m->state == QMGR_RECORDING;
}

static bool is_with_its_agent(struct world *w, unsigned n)
{
	const struct qmgr_message *m = qmgr_message_find(w->qmgr, &w->job[n].message, 0);

	return m != NULL && m->state == QMGR_TAKEN && m->job->agent == (int)w->job[n].agent;
}

/* qmgr died before one agent heard that its outcome is recorded, while another one worked on the next attempt: what they tell
 * the next qmgr comes in any order. */
static void a_call_that_is_told_of_while_an_earlier_outcome_is_looked_up_is_not_made_again(void)
{
	struct world *w = start();
	struct ipc_message m = message_to(2);

	world_submit_message(w, 1, &m, -1);
	given(w, 1);
	world_outcome(w, w->job[0].agent, &m.id, 1, IPC_OUTCOME_TRANSIENT);
	struck_out(w, 1);
	pg_fixture_sql(world_database(), "UPDATE queue SET due_at = now(); UPDATE shard SET wake = wake + 1");
	given(w, 2);
	world_kill(w);
	world_restart(w, true);
	world_outcome(w, 1 - w->job[1].agent, &m.id, 1, IPC_OUTCOME_TRANSIENT);
	UNIT_TRUE(world_until(is_recording, w, 1));
	world_running(w, w->job[1].agent, &m.id, 2);
	for (unsigned i = 0; i < WORLD_AGENTS; i++)
		world_places(w, i, 64);
	struck_out(w, 2);
	UNIT_TRUE(is_with_its_agent(w, 1));
	world_report_each(w, 1, IPC_OUTCOME_SENT, "");
	struck_out(w, 3);
	waiting("");
	sent("ab");
	UNIT_INT(w->n_jobs, 2);
	world_free(&w);
}

static void a_redirection_that_begins_during_a_call_changes_nothing_of_it(void)
{
	struct world *w = start();
	struct ipc_message m = message_to(2);

	world_submit_message(w, 1, &m, -1);
	given(w, 1);
	UNIT_INT(w->job[0].whom_n, 0);
	pg_fixture_sql(world_database(), "UPDATE tenant SET redirect_to = 'all@x.example'");
	m = message_to(2);
	for (unsigned i = 0; w->job[w->n_jobs - 1].n_recipients != 1 && i < 50; i++) {
		m = message_to(2);
		world_submit_message(w, 2 + i, &m, -1);
		given(w, 2 + i);
		world_pass(200 * CLOCK_MS);
	}
	/* The redirected one names for whom it is. */
	UNIT_INT(w->job[w->n_jobs - 1].n_recipients, 1);
	UNIT_INT(w->job[w->n_jobs - 1].whom_n, 4);
	world_report_each(w, 0, IPC_OUTCOME_SENT, "1P");
	struck_out(w, 1);
	sent("a");
	failed("b");
	world_free(&w);
}

#define REROUTE "UPDATE queue SET pinned = true, provider = 'other', due_at = least(due_at, now())"

static void a_reroute_during_a_call_stands(void)
{
	static const struct {
		enum ipc_outcome_class class;
		const char *refusals, *waiting;
	} cases[] = {
		{IPC_OUTCOME_TRANSIENT, "", "01 other"},
		{IPC_OUTCOME_UNFIT, "", "01 other"},
		{IPC_OUTCOME_UNKNOWN, "", "01 other"},
		{IPC_OUTCOME_SENT, "1T", "0{1}1 other"},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = start();
		struct ipc_message m = message_to(2);

		world_submit_message(w, 1, &m, -1);
		given(w, 1);
		UNIT_TEXT(w->job[0].provider, "dev");
		pg_fixture_sql(world_database(), REROUTE);
		world_report_each(w, 0, cases[i].class, cases[i].refusals);
		struck_out(w, 1);
		waiting(cases[i].waiting);
		UNIT_INT(world_count("SELECT count(*) FROM event WHERE provider = 'dev'"), 1);
		/* At once, for it is not the one that failed. */
		given(w, 2);
		UNIT_TEXT(w->job[1].provider, "other");
		UNIT_INT(w->job[1].attempt, 2);
		world_free(&w);
	}
}

/* A part with fewer recipients than it had when it was decided how to part it. */
static void a_part_of_which_some_are_gone_is_not_parted(void)
{
	struct world *w = start();
	struct ipc_message m = message_to(3);

	world_submit_message(w, 1, &m, -1);
	given(w, 1);
	pg_fixture_sql(world_database(), "UPDATE queue SET recipients = '{0,2}'");
	UNIT_INT(world_count("SELECT queue_split(shard::int4, (SELECT epoch FROM shard s WHERE s.shard = q.shard), message_id, 0,"
			     " 0, NULL, '{\"{0}\",\"{1}\",\"{2}\"}') FROM queue q"), 2);
	waiting("0{0,2}0");
	/* Nor is what the call says of the others written. */
	world_report_each(w, 0, IPC_OUTCOME_SENT, "2P");
	struck_out(w, 1);
	waiting("");
	sent("a");
	failed("c");
	world_free(&w);
}

static bool has_given_up(struct world *w, unsigned n)
{
	const struct qmgr_message *m = qmgr_message_find(w->qmgr, &w->job[n].message, 0);

	return m != NULL && m->state == QMGR_RECORDING && m->outcome == NULL;
}

static void a_row_that_cannot_be_read_is_not_decided_on_for_ever(void)
{
	struct world *w = start();
	struct ipc_message m = message_to(3);

	world_submit_message(w, 1, &m, -1);
	given(w, 1);
	pg_fixture_sql(world_database(), "UPDATE queue SET recipients = '{2,0}'");
	world_report_each(w, 0, IPC_OUTCOME_SENT, "");
	UNIT_TRUE(world_until(has_given_up, w, 0));
	UNIT_INT(w->n_stored, 0);
	waiting("0{2,0}0");
	world_free(&w);
}

UNIT_TESTS({"refusals that come late name the same recipients", refusals_that_come_late_name_the_same_recipients},
	   {"an outcome of all settles those who are in the part", an_outcome_of_all_settles_those_who_are_in_the_part},
	   {"what is unknown of an attempt with the same number pins the message",
	    what_is_unknown_of_an_attempt_with_the_same_number_pins_the_message},
	   {"who was sent to by an attempt with the same number is not sent to again",
	    who_was_sent_to_by_an_attempt_with_the_same_number_is_not_sent_to_again},
	   {"a late outcome does not end the attempts", a_late_outcome_does_not_end_the_attempts},
	   {"a late outcome counts once", a_late_outcome_counts_once},
	   {"a late outcome waits for the call that is under way", a_late_outcome_waits_for_the_call_that_is_under_way},
	   {"a call that is told of while an earlier outcome is looked up is not made again",
	    a_call_that_is_told_of_while_an_earlier_outcome_is_looked_up_is_not_made_again},
	   {"a redirection that begins during a call changes nothing of it",
	    a_redirection_that_begins_during_a_call_changes_nothing_of_it},
	   {"a reroute during a call stands", a_reroute_during_a_call_stands},
	   {"a part of which some are gone is not parted", a_part_of_which_some_are_gone_is_not_parted},
	   {"a row that cannot be read is not decided on for ever", a_row_that_cannot_be_read_is_not_decided_on_for_ever})
