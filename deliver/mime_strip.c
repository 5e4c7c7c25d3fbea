/* SPDX-License-Identifier: Apache-2.0
 *
 * Takes header fields out of a message. Pure; called by the providers that take MIME.
 */
#include "deliver/mime_strip.h"

#include <stdint.h>

#include "lib/base/trouble.h"
#include "lib/smtp/smtp_header.h"

enum { KEPT_MAX = 64 << 20, NAMES_MAX = 512, NAME_MAX_SHOWN = 64 };

/* Is the field to go? `seen`: a bit for each of the names that one field may have, when it has come. */
static bool is_named(const struct smtp_header_field *field, const char *const *names, uint64_t *seen)
{
	for (unsigned i = 0; names[i] != NULL; i++) {
		struct str wanted = str_of(names[i]), all = str_first(wanted, wanted.n - 1);
		char kind = wanted.p[wanted.n - 1];

		must(i < 64);
		if (kind == '!' && smtp_header_is(field, all, false)) {
			bool is_second = (*seen >> i & 1) != 0;

			*seen |= (uint64_t)1 << i;
			return is_second;
		}
		if (kind == '*' ? smtp_header_is(field, all, true) : smtp_header_is(field, wanted, false))
			return true;
	}
	return false;
}

/* In printable ASCII: the names go to the log. */
static void remember(struct mime_strip *strip, struct str label)
{
	if (strip->names.n + NAME_MAX_SHOWN + 2 > NAMES_MAX)
		return;
	buf_put_text(&strip->names, strip->names.n > 0 ? ", " : "");
	label = str_first(label, NAME_MAX_SHOWN);
	for (size_t i = 0; i < label.n; i++)
		if (label.p[i] > ' ' && label.p[i] <= '~')
			buf_put_char(&strip->names, label.p[i]);
}

void mime_strip(struct mime_strip *strip, struct str content, const char *const *names)
{
	struct smtp_header_field field;
	struct str rest = content;
	uint64_t seen = 0;

	*strip = (struct mime_strip){.names = BUF_MAX(NAMES_MAX), .kept = BUF_MAX(KEPT_MAX)};
	while (smtp_header_next(&rest, &field))
		if (is_named(&field, names, &seen))
			remember(strip, field.label);
	strip->header = str_first(content, content.n - rest.n);
	strip->body = rest;
	if (strip->names.n == 0)
		return;
	seen = 0;
	for (rest = strip->header; smtp_header_next(&rest, &field);)
		if (!is_named(&field, names, &seen))
			buf_put_str(&strip->kept, field.whole);
	strip->header = buf_str(&strip->kept);
}

void mime_strip_clear(struct mime_strip *strip)
{
	buf_clear_secret(&strip->kept);
	buf_clear(&strip->names);
}
