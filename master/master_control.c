/* SPDX-License-Identifier: Apache-2.0
 *
 * The control socket. Who may connect is decided by the file's mode; even so, input, time and the number of
 * visitors are bounded.
 */
#include "master/master_control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "master/master_ask.h"
#include "master/master_reload.h"
#include "master/master_status.h"
#include "master/master_stop.h"
#include "master/master_upgrade.h"

/* A text of the children's may grow sixfold as JSON. */
enum { VISITORS = 8, ANSWER_MAX = 32 << 20 };

static const int64_t visit_longest = 5 * CLOCK_SECOND;

struct visitor {
	struct master_control *control;
	int fd; /* -1: the place is free */
	struct loop_fd *watch;
	struct loop_timer *timer;
	char line[MASTER_ASK_LINE + 1]; /* and a line feed */
	size_t n;
	struct master_ask *ask; /* children's answers are awaited */
	bool is_checking;	/* the new program's word is awaited */
	struct buf answer;
};

struct master_control {
	struct master *master;
	struct sockaddr_un address;
	int fd;
	struct loop_fd *watch;
	struct visitor visitor[VISITORS];
};

static void leave(struct visitor *v)
{
	loop_fd_free(&v->watch);
	loop_timer_stop(v->timer);
	fd_close(&v->fd);
	master_ask_free(&v->ask);
	if (v->is_checking)
		master_upgrade_forget(v->control->master->upgrade, v);
	v->is_checking = false;
	buf_clear(&v->answer);
	v->n = 0;
}

static void leave_later(void *ctx)
{
	leave(ctx);
}

static void end_visit(struct visitor *v)
{
	loop_fd_want(v->watch, 0);
	loop_later(v->control->master->loop, leave_later, v);
}

static void on_timeout(void *ctx)
{
	end_visit(ctx);
}

static void tell(struct visitor *v)
{
	ssize_t sent = send(v->fd, v->answer.p, v->answer.n, MSG_NOSIGNAL);

	if (sent < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (sent > 0)
		buf_consume(&v->answer, (size_t)sent);
	if (sent < 0 || v->answer.n == 0)
		end_visit(v);
}

/* Whatever it took to make the answer, there is time to read it. What fits goes at once: after "stop" the loop may
 * not turn again. */
static void begin_to_tell(struct visitor *v)
{
	loop_timer_set(v->timer, visit_longest);
	loop_fd_want(v->watch, LOOP_WRITE);
	tell(v);
}

/* What is waited for has a limit of its own. That the visitor leaves meanwhile is seen when it is told. */
static void be_patient(struct visitor *v)
{
	loop_timer_stop(v->timer);
	loop_fd_want(v->watch, 0);
}

static void on_answers(void *ctx)
{
	struct visitor *v = ctx;

	master_ask_render(v->ask, &v->answer);
	begin_to_tell(v);
}

static void done(struct visitor *v, const char *what)
{
	buf_printf(&v->answer, "{\"done\":\"%s\"}\n", what);
	begin_to_tell(v);
}

static void refuse(struct visitor *v, const char *why)
{
	json_begin(&v->answer, NULL, '{');
	json_put_text(&v->answer, "error", str_of(why));
	buf_put_text(&v->answer, "}\n");
	begin_to_tell(v);
}

static void on_status(struct visitor *v)
{
	master_status_render(v->control->master, &v->answer);
	begin_to_tell(v);
}

static void on_reload(struct visitor *v)
{
	master_reload_run(v->control->master);
	done(v, "reload");
}

static void on_stop(struct visitor *v)
{
	master_stop_all(v->control->master->stop);
	done(v, "stop");
}

static void on_drain(struct visitor *v)
{
	struct master *m = v->control->master;

	if (master_is_ending(m)) {
		refuse(v, "it is stopping already");
		return;
	}
	master_stop_front(m->stop);
	done(v, "drain");
}

static void on_checked(void *ctx, const char *reason)
{
	struct visitor *v = ctx;
	struct master *m = v->control->master;

	v->is_checking = false;
	if (reason != NULL || master_is_ending(m)) {
		refuse(v, reason != NULL ? reason : "it is stopping already");
		return;
	}
	master_stop_upgrade(m->stop);
	done(v, "upgrade");
}

static void on_upgrade(struct visitor *v)
{
	struct master *m = v->control->master;

	if (master_is_ending(m)) {
		refuse(v, "it is stopping already");
		return;
	}
	be_patient(v);
	v->is_checking = true;
	if (!master_upgrade_check(m->upgrade, on_checked, v)) {
		v->is_checking = false;
		refuse(v, "an upgrade is being tried already");
	}
}

static const struct {
	const char *line;
	void (*run)(struct visitor *v);
} commands[] = {
	{"status", on_status},
	{"reload", on_reload},
	{"drain", on_drain},
	{"stop", on_stop},
	{"upgrade", on_upgrade},
};

static void answer(struct visitor *v, struct str line)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (str_eq(line, str_of(commands[i].line))) {
			commands[i].run(v);
			return;
		}
	v->ask = master_ask_new(v->control->master, line, on_answers, v);
	if (v->ask != NULL)
		be_patient(v);
	else
		refuse(v, "this is not understood");
}

