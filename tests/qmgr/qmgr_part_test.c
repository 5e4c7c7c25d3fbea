/* SPDX-License-Identifier: Apache-2.0
 *
 * Parts of messages: lists and delivery status parameters by tables; splitting and partial outcomes against a real Postgres, with
 * deaths in between.
 */
#include "qmgr/qmgr_part.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "tests/qmgr/qmgr_world.h"
#include "tests/support/pg_fixture.h"
#include "tests/support/unit.h"

enum { MOST = 65536 };

static const struct str five[] = {{"a@x.example", 11}, {"b@x.example", 11}, {"c@x.example", 11}, {"d@x.example", 11},
				  {"e@x.example", 11}};

static void lists_are_written_and_read(void)
{
	static const struct {
		const char *text;
		unsigned n;
	} cases[] = {
		{"{0}", 1}, {"{0,3,999}", 3}, {"", 0}, {"{}", 0}, {"{1000}", 0}, {"{3,3}", 0}, {"{3,2}", 0}, {"{1,}", 0},
		{"{1", 0}, {"1}", 0}, {"{1}x", 0}, {"{1,NULL}", 0}, {"{-1}", 0}, {"{1 ,2}", 0}, {"[0:1]={1,2}", 0},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint16_t list[IPC_RECIPIENTS_MAX];
		struct buf out = BUF_MAX(MOST);

		UNIT_INT(qmgr_part_get_list(str_of(cases[i].text), list), cases[i].n);
		if (cases[i].n > 0) {
			qmgr_part_put_list(&out, list, cases[i].n);
			UNIT_STR(buf_str(&out), cases[i].text);
		}
		buf_clear(&out);
	}
}

static void status_parameters_are_counted_anew(void)
{
	static const struct {
		const char *before;
		uint16_t list[3];
		unsigned n;
		const char *after;
	} cases[] = {
		{"RET=HDRS ENVID=Q\n0 NOTIFY=NEVER\n12 ORCPT=rfc822;a@b\n", {12}, 1, "RET=HDRS ENVID=Q\n0 ORCPT=rfc822;a@b\n"},
		{"0 NOTIFY=NEVER\n2 NOTIFY=DELAY\n", {1, 2, 3}, 3, "1 NOTIFY=DELAY\n"},
		{"1 NOTIFY=NEVER\n2 NOTIFY=DELAY\n", {1, 2}, 2, "0 NOTIFY=NEVER\n1 NOTIFY=DELAY\n"},
		{"1 NOTIFY=NEVER\n", {0}, 1, ""},
		{"", {0}, 1, ""},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = BUF_MAX(MOST);

		qmgr_part_dsn(&out, str_of(cases[i].before), cases[i].list, cases[i].n);
		UNIT_STR(buf_str(&out), cases[i].after);
		buf_clear(&out);
	}
}

/* ---- with qmgr ---- */

static struct world *start(void)
{
	struct world *w;

	world_begin();
	w = world_start("host-a", false);
	UNIT_TRUE(world_until(world_owns_all, w, 0));
	return w;
}

static struct ipc_message message_to(unsigned n)
{
	struct ipc_message m = world_message("x\r\n");

	m.recipients = five;
	m.n_recipients = n;
	return m;
}

