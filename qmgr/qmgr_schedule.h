/* SPDX-License-Identifier: Apache-2.0
 *
 * Which message is sent next. Pure: items that wait for their time (a heap) and items that are ready
 * (a queue per tenant, called a lane). Ready lanes of a provider take turns, so that one tenant's
 * million does not stand before another's one; a provider gets as many calls at a time as it may have, none while it is held,
 * and never so many of the agents' places that others would have to wait for its slow answers.
 * Lanes that somebody waits for (direct modes) and the queue's take turns too.
 */
#ifndef QMGR_QMGR_SCHEDULE_H
#define QMGR_QMGR_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Providers by their index in the settings; one more for what can go to none: its items can be taken
 * like the others, and whoever takes them says so; one for what has to have a provider chosen, by whoever takes it; and one for
 * tenants of whom nothing is known yet: it has no places. */
enum { QMGR_SCHEDULE_NONE = 64, QMGR_SCHEDULE_UNROUTED, QMGR_SCHEDULE_UNKNOWN, QMGR_SCHEDULE_PROVIDERS };

enum { QMGR_SCHEDULE_ANY = UINT32_MAX };

/* Part of a message. `due` is set by qmgr_schedule_wait(). */
struct qmgr_schedule_item {
	struct qmgr_schedule_lane *lane; /* set by the owner, before the item is put anywhere */
	struct qmgr_schedule_item *next, *previous; /* in the lane */
	int64_t due;		/* wall clock */
	uint32_t heap_at;	/* its place in the heap from 1, or 0 */
	bool is_ready;		/* is in the lane */
};

/* Part of a tenant (qmgr_lane.h). */
struct qmgr_schedule_lane {
	struct qmgr_schedule_item *first, *last;
	struct qmgr_schedule_lane *next, *previous; /* in its provider's ring, when it has items */
	unsigned provider;
	bool is_direct;
};

struct qmgr_schedule {
	struct qmgr_schedule_item **heap; /* from 1 */
	uint32_t n_heap, heap_size;
	uint32_t n_ready;
	unsigned turn; /* the provider that is asked first, so that they take turns too */
	struct {
		struct qmgr_schedule_lane *ring[2]; /* the lane whose turn it is; the queue's, and (1) the direct ones */
		unsigned in_flight, concurrency;
		bool is_held;
		int64_t held_until; /* wall clock */
		uint32_t calls;	    /* so many may be taken */
		bool is_direct_next;
	} provider[QMGR_SCHEDULE_PROVIDERS];
	uint32_t places; /* of the agents that are free; QMGR_SCHEDULE_ANY: they are not counted */
	bool is_shared;	 /* ... between providers */
};

void qmgr_schedule_init(struct qmgr_schedule *s);
void qmgr_schedule_clear(struct qmgr_schedule *s);

/* Moves a lane, with what is in it, to another provider. A new lane is zeroes but for its provider and kind. */
void qmgr_schedule_use(struct qmgr_schedule *s, struct qmgr_schedule_lane *lane, unsigned provider);

/* Ready now, behind its tenant's others. */
void qmgr_schedule_ready(struct qmgr_schedule *s, struct qmgr_schedule_item *item);
/* Ready now, before its tenant's others: for what was taken and could not be sent. */
void qmgr_schedule_ready_first(struct qmgr_schedule *s, struct qmgr_schedule_item *item);
/* Becomes ready at `due`. */
void qmgr_schedule_wait(struct qmgr_schedule *s, struct qmgr_schedule_item *item, int64_t due);
/* Takes it out, wherever it is. */
void qmgr_schedule_remove(struct qmgr_schedule *s, struct qmgr_schedule_item *item);

/* The provider may have `calls` more from now on (QMGR_SCHEDULE_ANY); none, and then ask again at `until`. */
void qmgr_schedule_grant(struct qmgr_schedule *s, unsigned provider, uint32_t calls);
void qmgr_schedule_hold(struct qmgr_schedule *s, unsigned provider, int64_t until);
/* Something waits for it. */
bool qmgr_schedule_has_work(const struct qmgr_schedule *s, unsigned provider);

/* Makes ready what is due. Returns when the next one will be, or a provider that something waits for is to be asked for again;
 * or INT64_MAX. */
int64_t qmgr_schedule_advance(struct qmgr_schedule *s, int64_t now);
/* Takes the next item whose provider has a free place, and counts it in flight there; NULL when there
 * is none, or no place at an agent. qmgr_schedule_landed() gives the provider's place back. `only_direct`: nothing of the queue. */
struct qmgr_schedule_item *qmgr_schedule_take(struct qmgr_schedule *s, bool only_direct);
void qmgr_schedule_landed(struct qmgr_schedule *s, unsigned provider);

#endif
