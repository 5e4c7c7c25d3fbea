/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the clocks.
 */
#include "lib/base/clock.h"

#include <time.h>

static int64_t read_clock(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * CLOCK_SECOND + t.tv_nsec / 1000;
}

int64_t clock_mono(void)
{
	return read_clock(CLOCK_BOOTTIME);
}

int64_t clock_wall(void)
{
	return read_clock(CLOCK_REALTIME);
}
