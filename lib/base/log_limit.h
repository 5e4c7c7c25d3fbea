/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of which anybody can cause any number: at most so many a second are written. The next one tells how many
 * were not.
 */
#ifndef LIB_BASE_LOG_LIMIT_H
#define LIB_BASE_LOG_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

struct log_limit {
	int64_t began_at;
	unsigned n;
	uint64_t unsaid;
};

/* Whether a line may be written at `now` (monotonic). Then *unsaid is how many were left out since the last one. */
bool log_limit_take(struct log_limit *limit, int64_t now, unsigned a_second, uint64_t *unsaid);

#endif