static void each_recipient_is_recorded(void)
{
	struct world *w = start();
	struct ipc_message m = message_to(5);

	world_submit_message(w, 1, &m, -1);
	given(w, 1);
	world_report_each(w, 0, IPC_OUTCOME_SENT, "1P 2T 3P 4T");
	struck_out(w, 1);
	UNIT_INT(world_count("SELECT count(*) FROM delivery WHERE state = 'sent' AND recipient LIKE 'a@%'"
			     " AND provider_id = 'P-1' AND code = 202"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM delivery WHERE state = 'failed' AND recipient ~ '^[bd]@' AND code = 550"
			     " AND status = '5.1.1' AND reason = 'nobody' AND provider_id = ''"), 2);
	UNIT_INT(world_count("SELECT count(*) FROM delivery"), 3);
	UNIT_INT(world_count("SELECT count(*) FROM dead_letter WHERE part = 1 AND recipients = '{1,3}' AND code = 550"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM event WHERE kind = 'dead' AND recipients = '{1,3}'"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM event WHERE kind = 'transient' AND recipients = '{2,4}' AND code = 450"),
		 1);
	UNIT_INT(world_count("SELECT count(*) FROM queue WHERE part = 0 AND recipients = '{2,4}' AND attempts = 1"
			     " AND last_error = 'later'"), 1);
	given(w, 2);
	UNIT_INT(w->job[1].attempt, 2);
	UNIT_INT(w->job[1].part, 0);
	UNIT_INT(w->job[1].n_recipients, 2);
	UNIT_TEXT(w->job[1].recipient, "c@x.example");
	/* Refusals count the message's recipients. */
	world_report_each(w, 1, IPC_OUTCOME_SENT, "4P");
	struck_out(w, 2);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 0);
	UNIT_INT(world_count("SELECT count(*) FROM delivery WHERE state = 'sent' AND recipient ~ '^[ac]@'"), 2);
	UNIT_INT(world_count("SELECT count(*) FROM dead_letter WHERE part = 4 AND recipients = '{4}' AND attempts = 2"), 1);
	forgotten(w);
	UNIT_INT(w->qmgr->messages.body_bytes, 0);
	world_free(&w);
}

static void those_who_are_left_when_attempts_are_used_up_are_dead(void)
{
	struct world *w = start();
	struct ipc_message m = message_to(3);

	world_submit_message(w, 1, &m, -1);
	for (unsigned i = 0; i < 3; i++) {
		given(w, i + 1);
		world_report_each(w, i, IPC_OUTCOME_TRANSIENT, i == 0 ? "0P" : "");
		struck_out(w, i + 1);
	}
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 0);
	UNIT_INT(world_count("SELECT count(*) FROM dead_letter WHERE recipients = '{0}' AND part = 0 AND attempts = 1"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM dead_letter WHERE recipients = '{1,2}' AND part = 1 AND attempts = 3"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM delivery WHERE state = 'failed'"), 3);
	world_free(&w);
}

static void what_is_unknown_stays_with_its_provider(void)
{
	struct world *w = start();
	struct ipc_message m = message_to(2);
	const struct qmgr_message *in_memory;

	world_submit_message(w, 1, &m, -1);
	given(w, 1);
	world_report_each(w, 0, IPC_OUTCOME_UNKNOWN, "0P");
	struck_out(w, 1);
	UNIT_INT(world_count("SELECT count(*) FROM queue WHERE pinned AND provider = 'dev' AND recipients = '{1}'"), 1);
	given(w, 2);
	/* It may have it since the first time, whatever it says now. */
	world_report_each(w, 1, IPC_OUTCOME_TRANSIENT, "");
	struck_out(w, 2);
	UNIT_INT(world_count("SELECT count(*) FROM queue WHERE pinned"), 1);
	in_memory = qmgr_message_find(w->qmgr, &m.id, 0);
	UNIT_TRUE(in_memory != NULL && in_memory->pinned != NULL && strcmp(in_memory->pinned, "dev") == 0);
	world_kill(w);
	world_restart(w, false);
	given(w, 3);
	in_memory = qmgr_message_find(w->qmgr, &m.id, 0);
	UNIT_TRUE(in_memory != NULL && in_memory->pinned != NULL && strcmp(in_memory->pinned, "dev") == 0);
	UNIT_INT(w->job[2].n_recipients, 1);
	UNIT_INT(w->job[2].attempt, 3);
	world_free(&w);
}

static bool has_failed_without_a_call(struct world *w, unsigned n)
{
	(void)w, (void)n;
	return world_count("SELECT count(*) FROM queue WHERE attempts = 2 AND faults = 1") == 1;
}

