/* SPDX-License-Identifier: Apache-2.0
 *
 * What the reader of main.yaml says about good and bad files, with the place.
 */
#include "lib/settings/settings_yaml.h"

#include <stdlib.h>

#include "tests/lib/settings/settings_fixture.h"
#include "tests/support/unit.h"

#define OK "listeners: {a: {}}\n"
#define NO_LISTENER "warning: listeners: there is none: no mail can come in\n"

static const struct {
	const char *text, *says;
} cases[] = {
	{OK, ""},
	{"", " " NO_LISTENER},
	{"# nothing\n", " " NO_LISTENER},
	{"{}", " " NO_LISTENER},
	{OK "smtpd:\napi:\n", ""},
	{OK "smtpd:\n  worker: 3\n", "3:3: smtpd.worker: no such setting; is workers meant?\n"},
	{OK "smtp:\n  workers: 3\n", "2:1: smtp: no such section; is smtpd meant?\n"},
	{OK "zzzzzzzz: 1\n", "2:1: zzzzzzzz: no such section; main.yaml(5) lists them\n"},
	{OK "smtpd:\n  qqqqqqqqq: 1\n",
	 "3:3: smtpd.qqqqqqqqq: no such setting; main.yaml(5) lists those of smtpd\n"},
	{OK "log:\n  retry_first: 3s\n",
	 "3:3: log.retry_first: no such setting; is queue.retry_first meant?\n"},
	{OK "smtpd:\n  workers: 3\n  workers: 3\n", "4:3: smtpd.workers: it is given twice\n"},
	{OK "smtpd: {workers: 3}\nsmtpd: {max_errors: 3}\n", "3:1: smtpd: it is given twice\n"},
	{"listeners:\n  a:\n  a:\n", "3:3: listeners.a: it is given twice\n"},
	{OK "smtpd:\n  workers: [3]\n",
	 "3:12: smtpd.workers: a sequence (- or []); a single value is needed\n"},
	{OK "smtpd:\n  workers: {a: {b: c}}\n  max_errors: 0\n",
	 "3:12: smtpd.workers: a mapping (names and values); a single value is needed\n"
	 "4:15: smtpd.max_errors: \"0\" is not between 1 and 1000\n"},
	{OK "smtpd: 3\n", "2:8: smtpd: a single value; settings, indented below it, are needed\n"},
	{OK "smtpd:\n  - workers: 3\n",
	 "3:3: smtpd: a sequence (- or []); settings, indented below it, are needed\n"},
	{"- a\n", " " NO_LISTENER "1:1: a sequence (- or []); sections with settings are needed\n"},
	{"just text\n", " " NO_LISTENER "1:1: a single value; sections with settings are needed\n"},
	{"listeners: {a: &x {port: 1}, b: *x}\n",
	 "1:33: listeners.b: an alias (*name), which is not understood here; settings, indented below its "
	 "name, are needed\n"},
	{OK "smtpd:\n  workers: !!int 3\n",
	 "3:12: smtpd.workers: a tag (!...), which is not understood here; a single value is needed\n"},
	{OK "smtpd:\n  ? [a]\n  : 3\n  workers: x\n",
	 "3:5: smtpd: a sequence (- or []) stands where a name is needed\n"
	 "5:12: smtpd.workers: \"x\" is not a whole number; allowed: 0 to 256\n"},
	{OK "---\na: 1\n", "2:1: a second YAML document begins here; only one is read\n"},
	{"listeners:\n\ta:\n", "2:1: not valid YAML: a tab; only spaces may indent (while scanning for the "
			       "next token)\n"},
	{"smtpd: {workers: 300}\nlog: {\n",
	 "1:18: smtpd.workers: \"300\" is not between 0 and 256\n"
	 "3:1: not valid YAML: did not find expected node content (while parsing a flow node)\n"},
	{"a: \xff\n", "1:1: not valid YAML: invalid leading UTF-8 octet\n"},
	{"listeners:\n  \"a/b\": {}\n  ok: {}\n",
	 "2:3: listeners.a/b: a name here has 1 to 63 letters, digits or any of . _ - @ +\n"},
	{OK "\"x\\ny\": 1\n", "2:1: x?y: no such section; main.yaml(5) lists them\n"},
	{OK "log: {level: \"\\e[31m\"}\n",
	 "2:14: log.level: \"?[31m\" is not one of: error, warn, info, debug\n"},
	{OK "database: {queue_password: \"hush\\nhush\"}\n",
	 "2:28: database.queue_password: it has a control character in it (a line break, tab or other); "
	 "allowed: printable text\n"},
};

