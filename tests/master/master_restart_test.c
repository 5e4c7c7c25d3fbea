/* SPDX-License-Identifier: Apache-2.0
 *
 * When a child that died is started again.
 */
#include "tests/support/unit.h"

#include "master/master_restart.h"

enum { NEVER = 0 };

static int64_t seconds(struct master_restart *r, int64_t ready_at, int64_t now, bool *is_new)
{
	return master_restart_delay(r, ready_at * CLOCK_SECOND, now * CLOCK_SECOND, is_new) / CLOCK_SECOND;
}

static void the_delay_doubles_to_a_minute(void)
{
	static const int64_t expected[] = {1, 2, 4, 8, 16, 32, 60, 60, 60};
	struct master_restart r = {0};
	bool is_new;

	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		UNIT_INT(seconds(&r, NEVER, 100 + (int64_t)i, &is_new), expected[i]);
}

static void each_step_is_said_once(void)
{
	struct master_restart r = {0};
	bool is_new;
	int said = 0;

	for (int i = 0; i < 20; i++) {
		seconds(&r, NEVER, 100 + i, &is_new);
		said += is_new;
	}
	UNIT_INT(said, 7);
}

static void one_that_served_is_started_at_once(void)
{
	struct master_restart r = {0};
	bool is_new;

	UNIT_INT(seconds(&r, 100, 101, &is_new), 0);
	UNIT_INT(seconds(&r, 102, 200, &is_new), 0);
	UNIT_INT(is_new, false);
}

static void serving_ends_the_doubling(void)
{
	struct master_restart r = {0};
	bool is_new;

	seconds(&r, NEVER, 100, &is_new);
	seconds(&r, NEVER, 101, &is_new);
	UNIT_INT(seconds(&r, 110, 120, &is_new), 0);
	UNIT_INT(seconds(&r, NEVER, 121, &is_new), 1);
}

static void dying_soon_after_ready_is_forgiven_once(void)
{
	struct master_restart r = {0};
	bool is_new;

	UNIT_INT(seconds(&r, 100, 100, &is_new), 0);
	UNIT_INT(seconds(&r, 101, 101, &is_new), 1);
	UNIT_INT(seconds(&r, 103, 103, &is_new), 2);
	UNIT_INT(seconds(&r, 106, 107, &is_new), 0);
	UNIT_INT(seconds(&r, 108, 108, &is_new), 0);
}

UNIT_TESTS({"the delay doubles from one second to a minute", the_delay_doubles_to_a_minute},
	   {"each step of the delay is said once", each_step_is_said_once},
	   {"a child that served is started at once", one_that_served_is_started_at_once},
	   {"a child that served starts the doubling anew", serving_ends_the_doubling},
	   {"dying soon after READY is forgiven once", dying_soon_after_ready_is_forgiven_once})
