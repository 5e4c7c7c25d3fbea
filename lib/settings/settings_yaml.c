/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads main.yaml event by event: sections, in them settings or named things, in these settings. A
 * problem never ends the reading, only bad YAML does, so that all problems of a file are told at once.
 *
 * Between the functions: on entry the current event begins the node to read, on return it is the last
 * event of that node.
 */
#include "lib/settings/settings_yaml.h"

#include <stdlib.h>
#include <yaml.h>

#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/settings/settings_nearest.h"
#include "lib/settings/settings_secret.h"

enum { DEPTH_MOST = 16, SEEN_MOST = 256 };

struct reading {
	yaml_parser_t parser;
	yaml_event_t event;
	struct str bytes;
	bool is_over; /* bad YAML: there are no more events */
	settings_yaml_secret_fn *secret;
	struct settings *settings;
	struct settings_problems *problems;
};

/* Where the settings of one mapping go. */
struct place {
	const char *section;
	struct str key; /* of a listed thing */
	const struct settings_list *list;
	void *thing;
};

static void problem_here(struct reading *r, const char *setting, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void problem_here(struct reading *r, const char *setting, const char *format, ...)
{
	char what[400];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	settings_problem_add(r->problems, (unsigned)r->event.start_mark.line + 1,
			     (unsigned)r->event.start_mark.column + 1, false, setting, "%s", what);
}

static bool is_tab(struct str bytes, size_t line, size_t column)
{
	struct str one = STR("");

	for (size_t i = 0; i <= line; i++)
		if (!str_next(&bytes, '\n', &one))
			return false;
	return column < one.n && one.p[column] == '\t';
}

static size_t line_of(struct str bytes, size_t offset)
{
	size_t line = 0;

	for (size_t i = 0; i < offset && i < bytes.n; i++)
		line += bytes.p[i] == '\n';
	return line;
}

static void bad_yaml(struct reading *r)
{
	const yaml_parser_t *p = &r->parser;
	size_t line = p->problem_mark.line, column = p->problem_mark.column;
	const char *problem = p->problem != NULL ? p->problem : "it cannot be read";

	if (p->error == YAML_MEMORY_ERROR)
		die("no memory for the settings file");
	if (p->error == YAML_READER_ERROR) {
		line = line_of(r->bytes, p->problem_offset);
		column = 0;
	}
	if (is_tab(r->bytes, line, column))
		problem = "a tab; only spaces may indent";
	settings_problem_add(r->problems, (unsigned)line + 1, (unsigned)column + 1, false, "",
			     "not valid YAML: %s%s%s%s", problem, p->context != NULL ? " (" : "",
			     p->context != NULL ? p->context : "", p->context != NULL ? ")" : "");
}

static void next(struct reading *r)
{
	if (r->is_over)
		return;
	yaml_event_delete(&r->event);
	if (yaml_parser_parse(&r->parser, &r->event) == 1)
		return;
	bad_yaml(r);
	r->event = (yaml_event_t){.type = YAML_NO_EVENT};
	r->is_over = true;
}

static bool is_start(const struct reading *r)
{
	return r->event.type == YAML_MAPPING_START_EVENT || r->event.type == YAML_SEQUENCE_START_EVENT;
}

static bool is_end(const struct reading *r)
{
	return r->event.type == YAML_MAPPING_END_EVENT || r->event.type == YAML_SEQUENCE_END_EVENT;
}

static void skip(struct reading *r)
{
	unsigned depth = 0;

	for (;;) {
		depth += is_start(r);
		depth -= is_end(r);
		if (depth > DEPTH_MOST) {
			problem_here(r, "", "nested more than %d deep; the rest of the file was not read",
				     DEPTH_MOST);
			r->is_over = true;
		}
		if (depth == 0 || r->is_over)
			return;
		next(r);
	}
}

static struct str scalar(const struct reading *r)
{
	return str_bytes(r->event.data.scalar.value, r->event.data.scalar.length);
}

/* Nothing after the colon. */
static bool is_nothing(const struct reading *r)
{
	return r->event.type == YAML_SCALAR_EVENT && r->event.data.scalar.length == 0 &&
	       r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static const char *kind(const struct reading *r)
{
	switch (r->event.type) {
	case YAML_ALIAS_EVENT:
		return "an alias (*name), which is not understood here";
	case YAML_SEQUENCE_START_EVENT:
		return "a sequence (- or [])";
	case YAML_MAPPING_START_EVENT:
		return "a mapping (names and values)";
	default:
		return "a single value";
	}
}

static bool has_tag(const struct reading *r)
{
	return (r->event.type == YAML_SCALAR_EVENT && r->event.data.scalar.tag != NULL) ||
	       (r->event.type == YAML_MAPPING_START_EVENT && r->event.data.mapping_start.tag != NULL) ||
	       (r->event.type == YAML_SEQUENCE_START_EVENT && r->event.data.sequence_start.tag != NULL);
}

/* The name of a setting for messages: section.key.name. */
static const char *full_name(const struct place *place, struct str name, char out[160])
{
	snprintf(out, 160, "%s%s%.*s%s%.*s", place->section, place->key.n > 0 ? "." : "",
		 STR_ARG(place->key), name.n > 0 ? "." : "", STR_ARG(str_first(name, SETTINGS_KEY)));
	return out;
}

static void set_secret(struct reading *r, const struct place *place, const struct settings_row *row,
		       const char *setting)
{
	struct buf value = BUF_MAX(SETTINGS_SECRET_MAX);
	struct err err, warning;

	if (!r->secret(scalar(r), &value, &warning, &err) ||
	    !settings_set(place->thing, row, buf_str(&value), &err))
		problem_here(r, setting, "%s", err.text);
	else if (warning.text[0] != '\0')
		settings_problem_add(r->problems, (unsigned)r->event.start_mark.line + 1,
				     (unsigned)r->event.start_mark.column + 1, true, setting, "%s",
				     warning.text);
	buf_clear_secret(&value);
}

static void read_value(struct reading *r, const struct place *place, const struct settings_row *row)
{
	char setting[160];
	struct err err;

	full_name(place, str_of(row->name), setting);
	if (r->event.type != YAML_SCALAR_EVENT || has_tag(r)) {
		problem_here(r, setting, "%s; a single value is needed%s",
			     has_tag(r) ? "a tag (!...), which is not understood here" : kind(r),
			     row->type == SETTINGS_CHOICE ? ", one of those in main.yaml(5)" : "");
		skip(r);
	} else if (row->type == SETTINGS_SECRET) {
		set_secret(r, place, row, setting);
	} else if (!settings_set(place->thing, row, scalar(r), &err)) {
		problem_here(r, setting, "%s", err.text);
	}
}

static const struct settings_row *row_of(const struct place *place, struct str name)
{
	for (size_t i = 0; i < settings_n_rows; i++)
		if (settings_rows[i].list == place->list &&
		    strcmp(settings_rows[i].section, place->section) == 0 &&
		    str_eq(str_of(settings_rows[i].name), name))
			return &settings_rows[i];
	return NULL;
}

static void unknown_setting(struct reading *r, const struct place *place)
{
	char setting[160], near[160];

	full_name(place, scalar(r), setting);
	if (settings_nearest_setting(place->section, scalar(r), near, sizeof(near)))
		problem_here(r, setting, "no such setting; is %s meant?", near);
	else
		problem_here(r, setting, "no such setting; main.yaml(5) lists those of %s", place->section);
}

/* What read_mapping() calls for each name in a mapping: the current event is the name's scalar, on
 * return it is the last event of the value. */
typedef void entry_fn(struct reading *r, const struct place *place, bool *seen);

static void read_setting(struct reading *r, const struct place *place, bool *seen)
{
	const struct settings_row *row = row_of(place, scalar(r));
	char setting[160];

	if (row == NULL) {
		unknown_setting(r, place);
		next(r);
		skip(r);
		return;
	}
	if (seen[row - settings_rows])
		problem_here(r, full_name(place, str_of(row->name), setting), "it is given twice");
	else
		settings_problem_mark(r->problems, place->section, place->key, row->name,
				      (unsigned)r->event.start_mark.line + 1,
				      (unsigned)r->event.start_mark.column + 1);
	seen[row - settings_rows] = true;
	next(r);
	if (!r->is_over)
		read_value(r, place, row);
}

/* Reads a mapping's entries; `what` says in a message what they should be. */
static void read_mapping(struct reading *r, const struct place *place, const char *what, entry_fn *entry)
{
	bool seen[SEEN_MOST] = {false};
	char setting[160];

	must(settings_n_rows <= SEEN_MOST);
	if (is_nothing(r) && !has_tag(r))
		return;
	full_name(place, STR(""), setting);
	if (r->event.type != YAML_MAPPING_START_EVENT || has_tag(r)) {
		problem_here(r, setting, "%s; %s are needed",
			     has_tag(r) ? "a tag (!...), which is not understood here" : kind(r), what);
		skip(r);
		return;
	}
	for (next(r); !r->is_over && r->event.type != YAML_MAPPING_END_EVENT; next(r)) {
		if (r->event.type == YAML_SCALAR_EVENT && !has_tag(r)) {
			entry(r, place, seen);
			continue;
		}
		problem_here(r, setting, "%s stands where a name is needed",
			     has_tag(r) ? "a tag (!...)" : kind(r));
		skip(r);
		next(r);
		skip(r);
	}
}

static bool is_key(struct str key)
{
	for (size_t i = 0; i < key.n; i++) {
		char c = key.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
		    c != '-' && c != '_' && c != '.' && c != '@' && c != '+')
			return false;
	}
	return key.n > 0 && key.n < SETTINGS_KEY;
}

static void read_thing(struct reading *r, const struct place *section, bool *seen)
{
	struct place place = {.section = section->section, .list = section->list};
	char key[SETTINGS_KEY], setting[160];

	(void)seen;
	full_name(section, scalar(r), setting);
	if (!is_key(scalar(r)))
		problem_here(r, setting, "a name here has 1 to %d letters, digits or any of . _ - @ +",
			     SETTINGS_KEY - 1);
	else if (settings_find(r->settings, place.list, scalar(r)) != NULL)
		problem_here(r, setting, "it is given twice");
	else if ((place.thing = settings_add(r->settings, place.list, scalar(r))) == NULL)
		problem_here(r, setting, "too many; at most %zu are allowed", place.list->most);
	if (place.thing == NULL) {
		next(r);
		skip(r);
		return;
	}
	must(str_copy(scalar(r), key, sizeof(key)));
	place.key = str_of(key);
	settings_problem_mark(r->problems, place.section, place.key, "",
			      (unsigned)r->event.start_mark.line + 1,
			      (unsigned)r->event.start_mark.column + 1);
	next(r);
	if (!r->is_over)
		read_mapping(r, &place, "settings, indented below its name,", read_setting);
}

static void read_section(struct reading *r, const struct place *root, bool *seen)
{
	struct place place = {.thing = r->settings};
	const struct settings_section *section = NULL;
	const char *near;
	char name[160];

	full_name(root, scalar(r), name);
	for (size_t i = 0; i < settings_n_sections; i++) {
		if (!str_eq(scalar(r), str_of(settings_sections[i].name)))
			continue;
		section = &settings_sections[i];
		if (seen[i])
			problem_here(r, section->name, "it is given twice");
		seen[i] = true;
	}
	if (section == NULL) {
		near = settings_nearest_section(scalar(r));
		problem_here(r, name[0] == '.' ? name + 1 : name, "no such section%s%s%s",
			     near != NULL ? "; is " : "; main.yaml(5) lists them",
			     near != NULL ? near : "", near != NULL ? " meant?" : "");
		next(r);
		skip(r);
		return;
	}
	place.section = section->name;
	place.list = section->list;
	settings_problem_mark(r->problems, section->name, STR(""), "",
			      (unsigned)r->event.start_mark.line + 1,
			      (unsigned)r->event.start_mark.column + 1);
	next(r);
	if (r->is_over)
		return;
	if (section->list != NULL)
		read_mapping(r, &place, "named things, indented below it,", read_thing);
	else
		read_mapping(r, &place, "settings, indented below it,", read_setting);
}

static void read_stream(struct reading *r)
{
	const struct place root = {.section = ""};

	next(r); /* the stream's start */
	next(r);
	if (r->is_over || r->event.type == YAML_STREAM_END_EVENT)
		return;
	must(r->event.type == YAML_DOCUMENT_START_EVENT);
	next(r);
	if (r->is_over)
		return;
	read_mapping(r, &root, "sections with settings", read_section);
	next(r); /* the document's end */
	next(r);
	if (!r->is_over && r->event.type != YAML_STREAM_END_EVENT)
		problem_here(r, "", "a second YAML document begins here; only one is read");
}

bool settings_yaml_parse(struct str bytes, settings_yaml_secret_fn *secret, struct settings *settings,
			 struct settings_problems *problems)
{
	struct reading r = {
		.bytes = bytes, .secret = secret, .settings = settings, .problems = problems};

	if (yaml_parser_initialize(&r.parser) == 0)
		die("no memory for the settings file");
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)(bytes.p != NULL ? bytes.p : ""),
				     bytes.n);
	read_stream(&r);
	yaml_event_delete(&r.event);
	yaml_parser_delete(&r.parser);
	return !r.is_over;
}
