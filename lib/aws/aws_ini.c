/* SPDX-License-Identifier: Apache-2.0
 *
 * Line by line. What is indented belongs to the setting above it (s3 = ...), and none of those is ours.
 */
#include "lib/aws/aws_ini.h"

#include "lib/base/mem.h"

static struct str trim_line(struct str line)
{
	if (str_ends(line, STR("\r")))
		line.n--;
	/* A comment needs a blank in front of it: no key has one. */
	for (size_t i = 1; i < line.n; i++)
		if ((line.p[i] == '#' || line.p[i] == ';') && (line.p[i - 1] == ' ' || line.p[i - 1] == '\t'))
			return str_trim(str_first(line, i));
	return str_trim(line);
}

/* "[ profile   x ]" is "profile x". */
static bool is_section(struct str line, struct str wanted)
{
	struct str name = str_trim(str_from(str_first(line, str_find(line, ']')), 1)), word, want;

	while (wanted.n > 0) {
		size_t n = str_find(wanted, ' ');

		want = str_first(wanted, n);
		wanted = str_trim(str_from(wanted, n));
		/* The last word is a name, which may have blanks itself. */
		word = wanted.n > 0 ? str_first(name, str_find(name, ' ')) : name;
		if (!str_eq(word, want))
			return false;
		name = str_trim(str_from(name, word.n));
	}
	return name.n == 0;
}

bool aws_ini_find(struct str text, struct str section, const char *name, struct str *value)
{
	bool is_inside = false, is_found = false;
	struct str line;

	if (str_starts(text, STR("\xef\xbb\xbf")))
		text = str_from(text, 3);
	while (str_next(&text, '\n', &line)) {
		bool is_indented = line.n > 0 && (line.p[0] == ' ' || line.p[0] == '\t');
		size_t equals;

		line = trim_line(line);
		if (line.n == 0 || is_indented || line.p[0] == '#' || line.p[0] == ';')
			continue;
		if (line.p[0] == '[') {
			is_inside = is_section(line, section);
			continue;
		}
		equals = str_find(line, '=');
		if (!is_inside || !str_ieq(str_trim(str_first(line, equals)), str_of(name)))
			continue;
		*value = str_trim(str_from(line, equals + 1));
		is_found = value->n > 0;
	}
	return is_found;
}
