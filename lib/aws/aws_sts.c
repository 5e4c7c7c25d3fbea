/* SPDX-License-Identifier: Apache-2.0
 *
 * Of an XML document of which four elements are wanted, without attributes and nothing in them but letters, digits and
 * + / = : - . is the whole grammar: what has more is not taken.
 */
#include "lib/aws/aws_sts.h"

#include <time.h>

#include "lib/base/clock.h"

/* Where the words first stand, or text.n. */
static size_t find(struct str text, struct str words)
{
	for (size_t i = 0; i + words.n <= text.n; i++)
		if (str_starts(str_from(text, i), words))
			return i;
	return text.n;
}

bool aws_sts_element(struct str xml, const char *name, struct str *text)
{
	struct str tag = str_of(name);

	for (;;) {
		struct str rest;
		size_t end;

		xml = str_from(xml, find(xml, STR("<")) + 1);
		if (xml.n == 0)
			return false;
		if (!str_starts(xml, tag) || !str_starts(str_from(xml, tag.n), STR(">")))
			continue;
		rest = str_from(xml, tag.n + 1);
		end = str_find(rest, '<');
		*text = str_first(rest, end);
		rest = str_from(rest, end);
		return str_starts(rest, STR("</")) && str_starts(str_from(rest, 2), tag) &&
		       str_starts(str_from(rest, 2 + tag.n), STR(">")) && str_find(*text, '&') == text->n;
	}
}

/* So many digits off the front, and what has to follow them. */
static bool take(struct str *rest, size_t digits, char after, uint64_t min, uint64_t max, int *value)
{
	uint64_t number;

	if (rest->n <= digits || rest->p[digits] != after || !str_u64(str_first(*rest, digits), min, max, &number))
		return false;
	*value = (int)number;
	*rest = str_from(*rest, digits + 1);
	return true;
}

bool aws_sts_time(struct str text, int64_t *wall)
{
	struct tm tm = {0};
	size_t n = str_find(text, '.');
	struct str rest = text;
	char after = n < text.n ? '.' : 'Z';

	if (!take(&rest, 4, '-', 1970, 9999, &tm.tm_year) || !take(&rest, 2, '-', 1, 12, &tm.tm_mon) ||
	    !take(&rest, 2, 'T', 1, 31, &tm.tm_mday) || !take(&rest, 2, ':', 0, 23, &tm.tm_hour) ||
	    !take(&rest, 2, ':', 0, 59, &tm.tm_min) || !take(&rest, 2, after, 0, 60, &tm.tm_sec))
		return false;
	if (after == '.') {
		uint64_t fraction;

		if (!str_ends(rest, STR("Z")) || !str_u64(str_first(rest, rest.n - 1), 0, UINT64_MAX, &fraction))
			return false;
	} else if (rest.n > 0) {
		return false;
	}
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	*wall = (int64_t)timegm(&tm) * CLOCK_SECOND;
	return true;
}
