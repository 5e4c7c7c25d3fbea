/* SPDX-License-Identifier: Apache-2.0
 *
 * The rate is a bucket of tokens, told as the time of a steady stream's next call (GCRA). Learning from refusals is additive
 * increase, multiplicative decrease.
 */
#include "qmgr/qmgr_budget.h"

#include "lib/base/clock.h"

#define DAY (86400 * CLOCK_SECOND)
#define NANOSECONDS 1000LL /* of a microsecond */
/* So much of a second's calls may be made at once after a rest. */
#define BURST (100 * CLOCK_MS * NANOSECONDS)
#define LONGEST_PAUSE DAY

enum {
	RATE_LEAST = 100, /* thousandths: a call in ten seconds */
	RATE_NEAR = 90,	  /* percent of the rate that was refused: from there on it is raised slowly */
	RATE_FAST = 20, RATE_SLOW = 100, /* parts of that rate, each second */
};

/* ---- Days and months ---- */

/* The months since year 0 of the day that is so many days after 1 January 1970 (proleptic Gregorian). */
static int64_t month_of(int64_t day)
{
	int64_t z = day + 719468; /* from 1 March of year 0 */
	int64_t era = z / 146097, of_era = z % 146097;
	int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
	int64_t month = (5 * of_year + 2) / 153 + 2; /* from January, January of the next year is 12 */

	return (era * 400 + year) * 12 + month;
}

static int64_t next_month(int64_t day)
{
	int64_t month = month_of(day);

	while (month_of(day) == month)
		day++;
	return day;
}

static void keep_late(struct qmgr_budget *b)
{
	/* Of more days than one, after a long time without a database: all to the last one. */
	b->late += b->untold;
	b->late_day = b->day;
	b->untold = 0;
}

static void roll(struct qmgr_budget *b, int64_t now)
{
	int64_t day = now / DAY;

	if (day == b->day)
		return;
	if (b->untold != 0)
		keep_late(b);
	if (month_of(day) != month_of(b->day))
		b->used_month = 0;
	b->used_day = 0;
	b->day = day;
}

int64_t qmgr_budget_untold(struct qmgr_budget *b, int64_t now, int64_t *day)
{
	roll(b, now);
	*day = b->late != 0 ? b->late_day : b->day;
	return b->late != 0 ? b->late : b->untold;
}

void qmgr_budget_told(struct qmgr_budget *b, int64_t recipients, int64_t day)
{
	if (day == b->day)
		b->untold -= recipients;
	else
		b->late -= recipients;
}

void qmgr_budget_sums(struct qmgr_budget *b, int64_t day, int64_t of_day, int64_t of_month, int64_t now)
{
	roll(b, now);
	if (day == b->day)
		b->used_day = of_day + b->untold;
	if (month_of(day) == month_of(b->day))
		b->used_month = of_month + b->untold + b->late;
}

/* ---- Rates ---- */

uint64_t qmgr_budget_rate(const struct qmgr_budget *b, const struct qmgr_budget_rules *rules)
{
	uint64_t set = (uint64_t)rules->per_second * 1000;

	if (set == 0 || (b->rate != 0 && b->rate < set))
		return b->rate;
	return set;
}

/* Nanoseconds between two calls of a steady stream. */
static int64_t interval_of(uint64_t rate)
{
	return (int64_t)(1000 * CLOCK_SECOND * NANOSECONDS / (int64_t)rate);
}

static void count_call(struct qmgr_budget *b, int64_t now)
{
	int64_t second = now / CLOCK_SECOND;

	if (second != b->second) {
		b->calls_before = second == b->second + 1 ? b->calls : 0;
		b->calls = 0;
		b->second = second;
	}
	b->calls++;
}

/* The calls in the last second, as well as it is known, in thousandths. */
static uint64_t measured(const struct qmgr_budget *b, int64_t now)
{
	uint32_t most = b->calls > b->calls_before ? b->calls : b->calls_before;

	return now / CLOCK_SECOND > b->second + 1 ? 0 : (uint64_t)most * 1000;
}

/* It refused, and has not said what it would take. */
static void lower(struct qmgr_budget *b, const struct qmgr_budget_rules *rules, int64_t started_at, int64_t now)
{
	uint64_t was = qmgr_budget_rate(b, rules), is = measured(b, now);

	/* Of calls that were under way together, one says it all. */
	if (started_at < b->refused_at)
		return;
	if (was == 0 || (is != 0 && is < was))
		was = is;
	b->rate = was / 2 > RATE_LEAST ? was / 2 : RATE_LEAST;
	b->refused_rate = was > 2 * RATE_LEAST ? was : 2 * RATE_LEAST;
	b->refused_at = b->raised_at = now;
	b->next_call = now * NANOSECONDS + interval_of(b->rate);
}

/* Once a second with calls. Far above what was refused once, that does not hold any more. */
static void raise_rate(struct qmgr_budget *b, int64_t now)
{
	uint64_t step = b->refused_rate / (b->rate * 100 < b->refused_rate * RATE_NEAR ? RATE_FAST : RATE_SLOW);

	if (b->rate == 0 || now - b->raised_at < CLOCK_SECOND)
		return;
	b->rate += step > 1 ? step : 1;
	b->raised_at = now;
	if (b->rate > 2 * b->refused_rate)
		b->rate = b->refused_rate = 0;
}

