/* SPDX-License-Identifier: Apache-2.0
 *
 * What smtp-proxyctl prints, for people and as JSON.
 */
#include "ctl/ctl_out.h"

#include <stdlib.h>
#include <unistd.h>

#include "tests/support/unit.h"

static const struct ctl_out_column columns[] = {{"id", "ID"}, {"hidden", NULL}, {"note", "NOTE"}};

/* What the function prints with these options. The caller frees it. */
static char *printed(bool is_json, void (*print)(const struct ctl *ctl))
{
	struct ctl ctl = {.is_json = is_json};
	FILE *file = tmpfile();
	int was = dup(STDOUT_FILENO);
	char *text = calloc(1, 65536);

	fflush(stdout);
	UNIT_TRUE(file != NULL && dup2(fileno(file), STDOUT_FILENO) == STDOUT_FILENO);
	print(&ctl);
	fflush(stdout);
	UNIT_TRUE(dup2(was, STDOUT_FILENO) == STDOUT_FILENO);
	close(was);
	rewind(file);
	UNIT_TRUE(fread(text, 1, 65535, file) > 0);
	fclose(file);
	return text;
}

static void expect(void (*print)(const struct ctl *ctl), const char *people, const char *json)
{
	char *text = printed(false, print);

	UNIT_TEXT(text, people);
	free(text);
	text = printed(true, print);
	UNIT_TEXT(text, json);
	free(text);
}

static void two_rows(const struct ctl *ctl)
{
	struct ctl_out *out = ctl_out_new(ctl, columns, 3);

	ctl_out_int(out, 7);
	ctl_out_bool(out, true);
	ctl_out_text(out, "gr\xc3\xb6\xc3\x9f" "e");
	ctl_out_int(out, -1234);
	ctl_out_null(out);
	ctl_out_text(out, "");
	UNIT_INT(ctl_out_rows(out), 2);
	ctl_out_free(&out);
	UNIT_TRUE(out == NULL);
}

static void tables_are_aligned_and_json_is_one_object_a_line(void)
{
	expect(two_rows, "ID     NOTE\n7      gr\xc3\xb6\xc3\x9f" "e\n-1234  -\n",
	       "{\"id\":7,\"hidden\":true,\"note\":\"gr\xc3\xb6\xc3\x9f" "e\"}\n"
	       "{\"id\":-1234,\"hidden\":null,\"note\":\"\"}\n");
}

static void hostile_text(const struct ctl *ctl)
{
	struct ctl_out *out = ctl_out_new(ctl, columns, 3);

	ctl_out_str(out, STR("\x1b[2J\r\n\t\x7f"));
	ctl_out_null(out);
	ctl_out_str(out, STR("a\0b\xff\xc2\x9b\"\xe2\x82"));
	ctl_out_free(&out);
}

static void what_could_steer_a_terminal_is_not_printed(void)
{
	expect(hostile_text, "ID        NOTE\n?[2J????  a?b???\"??\n",
	       "{\"id\":\"\\u001b[2J\\r\\n\\t\x7f\",\"hidden\":null,\"note\":\"a?b?\xc2\x9b\\\"??\"}\n");
}

static void a_record(const struct ctl *ctl)
{
	static const struct ctl_out_column fields[] = {{"at", "At"}, {"took", "Took"}, {"done", "Done"}};
	struct ctl_out *out = ctl_out_record(ctl, fields, 3);

	ctl_out_time(out, 1440938160123456);
	ctl_out_span(out, 90500000);
	ctl_out_bool(out, false);
	ctl_out_time(out, 0);
	ctl_out_span(out, 1500);
	ctl_out_bool(out, true);
	ctl_out_free(&out);
}

static void records_are_lines_of_name_and_value(void)
{
	expect(a_record, "At:   2015-08-30T12:36:00.123Z\nTook: 1m 30s\nDone: no\n\nAt:   -\nTook: 1ms\nDone: yes\n",
	       "{\"at\":\"2015-08-30T12:36:00.123Z\",\"took\":90.5,\"done\":false}\n"
	       "{\"at\":null,\"took\":0.0015,\"done\":true}\n");
}

static void a_sentence(const struct ctl *ctl)
{
	ctl_out_done(ctl, "tenant %s added", "a\"b");
}

static void what_was_done_is_a_sentence(void)
{
	expect(a_sentence, "tenant a\"b added\n", "{\"done\":\"tenant a\\\"b added\"}\n");
}

UNIT_TESTS({"tables are aligned and JSON is one object a line", tables_are_aligned_and_json_is_one_object_a_line},
	   {"what could steer a terminal is not printed", what_could_steer_a_terminal_is_not_printed},
	   {"records are lines of name and value", records_are_lines_of_name_and_value},
	   {"what was done is a sentence", what_was_done_is_a_sentence})
