/* SPDX-License-Identifier: Apache-2.0
 *
 * Command lines taken apart.
 */
#include "lib/smtp/smtp_command.h"

#include "lib/base/buf.h"
#include "tests/support/unit.h"

static void a_line_is_verb_and_argument(void)
{
	static const struct {
		const char *line, *verb, *argument;
	} cases[] = {
		{"NOOP", "NOOP", ""},
		{"EHLO [127.0.0.1]", "EHLO", "[127.0.0.1]"},
		{"AUTH  PLAIN  abc ", "AUTH", "PLAIN  abc"},
		{"mail from:<a@b>", "mail", "from:<a@b>"},
		{"", "", ""},
		{" NOOP", "", "NOOP"},
	};
	struct smtp_command c;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		smtp_command_split(str_of(cases[i].line), &c);
		UNIT_STR(c.verb, cases[i].verb);
		UNIT_STR(c.argument, cases[i].argument);
	}
}

static void a_path_is_found_with_its_parameters(void)
{
	static const struct {
		const char *argument, *path, *parameters; /* path NULL: refused */
	} cases[] = {
		{"FROM:<a@b.c>", "a@b.c", ""},
		{"from:<a@b.c> SIZE=1 BODY=8BITMIME", "a@b.c", "SIZE=1 BODY=8BITMIME"},
		{"FROM: <a@b.c>", "a@b.c", ""},
		{"FROM:<>", "", ""},
		{"FROM:a@b.c SIZE=1", "a@b.c", "SIZE=1"},
		{"FROM:<\"a>b\"@c.d> X", "\"a>b\"@c.d", "X"},
		{"FROM:<\"a\\\">b\"@c.d>", "\"a\\\">b\"@c.d", ""},
		{"FROM:<@x,@y:a@b>", "@x,@y:a@b", ""},
		{"FROM:", NULL, NULL},
		{"FROM: ", NULL, NULL},
		{"FROM <a@b>", NULL, NULL},
		{"FROM:<a@b", NULL, NULL},
		{"FROM:<a@b>SIZE=1", NULL, NULL},
		{"TO:<a@b>", NULL, NULL},
		{"", NULL, NULL},
	};
	struct str path, parameters;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool ok = smtp_command_path(str_of(cases[i].argument), STR("FROM"), &path, &parameters);

		UNIT_INT(ok, cases[i].path != NULL);
		if (!ok || cases[i].path == NULL)
			continue;
		UNIT_STR(path, cases[i].path);
		UNIT_STR(parameters, cases[i].parameters);
	}
}

static void parameters_are_names_with_values(void)
{
	static const struct {
		const char *parameters, *expected; /* ! malformed */
	} cases[] = {
		{"", ""},
		{"SIZE=10 BODY=8BITMIME", "(SIZE,10)(BODY,8BITMIME)"},
		{"  SMTPUTF8  SIZE=1", "(SMTPUTF8)(SIZE,1)"},
		{"SIZE=", "!"},
		{"=1", "!"},
		{"-A=1", "!"},
		{"A=b=c", "!"},
		{"A=\x01", "!"},
		{"AUTH=<>", "(AUTH,<>)"},
		{"ORCPT=utf-8;m\xc3\xbcller@b", "(ORCPT,utf-8;m\xc3\xbcller@b)"},
		{"ORCPT=m\xfcller", "!"},
		{"A=\x7f", "!"},
		{"A=1 B!", "(A,1)!"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct str rest = str_of(cases[i].parameters), name, value;
		struct buf out = BUF_MAX(4096);
		enum smtp_command_parameter got;

		while ((got = smtp_command_next_parameter(&rest, &name, &value)) == SMTP_COMMAND_PARAMETER) {
			buf_printf(&out, "(%.*s", STR_ARG(name));
			if (value.p != NULL)
				buf_printf(&out, ",%.*s", STR_ARG(value));
			buf_put_char(&out, ')');
		}
		if (got == SMTP_COMMAND_MALFORMED)
			buf_put_char(&out, '!');
		UNIT_STR(buf_str(&out), cases[i].expected);
		buf_clear(&out);
	}
}

UNIT_TESTS({"a line is verb and argument", a_line_is_verb_and_argument},
	   {"a path is found with its parameters", a_path_is_found_with_its_parameters},
	   {"parameters are names with values", parameters_are_names_with_values})
