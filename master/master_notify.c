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
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/str.h"

static struct {
	struct loop_timer *timer;
	int64_t interval;
} watchdog;

static void say(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	size_t n = path == NULL ? 0 : strlen(path);
	int fd;

	if (n < 2 || n >= sizeof(a.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(a.sun_path, path, n);
	if (path[0] == '@')
		a.sun_path[0] = '\0'; /* a name in the abstract namespace: its length counts, no NUL ends it */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&a,
	       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
	fd_close(&fd);
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
