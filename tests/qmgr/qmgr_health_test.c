/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of qmgr/qmgr_health.c: when a provider is down, when it is probed, when it is back.
 */
#include "qmgr/qmgr_health.h"

#include <string.h>

#include "lib/base/clock.h"
#include "tests/support/unit.h"

#define S CLOCK_SECOND
#define BEGIN (1000000 * S)

static const struct qmgr_health_rules rules = {
	.failures = 3,
	.percent = 50,
	.calls = 20,
	.window = 60 * S,
	.open_time = 300 * S,
	.probe_time = 10 * S,
};

/* Letters: g good, b bad, r refused, n nothing; each a call a tenth of a second after the one before it. True: the last one
 * changed it. */
static bool hear(struct qmgr_health *h, const char *calls, int64_t *now)
{
	static const struct {
		char letter;
		enum qmgr_health_word word;
	} words[] = {{'g', QMGR_HEALTH_GOOD}, {'b', QMGR_HEALTH_BAD}, {'r', QMGR_HEALTH_REFUSED}, {'n', QMGR_HEALTH_NOTHING}};
	bool changed = false;

	for (; *calls != '\0'; calls++) {
		*now += S / 10;
		for (unsigned i = 0; i < 4; i++)
			if (words[i].letter == *calls)
				changed = qmgr_health_heard(h, &rules, words[i].word, *now, *now);
	}
	return changed;
}

static void it_goes_down_by_the_table(void)
{
	static const struct {
		const char *calls;
		enum qmgr_health_why why;
	} cases[] = {
		{"", QMGR_HEALTH_UP},
		{"bb", QMGR_HEALTH_UP},
		{"bbb", QMGR_HEALTH_FAILURES},
		{"bnbnb", QMGR_HEALTH_FAILURES},
		{"bbgbbgbbg", QMGR_HEALTH_UP},
		{"ggggggggggggbbb", QMGR_HEALTH_FAILURES},
		{"r", QMGR_HEALTH_CREDENTIAL},
		{"gggr", QMGR_HEALTH_CREDENTIAL},
		/* 19 calls, then the twentieth; and exactly the half. */
		{"bbgbbgbbgbbgbbgbbgb", QMGR_HEALTH_UP},
		{"bbgbbgbbgbbgbbgbbgbb", QMGR_HEALTH_PART},
		{"gbgbgbgbgbgbgbgbgbgbgbgb", QMGR_HEALTH_UP},
		{"nnnnnnnnnnnnnnnnnnnnnnnnn", QMGR_HEALTH_UP},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct qmgr_health h = {0};
		int64_t now = BEGIN;
		bool changed = hear(&h, cases[i].calls, &now);

		UNIT_INT(h.why, cases[i].why);
		UNIT_INT(changed, cases[i].why != QMGR_HEALTH_UP);
		UNIT_INT(qmgr_health_is_up(&h), cases[i].why == QMGR_HEALTH_UP);
	}
}

static void failures_older_than_the_window_are_forgotten(void)
{
	struct qmgr_health h = {0};
	int64_t now = BEGIN;
	unsigned calls, failed;

	hear(&h, "bbgbbgbbgbbgbbgbbg", &now);
	now += 61 * S;
	hear(&h, "bbgb", &now);
	UNIT_TRUE(qmgr_health_is_up(&h));
	qmgr_health_count(&h, &rules, now, &calls, &failed);
	UNIT_INT(calls, 4);
	UNIT_INT(failed, 3);
	qmgr_health_count(&h, &rules, now + 30 * S, &calls, &failed);
	UNIT_INT(calls, 4);
	qmgr_health_count(&h, &rules, now + 66 * S, &calls, &failed);
	UNIT_INT(calls, 0);
	/* The clock was set back. */
	now -= 3600 * S;
	hear(&h, "g", &now);
	qmgr_health_count(&h, &rules, now, &calls, &failed);
	UNIT_INT(calls, 1);
}

static void probes_that_fail_come_later_and_later(void)
{
	static const int64_t waits[] = {10, 20, 40, 80, 160, 300, 300};
	struct qmgr_health h = {0};
	int64_t now = BEGIN;

	hear(&h, "bbb", &now);
	for (unsigned i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		UNIT_INT(h.probe_at - now, waits[i] * S);
		UNIT_TRUE(!qmgr_health_wants_probe(&h, h.probe_at - 1));
		now = h.probe_at;
		UNIT_TRUE(qmgr_health_wants_probe(&h, now));
		UNIT_TRUE(!qmgr_health_heard(&h, &rules, QMGR_HEALTH_BAD, now, now));
		UNIT_INT(h.why, QMGR_HEALTH_FAILURES);
	}
	now = h.probe_at;
	UNIT_TRUE(qmgr_health_heard(&h, &rules, QMGR_HEALTH_GOOD, now, now));
	UNIT_TRUE(qmgr_health_is_up(&h));
	now += 1;
	hear(&h, "bbb", &now);
	UNIT_INT(h.probe_at - now, 10 * S);
}

static void after_many_failures_one_good_probe_is_not_enough(void)
{
	struct qmgr_health h = {0};
	int64_t now = BEGIN;

	hear(&h, "bbgbbgbbgbbgbbgbbgbb", &now);
	UNIT_INT(h.why, QMGR_HEALTH_PART);
	UNIT_INT(h.probe_at - now, 300 * S);
	now = h.probe_at;
	UNIT_TRUE(!hear(&h, "gg", &now));
	UNIT_TRUE(!hear(&h, "b", &now));
	UNIT_INT(h.probe_at - now, 300 * S);
	now = h.probe_at;
	UNIT_TRUE(!hear(&h, "gg", &now));
	UNIT_TRUE(hear(&h, "g", &now));
	UNIT_TRUE(qmgr_health_is_up(&h));
	/* The failures of before are not counted again. */
	UNIT_TRUE(!hear(&h, "bb", &now));
}

