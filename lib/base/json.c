/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON strings and numbers.
 */
#include "lib/base/json.h"

#include <inttypes.h>

void json_put_text(struct buf *out, const char *name, struct str text)
{
	bool is_utf8 = str_is_utf8(text);

	buf_printf(out, "\"%s\":\"", name);
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
	buf_printf(out, "\"%s\":%" PRId64, name, value);
}
