/* SPDX-License-Identifier: Apache-2.0
 *
 * The example file and the manual are fresh, and the example is a good settings file, as it is and with
 * every line in effect.
 */
#include "lib/settings/settings_doc.h"

#include <stdlib.h>

#include "lib/base/fd.h"
#include "tests/lib/settings/settings_fixture.h"
#include "tests/support/unit.h"

static void compare(const char *path, const struct buf *made)
{
	struct buf committed = BUF_MAX(1 << 20);
	struct err err = {""};

	UNIT_TRUE(fd_read_file(path, &committed, &err));
	UNIT_TEXT(err.text, "");
	if (!str_eq(buf_str(&committed), buf_str(made))) {
		printf("\n%s is stale: run make conf-and-man\n", path);
		UNIT_TRUE(!"fresh");
	}
	buf_clear(&committed);
}

static void both_documents_are_fresh(void)
{
	struct buf made = BUF_MAX(1 << 20);

	settings_doc_example(&made);
	compare(TOP_SRCDIR "/conf/main.yaml", &made);
	buf_reset(&made);
	settings_doc_manual(&made);
	compare(TOP_SRCDIR "/man/main.yaml.5", &made);
	buf_clear(&made);
}

static void both_documents_name_every_setting(void)
{
	struct buf example = BUF_MAX(1 << 20), manual = BUF_MAX(1 << 20);
	char text[128];

	settings_doc_example(&example);
	settings_doc_manual(&manual);
	for (size_t i = 0; i < settings_n_rows; i++) {
		snprintf(text, sizeof(text), " %s: ", settings_rows[i].name);
		UNIT_TRUE(memmem(example.p, example.n, text, strlen(text)) != NULL);
		snprintf(text, sizeof(text), ".It Ic %s\n", settings_rows[i].name);
		UNIT_TRUE(memmem(manual.p, manual.n, text, strlen(text)) != NULL);
	}
	buf_clear(&example);
	buf_clear(&manual);
}

static void the_example_is_a_good_file(void)
{
	struct buf example = BUF_MAX(1 << 20);
	struct settings *s;
	char *said;

	settings_doc_example(&example);
	said = settings_fixture(buf_str(&example), &s);
	UNIT_TEXT(said, "");
	UNIT_INT(s->n_listener, 2);
	UNIT_INT(s->listener[1].tls, LISTENER_IMPLICIT);
	for (size_t i = 0; i < settings_n_rows; i++)
		if (settings_rows[i].list == NULL)
			UNIT_TRUE(settings_is_default(s, &settings_rows[i]));
	free(said);
	settings_free(&s);
	buf_clear(&example);
}

static void the_example_is_good_with_every_line_in_effect(void)
{
	struct buf example = BUF_MAX(1 << 20), active = BUF_MAX(1 << 20);
	struct settings *s;
	struct str rest, line;
	char *said;

	settings_doc_example(&example);
	for (rest = buf_str(&example); str_next(&rest, '\n', &line);) {
		bool is_setting = str_starts(line, STR("#  "));

		buf_put_str(&active, is_setting ? str_from(line, 1) : line);
		buf_put_char(&active, '\n');
	}
	said = settings_fixture(buf_str(&active), &s);
	/* The files and variables of its secrets are not there. */
	UNIT_TRUE(strstr(said, "providers.sendgrid.api_key: cannot read its file ") != NULL);
	UNIT_TRUE(strstr(said, "the environment variable SES_SECRET_ACCESS_KEY is not set") != NULL);
	UNIT_INT((long)str_find(str_from(str_of(said), str_find(str_of(said), '\n') + 1), '\n') + 1,
		 (long)strlen(strchr(said, '\n') + 1));
	UNIT_INT(s->n_provider, 3);
	free(said);
	settings_free(&s);
	buf_clear(&example);
	buf_clear(&active);
}

UNIT_TESTS({"both documents are fresh", both_documents_are_fresh},
	   {"both documents name every setting", both_documents_name_every_setting},
	   {"the example is a good file", the_example_is_a_good_file},
	   {"the example is good with every line in effect", the_example_is_good_with_every_line_in_effect})
