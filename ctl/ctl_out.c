/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables and JSON lines on standard output. JSON rows are printed as they are complete; a table waits
 * for its last row, because the widths depend on all of them.
 */
#include "ctl/ctl_out.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/base/mem.h"
#include "lib/base/trouble.h"

enum { SENTENCE_MOST = 2048 };

struct ctl_out {
	const struct ctl_out_column *column;
	size_t n_columns, n_cells;
	bool is_json, is_record;
	struct json_object *row; /* the JSON row that grows */
	char **cell;		 /* the table's */
};

/* Every byte of a broken sequence becomes '?'; control characters too when `plain` (a terminal). */
static char *clean(struct str text, bool plain)
{
	char *copy = mem_copy(text.p != NULL ? text.p : "", text.n);

	for (size_t i = 0; i < text.n;) {
		unsigned char c = (unsigned char)copy[i];
		size_t n = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
		bool is_control = c < 0x20 || c == 0x7f || (c == 0xc2 && i + 1 < text.n &&
							    (unsigned char)copy[i + 1] < 0xa0);

		if (n > text.n - i || !str_is_utf8(str_bytes(copy + i, n)) || c == '\0') {
			copy[i++] = '?';
			continue;
		}
		if (plain && is_control)
			memset(copy + i, '?', n);
		i += n;
	}
	return copy;
}

struct ctl_out *ctl_out_new(const struct ctl *ctl, const struct ctl_out_column *columns, size_t n)
{
	struct ctl_out *out = mem_zero(sizeof(*out));

	must(n > 0);
	out->column = columns;
	out->n_columns = n;
	out->is_json = ctl->is_json;
	return out;
}

struct ctl_out *ctl_out_record(const struct ctl *ctl, const struct ctl_out_column *columns, size_t n)
{
	struct ctl_out *out = ctl_out_new(ctl, columns, n);

	out->is_record = true;
	return out;
}

