/* SPDX-License-Identifier: Apache-2.0
 *
 * When a child that died is started again. Pure: the clock is a value.
 */
#ifndef MASTER_MASTER_RESTART_H
#define MASTER_MASTER_RESTART_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/clock.h"

#define MASTER_RESTART_FIRST (1 * CLOCK_SECOND)
#define MASTER_RESTART_LONGEST (60 * CLOCK_SECOND)
/* One that dies sooner after it was ready, again and again, dies of its start. */
#define MASTER_RESTART_PROVEN (1 * CLOCK_SECOND)

struct master_restart {
	int64_t delay; /* the last one; 0: it has proven itself since */
	bool is_shaky; /* it died soon after it was ready, and was started at once: no second time */
};

/* A child died at `now`; it was ready at ready_at, or never (0). Returns how long to wait. *is_new_step tells
 * whether this wait differs from the last one: only then it is worth a line in the log. */
int64_t master_restart_delay(struct master_restart *restart, int64_t ready_at, int64_t now,
			     bool *is_new_step);

#endif
