/* SPDX-License-Identifier: Apache-2.0
 *
 * client_template: the words in braces.
 */
#include "client/client_template.h"

#include "tests/support/unit.h"

static const struct {
	const char *text, *filled;
} cases[] = {
	{"Batch Test Email {n}", "Batch Test Email 7"},
	{"{n}/{count}", "7/100"},
	{"at {time}", "at 2026-01-31T12:00:00Z"},
	{"id {random}", "id 00000000000000ff"},
	{"{n}{n}", "77"},
	{"", ""},
	{"nothing to fill", "nothing to fill"},
	{"{", "{"},
	{"}", "}"},
	{"{}", "{}"},
	{"{N} {name} { n }", "{N} {name} { n }"},
	{"{{n}}", "{7}"},
	{"a {n", "a {n"},
	{"{\"n\":{n}}", "{\"n\":7}"},
};

static void words_in_braces_are_replaced_and_nothing_else(void)
{
	const struct client_template_values values = {
		.n = 7, .count = 100, .time = 1769860800, .random = 255};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = BUF_MAX(1000);

		client_template_fill(str_of(cases[i].text), &values, &out);
		UNIT_STR(buf_str(&out), cases[i].filled);
		buf_clear(&out);
	}
}

UNIT_TESTS({"words in braces are replaced and nothing else",
	    words_in_braces_are_replaced_and_nothing_else})
