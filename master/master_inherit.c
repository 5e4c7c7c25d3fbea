/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose a socket is, is decided by what it is bound to: names are only for people, and for ports that the system
 * chose.
 */
#include "master/master_inherit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/trouble.h"
#include "master/master_notify.h"

/* Out of the way of descriptors that have to be 3, 4, ... */
enum { AWAY = MASTER_INHERIT_FIRST + MASTER_INHERIT_MOST };

size_t master_inherit_count(const char *listen_pid, const char *listen_fds, int64_t pid)
{
	uint64_t for_pid, n;

	if (listen_pid == NULL || listen_fds == NULL ||
	    !str_u64(str_of(listen_pid), 1, INT32_MAX, &for_pid) || (int64_t)for_pid != pid ||
	    !str_u64(str_of(listen_fds), 1, MASTER_INHERIT_MOST, &n))
		return 0;
	return (size_t)n;
}

static void forget_environment(void)
{
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

void master_inherit_take(struct master_inherited *in)
{
	const char *names = getenv("LISTEN_FDNAMES");
	struct str rest = names == NULL ? STR("") : str_of(names), name;

	in->n = master_inherit_count(getenv("LISTEN_PID"), getenv("LISTEN_FDS"), getpid());
	for (size_t i = 0; i < in->n; i++) {
		int fd = MASTER_INHERIT_FIRST + (int)i;

		in->socket[i].name[0] = '\0';
		if (str_next(&rest, ':', &name))
			str_copy(name, in->socket[i].name, sizeof(in->socket[i].name));
		in->socket[i].fd = fcntl(fd, F_GETFD) < 0 ? -1 : fd;
		if (in->socket[i].fd >= 0)
			fd_set_cloexec(fd, true);
	}
	forget_environment();
}

static bool same_host(const struct sockaddr *a, const struct sockaddr *b)
{
	if (a->sa_family != b->sa_family)
		return false;
	if (a->sa_family == AF_INET)
		return memcmp(&((const struct sockaddr_in *)a)->sin_addr,
			      &((const struct sockaddr_in *)b)->sin_addr, sizeof(struct in_addr)) == 0;
	return memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr, &((const struct sockaddr_in6 *)b)->sin6_addr,
		      sizeof(struct in6_addr)) == 0;
}

/* At the same place in both families' structs. */
static in_port_t port_of(const struct sockaddr *a)
{
	return ((const struct sockaddr_in *)a)->sin_port;
}

static bool is_it(int fd, const char *fd_name, const struct sockaddr *wanted, const char *name)
{
	union {
		struct sockaddr any;
		struct sockaddr_storage storage;
	} a;
	socklen_t n = sizeof(a), n_int = sizeof(int);
	int is_listening = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &n_int) < 0 || !is_listening ||
	    getsockname(fd, &a.any, &n) < 0 || (a.any.sa_family != AF_INET && a.any.sa_family != AF_INET6) ||
	    !same_host(&a.any, wanted))
		return false;
	return port_of(wanted) == 0 ? strcmp(fd_name, name) == 0 : port_of(&a.any) == port_of(wanted);
}

int master_inherit_find(struct master_inherited *in, const struct sockaddr *address, char name[MASTER_LISTEN_FD_NAME])
{
	for (size_t i = 0; i < in->n; i++) {
		int fd = in->socket[i].fd;

		if (fd < 0 || !is_it(fd, in->socket[i].name, address, name))
			continue;
		in->socket[i].fd = -1;
		snprintf(name, MASTER_LISTEN_FD_NAME, "%s", in->socket[i].name);
		fd_set_nonblocking(fd);
		return fd;
	}
	return -1;
}

void master_inherit_close(struct master_inherited *in)
{
	for (size_t i = 0; i < in->n; i++) {
		if (in->socket[i].fd < 0)
			continue;
		log_warn(NULL, "master.inherited.unwanted", log_text("name", in->socket[i].name),
			 log_int("descriptor", in->socket[i].fd),
			 log_text("reason", "no listener of the settings has its address and port"));
		master_notify_unstore(in->socket[i].name);
		fd_close(&in->socket[i].fd);
	}
	in->n = 0;
}

static void move_away(int *fd)
{
	int there;

	if (*fd < 0)
		return;
	there = fcntl(*fd, F_DUPFD_CLOEXEC, AWAY);
	if (there < 0)
		die("fcntl(F_DUPFD): %s", strerror(errno));
	fd_close(fd);
	*fd = there;
}

static void leave_one(struct master_inherited *in, struct master_socket *s)
{
	if (s->fd < 0)
		return;
	move_away(&s->fd);
	snprintf(in->socket[in->n].name, sizeof(in->socket[in->n].name), "%s", s->fd_name);
	in->socket[in->n++].fd = s->fd;
	s->fd = -1;
}

static void describe(const struct master_inherited *in)
{
	char names[MASTER_INHERIT_MOST * MASTER_LISTEN_FD_NAME], number[32];
	size_t n = 0;

	for (size_t i = 0; i < in->n; i++)
		n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s", i > 0 ? ":" : "", in->socket[i].name);
	snprintf(number, sizeof(number), "%zu", in->n);
	if (in->n == 0 || setenv("LISTEN_FDS", number, 1) < 0 || setenv("LISTEN_FDNAMES", names, 1) < 0)
		return;
	snprintf(number, sizeof(number), "%d", (int)getpid());
	setenv("LISTEN_PID", number, 1);
}

void master_inherit_leave(struct master_inherited *in, struct master_listen *l, int *const *keep, size_t n_keep)
{
	in->n = 0;
	for (size_t i = 0; i < n_keep; i++)
		move_away(keep[i]);
	for (size_t i = 0; i < l->n; i++)
		leave_one(in, &l->listener[i]);
	leave_one(in, &l->api);
	for (size_t i = 0; i < MASTER_LISTEN_ACME; i++)
		leave_one(in, &l->acme[i]);
	/* Nothing else that is open may be inherited. */
	if (close_range(MASTER_INHERIT_FIRST, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		die("close_range: %s", strerror(errno));
	for (size_t i = 0; i < in->n; i++) {
		int fd = MASTER_INHERIT_FIRST + (int)i;

		if (dup2(in->socket[i].fd, fd) < 0)
			die("dup2: %s", strerror(errno));
		fd_close(&in->socket[i].fd);
		in->socket[i].fd = fd;
	}
	describe(in);
}

void master_inherit_stay(struct master_inherited *in)
{
	forget_environment();
	for (size_t i = 0; i < in->n; i++)
		fd_set_cloexec(in->socket[i].fd, true);
}
