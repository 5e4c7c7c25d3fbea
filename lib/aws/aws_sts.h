/* SPDX-License-Identifier: Apache-2.0
 *
 * What AWS says of temporary credentials: STS's XML, and points in time. Pure.
 */
#ifndef LIB_AWS_AWS_STS_H
#define LIB_AWS_AWS_STS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/str.h"

/* The text of the first element of this name that has text only. False: there is none. */
bool aws_sts_element(struct str xml, const char *name, struct str *text);
/* RFC 3339, in UTC: "2026-11-22T06:10:20Z", also with a fraction; in microseconds since 1970. */
bool aws_sts_time(struct str text, int64_t *wall);

#endif
