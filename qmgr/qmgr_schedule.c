/* SPDX-License-Identifier: Apache-2.0
 *
 * The heap of what waits, the lanes of what is ready, and the turns of tenants and providers.
 */
#include "qmgr/qmgr_schedule.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/trouble.h"

/* A provider may have so many times the places that stay free: one by itself four fifths of all, two together eight ninths. So
 * there is always one for a provider that has none yet, however slow the others are. */
enum { PLACES_TO_FREE = 4 };

void qmgr_schedule_init(struct qmgr_schedule *s)
{
	memset(s, 0, sizeof(*s));
	s->places = QMGR_SCHEDULE_ANY;
	for (unsigned i = 0; i < QMGR_SCHEDULE_PROVIDERS; i++)
		s->provider[i].calls = QMGR_SCHEDULE_ANY;
}

void qmgr_schedule_clear(struct qmgr_schedule *s)
{
	free(s->heap);
	memset(s, 0, sizeof(*s));
}

static void heap_put(struct qmgr_schedule *s, uint32_t at, struct qmgr_schedule_item *item)
{
	s->heap[at] = item;
	item->heap_at = at;
}

static void heap_up(struct qmgr_schedule *s, uint32_t at)
{
	struct qmgr_schedule_item *item = s->heap[at];

	while (at > 1 && s->heap[at / 2]->due > item->due) {
		heap_put(s, at, s->heap[at / 2]);
		at /= 2;
	}
	heap_put(s, at, item);
}

static void heap_down(struct qmgr_schedule *s, uint32_t at)
{
	struct qmgr_schedule_item *item = s->heap[at];

	for (;;) {
		uint32_t child = at * 2;

		if (child > s->n_heap)
			break;
		if (child < s->n_heap && s->heap[child + 1]->due < s->heap[child]->due)
			child++;
		if (s->heap[child]->due >= item->due)
			break;
		heap_put(s, at, s->heap[child]);
		at = child;
	}
	heap_put(s, at, item);
}

static void heap_remove(struct qmgr_schedule *s, struct qmgr_schedule_item *item)
{
	uint32_t at = item->heap_at;
	struct qmgr_schedule_item *last = s->heap[s->n_heap--];

	item->heap_at = 0;
	if (last == item)
		return;
	heap_put(s, at, last);
	heap_up(s, at);
	heap_down(s, last->heap_at);
}

/* Joins the ring as the last whose turn comes. */
static void ring_join(struct qmgr_schedule *s, struct qmgr_schedule_lane *lane)
{
	struct qmgr_schedule_lane **ring = &s->provider[lane->provider].ring[lane->is_direct];

	if (*ring == NULL) {
		lane->next = lane->previous = lane;
		*ring = lane;
		return;
	}
	lane->next = *ring;
	lane->previous = (*ring)->previous;
	lane->previous->next = lane;
	lane->next->previous = lane;
}

static void ring_leave(struct qmgr_schedule *s, struct qmgr_schedule_lane *lane)
{
	struct qmgr_schedule_lane **ring = &s->provider[lane->provider].ring[lane->is_direct];

	if (lane->next == lane) {
		*ring = NULL;
	} else {
		lane->next->previous = lane->previous;
		lane->previous->next = lane->next;
		if (*ring == lane)
			*ring = lane->next;
	}
	lane->next = lane->previous = NULL;
}

void qmgr_schedule_use(struct qmgr_schedule *s, struct qmgr_schedule_lane *lane, unsigned provider)
{
	must(provider < QMGR_SCHEDULE_PROVIDERS);
	if (lane->provider == provider)
		return;
	if (lane->first != NULL)
		ring_leave(s, lane);
	lane->provider = provider;
	if (lane->first != NULL)
		ring_join(s, lane);
}

static void put_ready(struct qmgr_schedule *s, struct qmgr_schedule_item *item, bool is_first)
{
	struct qmgr_schedule_lane *lane = item->lane;
	bool was_empty = lane->first == NULL;

	must(!item->is_ready && item->heap_at == 0);
	item->is_ready = true;
	item->next = is_first ? lane->first : NULL;
	item->previous = is_first ? NULL : lane->last;
	if (item->next != NULL)
		item->next->previous = item;
	else
		lane->last = item;
	if (item->previous != NULL)
		item->previous->next = item;
	else
		lane->first = item;
	s->n_ready++;
	if (was_empty)
		ring_join(s, lane);
}

void qmgr_schedule_ready(struct qmgr_schedule *s, struct qmgr_schedule_item *item)
{
	put_ready(s, item, false);
}

void qmgr_schedule_ready_first(struct qmgr_schedule *s, struct qmgr_schedule_item *item)
{
	put_ready(s, item, true);
}

