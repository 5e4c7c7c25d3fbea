/* SPDX-License-Identifier: Apache-2.0
 *
 * The direct modes: the provider's answer is the client's, nothing is sent twice whoever dies, and what is stored after
 * all is stored with what is known. With a real Postgres where one is needed.
 */
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "tests/qmgr/qmgr_world.h"
#include "tests/support/pg_fixture.h"
#include "tests/support/unit.h"

#define SENT ((struct ipc_outcome){.class = IPC_OUTCOME_SENT, .code = 202, .provider_id = STR("P-1")})
#define REFUSED ((struct ipc_outcome){.class = IPC_OUTCOME_PERMANENT, .code = 400, .reason = STR("bad address")})
#define FAILING ((struct ipc_outcome){.class = IPC_OUTCOME_TRANSIENT, .code = 503, .reason = STR("busy")})

static struct ipc_message message(enum ipc_mode mode)
{
	struct ipc_message m = world_message("x\r\n");

	m.mode = mode;
	return m;
}

static struct uuid submit(struct world *w, uint64_t frame_id, enum ipc_mode mode)
{
	struct ipc_message m = message(mode);

	world_submit_message(w, frame_id, &m, -1);
	return m.id;
}

/* The direct modes and the queue have a row of the database each in mind: with one, and with tenants in it. */
static bool is_up(struct world *w, unsigned n)
{
	(void)n;
	return w->qmgr->lease.n_ours == QMGR_SHARDS;
}

static struct world *start_with_database(void)
{
	struct world *w;

	world_begin();
	w = world_start("host-a", false);
	UNIT_TRUE(world_until(is_up, w, 0));
	return w;
}

static void the_providers_answer_is_the_clients(void)
{
	static const struct {
		struct ipc_outcome outcome;
		enum ipc_submit_verdict verdict;
		const char *reason, *provider_id;
	} cases[] = {
		{{.class = IPC_OUTCOME_SENT, .code = 202, .provider_id = {"P-1", 3}}, IPC_SUBMIT_SENT, "", "P-1"},
		{{.class = IPC_OUTCOME_PERMANENT, .code = 400, .reason = {"no such", 7}}, IPC_SUBMIT_REFUSED, "no such", ""},
		{{.class = IPC_OUTCOME_TRANSIENT, .code = 429}, IPC_SUBMIT_RATE_LIMITED, "", ""},
		{{.class = IPC_OUTCOME_TRANSIENT, .code = 503, .retry_after = 5}, IPC_SUBMIT_RATE_LIMITED, "", ""},
		{{.class = IPC_OUTCOME_TRANSIENT, .code = 400, .reason = {"Throttling", 10}}, IPC_SUBMIT_RATE_LIMITED,
		 "Throttling", ""},
		{{.class = IPC_OUTCOME_TRANSIENT, .code = 503}, IPC_SUBMIT_FAILING, "", ""},
		{{.class = IPC_OUTCOME_TRANSIENT, .status = {"4.4.1", 5}}, IPC_SUBMIT_UNREACHABLE, "", ""},
		{{.class = IPC_OUTCOME_UNKNOWN}, IPC_SUBMIT_UNREACHABLE, "", ""},
		{{.class = IPC_OUTCOME_PROVIDER_FAULT, .code = 401, .reason = {"key SG.x", 8}}, IPC_SUBMIT_FAILING,
		 "the provider's account or key", ""},
	};
	struct world *w;

	world_begin_alone();
	w = world_start("host-a", false);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct uuid id = submit(w, i, IPC_DIRECT);

		given(w, i + 1);
		UNIT_TRUE(uuid_eq(&w->job[i].message, &id));
		UNIT_INT(w->job[i].attempt, IPC_ATTEMPT_DIRECT | 1);
		UNIT_INT(w->job[i].n_recipients, 2);
		UNIT_TEXT(w->job[i].content, "x\r\n");
		world_report(w, i, &cases[i].outcome);
		answered(w, i + 1);
		UNIT_INT(w->answer[i].frame_id, i);
		UNIT_INT(w->answer[i].verdict, cases[i].verdict);
		UNIT_TEXT(w->answer[i].reason, cases[i].reason);
		UNIT_TEXT(w->answer[i].provider_id, cases[i].provider_id);
		struck_out(w, i + 1);
	}
	UNIT_INT(w->qmgr->dispatch.n_jobs, 0);
	UNIT_INT(w->qmgr->directs.bytes, 0);
	world_free(&w);
}

