/* SPDX-License-Identifier: Apache-2.0
 *
 * What is wrong in a settings file: all of it, in the order of the file, each with its place. Filled by
 * settings_read_file() and settings_check(), printed by master and smtp-proxyctl.
 */
#ifndef LIB_SETTINGS_SETTINGS_PROBLEM_H
#define LIB_SETTINGS_SETTINGS_PROBLEM_H

#include <stdarg.h>

#include "lib/settings/settings.h"

enum { SETTINGS_PROBLEMS_MOST = 100 };

struct settings_problem {
	unsigned line, column; /* from 1; 0: the problem has no place in the file */
	bool is_warning;
	char setting[160]; /* "smtpd.workers", or "" */
	char what[512];	   /* what is wrong, and what is allowed */
};

/* Where a setting or a listed thing stood in the file: what settings_check() names as the place. */
struct settings_mark {
	const char *section, *key, *name; /* key: "" outside lists; name: "" for the thing itself */
	unsigned line, column;
};

struct settings_problems {
	char path[512]; /* the file's name as the user gave it */
	struct settings_problem *problem;
	size_t n, n_errors;
	bool is_cut; /* more than SETTINGS_PROBLEMS_MOST: the rest is left out */
	struct settings_mark *mark;
	size_t n_marks;
};

void settings_problem_init(struct settings_problems *problems, const char *path);
void settings_problem_clear(struct settings_problems *problems);

void settings_problem_add(struct settings_problems *problems, unsigned line, unsigned column,
			  bool is_warning, const char *setting, const char *format, ...)
	__attribute__((format(printf, 6, 7)));

/* Remembers a place; section and name are borrowed for good, key is copied. */
void settings_problem_mark(struct settings_problems *problems, const char *section, struct str key,
			   const char *name, unsigned line, unsigned column);
/* Adds a problem at the place that was marked: of section.key.name, else of section.key, else of the
 * section, else none. key and name may be "". Nothing is added when the setting has an error already. */
void settings_problem_at(struct settings_problems *problems, bool is_warning, const char *section,
			 const char *key, const char *name, const char *format, ...)
	__attribute__((format(printf, 6, 7)));

/* Whether the setting has an error. */
bool settings_problem_has(const struct settings_problems *problems, const char *section,
			  const char *key, const char *name);

/* Puts them in the order of the file. */
void settings_problem_sort(struct settings_problems *problems);
/* One problem as "file:line:column: setting: what", without a line end. */
void settings_problem_format(const struct settings_problems *problems, size_t i, struct buf *out);

#endif
