/* SPDX-License-Identifier: Apache-2.0
 *
 * A span of so many microseconds begins whenever they divide the time since 1970; a month is the calendar's.
 */
#include "gate/gate_span.h"

#include <time.h>

#include "gate/gate_store.h"
#include "lib/base/clock.h"

static int64_t month_end(int64_t now)
{
	static int64_t from, until; /* the month that was computed last: every mail may ask */
	time_t seconds = (time_t)(now / CLOCK_SECOND);
	struct tm tm;

	if (now >= from && now < until)
		return until;
	gmtime_r(&seconds, &tm);
	tm = (struct tm){.tm_year = tm.tm_year, .tm_mon = tm.tm_mon, .tm_mday = 1};
	from = (int64_t)timegm(&tm) * CLOCK_SECOND;
	tm = (struct tm){.tm_year = tm.tm_year, .tm_mon = tm.tm_mon + 1, .tm_mday = 1};
	until = (int64_t)timegm(&tm) * CLOCK_SECOND;
	return until;
}

int64_t gate_span_end(int64_t span, int64_t now)
{
	return span == GATE_STORE_MONTH ? month_end(now) : now - now % span + span;
}