static void files_are_judged(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *said = settings_fixture(str_of(cases[i].text), NULL);
		const char *says = cases[i].says;

		UNIT_TEXT(said[0] == ' ' ? said + 1 : said, says[0] == ' ' ? says + 1 : says);
		free(said);
	}
}

static void values_arrive_in_the_struct(void)
{
	struct settings *s;
	char *said = settings_fixture(STR("smtpd:\n  workers: 3\n  message_size: '2MiB'\n"
					  "listeners:\n  a:\n    port: 25\n    address: 127.0.0.1\n"
					  "  b: {port: 465, tls: implicit}\n"
					  "database: {queue_password: 'file', host: \"\\u00e9\"}\n"
					  "providers: {x: {directory: /tmp}}\n"
					  "queue: {default_provider: x}\n"),
				      &s);

	UNIT_TEXT(said, "");
	UNIT_INT(s->smtpd.workers, 3);
	UNIT_INT(s->smtpd.message_size, 2 << 20);
	UNIT_INT(s->n_listener, 2);
	UNIT_TEXT(s->listener[0].key, "a");
	UNIT_INT(s->listener[0].port, 25);
	UNIT_INT(s->listener[1].tls, LISTENER_IMPLICIT);
	UNIT_TEXT(s->listener[1].address, "::");
	UNIT_TEXT(s->database.queue_password, "file");
	UNIT_TEXT(s->database.host, "\xc3\xa9");
	UNIT_TEXT(s->provider[0].directory, "/tmp");
	free(said);
	settings_free(&s);
}

static void deep_nesting_ends_the_reading(void)
{
	struct buf text = BUF_MAX(100000);
	char *said;

	buf_put_text(&text, "listeners: {a: {}}\nx: ");
	for (int i = 0; i < 40; i++)
		buf_put_char(&text, '[');
	said = settings_fixture(buf_str(&text), NULL);
	UNIT_TEXT(said, "2:1: x: no such section; main.yaml(5) lists them\n"
			"2:20: nested more than 16 deep; the rest of the file was not read\n");
	free(said);
	buf_clear(&text);
}

static void too_many_things_are_refused_one_by_one(void)
{
	struct buf text = BUF_MAX(100000);
	char *said;

	buf_put_text(&text, "listeners:\n");
	for (int i = 0; i < 18; i++)
		buf_printf(&text, "  l%d: {port: %d}\n", i, 1000 + i);
	said = settings_fixture(buf_str(&text), NULL);
	UNIT_TEXT(said, "18:3: listeners.l16: too many; at most 16 are allowed\n"
			"19:3: listeners.l17: too many; at most 16 are allowed\n");
	free(said);
	buf_clear(&text);
}

static void a_flood_of_problems_is_cut(void)
{
	struct settings_problems problems;
	struct settings *s = settings_new();
	struct buf text = BUF_MAX(1 << 20);

	for (int i = 0; i < 1000; i++)
		buf_printf(&text, "x%d: 1\n", i);
	settings_problem_init(&problems, "f");
	settings_yaml_parse(buf_str(&text), settings_secret_resolve, s, &problems);
	UNIT_INT(problems.n, SETTINGS_PROBLEMS_MOST);
	UNIT_INT(problems.n_errors, 1000);
	UNIT_TRUE(problems.is_cut);
	settings_problem_clear(&problems);
	settings_free(&s);
	buf_clear(&text);
}

UNIT_TESTS({"files are judged, all at once and with the place", files_are_judged},
	   {"values arrive in the struct", values_arrive_in_the_struct},
	   {"deep nesting ends the reading", deep_nesting_ends_the_reading},
	   {"too many things are refused one by one", too_many_things_are_refused_one_by_one},
	   {"a flood of problems is cut", a_flood_of_problems_is_cut})
