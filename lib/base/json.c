/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON as it is put together, piece by piece.
 */
#include "lib/base/json.h"

#include <inttypes.h>

static void put_name(struct buf *out, const char *name)
{
	char last = out->n > 0 ? out->p[out->n - 1] : '{';

	if (last != '{' && last != '[')
		buf_put_char(out, ',');
	if (name != NULL)
		buf_printf(out, "\"%s\":", name);
}

void json_begin(struct buf *out, const char *name, char bracket)
{
	put_name(out, name);
	buf_put_char(out, bracket);
}

void json_put_text(struct buf *out, const char *name, struct str text)
{
	bool is_utf8 = str_is_utf8(text);

	put_name(out, name);
	buf_put_char(out, '"');
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f || (c >= 0x80 && !is_utf8))
			buf_printf(out, "\\u%04x", c);
		else
			buf_put_char(out, (char)c);
	}
	buf_put_char(out, '"');
}

void json_put_int(struct buf *out, const char *name, int64_t value)
{
	put_name(out, name);
	buf_printf(out, "%" PRId64, value);
}

void json_put_bool(struct buf *out, const char *name, bool value)
{
	put_name(out, name);
	buf_put_text(out, value ? "true" : "false");
}

void json_put_null(struct buf *out, const char *name)
{
	put_name(out, name);
	buf_put_text(out, "null");
}