/* Sent again, it must go to no other. */
static void a_dead_letter_remembers_who_may_have_it(void)
{
	struct world *w = start();
	struct ipc_message m = message_to(2);

	w->settings->queue.max_attempts = 1;
	qmgr_on_reload(w->qmgr);
	world_submit_message(w, 1, &m, -1);
	given(w, 1);
	world_report_each(w, 0, IPC_OUTCOME_PERMANENT, "");
	struck_out(w, 1);
	UNIT_INT(world_count("SELECT count(*) FROM dead_letter WHERE NOT pinned"), 1);
	m = message_to(2);
	world_submit_message(w, 2, &m, -1);
	given(w, 2);
	world_report_each(w, 1, IPC_OUTCOME_UNKNOWN, "");
	struck_out(w, 2);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 0);
	UNIT_INT(world_count("SELECT count(*) FROM dead_letter WHERE pinned AND provider = 'dev'"), 1);
	world_free(&w);
}

/* It is in no settings any more, which does not make it forget the message. */
static void a_provider_that_is_gone_keeps_what_it_may_have(void)
{
	struct world *w = start();

	world_submit(w, 1, "x\r\n");
	given(w, 1);
	str_copy(STR("renamed"), w->settings->provider[0].key, sizeof(w->settings->provider[0].key));
	qmgr_on_reload(w->qmgr);
	world_report_each(w, 0, IPC_OUTCOME_UNKNOWN, "");
	struck_out(w, 1);
	UNIT_TRUE(world_until(has_failed_without_a_call, w, 0));
	UNIT_INT(world_count("SELECT count(*) FROM queue WHERE pinned AND provider = 'dev'"), 1);
	UNIT_INT(w->n_jobs, 1);
	world_free(&w);
}

static void a_message_goes_by_as_many_calls_as_it_takes(void)
{
	struct world *w = start();
	struct ipc_message m = message_to(5);
	bool is_there[5] = {false};

	w->settings->provider[0].recipients_per_call = 2;
	m.dsn = STR("RET=HDRS\n3 NOTIFY=NEVER\n");
	world_submit_message(w, 1, &m, -1);
	given(w, 3);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 3);
	UNIT_INT(world_count("SELECT count(*) FROM event WHERE kind = 'split' AND reason = 'into 3 parts'"), 1);
	for (unsigned i = 0; i < 3; i++) {
		const struct world_job *job = &w->job[i];

		UNIT_INT(job->attempt, 1);
		UNIT_INT(job->n_recipients, job->part == 4 ? 1 : 2);
		UNIT_TEXT(job->recipient, five[job->part].p);
		UNIT_TEXT(job->dsn, job->part == 2 ? "RET=HDRS\n1 NOTIFY=NEVER\n" : "RET=HDRS\n");
		UNIT_TEXT(job->content, "x\r\n");
		is_there[job->part] = true;
		world_report_each(w, i, job->part == 2 ? IPC_OUTCOME_PERMANENT : IPC_OUTCOME_SENT, "");
	}
	UNIT_TRUE(is_there[0] && is_there[2] && is_there[4]);
	struck_out(w, 3);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 0);
	UNIT_INT(world_count("SELECT count(*) FROM delivery WHERE state = 'sent' AND recipient ~ '^[abe]@'"), 3);
	UNIT_INT(world_count("SELECT count(*) FROM dead_letter WHERE part = 2 AND recipients = '{2,3}'"), 1);
	UNIT_INT(w->qmgr->messages.body_bytes, 0);
	world_free(&w);
}

