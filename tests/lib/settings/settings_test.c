/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of settings.def keeps its own rules, and values go in and come out of it as text.
 */
#include "lib/settings/settings.h"

#include <stdlib.h>

#include "lib/settings/settings_units.h"
#include "tests/support/unit.h"

static const struct settings_row *row_of(const char *section, const char *name)
{
	for (size_t i = 0; i < settings_n_rows; i++)
		if (strcmp(settings_rows[i].section, section) == 0 && strcmp(settings_rows[i].name, name) == 0)
			return &settings_rows[i];
	return NULL;
}

static void every_row_explains_itself(void)
{
	for (size_t i = 0; i < settings_n_rows; i++) {
		const struct settings_row *row = &settings_rows[i];

		UNIT_TRUE(strlen(row->prose) > 10);
		UNIT_TRUE(str_ends(str_of(row->prose), STR(".")));
		UNIT_TRUE(strlen(row->section) + strlen(row->name) < 64);
	}
	for (size_t i = 0; i < settings_n_sections; i++)
		UNIT_TRUE(str_ends(str_of(settings_sections[i].prose), STR(".")));
}

static void no_name_occurs_twice_in_a_section(void)
{
	for (size_t i = 0; i < settings_n_rows; i++)
		UNIT_TRUE(row_of(settings_rows[i].section, settings_rows[i].name) == &settings_rows[i]);
}

static void every_number_has_bounds_and_a_default_inside_them(void)
{
	union {
		struct settings settings;
		struct settings_provider provider;
		struct settings_listener listener;
	} *thing = calloc(1, sizeof(*thing));

	for (size_t i = 0; i < settings_n_rows; i++) {
		const struct settings_row *row = &settings_rows[i];
		const char *dots = strstr(row->allowed, "..");
		struct err err = {"fine"};
		int64_t low, high;

		if (!settings_units_has(row->type))
			continue;
		UNIT_TRUE(dots != NULL);
		UNIT_TRUE(settings_units_parse(
			row->type, str_bytes(row->allowed, (size_t)(dots - row->allowed)), &low));
		UNIT_TRUE(settings_units_parse(row->type, str_of(dots + 2), &high));
		UNIT_TRUE(low < high);
		UNIT_TRUE(settings_set(thing, row, str_of(row->fallback), &err));
		UNIT_TEXT(err.text, "fine");
	}
	free(thing);
}

static void new_settings_have_the_defaults_of_the_table(void)
{
	struct settings *s = settings_new();

	UNIT_INT(s->smtpd.command_timeout, 300000000);
	UNIT_INT(s->smtpd.message_size, 10 << 20);
	UNIT_INT(s->database.port, 5432);
	UNIT_INT(s->log.level, 2);
	UNIT_TEXT(s->database.name, "smtp_proxy");
	UNIT_TEXT(s->database.queue_password, "");
	UNIT_INT(s->n_listener, 0);
	for (size_t i = 0; i < settings_n_rows; i++)
		if (settings_rows[i].list == NULL)
			UNIT_TRUE(settings_is_default(s, &settings_rows[i]));
	s->smtpd.max_errors = 3;
	UNIT_TRUE(!settings_is_default(s, row_of("smtpd", "max_errors")));
	settings_free(&s);
	UNIT_TRUE(s == NULL);
}

static void values_come_out_as_they_are_read(void)
{
	static const struct {
		const char *section, *name, *in, *out;
	} cases[] = {
		{"smtpd", "command_timeout", "90s", "90s"},
		{"smtpd", "command_timeout", "120s", "2m"},
		{"smtpd", "command_timeout", "1h", "1h"},
		{"smtpd", "message_size", "1024B", "1KiB"},
		{"smtpd", "message_size", "1MB", "1000000B"},
		{"smtpd", "message_size", "512MiB", "512MiB"},
		{"smtpd", "workers", "0", "0"},
		{"gate", "cache_time", "0s", "0s"},
		{"log", "level", "debug", "debug"},
		{"tls", "min_version", "1.3", "1.3"},
		{"instance", "host_name", "mx.example", "mx.example"},
		{"tls", "key_file", "", ""},
		{"database", "queue_password", "file:/not/read/here", "file:/not/read/here"},
	};
	struct settings *s = settings_new();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct settings_row *row = row_of(cases[i].section, cases[i].name);
		struct buf out = BUF_MAX(1000);

		UNIT_TRUE(settings_set(s, row, str_of(cases[i].in), NULL));
		settings_get(s, row, &out);
		UNIT_STR(buf_str(&out), cases[i].out);
		buf_clear(&out);
	}
	settings_free(&s);
}

