/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxy, the master: reads the settings, binds, starts the children and looks after them. It runs as
 * root and so parses nothing that comes from the network.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/trouble.h"
#include "lib/service/metrics.h"
#include "lib/service/service_rights.h"
#include "lib/settings/settings_certificate.h"
#include "master/master.h"
#include "master/master_challenge.h"
#include "master/master_children.h"
#include "master/master_control.h"
#include "master/master_expiry.h"
#include "master/master_lock.h"
#include "master/master_notify.h"
#include "master/master_reload.h"
#include "master/master_renewer.h"
#include "master/master_spawn.h"
#include "master/master_stop.h"
#include "master/master_tickets.h"
#include "master/master_upgrade.h"

struct options {
	const char *settings_path;
	bool only_check;
};

static void print_help(void)
{
	puts("usage: smtp-proxy [-c FILE] [-t]\n"
	     "Takes mail by SMTP and hands it to the tenants' email providers.\n\n"
	     "  -c FILE  the settings (" SMTP_PROXY_SYSCONFDIR "/main.yaml)\n"
	     "  -t       check the settings, the certificates and the programs, then end\n"
	     "  -V       print the version\n"
	     "  -h       print this\n\n"
	     "It stays in the foreground and logs to standard output. SIGHUP reads settings and\n"
	     "certificates again, SIGTERM ends it after the work that is begun. See smtp-proxy(8).");
}

static void read_options(int argc, char **argv, struct options *o)
{
	int option;

	*o = (struct options){.settings_path = SMTP_PROXY_SYSCONFDIR "/main.yaml"};
	while ((option = getopt(argc, argv, "c:tVh")) != -1)
		switch (option) {
		case 'c':
			o->settings_path = optarg;
			break;
		case 't':
			o->only_check = true;
			break;
		case 'V':
			puts("smtp-proxy " PACKAGE_VERSION);
			exit(EX_OK);
		case 'h':
			print_help();
			exit(EX_OK);
		default:
			exit(EX_USAGE);
		}
	if (optind < argc) {
		fprintf(stderr, "smtp-proxy: \"%s\" is not understood; see smtp-proxy -h\n", argv[optind]);
		exit(EX_USAGE);
	}
}

static void complain(const char *what)
{
	fprintf(stderr, "smtp-proxy: %s\n", what);
}

/* What can be known to be missing before anything is touched; all of it is said. */
static bool check_surroundings(struct master *m, bool only_check)
{
	char path[PATH_MAX];
	struct err err;
	bool ok = true;

	for (unsigned role = ROLE_MASTER + 1; role < ROLE_COUNT; role++) {
		if (!master_spawn_find(m->settings, (enum role)role, path, &err)) {
			complain(err.text);
			ok = false;
		}
		if (geteuid() == 0 && !service_rights_check_user((enum role)role, &err)) {
			complain(err.text);
			ok = false;
		}
	}
	/* At a start one bad certificate of several is logged, and the others serve. */
	return master_identity_check(m->settings, only_check, complain) && ok;
}

static void on_ready(struct master *m, bool is_first)
{
	if (is_first)
		log_info(NULL, "master.ready");
	else
		log_info(NULL, "master.reloaded");
	master_notify_ready();
	master_notice_tell(&m->notices);
}

static bool on_frame(struct master *m, const struct master_child *child, struct ipc_frame *frame)
{
	return master_renewer_take(m->renewer, child, frame);
}

static void on_child_gone(struct master *m)
{
	master_stop_note_gone(m->stop);
}

static void on_other(struct master *m, pid_t pid, int status)
{
	master_upgrade_ended(m->upgrade, pid, status);
	master_renewer_ended(m->renewer, pid, status);
}

static void on_all_gone(struct master *m)
{
	loop_stop(m->loop);
}

static void on_hup(void *ctx)
{
	master_reload_run(ctx);
}

static void on_term(void *ctx)
{
	struct master *m = ctx;

	master_stop_all(m->stop);
}

