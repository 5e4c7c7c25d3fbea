/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules of time. What they decide about is in cert_job.c.
 */
#include "cert-renewer/cert_plan.h"

#include <stdio.h>

enum { DAY = 86400, HOUR = 3600, SHORT_OF_TIME = 600, SOONEST = 10, LATEST = 6 * HOUR, CLOCK_STEP = 60, YOUNGEST = 1735689600 /* 2025-01-01 */ };

/* ---- renewal ---- */

static int64_t by_age(const struct cert_plan_facts *facts, enum cert_plan_why *why)
{
	int64_t third = (facts->not_after - facts->not_before) / 3;

	*why = third < facts->renew_before ? CERT_PLAN_THIRD : CERT_PLAN_BEFORE_END;
	return facts->not_after - (third < facts->renew_before ? third : facts->renew_before);
}

int64_t cert_plan_renew_at(const struct cert_plan_facts *facts, enum cert_plan_why *why)
{
	int64_t at;

	*why = facts->not_after == 0	   ? CERT_PLAN_MISSING
	       : facts->is_revoked	   ? CERT_PLAN_REVOKED
	       : facts->is_asked_for	   ? CERT_PLAN_ASKED
	       : facts->has_other_names	   ? CERT_PLAN_NAMES
	       : facts->has_other_key_type ? CERT_PLAN_KEY_TYPE
	       : facts->has_other_profile  ? CERT_PLAN_PROFILE
					   : CERT_PLAN_WHYS;
	if (*why != CERT_PLAN_WHYS)
		return 0;
	at = by_age(facts, why);
	if (facts->window_at > 0 && facts->window_at < at) {
		at = facts->window_at;
		*why = CERT_PLAN_WINDOW;
	}
	return at > facts->soonest ? at : facts->soonest;
}

int64_t cert_plan_soonest(int64_t now, int64_t last_success, int64_t life)
{
	int64_t wait = life / 3 < SOONEST ? SOONEST : life / 3 > LATEST ? LATEST : life / 3;

	return last_success == 0 || now + CLOCK_STEP < last_success ? 0 : last_success + wait;
}

static void before_end(int64_t renew_before, char out[CERT_PLAN_WORDS])
{
	static const struct {
		int64_t seconds;
		const char *name;
	} units[] = {{DAY, "day"}, {HOUR, "hour"}, {60, "minute"}, {1, "second"}};
	unsigned i = 0;

	while (units[i].seconds > 1 && renew_before % units[i].seconds != 0)
		i++;
	snprintf(out, CERT_PLAN_WORDS, "%lld %s%s before its end", (long long)(renew_before / units[i].seconds), units[i].name,
		 renew_before == units[i].seconds ? "" : "s");
}

void cert_plan_words(enum cert_plan_why why, int64_t renew_before, char out[CERT_PLAN_WORDS])
{
	static const char *const words[CERT_PLAN_WHYS] = {
		[CERT_PLAN_MISSING] = "there is none yet",
		[CERT_PLAN_THIRD] = "a third of its life is left",
		[CERT_PLAN_WINDOW] = "the authority asks for it (ARI)",
		[CERT_PLAN_NAMES] = "names have changed",
		[CERT_PLAN_KEY_TYPE] = "another type of key is wanted",
		[CERT_PLAN_PROFILE] = "another profile is wanted",
		[CERT_PLAN_REVOKED] = "it was revoked",
		[CERT_PLAN_ASKED] = "an operator asked",
	};

	if (why == CERT_PLAN_BEFORE_END)
		before_end(renew_before, out);
	else
		snprintf(out, CERT_PLAN_WORDS, "%s", words[why]);
}

int64_t cert_plan_window_at(int64_t start, int64_t end, uint64_t random)
{
	if (start <= 0 || end < start)
		return 0;
	return start + (int64_t)(random % ((uint64_t)(end - start) + 1));
}

/* ---- the day ---- */

int cert_plan_time_of_day(struct str text)
{
	struct str hour;
	uint64_t h, m;

	if (text.n != 5 || !str_next(&text, ':', &hour) || hour.n != 2 || !str_u64(hour, 0, 23, &h) || !str_u64(text, 0, 59, &m))
		return -1;
	return (int)(h * HOUR + m * 60);
}

/* FNV-1a, and the end of SplitMix64: good enough for spreading hosts over an hour. */
static int64_t jitter_of(struct str host, int64_t day)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < host.n; i++)
		hash = (hash ^ (unsigned char)host.p[i]) * 0x100000001b3u;
	hash += (uint64_t)day * 0x9e3779b97f4a7c15u;
	hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9u;
	hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebu;
	return (int64_t)((hash ^ (hash >> 31)) % HOUR);
}

int64_t cert_plan_daily(int64_t now, int time_of_day, struct str host)
{
	/* The jitter of the day before may reach into this one. */
	for (int64_t day = now / DAY - 1;; day++) {
		int64_t at = day * DAY + time_of_day + jitter_of(host, day);

		if (at > now)
			return at;
	}
}

/* ---- failures and the clock ---- */

int64_t cert_plan_retry_at(int64_t now, unsigned failures, int64_t not_before, uint64_t random)
{
	static const int64_t waits[] = {30, 60, 120, 300, HOUR};
	unsigned last = sizeof(waits) / sizeof(waits[0]) - 1;
	int64_t wait = waits[failures == 0 ? 0 : failures - 1 < last ? failures - 1 : last];
	int64_t tenth = wait / 10, at = now + wait - tenth + (int64_t)(random % (uint64_t)(2 * tenth + 1));

	return not_before > at ? not_before : at;
}

bool cert_plan_is_due(int64_t now, int64_t since, int64_t at)
{
	return now >= at || now + CLOCK_STEP < since;
}

bool cert_plan_is_locked_out(int64_t now, int64_t not_before, int64_t not_after, int64_t waited)
{
	bool is_urgent = not_after == 0 || not_after - now < (not_after - not_before) / 6;

	return waited > (is_urgent ? SHORT_OF_TIME : HOUR);
}

int64_t cert_plan_sleep(int64_t now, int64_t next)
{
	int64_t left = next - now;

	if (next == 0 || left > CERT_PLAN_LOOK)
		return CERT_PLAN_LOOK;
	return left < 1 ? 1 : left;
}

const char *cert_plan_clock_fault(int64_t now, int64_t not_before)
{
	if (now < YOUNGEST)
		return "the clock of this host says that it is before 2025";
	if (now + CERT_PLAN_CLOCK_OFF < not_before)
		return "the clock of this host says that it is before its certificate was made";
	return NULL;
}
