/* SPDX-License-Identifier: Apache-2.0
 *
 * The control socket and the status that it shows. Who may connect is decided by the file's mode; even so,
 * input, time and the number of visitors are bounded.
 */
#include "master/master_status.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/mem.h"
#include "lib/service/metrics.h"
#include "master/master_children.h"
#include "master/master_reload.h"

enum { VISITORS = 8, LINE_MAX_ASKED = 64, ANSWER_MAX = 1 << 20 };

static const int64_t visit_longest = 5 * CLOCK_SECOND;

struct visitor {
	struct master_status *status;
	int fd; /* -1: the place is free */
	struct loop_fd *watch;
	struct loop_timer *timer;
	char line[LINE_MAX_ASKED];
	size_t n;
	struct buf answer;
};

struct master_status {
	struct master *master;
	struct sockaddr_un address;
	int fd;
	struct loop_fd *watch;
	struct visitor visitor[VISITORS];
};

/* ---- The answer ---- */

static void put_text(struct buf *out, const char *name, const char *text)
{
	buf_printf(out, "\"%s\":\"", name);
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			buf_printf(out, "\\u%04x", c);
		else
			buf_put_char(out, (char)c);
	}
	buf_put_char(out, '"');
}

static void put_int(struct buf *out, const char *name, int64_t value)
{
	buf_printf(out, "\"%s\":%" PRId64, name, value);
}

static void put_socket(struct buf *out, const struct master_socket *s)
{
	buf_put_char(out, '{');
	put_text(out, "name", s->name);
	buf_put_char(out, ',');
	put_text(out, "address", s->address);
	buf_put_char(out, ',');
	put_int(out, "port", s->port);
	buf_put_char(out, '}');
}

static void put_child(struct buf *out, const struct master_child *child)
{
	buf_put_char(out, '{');
	put_text(out, "role", role_name(child->role));
	buf_put_char(out, ',');
	put_int(out, "slot", child->slot);
	buf_put_char(out, ',');
	put_int(out, "pid", child->pid);
	buf_put_char(out, ',');
	put_text(out, "state", master_children_state_name(child->state));
	buf_put_char(out, ',');
	put_int(out, "since", child->since / CLOCK_SECOND);
	buf_put_char(out, ',');
	put_int(out, "restarts", child->restarts);
	buf_put_char(out, '}');
}

static void put_certificate(struct buf *out, const struct tls_certificate *c)
{
	buf_put_text(out, "\"certificate\":{");
	put_text(out, "subject", c->subject);
	buf_put_char(out, ',');
	put_text(out, "names", c->names);
	buf_put_char(out, ',');
	put_text(out, "serial", c->serial);
	buf_put_char(out, ',');
	put_int(out, "not_after", c->not_after);
	buf_put_char(out, '}');
}

static int64_t sum_providers(const struct settings *settings, enum metric metric)
{
	int64_t sum = 0;

	for (unsigned i = 0; i < settings->n_provider; i++)
		sum += metrics_sum(metric, i);
	return sum;
}

static void put_metrics(struct buf *out, const struct settings *settings)
{
	static const struct {
		const char *name;
		enum metric metric;
		bool by_provider;
	} shown[] = {
		{"sessions", METRIC_ACTIVE_CONNECTIONS, false},
		{"connections", METRIC_CONNECTIONS, false},
		{"accepted", METRIC_ACCEPTED, false},
		{"refused", METRIC_REFUSED, false},
		{"stored", METRIC_QUEUE_STORED, false},
		{"queue_depth", METRIC_QUEUE_DEPTH, false},
		{"in_flight", METRIC_IN_FLIGHT, true},
		{"sent", METRIC_SENT, true},
		{"deferred", METRIC_TRANSIENT, true},
		{"failed", METRIC_PERMANENT, true},
		{"unknown", METRIC_UNKNOWN, true},
		{"dead_letters", METRIC_DEAD_LETTERS, false},
		{"queue_database_up", METRIC_QUEUE_DATABASE_UP, false},
		{"gate_database_up", METRIC_GATE_DATABASE_UP, false},
	};

	buf_put_text(out, "\"metrics\":{");
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
		if (i > 0)
			buf_put_char(out, ',');
		put_int(out, shown[i].name,
			shown[i].by_provider ? sum_providers(settings, shown[i].metric)
					     : metrics_sum(shown[i].metric, 0));
	}
	buf_put_char(out, '}');
}