static void recipients_beyond_one_call_go_by_several(void)
{
	static const struct {
		bool is_first_sent, is_second_sent, is_second_refused;
		enum ipc_submit_verdict verdict;
	} cases[] = {
		{true, true, false, IPC_SUBMIT_SENT},	   {true, false, true, IPC_SUBMIT_SENT},
		{false, true, false, IPC_SUBMIT_SENT},	   {false, false, true, IPC_SUBMIT_REFUSED},
		{false, false, false, IPC_SUBMIT_FAILING},
	};
	struct world *w;

	world_begin_alone();
	w = world_start("host-a", false);
	w->settings->provider[0].recipients_per_call = 1;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct uuid id = submit(w, i, IPC_DIRECT);

		given(w, 2 * i + 2);
		UNIT_TRUE(uuid_eq(&w->job[2 * i].message, &id));
		UNIT_TRUE(uuid_eq(&w->job[2 * i + 1].message, &id));
		UNIT_INT(w->job[2 * i].part, 0);
		UNIT_INT(w->job[2 * i + 1].part, 1);
		UNIT_INT(w->job[2 * i].n_recipients, 1);
		UNIT_INT(w->job[2 * i + 1].n_recipients, 1);
		world_report(w, 2 * i, cases[i].is_first_sent ? &SENT : &REFUSED);
		world_pass(50 * CLOCK_MS);
		UNIT_INT(w->n_answers, i);
		world_report(w, 2 * i + 1,
			     cases[i].is_second_sent	  ? &SENT
			     : cases[i].is_second_refused ? &REFUSED
							  : &FAILING);
		answered(w, i + 1);
		UNIT_INT(w->answer[i].verdict, cases[i].verdict);
	}
	struck_out(w, 10);
	world_free(&w);
}

static void what_gets_no_place_in_time_is_answered(void)
{
	struct world *w;

	world_begin_alone();
	w = world_start("host-a", false);
	w->settings->provider[0].concurrency = 1;
	qmgr_on_reload(w->qmgr);
	submit(w, 1, IPC_DIRECT);
	submit(w, 2, IPC_DIRECT);
	answered(w, 1);
	UNIT_INT(w->answer[0].frame_id, 2);
	UNIT_INT(w->answer[0].verdict, IPC_SUBMIT_FAILING);
	world_report(w, 0, &SENT);
	answered(w, 2);
	UNIT_INT(w->answer[1].verdict, IPC_SUBMIT_SENT);
	UNIT_INT(w->n_jobs, 1);
	world_free(&w);
}

static void nothing_is_written_when_the_answer_is_the_providers(void)
{
	struct world *w = start_with_database();

	submit(w, 1, IPC_DIRECT);
	given(w, 1);
	world_report(w, 0, &SENT);
	submit(w, 2, IPC_DIRECT_THEN_QUEUE);
	given(w, 2);
	world_report(w, 1, &SENT);
	submit(w, 3, IPC_DIRECT_THEN_QUEUE);
	given(w, 3);
	world_report(w, 2, &REFUSED);
	answered(w, 3);
	UNIT_INT(w->answer[0].verdict, IPC_SUBMIT_SENT);
	UNIT_INT(w->answer[1].verdict, IPC_SUBMIT_SENT);
	UNIT_INT(w->answer[2].verdict, IPC_SUBMIT_REFUSED);
	struck_out(w, 3);
	UNIT_INT(world_count("SELECT count(*) FROM message") + world_count("SELECT count(*) FROM delivery") +
			 world_count("SELECT count(*) FROM event"),
		 0);
	world_free(&w);
}

