/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON for what operators ask the processes. Whatever bytes a text has, it stays one JSON string.
 */
#ifndef LIB_BASE_JSON_H
#define LIB_BASE_JSON_H

#include "lib/base/buf.h"

/* "name":"text"; bytes that are no UTF-8 are shown as if they were ISO 8859-1. */
void json_put_text(struct buf *out, const char *name, struct str text);
void json_put_int(struct buf *out, const char *name, int64_t value);

#endif
