/* SPDX-License-Identifier: Apache-2.0
 *
 * What follows from an attempt: done, again (when?), held for an operator, or dead. Pure; the only place
 * that decides it.
 *
 * The wait is first, twice that, ... at most longest, with full jitter: anything from QMGR_RETRY_LEAST up to it. Of what failed
 * together half comes back in the first half of the time, evenly, so that a provider that recovers is met by a stream and
 * not by waves; spread over the second half only (as it was once) it is met twice as densely. The first wait alone is at
 * least half of `first`: who sets 30 s wants a provider to be left alone for a moment, and a greylisting one refuses
 * what comes back within seconds. What the provider itself asks for (Retry-After) is taken as it is.
 */
#ifndef QMGR_QMGR_RETRY_H
#define QMGR_QMGR_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/ipc/ipc_body.h"

enum qmgr_next { QMGR_NEXT_SENT, QMGR_NEXT_AGAIN, QMGR_NEXT_DEAD, QMGR_NEXT_HELD };

/* The settings and the tenant's wish. Times in microseconds. */
struct qmgr_retry_policy {
	int64_t first, longest, max_age;
	unsigned max_attempts;
	bool holds_unknown; /* tenant.on_unknown = 'hold' */
};

/* Never again at once from the same provider. */
#define QMGR_RETRY_LEAST (1 * CLOCK_SECOND)

struct qmgr_retry_case {
	enum ipc_outcome_class class;
	unsigned attempts;    /* made, this one included */
	unsigned faults;      /* of these, the provider's fault, before this one */
	uint32_t retry_after; /* seconds that the provider asked for, or 0 */
	bool has_other;	      /* this was the provider's doing, and there is another one that may be tried now */
	int64_t queued_at, now; /* wall clock */
	uint64_t random;	/* any 64 bits */
};

struct qmgr_retry_verdict {
	enum qmgr_next next;
	unsigned faults; /* this one included */
	int64_t due_at;	 /* when AGAIN: wall clock */
	const char *why; /* when DEAD: the rule that ended it, or NULL when the provider did */
};

struct qmgr_retry_verdict qmgr_retry_decide(const struct qmgr_retry_policy *policy,
					    const struct qmgr_retry_case *c);

#endif
