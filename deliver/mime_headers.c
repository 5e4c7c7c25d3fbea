/* SPDX-License-Identifier: Apache-2.0
 *
 * Splits a header section (RFC 5322, section 2.2) without copying. Pure; called by mime_message.c.
 */
#include "deliver/mime_headers.h"

#include "lib/smtp/smtp_header.h"

static struct str without_line_end(struct str s)
{
	if (str_ends(s, STR("\n")))
		s.n--;
	if (str_ends(s, STR("\r")))
		s.n--;
	return s;
}

bool mime_headers_next(struct str *rest, struct mime_field *field)
{
	struct smtp_header_field next;

	while (smtp_header_next(rest, &next)) {
		if (next.name.n == 0)
			continue;
		*field = (struct mime_field){next.name, without_line_end(next.body)};
		return true;
	}
	*rest = str_from(*rest, str_find(*rest, '\n') + 1);
	return false;
}
