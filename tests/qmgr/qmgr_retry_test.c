/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of qmgr/qmgr_retry.c: one table of outcomes and what must follow.
 */
#include "qmgr/qmgr_retry.h"

#include "lib/base/clock.h"
#include "tests/support/unit.h"

#define SECOND CLOCK_SECOND
#define NOW (1000000 * SECOND)

static const struct qmgr_retry_policy normal = {30 * SECOND, 3600 * SECOND, 172800 * SECOND, 10,
						false};
static const struct qmgr_retry_policy holding = {30 * SECOND, 3600 * SECOND, 172800 * SECOND, 10,
						 true};

static struct qmgr_retry_verdict after(const struct qmgr_retry_policy *policy,
				       enum ipc_outcome_class class, unsigned attempts,
				       unsigned faults, uint32_t retry_after, int64_t age,
				       uint64_t random)
{
	struct qmgr_retry_case c = {class, attempts, faults, retry_after, false, NOW - age, NOW, random};

	return qmgr_retry_decide(policy, &c);
}

static void each_outcome_has_its_consequence(void)
{
	static const struct {
		enum ipc_outcome_class class;
		bool holds;
		unsigned attempts, faults;
		int64_t age;
		enum qmgr_next next;
	} cases[] = {
		{IPC_OUTCOME_SENT, false, 1, 0, 0, QMGR_NEXT_SENT},
		{IPC_OUTCOME_SENT, false, 50, 0, 999999 * SECOND, QMGR_NEXT_SENT},
		{IPC_OUTCOME_PERMANENT, false, 1, 0, 0, QMGR_NEXT_DEAD},
		{IPC_OUTCOME_UNFIT, false, 1, 0, 0, QMGR_NEXT_DEAD},
		{IPC_OUTCOME_TRANSIENT, false, 1, 0, 0, QMGR_NEXT_AGAIN},
		{IPC_OUTCOME_TRANSIENT, true, 1, 0, 0, QMGR_NEXT_AGAIN},
		{IPC_OUTCOME_TRANSIENT, false, 9, 0, 0, QMGR_NEXT_AGAIN},
		{IPC_OUTCOME_TRANSIENT, false, 10, 0, 0, QMGR_NEXT_DEAD},
		{IPC_OUTCOME_TRANSIENT, false, 10, 1, 0, QMGR_NEXT_AGAIN},
		{IPC_OUTCOME_TRANSIENT, false, 12, 2, 0, QMGR_NEXT_DEAD},
		{IPC_OUTCOME_TRANSIENT, false, 2, 0, 172800 * SECOND, QMGR_NEXT_DEAD},
		{IPC_OUTCOME_TRANSIENT, false, 2, 0, 172799 * SECOND, QMGR_NEXT_AGAIN},
		{IPC_OUTCOME_PROVIDER_FAULT, false, 500, 499, 0, QMGR_NEXT_AGAIN},
		{IPC_OUTCOME_PROVIDER_FAULT, false, 1, 0, 172800 * SECOND, QMGR_NEXT_DEAD},
		{IPC_OUTCOME_UNKNOWN, false, 1, 0, 0, QMGR_NEXT_AGAIN},
		{IPC_OUTCOME_UNKNOWN, false, 10, 0, 0, QMGR_NEXT_DEAD},
		{IPC_OUTCOME_UNKNOWN, true, 1, 0, 0, QMGR_NEXT_HELD},
		{IPC_OUTCOME_UNKNOWN, true, 10, 0, 172800 * SECOND, QMGR_NEXT_HELD},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		UNIT_INT(after(cases[i].holds ? &holding : &normal, cases[i].class,
			       cases[i].attempts, cases[i].faults, 0, cases[i].age, 0)
				 .next,
			 cases[i].next);
}

static void the_wait_doubles_up_to_the_longest(void)
{
	static const struct {
		unsigned attempts;
		int64_t seconds;
	} cases[] = {{1, 30}, {2, 60}, {3, 120}, {7, 1920}, {8, 3600}, {9, 3600}};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		UNIT_INT(after(&normal, IPC_OUTCOME_TRANSIENT, cases[i].attempts, 0, 0, 0, 0)
					 .due_at -
				 NOW,
			 cases[i].seconds * SECOND);
	UNIT_INT(after(&normal, IPC_OUTCOME_PROVIDER_FAULT, 4000000000U, 0, 0, 0, 0).due_at - NOW,
		 3600 * SECOND);
}

static uint64_t scattered(uint64_t n)
{
	n = (n + 1) * 0x9e3779b97f4a7c15ULL;
	n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9ULL;
	return n ^ n >> 27;
}

static void jitter_takes_all_of_the_wait_but_its_beginning(void)
{
	static const struct {
		unsigned attempts;
		int64_t first, least, most;
	} cases[] = {{1, 30, 15, 30}, {2, 30, 1, 60}, {5, 30, 1, 480}, {9, 30, 1, 3600}, {1, 1, 1, 1}, {2, 1, 1, 2}};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct qmgr_retry_policy policy = normal;
		int64_t least = INT64_MAX, most = 0, spread = (cases[i].most - cases[i].least) * SECOND;

		policy.first = cases[i].first * SECOND;
		for (uint64_t random = 0; random < 1000; random++) {
			int64_t wait = after(&policy, IPC_OUTCOME_TRANSIENT, cases[i].attempts, 0, 0, 0,
					     scattered(random)).due_at - NOW;

			least = wait < least ? wait : least;
			most = wait > most ? wait : most;
		}
		UNIT_TRUE(least >= cases[i].least * SECOND && least <= cases[i].least * SECOND + spread / 50);
		UNIT_TRUE(most <= cases[i].most * SECOND && most >= cases[i].most * SECOND - spread / 50);
	}
}