static void parts_are_read_back_with_one_reading_of_the_content(void)
{
	struct world *w = start();
	struct ipc_message m = message_to(5);

	w->settings->provider[0].recipients_per_call = 1;
	w->settings->queue.memory = 0; /* no body is kept beyond its call */
	world_submit_message(w, 1, &m, -1);
	given(w, 5);
	for (unsigned i = 0; i < 5; i++) {
		UNIT_TEXT(w->job[i].content, "x\r\n");
		world_report_each(w, i, i == 0 ? IPC_OUTCOME_TRANSIENT : IPC_OUTCOME_SENT, "");
	}
	struck_out(w, 5);
	given(w, 6);
	UNIT_INT(w->job[5].part, w->job[0].part);
	UNIT_TEXT(w->job[5].recipient, w->job[0].recipient);
	world_report_each(w, 5, IPC_OUTCOME_SENT, "");
	struck_out(w, 6);
	UNIT_INT(world_count("SELECT count(*) FROM delivery WHERE state = 'sent'"), 5);
	UNIT_INT(w->qmgr->messages.body_bytes, 0);
	world_free(&w);
}

static bool has_splits(struct world *w, unsigned n)
{
	return w->qmgr->splits.n_running >= n;
}

static void many_messages_are_split_a_few_at_a_time(void)
{
	struct world *w = start();
	struct ipc_message m;
	bool was_bounded = true;

	w->settings->provider[0].recipients_per_call = 1;
	for (unsigned i = 0; i < 60; i++) {
		m = message_to(5);
		world_submit_message(w, i, &m, -1);
	}
	UNIT_TRUE(world_until(has_splits, w, 2));
	for (unsigned i = 0; i < 300; i++) {
		was_bounded = was_bounded && w->qmgr->splits.n_running <= 16;
		given(w, i + 1);
		world_report_each(w, i, IPC_OUTCOME_SENT, "");
	}
	UNIT_TRUE(was_bounded);
	struck_out(w, 300);
	UNIT_INT(w->n_jobs, 300);
	UNIT_INT(world_count("SELECT count(*) FROM delivery WHERE state = 'sent'"), 300);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 0);
	UNIT_TRUE(w->qmgr->splits.first == NULL);
	world_free(&w);
}

/* Its parts are told of by the agents and found in the table, each once. */
static void parts_survive_a_new_qmgr(void)
{
	struct world *w = start();
	struct ipc_message m = message_to(4);

	w->settings->provider[0].recipients_per_call = 1;
	world_submit_message(w, 1, &m, -1);
	given(w, 4);
	world_kill(w);
	world_restart(w, true);
	world_report_each(w, 0, IPC_OUTCOME_SENT, "");	 /* from a journal */
	world_running_part(w, w->job[1].agent, &m.id, w->job[1].part, 1);
	world_places(w, 0, 64);
	world_places(w, 1, 64);
	given(w, 6); /* the two that no agent has heard of */
	world_pass(300 * CLOCK_MS);
	UNIT_INT(w->n_jobs, 6);
	UNIT_INT(w->job[4].part + w->job[5].part, w->job[2].part + w->job[3].part);
	for (unsigned i = 1; i < 6; i++)
		if (i == 1 || i > 3)
			world_report_each(w, i, IPC_OUTCOME_SENT, "");
	struck_out(w, 4);
	UNIT_INT(world_count("SELECT count(*) FROM delivery WHERE state = 'sent'"), 4);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 0);
	world_free(&w);
}

