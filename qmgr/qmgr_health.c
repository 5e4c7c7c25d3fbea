/* SPDX-License-Identifier: Apache-2.0
 *
 * The window is a ring of buckets, each for a slice of the clock.
 */
#include "qmgr/qmgr_health.h"

#include <string.h>

/* Good probes in a row after a large part of the calls failed: one may be luck, when every second one is. */
enum { PROBES_AFTER_PART = 3 };

enum qmgr_health_word qmgr_health_word(const struct ipc_outcome *o)
{
	switch (o->about) {
	case IPC_ABOUT_PROVIDER:
		return QMGR_HEALTH_BAD;
	case IPC_ABOUT_CREDENTIAL:
		return QMGR_HEALTH_REFUSED;
	case IPC_ABOUT_SENDER:
	case IPC_ABOUT_THROTTLE:
		return QMGR_HEALTH_GOOD;
	case IPC_ABOUT_NOTHING:
	case IPC_ABOUTS:
		break;
	}
	switch (o->class) {
	case IPC_OUTCOME_SENT:
	case IPC_OUTCOME_TRANSIENT:
	case IPC_OUTCOME_PERMANENT:
		return QMGR_HEALTH_GOOD;
	case IPC_OUTCOME_PROVIDER_FAULT:
	case IPC_OUTCOME_UNKNOWN:
	case IPC_OUTCOME_UNFIT:
	case IPC_OUTCOME_CLASSES:
		break;
	}
	return QMGR_HEALTH_NOTHING;
}

static int64_t slice_of(const struct qmgr_health_rules *rules, int64_t now)
{
	int64_t length = rules->window / QMGR_HEALTH_BUCKETS;

	return now / (length > 0 ? length : 1);
}

/* Empties the buckets whose time is over. */
static void turn(struct qmgr_health *h, int64_t slice)
{
	int64_t passed = slice - h->slice;

	/* Also when the clock was set back, or the window made longer. */
	if (passed < 0 || passed > QMGR_HEALTH_BUCKETS)
		passed = QMGR_HEALTH_BUCKETS;
	for (int64_t i = 0; i < passed; i++)
		memset(&h->bucket[(uint64_t)(slice - i) % QMGR_HEALTH_BUCKETS], 0, sizeof(h->bucket[0]));
	h->slice = slice;
}

void qmgr_health_count(const struct qmgr_health *h, const struct qmgr_health_rules *rules, int64_t now, unsigned *calls,
		       unsigned *failed)
{
	struct qmgr_health turned = *h;

	*calls = *failed = 0;
	turn(&turned, slice_of(rules, now));
	for (unsigned i = 0; i < QMGR_HEALTH_BUCKETS; i++) {
		*calls += turned.bucket[i].calls;
		*failed += turned.bucket[i].failed;
	}
}

bool qmgr_health_is_up(const struct qmgr_health *h)
{
	return h->why == QMGR_HEALTH_UP;
}

bool qmgr_health_wants_probe(const struct qmgr_health *h, int64_t now)
{
	return h->why != QMGR_HEALTH_UP && now >= h->probe_at;
}

static void go_down(struct qmgr_health *h, enum qmgr_health_why why, int64_t wait, int64_t now)
{
	h->why = why;
	h->changed_at = now;
	h->wait = wait;
	h->probe_at = now + wait;
	h->good = 0;
}

static void go_up(struct qmgr_health *h, int64_t now)
{
	*h = (struct qmgr_health){.changed_at = now};
}

static bool is_failing(const struct qmgr_health *h, const struct qmgr_health_rules *rules, int64_t now)
{
	unsigned calls, failed;

	qmgr_health_count(h, rules, now, &calls, &failed);
	return calls >= rules->calls && (uint64_t)failed * 100 > (uint64_t)calls * rules->percent;
}

static bool heard_up(struct qmgr_health *h, const struct qmgr_health_rules *rules, enum qmgr_health_word word, int64_t now)
{
	int64_t slice = slice_of(rules, now);

	turn(h, slice);
	h->bucket[(uint64_t)slice % QMGR_HEALTH_BUCKETS].calls++;
	if (word == QMGR_HEALTH_GOOD) {
		h->failed = 0;
		return false;
	}
	h->bucket[(uint64_t)slice % QMGR_HEALTH_BUCKETS].failed++;
	h->failed++;
	if (word == QMGR_HEALTH_REFUSED)
		go_down(h, QMGR_HEALTH_CREDENTIAL, rules->probe_time, now);
	else if (is_failing(h, rules, now))
		go_down(h, QMGR_HEALTH_PART, rules->open_time, now);
	else if (h->failed >= rules->failures)
		go_down(h, QMGR_HEALTH_FAILURES, rules->probe_time, now);
	return h->why != QMGR_HEALTH_UP;
}

/* A probe has ended. */
static bool heard_down(struct qmgr_health *h, const struct qmgr_health_rules *rules, enum qmgr_health_word word, int64_t now)
{
	int64_t wait = h->wait * 2 < rules->open_time ? h->wait * 2 : rules->open_time;

	if (word == QMGR_HEALTH_GOOD) {
		if (++h->good < (h->why == QMGR_HEALTH_PART ? PROBES_AFTER_PART : 1))
			return false;
		go_up(h, now);
		return true;
	}
	go_down(h, word == QMGR_HEALTH_REFUSED ? QMGR_HEALTH_CREDENTIAL : h->why, wait, now);
	return false;
}

bool qmgr_health_heard(struct qmgr_health *h, const struct qmgr_health_rules *rules, enum qmgr_health_word word,
		       int64_t started_at, int64_t now)
{
	if (word == QMGR_HEALTH_NOTHING)
		return false;
	/* The answers of calls that were under way when it changed come after that: bad ones are no reason to find it down
	 * again, and good ones do not bring it back. Only what began when a probe might is one. */
	if (started_at < (h->why == QMGR_HEALTH_UP ? h->changed_at : h->probe_at))
		return false;
	return h->why == QMGR_HEALTH_UP ? heard_up(h, rules, word, now) : heard_down(h, rules, word, now);
}

bool qmgr_health_told(struct qmgr_health *h, const struct qmgr_health_rules *rules, enum qmgr_health_why why, int64_t probe_at,
		      int64_t now)
{
	if (why == QMGR_HEALTH_UP) {
		if (h->why == QMGR_HEALTH_UP)
			return false;
		go_up(h, now);
		return true;
	}
	if (h->why != QMGR_HEALTH_UP) {
		/* Who probes later has probed last. */
		if (probe_at > h->probe_at)
			h->probe_at = probe_at;
		return false;
	}
	go_down(h, why, why == QMGR_HEALTH_PART ? rules->open_time : rules->probe_time, now);
	if (probe_at > now)
		h->probe_at = probe_at;
	return true;
}

void qmgr_health_hurry(struct qmgr_health *h, int64_t now)
{
	if (h->probe_at > now)
		h->probe_at = now;
}

const char *qmgr_health_why_name(enum qmgr_health_why why)
{
	switch (why) {
	case QMGR_HEALTH_UP:
		return "up";
	case QMGR_HEALTH_FAILURES:
		return "calls failed one after the other";
	case QMGR_HEALTH_PART:
		return "too many of the last calls failed";
	case QMGR_HEALTH_CREDENTIAL:
		return "the credential is refused";
	case QMGR_HEALTH_WHYS:
		break;
	}
	return "";
}