/* ---- What may begin ---- */

/* False: the limit is reached, or will be by the calls under way. */
static bool bound(struct qmgr_budget_grant *grant, int64_t left, enum qmgr_budget_why why, int64_t until)
{
	if (left <= 0) {
		*grant = (struct qmgr_budget_grant){why, 0, until};
		return false;
	}
	if (left < (int64_t)grant->calls)
		grant->calls = (uint32_t)left;
	return true;
}

/* So far ahead of a steady stream may the calls be. */
static int64_t burst_of(uint64_t rate)
{
	return BURST > interval_of(rate) ? BURST - interval_of(rate) : 0;
}

static uint32_t calls_at(const struct qmgr_budget *b, uint64_t rate, int64_t now)
{
	int64_t interval = interval_of(rate), at = now * NANOSECONDS, burst = burst_of(rate);

	if (b->next_call > at + burst)
		return 0;
	return (uint32_t)((at + burst - (b->next_call > at ? b->next_call : at)) / interval + 1);
}

struct qmgr_budget_grant qmgr_budget_grant(struct qmgr_budget *b, const struct qmgr_budget_rules *rules, unsigned in_flight,
					   int64_t now)
{
	struct qmgr_budget_grant grant = {.calls = QMGR_BUDGET_ANY};
	uint64_t rate = qmgr_budget_rate(b, rules);

	roll(b, now);
	if (rules->per_month > 0 &&
	    !bound(&grant, rules->per_month - b->used_month - in_flight, QMGR_BUDGET_MONTH, next_month(b->day) * DAY))
		return grant;
	if (rules->per_day > 0 &&
	    !bound(&grant, rules->per_day - b->used_day - in_flight, QMGR_BUDGET_DAY, (b->day + 1) * DAY))
		return grant;
	if (b->paused_until > now)
		bound(&grant, 0, QMGR_BUDGET_PAUSE, b->paused_until);
	else if (b->left_until > now && !bound(&grant, b->left, QMGR_BUDGET_WINDOW, b->left_until))
		return grant;
	else if (rate > 0)
		bound(&grant, calls_at(b, rate, now), QMGR_BUDGET_RATE, (b->next_call - burst_of(rate)) / NANOSECONDS + 1);
	return grant;
}

void qmgr_budget_began(struct qmgr_budget *b, const struct qmgr_budget_rules *rules, int64_t now)
{
	uint64_t rate = qmgr_budget_rate(b, rules);
	int64_t at = now * NANOSECONDS;

	count_call(b, now);
	if (rate > 0)
		b->next_call = (b->next_call > at ? b->next_call : at) + interval_of(rate);
	if (b->left_until > now && b->left > 0)
		b->left--;
}

static int64_t pause_of(uint32_t seconds)
{
	return seconds > LONGEST_PAUSE / CLOCK_SECOND ? LONGEST_PAUSE : seconds * CLOCK_SECOND;
}

/* What it says of its limit does not count the calls under way. */
static void take_limit(struct qmgr_budget *b, const struct ipc_rate *rate, unsigned in_flight, int64_t now)
{
	if (rate->limit == 0 || rate->reset == 0)
		return;
	b->left = rate->left > in_flight ? rate->left - in_flight : 0;
	b->left_until = now + pause_of(rate->reset);
}

bool qmgr_budget_heard(struct qmgr_budget *b, const struct qmgr_budget_rules *rules, const struct ipc_outcome *o,
		       unsigned recipients, unsigned in_flight, int64_t now)
{
	bool is_throttled = o->about == IPC_ABOUT_THROTTLE;

	roll(b, now);
	/* Whether a call without an answer was taken is not known: it counts. */
	if (o->class == IPC_OUTCOME_SENT || o->class == IPC_OUTCOME_UNKNOWN) {
		b->used_day += recipients;
		b->used_month += recipients;
		b->untold += recipients;
	}
	take_limit(b, &o->rate, in_flight, now);
	if (o->retry_after > 0 && (is_throttled || o->about == IPC_ABOUT_PROVIDER)) {
		int64_t until = now + pause_of(o->retry_after);

		if (until > b->paused_until)
			b->paused_until = until;
	} else if (is_throttled && !(b->left_until > now && o->rate.left == 0)) {
		lower(b, rules, o->started_at, now);
	} else if (o->class == IPC_OUTCOME_SENT) {
		raise_rate(b, now);
	}
	return is_throttled;
}

void qmgr_budget_forget(struct qmgr_budget *b)
{
	b->paused_until = b->left_until = 0;
	b->rate = b->refused_rate = 0;
	b->next_call = 0;
}

const char *qmgr_budget_why_name(enum qmgr_budget_why why)
{
	switch (why) {
	case QMGR_BUDGET_FREE:
		return "";
	case QMGR_BUDGET_RATE:
		return "its calls a second are used up";
	case QMGR_BUDGET_PAUSE:
		return "it asked for a pause";
	case QMGR_BUDGET_WINDOW:
		return "it said that nothing is left of its limit";
	case QMGR_BUDGET_DAY:
		return "its recipients of the day are used up";
	case QMGR_BUDGET_MONTH:
		return "its recipients of the month are used up";
	case QMGR_BUDGET_WHYS:
		break;
	}
	return "";
}