static void a_new_qmgr_learns_what_is_under_way(void)
{
	struct world *w;
	struct ipc_message m;

	world_begin_alone();
	w = world_start("host-a", false);
	m = message(IPC_DIRECT);
	world_submit_message(w, 1, &m, -1);
	given(w, 1);
	world_kill(w);
	world_restart(w, true);
	world_submit_again(w, 2, &m);
	world_running(w, w->job[0].agent, &m.id, w->job[0].attempt);
	world_places(w, 0, 64);
	world_places(w, 1, 64);
	world_pass(100 * CLOCK_MS);
	UNIT_INT(w->n_jobs, 1);
	world_report(w, 0, &SENT);
	answered(w, 1);
	UNIT_INT(w->answer[0].frame_id, 2);
	UNIT_INT(w->answer[0].verdict, IPC_SUBMIT_SENT);
	struck_out(w, 1);
	UNIT_INT(w->n_jobs, 1);
	world_free(&w);
}

/* The second call of it, after another provider could not carry it: the next one is the third. */
static void a_call_that_a_new_qmgr_learns_of_keeps_its_number(void)
{
	struct world *w;
	struct ipc_message m;

	world_begin_alone();
	w = world_start("host-a", true);
	m = message(IPC_DIRECT);
	world_running(w, 0, &m.id, 2 | IPC_ATTEMPT_DIRECT);
	world_submit_again(w, 1, &m);
	world_close_agent(w, 0);
	world_pass(100 * CLOCK_MS);
	world_connect_agent(w, 0); /* which knows nothing of it any more */
	world_places(w, 0, 64);
	world_places(w, 1, 64);
	answered(w, 1);
	UNIT_INT(w->answer[0].verdict, IPC_SUBMIT_UNREACHABLE);
	UNIT_INT(qmgr_message_find(w->qmgr, &m.id, 0)->attempts, 1);
	world_free(&w);
}

static void a_new_qmgr_learns_what_was_answered(bool has_database, bool is_said_first)
{
	struct world *w;
	struct ipc_message m;

	if (has_database)
		world_begin();
	else
		world_begin_alone();
	w = world_start("host-a", false);
	m = message(IPC_DIRECT);
	world_submit_message(w, 1, &m, -1);
	given(w, 1);
	world_kill(w);
	world_restart(w, true);
	if (is_said_first)
		world_submit_again(w, 2, &m);
	world_report(w, 0, &SENT); /* from the agent's journal */
	world_places(w, 0, 64);
	world_places(w, 1, 64);
	world_pass(500 * CLOCK_MS);
	UNIT_INT(w->n_stored, is_said_first ? 1 : 0);
	if (!is_said_first)
		world_submit_again(w, 2, &m);
	answered(w, 1);
	UNIT_INT(w->answer[0].verdict, IPC_SUBMIT_SENT);
	UNIT_TEXT(w->answer[0].provider_id, "P-1");
	struck_out(w, 1);
	world_pass(100 * CLOCK_MS);
	UNIT_INT(w->n_jobs, 1);
	world_free(&w);
}

static void a_new_qmgr_learns_what_was_answered_before_and_after(void)
{
	a_new_qmgr_learns_what_was_answered(false, true);
	a_new_qmgr_learns_what_was_answered(false, false);
	a_new_qmgr_learns_what_was_answered(true, true);
	a_new_qmgr_learns_what_was_answered(true, false);
}

static void several_calls_survive_a_new_qmgr(void)
{
	struct world *w;
	struct ipc_message m;

	world_begin_alone();
	w = world_start("host-a", false);
	w->settings->provider[0].recipients_per_call = 1;
	w->settings->provider[0].concurrency = 1;
	qmgr_on_reload(w->qmgr);
	m = message(IPC_DIRECT);
	world_submit_message(w, 1, &m, -1);
	given(w, 1); /* the other has no place yet */
	world_kill(w);
	world_restart(w, true);
	world_submit_again(w, 2, &m);
	world_report(w, 0, &REFUSED);
	world_places(w, 0, 64);
	world_places(w, 1, 64);
	given(w, 2);
	UNIT_TRUE(uuid_eq(&w->job[0].message, &w->job[1].message));
	UNIT_INT(w->job[1].part, 1);
	world_report(w, 1, &SENT);
	answered(w, 1);
	UNIT_INT(w->answer[0].verdict, IPC_SUBMIT_SENT);
	UNIT_INT(w->n_jobs, 2);
	struck_out(w, 2);
	world_free(&w);
}

