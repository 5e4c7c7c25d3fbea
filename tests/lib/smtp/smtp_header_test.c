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
		{"X\r\n : y", "X"},	   {"X \r\n \t\r\n\t: y", "X"}, {"X\r\n y: z", ""},   {"X\x01: y", ""},
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

static void a_field_ends_where_the_next_line_is_not_folded(void)
{
	static const struct {
		const char *header, *fields; /* "name=body|" of each; what is left behind them */
	} cases[] = {
		{"Bcc\r\n : a\r\nB: 1\r\n", "Bcc= a|B= 1|"},
		{"Bcc \t\r\n \r\n\t\t:a\r\n b\r\nB: 1\r\n", "Bcc=a b|B= 1|"},
		{"Bcc\r\n: a\r\nB: 1\r\n", "=|= a|B= 1|"},
		{"Bcc\n : a\nB: 1\n", "Bcc= a|B= 1|"},
		{"Bcc\r\n x : a\r\nB: 1\r\n", "= a|B= 1|"},
		{"garbage here\r\n x\r\nBcc: 1\r\n", "=|Bcc= 1|"},
		{" : x\r\nBcc: 1\r\n", "= x|Bcc= 1|"},
		{"A: 1\r\n\r\nBcc: 1\r\n", "A= 1|...Bcc: 1"},
		{"A: 1\n\nBcc: 1\n", "A= 1|...Bcc: 1"},
		{"\r\n : 1\r\n", "... : 1"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = BUF_MAX(1000);
		struct str header = str_of(cases[i].header);
		struct smtp_header_field f;

		while (smtp_header_next(&header, &f)) {
			buf_printf(&out, "%.*s=", STR_ARG(f.name));
			for (size_t k = 0; k < f.body.n; k++)
				if (f.body.p[k] != '\r' && f.body.p[k] != '\n')
					buf_put_char(&out, f.body.p[k]);
			buf_put_text(&out, "|");
		}
		buf_put_text(&out, header.n > 0 ? "..." : "");
		for (size_t k = 0; k < header.n; k++)
			if (header.p[k] != '\r' && header.p[k] != '\n')
				buf_put_char(&out, header.p[k]);
		UNIT_STR(buf_str(&out), cases[i].fields);
		buf_clear(&out);
	}
}

static void what_a_lenient_reader_takes_for_a_field_is_known(void)
{
	static const struct {
		struct str field;
		const char *name;
		bool is_prefix, is_it;
	} cases[] = {
		{STR("Bcc: x\r\n"), "bcc", false, true},
		{STR("bCC \t: x\r\n"), "bcc", false, true},
		{STR("Bcc\r\n : x\r\n"), "bcc", false, true},
		{STR(" Bcc: x\r\n"), "bcc", false, true},
		{STR("B\0cc: x\r\n"), "bcc", false, true},
		{STR("Bcc\xa0: x\r\n"), "bcc", false, true},
		{STR("\xef\xbb\xbf""Bcc: x\r\n"), "bcc", false, true},
		{STR("B\r\n cc: x\r\n"), "bcc", false, true},
		{STR("Bccx: x\r\n"), "bcc", false, false},
		{STR("Bc: x\r\n"), "bcc", false, false},
		{STR("Bcc\r\n"), "bcc", false, false},
		{STR(": Bcc: x\r\n"), "bcc", false, false},
		{STR(": x\r\n"), "", false, false},
		{STR("X-SES-A\r\n : x\r\n"), "x-ses-", true, true},
		{STR("X-SES-\x80: x\r\n"), "x-ses-", true, true},
		{STR("X-\x01SES-A : x\r\n"), "x-ses-", true, true},
		{STR("X-SES: x\r\n"), "x-ses-", true, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct str header = cases[i].field;
		struct smtp_header_field f;

		UNIT_TRUE(smtp_header_next(&header, &f) && header.n == 0);
		UNIT_INT(smtp_header_is(&f, str_of(cases[i].name), cases[i].is_prefix), cases[i].is_it);
	}
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
	   {"a field ends where the next line is not folded", a_field_ends_where_the_next_line_is_not_folded},
	   {"what a lenient reader takes for a field is known", what_a_lenient_reader_takes_for_a_field_is_known},
	   {"values and parameters are taken apart", values_and_parameters_are_taken_apart})
