/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of what is wrong in a settings file, and where its settings stood.
 */
#include "lib/settings/settings_problem.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/mem.h"

void settings_problem_init(struct settings_problems *problems, const char *path)
{
	*problems = (struct settings_problems){0};
	snprintf(problems->path, sizeof(problems->path), "%s", path);
}

void settings_problem_clear(struct settings_problems *problems)
{
	for (size_t i = 0; i < problems->n_marks; i++)
		free((char *)(uintptr_t)problems->mark[i].key);
	mem_free(&problems->mark);
	mem_free(&problems->problem);
	problems->n = problems->n_errors = problems->n_marks = 0;
	problems->is_cut = false;
}

/* Names and values come from the file: no control character of theirs may reach a terminal. */
static void make_printable(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

__attribute__((format(printf, 6, 0)))
static void add(struct settings_problems *problems, unsigned line, unsigned column, bool is_warning,
		const char *setting, const char *format, va_list args)
{
	struct settings_problem *p;

	problems->n_errors += !is_warning;
	if (problems->n >= SETTINGS_PROBLEMS_MOST) {
		problems->is_cut = true;
		return;
	}
	problems->problem =
		mem_grow(problems->problem, (problems->n + 1) * sizeof(problems->problem[0]));
	p = &problems->problem[problems->n++];
	*p = (struct settings_problem){.line = line, .column = column, .is_warning = is_warning};
	snprintf(p->setting, sizeof(p->setting), "%s", setting);
	vsnprintf(p->what, sizeof(p->what), format, args);
	make_printable(p->setting);
	make_printable(p->what);
}

void settings_problem_add(struct settings_problems *problems, unsigned line, unsigned column,
			  bool is_warning, const char *setting, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(problems, line, column, is_warning, setting, format, args);
	va_end(args);
}

void settings_problem_mark(struct settings_problems *problems, const char *section, struct str key,
			   const char *name, unsigned line, unsigned column)
{
	problems->mark = mem_grow(problems->mark, (problems->n_marks + 1) * sizeof(problems->mark[0]));
	problems->mark[problems->n_marks++] = (struct settings_mark){
		.section = section, .key = str_dup(key), .name = name, .line = line, .column = column};
}

static const struct settings_mark *find(const struct settings_problems *problems,
					const char *section, const char *key, const char *name)
{
	for (size_t i = 0; i < problems->n_marks; i++) {
		const struct settings_mark *m = &problems->mark[i];

		if (strcmp(m->section, section) == 0 && strcmp(m->key, key) == 0 &&
		    strcmp(m->name, name) == 0)
			return m;
	}
	return NULL;
}

static void put_name(char out[160], const char *section, const char *key, const char *name)
{
	snprintf(out, 160, "%s%s%s%s%s", section, key[0] != '\0' ? "." : "", key, name[0] != '\0' ? "." : "",
		 name);
}

bool settings_problem_has(const struct settings_problems *problems, const char *section,
			  const char *key, const char *name)
{
	char setting[160];

	put_name(setting, section, key, name);
	for (size_t i = 0; i < problems->n; i++)
		if (!problems->problem[i].is_warning &&
		    strcmp(problems->problem[i].setting, setting) == 0)
			return true;
	return false;
}

void settings_problem_at(struct settings_problems *problems, bool is_warning, const char *section,
			 const char *key, const char *name, const char *format, ...)
{
	const struct settings_mark *m = find(problems, section, key, name);
	char setting[160];
	va_list args;

	if (m == NULL)
		m = find(problems, section, key, "");
	if (m == NULL)
		m = find(problems, section, "", "");
	put_name(setting, section, key, name);
	/* A setting whose value was refused is not also to be called missing. */
	if (settings_problem_has(problems, section, key, name))
		return;
	va_start(args, format);
	add(problems, m != NULL ? m->line : 0, m != NULL ? m->column : 0, is_warning, setting, format,
	    args);
	va_end(args);
}

static int by_place(const void *a, const void *b)
{
	const struct settings_problem *x = a, *y = b;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	if (x->column != y->column)
		return x->column < y->column ? -1 : 1;
	return strcmp(x->setting, y->setting);
}

void settings_problem_sort(struct settings_problems *problems)
{
	if (problems->n > 1)
		qsort(problems->problem, problems->n, sizeof(problems->problem[0]), by_place);
}

void settings_problem_format(const struct settings_problems *problems, size_t i, struct buf *out)
{
	const struct settings_problem *p = &problems->problem[i];

	buf_put_text(out, problems->path);
	if (p->line > 0)
		buf_printf(out, ":%u:%u", p->line, p->column);
	buf_printf(out, ": %s%s%s%s", p->is_warning ? "warning: " : "", p->setting,
		   p->setting[0] != '\0' ? ": " : "", p->what);
}
