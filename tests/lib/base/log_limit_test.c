/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/base/log_limit.h"

#include "lib/base/clock.h"
#include "tests/support/unit.h"

static void so_many_a_second_and_the_rest_is_told(void)
{
	struct log_limit limit = {0};
	int64_t now = 1000 * CLOCK_SECOND;
	uint64_t unsaid = 99;

	for (int i = 0; i < 10; i++)
		UNIT_INT(log_limit_take(&limit, now + i, 3, &unsaid), i < 3);
	UNIT_INT(unsaid, 0);
	UNIT_TRUE(!log_limit_take(&limit, now + CLOCK_SECOND - 1, 3, &unsaid));
	UNIT_TRUE(log_limit_take(&limit, now + CLOCK_SECOND, 3, &unsaid));
	UNIT_INT(unsaid, 8);
	UNIT_TRUE(log_limit_take(&limit, now + CLOCK_SECOND, 3, &unsaid));
	UNIT_INT(unsaid, 0);
}

UNIT_TESTS({"so many a second, and the rest is told", so_many_a_second_and_the_rest_is_told})