/* The statement waits for the shard's row until somebody else has taken it. */
static void a_split_after_the_lease_went_does_nothing(void)
{
	struct world *w;
	struct ipc_message m = message_to(2);
	char sql[512], id[UUID_TEXT];

	world_begin();
	w = world_start("host-a", true);
	UNIT_TRUE(world_until(world_owns_all, w, 0));
	m.tenant = world_tenant;
	w->settings->provider[0].recipients_per_call = 1;
	world_submit_message(w, 1, &m, -1);
	answered(w, 1);
	w->qmgr->lease.next_at = INT64_MAX; /* it does not hear of it */
	pg_fixture_sql(world_database(), "UPDATE shard SET owner = 'host-b', epoch = epoch + 1,"
					 " until = now() + interval '1 minute'");
	w->qmgr->lease.safe_until = clock_mono() + 60 * CLOCK_SECOND;
	world_places(w, 0, 64);
	world_places(w, 1, 64);
	world_pass(500 * CLOCK_MS);
	UNIT_INT(w->n_jobs, 0);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM queue WHERE recipients IS NULL"), 1);
	/* And in SQL, what a row is not any more: tried since, held, gone. */
	snprintf(sql, sizeof(sql), "SELECT queue_split(shard::int4, (SELECT epoch FROM shard s WHERE s.shard = q.shard),"
				   " '%s', 0, 1, NULL, '{\"{0}\",\"{1}\"}') FROM queue q", uuid_format(&m.id, id));
	UNIT_INT(world_count(sql), 2);
	pg_fixture_sql(world_database(), "UPDATE queue SET is_held = true, attempts = 1");
	UNIT_INT(world_count(sql), 2);
	pg_fixture_sql(world_database(), "UPDATE queue SET is_held = false");
	UNIT_INT(world_count(sql), 1);
	UNIT_INT(world_count("SELECT count(*) FROM queue WHERE attempts = 1 AND recipients IN ('{0}', '{1}')"), 2);
	world_free(&w);
}