static void another_provider_is_tried_at_once(void)
{
	static const struct {
		enum ipc_outcome_class class;
		unsigned attempts, faults;
	} cases[] = {{IPC_OUTCOME_TRANSIENT, 1, 0}, {IPC_OUTCOME_PROVIDER_FAULT, 1, 1}, {IPC_OUTCOME_UNFIT, 1, 1}};
	struct qmgr_retry_case c = {.retry_after = 60, .has_other = true, .queued_at = NOW, .now = NOW, .random = 7};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		c.class = cases[i].class;
		c.attempts = cases[i].attempts;
		UNIT_INT(qmgr_retry_decide(&normal, &c).next, QMGR_NEXT_AGAIN);
		UNIT_INT(qmgr_retry_decide(&normal, &c).due_at, NOW);
		UNIT_INT(qmgr_retry_decide(&normal, &c).faults, cases[i].faults);
	}
	/* What is refused for good is so, and there is an end to trying. */
	c.class = IPC_OUTCOME_PERMANENT;
	UNIT_INT(qmgr_retry_decide(&normal, &c).next, QMGR_NEXT_DEAD);
	c.class = IPC_OUTCOME_TRANSIENT;
	c.attempts = 10;
	UNIT_INT(qmgr_retry_decide(&normal, &c).next, QMGR_NEXT_DEAD);
	c.class = IPC_OUTCOME_UNFIT;
	c.queued_at = NOW - 172800 * SECOND;
	UNIT_INT(qmgr_retry_decide(&normal, &c).next, QMGR_NEXT_DEAD);
}

static void what_the_provider_asks_for_wins(void)
{
	UNIT_INT(after(&normal, IPC_OUTCOME_TRANSIENT, 1, 0, 7, 0, 12345).due_at - NOW, 7 * SECOND);
	UNIT_INT(after(&normal, IPC_OUTCOME_TRANSIENT, 5, 0, 7200, 0, 12345).due_at - NOW,
		 7200 * SECOND);
}

static void the_last_try_is_made_at_the_end_of_its_time(void)
{
	UNIT_INT(after(&normal, IPC_OUTCOME_TRANSIENT, 8, 0, 0, 172790 * SECOND, 0).due_at - NOW,
		 10 * SECOND);
	UNIT_INT(after(&normal, IPC_OUTCOME_TRANSIENT, 1, 0, UINT32_MAX, 0, 0).due_at - NOW,
		 172800 * SECOND);
}

static void only_the_providers_faults_are_counted_apart(void)
{
	UNIT_INT(after(&normal, IPC_OUTCOME_PROVIDER_FAULT, 3, 1, 0, 0, 0).faults, 2);
	UNIT_INT(after(&normal, IPC_OUTCOME_TRANSIENT, 3, 1, 0, 0, 0).faults, 1);
	UNIT_INT(after(&holding, IPC_OUTCOME_UNKNOWN, 3, 1, 0, 0, 0).faults, 1);
}

static void a_rule_that_ends_it_is_named(void)
{
	UNIT_TEXT(after(&normal, IPC_OUTCOME_TRANSIENT, 10, 0, 0, 0, 0).why,
		  "queue.max_attempts is reached");
	UNIT_TEXT(after(&normal, IPC_OUTCOME_TRANSIENT, 1, 0, 0, 172800 * SECOND, 0).why,
		  "older than queue.max_age");
	UNIT_TRUE(after(&normal, IPC_OUTCOME_PERMANENT, 1, 0, 0, 0, 0).why == NULL);
}

UNIT_TESTS({"each outcome has its consequence", each_outcome_has_its_consequence},
	   {"the wait doubles up to the longest", the_wait_doubles_up_to_the_longest},
	   {"jitter takes all of the wait but its beginning", jitter_takes_all_of_the_wait_but_its_beginning},
	   {"another provider is tried at once", another_provider_is_tried_at_once},
	   {"what the provider asks for wins", what_the_provider_asks_for_wins},
	   {"the last try is made at the end of the message's time",
	    the_last_try_is_made_at_the_end_of_its_time},
	   {"only the provider's faults are counted apart",
	    only_the_providers_faults_are_counted_apart},
	   {"a rule that ends a message is named", a_rule_that_ends_it_is_named})
