/* SPDX-License-Identifier: Apache-2.0
 *
 * How much a provider may be given now: calls a second, recipients a day and a month (UTC), and what it has said or shown of its
 * own limits. Pure: values and the wall clock in.
 *
 * A provider that says how much is left of its limit is given no more; one that says when to come back (Retry-After) is given
 * nothing until then; one that only refuses (SES) is given calls at half the rate it refused, then slowly more again.
 */
#ifndef QMGR_QMGR_BUDGET_H
#define QMGR_QMGR_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/ipc/ipc_body.h"

enum { QMGR_BUDGET_ANY = UINT32_MAX };

/* Of the settings; 0 is no limit. */
struct qmgr_budget_rules {
	unsigned per_second;
	int64_t per_day, per_month;
};

/* What keeps it from being given more. */
enum qmgr_budget_why {
	QMGR_BUDGET_FREE,
	QMGR_BUDGET_RATE,   /* calls a second, set or learnt */
	QMGR_BUDGET_PAUSE,  /* it asked for one */
	QMGR_BUDGET_WINDOW, /* it said that nothing is left of its limit */
	QMGR_BUDGET_DAY,
	QMGR_BUDGET_MONTH,
	QMGR_BUDGET_WHYS
};

struct qmgr_budget {
	int64_t next_call;	/* nanoseconds of the wall clock: when a steady stream would make its next call */
	int64_t paused_until;
	/* What it said with its last answer. */
	uint32_t left;
	int64_t left_until;	/* its window ends then; 0: it said nothing */
	/* What was learnt from refusals. */
	uint64_t rate;		/* thousandths of a call a second; 0: nothing was */
	uint64_t refused_rate;	/* at which it refused last */
	int64_t refused_at, raised_at;
	/* The calls of this second and the last one. */
	int64_t second;
	uint32_t calls, calls_before;
	/* Recipients, all hosts': those of this day and month that are known here. Days are counted from 1970. */
	int64_t day;
	int64_t used_day, used_month;
	int64_t untold;		/* of this day, not yet added to what the hosts share */
	int64_t late, late_day; /* ... of a day before it */
};

struct qmgr_budget_grant {
	enum qmgr_budget_why why; /* when there are no calls */
	uint32_t calls;		  /* so many may begin now */
	int64_t until;		  /* when there are none: ask again then */
};

/* `in_flight` calls are under way, whose recipients are not counted yet: presumably one each. */
struct qmgr_budget_grant qmgr_budget_grant(struct qmgr_budget *b, const struct qmgr_budget_rules *rules, unsigned in_flight,
					   int64_t now);
void qmgr_budget_began(struct qmgr_budget *b, const struct qmgr_budget_rules *rules, int64_t now);
/* A call with so many recipients has ended; `in_flight` others are under way. True: the provider wants less. */
bool qmgr_budget_heard(struct qmgr_budget *b, const struct qmgr_budget_rules *rules, const struct ipc_outcome *o,
		       unsigned recipients, unsigned in_flight, int64_t now);

/* Recipients to be added to the sums that the hosts share, all of the day that *day says. */
int64_t qmgr_budget_untold(struct qmgr_budget *b, int64_t now, int64_t *day);
/* They are added. */
void qmgr_budget_told(struct qmgr_budget *b, int64_t recipients, int64_t day);
/* The sums of a day and its month, all that was told in them. */
void qmgr_budget_sums(struct qmgr_budget *b, int64_t day, int64_t of_day, int64_t of_month, int64_t now);
/* Starts again without what was learnt and paused. */
void qmgr_budget_forget(struct qmgr_budget *b);
/* The rate in force, in thousandths of a call a second; 0: none. */
uint64_t qmgr_budget_rate(const struct qmgr_budget *b, const struct qmgr_budget_rules *rules);
const char *qmgr_budget_why_name(enum qmgr_budget_why why);

#endif
