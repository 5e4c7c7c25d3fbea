/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of lib/aws/aws_xml.c.
 */
#include "lib/aws/aws_xml.h"

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
		bool found = aws_xml_element(str_of(cases[i].xml), "A", &text);

		UNIT_INT(found, cases[i].text != NULL);
		if (found)
			UNIT_STR(text, cases[i].text);
	}
}

UNIT_TESTS({"elements are found", elements_are_found})
