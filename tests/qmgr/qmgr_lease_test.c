/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of the pure part of qmgr/qmgr_lease.c; the rest is driven by qmgr_test.c.
 */
#include "qmgr/qmgr_lease.h"

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

UNIT_TESTS({"hosts even their shards out", hosts_even_their_shards_out})
