/* SPDX-License-Identifier: Apache-2.0
 *
 * Idempotency keys: a second message with the key of a first one is the first one, whoever hands it in and whatever breaks.
 */
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "tests/qmgr/qmgr_world.h"
#include "tests/support/pg_fixture.h"
#include "tests/support/unit.h"

#define SENT ((struct ipc_outcome){.class = IPC_OUTCOME_SENT, .code = 202, .provider_id = STR("P-1")})

static bool is_up(struct world *w, unsigned n)
{
	(void)n;
	return w->qmgr->lease.n_ours > 0 && w->qmgr->lease.n_ours < 64 + 1;
}

static struct world *start(void)
{
	struct world *w;

	world_begin();
	w = world_start("host-a", true);
	UNIT_TRUE(world_until(is_up, w, 0));
	return w;
}

static struct ipc_message keyed(const char *key, enum ipc_mode mode)
{
	struct ipc_message m = world_message("x\r\n");

	m.idempotency_key = str_of(key);
	m.mode = mode;
	return m;
}

/* Answer number n is STORED, under its own id (NULL) or this one. */
static void stored(const struct world *w, unsigned n, const struct uuid *under)
{
	static const struct uuid own;

	UNIT_TRUE(w->n_answers > n);
	UNIT_INT(w->answer[n].verdict, IPC_SUBMIT_STORED);
	UNIT_TRUE(uuid_eq(&w->answer[n].id, under != NULL ? under : &own));
}

static void the_second_is_the_first(void)
{
	struct world *w = start();
	struct ipc_message first = keyed("k", IPC_QUEUED), second = keyed("k", IPC_QUEUED), other = keyed("K", IPC_QUEUED),
			   strangers = keyed("k", IPC_QUEUED), without = keyed("", IPC_QUEUED);

	strangers.tenant = uuid_new(clock_wall());
	world_submit_message(w, 1, &first, -1);
	answered(w, 1);
	world_submit_message(w, 2, &second, -1);
	answered(w, 2);
	world_submit_message(w, 3, &other, -1);
	answered(w, 3);
	world_submit_message(w, 4, &strangers, -1);
	answered(w, 4);
	world_submit_message(w, 5, &without, -1);
	answered(w, 5);
	stored(w, 0, NULL);
	stored(w, 1, &first.id);
	stored(w, 2, NULL);
	stored(w, 3, NULL);
	stored(w, 4, NULL);
	UNIT_INT(world_count("SELECT count(*) FROM message"), 4);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 4);
	UNIT_INT(world_count("SELECT count(*) FROM idempotency"), 3);
	UNIT_INT(world_count("SELECT count(*) FROM idempotency WHERE is_repeated"), 1);
	/* Its own id again: it is no repetition of itself. */
	world_submit_again(w, 6, &first);
	answered(w, 6);
	stored(w, 5, NULL);
	world_free(&w);
}

/* In one commit, in any order of keys. */
static void of_many_at_once_one_is_stored(void)
{
	struct world *w = start();
	struct ipc_message m[60];
	static const char *const keys[] = {"a", "b", "c"};
	unsigned own = 0;

	for (unsigned i = 0; i < 60; i++) {
		m[i] = keyed(keys[i * 7 % 3], IPC_QUEUED);
		world_submit_message(w, i, &m[i], -1);
	}
	answered(w, 60);
	for (unsigned i = 0; i < 60; i++) {
		UNIT_INT(w->answer[i].verdict, IPC_SUBMIT_STORED);
		own += uuid_is_zero(&w->answer[i].id);
	}
	UNIT_INT(own, 3);
	UNIT_INT(world_count("SELECT count(*) FROM message m JOIN idempotency i USING (tenant_id, message_id)"), 3);
	UNIT_INT(world_count("SELECT count(*) FROM message"), 3);
	world_free(&w);
}

static bool has_half(struct world *w, unsigned n)
{
	(void)n;
	return w->qmgr->lease.n_ours == QMGR_SHARDS / 2;
}

