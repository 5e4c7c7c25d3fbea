/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/base/log_limit.h"

#include "lib/base/clock.h"

bool log_limit_take(struct log_limit *limit, int64_t now, unsigned a_second, uint64_t *unsaid)
{
	if (now - limit->began_at >= CLOCK_SECOND || limit->began_at == 0) {
		limit->began_at = now;
		limit->n = 0;
	}
	if (limit->n >= a_second) {
		limit->unsaid++;
		return false;
	}
	limit->n++;
	*unsaid = limit->unsaid;
	limit->unsaid = 0;
	return true;
}
