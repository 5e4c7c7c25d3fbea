/* SPDX-License-Identifier: Apache-2.0
 *
 * Of documents of which a few elements are wanted, without attributes and with nothing but text in them, this is the whole
 * grammar: what has more is not taken.
 */
#include "lib/aws/aws_xml.h"

/* Where the words first stand, or text.n. */
static size_t find(struct str text, struct str words)
{
	for (size_t i = 0; i + words.n <= text.n; i++)
		if (str_starts(str_from(text, i), words))
			return i;
	return text.n;
}

bool aws_xml_element(struct str xml, const char *name, struct str *text)
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
