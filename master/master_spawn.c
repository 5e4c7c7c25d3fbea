/* SPDX-License-Identifier: Apache-2.0
 *
 * Between fork() and exec: descriptors, signals, environment. The environment is made anew, since
 * master's own may hold the secrets that the settings refer to as ${NAME}.
 */
#include "master/master_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/service/service.h"
#include "lib/service/service_apart.h"
#include "lib/settings/settings_certificate.h"
#include "lib/settings/settings_provider.h"

/* What a child may know of our surroundings: the rest of the line is for builds that measure themselves. */
static const char *const kept_names[] = {"TZ", "MALLOC_ARENA_MAX", "ASAN_OPTIONS", "UBSAN_OPTIONS",
					 "LSAN_OPTIONS", "GCOV_PREFIX", "GCOV_PREFIX_STRIP"};
/* And for those that speak to AWS, when the settings say that the keys are to be found so. */
static const char *const aws_names[] = {
#define AWS(constant, name) name,
#include "lib/settings/settings_aws.def"
#undef AWS
};
enum { VARIABLE_MAX = 65536 };
enum { KEPT = sizeof(kept_names) / sizeof(kept_names[0]), AWS_NAMES = sizeof(aws_names) / sizeof(aws_names[0]) };

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

/* Returns behind the last one that there is. */
static char **add_variables(char **at, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *value = getenv(names[i]);
		struct buf line = BUF_MAX(VARIABLE_MAX);

		if (value != NULL && buf_printf(&line, "%s=%s", names[i], value))
			*at++ = buf_take_text(&line);
	}
	*at = NULL;
	return at;
}

/* In the new process: never returns. */
static void become(const char *path, enum role role, bool with_aws, int control, pid_t parent)
{
	char name[32], *argv[] = {name, NULL}, *environment[KEPT + AWS_NAMES + 1], **end;
	int null;

	snprintf(name, sizeof(name), "%s", role_name(role));
	end = add_variables(environment, kept_names, KEPT);
	if (with_aws)
		add_variables(end, aws_names, AWS_NAMES);
	service_apart_reset(parent);
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

static bool wants_aws(const struct settings *settings, enum role role)
{
	return (role == ROLE_DELIVER && settings_provider_wants_aws(settings)) ||
	       (role == ROLE_CERT_RENEWER && settings_certificate_wants_aws(settings));
}

pid_t master_spawn(const struct settings *settings, const char *path, enum role role, int control, struct err *err)
{
	bool with_aws = wants_aws(settings, role);
	pid_t parent = getpid(), pid = fork();

	if (pid == 0)
		become(path, role, with_aws, control, parent);
	if (pid < 0)
		err_set(err, "fork: %s", strerror(errno));
	return pid;
}
