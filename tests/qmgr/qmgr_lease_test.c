/* SPDX-License-Identifier: Apache-2.0
 *
 * The pure part of qmgr/qmgr_lease.c, and machines that were copied; the rest is driven by qmgr_test.c.
 */
#include "qmgr/qmgr_lease.h"

#include "lib/base/clock.h"
#include "tests/qmgr/qmgr_world.h"
#include "tests/support/pg_fixture.h"
#include "tests/support/unit.h"

static void hosts_even_their_shards_out(void)
{
	static const struct {
		unsigned ours, free, hosts, take, give;
	} cases[] = {
		{0, 64, 1, 64, 0},					  /* alone: all */
		{64, 0, 1, 0, 0},  {63, 1, 1, 1, 0},  {64, 0, 2, 0, 32},  /* a second host came */
		{0, 0, 2, 0, 0},   {0, 32, 2, 32, 0}, {0, 64, 2, 32, 0},  /* both start at once */
		{32, 0, 3, 0, 10},					  /* 22, 22, 20 */
		{21, 2, 3, 1, 0},  {20, 2, 3, 2, 0},  {32, 32, 1, 32, 0}, /* the other one died */
		{1, 0, 64, 0, 0},  {1, 5, 100, 0, 0}, /* more hosts than shards */
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct qmgr_lease_plan plan =
			qmgr_lease_plan(cases[i].ours, cases[i].free, cases[i].hosts);

		UNIT_INT(plan.take, cases[i].take);
		UNIT_INT(plan.give, cases[i].give);
	}
}

/* ---- machines that were copied ---- */

static bool owns_all(struct world *w, unsigned n)
{
	(void)n;
	return w->qmgr->lease.n_ours == QMGR_SHARDS;
}

static bool owns_none(struct world *w, unsigned n)
{
	(void)n;
	return w->qmgr->lease.n_ours == 0 && !w->qmgr->lease.is_host && w->qmgr->lease.rival_seen_at != 0;
}

static int64_t sum_of_epochs(const struct world *w)
{
	int64_t sum = 0;

	for (unsigned i = 0; i < QMGR_SHARDS; i++)
		sum += w->qmgr->lease.shard[i].epoch;
	return sum;
}

static void a_copy_of_a_host_does_nothing_until_that_one_is_gone(void)
{
	struct world *a, *b;

	world_begin();
	a = world_start("host-a", false);
	UNIT_TRUE(world_until(owns_all, a, 0));
	b = world_start_at("elsewhere", "host-a", false);
	UNIT_TRUE(world_until(owns_none, b, 0));
	for (unsigned i = 0; i < 20; i++)
		world_submit(a, i, "x\r\n");
	given(a, 20);
	world_pass(3000 * CLOCK_MS); /* longer than the lease */
	UNIT_INT(a->n_jobs, 20);
	UNIT_INT(b->n_jobs, 0);
	UNIT_INT(a->qmgr->lease.n_ours, QMGR_SHARDS);
	UNIT_INT(b->qmgr->lease.n_ours, 0);
	UNIT_TRUE(b->qmgr->lease.rival_said_at != 0);
	/* The fence has not been moved by another: nobody took anything. */
	UNIT_INT(world_count("SELECT sum(epoch) FROM shard"), sum_of_epochs(a));
	world_kill(a);
	UNIT_TRUE(world_until(owns_all, b, 0));
	given(b, 20);
	world_free(&a);
	world_free(&b);
}

static void who_finds_another_in_its_place_yields(void)
{
	struct world *w;

	world_begin();
	w = world_start("host-a", false);
	UNIT_TRUE(world_until(owns_all, w, 0));
	world_submit(w, 1, "x\r\n");
	given(w, 1);
	pg_fixture_sql(world_database(), "UPDATE host SET nonce = gen_random_uuid(), name = 'twin', seen_at = now() + interval '1 hour';"
					 "UPDATE shard SET epoch = epoch + 1");
	UNIT_TRUE(world_until(owns_none, w, 0));
	UNIT_TRUE(w->qmgr->lease.rival_said_at != 0);
	world_submit(w, 2, "x\r\n");
	/* The call that was under way is recorded under the other's lease. */
	world_outcome(w, w->job[0].agent, &w->job[0].message, 1, IPC_OUTCOME_SENT);
	struck_out(w, 1);
	UNIT_INT(world_count("SELECT count(*) FROM delivery WHERE state = 'sent'"), 2);
	UNIT_INT(world_count("SELECT count(*) FROM host WHERE name = 'twin'"), 1);
	UNIT_INT(w->n_jobs, 1);
	/* The other is gone. */
	pg_fixture_sql(world_database(), "UPDATE host SET seen_at = now() - interval '1 minute'");
	UNIT_TRUE(world_until(owns_all, w, 0));
	world_submit(w, 3, "x\r\n");
	UNIT_TRUE(world_until(world_has_jobs, w, 2));
	world_free(&w);
}

/* The lease would not let it within the time that world_until() waits, were it not its own successor. */
static void a_restarted_qmgr_is_its_host_at_once(void)
{
	struct world *w, *other;

	world_begin();
	w = world_start("host-a", false);
	w->settings->queue.lease = 60 * CLOCK_SECOND;
	UNIT_TRUE(world_until(owns_all, w, 0));
	world_submit(w, 1, "x\r\n");
	answered(w, 1);
	world_kill(w);
	world_restart(w, false);
	UNIT_TRUE(world_until(owns_all, w, 0));
	/* Not so one that begins elsewhere under its id; but for how long it waits nobody is blamed. */
	world_kill(w);
	pg_fixture_sql(world_database(), "UPDATE host SET seen_at = now() + interval '1 minute'");
	other = world_start_at("elsewhere", "host-a", false);
	UNIT_TRUE(world_until(owns_none, other, 0));
	world_pass(1000 * CLOCK_MS);
	UNIT_INT(other->qmgr->lease.rival_said_at, 0);
	world_free(&w);
	world_free(&other);
}

UNIT_TESTS({"a copy of a host does nothing until that one is gone", a_copy_of_a_host_does_nothing_until_that_one_is_gone},
	   {"who finds another in its place yields", who_finds_another_in_its_place_yields},
	   {"a restarted qmgr is its host at once", a_restarted_qmgr_is_its_host_at_once},
	   {"hosts even their shards out", hosts_even_their_shards_out})
