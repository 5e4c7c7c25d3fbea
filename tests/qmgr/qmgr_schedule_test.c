/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of qmgr/qmgr_schedule.c: turns, places, times.
 */
#include "qmgr/qmgr_schedule.h"

#include <stdlib.h>

#include "tests/support/unit.h"

enum { ITEMS = 3000, LANES = 4 };

static struct qmgr_schedule s;
static struct qmgr_schedule_lane lane[LANES];
static struct qmgr_schedule_item item[ITEMS];

/* Lanes 0 and 1 send through provider 0, lane 2 through 1, lane 3 through none. */
static void begin(unsigned concurrency)
{
	qmgr_schedule_init(&s);
	memset(lane, 0, sizeof(lane));
	memset(item, 0, sizeof(item));
	for (unsigned p = 0; p < QMGR_SCHEDULE_PROVIDERS; p++)
		s.provider[p].concurrency = concurrency;
	qmgr_schedule_use(&s, &lane[2], 1);
	qmgr_schedule_use(&s, &lane[3], QMGR_SCHEDULE_NONE);
}

static void end(void)
{
	qmgr_schedule_clear(&s);
}

static void ready(unsigned i, unsigned l)
{
	item[i].lane = &lane[l];
	qmgr_schedule_ready(&s, &item[i]);
}

/* What is taken next, as its number; -1: nothing. */
static int taken(void)
{
	struct qmgr_schedule_item *i = qmgr_schedule_take(&s, false);

	return i == NULL ? -1 : (int)(i - item);
}

