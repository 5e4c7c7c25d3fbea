/* SPDX-License-Identifier: Apache-2.0
 *
 * A Redis server of a test's own, on a free port of the loopback, gone with the test.
 */
#ifndef TESTS_SUPPORT_REDIS_FIXTURE_H
#define TESTS_SUPPORT_REDIS_FIXTURE_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct redis_fixture {
	pid_t pid;
	uint16_t port;
	int words; /* its standard output */
};

/* Somebody else may take it before we do; then redis_fixture_start() tries another one. */
static inline uint16_t redis_fixture_free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) < 0 || getsockname(fd, (struct sockaddr *)&a, &n) < 0)
		abort();
	close(fd);
	return ntohs(a.sin_port);
}

static inline void redis_fixture_stop(struct redis_fixture *r)
{
	if (r->pid > 0) {
		kill(r->pid, SIGKILL);
		waitpid(r->pid, NULL, 0);
		close(r->words);
	}
	r->pid = 0;
}

/* Until it says that it is ready; false: it ended. */
static inline int redis_fixture_wait(struct redis_fixture *r)
{
	char line[4096];
	size_t n = 0;

	while (n < sizeof(line) - 1 && read(r->words, line + n, 1) == 1) {
		line[++n] = '\0';
		if (line[n - 1] != '\n')
			continue;
		if (strstr(line, "Ready to accept connections") != NULL)
			return 1;
		n = 0;
	}
	return 0;
}

/* `words` are more of its command line, ended by NULL. r->port 0: a free one. With is_tls it speaks TLS only. Skips the
 * test program (exit status 77) where there is no Redis. */
static inline void redis_fixture_start(struct redis_fixture *r, int is_tls, const char *const *words)
{
	uint16_t wanted = r->port;
	int fds[2];

	if (access("/usr/bin/redis-server", X_OK) < 0) {
		printf("skipped: redis-server was not found\n");
		exit(77);
	}
	for (int tries = 0; tries < 20; tries++) {
		char port[8];
		const char *argv[24] = {"redis-server", "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"};
		int n = 7;

		r->port = wanted != 0 ? wanted : redis_fixture_free_port();
		snprintf(port, sizeof(port), "%u", r->port);
		argv[n++] = "--port";
		argv[n++] = is_tls ? "0" : port;
		if (is_tls) {
			argv[n++] = "--tls-port";
			argv[n++] = port;
		}
		for (int i = 0; words != NULL && words[i] != NULL && n < 23; i++)
			argv[n++] = words[i];
		if (pipe(fds) < 0)
			abort();
		r->pid = fork();
		if (r->pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			dup2(fds[1], 1);
			dup2(fds[1], 2);
			close(fds[0]);
			close(fds[1]);
			if (chdir("/") < 0)
				_exit(1);
			execv("/usr/bin/redis-server", (char *const *)(uintptr_t)argv);
			_exit(1);
		}
		close(fds[1]);
		r->words = fds[0];
		if (redis_fixture_wait(r))
			return;
		redis_fixture_stop(r);
	}
	abort();
}

#endif
