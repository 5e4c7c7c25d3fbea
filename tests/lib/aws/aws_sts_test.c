/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of lib/aws/aws_sts.c.
 */
#include "lib/aws/aws_sts.h"

#include "tests/support/unit.h"

static void elements_are_found(void)
{
	static const struct {
		const char *xml, *text; /* of the element A */
	} cases[] = {
		{"<A>x</A>", "x"},	      {"<r xmlns=\"u\"><B>1</B><A>x+/=</A></r>", "x+/="},
		{"<A></A>", ""},	      {"<AA>1</AA><A>2</A>", "2"},
		{"<A>x</A><A>y</A>", "x"},    {"<A>x&amp;y</A>", NULL},
		{"<A>x<B/></A>", NULL},	      {"<A>x", NULL},
		{"<A>x</AA>", NULL},	      {"<A b=\"1\">x</A>", NULL},
		{"<", NULL},		      {"", NULL},
		{"<A", NULL},		      {"<A>", NULL},
		{"A>x</A>", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct str text;
		bool found = aws_sts_element(str_of(cases[i].xml), "A", &text);

		UNIT_INT(found, cases[i].text != NULL);
		if (found)
			UNIT_STR(text, cases[i].text);
	}
}

static void times_are_read(void)
{
	static const struct {
		const char *text;
		int64_t seconds; /* -1: it is none */
	} cases[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"2026-11-22T06:10:20Z", 1795327820},
		{"2026-11-22T06:10:20.123456Z", 1795327820},
		{"2024-02-29T23:59:60Z", 1709251200},
		{"2026-11-22T06:10:20", -1},
		{"2026-11-22T06:10:20+00:00", -1},
		{"2026-11-22T06:10:20.Z", -1},
		{"2026-11-22T06:10:20.5", -1},
		{"2026-11-22 06:10:20Z", -1},
		{"2026-13-22T06:10:20Z", -1},
		{"2026-11-22T24:10:20Z", -1},
		{"2026-11-22T06:10:20ZZ", -1},
		{"2026-1-22T06:10:20Z", -1},
		{"", -1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t wall = -1;
		bool is_time = aws_sts_time(str_of(cases[i].text), &wall);

		UNIT_INT(is_time, cases[i].seconds >= 0);
		if (is_time)
			UNIT_INT(wall, cases[i].seconds * 1000000);
	}
}

UNIT_TESTS({"elements are found", elements_are_found}, {"times are read", times_are_read})
