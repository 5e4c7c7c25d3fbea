/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of qmgr/qmgr_budget.c: rates set and learnt, pauses, days and months.
 */
#include "qmgr/qmgr_budget.h"

#include "lib/base/clock.h"
#include "tests/support/unit.h"

#define S CLOCK_SECOND
#define DAY (86400 * S)
#define NOON (20000 * DAY + DAY / 2) /* 2024-10-04 */

/* Makes all calls that may begin from `from` on within so many seconds, looking every millisecond. */
static unsigned run(struct qmgr_budget *b, const struct qmgr_budget_rules *rules, int64_t from, unsigned seconds)
{
	unsigned n = 0;

	for (int64_t now = from; now < from + seconds * S; now += CLOCK_MS) {
		struct qmgr_budget_grant g = qmgr_budget_grant(b, rules, 0, now);

		for (unsigned i = 0; i < g.calls && i < 1000; i++, n++)
			qmgr_budget_began(b, rules, now);
	}
	return n;
}

static struct ipc_outcome outcome(enum ipc_outcome_class class, enum ipc_about about, int64_t started_at)
{
	return (struct ipc_outcome){.class = class, .about = about, .started_at = started_at};
}

static void without_limits_anything_goes(void)
{
	struct qmgr_budget b = {0};
	struct qmgr_budget_rules rules = {0};

	UNIT_INT(qmgr_budget_grant(&b, &rules, 64, NOON).calls, QMGR_BUDGET_ANY);
	qmgr_budget_began(&b, &rules, NOON);
	UNIT_INT(qmgr_budget_grant(&b, &rules, 64, NOON).calls, QMGR_BUDGET_ANY);
}

static void calls_a_second_are_kept(void)
{
	static const struct {
		unsigned per_second, seconds, least, most;
	} cases[] = {{1, 10, 10, 10}, {5, 10, 50, 51}, {14, 10, 140, 142}, {200, 5, 1000, 1021}, {3000, 2, 5990, 6301}};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct qmgr_budget b = {0};
		struct qmgr_budget_rules rules = {.per_second = cases[i].per_second};
		unsigned n = run(&b, &rules, NOON, cases[i].seconds);

		UNIT_TRUE(n >= cases[i].least && n <= cases[i].most);
	}
}

static void it_says_when_the_next_call_may_go(void)
{
	struct qmgr_budget b = {0};
	struct qmgr_budget_rules rules = {.per_second = 4};
	struct qmgr_budget_grant g = qmgr_budget_grant(&b, &rules, 0, NOON);

	UNIT_INT(g.calls, 1);
	qmgr_budget_began(&b, &rules, NOON);
	g = qmgr_budget_grant(&b, &rules, 0, NOON);
	UNIT_INT(g.calls, 0);
	UNIT_INT(g.why, QMGR_BUDGET_RATE);
	UNIT_TRUE(g.until >= NOON + S / 4 && g.until <= NOON + S / 4 + 10);
	UNIT_INT(qmgr_budget_grant(&b, &rules, 0, g.until).calls, 1);
}

static void retry_after_holds_all_calls_back(void)
{
	static const struct {
		enum ipc_about about;
		bool holds, is_throttled;
	} cases[] = {{IPC_ABOUT_THROTTLE, true, true},
		     {IPC_ABOUT_PROVIDER, true, false},
		     {IPC_ABOUT_NOTHING, false, false},
		     {IPC_ABOUT_SENDER, false, false}};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct qmgr_budget b = {0};
		struct qmgr_budget_rules rules = {0};
		struct ipc_outcome o = outcome(IPC_OUTCOME_TRANSIENT, cases[i].about, NOON);
		struct qmgr_budget_grant g;

		o.retry_after = 30;
		UNIT_INT(qmgr_budget_heard(&b, &rules, &o, 1, 0, NOON), cases[i].is_throttled);
		o.retry_after = 5; /* a later answer asks for less: the longer one holds */
		qmgr_budget_heard(&b, &rules, &o, 1, 0, NOON);
		g = qmgr_budget_grant(&b, &rules, 0, NOON + 29 * S);
		UNIT_INT(g.calls, cases[i].holds ? 0 : QMGR_BUDGET_ANY);
		if (cases[i].holds) {
			UNIT_INT(g.why, QMGR_BUDGET_PAUSE);
			UNIT_INT(g.until, NOON + 30 * S);
		}
		UNIT_INT(qmgr_budget_grant(&b, &rules, 0, NOON + 30 * S).calls, QMGR_BUDGET_ANY);
	}
}

