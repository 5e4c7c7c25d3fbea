/* SPDX-License-Identifier: Apache-2.0
 *
 * Takes header fields out of a message. Pure; called by the providers that take MIME.
 */
#include "deliver/mime_strip.h"

#include <stdint.h>

#include "lib/base/trouble.h"

enum { KEPT_MAX = 64 << 20, NAMES_MAX = 512, NAME_MAX_SHOWN = 64 };

/* The first line of `rest`, with its end. */
static struct str first_line(struct str rest)
{
	return str_first(rest, str_find(rest, '\n') + 1);
}

static bool is_blank_line(struct str line)
{
	return line.n > 0 && (line.p[0] == '\n' || (line.n > 1 && line.p[0] == '\r' && line.p[1] == '\n'));
}

/* The field that begins the text: its line and the folded ones after it (RFC 5322, 2.2.3). */
static size_t field_length(struct str text)
{
	size_t n = first_line(text).n;

	while (n < text.n && (text.p[n] == ' ' || text.p[n] == '\t'))
		n += first_line(str_from(text, n)).n;
	return n;
}

/* The field's name, or the empty string when the line is none. */
static struct str name_of(struct str line)
{
	size_t colon = str_find(line, ':');

	return colon == line.n ? STR("") : str_trim(str_first(line, colon));
}

/* Is the field with this name to go? `seen`: a bit for each of the names that one field may have, when it has come. */
static bool is_named(struct str name, const char *const *names, uint64_t *seen)
{
	for (unsigned i = 0; name.n > 0 && names[i] != NULL; i++) {
		struct str wanted = str_of(names[i]), all = str_first(wanted, wanted.n - 1);
		char kind = wanted.p[wanted.n - 1];

		must(i < 64);
		if (kind == '!' && str_ieq(name, all)) {
			bool is_second = (*seen >> i & 1) != 0;

			*seen |= (uint64_t)1 << i;
			return is_second;
		}
		if (kind == '*' ? str_istarts(name, all) : str_ieq(name, wanted))
			return true;
	}
	return false;
}

static void remember(struct mime_strip *strip, struct str name)
{
	if (strip->names.n + NAME_MAX_SHOWN + 2 > NAMES_MAX)
		return;
	buf_put_text(&strip->names, strip->names.n > 0 ? ", " : "");
	buf_put_str(&strip->names, str_first(name, NAME_MAX_SHOWN));
}

void mime_strip(struct mime_strip *strip, struct str content, const char *const *names)
{
	size_t length = 0, n;
	uint64_t seen = 0;

	*strip = (struct mime_strip){.names = BUF_MAX(NAMES_MAX), .kept = BUF_MAX(KEPT_MAX)};
	for (; length < content.n && !is_blank_line(str_from(content, length)); length += n) {
		struct str name = name_of(first_line(str_from(content, length)));

		n = field_length(str_from(content, length));
		if (is_named(name, names, &seen))
			remember(strip, name);
	}
	strip->header = str_first(content, length);
	strip->body = str_from(content, length);
	if (strip->names.n == 0)
		return;
	seen = 0;
	for (size_t at = 0; at < length; at += n) {
		struct str rest = str_from(content, at);

		n = field_length(rest);
		if (!is_named(name_of(first_line(rest)), names, &seen))
			buf_put_str(&strip->kept, str_first(rest, n));
	}
	strip->header = buf_str(&strip->kept);
}

void mime_strip_clear(struct mime_strip *strip)
{
	buf_clear_secret(&strip->kept);
	buf_clear(&strip->names);
}
