/* SPDX-License-Identifier: Apache-2.0
 *
 * Fields of a header, parameters of a field.
 */
#include "lib/smtp/smtp_header.h"

#include "lib/base/buf.h"
#include "tests/support/unit.h"

static void a_line_that_begins_a_field_has_its_name(void)
{
	static const struct {
		const char *line, *name;
	} cases[] = {
		{"Subject: x", "Subject"}, {"Subject :x", "Subject"}, {"subject\t :", "subject"}, {"X:", "X"},
		{"", ""},		   {":", ""},		      {" X: y", ""},	    {"no field", ""},
		{"no ", ""},		   {"a b: c", ""},	      {"X\x80: y", ""},	    {"X\x7f: y", ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		UNIT_STR(smtp_header_name(str_of(cases[i].line)), cases[i].name);
}

static void fields_come_with_what_is_folded_to_them(void)
{
	struct str header = STR("A: 1\r\nB:2\r\n\t3\r\n 4: 5\r\nnone\r\nC:");
	struct smtp_header_field f;

	UNIT_TRUE(smtp_header_next(&header, &f));
	UNIT_STR(f.whole, "A: 1\r\n");
	UNIT_STR(f.body, " 1\r\n");
	UNIT_TRUE(smtp_header_next(&header, &f));
	UNIT_STR(f.name, "B");
	UNIT_STR(f.whole, "B:2\r\n\t3\r\n 4: 5\r\n");
	UNIT_STR(f.body, "2\r\n\t3\r\n 4: 5\r\n");
	UNIT_TRUE(smtp_header_next(&header, &f));
	UNIT_STR(f.name, "");
	UNIT_STR(f.body, "");
	UNIT_TRUE(smtp_header_next(&header, &f));
	UNIT_STR(f.name, "C");
	UNIT_STR(f.body, "");
	UNIT_TRUE(!smtp_header_next(&header, &f));
}

static void values_and_parameters_are_taken_apart(void)
{
	static const struct {
		const char *body, *parts;
	} cases[] = {
		{"text/plain", "text/plain"},
		{" text / plain (a (b) c) ; charset=utf-8 ", "text/plain|charset=utf-8"},
		{"a/b;x=\"1; \\\"2\" ; y = 3;;z", "a/b|x=1; \"2|y=3|z="},
		{"a/b; x=\"folded\r\n here\"\r\n; y*0*=utf-8''%41", "a/b|x=folded here|y*0*=utf-8''%41"},
		{"a/b; x=\"no end; y=1", "a/b|x=no end; y=1"},
		{"a/b; (c) x (c) = (c) 1 (c)", "a/b|x=1"},
		{"a/b; boundary=----=_Part_1.2:3?", "a/b|boundary=----=_Part_1.2:3?"},
		{"a/b; =1; x", "a/b|=1|x="},
		{"", ""},
		{";", ""},
		{"(never closed; x=1", ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = BUF_MAX(1000);
		struct str body = str_of(cases[i].body), name;
		struct smtp_header_value value;

		smtp_header_take_value(&body, &value);
		buf_put(&out, value.p, value.n);
		while (smtp_header_take_parameter(&body, &name, &value)) {
			buf_printf(&out, "|%.*s=", STR_ARG(name));
			buf_put(&out, value.p, value.n);
		}
		UNIT_STR(buf_str(&out), cases[i].parts);
		buf_clear(&out);
	}
}

UNIT_TESTS({"a line that begins a field has its name", a_line_that_begins_a_field_has_its_name},
	   {"fields come with what is folded to them", fields_come_with_what_is_folded_to_them},
	   {"values and parameters are taken apart", values_and_parameters_are_taken_apart})
