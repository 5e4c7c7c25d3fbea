/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON for what operators ask the processes. Whatever bytes a text has, it stays one JSON string.
 */
#ifndef LIB_BASE_JSON_H
#define LIB_BASE_JSON_H

#include "lib/base/buf.h"

/* Each puts a comma before itself where one is due. */

/* Begins an object ('{') or a list ('['), which whoever began it ends with buf_put_char(). Without a name (NULL) it is
 * an element of a list, or the whole. */
void json_begin(struct buf *out, const char *name, char bracket);
/* "name":"text"; bytes that are no UTF-8 are shown as if they were ISO 8859-1. */
void json_put_text(struct buf *out, const char *name, struct str text);
void json_put_int(struct buf *out, const char *name, int64_t value);
void json_put_bool(struct buf *out, const char *name, bool value);
void json_put_null(struct buf *out, const char *name);

#endif
