/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of settings.def as data, and the life of a struct settings: defaults, one value in and
 * out as text, lists. Everything else about settings (file, check, wire, documents) walks these rows.
 */
#include "lib/settings/settings.h"

#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/settings/settings_units.h"

enum { TEXT_MOST = 4096, VALUE_MAX = 65536 };

#define SECTION(section, prose)
#define END(section)
#define SETTING(type, section, name, fallback, allowed, roles, when, prose)
#define LISTED(type, list, name, fallback, allowed, roles, when, prose)
#define LIST(name, section_name, most_of_it, when_it, words) \
	static const char section_of_##name[] = #section_name; \
	static const struct settings_list list_##name = { \
		.section = section_of_##name, \
		.prose = words, \
		.most = most_of_it, \
		.size = sizeof(struct settings_##name), \
		.offset = offsetof(struct settings, name), \
		.count_offset = offsetof(struct settings, n_##name), \
		.when = SETTINGS_##when_it, \
	};
#include "lib/settings/settings.def"
#undef SETTING
#undef LISTED
#undef LIST

#define LIST(list, section, most, when, prose)
#define SETTING(type, section, name, fallback, allowed, roles, when, prose) \
	{SETTINGS_##type, #section, #name, fallback, allowed, prose, roles, SETTINGS_##when, \
	 offsetof(struct settings, section.name), NULL},
#define LISTED(type, list, name, fallback, allowed, roles, when, prose) \
	{SETTINGS_##type, section_of_##list, #name, fallback, allowed, prose, roles, SETTINGS_##when, \
	 offsetof(struct settings_##list, name), &list_##list},
const struct settings_row settings_rows[] = {
#include "lib/settings/settings.def"
};
const size_t settings_n_rows = sizeof(settings_rows) / sizeof(settings_rows[0]);
#undef SECTION
#undef LIST
#undef SETTING
#undef LISTED

#define SETTING(type, section, name, fallback, allowed, roles, when, prose)
#define LISTED(type, list, name, fallback, allowed, roles, when, prose)
#define SECTION(section, prose) {#section, prose, NULL},
#define LIST(list, section, most, when, prose) {section_of_##list, prose, &list_##list},
const struct settings_section settings_sections[] = {
#include "lib/settings/settings.def"
};
const size_t settings_n_sections = sizeof(settings_sections) / sizeof(settings_sections[0]);
#undef SECTION
#undef END
#undef LIST
#undef SETTING
#undef LISTED

static void *field(const void *thing, const struct settings_row *row)
{
	return (char *)(uintptr_t)thing + row->offset;
}

static bool is_text(enum settings_type type)
{
	return type == SETTINGS_TEXT || type == SETTINGS_PATH || type == SETTINGS_SECRET;
}

static bool set_bool(bool *out, struct str value, struct err *err)
{
	if (!str_eq(value, STR("true")) && !str_eq(value, STR("false")))
		return err_set(err, "\"%.*s\" is neither true nor false", STR_ARG(str_first(value, 64)));
	*out = str_eq(value, STR("true"));
	return true;
}

/* `allowed` is "low..high". */
static bool set_number(int64_t *out, const struct settings_row *row, struct str value, struct err *err)
{
	struct str allowed = str_of(row->allowed), shown = str_first(value, 64);
	const char *dots = strstr(row->allowed, "..");
	int64_t number, low, high;

	must(dots != NULL);
	must(settings_units_parse(row->type, str_first(allowed, (size_t)(dots - row->allowed)), &low) &&
	     settings_units_parse(row->type, str_of(dots + 2), &high) && low <= high);
	if (!settings_units_parse(row->type, value, &number))
		return err_set(err, "\"%.*s\" is not %s; allowed: %.*s to %s", STR_ARG(shown),
			       settings_units_example(row->type), (int)(dots - row->allowed), row->allowed,
			       dots + 2);
	if (number < low || number > high)
		return err_set(err, "\"%.*s\" is not between %.*s and %s", STR_ARG(shown),
			       (int)(dots - row->allowed), row->allowed, dots + 2);
	*out = number;
	return true;
}

static bool set_choice(int *out, const struct settings_row *row, struct str value, struct err *err)
{
	struct str rest = str_of(row->allowed), one;
	struct buf names = BUF_MAX(256);
	int i = 0;

	for (; str_next(&rest, '|', &one); i++) {
		if (str_eq(one, value)) {
			buf_clear(&names);
			*out = i;
			return true;
		}
		buf_printf(&names, "%s%.*s", i == 0 ? "" : ", ", STR_ARG(one));
	}
	err_set(err, "\"%.*s\" is not one of: %.*s", STR_ARG(str_first(value, 64)),
		STR_ARG(buf_str(&names)));
	buf_clear(&names);
	return false;
}

/* The value itself never stands in the error: it may be a secret. */
static bool set_text(char **out, const struct settings_row *row, struct str value, struct err *err)
{
	bool is_optional = row->type == SETTINGS_PATH && strcmp(row->allowed, "optional") == 0;
	uint64_t most = TEXT_MOST;

	must(row->allowed[0] == '\0' || is_optional || str_u64(str_of(row->allowed), 1, VALUE_MAX, &most));
	if (value.n > most)
		return err_set(err, "it has %zu bytes; at most %llu are allowed", value.n,
			       (unsigned long long)most);
	for (size_t i = 0; i < value.n; i++)
		if ((unsigned char)value.p[i] < 0x20 || value.p[i] == 0x7f)
			return err_set(err, "it has a control character in it (a line break, tab or "
					    "other); allowed: printable text");
	if (!str_is_utf8(value))
		return err_set(err, "it is not UTF-8 text");
	if (row->type == SETTINGS_PATH && value.n == 0 && row->fallback[0] != '\0' && !is_optional)
		return err_set(err, "it is empty; an absolute path is needed");
	if (row->type == SETTINGS_PATH && value.n > 0 && value.p[0] != '/')
		return err_set(err, "\"%.*s\" is not an absolute path (one that begins with /)",
			       STR_ARG(str_first(value, 128)));
	if (row->type == SETTINGS_SECRET)
		mem_free_secret(out);
	else
		mem_free(out);
	*out = str_dup(value);
	return true;
}

bool settings_set(void *thing, const struct settings_row *row, struct str value, struct err *err)
{
	void *at = field(thing, row);

	switch (row->type) {
	case SETTINGS_BOOL:
		return set_bool(at, value, err);
	case SETTINGS_INT:
	case SETTINGS_SIZE:
	case SETTINGS_DURATION:
		return set_number(at, row, value, err);
	case SETTINGS_CHOICE:
		return set_choice(at, row, value, err);
	case SETTINGS_TEXT:
	case SETTINGS_PATH:
	case SETTINGS_SECRET:
		return set_text(at, row, value, err);
	}
	must(!"a type of settings.h");
	return false;
}

static void get_choice(int choice, const struct settings_row *row, struct buf *out)
{
	struct str rest = str_of(row->allowed), one = STR("");

	for (int i = 0; i <= choice; i++)
		must(str_next(&rest, '|', &one));
	buf_put_str(out, one);
}

void settings_get(const void *thing, const struct settings_row *row, struct buf *out)
{
	const void *at = field(thing, row);

	switch (row->type) {
	case SETTINGS_BOOL:
		buf_put_text(out, *(const bool *)at ? "true" : "false");
		break;
	case SETTINGS_INT:
	case SETTINGS_SIZE:
	case SETTINGS_DURATION:
		settings_units_format(row->type, *(const int64_t *)at, out);
		break;
	case SETTINGS_CHOICE:
		get_choice(*(const int *)at, row, out);
		break;
	case SETTINGS_TEXT:
	case SETTINGS_PATH:
	case SETTINGS_SECRET:
		buf_put_text(out, *(char *const *)at);
		break;
	}
}

bool settings_is_default(const void *thing, const struct settings_row *row)
{
	struct buf value = BUF_MAX(VALUE_MAX);
	int64_t number = 0;
	bool same;

	if (settings_units_has(row->type)) {
		must(settings_units_parse(row->type, str_of(row->fallback), &number));
		return *(const int64_t *)field(thing, row) == number;
	}
	settings_get(thing, row, &value);
	same = str_eq(buf_str(&value), str_of(row->fallback));
	buf_clear_secret(&value);
	return same;
}

/* A default that its own row forbids cannot ship: it dies here, at the first start. */
static void set_defaults(void *thing, const struct settings_list *list)
{
	for (size_t i = 0; i < settings_n_rows; i++) {
		const struct settings_row *row = &settings_rows[i];

		if (row->list == list)
			must(settings_set(thing, row, str_of(row->fallback), NULL));
	}
}

struct settings *settings_new(void)
{
	struct settings *settings = mem_zero(sizeof(*settings));

	set_defaults(settings, NULL);
	return settings;
}

static void clear_texts(void *thing, const struct settings_list *list)
{
	for (size_t i = 0; i < settings_n_rows; i++) {
		const struct settings_row *row = &settings_rows[i];
		char **text;

		if (row->list != list || !is_text(row->type))
			continue;
		text = field(thing, row);
		if (row->type == SETTINGS_SECRET)
			mem_free_secret(text);
		else
			mem_free(text);
	}
}

static size_t *count_of(const struct settings *settings, const struct settings_list *list)
{
	return (size_t *)(uintptr_t)((const char *)settings + list->count_offset);
}

void settings_empty(struct settings *settings, const struct settings_list *list)
{
	for (size_t i = 0; i < settings_count(settings, list); i++)
		clear_texts(settings_at(settings, list, i), list);
	*count_of(settings, list) = 0;
}

void settings_free(struct settings **settings)
{
	if (*settings == NULL)
		return;
	for (size_t i = 0; i < settings_n_sections; i++)
		if (settings_sections[i].list != NULL)
			settings_empty(*settings, settings_sections[i].list);
	clear_texts(*settings, NULL);
	free(*settings);
	*settings = NULL;
}

size_t settings_count(const struct settings *settings, const struct settings_list *list)
{
	return *count_of(settings, list);
}

void *settings_at(const struct settings *settings, const struct settings_list *list, size_t i)
{
	must(i < list->most);
	return (char *)(uintptr_t)settings + list->offset + i * list->size;
}

void *settings_find(const struct settings *settings, const struct settings_list *list, struct str key)
{
	for (size_t i = 0; i < settings_count(settings, list); i++) {
		char *thing = settings_at(settings, list, i);

		if (str_eq(str_of(thing), key))
			return thing;
	}
	return NULL;
}

void *settings_add(struct settings *settings, const struct settings_list *list, struct str key)
{
	size_t *count = count_of(settings, list);
	char *thing;

	if (*count >= list->most)
		return NULL;
	thing = settings_at(settings, list, *count);
	must(str_copy(key, thing, SETTINGS_KEY));
	set_defaults(thing, list);
	(*count)++;
	return thing;
}