static void a_refused_value_changes_nothing_and_says_what_is_allowed(void)
{
	static const struct {
		const char *section, *name, *in, *says;
	} cases[] = {
		{"smtpd", "workers", "257", "\"257\" is not between 0 and 256"},
		{"smtpd", "workers", "-1", "\"-1\" is not a whole number; allowed: 0 to 256"},
		{"smtpd", "workers", "", "\"\" is not a whole number; allowed: 0 to 256"},
		{"smtpd", "workers", "3.5", "\"3.5\" is not a whole number; allowed: 0 to 256"},
		{"smtpd", "command_timeout", "5",
		 "\"5\" is not a duration such as 500ms, 30s, 5m, 1h or 2d; allowed: 1s to 1h"},
		{"smtpd", "command_timeout", "999ms", "\"999ms\" is not between 1s and 1h"},
		{"smtpd", "message_size", "513MiB", "\"513MiB\" is not between 1KiB and 512MiB"},
		{"log", "level", "loud", "\"loud\" is not one of: error, warn, info, debug"},
		{"log", "level", "", "\"\" is not one of: error, warn, info, debug"},
		{"instance", "state_dir", "var", "\"var\" is not an absolute path (one that begins with /)"},
		{"instance", "state_dir", "", "it is empty; an absolute path is needed"},
		{"instance", "host_name", "a\nb",
		 "it has a control character in it (a line break, tab or other); allowed: printable text"},
		{"instance", "host_name", "\xff", "it is not UTF-8 text"},
	};
	struct settings *s = settings_new();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct settings_row *row = row_of(cases[i].section, cases[i].name);
		struct err err;

		UNIT_TRUE(!settings_set(s, row, str_of(cases[i].in), &err));
		UNIT_TEXT(err.text, cases[i].says);
		UNIT_TRUE(settings_is_default(s, row));
	}
	settings_free(&s);
}

static void a_text_longer_than_allowed_is_refused_without_being_shown(void)
{
	struct settings *s = settings_new();
	char secret[2000];
	struct err err;

	memset(secret, 's', sizeof(secret));
	UNIT_TRUE(!settings_set(s, row_of("database", "queue_password"), str_bytes(secret, sizeof(secret)),
				&err));
	UNIT_TEXT(err.text, "it has 2000 bytes; at most 1024 are allowed");
	settings_free(&s);
}

static void lists_grow_to_their_limit(void)
{
	struct settings *s = settings_new();
	const struct settings_list *list = row_of("listeners", "port")->list;
	struct settings_listener *first;

	UNIT_TEXT(list->section, "listeners");
	first = settings_add(s, list, STR("a"));
	UNIT_TEXT(first->address, "::");
	UNIT_INT(first->port, 587);
	UNIT_TRUE(settings_find(s, list, STR("a")) == first);
	UNIT_TRUE(settings_find(s, list, STR("b")) == NULL);
	while (settings_add(s, list, STR("more")) != NULL)
		;
	UNIT_INT(s->n_listener, 16);
	settings_empty(s, list);
	UNIT_INT(s->n_listener, 0);
	settings_free(&s);
}

UNIT_TESTS({"every row explains itself in a sentence", every_row_explains_itself},
	   {"no name occurs twice in a section", no_name_occurs_twice_in_a_section},
	   {"every number has bounds and a default inside them",
	    every_number_has_bounds_and_a_default_inside_them},
	   {"new settings have the defaults of the table", new_settings_have_the_defaults_of_the_table},
	   {"values come out as they are read", values_come_out_as_they_are_read},
	   {"a refused value changes nothing and says what is allowed",
	    a_refused_value_changes_nothing_and_says_what_is_allowed},
	   {"a text longer than allowed is refused without being shown",
	    a_text_longer_than_allowed_is_refused_without_being_shown},
	   {"lists grow to their limit", lists_grow_to_their_limit})
