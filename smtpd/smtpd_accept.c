/* SPDX-License-Identifier: Apache-2.0
 *
 * accept(2) on the loop.
 */
#include "smtpd/smtpd_accept.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/net/addr.h"
#include "smtpd/smtpd_arrival.h"

enum {
	A_TURN = 4, /* then the other workers and this one's sessions get theirs */
	PAUSE = 100 * CLOCK_MS, /* when there are no descriptors left */
	QUIET = 10 * CLOCK_SECOND,
};

struct smtpd_accept {
	struct smtpd_worker *worker;
	struct loop_fd *watch;
	struct loop_timer *timer;
	int64_t quiet_until;
	const struct smtpd_listener *listener;
	int fd;
};

/* No descriptors or memory: the backlog waits, and so do we, or the loop would spin. */
static void pause_a_while(struct smtpd_accept *l, int error)
{
	int64_t now = clock_mono();

	loop_fd_want(l->watch, 0);
	loop_timer_set(l->timer, PAUSE);
	if (now < l->quiet_until)
		return;
	l->quiet_until = now + QUIET;
	log_error(NULL, "smtpd.accept.failed", log_text("reason", strerror(error)),
		  log_uint("sessions", l->worker->n_sessions));
}

static void on_readable(void *ctx, unsigned events)
{
	struct smtpd_accept *l = ctx;
	char client[ADDR_TEXT];

	(void)events;
	for (int i = 0; i < A_TURN; i++) {
		struct sockaddr_storage from = {0};
		socklen_t n = sizeof(from);
		int fd = accept4(l->fd, (struct sockaddr *)&from, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			smtpd_arrival_begin(l->worker, l->listener, fd, addr_text(&from, client));
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			pause_a_while(l, errno);
		/* Else another worker was faster, or the client is gone already. */
		return;
	}
}

static void on_timer(void *ctx)
{
	smtpd_accept_resume(ctx);
}

struct smtpd_accept *smtpd_accept_new(struct smtpd_worker *worker, const struct smtpd_listener *listener, int fd)
{
	struct smtpd_accept *l = mem_zero(sizeof(*l));

	fd_set_nonblocking(fd);
	l->worker = worker;
	l->fd = fd;
	l->listener = listener;
	l->watch = loop_fd_new(worker->loop, fd, on_readable, l);
	l->timer = loop_timer_new(worker->loop, on_timer, l);
	return l;
}

void smtpd_accept_free(struct smtpd_accept **accept)
{
	struct smtpd_accept *l = *accept;

	if (l == NULL)
		return;
	loop_fd_free(&l->watch);
	loop_timer_free(&l->timer);
	fd_close(&l->fd);
	mem_free(accept);
}

void smtpd_accept_resume(struct smtpd_accept *accept)
{
	loop_fd_want(accept->watch, LOOP_READ);
}