static void a_dead_agents_call_is_unreachable(void)
{
	struct world *w;
	unsigned agent;

	world_begin_alone();
	w = world_start("host-a", false);
	submit(w, 1, IPC_DIRECT);
	given(w, 1);
	agent = w->job[0].agent;
	world_close_agent(w, agent);
	world_pass(100 * CLOCK_MS);
	UNIT_INT(w->n_answers, 0); /* its next incarnation may know */
	world_connect_agent(w, agent);
	world_places(w, agent, 64);
	answered(w, 1);
	UNIT_INT(w->answer[0].verdict, IPC_SUBMIT_UNREACHABLE);
	UNIT_INT(w->n_jobs, 1);
	world_free(&w);
}

static void a_cut_connection_does_not_send_twice(void)
{
	struct world *w;
	struct ipc_message m;

	world_begin_alone();
	w = world_start("host-a", false);
	m = message(IPC_DIRECT);
	world_submit_message(w, 1, &m, -1);
	given(w, 1);
	world_reconnect_smtpd(w);
	world_submit_again(w, 2, &m); /* while it is under way */
	world_pass(50 * CLOCK_MS);
	world_report(w, 0, &SENT);
	answered(w, 1);
	UNIT_INT(w->answer[0].frame_id, 2);
	world_reconnect_smtpd(w);
	world_submit_again(w, 3, &m); /* when it was answered */
	answered(w, 2);
	UNIT_INT(w->answer[1].frame_id, 3);
	UNIT_INT(w->answer[1].verdict, IPC_SUBMIT_SENT);
	UNIT_TEXT(w->answer[1].provider_id, "P-1");
	world_reconnect_smtpd(w);
	m = message(IPC_DIRECT);
	world_submit_message(w, 4, &m, -1);
	given(w, 2);
	world_reconnect_smtpd(w);
	world_report(w, 1, &SENT); /* while nobody is there to hear it */
	world_pass(50 * CLOCK_MS);
	world_submit_again(w, 5, &m);
	answered(w, 3);
	UNIT_INT(w->answer[2].verdict, IPC_SUBMIT_SENT);
	UNIT_INT(w->n_jobs, 2);
	world_free(&w);
}

static void what_may_work_later_is_stored_with_its_first_attempt(void)
{
	struct world *w = start_with_database();

	submit(w, 1, IPC_DIRECT_THEN_QUEUE);
	given(w, 1);
	world_report(w, 0, &FAILING);
	answered(w, 1);
	UNIT_INT(w->answer[0].verdict, IPC_SUBMIT_STORED);
	struck_out(w, 1);
	UNIT_INT(w->stored[0].attempt, IPC_ATTEMPT_DIRECT | 1);
	UNIT_INT(world_count("SELECT count(*) FROM queue WHERE attempts = 1 AND due_at > now()"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM event WHERE kind = 'transient' AND attempt = 1"), 1);
	given(w, 2);
	UNIT_INT(w->job[1].attempt, 2);
	UNIT_TEXT(w->job[1].content, "x\r\n");
	world_report(w, 1, &SENT);
	struck_out(w, 2);
	UNIT_INT(world_count("SELECT count(*) FROM delivery WHERE state = 'sent' AND attempts = 2"), 2);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 0);
	world_free(&w);
}

static void a_slow_call_is_stored_and_goes_on(void)
{
	struct world *w = start_with_database();

	w->settings->direct.deadline = 200 * CLOCK_MS;
	submit(w, 1, IPC_DIRECT_THEN_QUEUE);
	given(w, 1);
	answered(w, 1);
	UNIT_INT(w->answer[0].verdict, IPC_SUBMIT_STORED);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 1);
	world_pass(1500 * CLOCK_MS); /* leases are renewed, shards scanned */
	UNIT_INT(w->n_jobs, 1);
	world_report(w, 0, &SENT);
	struck_out(w, 1);
	UNIT_INT(w->n_jobs, 1);
	UNIT_INT(world_count("SELECT count(*) FROM delivery WHERE state = 'sent' AND attempts = 1"), 2);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 0);
	world_free(&w);
}

