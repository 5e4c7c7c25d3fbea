/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxyctl config check, show, defaults: the settings file without a running server.
 */
#include <stdio.h>
#include <stdlib.h>

#include "ctl/ctl_out.h"
#include "lib/settings/settings_doc.h"
#include "lib/settings/settings_problem.h"

enum { DOCUMENT_MOST = 1 << 20, VALUE_MOST = 65536 };

static void print_problems(const struct ctl *ctl, const struct settings_problems *problems)
{
	static const struct ctl_out_column columns[] = {
		{"file", "FILE"},	  {"line", "LINE"}, {"column", "COLUMN"},
		{"severity", "SEVERITY"}, {"setting", "SETTING"}, {"problem", "PROBLEM"},
	};
	struct ctl_out *out = ctl_out_new(ctl, columns, sizeof(columns) / sizeof(columns[0]));

	for (size_t i = 0; i < problems->n; i++) {
		const struct settings_problem *p = &problems->problem[i];

		ctl_out_text(out, problems->path);
		ctl_out_int(out, p->line);
		ctl_out_int(out, p->column);
		ctl_out_text(out, p->is_warning ? "warning" : "error");
		ctl_out_text(out, p->setting);
		ctl_out_text(out, p->what);
	}
	ctl_out_free(&out);
}

int ctl_config_check(struct ctl *ctl)
{
	struct settings_problems problems;
	struct settings *settings;
	bool ok;

	ctl_end(ctl);
	ok = settings_read_file(ctl->config_path, &settings, &problems);
	settings_free(&settings);
	if (ctl->is_json)
		print_problems(ctl, &problems);
	for (size_t i = 0; i < problems.n && !ctl->is_json; i++) {
		struct buf line = BUF_MAX(2048);

		settings_problem_format(&problems, i, &line);
		fprintf(stderr, "%.*s\n", STR_ARG(buf_str(&line)));
		buf_clear(&line);
	}
	if (problems.is_cut)
		ctl_warn("there are more problems than are shown");
	if (ok && !ctl->is_json)
		printf("%s: no errors\n", ctl->config_path);
	settings_problem_clear(&problems);
	return ok ? EX_OK : EX_CONFIG;
}

static void show_row(struct ctl_out *out, const struct settings_row *row, const void *thing,
		     const char *key, bool only_changed)
{
	struct buf value = BUF_MAX(VALUE_MOST), name = BUF_MAX(256);
	bool is_default = settings_is_default(thing, row);

	settings_get(thing, row, &value);
	if (!only_changed || !is_default) {
		buf_printf(&name, "%s%s%s.%s", row->section, key[0] != '\0' ? "." : "", key, row->name);
		ctl_out_str(out, buf_str(&name));
		if (row->type == SETTINGS_SECRET && value.n > 0)
			ctl_out_text(out, "(hidden)");
		else
			ctl_out_str(out, buf_str(&value));
		ctl_out_bool(out, is_default);
	}
	buf_clear(&name);
	buf_clear_secret(&value);
}

static void show_section(struct ctl_out *out, const struct settings *settings,
			 const struct settings_section *section, const void *thing, const char *key,
			 bool only_changed)
{
	for (size_t i = 0; i < settings_n_rows; i++)
		if (strcmp(settings_rows[i].section, section->name) == 0)
			show_row(out, &settings_rows[i], thing != NULL ? thing : settings, key,
				 only_changed);
}

int ctl_config_show(struct ctl *ctl)
{
	static const struct ctl_out_column columns[] = {
		{"setting", "SETTING"}, {"value", "VALUE"}, {"is_default", "DEFAULT"}};
	bool only_changed = ctl_flag(ctl, "--changed");
	const struct settings *settings;
	struct ctl_out *out;

	ctl_end(ctl);
	settings = ctl_settings(ctl);
	out = ctl_out_new(ctl, columns, sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < settings_n_sections; i++) {
		const struct settings_section *section = &settings_sections[i];

		if (section->list == NULL)
			show_section(out, settings, section, NULL, "", only_changed);
		for (size_t j = 0; section->list != NULL && j < settings_count(settings, section->list);
		     j++) {
			const char *thing = settings_at(settings, section->list, j);

			show_section(out, settings, section, thing, thing, only_changed);
		}
	}
	ctl_out_free(&out);
	return EX_OK;
}

/* What the commented example says, a row a setting; NAME stands for a listed thing's key. */
static void print_defaults(const struct ctl *ctl)
{
	static const struct ctl_out_column columns[] = {{"setting", "SETTING"},
							{"default", "DEFAULT"},
							{"allowed", "ALLOWED"},
							{"needs_restart", "NEEDS RESTART"},
							{"meaning", "MEANING"}};
	struct ctl_out *out = ctl_out_new(ctl, columns, sizeof(columns) / sizeof(columns[0]));

	for (size_t i = 0; i < settings_n_rows; i++) {
		const struct settings_row *row = &settings_rows[i];
		struct buf name = BUF_MAX(256);

		buf_printf(&name, "%s%s.%s", row->section, row->list != NULL ? ".NAME" : "", row->name);
		ctl_out_str(out, buf_str(&name));
		ctl_out_text(out, row->fallback);
		ctl_out_text(out, row->allowed);
		ctl_out_bool(out, row->when == SETTINGS_RESTART);
		ctl_out_text(out, row->prose);
		buf_clear(&name);
	}
	ctl_out_free(&out);
}

int ctl_config_defaults(struct ctl *ctl)
{
	struct buf out = BUF_MAX(DOCUMENT_MOST);

	ctl_end(ctl);
	if (ctl->is_json) {
		print_defaults(ctl);
		return EX_OK;
	}
	settings_doc_example(&out);
	fwrite(out.p, 1, out.n, stdout);
	buf_clear(&out);
	return EX_OK;
}
