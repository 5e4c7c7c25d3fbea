/* SPDX-License-Identifier: Apache-2.0
 *
 * Splits a header section (RFC 5322, section 2.2) without copying. Pure; called by mime_message.c.
 */
#include "deliver/mime_headers.h"

/* Takes a line off the front, without its LF or CRLF. */
static struct str next_line(struct str *rest)
{
	size_t n = str_find(*rest, '\n');
	struct str line = str_first(*rest, n);

	*rest = str_from(*rest, n + 1);
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	return line;
}

/* The name before the colon, or the empty string when the line is no header field. */
static struct str name_of(struct str line)
{
	struct str name = str_first(line, str_find(line, ':'));

	if (name.n == line.n)
		return STR("");
	name = str_trim(name); /* "Subject : x" is obsolete, but is read so (section 4.5) */
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] > '~')
			return STR("");
	return name;
}

bool mime_headers_next(struct str *rest, struct mime_field *field)
{
	while (rest->n > 0) {
		struct str line = next_line(rest);
		const char *end = line.p + line.n;

		if (line.n == 0)
			return false;
		if (line.p[0] == ' ' || line.p[0] == '\t')
			continue;
		field->name = name_of(line);
		if (field->name.n == 0)
			continue;
		while (rest->n > 0 && (rest->p[0] == ' ' || rest->p[0] == '\t')) {
			struct str more = next_line(rest);

			end = more.p + more.n;
		}
		field->value = str_from(line, str_find(line, ':') + 1);
		field->value.n = (size_t)(end - field->value.p);
		return true;
	}
	return false;
}