/* The client has its 250: what is refused then is a dead letter, what is not known is tried again. */
static void what_comes_of_a_stored_call_is_the_queues(void)
{
	struct world *w = start_with_database();

	w->settings->direct.deadline = 100 * CLOCK_MS;
	submit(w, 1, IPC_DIRECT_THEN_QUEUE);
	submit(w, 2, IPC_DIRECT_THEN_QUEUE);
	given(w, 2);
	answered(w, 2);
	UNIT_INT(w->answer[0].verdict, IPC_SUBMIT_STORED);
	UNIT_INT(w->answer[1].verdict, IPC_SUBMIT_STORED);
	world_report(w, 0, &REFUSED);
	struck_out(w, 1);
	UNIT_INT(world_count("SELECT count(*) FROM dead_letter WHERE attempts = 1"), 1);
	world_report(w, 1, &(struct ipc_outcome){.class = IPC_OUTCOME_UNKNOWN});
	struck_out(w, 2);
	UNIT_INT(world_count("SELECT count(*) FROM event WHERE kind = 'unknown' AND attempt = 1"), 1);
	given(w, 3);
	UNIT_INT(w->job[2].attempt, 2);
	UNIT_TRUE(uuid_eq(&w->job[2].message, &w->job[1].message));
	UNIT_INT(w->n_answers, 2);
	world_free(&w);
}

static void an_answer_during_the_commit_is_not_lost(void)
{
	struct world *w = start_with_database();

	pg_fixture_sql(world_database(), "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$"
					 " BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$;"
					 " CREATE TRIGGER slow BEFORE INSERT ON message FOR EACH STATEMENT"
					 " EXECUTE FUNCTION wait()");
	w->settings->direct.deadline = 100 * CLOCK_MS;
	submit(w, 1, IPC_DIRECT_THEN_QUEUE);
	given(w, 1);
	world_pass(300 * CLOCK_MS); /* the commit is under way */
	world_report(w, 0, &SENT);
	answered(w, 1);
	UNIT_INT(w->answer[0].verdict, IPC_SUBMIT_STORED);
	struck_out(w, 1);
	UNIT_INT(w->n_jobs, 1);
	UNIT_INT(world_count("SELECT count(*) FROM delivery WHERE state = 'sent'"), 2);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 0);
	world_free(&w);
}

static void a_call_that_did_not_begin_becomes_the_queues(void)
{
	struct world *w;

	world_begin();
	w = world_start("host-a", true);
	UNIT_TRUE(world_until(is_up, w, 0));
	w->settings->direct.deadline = 100 * CLOCK_MS;
	submit(w, 1, IPC_DIRECT_THEN_QUEUE);
	answered(w, 1);
	UNIT_INT(w->answer[0].verdict, IPC_SUBMIT_STORED);
	UNIT_INT(world_count("SELECT count(*) FROM queue WHERE attempts = 0"), 1);
	world_places(w, 0, 64);
	world_places(w, 1, 64);
	given(w, 1);
	UNIT_INT(w->job[0].attempt, 1);
	world_report(w, 0, &SENT);
	struck_out(w, 1);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 0);
	world_free(&w);
}

/* Its agent had it too late: before and after the message was stored that is its first attempt, and it failed. */
static void a_call_that_came_too_late_is_tried_again(void)
{
	struct world *w = start_with_database();

	w->settings->direct.deadline = 100 * CLOCK_MS;
	submit(w, 1, IPC_DIRECT_THEN_QUEUE);
	given(w, 1);
	UNIT_TRUE(w->job[0].begin_before > clock_mono());
	answered(w, 1);
	world_late(w, 0);
	given(w, 2);
	UNIT_INT(w->job[1].attempt, 2);
	world_report(w, 1, &SENT);
	struck_out(w, 1);
	w->settings->direct.deadline = 60 * CLOCK_SECOND;
	submit(w, 2, IPC_DIRECT_THEN_QUEUE);
	given(w, 3);
	world_late(w, 2);
	answered(w, 2);
	UNIT_INT(w->answer[1].verdict, IPC_SUBMIT_STORED);
	given(w, 4);
	world_report(w, 3, &SENT);
	struck_out(w, 2);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 0);
	/* Nobody else can have what is nowhere stored. */
	submit(w, 3, IPC_DIRECT);
	given(w, 5);
	UNIT_INT(w->job[4].begin_before, 0);
	world_free(&w);
}

