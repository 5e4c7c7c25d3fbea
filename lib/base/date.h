/* SPDX-License-Identifier: Apache-2.0
 *
 * Dates as protocols write them. Pure; seconds since 1970.
 */
#ifndef LIB_BASE_DATE_H
#define LIB_BASE_DATE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/str.h"

/* "2026-11-22T12:30:00Z", with zeroes behind it. */
enum { DATE_RFC3339 = 21 };

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7), in any case; the name of the day is not looked at. False leaves *seconds. */
bool date_read_http(struct str text, int64_t *seconds);
/* "2026-11-22T12:30:00.5Z", "...+01:00" (RFC 3339); the fraction is dropped. False leaves *seconds. */
bool date_read_rfc3339(struct str text, int64_t *seconds);
/* UTC. What is before 1970 or behind 9999 is shown as the nearest that is not. */
void date_put_rfc3339(int64_t seconds, char out[DATE_RFC3339]);

#endif
