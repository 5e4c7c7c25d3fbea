/* SPDX-License-Identifier: Apache-2.0
 *
 * Is a provider (or a tenant's own credential there) up? A circuit breaker over what its calls came to. Pure: values and the
 * wall clock in; its memory does not grow with the calls.
 *
 * It goes down when so many calls fail one after the other, when too large a part of the calls of a window fails, at once when
 * the credential is refused, or when another host says so. Then it is left alone for a while, and after that probed by single
 * calls: good ones bring it back, a bad one leaves it alone again.
 */
#ifndef QMGR_QMGR_HEALTH_H
#define QMGR_QMGR_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/ipc/ipc_body.h"

enum { QMGR_HEALTH_BUCKETS = 12 };

/* The section `health` of the settings. Times in microseconds. */
struct qmgr_health_rules {
	unsigned failures, percent, calls;
	int64_t window, open_time, probe_time;
};

/* Why it is down. */
enum qmgr_health_why {
	QMGR_HEALTH_UP,
	QMGR_HEALTH_FAILURES,   /* in a row */
	QMGR_HEALTH_PART,       /* of the window's calls */
	QMGR_HEALTH_CREDENTIAL, /* refused */
	QMGR_HEALTH_WHYS
};

/* What a call says. */
enum qmgr_health_word {
	QMGR_HEALTH_NOTHING, /* the provider was not spoken to, or it is not known */
	QMGR_HEALTH_GOOD,    /* it works: also when it refuses this message, or wants less */
	QMGR_HEALTH_BAD,
	QMGR_HEALTH_REFUSED, /* the credential */
};

struct qmgr_health {
	enum qmgr_health_why why;
	int64_t changed_at; /* between up and down, or a probe failed; 0: never */
	int64_t probe_at;   /* when down: the next call may go then */
	int64_t wait;	    /* how long it is left alone */
	unsigned failed;    /* in a row */
	unsigned good;	    /* probes in a row */
	int64_t slice;	    /* of the clock: that of the newest bucket */
	struct {
		uint32_t calls, failed;
	} bucket[QMGR_HEALTH_BUCKETS];
};

enum qmgr_health_word qmgr_health_word(const struct ipc_outcome *o);
/* A call that began at `started_at` has ended. True: it went up or down with that. */
bool qmgr_health_heard(struct qmgr_health *h, const struct qmgr_health_rules *rules, enum qmgr_health_word word,
		       int64_t started_at, int64_t now);
bool qmgr_health_is_up(const struct qmgr_health *h);
/* Down, and a single call may probe it. */
bool qmgr_health_wants_probe(const struct qmgr_health *h, int64_t now);
/* Another host found it so, and probes it at `probe_at`. True: that changed something. */
bool qmgr_health_told(struct qmgr_health *h, const struct qmgr_health_rules *rules, enum qmgr_health_why why, int64_t probe_at,
		      int64_t now);
/* Somebody may have mended it: the next call may go now. */
void qmgr_health_hurry(struct qmgr_health *h, int64_t now);
/* The calls of the window and those of them that failed. */
void qmgr_health_count(const struct qmgr_health *h, const struct qmgr_health_rules *rules, int64_t now, unsigned *calls,
		       unsigned *failed);
/* For the log and people. */
const char *qmgr_health_why_name(enum qmgr_health_why why);

#endif