void master_status_render(const struct master *m, struct buf *out)
{
	buf_put_char(out, '{');
	put_text(out, "version", PACKAGE_VERSION);
	buf_put_char(out, ',');
	put_int(out, "pid", getpid());
	buf_put_char(out, ',');
	put_int(out, "uptime", (clock_wall() - m->started_at) / CLOCK_SECOND);
	buf_put_char(out, ',');
	put_text(out, "state", m->is_stopping ? "stopping" : "running");
	buf_put_char(out, ',');
	put_text(out, "settings", m->settings_path);
	buf_put_text(out, ",\"listeners\":[");
	for (size_t i = 0; i < m->listen.n; i++) {
		if (i > 0)
			buf_put_char(out, ',');
		put_socket(out, &m->listen.listener[i]);
	}
	buf_put_text(out, "],\"api\":");
	put_socket(out, &m->listen.api);
	buf_put_char(out, ',');
	put_certificate(out, &m->certificate);
	buf_put_text(out, ",\"children\":[");
	for (size_t i = 0; i < master_children_count(m->children); i++) {
		if (i > 0)
			buf_put_char(out, ',');
		put_child(out, master_children_at(m->children, i));
	}
	buf_put_text(out, "],");
	put_metrics(out, m->settings);
	buf_put_text(out, "}\n");
}

/* ---- The socket ---- */

static void leave(struct visitor *v)
{
	loop_fd_free(&v->watch);
	loop_timer_stop(v->timer);
	fd_close(&v->fd);
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
	loop_later(v->status->master->loop, leave_later, v);
}

static void on_timeout(void *ctx)
{
	end_visit(ctx);
}

static void answer(struct visitor *v)
{
	struct master *m = v->status->master;
	struct str line = str_bytes(v->line, str_find(str_bytes(v->line, v->n), '\n'));

	if (str_eq(line, STR("status"))) {
		master_status_render(m, &v->answer);
	} else if (str_eq(line, STR("reload"))) {
		master_reload_run(m);
		buf_put_text(&v->answer, "{\"done\":\"reload\"}\n");
	} else if (str_eq(line, STR("stop"))) {
		master_children_stop(m->children);
		buf_put_text(&v->answer, "{\"done\":\"stop\"}\n");
	} else {
		buf_put_text(&v->answer, "{\"error\":\"status, reload or stop is understood\"}\n");
	}
	loop_fd_want(v->watch, LOOP_WRITE);
}

static void hear(struct visitor *v)
{
	ssize_t got = read(v->fd, v->line + v->n, sizeof(v->line) - v->n);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		end_visit(v);
		return;
	}
	v->n += (size_t)got;
	if (str_find(str_bytes(v->line, v->n), '\n') < v->n)
		answer(v);
	else if (v->n == sizeof(v->line))
		end_visit(v);
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
	struct master_status *s = ctx;
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
static bool open_socket(struct master_status *s, struct err *err)
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

struct master_status *master_status_new(struct master *master, struct err *err)
{
	struct master_status *s = mem_zero(sizeof(*s));

	s->master = master;
	if (!open_socket(s, err)) {
		fd_close(&s->fd);
		free(s);
		return NULL;
	}
	for (size_t i = 0; i < VISITORS; i++) {
		s->visitor[i].status = s;
		s->visitor[i].fd = -1;
		s->visitor[i].answer = BUF_MAX(ANSWER_MAX);
		s->visitor[i].timer = loop_timer_new(master->loop, on_timeout, &s->visitor[i]);
	}
	s->watch = loop_fd_new(master->loop, s->fd, on_listener, s);
	loop_fd_want(s->watch, LOOP_READ);
	return s;
}

void master_status_free(struct master_status **status)
{
	struct master_status *s = *status;

	if (s == NULL)
		return;
	for (size_t i = 0; i < VISITORS; i++) {
		leave(&s->visitor[i]);
		loop_timer_free(&s->visitor[i].timer);
	}
	loop_fd_free(&s->watch);
	fd_close(&s->fd);
	unlink(s->address.sun_path);
	mem_free(status);
}
