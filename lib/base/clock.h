/* SPDX-License-Identifier: Apache-2.0
 *
 * The two clocks, in microseconds. Pure cores never call these: they take the time as a value.
 */
#ifndef LIB_BASE_CLOCK_H
#define LIB_BASE_CLOCK_H

#include <stdint.h>

#define CLOCK_MS 1000LL
#define CLOCK_SECOND 1000000LL

/* Never goes back, and goes on while the machine sleeps, for leases end meanwhile; one for all processes of a machine. For
 * deadlines and durations. */
int64_t clock_mono(void);
/* Since 1970 (UTC); for what people and other hosts read. */
int64_t clock_wall(void);

#endif
