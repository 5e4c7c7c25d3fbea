/* SPDX-License-Identifier: Apache-2.0
 *
 * For the tests of lib/settings: a settings file given as text, read and checked, and what was said
 * about it as one text (a problem a line, without the file's name).
 */
#ifndef TESTS_LIB_SETTINGS_SETTINGS_FIXTURE_H
#define TESTS_LIB_SETTINGS_SETTINGS_FIXTURE_H

#include "lib/base/mem.h"
#include "lib/settings/settings_secret.h"
#include "lib/settings/settings_yaml.h"

/* The caller frees both. */
static inline char *settings_fixture(struct str text, struct settings **out)
{
	struct settings_problems problems;
	struct settings *settings = settings_new();
	struct buf said = BUF_MAX(1 << 20), line = BUF_MAX(4096);

	settings_problem_init(&problems, "f");
	if (settings_yaml_parse(text, settings_secret_resolve, settings, &problems))
		settings_check(settings, &problems);
	settings_problem_sort(&problems);
	for (size_t i = 0; i < problems.n; i++) {
		buf_reset(&line);
		settings_problem_format(&problems, i, &line);
		buf_put_str(&said, str_from(buf_str(&line), 2));
		buf_put_char(&said, '\n');
	}
	buf_put_char(&said, '\0');
	buf_clear(&line);
	settings_problem_clear(&problems);
	if (out != NULL)
		*out = settings;
	else
		settings_free(&settings);
	return said.p;
}

#endif