static void print_json(struct json_object *object)
{
	puts(json_object_to_json_string_ext(object,
					    JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
}

static void put_json(struct ctl_out *out, struct json_object *value)
{
	size_t at = out->n_cells++ % out->n_columns;

	if (at == 0)
		out->row = json_object_new_object();
	json_object_object_add(out->row, out->column[at].name, value);
	if (at + 1 == out->n_columns) {
		print_json(out->row);
		out->row = NULL;
	}
}

/* Takes over the text. */
static void put_cell(struct ctl_out *out, char *text)
{
	if (out->n_cells % 64 == 0)
		out->cell = mem_grow(out->cell, (out->n_cells + 64) * sizeof(out->cell[0]));
	out->cell[out->n_cells++] = text;
}

void ctl_out_str(struct ctl_out *out, struct str text)
{
	char *copy = clean(text, !out->is_json);

	if (!out->is_json) {
		put_cell(out, copy);
		return;
	}
	put_json(out, json_object_new_string(copy));
	free(copy);
}

void ctl_out_text(struct ctl_out *out, const char *text)
{
	ctl_out_str(out, str_of(text));
}

void ctl_out_int(struct ctl_out *out, int64_t value)
{
	char text[32];

	if (out->is_json) {
		put_json(out, json_object_new_int64(value));
		return;
	}
	snprintf(text, sizeof(text), "%" PRId64, value);
	put_cell(out, mem_text(text));
}

void ctl_out_bool(struct ctl_out *out, bool value)
{
	if (out->is_json)
		put_json(out, json_object_new_boolean(value));
	else
		put_cell(out, mem_text(value ? "yes" : "no"));
}

void ctl_out_null(struct ctl_out *out)
{
	if (out->is_json)
		put_json(out, NULL);
	else
		put_cell(out, mem_text(""));
}

void ctl_out_time(struct ctl_out *out, int64_t wall)
{
	time_t seconds = (time_t)(wall / 1000000);
	char text[64];
	struct tm tm;
	size_t n;

	if (wall <= 0 || gmtime_r(&seconds, &tm) == NULL) {
		ctl_out_null(out);
		return;
	}
	n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, sizeof(text) - n, ".%03dZ", (int)(wall / 1000 % 1000));
	ctl_out_text(out, text);
}

void ctl_out_span(struct ctl_out *out, int64_t microseconds)
{
	int64_t s = microseconds / 1000000;
	char text[64];

	if (out->is_json) {
		put_json(out, json_object_new_double((double)microseconds / 1e6));
		return;
	}
	if (microseconds < 1000000)
		snprintf(text, sizeof(text), "%" PRId64 "ms", microseconds / 1000);
	else if (s < 60)
		snprintf(text, sizeof(text), "%" PRId64 "s", s);
	else if (s < 3600)
		snprintf(text, sizeof(text), "%" PRId64 "m %" PRId64 "s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(text, sizeof(text), "%" PRId64 "h %" PRId64 "m", s / 3600, s / 60 % 60);
	else
		snprintf(text, sizeof(text), "%" PRId64 "d %" PRId64 "h", s / 86400, s / 3600 % 24);
	put_cell(out, mem_text(text));
}

size_t ctl_out_rows(const struct ctl_out *out)
{
	return out->n_cells / out->n_columns;
}

/* Characters, not bytes: continuation bytes take no place. */
static int width(const char *text)
{
	int n = 0;

	for (; *text != '\0'; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static const char *shown(const char *text)
{
	return text[0] != '\0' ? text : "-";
}

static void print_row(const struct ctl_out *out, const int *widths, size_t row, bool is_title)
{
	int pad = 0;

	for (size_t i = 0; i < out->n_columns; i++) {
		const char *text;

		if (out->column[i].title == NULL)
			continue;
		text = is_title ? out->column[i].title : shown(out->cell[row * out->n_columns + i]);
		printf("%*s%s", pad, "", text);
		pad = widths[i] - width(text) + 2;
	}
	putchar('\n');
}

static void print_table(const struct ctl_out *out)
{
	int *widths = mem_array(out->n_columns, sizeof(*widths));
	size_t rows = ctl_out_rows(out);

	for (size_t i = 0; i < out->n_columns; i++) {
		widths[i] = out->column[i].title != NULL ? width(out->column[i].title) : 0;
		for (size_t row = 0; row < rows; row++) {
			int w = width(shown(out->cell[row * out->n_columns + i]));

			widths[i] = w > widths[i] ? w : widths[i];
		}
	}
	print_row(out, widths, 0, true);
	for (size_t row = 0; row < rows; row++)
		print_row(out, widths, row, false);
	free(widths);
}

static void print_records(const struct ctl_out *out)
{
	int widest = 0;

	for (size_t i = 0; i < out->n_columns; i++)
		if (out->column[i].title != NULL && width(out->column[i].title) > widest)
			widest = width(out->column[i].title);
	for (size_t i = 0; i < out->n_cells; i++) {
		const char *title = out->column[i % out->n_columns].title;

		if (i > 0 && i % out->n_columns == 0)
			putchar('\n');
		if (title != NULL)
			printf("%s:%*s %s\n", title, widest - width(title), "", shown(out->cell[i]));
	}
}

void ctl_out_free(struct ctl_out **out)
{
	struct ctl_out *o = *out;

	if (o == NULL)
		return;
	must(o->n_cells % o->n_columns == 0);
	if (!o->is_json) {
		if (o->is_record)
			print_records(o);
		else
			print_table(o);
		for (size_t i = 0; i < o->n_cells; i++)
			free(o->cell[i]);
		free(o->cell);
	}
	free(o);
	*out = NULL;
}

void ctl_out_done(const struct ctl *ctl, const char *format, ...)
{
	char sentence[SENTENCE_MOST], *text;
	struct json_object *object;
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	text = clean(str_of(sentence), !ctl->is_json);
	if (ctl->is_json) {
		object = json_object_new_object();
		json_object_object_add(object, "done", json_object_new_string(text));
		print_json(object);
	} else {
		puts(text);
	}
	free(text);
}
