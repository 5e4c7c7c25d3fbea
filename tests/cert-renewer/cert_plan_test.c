/* SPDX-License-Identifier: Apache-2.0 */
#include "cert-renewer/cert_plan.h"

#include "tests/support/unit.h"

enum { DAY = 86400, HOUR = 3600 };
#define NOON 1790000000LL /* some moment in 2026 */

static void renewal_is_at_the_earliest_of_all_reasons(void)
{
	static const struct {
		struct cert_plan_facts facts;
		int64_t at;
		const char *words;
	} cases[] = {
		{{.renew_before = 30 * DAY}, 0, "there is none yet"},
		{{.not_before = NOON, .not_after = NOON + 90 * DAY, .renew_before = 30 * DAY}, NOON + 60 * DAY, "30 days before its end"},
		{{.not_before = NOON, .not_after = NOON + 365 * DAY, .renew_before = 30 * DAY}, NOON + 335 * DAY, "30 days before its end"},
		{{.not_before = NOON, .not_after = NOON + 365 * DAY, .renew_before = DAY}, NOON + 364 * DAY, "1 day before its end"},
		{{.not_before = NOON, .not_after = NOON + 365 * DAY, .renew_before = 36 * HOUR}, NOON + 365 * DAY - 36 * HOUR,
		 "36 hours before its end"},
		{{.not_before = NOON, .not_after = NOON + 6 * DAY, .renew_before = 30 * DAY}, NOON + 4 * DAY, "a third of its life is left"},
		{{.not_before = NOON, .not_after = NOON + 60, .renew_before = 30 * DAY}, NOON + 40, "a third of its life is left"},
		{{.not_before = NOON, .not_after = NOON + 90 * DAY, .renew_before = 30 * DAY, .window_at = NOON + 5}, NOON + 5,
		 "the authority asks for it (ARI)"},
		{{.not_before = NOON, .not_after = NOON + 90 * DAY, .renew_before = 30 * DAY, .window_at = NOON + 80 * DAY},
		 NOON + 60 * DAY, "30 days before its end"},
		{{.not_before = NOON, .not_after = NOON + 90 * DAY, .renew_before = 30 * DAY, .has_other_names = true}, 0, "names have changed"},
		{{.not_before = NOON, .not_after = NOON + 90 * DAY, .renew_before = 30 * DAY, .has_other_key_type = true}, 0,
		 "another type of key is wanted"},
		{{.not_before = NOON, .not_after = NOON + 90 * DAY, .renew_before = 30 * DAY, .has_other_profile = true}, 0,
		 "another profile is wanted"},
		{{.not_before = NOON, .not_after = NOON + 90 * DAY, .renew_before = 30 * DAY, .is_revoked = true, .has_other_names = true}, 0,
		 "it was revoked"},
		{{.not_before = NOON, .not_after = NOON + 90 * DAY, .renew_before = 30 * DAY, .is_asked_for = true, .window_at = NOON}, 0,
		 "an operator asked"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum cert_plan_why why;
		char words[CERT_PLAN_WORDS];

		UNIT_INT(cert_plan_renew_at(&cases[i].facts, &why), cases[i].at);
		cert_plan_words(why, cases[i].facts.renew_before, words);
		UNIT_TEXT(words, cases[i].words);
	}
}

/* A window that is always over, a clock that is ahead: nothing is ordered without end. */
static void after_a_success_there_is_some_rest(void)
{
	struct cert_plan_facts facts = {
		.not_before = NOON, .not_after = NOON + 90 * DAY, .renew_before = 30 * DAY, .window_at = NOON - DAY, .soonest = NOON + 6 * HOUR};
	enum cert_plan_why why;

	UNIT_INT(cert_plan_renew_at(&facts, &why), NOON + 6 * HOUR);
	UNIT_INT(why, CERT_PLAN_WINDOW);
	facts.is_asked_for = true;
	UNIT_INT(cert_plan_renew_at(&facts, &why), 0);
	UNIT_INT(cert_plan_soonest(NOON, NOON, 90 * DAY), NOON + 6 * HOUR);
	UNIT_INT(cert_plan_soonest(NOON, NOON, 60), NOON + 20);
	UNIT_INT(cert_plan_soonest(NOON, NOON, 1), NOON + 10);
	UNIT_INT(cert_plan_soonest(NOON, 0, 90 * DAY), 0);
	UNIT_INT(cert_plan_soonest(NOON, NOON + 60, 90 * DAY), NOON + 60 + 6 * HOUR);
	UNIT_INT(cert_plan_soonest(NOON, NOON + 61, 90 * DAY), 0);
}

static void a_moment_of_the_window_is_within_it(void)
{
	UNIT_INT(cert_plan_window_at(NOON, NOON + 10, 0), NOON);
	UNIT_INT(cert_plan_window_at(NOON, NOON + 10, 10), NOON + 10);
	UNIT_INT(cert_plan_window_at(NOON, NOON + 10, 11), NOON);
	UNIT_INT(cert_plan_window_at(NOON, NOON, UINT64_MAX), NOON);
	UNIT_INT(cert_plan_window_at(NOON, NOON - 1, 5), 0);
	UNIT_INT(cert_plan_window_at(0, 0, 5), 0);
	for (uint64_t random = 0; random < 1000; random++) {
		int64_t at = cert_plan_window_at(NOON, NOON + 2 * DAY, random * 0x9e3779b97f4a7c15u);

		UNIT_TRUE(at >= NOON && at <= NOON + 2 * DAY);
	}
}

static void times_of_day_are_read_strictly(void)
{
	UNIT_INT(cert_plan_time_of_day(STR("02:00")), 2 * HOUR);
	UNIT_INT(cert_plan_time_of_day(STR("00:00")), 0);
	UNIT_INT(cert_plan_time_of_day(STR("23:59")), 86340);
	UNIT_INT(cert_plan_time_of_day(STR("24:00")), -1);
	UNIT_INT(cert_plan_time_of_day(STR("02:60")), -1);
	UNIT_INT(cert_plan_time_of_day(STR("2:00")), -1);
	UNIT_INT(cert_plan_time_of_day(STR("02-00")), -1);
	UNIT_INT(cert_plan_time_of_day(STR("")), -1);
	UNIT_INT(cert_plan_time_of_day(STR(":0200")), -1);
}

static void the_daily_look_is_within_the_hour_after_its_time(void)
{
	int64_t midnight = NOON - NOON % DAY, at = cert_plan_daily(midnight, 2 * HOUR, STR("mx1")), next;

	UNIT_TRUE(at >= midnight + 2 * HOUR && at < midnight + 3 * HOUR);
	/* However often it is asked before that. */
	UNIT_INT(cert_plan_daily(at - 1, 2 * HOUR, STR("mx1")), at);
	next = cert_plan_daily(at, 2 * HOUR, STR("mx1"));
	UNIT_TRUE(next >= midnight + DAY + 2 * HOUR && next < midnight + DAY + 3 * HOUR);
	UNIT_TRUE(next - at != DAY); /* another day, another jitter */
	UNIT_TRUE(cert_plan_daily(midnight, 2 * HOUR, STR("mx2")) != at);
}

static void late_in_the_evening_the_hour_reaches_into_the_next_day(void)
{
	int64_t midnight = NOON - NOON % DAY, now = midnight + 23 * HOUR;

	for (int i = 0; i < 50; i++) {
		int64_t next = cert_plan_daily(now, 23 * HOUR + 1800, STR("host"));

		UNIT_TRUE(next > now && next <= now + DAY + HOUR);
		UNIT_TRUE((next - midnight - 23 * HOUR - 1800 + 10 * DAY) % DAY < HOUR);
		now = next;
	}
}

static void failures_are_tried_again_after_longer_and_longer(void)
{
	static const struct {
		unsigned failures;
		int64_t wait;
	} cases[] = {{0, 30}, {1, 30}, {2, 60}, {3, 120}, {4, 300}, {5, HOUR}, {6, HOUR}, {4000000000u, HOUR}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t tenth = cases[i].wait / 10;

		UNIT_INT(cert_plan_retry_at(NOON, cases[i].failures, 0, 0), NOON + cases[i].wait - tenth);
		UNIT_INT(cert_plan_retry_at(NOON, cases[i].failures, 0, (uint64_t)(2 * tenth)), NOON + cases[i].wait + tenth);
		UNIT_INT(cert_plan_retry_at(NOON, cases[i].failures, 0, (uint64_t)(2 * tenth + 1)), NOON + cases[i].wait - tenth);
	}
}

static void an_authoritys_word_wins_when_it_is_later(void)
{
	UNIT_INT(cert_plan_retry_at(NOON, 1, NOON + DAY, 0), NOON + DAY);
	UNIT_INT(cert_plan_retry_at(NOON, 1, NOON + 5, 3), NOON + 30);
	UNIT_INT(cert_plan_retry_at(NOON, 5, NOON + 60, 0), NOON + 3240);
}

static void a_clock_that_was_set_back_does_not_put_things_off(void)
{
	UNIT_TRUE(!cert_plan_is_due(NOON, NOON - 10, NOON + 20));
	UNIT_TRUE(cert_plan_is_due(NOON + 20, NOON - 10, NOON + 20));
	UNIT_TRUE(!cert_plan_is_due(NOON - 11, NOON, NOON + 20)); /* a clock that is put right a little */
	UNIT_TRUE(cert_plan_is_due(NOON - DAY, NOON, NOON + 20));
	UNIT_TRUE(cert_plan_is_due(NOON, 0, 0));
}

static void another_hosts_lock_is_not_waited_for_without_end(void)
{
	static const struct {
		int64_t left, waited; /* of 90 days; INT64_MIN: there is no certificate */
		bool is_failure;
	} cases[] = {
		{30 * DAY, 0, false},	     {30 * DAY, HOUR, false},	   {30 * DAY, HOUR + 1, true},
		{15 * DAY, HOUR, false},     {15 * DAY, HOUR + 1, true},   {15 * DAY - 1, 600, false},
		{15 * DAY - 1, 601, true},   {1, 600, false},		   {1, 601, true},
		{-10 * DAY, 600, false},     {-10 * DAY, 601, true},	   {INT64_MIN, 0, false},
		{INT64_MIN, 600, false},     {INT64_MIN, 601, true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t not_after = cases[i].left == INT64_MIN ? 0 : NOON + cases[i].left;
		int64_t not_before = not_after == 0 ? 0 : not_after - 90 * DAY;

		UNIT_INT(cert_plan_is_locked_out(NOON, not_before, not_after, cases[i].waited), cases[i].is_failure);
	}
}

static void sleep_is_never_nothing_and_never_long(void)
{
	UNIT_INT(cert_plan_sleep(NOON, 0), 600);
	UNIT_INT(cert_plan_sleep(NOON, NOON), 1);
	UNIT_INT(cert_plan_sleep(NOON, NOON - DAY), 1);
	UNIT_INT(cert_plan_sleep(NOON, NOON + 40), 40);
	UNIT_INT(cert_plan_sleep(NOON, NOON + 40 * DAY), 600);
}

static void a_clock_that_cannot_be_right_is_seen(void)
{
	UNIT_TRUE(cert_plan_clock_fault(0, 0) != NULL);
	UNIT_TRUE(cert_plan_clock_fault(1735689599, 0) != NULL);
	UNIT_TRUE(cert_plan_clock_fault(1735689600, 0) == NULL);
	UNIT_TRUE(cert_plan_clock_fault(NOON, NOON + 3600) == NULL);
	UNIT_TRUE(cert_plan_clock_fault(NOON, NOON + 3601) != NULL);
	UNIT_TRUE(cert_plan_clock_fault(NOON, NOON - 3600 * 24) == NULL);
}

UNIT_TESTS({"renewal is at the earliest of all reasons", renewal_is_at_the_earliest_of_all_reasons},
	   {"after a success there is some rest", after_a_success_there_is_some_rest},
	   {"a moment of the window is within it", a_moment_of_the_window_is_within_it},
	   {"times of day are read strictly", times_of_day_are_read_strictly},
	   {"the daily look is within the hour after its time", the_daily_look_is_within_the_hour_after_its_time},
	   {"late in the evening the hour reaches into the next day", late_in_the_evening_the_hour_reaches_into_the_next_day},
	   {"failures are tried again after longer and longer", failures_are_tried_again_after_longer_and_longer},
	   {"an authority's word wins when it is later", an_authoritys_word_wins_when_it_is_later},
	   {"a clock that was set back does not put things off", a_clock_that_was_set_back_does_not_put_things_off},
	   {"another host's lock is not waited for without end", another_hosts_lock_is_not_waited_for_without_end},
	   {"sleep is never nothing and never long", sleep_is_never_nothing_and_never_long},
	   {"a clock that cannot be right is seen", a_clock_that_cannot_be_right_is_seen})