static void more_recipients_than_a_call_takes_go_to_the_queue(void)
{
	struct world *w = start_with_database();

	w->settings->provider[0].recipients_per_call = 1;
	submit(w, 1, IPC_DIRECT_THEN_QUEUE);
	answered(w, 1);
	UNIT_INT(w->answer[0].verdict, IPC_SUBMIT_STORED);
	given(w, 2);
	for (unsigned i = 0; i < 2; i++) {
		UNIT_INT(w->job[i].attempt, 1);
		UNIT_INT(w->job[i].n_recipients, 1);
	}
	world_free(&w);
}

/* The answer that it is stored, and the next qmgr finds the row and the call. */
static void a_stored_call_survives_a_new_qmgr(void)
{
	struct world *w = start_with_database();
	struct ipc_message m = message(IPC_DIRECT_THEN_QUEUE);

	w->settings->direct.deadline = 100 * CLOCK_MS;
	world_submit_message(w, 1, &m, -1);
	given(w, 1);
	answered(w, 1);
	UNIT_INT(w->answer[0].verdict, IPC_SUBMIT_STORED);
	world_kill(w);
	world_restart(w, true);
	world_running(w, w->job[0].agent, &m.id, w->job[0].attempt);
	world_places(w, 0, 64);
	world_places(w, 1, 64);
	world_submit_again(w, 2, &m); /* the answer may have been lost */
	answered(w, 2);
	UNIT_INT(w->answer[1].verdict, IPC_SUBMIT_STORED);
	world_pass(1500 * CLOCK_MS);
	UNIT_INT(w->n_jobs, 1);
	world_report(w, 0, &SENT);
	struck_out(w, 1);
	UNIT_INT(w->n_jobs, 1);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 0);
	UNIT_INT(world_count("SELECT count(*) FROM message"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM delivery WHERE state = 'sent'"), 2);
	world_free(&w);
}

/* Not stored before: it is stored when it is said again, and the known outcome is recorded. */
static void a_call_that_was_answered_before_a_new_qmgr_is_recorded_once(void)
{
	struct world *w = start_with_database();
	struct ipc_message m = message(IPC_DIRECT_THEN_QUEUE);

	world_submit_message(w, 1, &m, -1);
	given(w, 1);
	world_kill(w);
	world_restart(w, true);
	world_report(w, 0, &SENT);
	world_places(w, 0, 64);
	world_places(w, 1, 64);
	world_pass(500 * CLOCK_MS);
	world_submit_again(w, 2, &m);
	answered(w, 1);
	UNIT_INT(w->answer[0].verdict, IPC_SUBMIT_STORED);
	struck_out(w, 1);
	UNIT_INT(w->n_jobs, 1);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 0);
	UNIT_INT(world_count("SELECT count(*) FROM delivery WHERE state = 'sent'"), 2);
	world_free(&w);
}

/* A 451 would bring the message a second time. */
static void what_cannot_be_stored_waits_for_its_call(void)
{
	struct world *w;

	world_begin_alone();
	w = world_start("host-a", false);
	w->settings->direct.deadline = 100 * CLOCK_MS;
	submit(w, 1, IPC_DIRECT_THEN_QUEUE);
	submit(w, 2, IPC_QUEUED);
	answered(w, 1);
	UNIT_INT(w->answer[0].frame_id, 2);
	UNIT_INT(w->answer[0].verdict, IPC_SUBMIT_UNAVAILABLE);
	given(w, 1);
	world_pass(300 * CLOCK_MS); /* the deadline has come */
	UNIT_INT(w->n_answers, 1);
	world_report(w, 0, &SENT);
	answered(w, 2);
	UNIT_INT(w->answer[1].frame_id, 1);
	UNIT_INT(w->answer[1].verdict, IPC_SUBMIT_SENT);
	struck_out(w, 1);
	submit(w, 3, IPC_DIRECT_THEN_QUEUE);
	given(w, 2);
	world_report(w, 1, &FAILING);
	answered(w, 3);
	UNIT_INT(w->answer[2].verdict, IPC_SUBMIT_UNAVAILABLE);
	UNIT_INT(w->n_jobs, 2);
	world_free(&w);
}