/* The first host's commit takes long; the second one's waits for it. */
static void two_hosts_store_one(void)
{
	struct world *a, *b;
	struct ipc_message one = keyed("k", IPC_QUEUED), two = keyed("k", IPC_QUEUED);
	const struct uuid *kept;

	world_begin();
	a = world_start("host-a", true);
	b = world_start("host-b", true);
	UNIT_TRUE(world_until(has_half, a, 0));
	UNIT_TRUE(world_until(has_half, b, 0));
	pg_fixture_sql(world_database(), "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$"
					 " BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$;"
					 " CREATE TRIGGER slow AFTER INSERT ON idempotency FOR EACH STATEMENT"
					 " EXECUTE FUNCTION wait()");
	world_submit_message(a, 1, &one, -1);
	world_submit_message(b, 1, &two, -1);
	answered(a, 1);
	answered(b, 1);
	kept = uuid_is_zero(&a->answer[0].id) ? &one.id : &two.id;
	stored(a, 0, kept == &one.id ? NULL : kept);
	stored(b, 0, kept == &two.id ? NULL : kept);
	UNIT_INT(world_count("SELECT count(*) FROM message"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 1);
	world_free(&a);
	world_free(&b);
}

static void a_key_is_good_for_its_window(void)
{
	struct world *w = start();
	struct ipc_message first = keyed("k", IPC_QUEUED), second = keyed("k", IPC_QUEUED), third = keyed("k", IPC_QUEUED);

	world_submit_message(w, 1, &first, -1);
	answered(w, 1);
	UNIT_INT(world_count("SELECT count(*) FROM idempotency WHERE until BETWEEN now() + '23:50' AND now() + '24:00'"), 1);
	pg_fixture_sql(world_database(), "UPDATE idempotency SET until = now() - interval '1 s', is_repeated = true");
	pg_fixture_sql(world_database(), "UPDATE tenant SET idempotency_window = '5 min'");
	world_submit_message(w, 2, &second, -1);
	answered(w, 2);
	stored(w, 1, NULL);
	UNIT_INT(world_count("SELECT count(*) FROM idempotency WHERE until BETWEEN now() + '00:04' AND now() + '00:05'"
			     " AND NOT is_repeated"), 1);
	world_submit_message(w, 3, &third, -1);
	answered(w, 3);
	stored(w, 2, &second.id);
	UNIT_INT(world_count("SELECT count(*) FROM message"), 2);
	world_free(&w);
}

static void regret(struct world *w, const struct uuid *id)
{
	struct qmgr_intake *in = &w->qmgr->intake;

	in->regrets = mem_grow(in->regrets, (in->n_regrets + 1) * sizeof(*in->regrets));
	in->regrets[in->n_regrets++] = *id;
	qmgr_message_drop(w->qmgr, qmgr_message_find(w->qmgr, id, 0));
	qmgr_intake_withdraw(w->qmgr);
}

static bool is_withdrawn(struct world *w, unsigned n)
{
	(void)n;
	return w->qmgr->intake.n_regrets == 0;
}

/* The first one's client was told 451, and another host has its shard by now, or has sent it: it cannot be taken back, and
 * the client's next try must not be another message. */
static void what_cannot_be_taken_back_keeps_its_key(void)
{
	struct world *w = start();
	struct ipc_message first = keyed("k", IPC_QUEUED), again = keyed("k", IPC_QUEUED);

	world_submit_message(w, 1, &first, -1);
	answered(w, 1);
	pg_fixture_sql(world_database(), "DELETE FROM queue");
	regret(w, &first.id);
	UNIT_TRUE(world_until(is_withdrawn, w, 0));
	UNIT_INT(world_count("SELECT count(*) FROM idempotency"), 1);
	world_submit_message(w, 2, &again, -1);
	answered(w, 2);
	stored(w, 1, &first.id);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 0);
	world_free(&w);
}

