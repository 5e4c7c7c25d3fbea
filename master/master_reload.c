/* SPDX-License-Identifier: Apache-2.0
 *
 * SIGHUP: read, check, hand out. A bad file changes nothing but the log and a metric.
 */
#include "master/master_reload.h"

#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/service/metrics.h"
#include "lib/settings/settings_change.h"
#include "lib/settings/settings_problem.h"
#include "master/master_children.h"
#include "master/master_identity.h"
#include "master/master_notify.h"

/* ---- Reading ---- */

static int64_t cores(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0 ? CPU_COUNT(&set) : 1;
}

/* The children see the numbers, not the 0: behind a filter of system calls they could not count cores. */
static void work_out_counts(struct settings *s)
{
	int64_t n = cores();

	if (s->smtpd.workers == 0)
		s->smtpd.workers = n > 256 ? 256 : n;
	if (s->deliver.agents == 0)
		s->deliver.agents = n > 64 ? 64 : n;
}

static void log_problems(const struct settings_problems *problems, bool to_terminal)
{
	struct buf line = BUF_MAX(8192);

	for (size_t i = 0; i < problems->n; i++) {
		bool is_warning = problems->problem[i].is_warning;

		buf_reset(&line);
		settings_problem_format(problems, i, &line);
		if (to_terminal)
			fprintf(stderr, "%.*s\n", STR_ARG(buf_str(&line)));
		else
			log_write(NULL, is_warning ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR, "master.settings.problem",
				  (const struct log_field[]){log_str("problem", buf_str(&line)), {0}});
	}
	buf_clear(&line);
}

struct settings *master_reload_read(const char *path, bool to_terminal)
{
	struct settings_problems problems;
	struct settings *settings = NULL;

	settings_problem_init(&problems, path);
	settings_read_file(path, &settings, &problems);
	log_problems(&problems, to_terminal);
	settings_problem_clear(&problems);
	if (settings != NULL)
		work_out_counts(settings);
	return settings;
}

/* ---- Running ---- */

void master_reload_log(const struct settings *settings)
{
	bool is_plain = settings->log.format == LOG_PLAIN ||
			(settings->log.format == LOG_AUTO && isatty(STDOUT_FILENO));

	log_set(is_plain ? LOG_FORMAT_PLAIN : LOG_FORMAT_JSON, (enum log_level)settings->log.level);
}

static void say_change(void *ctx, const char *setting, enum settings_when when)
{
	(void)ctx;
	if (when == SETTINGS_RESTART)
		log_warn(NULL, "master.settings.restart_needed", log_text("setting", setting));
	else
		log_info(NULL, "master.settings.changed", log_text("setting", setting));
}

static void reload_settings(struct master *master)
{
	struct settings *fresh = master_reload_read(master->settings_path, false);

	if (fresh == NULL) {
		log_error(NULL, "master.settings.kept",
			  log_text("reason", "the file has errors: the settings in use stay"));
		return;
	}
	settings_change_each(master->settings, fresh, say_change, NULL);
	settings_change_keep(master->settings, fresh);
	settings_free(&master->settings);
	master->settings = fresh;
	metrics_name_providers(fresh);
	master_reload_log(fresh);
}

/* True: there is a new one, in use from now on. */
static bool reload_identity(struct master *master)
{
	struct buf pem = BUF_MAX(MASTER_IDENTITY_MAX);
	struct tls_certificate certificate;
	struct err err;
	bool is_new = false;

	if (!master_identity_read(master->settings, &pem, &certificate, &err)) {
		metrics_add(METRIC_CERTIFICATE_FAILURES, 1);
		log_error(NULL, "master.certificate.bad", log_text("text", "Failed to load certificate"),
			  log_text("reason", err.text));
	} else if (str_eq(buf_str(&pem), buf_str(&master->identity))) {
		log_info(NULL, "master.certificate.unchanged",
			 log_text("text", "Certificate unchanged, skipping reload"));
	} else {
		struct buf old = master->identity;

		master->identity = pem;
		pem = old;
		master->certificate = certificate;
		metrics_set(METRIC_CERTIFICATE_EXPIRY, certificate.not_after);
		log_info(NULL, "master.certificate.loaded", log_text("subject", certificate.subject),
			 log_text("serial", certificate.serial), log_int("not_after", certificate.not_after));
		is_new = true;
	}
	buf_clear_secret(&pem);
	return is_new;
}

void master_reload_run(struct master *master)
{
	int min_version = master->settings->tls.min_version;
	bool is_new;

	if (master_is_ending(master))
		return;
	log_info(NULL, "master.reloading");
	master_notify_reloading();
	reload_settings(master);
	is_new = reload_identity(master);
	/* A worker makes its TLS context from the identity: other rules need it once more. */
	master_children_reload(master->children, is_new || min_version != master->settings->tls.min_version);
}