/* An smtpd that was taken over makes ids as it likes: of a call that has been heard of, and is being looked up. */
static void an_id_that_is_taken_harms_nobody(void)
{
	struct world *w = start_with_database();
	struct ipc_message m = message(IPC_DIRECT);

	world_kill(w);
	world_restart_early(w); /* nothing is looked up yet */
	w->settings->provider[0].recipients_per_call = 1;
	world_outcome(w, 0, &m.id, IPC_ATTEMPT_DIRECT | 1, IPC_OUTCOME_SENT);
	world_running_part(w, 0, &m.id, 1, 1);
	world_pass(50 * CLOCK_MS);
	world_submit_again(w, 1, &m);
	answered(w, 1);
	UNIT_INT(w->answer[0].verdict, IPC_SUBMIT_UNAVAILABLE);
	UNIT_TRUE(qmgr_message_find(w->qmgr, &m.id, 0) != NULL);
	qmgr_go(w->qmgr);
	UNIT_TRUE(world_until(is_up, w, 0));
	world_pass(300 * CLOCK_MS);
	UNIT_INT(w->n_jobs, 0);
	world_free(&w);
}

static void the_queue_and_the_direct_modes_take_turns(void)
{
	struct world *w = start_with_database();
	unsigned direct = 0;

	w->settings->provider[0].concurrency = 1;
	qmgr_on_reload(w->qmgr);
	for (unsigned i = 0; i < 20; i++)
		submit(w, i, i % 2 == 0 ? IPC_QUEUED : IPC_DIRECT);
	given(w, 1);
	world_pass(300 * CLOCK_MS); /* all are stored and wait */
	for (unsigned i = 0; i < 10; i++) {
		given(w, i + 1);
		if (i >= w->n_jobs)
			break;
		direct += (w->job[i].attempt & IPC_ATTEMPT_DIRECT) != 0;
		world_report(w, i, &SENT);
	}
	UNIT_TRUE(direct >= 4 && direct <= 6);
	world_free(&w);
}

UNIT_TESTS({"the provider's answer is the client's", the_providers_answer_is_the_clients},
	   {"recipients beyond one call go by several", recipients_beyond_one_call_go_by_several},
	   {"what gets no place in time is answered", what_gets_no_place_in_time_is_answered},
	   {"nothing is written when the answer is the provider's", nothing_is_written_when_the_answer_is_the_providers},
	   {"a new qmgr learns what is under way", a_new_qmgr_learns_what_is_under_way},
	   {"a call that a new qmgr learns of keeps its number", a_call_that_a_new_qmgr_learns_of_keeps_its_number},
	   {"a new qmgr learns what was answered, before and after",
	    a_new_qmgr_learns_what_was_answered_before_and_after},
	   {"several calls survive a new qmgr", several_calls_survive_a_new_qmgr},
	   {"a dead agent's call is unreachable", a_dead_agents_call_is_unreachable},
	   {"a cut connection does not send twice", a_cut_connection_does_not_send_twice},
	   {"what may work later is stored with its first attempt", what_may_work_later_is_stored_with_its_first_attempt},
	   {"a slow call is stored and goes on", a_slow_call_is_stored_and_goes_on},
	   {"what comes of a stored call is the queue's", what_comes_of_a_stored_call_is_the_queues},
	   {"an answer during the commit is not lost", an_answer_during_the_commit_is_not_lost},
	   {"a call that did not begin becomes the queue's", a_call_that_did_not_begin_becomes_the_queues},
	   {"more recipients than a call takes go to the queue", more_recipients_than_a_call_takes_go_to_the_queue},
	   {"a call that came too late is tried again", a_call_that_came_too_late_is_tried_again},
	   {"a stored call survives a new qmgr", a_stored_call_survives_a_new_qmgr},
	   {"a call that was answered before a new qmgr is recorded once",
	    a_call_that_was_answered_before_a_new_qmgr_is_recorded_once},
	   {"what cannot be stored waits for its call", what_cannot_be_stored_waits_for_its_call},
	   {"an id that is taken harms nobody", an_id_that_is_taken_harms_nobody},
	   {"the queue and the direct modes take turns", the_queue_and_the_direct_modes_take_turns})