static void tenants_of_a_provider_take_turns(void)
{
	static const int expected[] = {0, 100, 1, 101, 2, 102, 3, 4, 5, -1};

	begin(1000);
	for (unsigned i = 0; i < 6; i++)
		ready(i, 0);
	for (unsigned i = 100; i < 103; i++)
		ready(i, 1);
	for (unsigned i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		UNIT_INT(taken(), expected[i]);
	end();
}

static void providers_take_turns_too(void)
{
	int first, second;

	begin(1000);
	ready(0, 0);
	ready(1, 0);
	ready(100, 2);
	ready(101, 2);
	first = taken();
	second = taken();
	UNIT_TRUE((first < 100) != (second < 100));
	end();
}

static void a_provider_has_no_more_calls_than_places(void)
{
	begin(2);
	for (unsigned i = 0; i < 5; i++)
		ready(i, 0);
	ready(100, 2);
	UNIT_INT(taken(), 0);
	UNIT_INT(taken(), 100);
	UNIT_INT(taken(), 1);
	UNIT_INT(taken(), -1);
	qmgr_schedule_landed(&s, 1);
	UNIT_INT(taken(), -1);
	qmgr_schedule_landed(&s, 0);
	UNIT_INT(taken(), 2);
	UNIT_INT(taken(), -1);
	end();
}

static void what_cannot_be_sent_keeps_its_turn(void)
{
	begin(10);
	ready(0, 0);
	ready(1, 0);
	UNIT_INT(taken(), 0);
	qmgr_schedule_landed(&s, 0);
	qmgr_schedule_ready_first(&s, &item[0]);
	UNIT_INT(taken(), 0);
	UNIT_INT(taken(), 1);
	end();
}

static void items_become_ready_in_the_order_of_their_times(void)
{
	int64_t last = 0;
	unsigned n = 0;
	int i;

	begin(ITEMS);
	srand(1);
	for (unsigned k = 0; k < ITEMS; k++) {
		item[k].lane = &lane[0];
		qmgr_schedule_wait(&s, &item[k], 1 + rand() % 10000);
	}
	for (unsigned k = 0; k < ITEMS; k += 3)
		qmgr_schedule_remove(&s, &item[k]);
	UNIT_TRUE(qmgr_schedule_advance(&s, 0) > 0);
	UNIT_INT(taken(), -1);
	qmgr_schedule_advance(&s, 5000);
	while ((i = taken()) >= 0) {
		UNIT_TRUE(item[i].due >= last && item[i].due <= 5000 && i % 3 != 0);
		last = item[i].due;
		n++;
	}
	UNIT_TRUE(n > 800 && n < 1200);
	UNIT_TRUE(qmgr_schedule_advance(&s, 5000) > 5000);
	UNIT_INT(qmgr_schedule_advance(&s, 10000), INT64_MAX);
	while (taken() >= 0)
		n++;
	UNIT_INT(n, ITEMS - ITEMS / 3);
	end();
}

static void an_item_can_be_removed_wherever_it_is(void)
{
	begin(10);
	for (unsigned i = 0; i < 3; i++)
		ready(i, 0);
	qmgr_schedule_remove(&s, &item[1]);
	qmgr_schedule_remove(&s, &item[1]);
	UNIT_INT(taken(), 0);
	UNIT_INT(taken(), 2);
	UNIT_INT(taken(), -1);
	ready(5, 0);
	qmgr_schedule_remove(&s, &item[5]);
	UNIT_INT(taken(), -1);
	UNIT_INT(s.n_ready, 0);
	end();
}

static void a_tenant_takes_its_items_to_another_provider(void)
{
	begin(1);
	ready(0, 0);
	ready(1, 0);
	ready(2, 1);
	UNIT_INT(taken(), 0);
	qmgr_schedule_use(&s, &lane[0], 1);
	UNIT_INT(taken(), 1);
	UNIT_INT(taken(), -1);
	qmgr_schedule_landed(&s, 0);
	UNIT_INT(taken(), 2);
	end();
}

static void items_without_a_provider_can_be_taken_too(void)
{
	begin(1);
	ready(0, 3);
	UNIT_INT(taken(), 0);
	end();
}

static void a_provider_that_is_held_is_passed_over(void)
{
	begin(1000);
	ready(0, 0);
	ready(100, 2);
	qmgr_schedule_hold(&s, 0, 500);
	qmgr_schedule_hold(&s, 5, 100); /* nothing waits for it */
	UNIT_TRUE(qmgr_schedule_has_work(&s, 0) && !qmgr_schedule_has_work(&s, 5));
	UNIT_INT(qmgr_schedule_advance(&s, 10), 500);
	UNIT_INT(taken(), 100);
	UNIT_INT(taken(), -1);
	item[1].lane = &lane[0];
	qmgr_schedule_wait(&s, &item[1], 300);
	UNIT_INT(qmgr_schedule_advance(&s, 10), 300);
	qmgr_schedule_grant(&s, 0, QMGR_SCHEDULE_ANY);
	UNIT_INT(taken(), 0);
	end();
}

static void a_provider_gets_as_many_calls_as_it_was_granted(void)
{
	begin(1000);
	for (unsigned i = 0; i < 9; i++)
		ready(i, 0);
	qmgr_schedule_grant(&s, 0, 2);
	UNIT_INT(taken(), 0);
	UNIT_INT(taken(), 1);
	UNIT_INT(taken(), -1);
	qmgr_schedule_landed(&s, 0);
	UNIT_INT(taken(), -1);
	qmgr_schedule_grant(&s, 0, 1);
	UNIT_INT(taken(), 2);
	UNIT_INT(taken(), -1);
	end();
}

/* Provider 0 answers slowly and has much to do: provider 1 finds places whenever it comes. */
static void a_slow_provider_leaves_places_to_the_others(void)
{
	unsigned slow = 0, others = 0;

	begin(1000);
	s.places = 100;
	s.is_shared = true;
	for (unsigned i = 0; i < 200; i++)
		ready(i, 0);
	while (taken() >= 0)
		slow++;
	UNIT_INT(slow, 80);
	UNIT_INT(s.places, 20);
	for (unsigned i = 200; i < 300; i++)
		ready(i, 2);
	while (taken() >= 200)
		others++;
	UNIT_INT(others, 16);
	UNIT_TRUE(s.places > 0);
	/* Places that come free even it out. */
	for (unsigned i = 0; i < 40; i++) {
		qmgr_schedule_landed(&s, 0);
		s.places++;
		taken();
	}
	UNIT_TRUE(s.provider[1].in_flight > 40 && s.provider[0].in_flight > 40);
	end();
	/* Alone it may have them all. */
	begin(1000);
	s.places = 100;
	for (unsigned i = 0; i < 200; i++)
		ready(i, 0);
	for (slow = 0; taken() >= 0; slow++)
		;
	UNIT_INT(slow, 100);
	end();
}

/* One tenant's million is there; another's ten come, and each is among the next few. */
static void a_million_of_one_tenant_does_not_delay_ten_of_another(void)
{
	enum { MANY = 1000000, FEW = 10 };
	struct qmgr_schedule_item *many = calloc(MANY, sizeof(*many));
	unsigned position = 0, found = 0, last = 0;

	begin(8);
	for (unsigned i = 0; i < MANY; i++) {
		many[i].lane = &lane[0];
		qmgr_schedule_ready(&s, &many[i]);
	}
	for (unsigned i = 0; i < 5000; i++) {
		UNIT_TRUE(qmgr_schedule_take(&s, false) != NULL);
		qmgr_schedule_landed(&s, 0);
	}
	for (unsigned i = 0; i < FEW; i++)
		ready(i, 1);
	while (found < FEW && position < 100) {
		struct qmgr_schedule_item *next = qmgr_schedule_take(&s, false);

		position++;
		if (next >= item && next < item + FEW) {
			found++;
			last = position;
		}
		qmgr_schedule_landed(&s, 0);
	}
	UNIT_INT(found, FEW);
	UNIT_TRUE(last <= 2 * FEW);
	UNIT_INT(s.n_ready, MANY - 5000 - (last - FEW));
	end();
	free(many);
}

/* One lane more, of the direct modes, at provider 0. */
static void somebody_who_waits_and_the_queue_take_turns(void)
{
	static const int expected[] = {200, 0, 201, 1, 2, -1};
	struct qmgr_schedule_lane direct = {.is_direct = true};

	begin(1000);
	s.provider[0].is_direct_next = true;
	for (unsigned i = 200; i < 202; i++) {
		item[i].lane = &direct;
		qmgr_schedule_ready(&s, &item[i]);
	}
	for (unsigned i = 0; i < 3; i++)
		ready(i, 0);
	for (unsigned i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		UNIT_INT(taken(), expected[i]);
	/* While the queue may not be sent from. */
	ready(5, 0);
	item[205].lane = &direct;
	qmgr_schedule_ready(&s, &item[205]);
	UNIT_TRUE(qmgr_schedule_take(&s, true) == &item[205]);
	UNIT_TRUE(qmgr_schedule_take(&s, true) == NULL);
	UNIT_INT(taken(), 5);
	end();
}

UNIT_TESTS({"a provider that is held is passed over", a_provider_that_is_held_is_passed_over},
	   {"a provider gets as many calls as it was granted", a_provider_gets_as_many_calls_as_it_was_granted},
	   {"a slow provider leaves places to the others", a_slow_provider_leaves_places_to_the_others},
	   {"a million of one tenant does not delay ten of another", a_million_of_one_tenant_does_not_delay_ten_of_another},
	   {"somebody who waits and the queue take turns", somebody_who_waits_and_the_queue_take_turns},
	   {"tenants of a provider take turns", tenants_of_a_provider_take_turns},
	   {"providers take turns too", providers_take_turns_too},
	   {"a provider has no more calls than places", a_provider_has_no_more_calls_than_places},
	   {"what cannot be sent keeps its turn", what_cannot_be_sent_keeps_its_turn},
	   {"items become ready in the order of their times",
	    items_become_ready_in_the_order_of_their_times},
	   {"an item can be removed wherever it is", an_item_can_be_removed_wherever_it_is},
	   {"a tenant takes its items to another provider",
	    a_tenant_takes_its_items_to_another_provider},
	   {"items without a provider can be taken too", items_without_a_provider_can_be_taken_too})