/* The first one's client was told 451. Its second try, which had a 250 for it, keeps it; without one, its key is free. */
static void what_was_promised_to_a_second_is_not_withdrawn(void)
{
	struct world *w = start();
	struct ipc_message first = keyed("k", IPC_QUEUED), second = keyed("k", IPC_QUEUED), alone = keyed("l", IPC_QUEUED),
			   after = keyed("l", IPC_QUEUED);

	world_submit_message(w, 1, &first, -1);
	world_submit_message(w, 2, &alone, -1);
	answered(w, 2);
	world_submit_message(w, 3, &second, -1);
	answered(w, 3);
	stored(w, 2, &first.id);
	regret(w, &first.id);
	regret(w, &alone.id);
	UNIT_TRUE(world_until(is_withdrawn, w, 0));
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM idempotency"), 1);
	world_submit_message(w, 4, &after, -1);
	answered(w, 4);
	stored(w, 3, NULL);
	UNIT_INT(world_count("SELECT count(*) FROM queue"), 2);
	/* And it is sent, though memory had forgotten it. */
	world_places(w, 0, 10);
	world_places(w, 1, 10);
	given(w, 2);
	world_free(&w);
}

static void test_mode_is_stored(void)
{
	struct world *w = start();
	struct ipc_message m = keyed("", IPC_QUEUED);

	m.is_test = true;
	world_submit_message(w, 1, &m, -1);
	answered(w, 1);
	world_submit(w, 2, "y\r\n");
	answered(w, 2);
	UNIT_INT(world_count("SELECT count(*) FROM message WHERE is_test"), 1);
	world_free(&w);
}

static void direct_keys_are_remembered(void)
{
	struct world *w;
	struct ipc_message first = keyed("k", IPC_DIRECT), second = keyed("k", IPC_DIRECT), third = keyed("k", IPC_DIRECT);

	world_begin_alone();
	w = world_start("host-a", false);
	world_submit_message(w, 1, &first, -1);
	given(w, 1);
	/* While it is not known what becomes of it: later. */
	world_submit_message(w, 2, &second, -1);
	answered(w, 1);
	UNIT_INT(w->answer[0].frame_id, 2);
	UNIT_INT(w->answer[0].verdict, IPC_SUBMIT_UNAVAILABLE);
	/* The first one itself, said again over a new connection, waits for the call under way. */
	world_reconnect_smtpd(w);
	world_submit_again(w, 1, &first);
	world_pass(50 * CLOCK_MS);
	world_report(w, 0, &SENT);
	answered(w, 2);
	UNIT_INT(w->answer[1].verdict, IPC_SUBMIT_SENT);
	UNIT_TRUE(uuid_is_zero(&w->answer[1].id));
	world_submit_message(w, 3, &third, -1);
	answered(w, 3);
	UNIT_INT(w->answer[2].verdict, IPC_SUBMIT_SENT);
	UNIT_TEXT(w->answer[2].provider_id, "P-1");
	UNIT_TRUE(uuid_eq(&w->answer[2].id, &first.id));
	/* Again itself, which is still no repetition. */
	world_submit_again(w, 4, &first);
	answered(w, 4);
	UNIT_INT(w->answer[3].verdict, IPC_SUBMIT_SENT);
	UNIT_TRUE(uuid_is_zero(&w->answer[3].id));
	UNIT_INT(w->n_jobs, 1);
	world_free(&w);
}

static void what_was_not_taken_may_come_again(void)
{
	static const enum ipc_outcome_class classes[] = {IPC_OUTCOME_PERMANENT, IPC_OUTCOME_TRANSIENT, IPC_OUTCOME_UNKNOWN};
	struct world *w;

	world_begin_alone();
	w = world_start("host-a", false);
	for (unsigned i = 0; i < 3; i++) {
		struct ipc_message m = keyed("k", IPC_DIRECT);

		world_submit_message(w, i, &m, -1);
		given(w, i + 1);
		world_report(w, i, &(struct ipc_outcome){.class = classes[i], .code = 500, .reason = STR("no")});
		answered(w, i + 1);
		UNIT_TRUE(w->answer[i].verdict != IPC_SUBMIT_SENT);
	}
	world_free(&w);
}

