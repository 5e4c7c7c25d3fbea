/* SPDX-License-Identifier: Apache-2.0
 *
 * The last failed logins of an address.
 */
#include "gate/gate_failures.h"

#include "tests/support/unit.h"

static void add(struct gate_failures *f, const char *address, int64_t at)
{
	struct gate_failure failure = {.at = at, .user = "app", .why = "wrong password"};

	gate_failures_add(f, address, &failure);
}

static void the_last_ones_are_kept_in_order(void)
{
	struct gate_failures *f = gate_failures_new(10);
	struct gate_failure out[GATE_FAILURES_KEPT];

	UNIT_INT(gate_failures_list(f, "192.0.2.1", out), 0);
	for (int i = 1; i <= 20; i++) {
		size_t n;

		add(f, "192.0.2.1", i);
		n = gate_failures_list(f, "192.0.2.1", out);
		UNIT_INT(n, i < GATE_FAILURES_KEPT ? i : GATE_FAILURES_KEPT);
		for (size_t k = 0; k < n; k++)
			UNIT_INT(out[k].at, i - (int)(n - 1 - k));
	}
	UNIT_TEXT(out[0].user, "app");
	UNIT_INT(gate_failures_list(f, "192.0.2.2", out), 0);
	gate_failures_forget(f, "192.0.2.1");
	gate_failures_forget(f, "192.0.2.1");
	UNIT_INT(gate_failures_list(f, "192.0.2.1", out), 0);
	gate_failures_free(&f);
}

static void a_flood_leaves_the_record_of_those_with_many(void)
{
	struct gate_failures *f = gate_failures_new(100);
	struct gate_failure out[GATE_FAILURES_KEPT];
	char address[32];

	for (int i = 0; i < 5; i++)
		add(f, "192.0.2.1", i);
	for (int i = 0; i < 10000; i++) {
		snprintf(address, sizeof(address), "10.0.%d.%d", i / 256, i % 256);
		add(f, address, 10 + i);
	}
	UNIT_INT(gate_failures_list(f, "192.0.2.1", out), 5);
	gate_failures_free(&f);
}

UNIT_TESTS({"the last ones are kept, in order", the_last_ones_are_kept_in_order},
	   {"a flood leaves the record of those with many", a_flood_leaves_the_record_of_those_with_many})