/* What a host that was away says of a part that the next one has in other parts. */
static void an_outcome_after_a_take_over_changes_nothing_twice(void)
{
	struct world *a, *b;
	struct ipc_message m = message_to(2);

	world_begin();
	a = world_start("host-a", false);
	UNIT_TRUE(world_until(world_owns_all, a, 0));
	m.tenant = world_tenant;
	world_submit_message(a, 1, &m, -1);
	given(a, 1);
	world_kill(a);
	b = world_start("host-b", false);
	b->settings->provider[0].recipients_per_call = 1;
	UNIT_TRUE(world_until(world_owns_all, b, 0));
	given(b, 2);
	for (unsigned i = 0; i < 2; i++)
		world_report_each(b, i, b->job[i].part == 0 ? IPC_OUTCOME_SENT : IPC_OUTCOME_TRANSIENT, "");
	struck_out(b, 2);
	/* The first host's agent has its word in its journal: refused, all of it, in the first attempt. */
	world_restart(a, true);
	world_report_each(a, 0, IPC_OUTCOME_PERMANENT, "");
	world_places(a, 0, 64);
	world_places(a, 1, 64);
	struck_out(a, 1);
	UNIT_INT(world_count("SELECT count(*) FROM dead_letter"), 0);
	UNIT_INT(world_count("SELECT count(*) FROM delivery WHERE state = 'sent'"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 1);
	world_free(&a);
	world_free(&b);
}

static void content_that_is_not_to_be_kept_goes_with_the_last_outcome(void)
{
	struct world *w;
	struct ipc_message m = message_to(2);

	world_begin();
	pg_fixture_sql(world_database(), "UPDATE tenant SET keep_messages = '0'");
	w = world_start("host-a", false);
	UNIT_TRUE(world_until(world_owns_all, w, 0));
	w->settings->provider[0].recipients_per_call = 1;
	m.tenant = world_tenant;
	world_submit_message(w, 1, &m, -1);
	given(w, 2);
	world_report_each(w, 0, IPC_OUTCOME_SENT, "");
	struck_out(w, 1);
	UNIT_INT(world_count("SELECT octet_length(content) FROM message"), 3);
	world_report_each(w, 1, IPC_OUTCOME_TRANSIENT, "");
	struck_out(w, 2);
	UNIT_INT(world_count("SELECT octet_length(content) FROM message"), 3);
	given(w, 3);
	world_report_each(w, 2, IPC_OUTCOME_SENT, "");
	struck_out(w, 3);
	UNIT_INT(world_count("SELECT octet_length(content) FROM message"), 0);
	UNIT_INT(world_count("SELECT size FROM message"), 3);
	/* A dead letter can be sent again: it keeps its content. */
	m = message_to(1);
	world_submit_message(w, 2, &m, -1);
	given(w, 4);
	world_report_each(w, 3, IPC_OUTCOME_PERMANENT, "");
	struck_out(w, 4);
	UNIT_INT(world_count("SELECT max(octet_length(content)) FROM message"), 3);
	world_free(&w);
}

static void a_direct_messages_refusals_are_its_answer_or_the_queues(void)
{
	static const struct {
		enum ipc_mode mode;
		enum ipc_outcome_class class;
		const char *refusals;
		enum ipc_submit_verdict verdict;
		int rows; /* of the queue then */
	} cases[] = {
		{IPC_DIRECT, IPC_OUTCOME_SENT, "0P", IPC_SUBMIT_SENT, 0},
		{IPC_DIRECT, IPC_OUTCOME_SENT, "0T", IPC_SUBMIT_SENT, 0},
		{IPC_DIRECT, IPC_OUTCOME_PERMANENT, "0P 1P", IPC_SUBMIT_REFUSED, 0},
		{IPC_DIRECT, IPC_OUTCOME_PERMANENT, "1T", IPC_SUBMIT_FAILING, 0},
		{IPC_DIRECT, IPC_OUTCOME_TRANSIENT, "1P", IPC_SUBMIT_FAILING, 0},
		{IPC_DIRECT_THEN_QUEUE, IPC_OUTCOME_SENT, "0P", IPC_SUBMIT_SENT, 0},
		{IPC_DIRECT_THEN_QUEUE, IPC_OUTCOME_SENT, "0T", IPC_SUBMIT_STORED, 1},
	};
	struct world *w = start();

	w->settings->queue.retry_first = 60 * CLOCK_SECOND;
	pg_fixture_sql(world_database(), "UPDATE tenant SET retry_first = '1 minute'");
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ipc_message m = message_to(2);

		m.mode = cases[i].mode;
		world_submit_message(w, i, &m, -1);
		given(w, i + 1);
		world_report_each(w, i, cases[i].class, cases[i].refusals);
		answered(w, i + 1);
		UNIT_INT(w->answer[i].verdict, cases[i].verdict);
		struck_out(w, i + 1);
		UNIT_INT(world_count("SELECT count(*) FROM queue"), cases[i].rows);
	}
	UNIT_INT(world_count("SELECT count(*) FROM queue WHERE recipients = '{0}' AND attempts = 1"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM delivery WHERE recipient LIKE 'b@%' AND state = 'sent'"), 1);
	world_free(&w);
}

UNIT_TESTS({"lists are written and read", lists_are_written_and_read},
	   {"status parameters are counted anew", status_parameters_are_counted_anew},
	   {"each recipient is recorded", each_recipient_is_recorded},
	   {"those who are left when attempts are used up are dead",
	    those_who_are_left_when_attempts_are_used_up_are_dead},
	   {"what is unknown stays with its provider", what_is_unknown_stays_with_its_provider},
	   {"a dead letter remembers who may have it", a_dead_letter_remembers_who_may_have_it},
	   {"a provider that is gone keeps what it may have", a_provider_that_is_gone_keeps_what_it_may_have},
	   {"a message goes by as many calls as it takes", a_message_goes_by_as_many_calls_as_it_takes},
	   {"parts are read back with one reading of the content", parts_are_read_back_with_one_reading_of_the_content},
	   {"many messages are split a few at a time", many_messages_are_split_a_few_at_a_time},
	   {"parts survive a new qmgr", parts_survive_a_new_qmgr},
	   {"a split after the lease went does nothing", a_split_after_the_lease_went_does_nothing},
	   {"an outcome after a take-over changes nothing twice", an_outcome_after_a_take_over_changes_nothing_twice},
	   {"content that is not to be kept goes with the last outcome",
	    content_that_is_not_to_be_kept_goes_with_the_last_outcome},
	   {"a direct message's refusals are its answer or the queue's",
	    a_direct_messages_refusals_are_its_answer_or_the_queues})
