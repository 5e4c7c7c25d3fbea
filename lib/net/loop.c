/* SPDX-License-Identifier: Apache-2.0
 *
 * The event loop on libevent. Together with api/api_http.c (evhttp) the only file that knows it.
 */
#include "lib/net/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/trouble.h"

struct later {
	loop_fn *fn;
	void *ctx;
};

struct loop_signal {
	struct event *event;
	loop_fn *fn;
	void *ctx;
	struct loop_signal *next;
};

struct loop {
	struct event_base *base;
	struct loop_signal *signals;
	struct later *later;
	size_t n_later, size_later;
	bool is_stopped;
};

struct loop_fd {
	struct event event;
	struct event_base *base;
	loop_fd_fn *fn;
	void *ctx;
	int fd;
	unsigned wanted;
};

struct loop_timer {
	struct event event;
	loop_fn *fn;
	void *ctx;
};

struct loop *loop_new(void)
{
	struct event_config *config = event_config_new();
	struct loop *loop = mem_zero(sizeof(*loop));

	if (config == NULL)
		die("cannot make an event loop");
	/* Milliseconds will do: precise timers cost a system call a turn. */
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	loop->base = event_base_new_with_config(config);
	event_config_free(config);
	if (loop->base == NULL)
		die("cannot make an event loop: %s", strerror(errno));
	return loop;
}

void loop_free(struct loop **loop)
{
	struct loop *l = *loop;

	if (l == NULL)
		return;
	while (l->signals != NULL) {
		struct loop_signal *s = l->signals;

		l->signals = s->next;
		event_free(s->event);
		free(s);
	}
	event_base_free(l->base);
	free(l->later);
	mem_free(loop);
}

static void run_later(struct loop *loop)
{
	/* What is put off while this runs comes in this turn too, after what is there. */
	for (size_t i = 0; i < loop->n_later; i++)
		loop->later[i].fn(loop->later[i].ctx);
	loop->n_later = 0;
}

void loop_run(struct loop *loop)
{
	loop->is_stopped = false;
	run_later(loop);
	while (!loop->is_stopped) {
		if (event_base_loop(loop->base, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY) < 0)
			die("event loop: %s", strerror(errno));
		run_later(loop);
	}
}

void loop_stop(struct loop *loop)
{
	loop->is_stopped = true;
}

void loop_turn(struct loop *loop, int64_t microseconds)
{
	struct timeval wait = {microseconds / 1000000, microseconds % 1000000};

	run_later(loop);
	event_base_loopexit(loop->base, &wait);
	if (event_base_loop(loop->base, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY) < 0)
		die("event loop: %s", strerror(errno));
	run_later(loop);
}

static void on_fd(evutil_socket_t fd, short what, void *arg)
{
	struct loop_fd *watch = arg;
	unsigned events = 0;

	(void)fd;
	if (what & EV_READ)
		events |= LOOP_READ;
	if (what & EV_WRITE)
		events |= LOOP_WRITE;
	watch->fn(watch->ctx, events);
}

struct loop_fd *loop_fd_new(struct loop *loop, int fd, loop_fd_fn *fn, void *ctx)
{
	struct loop_fd *watch = mem_zero(sizeof(*watch));

	watch->base = loop->base;
	watch->fn = fn;
	watch->ctx = ctx;
	watch->fd = fd;
	return watch;
}

void loop_fd_want(struct loop_fd *watch, unsigned events)
{
	short what = EV_PERSIST;

	if (events == watch->wanted)
		return;
	if (watch->wanted != 0)
		event_del(&watch->event);
	watch->wanted = events;
	if (events == 0)
		return;
	if (events & LOOP_READ)
		what |= EV_READ;
	if (events & LOOP_WRITE)
		what |= EV_WRITE;
	if (event_assign(&watch->event, watch->base, watch->fd, what, on_fd, watch) < 0 ||
	    event_add(&watch->event, NULL) < 0)
		die("cannot watch descriptor %d: %s", watch->fd, strerror(errno));
}

void loop_fd_free(struct loop_fd **watch)
{
	if (*watch == NULL)
		return;
	loop_fd_want(*watch, 0);
	mem_free(watch);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct loop_timer *timer = arg;

	(void)fd;
	(void)what;
	timer->fn(timer->ctx);
}

struct loop_timer *loop_timer_new(struct loop *loop, loop_fn *fn, void *ctx)
{
	struct loop_timer *timer = mem_zero(sizeof(*timer));

	timer->fn = fn;
	timer->ctx = ctx;
	must(event_assign(&timer->event, loop->base, -1, 0, on_timer, timer) == 0);
	return timer;
}

void loop_timer_set(struct loop_timer *timer, int64_t microseconds)
{
	struct timeval wait;

	if (microseconds < 0)
		microseconds = 0;
	wait = (struct timeval){microseconds / 1000000, microseconds % 1000000};
	if (event_add(&timer->event, &wait) < 0)
		die("cannot set a timer: %s", strerror(errno));
}

void loop_timer_stop(struct loop_timer *timer)
{
	event_del(&timer->event);
}

bool loop_timer_is_running(const struct loop_timer *timer)
{
	return event_pending(&timer->event, EV_TIMEOUT, NULL) != 0;
}

void loop_timer_free(struct loop_timer **timer)
{
	if (*timer == NULL)
		return;
	loop_timer_stop(*timer);
	mem_free(timer);
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
	struct loop_signal *s = arg;

	(void)fd;
	(void)what;
	s->fn(s->ctx);
}

void loop_on_signal(struct loop *loop, int signal, loop_fn *fn, void *ctx)
{
	struct loop_signal *s = mem_zero(sizeof(*s));

	s->fn = fn;
	s->ctx = ctx;
	s->event = evsignal_new(loop->base, signal, on_signal, s);
	if (s->event == NULL || event_add(s->event, NULL) < 0)
		die("cannot watch signal %d: %s", signal, strerror(errno));
	s->next = loop->signals;
	loop->signals = s;
}

void loop_later(struct loop *loop, loop_fn *fn, void *ctx)
{
	if (loop->n_later == loop->size_later) {
		loop->size_later = loop->size_later ? 2 * loop->size_later : 16;
		loop->later = mem_grow(loop->later, loop->size_later * sizeof(*loop->later));
	}
	loop->later[loop->n_later++] = (struct later){fn, ctx};
}

struct event_base *loop_event_base(struct loop *loop)
{
	return loop->base;
}