static void calls_begun_before_a_change_change_nothing(void)
{
	struct qmgr_health h = {0};
	int64_t now = BEGIN;

	hear(&h, "bbb", &now);
	UNIT_TRUE(!qmgr_health_heard(&h, &rules, QMGR_HEALTH_GOOD, now - S, now + S));
	UNIT_TRUE(!qmgr_health_heard(&h, &rules, QMGR_HEALTH_GOOD, now + S, now + 2 * S));
	UNIT_INT(h.why, QMGR_HEALTH_FAILURES);
	UNIT_TRUE(!qmgr_health_heard(&h, &rules, QMGR_HEALTH_BAD, now - S, now + S));
	UNIT_INT(h.probe_at - now, 10 * S);
	now = h.probe_at + S;
	UNIT_TRUE(qmgr_health_heard(&h, &rules, QMGR_HEALTH_GOOD, now - S, now));
	for (unsigned i = 0; i < 10; i++)
		UNIT_TRUE(!qmgr_health_heard(&h, &rules, QMGR_HEALTH_BAD, now - 30 * S, now + S));
	UNIT_TRUE(qmgr_health_is_up(&h));
}

static void what_is_mended_is_probed_at_once(void)
{
	struct qmgr_health h = {0};
	int64_t now = BEGIN;

	hear(&h, "r", &now);
	UNIT_TRUE(!qmgr_health_wants_probe(&h, now));
	qmgr_health_hurry(&h, now);
	UNIT_TRUE(qmgr_health_wants_probe(&h, now));
	UNIT_TRUE(qmgr_health_heard(&h, &rules, QMGR_HEALTH_GOOD, now, now));
}

static void hosts_tell_each_other(void)
{
	struct qmgr_health h = {0};
	int64_t now = BEGIN;

	UNIT_TRUE(!qmgr_health_told(&h, &rules, QMGR_HEALTH_UP, 0, now));
	UNIT_TRUE(qmgr_health_told(&h, &rules, QMGR_HEALTH_FAILURES, now + 15 * S, now));
	UNIT_INT(h.probe_at - now, 15 * S);
	UNIT_TRUE(!qmgr_health_told(&h, &rules, QMGR_HEALTH_FAILURES, now + 30 * S, now));
	UNIT_INT(h.probe_at - now, 30 * S);
	UNIT_TRUE(!qmgr_health_told(&h, &rules, QMGR_HEALTH_FAILURES, now + 20 * S, now));
	UNIT_INT(h.probe_at - now, 30 * S);
	UNIT_TRUE(qmgr_health_told(&h, &rules, QMGR_HEALTH_UP, 0, now));
	UNIT_TRUE(qmgr_health_is_up(&h));
}

static void what_an_outcome_says(void)
{
	static const struct {
		enum ipc_outcome_class class;
		enum ipc_about about;
		enum qmgr_health_word word;
	} cases[] = {
		{IPC_OUTCOME_SENT, IPC_ABOUT_NOTHING, QMGR_HEALTH_GOOD},
		{IPC_OUTCOME_PERMANENT, IPC_ABOUT_NOTHING, QMGR_HEALTH_GOOD},
		{IPC_OUTCOME_PERMANENT, IPC_ABOUT_SENDER, QMGR_HEALTH_GOOD},
		{IPC_OUTCOME_TRANSIENT, IPC_ABOUT_NOTHING, QMGR_HEALTH_GOOD},
		{IPC_OUTCOME_TRANSIENT, IPC_ABOUT_THROTTLE, QMGR_HEALTH_GOOD},
		{IPC_OUTCOME_TRANSIENT, IPC_ABOUT_PROVIDER, QMGR_HEALTH_BAD},
		{IPC_OUTCOME_UNKNOWN, IPC_ABOUT_PROVIDER, QMGR_HEALTH_BAD},
		{IPC_OUTCOME_UNKNOWN, IPC_ABOUT_NOTHING, QMGR_HEALTH_NOTHING}, /* our agent died */
		{IPC_OUTCOME_UNFIT, IPC_ABOUT_NOTHING, QMGR_HEALTH_NOTHING},
		{IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_CREDENTIAL, QMGR_HEALTH_REFUSED},
		{IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_SENDER, QMGR_HEALTH_GOOD},
		{IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_NOTHING, QMGR_HEALTH_NOTHING},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ipc_outcome o = {.class = cases[i].class, .about = cases[i].about};

		UNIT_INT(qmgr_health_word(&o), cases[i].word);
	}
}

UNIT_TESTS({"it goes down by the table", it_goes_down_by_the_table},
	   {"failures older than the window are forgotten", failures_older_than_the_window_are_forgotten},
	   {"probes that fail come later and later", probes_that_fail_come_later_and_later},
	   {"after many failures one good probe is not enough", after_many_failures_one_good_probe_is_not_enough},
	   {"calls begun before a change change nothing", calls_begun_before_a_change_change_nothing},
	   {"what is mended is probed at once", what_is_mended_is_probed_at_once},
	   {"hosts tell each other", hosts_tell_each_other}, {"what an outcome says", what_an_outcome_says})
