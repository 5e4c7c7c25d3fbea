/* SPDX-License-Identifier: Apache-2.0
 *
 * sd_notify(3) by hand. Failures are ignored: systemd notices by itself that it hears nothing.
 */
#include "master/master_notify.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/str.h"

enum { STATUS_MAX = 4096 };

static struct {
	struct loop_timer *timer;
	int64_t interval;
} watchdog;

/* `fd` goes with it, or -1. */
static void say_with(const char *text, int fd)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	size_t n = path == NULL ? 0 : strlen(path);
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	struct iovec part = {(char *)(uintptr_t)text, strlen(text)};
	struct msghdr message = {.msg_name = &a, .msg_iov = &part, .msg_iovlen = 1};
	const struct timeval patience = {1, 0};
	int out;

	if (n < 2 || n >= sizeof(a.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(a.sun_path, path, n);
	if (path[0] == '@')
		a.sun_path[0] = '\0'; /* a name in the abstract namespace: its length counts, no NUL ends it */
	message.msg_namelen = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	if (fd >= 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		*CMSG_FIRSTHDR(&message) = (struct cmsghdr){
			.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &fd, sizeof(fd));
	}
	out = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (out < 0)
		return;
	/* A service manager that does not read must not hold us up. */
	setsockopt(out, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	sendmsg(out, &message, MSG_NOSIGNAL);
	fd_close(&out);
}

static void say(const char *text)
{
	say_with(text, -1);
}

void master_notify_ready(void)
{
	char text[64];

	snprintf(text, sizeof(text), "READY=1\nMAINPID=%d", (int)getpid());
	say(text);
}

void master_notify_reloading(void)
{
	char text[80];

	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_mono());
	say(text);
}

void master_notify_stopping(void)
{
	say("STOPPING=1");
}

void master_notify_status(struct str text)
{
	struct buf line = BUF_MAX(STATUS_MAX);
	char *said;

	buf_put_text(&line, "STATUS=");
	buf_put_str(&line, str_first(text, STATUS_MAX - line.n));
	said = buf_take_text(&line);
	say(said);
	free(said);
}

void master_notify_store(int fd, const char *name)
{
	char text[300];

	snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s", name);
	say_with(text, fd);
}

void master_notify_unstore(const char *name)
{
	char text[300];

	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	say(text);
}

int64_t master_notify_interval(const char *usec, const char *watchdog_pid, int64_t pid)
{
	uint64_t span, for_pid;

	if (watchdog_pid != NULL &&
	    (!str_u64(str_of(watchdog_pid), 1, INT32_MAX, &for_pid) || (int64_t)for_pid != pid))
		return 0;
	if (usec == NULL || !str_u64(str_of(usec), 2, INT64_MAX, &span))
		return 0;
	return (int64_t)(span / 2);
}

static void pat(void *ctx)
{
	(void)ctx;
	say("WATCHDOG=1");
	loop_timer_set(watchdog.timer, watchdog.interval);
}

void master_notify_watchdog(struct loop *loop)
{
	watchdog.interval =
		master_notify_interval(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"), getpid());
	if (watchdog.interval == 0)
		return;
	watchdog.timer = loop_timer_new(loop, pat, NULL);
	pat(NULL);
}

void master_notify_end(void)
{
	loop_timer_free(&watchdog.timer);
}