static void a_provider_is_given_no_more_than_it_says_is_left(void)
{
	struct qmgr_budget b = {0};
	struct qmgr_budget_rules rules = {0};
	struct ipc_outcome o = outcome(IPC_OUTCOME_SENT, IPC_ABOUT_NOTHING, NOON);
	struct qmgr_budget_grant g;

	o.rate = (struct ipc_rate){.limit = 600, .left = 10, .reset = 20};
	qmgr_budget_heard(&b, &rules, &o, 1, 4, NOON);
	UNIT_INT(qmgr_budget_grant(&b, &rules, 4, NOON).calls, 6);
	for (unsigned i = 0; i < 6; i++)
		qmgr_budget_began(&b, &rules, NOON);
	g = qmgr_budget_grant(&b, &rules, 10, NOON);
	UNIT_INT(g.why, QMGR_BUDGET_WINDOW);
	UNIT_INT(g.until, NOON + 20 * S);
	UNIT_INT(qmgr_budget_grant(&b, &rules, 0, NOON + 20 * S).calls, QMGR_BUDGET_ANY);
	/* A refusal that says so needs no guesses. */
	o = outcome(IPC_OUTCOME_TRANSIENT, IPC_ABOUT_THROTTLE, NOON);
	o.rate = (struct ipc_rate){.limit = 600, .left = 0, .reset = 7};
	UNIT_TRUE(qmgr_budget_heard(&b, &rules, &o, 1, 0, NOON));
	UNIT_INT(qmgr_budget_grant(&b, &rules, 0, NOON).until, NOON + 7 * S);
	UNIT_INT(qmgr_budget_rate(&b, &rules), 0);
}

static void refusals_halve_the_rate_and_success_raises_it(void)
{
	struct qmgr_budget b = {0};
	struct qmgr_budget_rules rules = {0};
	struct ipc_outcome no = outcome(IPC_OUTCOME_TRANSIENT, IPC_ABOUT_THROTTLE, NOON + S),
			   yes = outcome(IPC_OUTCOME_SENT, IPC_ABOUT_NOTHING, NOON + S);
	int64_t now = NOON + S - 1;

	for (unsigned i = 0; i < 100; i++)
		qmgr_budget_began(&b, &rules, NOON);
	UNIT_TRUE(qmgr_budget_heard(&b, &rules, &no, 1, 0, now));
	UNIT_INT(qmgr_budget_rate(&b, &rules), 50000);
	/* Those that were under way with it say the same. */
	no.started_at = NOON;
	for (unsigned i = 0; i < 20; i++)
		UNIT_TRUE(qmgr_budget_heard(&b, &rules, &no, 1, 0, now + 10));
	UNIT_INT(qmgr_budget_rate(&b, &rules), 50000);
	for (unsigned i = 1; i <= 8; i++)
		for (unsigned k = 0; k < 5; k++)
			qmgr_budget_heard(&b, &rules, &yes, 1, 0, now + i * S + k);
	UNIT_INT(qmgr_budget_rate(&b, &rules), 90000);
	qmgr_budget_heard(&b, &rules, &yes, 1, 0, now + 10 * S);
	UNIT_INT(qmgr_budget_rate(&b, &rules), 91000);
	/* Far above it the refusal is forgotten. */
	for (unsigned i = 11; i < 200; i++)
		qmgr_budget_heard(&b, &rules, &yes, 1, 0, now + i * S);
	UNIT_INT(qmgr_budget_rate(&b, &rules), 0);
}

static void the_rate_never_falls_to_nothing(void)
{
	struct qmgr_budget b = {0};
	struct qmgr_budget_rules rules = {.per_second = 10};
	int64_t now = NOON;

	for (unsigned i = 0; i < 50; i++, now += 20 * S) {
		struct ipc_outcome no = outcome(IPC_OUTCOME_TRANSIENT, IPC_ABOUT_THROTTLE, now);

		UNIT_TRUE(qmgr_budget_heard(&b, &rules, &no, 1, 0, now));
		UNIT_TRUE(qmgr_budget_rate(&b, &rules) >= 100);
		UNIT_TRUE(qmgr_budget_grant(&b, &rules, 0, now + 11 * S).calls >= 1);
	}
	UNIT_INT(qmgr_budget_rate(&b, &rules), 100);
	qmgr_budget_forget(&b);
	UNIT_INT(qmgr_budget_rate(&b, &rules), 10000);
}

