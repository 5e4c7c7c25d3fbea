/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON for the control socket's answers. Whatever bytes a text has, it stays one JSON string.
 */
#ifndef MASTER_MASTER_JSON_H
#define MASTER_MASTER_JSON_H

#include "lib/base/buf.h"

/* "name":"text"; bytes that are no UTF-8 are shown as if they were ISO 8859-1. */
void master_json_text(struct buf *out, const char *name, struct str text);
void master_json_int(struct buf *out, const char *name, int64_t value);

#endif
