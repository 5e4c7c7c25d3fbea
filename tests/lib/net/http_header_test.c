/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/net/http_header.h"

#include "tests/support/unit.h"

static void the_type_of_a_content_is_found(void)
{
	static const struct {
		const char *value;
		bool is;
	} cases[] = {
		{"application/json", true},	       {"Application/JSON; charset=utf-8", true}, {" application/json ;x", true},
		{"application/jsonp", false},	       {"application/problem+json", false},	  {"", false},
		{"text/html; application/json", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		UNIT_INT(http_header_is_media(str_of(cases[i].value), STR("application/json")), cases[i].is);
}

/* At 1994-11-06 08:49:00. */
static void retry_after_is_seconds_or_a_date(void)
{
	static const struct {
		const char *value;
		int64_t seconds; /* -1: none */
	} cases[] = {
		{"120", 120},
		{" 0 ", 0},
		{"99999", 86400},
		{"99999999999999999999999999", 86400},
		{"Sun, 06 Nov 1994 08:49:37 GMT", 37},
		{"Sun, 06 Nov 1994 08:00:00 GMT", 1},
		{"Sun, 06 Nov 2094 08:00:00 GMT", 86400},
		{"", -1},
		{"-1", -1},
		{"1.5", -1},
		{"soon", -1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t seconds = -1;

		UNIT_INT(http_header_retry_after(str_of(cases[i].value), 784111740, 86400, &seconds), cases[i].seconds >= 0);
		UNIT_INT(seconds, cases[i].seconds);
	}
}

static void links_are_found_by_their_relation(void)
{
	static const struct {
		const char *value, *targets; /* of rel "alternate" */
	} cases[] = {
		{"<https://ca/1/1>;rel=\"alternate\"", "https://ca/1/1"},
		{"<https://ca/dir>;rel=\"index\", <https://ca/1/1>; rel=alternate", "https://ca/1/1"},
		{"<a>; title=\"x, y; <z> \\\" \"; rel=\"Alternate up\" , <b>;rel=up,<c>;rel=alternate", "a c"},
		{"<a>;rel=up;rel=alternate", ""},
		{"<a>;rel", ""},
		{"<a,b;c>;rel=alternate", "a,b;c"},
		{"<a>", ""},
		{"a;rel=alternate", ""},
		{"<a;rel=alternate", ""},
		{"<a>;rel=\"alternate", ""},
		{"<a>;rel=\"x\\", ""},
		{"<a>x;rel=alternate, <b>;rel=alternate", ""},
		{",, ,<a>;rel=alternate", "a"},
		{"", ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct str rest = str_of(cases[i].value), target;
		char seen[64] = "";
		size_t n = 0;
		bool fits;

		while (http_header_link(&rest, STR("alternate"), &target, &fits)) {
			if (!fits)
				continue;
			n += (size_t)snprintf(seen + n, sizeof(seen) - n, "%s%.*s", n > 0 ? " " : "", STR_ARG(target));
		}
		UNIT_TEXT(seen, cases[i].targets);
	}
}

UNIT_TESTS({"the type of a content is found", the_type_of_a_content_is_found},
	   {"Retry-After is seconds or a date", retry_after_is_seconds_or_a_date},
	   {"links are found by their relation", links_are_found_by_their_relation})
