/* SPDX-License-Identifier: Apache-2.0
 *
 * Between fork() and exec: descriptors, signals, environment. The environment is made anew, since
 * master's own may hold the secrets that the settings refer to as ${NAME}.
 */
#include "master/master_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/service/service.h"

/* What a child may know of our surroundings: the rest of the line is for builds that measure themselves. */
static const char *const kept_names[] = {"TZ", "MALLOC_ARENA_MAX", "ASAN_OPTIONS", "UBSAN_OPTIONS",
					 "LSAN_OPTIONS", "GCOV_PREFIX", "GCOV_PREFIX_STRIP"};
enum { KEPT = sizeof(kept_names) / sizeof(kept_names[0]) };

bool master_spawn_find(const struct settings *settings, enum role role, char path[PATH_MAX],
		       struct err *err)
{
	const char *dir = settings->instance.program_dir, *name = role_name(role);
	struct stat st;

	if (dir[0] == '\0')
		dir = SMTP_PROXY_LIBEXECDIR;
	if (snprintf(path, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
		return err_set(err, "instance.program_dir: the path is too long");
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
	    snprintf(path, PATH_MAX, "%s/%s/%s", dir, name, name) >= PATH_MAX)
		return err_set(err, "instance.program_dir: the path is too long");
	if (access(path, X_OK) < 0)
		return err_set(err, "cannot run %s: %s", path, strerror(errno));
	return true;
}

static void make_environment(char **environment, char lines[KEPT][1024])
{
	size_t n = 0;

	for (size_t i = 0; i < KEPT; i++) {
		const char *value = getenv(kept_names[i]);

		if (value != NULL &&
		    snprintf(lines[n], 1024, "%s=%s", kept_names[i], value) < 1024) {
			environment[n] = lines[n];
			n++;
		}
	}
	environment[n] = NULL;
}

void master_spawn_reset(pid_t parent)
{
	sigset_t none;

	/* A child asks for it again when it has changed its user; and master may be gone by now. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(1);
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the new process: never returns. */
static void become(const char *path, enum role role, int control, pid_t parent)
{
	char name[32], lines[KEPT][1024];
	char *argv[] = {name, NULL}, *environment[KEPT + 1];
	int null;

	snprintf(name, sizeof(name), "%s", role_name(role));
	make_environment(environment, lines);
	master_spawn_reset(parent);
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    (control != SERVICE_CONTROL_FD && dup2(control, SERVICE_CONTROL_FD) < 0) ||
	    close_range(SERVICE_CONTROL_FD + 1, ~0U, 0) < 0)
		_exit(1);
	fd_set_cloexec(SERVICE_CONTROL_FD, false);
	execve(path, argv, environment);
	log_error(NULL, "master.exec_failed", log_text("program", path), log_text("reason", strerror(errno)));
	_exit(1);
}

pid_t master_spawn(const char *path, enum role role, int control, struct err *err)
{
	pid_t parent = getpid(), pid = fork();

	if (pid == 0)
		become(path, role, control, parent);
	if (pid < 0)
		err_set(err, "fork: %s", strerror(errno));
	return pid;
}
