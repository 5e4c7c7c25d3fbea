/* SPDX-License-Identifier: Apache-2.0
 *
 * What is said to systemd, on a socket of our own.
 */
#include "tests/support/unit.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "master/master_notify.h"

static void the_watchdog_is_patted_at_half_its_time(void)
{
	static const struct {
		const char *usec, *pid;
		int64_t expected;
	} cases[] = {
		{"30000000", NULL, 15000000}, {"30000000", "7", 15000000}, {"30000000", "8", 0},
		{NULL, NULL, 0},	      {"", NULL, 0},		   {"0", NULL, 0},
		{"-1", NULL, 0},	      {"1x", NULL, 0},		   {"30000000", "x", 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		UNIT_INT(master_notify_interval(cases[i].usec, cases[i].pid, 7), cases[i].expected);
}

/* Binds $NOTIFY_SOCKET; an '@' is the abstract namespace. */
static int listen_at(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	size_t n = strlen(path);

	memcpy(a.sun_path, path, n);
	if (path[0] == '@')
		a.sun_path[0] = '\0';
	UNIT_INT(bind(fd, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)), 0);
	setenv("NOTIFY_SOCKET", path, 1);
	return fd;
}

static struct str heard(int fd)
{
	static char text[256];
	ssize_t got = recv(fd, text, sizeof(text), MSG_DONTWAIT);

	return str_bytes(text, got > 0 ? (size_t)got : 0);
}

/* As heard(), with the descriptor that came along, or -1. */
static struct str heard_with(int from, int *fd)
{
	static char text[256];
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec part = {text, sizeof(text)};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t got = recvmsg(from, &message, MSG_DONTWAIT);
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);

	*fd = -1;
	if (got > 0 && head != NULL && head->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(head), sizeof(*fd));
	return str_bytes(text, got > 0 ? (size_t)got : 0);
}

static void descriptors_are_stored_and_forgotten(void)
{
	char name[64], written = 'x', read_back = 0;
	int socket_fd, ends[2], stored;

	snprintf(name, sizeof(name), "@smtp-proxy-notify-store-%d", (int)getpid());
	socket_fd = listen_at(name);
	UNIT_INT(pipe(ends), 0);
	master_notify_store(ends[1], "listener.submission");
	UNIT_STR(heard_with(socket_fd, &stored), "FDSTORE=1\nFDNAME=listener.submission");
	UNIT_INT(write(stored, &written, 1), 1);
	UNIT_INT(read(ends[0], &read_back, 1), 1);
	UNIT_INT(read_back, written);
	close(stored);
	master_notify_unstore("listener.submission");
	UNIT_STR(heard_with(socket_fd, &stored), "FDSTOREREMOVE=1\nFDNAME=listener.submission");
	UNIT_INT(stored, -1);
	close(ends[0]);
	close(ends[1]);
	close(socket_fd);
}

static void states_are_said(int fd)
{
	master_notify_ready();
	UNIT_TRUE(str_starts(heard(fd), STR("READY=1\nMAINPID=")));
	master_notify_reloading();
	UNIT_TRUE(str_starts(heard(fd), STR("RELOADING=1\nMONOTONIC_USEC=")));
	master_notify_stopping();
	UNIT_STR(heard(fd), "STOPPING=1");
	close(fd);
}

static void on_a_path(void)
{
	char dir[] = "/tmp/smtp-proxy-notify-XXXXXX", path[64];

	UNIT_TRUE(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/socket", dir);
	states_are_said(listen_at(path));
	unlink(path);
	rmdir(dir);
}

static void in_the_abstract_namespace(void)
{
	char name[64];

	snprintf(name, sizeof(name), "@smtp-proxy-notify-%d", (int)getpid());
	states_are_said(listen_at(name));
}

static void nobody_listening_is_no_trouble(void)
{
	unsetenv("NOTIFY_SOCKET");
	master_notify_ready();
	setenv("NOTIFY_SOCKET", "relative", 1);
	master_notify_ready();
	setenv("NOTIFY_SOCKET", "/nonexistent/socket", 1);
	master_notify_stopping();
	CU_PASS("still here");
}

UNIT_TESTS({"the watchdog is patted at half its time, when it is ours", the_watchdog_is_patted_at_half_its_time},
	   {"states are said to a socket in the file system", on_a_path},
	   {"states are said to a socket in the abstract namespace", in_the_abstract_namespace},
	   {"descriptors are stored and forgotten", descriptors_are_stored_and_forgotten},
	   {"nobody listening is no trouble", nobody_listening_is_no_trouble})