/* From the first child to the last. */
static void run(struct master *m)
{
	static const struct master_children_events events = {on_ready, on_child_gone, on_frame, on_other};
	struct master_control *control;
	struct err err;

	m->state = MASTER_RUNNING;
	if (!master_listen_open(&m->listen, m->settings, &m->inherited, &err))
		die_with(EX_UNAVAILABLE, "%s", err.text);
	metrics_set(METRIC_ACCEPTING, 1);
	master_reload_identities(m, true);
	if (m->identities.n == 0 && !settings_certificate_has_acme(m->settings))
		die_with(EX_CONFIG, "there is no certificate any more");
	master_expiry_measure(m);
	m->loop = loop_new();
	m->tickets = master_tickets_new(m);
	m->children = master_children_new(m, &events);
	m->challenge = master_challenge_new(m);
	m->renewer = master_renewer_new(m);
	m->stop = master_stop_new(m, on_all_gone);
	m->upgrade = master_upgrade_new(m);
	control = master_control_new(m, &err);
	if (control == NULL)
		die_with(EX_UNAVAILABLE, "control socket: %s", err.text);
	loop_on_signal(m->loop, SIGHUP, on_hup, m);
	loop_on_signal(m->loop, SIGTERM, on_term, m);
	loop_on_signal(m->loop, SIGINT, on_term, m);
	master_notify_watchdog(m->loop);
	master_children_start(m->children);
	loop_run(m->loop);
	master_notify_end();
	master_control_free(&control);
	master_upgrade_free(&m->upgrade);
	master_stop_free(&m->stop);
	master_renewer_free(&m->renewer);
	master_challenge_free(&m->challenge);
	master_children_free(&m->children);
	master_tickets_free(&m->tickets);
	loop_free(&m->loop);
}

/* Between two programs the lock is nobody's for a moment. Whoever else takes it then cannot bind, and gives it back. */
static int take_lock(const struct master *m, struct err *err)
{
	const struct timespec step = {0, 20 * 1000 * 1000};
	int64_t until = clock_mono() + (m->inherited.n > 0 ? 5 * CLOCK_SECOND : 0);
	int lock;

	while ((lock = master_lock_take(m->settings, err)) < 0 && clock_mono() < until)
		nanosleep(&step, NULL);
	return lock;
}

static int serve(struct master *m)
{
	struct err err;
	int lock = take_lock(m, &err);

	if (lock < 0)
		die_with(EX_UNAVAILABLE, "%s", err.text);
	m->metrics_fd = metrics_create();
	metrics_name_keys(m->settings);
	run(m);
	while (m->state == MASTER_UPGRADING) {
		master_upgrade_exec(m, &lock);
		run(m); /* it could not be: we go on */
	}
	master_listen_close(&m->listen);
	fd_close(&m->metrics_fd);
	master_lock_end(m->settings, lock);
	log_info(NULL, "master.stopped");
	return EX_OK;
}

static int check_and_run(struct master *m, bool only_check)
{
	if (!check_surroundings(m, only_check))
		return EX_CONFIG;
	if (only_check) {
		printf("%s: good\n", m->settings_path);
		return EX_OK;
	}
	log_info(NULL, "master.start", log_text("version", PACKAGE_VERSION),
		 log_text("settings", m->settings_path), log_bool("is_root", geteuid() == 0));
	master_inherit_take(&m->inherited);
	return serve(m);
}

/* All secrets are in our memory: it goes to no disk, and nobody of our user looks into it. */
static void protect_memory(void)
{
#if !defined(SP_SANITIZE) && !defined(SP_COVERAGE) /* the leak check traces us */
	struct rlimit none = {0, 0};

	if (setrlimit(RLIMIT_CORE, &none) < 0)
		die("setrlimit(RLIMIT_CORE): %s", strerror(errno));
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		die("prctl(PR_SET_DUMPABLE): %s", strerror(errno));
#endif
}

/* By its path, so that what replaced the file is found there later. */
static void find_program(struct master *m)
{
	ssize_t n = readlink("/proc/self/exe", m->program, sizeof(m->program) - 1);

	m->program[n > 0 ? n : 0] = '\0';
}

int main(int argc, char **argv)
{
	static struct master m = {.metrics_fd = -1};
	struct options options;
	int status;

	read_options(argc, argv, &options);
	umask(022);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN); /* until there is a loop: what would be read again is just being read */
	log_open("master", -1);
	protect_memory();
	find_program(&m);
	m.argv = argv;
	m.settings_path = options.settings_path;
	m.started_at = clock_wall();
	m.settings = master_reload_read(m.settings_path, true);
	if (m.settings == NULL)
		return EX_CONFIG;
	master_reload_log(m.settings);
	status = check_and_run(&m, options.only_check);
	master_identity_clear(&m.identities);
	settings_free(&m.settings);
	return status;
}
