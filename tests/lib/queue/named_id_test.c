/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of lib/queue/named_id.c. The ids stand in journals and logs: they may never become others.
 */
#include "lib/queue/named_id.h"

#include "tests/support/unit.h"

static void a_name_has_one_id(void)
{
	/* printf 'tenant\\0acme' | sha256sum, with the version and the variant. */
	static const char expected[] = "d2e79529-ba2c-86b2-b849-6511585b5ed5";
	struct uuid id = named_id("tenant", STR("acme")), again = named_id("tenant", STR("acme"));
	struct uuid user = named_id("user", STR("acme")), other = named_id("tenant", STR("acm"));
	char text[UUID_TEXT];

	UNIT_TEXT(uuid_format(&id, text), expected);
	UNIT_TRUE(uuid_eq(&id, &again));
	UNIT_TRUE(!uuid_eq(&id, &user));
	UNIT_TRUE(!uuid_eq(&id, &other));
	UNIT_TRUE(!uuid_is_v7(&id));
}

UNIT_TESTS({"a name has one id", a_name_has_one_id})