static void leave_lane(struct qmgr_schedule *s, struct qmgr_schedule_item *item)
{
	struct qmgr_schedule_lane *lane = item->lane;

	if (item->next != NULL)
		item->next->previous = item->previous;
	else
		lane->last = item->previous;
	if (item->previous != NULL)
		item->previous->next = item->next;
	else
		lane->first = item->next;
	item->next = item->previous = NULL;
	item->is_ready = false;
	s->n_ready--;
	if (lane->first == NULL)
		ring_leave(s, lane);
}

void qmgr_schedule_wait(struct qmgr_schedule *s, struct qmgr_schedule_item *item, int64_t due)
{
	must(!item->is_ready && item->heap_at == 0);
	if (s->n_heap + 1 >= s->heap_size) {
		s->heap_size = s->heap_size == 0 ? 1024 : s->heap_size * 2;
		s->heap = mem_grow(s->heap, s->heap_size * sizeof(*s->heap));
	}
	item->due = due;
	heap_put(s, ++s->n_heap, item);
	heap_up(s, s->n_heap);
}

void qmgr_schedule_remove(struct qmgr_schedule *s, struct qmgr_schedule_item *item)
{
	if (item->heap_at != 0)
		heap_remove(s, item);
	else if (item->is_ready)
		leave_lane(s, item);
}

void qmgr_schedule_grant(struct qmgr_schedule *s, unsigned provider, uint32_t calls)
{
	s->provider[provider].is_held = false;
	s->provider[provider].calls = calls;
}

void qmgr_schedule_hold(struct qmgr_schedule *s, unsigned provider, int64_t until)
{
	s->provider[provider].is_held = true;
	s->provider[provider].held_until = until;
}

bool qmgr_schedule_has_work(const struct qmgr_schedule *s, unsigned provider)
{
	return s->provider[provider].ring[0] != NULL || s->provider[provider].ring[1] != NULL;
}

int64_t qmgr_schedule_advance(struct qmgr_schedule *s, int64_t now)
{
	int64_t next = INT64_MAX;

	while (s->n_heap > 0 && s->heap[1]->due <= now) {
		struct qmgr_schedule_item *item = s->heap[1];

		heap_remove(s, item);
		qmgr_schedule_ready(s, item);
	}
	if (s->n_heap > 0)
		next = s->heap[1]->due;
	for (unsigned i = 0; i < QMGR_SCHEDULE_PROVIDERS; i++)
		if (s->provider[i].is_held && qmgr_schedule_has_work(s, i) && s->provider[i].held_until < next)
			next = s->provider[i].held_until;
	return next;
}

static bool may_have_more(const struct qmgr_schedule *s, unsigned provider)
{
	unsigned in_flight = s->provider[provider].in_flight;

	if (s->provider[provider].is_held || s->provider[provider].calls == 0 ||
	    in_flight >= s->provider[provider].concurrency)
		return false;
	return !s->is_shared || in_flight / PLACES_TO_FREE < s->places;
}

/* The ring whose turn it is at this provider, or NULL. */
static struct qmgr_schedule_lane **ring_of(struct qmgr_schedule *s, unsigned provider, bool only_direct)
{
	struct qmgr_schedule_lane **ring = s->provider[provider].ring;

	if (!may_have_more(s, provider))
		return NULL;
	if (ring[1] != NULL && (only_direct || ring[0] == NULL || s->provider[provider].is_direct_next))
		return &ring[1];
	return ring[0] != NULL && !only_direct ? &ring[0] : NULL;
}

struct qmgr_schedule_item *qmgr_schedule_take(struct qmgr_schedule *s, bool only_direct)
{
	for (unsigned i = 0; i < QMGR_SCHEDULE_PROVIDERS && s->places > 0; i++) {
		unsigned p = (s->turn + i) % QMGR_SCHEDULE_PROVIDERS;
		struct qmgr_schedule_lane **ring = ring_of(s, p, only_direct);
		struct qmgr_schedule_item *item;

		if (ring == NULL)
			continue;
		item = (*ring)->first;
		s->provider[p].is_direct_next = !item->lane->is_direct;
		*ring = (*ring)->next;
		leave_lane(s, item);
		s->provider[p].in_flight++;
		if (s->provider[p].calls != QMGR_SCHEDULE_ANY)
			s->provider[p].calls--;
		if (s->places != QMGR_SCHEDULE_ANY)
			s->places--;
		s->turn = p + 1;
		return item;
	}
	return NULL;
}

void qmgr_schedule_landed(struct qmgr_schedule *s, unsigned provider)
{
	must(s->provider[provider].in_flight > 0);
	s->provider[provider].in_flight--;
}
