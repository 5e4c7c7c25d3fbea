/* SPDX-License-Identifier: Apache-2.0
 *
 * A fork that does not exec: the bytes are in its memory already. Ours is there too, so what is secret in it and of no use there is
 * wiped first.
 */
#include "lib/service/service_apart.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/mem.h"
#include "lib/service/service_rights.h"

extern char **environ;

enum { ANSWER_FD = 3 };

void service_apart_reset(pid_t parent)
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

static void forget(const struct settings *settings)
{
	struct settings *ours = (struct settings *)(uintptr_t)settings;

	settings_free(&ours);
	for (char **variable = environ; *variable != NULL; variable++)
		mem_wipe(*variable, strlen(*variable));
}

/* In the new process: never returns. */
static void compute(service_apart_fn *fn, const void *ctx, const struct settings *settings, size_t size, int out, pid_t parent)
{
	void *result = mem_zero(size);

	service_apart_reset(parent);
	if ((out != ANSWER_FD && dup2(out, ANSWER_FD) < 0) || close_range(ANSWER_FD + 1, ~0U, 0) < 0)
		_exit(1);
	service_rights_drop_all();
	forget(settings);
	fn(ctx, result);
	_exit(fd_write_all(ANSWER_FD, result, size) ? 0 : 1);
}

/* False: the end, or the time is over. */
static bool wait_for_more(int in, int64_t until)
{
	struct pollfd watch = {.fd = in, .events = POLLIN};
	int64_t left = until - clock_mono();

	return left > 0 && (poll(&watch, 1, (int)(left / CLOCK_MS) + 1) > 0 || errno == EINTR);
}

static size_t hear(int in, int64_t longest, char *to, size_t size)
{
	int64_t until = clock_mono() + longest;
	size_t n = 0;

	while (n < size && wait_for_more(in, until)) {
		ssize_t got = read(in, to + n, size - n);

		if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN))
			break;
		n += got > 0 ? (size_t)got : 0;
	}
	return n;
}

bool service_apart_run(service_apart_fn *fn, const void *ctx, const struct settings *settings, int64_t longest, void *result, size_t size,
		      struct err *err)
{
	pid_t parent = getpid(), pid;
	int ends[2];
	size_t n;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_set(err, "pipe: %s", strerror(errno));
	pid = fork();
	if (pid == 0)
		compute(fn, ctx, settings, size, ends[1], parent);
	fd_close(&ends[1]);
	if (pid < 0) {
		fd_close(&ends[0]);
		return err_set(err, "fork: %s", strerror(errno));
	}
	fd_set_nonblocking(ends[0]);
	n = hear(ends[0], longest, result, size);
	fd_close(&ends[0]);
	/* Whatever it does now is of no interest any more. */
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return n == size || err_set(err, "the process that was to look at it ended without a result, or did not end");
}