static void direct_keys_end_too(void)
{
	struct world *w;
	struct ipc_message m[3] = {keyed("k", IPC_DIRECT), keyed("k", IPC_DIRECT), keyed("k", IPC_DIRECT)};

	world_begin_alone();
	w = world_start("host-a", false);
	w->settings->queue.idempotency_window = 200 * CLOCK_MS;
	qmgr_tenant_follow_settings(w->qmgr);
	for (unsigned i = 0; i < 2; i++) {
		world_submit_message(w, i, &m[i], -1);
		given(w, i + 1);
		world_report(w, i, &SENT);
		answered(w, i + 1);
		UNIT_TRUE(uuid_is_zero(&w->answer[i].id));
		world_pass(i == 0 ? 300 * CLOCK_MS : 0);
	}
	UNIT_INT(w->qmgr->keys.n_taken, 1);
	world_free(&w);
}

/* Sends a message with this key, if it is not one that was sent; was it? */
static bool is_new(struct world *w, const struct uuid *tenant, const char *key)
{
	struct ipc_message m = keyed(key, IPC_DIRECT);
	unsigned jobs = w->n_jobs, answers = w->n_answers;

	m.tenant = *tenant;
	world_submit_message(w, answers, &m, -1);
	while (w->n_jobs == jobs && w->n_answers == answers)
		world_pass(CLOCK_MS);
	if (w->n_jobs == jobs)
		return false;
	world_report(w, jobs, &SENT);
	answered(w, answers + 1);
	return true;
}

static void a_tenant_with_many_keys_takes_no_others_away(void)
{
	static const char *const many[] = {"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"};
	struct uuid loud, quiet;
	struct world *w;

	world_begin_alone();
	w = world_start("host-a", false);
	loud = world_message("x\r\n").tenant;
	quiet = uuid_new(clock_wall());
	w->qmgr->keys.most = 10;
	UNIT_TRUE(is_new(w, &quiet, "a") && is_new(w, &quiet, "b"));
	for (unsigned i = 0; i < 15; i++)
		UNIT_TRUE(is_new(w, &loud, many[i]));
	UNIT_INT(w->qmgr->keys.n_taken, 10);
	UNIT_TRUE(!is_new(w, &quiet, "a") && !is_new(w, &quiet, "b"));
	/* Of its own ones the newest hold. */
	UNIT_TRUE(!is_new(w, &loud, "15") && !is_new(w, &loud, "8"));
	UNIT_TRUE(is_new(w, &loud, "7"));
	/* The quiet one's next takes one of the other's, too. */
	UNIT_TRUE(is_new(w, &quiet, "c"));
	UNIT_TRUE(!is_new(w, &quiet, "a") && !is_new(w, &loud, "15") && is_new(w, &loud, "8"));
	UNIT_INT(w->qmgr->keys.n_taken, 10);
	world_free(&w);
}

UNIT_TESTS({"the second is the first", the_second_is_the_first},
	   {"of many at once one is stored", of_many_at_once_one_is_stored},
	   {"two hosts store one", two_hosts_store_one},
	   {"a key is good for its window", a_key_is_good_for_its_window},
	   {"what cannot be taken back keeps its key", what_cannot_be_taken_back_keeps_its_key},
	   {"what was promised to a second is not withdrawn", what_was_promised_to_a_second_is_not_withdrawn},
	   {"test mode is stored", test_mode_is_stored},
	   {"direct keys are remembered", direct_keys_are_remembered},
	   {"what was not taken may come again", what_was_not_taken_may_come_again},
	   {"direct keys end too", direct_keys_end_too},
	   {"a tenant with many keys takes no others away", a_tenant_with_many_keys_takes_no_others_away})