static void hear(struct visitor *v)
{
	ssize_t got = read(v->fd, v->line + v->n, sizeof(v->line) - v->n);
	struct str text;
	size_t end;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		end_visit(v);
		return;
	}
	v->n += (size_t)got;
	text = str_bytes(v->line, v->n);
	end = str_find(text, '\n');
	if (end < v->n)
		answer(v, str_first(text, end));
	else if (v->n == sizeof(v->line))
		end_visit(v);
}

static void on_visitor(void *ctx, unsigned events)
{
	struct visitor *v = ctx;

	if (events & LOOP_READ)
		hear(v);
	else if (events & LOOP_WRITE)
		tell(v);
}

static void on_listener(void *ctx, unsigned events)
{
	struct master_control *s = ctx;
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	for (size_t i = 0; fd >= 0 && i < VISITORS; i++) {
		struct visitor *v = &s->visitor[i];

		if (v->fd >= 0)
			continue;
		v->fd = fd;
		v->watch = loop_fd_new(s->master->loop, fd, on_visitor, v);
		loop_fd_want(v->watch, LOOP_READ);
		loop_timer_set(v->timer, visit_longest);
		return;
	}
	fd_close(&fd);
}

/* Any left-over of a master that was killed is in the way; that none lives was made sure of before. */
static bool open_socket(struct master_control *s, struct err *err)
{
	const char *run_dir = s->master->settings->instance.run_dir;
	struct sockaddr_un *a = &s->address;
	mode_t mask;
	bool ok;

	a->sun_family = AF_UNIX;
	if (snprintf(a->sun_path, sizeof(a->sun_path), "%s/control", run_dir) >= (int)sizeof(a->sun_path))
		return err_set(err, "instance.run_dir is too long for a socket in it");
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		return err_set(err, "socket: %s", strerror(errno));
	unlink(a->sun_path);
	mask = umask(0177);
	ok = bind(s->fd, (struct sockaddr *)a, sizeof(*a)) == 0 && listen(s->fd, VISITORS) == 0;
	umask(mask);
	return ok || err_set(err, "%s: %s", a->sun_path, strerror(errno));
}

struct master_control *master_control_new(struct master *master, struct err *err)
{
	struct master_control *s = mem_zero(sizeof(*s));

	s->master = master;
	if (!open_socket(s, err)) {
		fd_close(&s->fd);
		free(s);
		return NULL;
	}
	for (size_t i = 0; i < VISITORS; i++) {
		s->visitor[i].control = s;
		s->visitor[i].fd = -1;
		s->visitor[i].answer = BUF_MAX(ANSWER_MAX);
		s->visitor[i].timer = loop_timer_new(master->loop, on_timeout, &s->visitor[i]);
	}
	s->watch = loop_fd_new(master->loop, s->fd, on_listener, s);
	loop_fd_want(s->watch, LOOP_READ);
	return s;
}

void master_control_free(struct master_control **control)
{
	struct master_control *s = *control;

	if (s == NULL)
		return;
	for (size_t i = 0; i < VISITORS; i++) {
		leave(&s->visitor[i]);
		loop_timer_free(&s->visitor[i].timer);
	}
	loop_fd_free(&s->watch);
	fd_close(&s->fd);
	unlink(s->address.sun_path);
	mem_free(control);
}
