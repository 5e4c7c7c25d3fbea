/* SPDX-License-Identifier: Apache-2.0
 *
 * The new program is asked twice whether it would run: before any session is disturbed, and once more before this
 * one gives up its place, for the settings may have changed while sessions ended.
 */
#include "master/master_upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/service/service_apart.h"
#include "master/master_inherit.h"

static const int64_t check_longest = 10 * CLOCK_SECOND;
static const struct timespec check_step = {0, 10 * 1000 * 1000};

struct check {
	pid_t pid; /* 0: none runs */
	int said;  /* its standard error */
};

struct master_upgrade {
	struct master *master;
	struct check check;
	struct loop_timer *timer;
	void (*on_done)(void *ctx, const char *reason); /* NULL: nobody waits */
	void *ctx;
};

/* ---- The check ---- */

/* In the new process: never returns. */
static void become_check(const struct master *m, int said, pid_t parent)
{
	char option_c[] = "-c", option_t[] = "-t";
	char *settings = mem_text(m->settings_path);
	char *argv[] = {m->argv[0], option_c, settings, option_t, NULL};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	service_apart_reset(parent);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
	    dup2(said, STDERR_FILENO) < 0 || close_range(STDERR_FILENO + 1, ~0U, 0) < 0)
		_exit(1);
	execv(m->program, argv);
	dprintf(STDERR_FILENO, "cannot run %s: %s\n", m->program, strerror(errno));
	_exit(1);
}

static bool begin_check(struct check *check, const struct master *m, struct err *err)
{
	pid_t parent = getpid();
	int ends[2];

	if (m->program[0] == '\0')
		return err_set(err, "where the program is could not be found out at its start");
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_set(err, "pipe: %s", strerror(errno));
	check->pid = fork();
	if (check->pid == 0)
		become_check(m, ends[1], parent);
	fd_close(&ends[1]);
	if (check->pid < 0) {
		check->pid = 0;
		fd_close(&ends[0]);
		return err_set(err, "fork: %s", strerror(errno));
	}
	check->said = ends[0];
	return true;
}

/* It has ended. Returns NULL when all is good, or what it said, in `reason`. */
static const char *end_check(struct check *check, int status, char reason[MASTER_UPGRADE_REASON])
{
	ssize_t got = read(check->said, reason, MASTER_UPGRADE_REASON - 1);
	size_t n = got > 0 ? (size_t)got : 0;

	check->pid = 0;
	fd_close(&check->said);
	while (n > 0 && reason[n - 1] == '\n')
		n--;
	reason[n] = '\0';
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return NULL;
	return n > 0 ? reason : "the program ended without a word, or did not end in time";
}

static void on_late(void *ctx)
{
	struct master_upgrade *u = ctx;

	if (u->check.pid != 0)
		kill(u->check.pid, SIGKILL);
}

static void finish(struct master_upgrade *u, const char *reason)
{
	void (*on_done)(void *, const char *) = u->on_done;

	loop_timer_stop(u->timer);
	u->on_done = NULL;
	if (reason != NULL)
		log_error(NULL, "master.upgrade.refused", log_text("reason", reason));
	if (on_done != NULL)
		on_done(u->ctx, reason);
}

bool master_upgrade_check(struct master_upgrade *u, void (*on_done)(void *ctx, const char *reason), void *ctx)
{
	struct err err;

	if (u->check.pid != 0)
		return false;
	u->on_done = on_done;
	u->ctx = ctx;
	if (begin_check(&u->check, u->master, &err))
		loop_timer_set(u->timer, check_longest);
	else
		finish(u, err.text);
	return true;
}

void master_upgrade_forget(struct master_upgrade *u, const void *ctx)
{
	if (u->on_done != NULL && u->ctx == ctx)
		u->on_done = NULL;
}

void master_upgrade_ended(struct master_upgrade *u, pid_t pid, int status)
{
	char reason[MASTER_UPGRADE_REASON];

	if (u->check.pid == pid)
		finish(u, end_check(&u->check, status, reason));
}

struct master_upgrade *master_upgrade_new(struct master *master)
{
	struct master_upgrade *u = mem_zero(sizeof(*u));

	u->master = master;
	u->check.said = -1;
	u->timer = loop_timer_new(master->loop, on_late, u);
	return u;
}

void master_upgrade_free(struct master_upgrade **upgrade)
{
	struct master_upgrade *u = *upgrade;

	if (u == NULL)
		return;
	on_late(u);
	fd_close(&u->check.said);
	loop_timer_free(&u->timer);
	mem_free(upgrade);
}

/* ---- The exec ---- */

/* Without a loop. */
static const char *check_now(const struct master *m, char reason[MASTER_UPGRADE_REASON])
{
	struct check check = {.said = -1};
	int64_t until = clock_mono() + check_longest;
	struct err err;
	int status;

	if (!begin_check(&check, m, &err)) {
		str_copy(str_of(err.text), reason, MASTER_UPGRADE_REASON);
		return reason;
	}
	while (waitpid(check.pid, &status, WNOHANG) == 0) {
		if (clock_mono() > until)
			kill(check.pid, SIGKILL);
		nanosleep(&check_step, NULL);
	}
	return end_check(&check, status, reason);
}

void master_upgrade_exec(struct master *m, int *lock)
{
	int *const keep[] = {lock, &m->metrics_fd};
	char text[MASTER_UPGRADE_REASON];
	const char *reason = check_now(m, text);

	master_inherit_leave(&m->inherited, &m->listen, keep, sizeof(keep) / sizeof(keep[0]));
	if (reason == NULL) {
		log_info(NULL, "master.upgrade.exec", log_text("program", m->program));
		execv(m->program, m->argv);
		reason = strerror(errno);
	}
	master_inherit_stay(&m->inherited);
	log_error(NULL, "master.upgrade.failed", log_text("program", m->program), log_text("reason", reason));
}
