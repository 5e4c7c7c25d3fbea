/* SPDX-License-Identifier: Apache-2.0
 *
 * What the environment says of descriptors that were passed. (master_test.py passes real ones.)
 */
#include "tests/support/unit.h"

#include "master/master_inherit.h"

static void the_environment_must_be_meant_for_us(void)
{
	static const struct {
		const char *pid, *fds;
		size_t expected;
	} cases[] = {
		{"7", "1", 1},	 {"7", "64", 64},  {"8", "1", 0},   {"", "1", 0},      {NULL, "1", 0},
		{"7", NULL, 0},	 {"7", "", 0},	   {"7", "0", 0},   {"7", "-1", 0},    {"7", "65", 0},
		{"07x", "1", 0}, {"7", "1x", 0},   {"7 ", "1", 0},  {"-7", "1", 0},    {"4294967303", "1", 0},
		{NULL, NULL, 0}, {"7", " 1", 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		UNIT_INT(master_inherit_count(cases[i].pid, cases[i].fds, 7), cases[i].expected);
}

UNIT_TESTS({"the environment must be meant for us", the_environment_must_be_meant_for_us})
