/* SPDX-License-Identifier: Apache-2.0
 *
 * SIGHUP: read, check, hand out. A bad file changes nothing but the log and a metric.
 */
#include "master/master_reload.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/service/metrics.h"
#include "lib/settings/settings_change.h"
#include "lib/settings/settings_problem.h"
#include "master/master_challenge.h"
#include "master/master_children.h"
#include "master/master_expiry.h"
#include "master/master_notify.h"
#include "master/master_tickets.h"

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

/* What a worker makes its TLS contexts of, beside the identity. */
static bool differs(const struct settings *a, const struct settings *b)
{
	return a->tls.min_version != b->tls.min_version || strcmp(a->tls.client_pins, b->tls.client_pins) != 0;
}

/* True: the certificates have to be handed out again. */
static bool reload_settings(struct master *master)
{
	struct settings *fresh = master_reload_read(master->settings_path, false);
	bool has_other_rules;

	if (fresh == NULL) {
		log_error(NULL, "master.settings.kept",
			  log_text("reason", "the file has errors: the settings in use stay"));
		return false;
	}
	settings_change_each(master->settings, fresh, say_change, NULL);
	settings_change_keep(master->settings, fresh);
	has_other_rules = differs(master->settings, fresh);
	settings_free(&master->settings);
	master->settings = fresh;
	metrics_name_keys(fresh);
	master_reload_log(fresh);
	return has_other_rules;
}

bool master_reload_identities(struct master *master, bool is_asked)
{
	bool is_new = master_identity_load(&master->identities, master->settings, is_asked);

	master_notice_set(&master->notices, MASTER_NOTICE_CERTIFICATE, str_of(master_identity_trouble(&master->identities)));
	return is_new;
}

void master_reload_run(struct master *master)
{
	bool has_other_rules, is_new;

	if (master_is_ending(master))
		return;
	log_info(NULL, "master.reloading");
	master_notify_reloading();
	has_other_rules = reload_settings(master);
	is_new = master_reload_identities(master, true);
	master_tickets_reload(master->tickets);
	master_expiry_measure(master);
	master_children_reload(master->children, is_new || has_other_rules);
	master_challenge_reload(master->challenge);
}

void master_reload_certificates(struct master *master)
{
	if (!master_is_ending(master) && master_reload_identities(master, false))
		master_children_hand_identity(master->children);
}
