/* SPDX-License-Identifier: Apache-2.0
 *
 * accept(2) on the loop.
 */
#include "lib/net/acceptor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"

enum {
	A_TURN = 4, /* then other workers and this one's connections get theirs */
	PAUSE = 100 * CLOCK_MS, /* when there are no descriptors left */
	QUIET = 10 * CLOCK_SECOND,
};

struct acceptor {
	struct loop_fd *watch;
	struct loop_timer *timer;
	acceptor_fn *fn;
	void *ctx;
	int64_t quiet_until;
	int fd;
};

/* No descriptors or memory: the backlog waits, and so do we, or the loop would spin. */
static void pause_a_while(struct acceptor *a, int error)
{
	int64_t now = clock_mono();

	loop_fd_want(a->watch, 0);
	loop_timer_set(a->timer, PAUSE);
	if (now < a->quiet_until)
		return;
	a->quiet_until = now + QUIET;
	log_error(NULL, "net.accept.failed", log_text("reason", strerror(error)));
}

static void on_readable(void *ctx, unsigned events)
{
	struct acceptor *a = ctx;

	(void)events;
	for (int i = 0; i < A_TURN; i++) {
		struct sockaddr_storage from = {0};
		socklen_t n = sizeof(from);
		int fd = accept4(a->fd, (struct sockaddr *)&from, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			a->fn(a->ctx, fd, &from);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			pause_a_while(a, errno);
		/* Else another worker was faster, or the client is gone already. */
		return;
	}
}

static void on_timer(void *ctx)
{
	acceptor_resume(ctx);
}

struct acceptor *acceptor_new(struct loop *loop, int fd, acceptor_fn *fn, void *ctx)
{
	struct acceptor *a = mem_zero(sizeof(*a));

	fd_set_nonblocking(fd);
	a->fn = fn;
	a->ctx = ctx;
	a->fd = fd;
	a->watch = loop_fd_new(loop, fd, on_readable, a);
	a->timer = loop_timer_new(loop, on_timer, a);
	return a;
}

void acceptor_resume(struct acceptor *acceptor)
{
	loop_fd_want(acceptor->watch, LOOP_READ);
}

void acceptor_free(struct acceptor **acceptor)
{
	struct acceptor *a = *acceptor;

	if (a == NULL)
		return;
	loop_fd_free(&a->watch);
	loop_timer_free(&a->timer);
	fd_close(&a->fd);
	mem_free(acceptor);
}
