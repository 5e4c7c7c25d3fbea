/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxyctl doctor: everything that can be looked at from outside, a line each, with what to do.
 */
#include "ctl/ctl_doctor.h"

#include <stdarg.h>
#include <stdio.h>

#include "lib/base/clock.h"
#include "lib/settings/settings_problem.h"
#include "lib/settings/settings_units.h"

/* Beside 0 and those of sysexits.h; nothing is wrong yet. */
enum { STATUS_WARNINGS = 1 };

#define LONG_TIME (300 * CLOCK_SECOND)

void ctl_doctor_say(struct ctl_doctor *d, enum ctl_doctor_level level, const char *check, const char *advice,
		    const char *format, ...)
{
	static const char *const names[] = {"ok", "warning", "error"};
	char what[1024], both[1400];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	d->found[level]++;
	ctl_out_text(d->out, names[level]);
	ctl_out_text(d->out, check);
	if (d->ctl->is_json) {
		ctl_out_text(d->out, what);
		ctl_out_text(d->out, advice);
	} else {
		snprintf(both, sizeof(both), "%s%s%s", what, advice[0] != '\0' ? " -> " : "", advice);
		ctl_out_text(d->out, both);
	}
}

void ctl_doctor_secret(struct ctl_doctor *d, const char *check, const char *path, const struct stat *st)
{
	if ((st->st_mode & 022) != 0)
		ctl_doctor_say(d, CTL_DOCTOR_ERROR, check, "chmod 600", "%s (mode %04o): others may change it", path,
			       (unsigned)st->st_mode & 07777U);
	else if ((st->st_mode & 04) != 0)
		ctl_doctor_say(d, CTL_DOCTOR_WARNING, check, "chmod 600", "%s (mode %04o): everybody may read it", path,
			       (unsigned)st->st_mode & 07777U);
	else
		ctl_doctor_say(d, CTL_DOCTOR_OK, check, "", "%s", path);
}

static void look_at_settings(struct ctl_doctor *d, const struct settings_problems *problems)
{
	for (size_t i = 0; i < problems->n; i++) {
		struct buf line = BUF_MAX(2048);

		settings_problem_format(problems, i, &line);
		ctl_doctor_say(d, problems->problem[i].is_warning ? CTL_DOCTOR_WARNING : CTL_DOCTOR_ERROR, "settings.file",
			       "correct it; main.yaml(5) has every setting", "%.*s", STR_ARG(buf_str(&line)));
		buf_clear(&line);
	}
	if (problems->n == 0)
		ctl_doctor_say(d, CTL_DOCTOR_OK, "settings.file", "", "%s", d->ctl->config_path);
}

static int64_t take_long_time(struct ctl *ctl)
{
	const char *text = ctl_option(ctl, "--older");
	int64_t time = LONG_TIME;

	if (text != NULL && (!settings_units_parse(SETTINGS_DURATION, str_of(text), &time) || time < 0))
		ctl_usage(ctl, "--older: \"%s\" is not a time such as 5m", text);
	return time;
}

int ctl_doctor_run(struct ctl *ctl)
{
	/* Two long texts make no good columns for people. */
	static const struct ctl_out_column columns[] = {
		{"level", "LEVEL"}, {"check", "CHECK"}, {"what", "WHAT -> WHAT TO DO"}, {"advice", NULL}};
	const char *sql = ctl_option(ctl, "--sql");
	struct ctl_doctor d = {.ctl = ctl, .sql = sql != NULL ? sql : SMTP_PROXY_DATADIR "/sql", .long_time = take_long_time(ctl)};
	struct settings_problems problems;
	struct settings *settings;
	bool is_good;

	ctl_end(ctl);
	is_good = settings_read_file(ctl->config_path, &settings, &problems);
	d.out = ctl_out_new(ctl, columns, ctl->is_json ? 4 : 3);
	look_at_settings(&d, &problems);
	settings_problem_clear(&problems);
	settings_free(&settings);
	if (is_good) {
		d.settings = ctl_settings(ctl);
		ctl_doctor_host_look(&d);
		ctl_doctor_db_look(&d);
	}
	ctl_out_free(&d.out);
	if (d.found[CTL_DOCTOR_ERROR] > 0)
		return is_good ? EX_UNAVAILABLE : EX_CONFIG;
	return d.found[CTL_DOCTOR_WARNING] > 0 ? STATUS_WARNINGS : EX_OK;
}