static void recipients_of_a_day_and_a_month_are_counted(void)
{
	static const struct {
		int64_t per_day, per_month;
		unsigned used, in_flight;
		uint32_t calls;
		enum qmgr_budget_why why;
		int64_t until;
	} cases[] = {
		{100, 0, 40, 0, 60, QMGR_BUDGET_FREE, 0},
		{100, 0, 40, 50, 10, QMGR_BUDGET_FREE, 0},
		{100, 0, 40, 60, 0, QMGR_BUDGET_DAY, 20001 * DAY},
		{100, 0, 140, 0, 0, QMGR_BUDGET_DAY, 20001 * DAY},
		{0, 100, 100, 0, 0, QMGR_BUDGET_MONTH, 20028 * DAY}, /* 2024-11-01 */
		{100, 100, 100, 0, 0, QMGR_BUDGET_MONTH, 20028 * DAY},
		{100, 50, 20, 0, 30, QMGR_BUDGET_FREE, 0},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct qmgr_budget b = {0};
		struct qmgr_budget_rules rules = {.per_day = cases[i].per_day, .per_month = cases[i].per_month};
		struct ipc_outcome sent = outcome(IPC_OUTCOME_SENT, IPC_ABOUT_NOTHING, NOON),
				   refused = outcome(IPC_OUTCOME_PERMANENT, IPC_ABOUT_NOTHING, NOON);
		struct qmgr_budget_grant g;

		qmgr_budget_grant(&b, &rules, 0, NOON);
		qmgr_budget_heard(&b, &rules, &sent, cases[i].used, 0, NOON);
		qmgr_budget_heard(&b, &rules, &refused, 1000, 0, NOON);
		g = qmgr_budget_grant(&b, &rules, cases[i].in_flight, NOON);
		UNIT_INT(g.calls, cases[i].calls);
		UNIT_INT(g.why, cases[i].why);
		UNIT_INT(g.until, cases[i].until);
		if (g.until != 0)
			UNIT_TRUE(qmgr_budget_grant(&b, &rules, 0, g.until).calls > 0);
	}
}

static void what_the_hosts_share_is_added_up(void)
{
	struct qmgr_budget b = {0};
	struct qmgr_budget_rules rules = {.per_day = 100};
	struct ipc_outcome sent = outcome(IPC_OUTCOME_SENT, IPC_ABOUT_NOTHING, NOON);
	int64_t day, n;

	qmgr_budget_heard(&b, &rules, &sent, 10, 0, NOON);
	n = qmgr_budget_untold(&b, NOON, &day);
	UNIT_INT(n, 10);
	UNIT_INT(day, 20000);
	qmgr_budget_heard(&b, &rules, &sent, 5, 0, NOON); /* while they are being added */
	qmgr_budget_told(&b, n, day);
	qmgr_budget_sums(&b, day, 80, 900, NOON);
	UNIT_INT(b.used_day, 85);
	UNIT_INT(b.used_month, 905);
	UNIT_INT(qmgr_budget_grant(&b, &rules, 0, NOON).calls, 15);
	UNIT_INT(qmgr_budget_untold(&b, NOON, &day), 5);
	/* Midnight: what is untold belongs to the day before. */
	UNIT_INT(qmgr_budget_grant(&b, &rules, 0, 20001 * DAY).calls, 100);
	qmgr_budget_heard(&b, &rules, &sent, 3, 0, 20001 * DAY);
	UNIT_INT(qmgr_budget_untold(&b, 20001 * DAY, &day), 5);
	UNIT_INT(day, 20000);
	qmgr_budget_told(&b, 5, day);
	qmgr_budget_sums(&b, day, 85, 905, 20001 * DAY);
	UNIT_INT(b.used_day, 3);
	UNIT_INT(b.used_month, 908);
	UNIT_INT(qmgr_budget_untold(&b, 20001 * DAY, &day), 3);
	UNIT_INT(day, 20001);
}

UNIT_TESTS({"without limits anything goes", without_limits_anything_goes},
	   {"calls a second are kept", calls_a_second_are_kept},
	   {"it says when the next call may go", it_says_when_the_next_call_may_go},
	   {"Retry-After holds all calls back", retry_after_holds_all_calls_back},
	   {"a provider is given no more than it says is left", a_provider_is_given_no_more_than_it_says_is_left},
	   {"refusals halve the rate and success raises it", refusals_halve_the_rate_and_success_raises_it},
	   {"the rate never falls to nothing", the_rate_never_falls_to_nothing},
	   {"recipients of a day and a month are counted", recipients_of_a_day_and_a_month_are_counted},
	   {"what the hosts share is added up", what_the_hosts_share_is_added_up})
