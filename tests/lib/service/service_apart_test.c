/* SPDX-License-Identifier: Apache-2.0
 *
 * What a computation apart can do to others, and what becomes of one that goes wrong.
 */
#include "tests/support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/service/service_apart.h"
#include "lib/service/service_rights.h"

static struct settings *settings;

struct seen {
	int32_t uid, gid, files, sockets, processes, descriptors, root;
	char variable[32];
	char padding[200000]; /* more than a pipe holds */
};

static bool run(service_apart_fn *fn, const void *ctx, struct seen *seen, struct err *err)
{
	memset(seen, 0, sizeof(*seen));
	return service_apart_run(fn, ctx, settings, 60 * CLOCK_SECOND, seen, sizeof(*seen), err);
}

static void look_around(const void *ctx, void *result)
{
	struct seen *seen = result;

	(void)ctx;
	seen->uid = (int32_t)getuid();
	seen->gid = (int32_t)getgid();
	seen->root = open("/", O_RDONLY | O_CLOEXEC) >= 0 && access("/etc", F_OK) == 0;
	seen->files = open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0 || open("/tmp/new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0;
	for (int fd = 4; fd < 100; fd++)
		seen->descriptors += fcntl(fd, F_GETFD) >= 0;
	memset(seen->padding, 'x', sizeof(seen->padding));
}

static void nothing_of_the_system_is_there(void)
{
	uid_t user = geteuid();
	gid_t group = getegid();
	int held = open("/dev/null", O_RDONLY);
	struct seen seen;
	struct err err;

	if (user == 0)
		service_rights_user(ROLE_CERT_RENEWER, &user, &group);
	UNIT_TRUE(run(look_around, NULL, &seen, &err));
	UNIT_INT(seen.uid, user);
	UNIT_INT(seen.gid, group);
	UNIT_INT(seen.descriptors, 0);
	/* Where neither a filter nor another root directory is had, the files are seen. */
#if !defined(SP_SANITIZE) && !defined(SP_COVERAGE)
	UNIT_INT(seen.files + seen.root, 0);
#endif
	UNIT_TRUE(seen.padding[0] == 'x' && seen.padding[sizeof(seen.padding) - 1] == 'x');
	close(held);
}

static void look_for_secrets(const void *ctx, void *result)
{
	struct seen *seen = result;
	const char *const *where = ctx;

	seen->processes = getenv("SP_SECRET") != NULL;
	memcpy(seen->variable, *where, 8);
}

static void the_secrets_are_forgotten(void)
{
	const char *where;
	struct seen seen;
	struct err err;

	setenv("SP_SECRET", "s3cret-in-a-variable", 1);
	where = getenv("SP_SECRET");
	UNIT_TRUE(run(look_for_secrets, &where, &seen, &err));
	UNIT_INT(seen.processes, 0);
	UNIT_TRUE(memcmp(seen.variable, "\0\0\0\0\0\0\0\0", 8) == 0);
	/* Ours are there. */
	UNIT_TEXT(getenv("SP_SECRET"), "s3cret-in-a-variable");
	UNIT_TEXT(settings->acme.eab_key, "s3cret");
	unsetenv("SP_SECRET");
}

static void crash(const void *ctx, void *result)
{
	(void)ctx;
	(void)result;
	raise(SIGSEGV);
}

static void say_half(const void *ctx, void *result)
{
	(void)ctx;
	if (write(3, result, 100) == 100)
		_exit(0);
}

static void close_and_stay(const void *ctx, void *result)
{
	(void)ctx;
	(void)result;
	close(3);
	for (;;)
		pause();
}

static void make_a_process(const void *ctx, void *result)
{
	(void)ctx;
	((struct seen *)result)->processes = fork() >= 0;
}

static void make_a_socket(const void *ctx, void *result)
{
	(void)ctx;
	((struct seen *)result)->sockets = socket(AF_INET, SOCK_STREAM, 0) >= 0;
}

static void kill_parent(const void *ctx, void *result)
{
	(void)ctx;
	((struct seen *)result)->processes = kill(getppid(), 0) == 0;
}

static void one_that_goes_wrong_has_no_result(void)
{
	static service_apart_fn *const wrong[] = {crash, say_half, close_and_stay};
	static service_apart_fn *const forbidden[] = {make_a_process, make_a_socket, kill_parent};
	struct seen seen;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct err err = {""};

		UNIT_TRUE(!run(wrong[i], NULL, &seen, &err));
		UNIT_TEXT(err.text, "the process that was to look at it ended without a result, or did not end");
	}
#if !defined(SP_SANITIZE) && !defined(SP_COVERAGE)
	for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++)
		UNIT_TRUE(!run(forbidden[i], NULL, &seen, NULL));
#else
	(void)forbidden;
#endif
	UNIT_TRUE(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

static void stay(const void *ctx, void *result)
{
	(void)ctx;
	(void)result;
	for (;;)
		clock_mono();
}

static void one_that_does_not_end_is_not_waited_for(void)
{
	int64_t from = clock_mono();
	struct seen seen;
	struct err err;

	UNIT_TRUE(!service_apart_run(stay, NULL, settings, CLOCK_SECOND / 2, &seen, sizeof(seen), &err));
	UNIT_TRUE(clock_mono() - from < 30 * CLOCK_SECOND);
	UNIT_TRUE(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{"nothing of the system is there", nothing_of_the_system_is_there},
		{"the secrets are forgotten", the_secrets_are_forgotten},
		{"one that goes wrong has no result", one_that_goes_wrong_has_no_result},
		{"one that does not end is not waited for", one_that_does_not_end_is_not_waited_for},
	};
	int result;

	if (geteuid() == 0 && !service_rights_check_user(ROLE_CERT_RENEWER, NULL) && (setgid(65534) < 0 || setuid(65534) < 0))
		return 1;
	settings = settings_new();
	free(settings->acme.eab_key);
	settings->acme.eab_key = mem_text("s3cret");
	result = unit_main(__FILE__, tests, sizeof(tests) / sizeof(tests[0]));
	settings_free(&settings);
	return result;
}
