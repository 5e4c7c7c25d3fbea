/* SPDX-License-Identifier: Apache-2.0
 *
 * The logins under way: who waits for whom, how many there may be, and that nothing outlives its
 * peer.
 */
#include "gate/gate_attempt.h"

#include "tests/support/unit.h"

static struct gate_cache_key key(unsigned n)
{
	return (struct gate_cache_key){{(unsigned char)n, 1}};
}

static const struct ipc_auth request = {.session = {"S1", 2},
					.client = {"192.0.2.1", 9},
					.user = {"app", 3},
					.password = {"geheim", 6}};

static void those_with_the_same_key_wait_together_in_order(void)
{
	struct gate_attempts all = {.most = 4};
	struct gate_cache_key one = key(1), two = key(2);
	struct gate_attempt *a = gate_attempt_new(&all, &one, &request, "192.0.2.1");
	int count = 0;

	UNIT_TRUE(a != NULL && gate_attempt_find(&all, &one) == a);
	UNIT_TRUE(gate_attempt_find(&all, &two) == NULL);
	for (uint64_t i = 0; i < 50; i++)
		gate_attempt_wait(a, NULL, i, &request);
	for (struct gate_waiter *w = a->first; w != NULL; w = w->next) {
		UNIT_INT(w->id, count++);
		UNIT_TEXT(w->session, "S1");
		UNIT_TEXT(w->client, "192.0.2.1");
	}
	UNIT_INT(count, 50);
	UNIT_STR(str_bytes(a->password, a->password_n), "geheim");
	gate_attempt_free(&all, &a);
	UNIT_TRUE(a == NULL && all.n == 0 && gate_attempt_find(&all, &one) == NULL);
}

static void there_are_only_so_many(void)
{
	struct gate_attempts all = {.most = 2};
	struct gate_cache_key keys[3] = {key(1), key(2), key(3)};
	struct gate_attempt *a = gate_attempt_new(&all, &keys[0], &request, "192.0.2.1");
	struct gate_attempt *b = gate_attempt_new(&all, &keys[1], &request, "192.0.2.1");

	UNIT_TRUE(a != NULL && b != NULL);
	UNIT_TRUE(gate_attempt_new(&all, &keys[2], &request, "192.0.2.1") == NULL);
	gate_attempt_free(&all, &a);
	a = gate_attempt_new(&all, &keys[2], &request, "192.0.2.2");
	UNIT_TRUE(a != NULL);
	UNIT_INT(gate_attempt_count(&all, "192.0.2.1"), 1);
	UNIT_INT(gate_attempt_count(&all, "192.0.2.2"), 1);
	UNIT_INT(gate_attempt_count(&all, "192.0.2.3"), 0);
	UNIT_TRUE(gate_attempt_find(&all, &keys[1]) == b);
	gate_attempt_free(&all, &b);
	gate_attempt_free(&all, &a);
	UNIT_INT(all.n, 0);
}

static void a_peer_that_went_away_is_not_answered(void)
{
	struct gate_attempts all = {.most = 2};
	struct gate_cache_key one = key(1);
	struct gate_attempt *a = gate_attempt_new(&all, &one, &request, "192.0.2.1");
	/* Never looked into: only told apart. */
	struct gate_peer *gone = (struct gate_peer *)&all, *here = (struct gate_peer *)&one;

	gate_attempt_wait(a, gone, 1, &request);
	gate_attempt_wait(a, here, 2, &request);
	gate_attempt_wait(a, gone, 3, &request);
	gate_attempt_forget(&all, gone);
	UNIT_TRUE(a->first->peer == NULL);
	UNIT_TRUE(a->first->next->peer == here);
	UNIT_TRUE(a->first->next->next->peer == NULL);
	gate_attempt_free(&all, &a);
}

static void a_password_that_is_too_long_stays_too_long(void)
{
	static char text[600];
	struct gate_attempts all = {.most = 2};
	struct gate_cache_key one = key(1);
	struct ipc_auth long_one = request;
	struct gate_attempt *a;

	memset(text, 'x', sizeof(text));
	long_one.password = str_bytes(text, sizeof(text));
	a = gate_attempt_new(&all, &one, &long_one, "192.0.2.1");
	UNIT_INT(a->password_n, PASSWORD_MAX + 1);
	gate_attempt_free(&all, &a);
}

UNIT_TESTS({"those with the same key wait together, in order",
	    those_with_the_same_key_wait_together_in_order},
	   {"there are only so many", there_are_only_so_many},
	   {"a peer that went away is not answered", a_peer_that_went_away_is_not_answered},
	   {"a password that is too long stays too long",
	    a_password_that_is_too_long_stays_too_long})
