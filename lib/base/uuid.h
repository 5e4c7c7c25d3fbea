/* SPDX-License-Identifier: Apache-2.0
 *
 * UUIDs (RFC 9562). Message ids are version 7: they begin with their time, so they sort by age and
 * name the day's partition they are stored in.
 */
#ifndef LIB_BASE_UUID_H
#define LIB_BASE_UUID_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/str.h"

enum { UUID_TEXT = 37 }; /* 36 characters and a NUL */

struct uuid {
	unsigned char b[16];
};

/* A new version 7 id for this wall-clock time (microseconds). */
struct uuid uuid_new(int64_t wall);
/* When a version 7 id was made, in milliseconds since 1970. */
int64_t uuid_time_ms(const struct uuid *u);
bool uuid_is_v7(const struct uuid *u);
bool uuid_eq(const struct uuid *a, const struct uuid *b);
bool uuid_is_zero(const struct uuid *u);

/* Lower case with hyphens into out[UUID_TEXT]; returns out. */
char *uuid_format(const struct uuid *u, char *out);
/* The form that uuid_format() writes, in either case. */
bool uuid_parse(struct str s, struct uuid *u);

#endif
