/* SPDX-License-Identifier: Apache-2.0
 *
 * When a certificate is renewed, looked at and tried again. Pure: the clock and random numbers are arguments. All times are seconds
 * since 1970 by the wall clock, which may jump; 0: never, or not known.
 */
#ifndef CERT_RENEWER_CERT_PLAN_H
#define CERT_RENEWER_CERT_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/str.h"

enum cert_plan_why {
	CERT_PLAN_MISSING,
	CERT_PLAN_BEFORE_END,
	CERT_PLAN_THIRD,
	CERT_PLAN_WINDOW,
	CERT_PLAN_NAMES,
	CERT_PLAN_KEY_TYPE,
	CERT_PLAN_PROFILE,
	CERT_PLAN_REVOKED,
	CERT_PLAN_ASKED,
	CERT_PLAN_WHYS
};

enum {
	CERT_PLAN_LOOK = 600,		 /* whatever is planned, the clock is looked at again so soon: it may have jumped */
	CERT_PLAN_CLOCK_OFF = 3600,	 /* an authority's clock or another host's may be ahead of ours by so much */
	CERT_PLAN_WORDS = 128,
};

struct cert_plan_facts {
	int64_t not_before, not_after; /* both 0: there is no certificate */
	int64_t renew_before;	       /* seconds */
	int64_t window_at;	       /* cert_plan_window_at(); 0: the authority has none */
	int64_t soonest;	       /* cert_plan_soonest() */
	/* The certificate is not what is wanted: */
	bool has_other_names, has_other_key_type, has_other_profile, is_revoked;
	bool is_asked_for;
};

/* When it is renewed (0: at once), and why. */
int64_t cert_plan_renew_at(const struct cert_plan_facts *facts, enum cert_plan_why *why);
/* Not before this is another one ordered for the dates of the present one, or because the authority wishes it: a clock that is ahead, or
 * a window that is always over, would make us order without end. `life` of what was obtained at last_success; 0: there is nothing to be
 * waited for, also when the clock was set back behind last_success. */
int64_t cert_plan_soonest(int64_t now, int64_t last_success, int64_t life);
/* For people: "30 days before its end", "the authority asks for it (ARI)". */
void cert_plan_words(enum cert_plan_why why, int64_t renew_before, char out[CERT_PLAN_WORDS]);

/* A moment within the window that an authority suggests (RFC 9773, 4.2), each as likely as the others. A window that has an end before its
 * beginning is none: 0. */
int64_t cert_plan_window_at(int64_t start, int64_t end, uint64_t random);

/* "HH:MM" as seconds since midnight; -1: it is no time. */
int cert_plan_time_of_day(struct str text);
/* The next daily look after `now`: at that time of the day (UTC) and up to an hour later, so much as host and day say. */
int64_t cert_plan_daily(int64_t now, int time_of_day, struct str host);

/* After the n-th failure in a row: the next try. not_before: the authority's word, which is kept to when it is later. */
int64_t cert_plan_retry_at(int64_t now, unsigned failures, int64_t not_before, uint64_t random);
/* Is it time for what was put down at `since` for `at`? Also when the clock was set back behind `since`, for then `at` means
 * nothing. */
bool cert_plan_is_due(int64_t now, int64_t since, int64_t at);
/* Another host has had the lock for so many seconds, whenever it was asked for: is that a failure by now? One that gets nowhere and never
 * gives it back would let our certificate end without a word; but what ends soon, or is not there, is waited for less. */
bool cert_plan_is_locked_out(int64_t now, int64_t not_before, int64_t not_after, int64_t waited);
/* How long to sleep when the next thing is at `next` (0: nothing is): at least one second, at most CERT_PLAN_LOOK. */
int64_t cert_plan_sleep(int64_t now, int64_t next);

/* Can the clock be right? Before 2025 (this program is younger), or well before the certificate was made: no. Returns a sentence, or
 * NULL. */
const char *cert_plan_clock_fault(int64_t now, int64_t not_before);

#endif
