/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of children and what happens to them. Nothing that a network peer said is read here: only
 * READY, PONG and PEER_LOST come from a child, and what cert-renewer wants (master_renewer.c); what it TELLs is passed on unread.
 */
#include "master/master_children.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/service/metrics.h"
#include "lib/service/service.h"
#include "lib/settings/settings_wire.h"
#include "master/master_ask.h"
#include "master/master_expiry.h"
#include "master/master_link.h"
#include "master/master_notice.h"
#include "master/master_notify.h"
#include "master/master_spawn.h"
#include "master/master_tickets.h"

enum { PINGS_UNANSWERED = 3 };

static const int64_t ping_every = 10 * CLOCK_SECOND;

/* The order of the start. */
static const enum role order[] = {ROLE_GATE, ROLE_QMGR, ROLE_CERT_RENEWER, ROLE_DELIVER, ROLE_SMTPD, ROLE_API};
enum { ORDER = sizeof(order) / sizeof(order[0]) };

struct master_children {
	struct master *master;
	const struct master_children_events *events;
	struct master_child *child;
	size_t n;
	struct master_links *links;
	struct loop_timer *ping;
	bool is_retired[ROLE_COUNT]; /* not started again */
	bool was_ready, is_reloading;
};

static void spawn(struct master_child *child);

size_t master_children_count(const struct master_children *c)
{
	return c->n;
}

const struct master_child *master_children_at(const struct master_children *c, size_t i)
{
	must(i < c->n);
	return &c->child[i];
}

const char *master_children_state_name(enum master_child_state state)
{
	static const char *const names[] = {"waiting", "starting", "ready", "draining", "gone"};

	return names[state];
}

static void count_ready(struct master_children *c)
{
	int64_t up[ROLE_COUNT] = {0};

	for (size_t i = 0; i < c->n; i++)
		if (c->child[i].state == MASTER_CHILD_READY)
			up[c->child[i].role]++;
	for (unsigned role = ROLE_MASTER + 1; role < ROLE_COUNT; role++)
		metrics_set_at(METRIC_CHILD_UP, role, up[role]);
}

static void enter(struct master_child *child, enum master_child_state state)
{
	child->state = state;
	child->since = clock_wall();
	count_ready(child->master->children);
}

/* ---- What a child says ---- */

/* A start does not wait for it any more: mail goes on without cert-renewer, under the certificates that there are. */
static bool is_excused(const struct master_child *child)
{
	return child->role == ROLE_CERT_RENEWER && (child->state == MASTER_CHILD_WAITING || child->restarts > 0);
}

/* Tells when all are ready: at start, and when the last one that runs has taken a reload. */
static void note_ready(struct master_children *c)
{
	bool all = true;

	for (size_t i = 0; i < c->n; i++) {
		all = all && (c->child[i].state == MASTER_CHILD_READY || is_excused(&c->child[i]));
		if (c->child[i].gos > 0 && (c->was_ready || !is_excused(&c->child[i])))
			return;
	}
	if (master_is_ending(c->master) || (c->was_ready ? !c->is_reloading : !all))
		return;
	c->events->on_ready(c->master, !c->was_ready);
	c->was_ready = true;
	c->is_reloading = false;
}

static bool on_frame(void *ctx, struct ipc_peer *peer, struct ipc_frame *frame)
{
	struct master_child *child = ctx;

	(void)peer;
	if (frame->type == IPC_PONG) {
		child->pings = 0;
		return true;
	}
	if (frame->type == IPC_TELL) {
		master_ask_tell(child->master, child, frame);
		return true;
	}
	if (frame->type == IPC_PEER_LOST)
		return master_link_lost(child->master->children->links, child, &frame->body);
	if (frame->type != IPC_READY)
		return child->master->children->events->on_frame(child->master, child, frame);
	if (child->gos == 0)
		return false;
	child->gos--;
	if (child->state == MASTER_CHILD_STARTING) {
		child->ready_at = clock_mono();
		enter(child, MASTER_CHILD_READY);
		log_info(NULL, "master.child.ready", log_text("child", role_name(child->role)),
			 log_uint("slot", child->slot), log_int("child_pid", child->pid));
	}
	note_ready(child->master->children);
	return true;
}

static void kill_child(struct master_child *child, const char *why)
{
	if (child->pid == 0 || child->is_killed)
		return;
	log_error(NULL, "master.child.killed", log_text("child", role_name(child->role)),
		  log_uint("slot", child->slot), log_int("child_pid", child->pid), log_text("reason", why));
	child->is_killed = true;
	kill(child->pid, SIGKILL);
}

/* It ended, and SIGCHLD follows; or it broke the protocol, and then it ends now. */
static void on_close(void *ctx, struct ipc_peer *peer, const char *why)
{
	struct master_child *child = ctx;

	ipc_peer_free(&peer);
	child->control = NULL;
	if (why != NULL)
		kill_child(child, why);
	else if (child->pid != 0)
		kill(child->pid, SIGKILL);
}

/* ---- What a child is told ---- */

static void send_settings(struct master_child *child)
{
	struct buf bytes = BUF_MAX(SETTINGS_WIRE_MAX);

	/* settings_check() has seen to it that they fit. */
	must(settings_wire_put(child->master->settings, child->role, &bytes));
	ipc_send(child->control, IPC_SETTINGS, 0, buf_str(&bytes), -1);
	buf_clear_secret(&bytes);
}

static void send_numbers(struct master_child *child, enum ipc_type type, uint32_t a, bool with_b,
			 uint32_t b, int fd)
{
	struct buf body = BUF_MAX(16);

	buf_put_u32(&body, a);
	if (with_b)
		buf_put_u32(&body, b);
	ipc_send(child->control, type, 0, buf_str(&body), fd);
	buf_clear(&body);
}

static void send_acme(struct master_child *child, unsigned which)
{
	static const uint32_t number[MASTER_LISTEN_ACME] = {
		[MASTER_LISTEN_HTTP_01] = SERVICE_LISTENER_HTTP_01,
		[MASTER_LISTEN_TLS_ALPN_01] = SERVICE_LISTENER_TLS_ALPN_01,
	};
	int fd = child->master->listen.acme[which].fd;

	if (fd >= 0)
		send_numbers(child, IPC_LISTENER, number[which], false, 0, fd);
}

static void send_listeners(struct master_child *child)
{
	const struct master_listen *l = &child->master->listen;

	if (child->role == ROLE_API)
		send_numbers(child, IPC_LISTENER, SERVICE_LISTENER_API, false, 0, l->api.fd);
	for (size_t i = 0; child->role == ROLE_SMTPD && i < l->n; i++)
		send_numbers(child, IPC_LISTENER, (uint32_t)i, false, 0, l->listener[i].fd);
	for (unsigned i = 0; child->role == ROLE_CERT_RENEWER && i < MASTER_LISTEN_ACME; i++)
		send_acme(child, i);
}

static void send_identity(struct master_child *child)
{
	if (child->role == ROLE_SMTPD)
		master_identity_send(&child->master->identities, child->control);
}

static void send_go(struct master_child *child)
{
	child->gos++;
	ipc_send(child->control, IPC_GO, 0, STR(""), -1);
}

/* ---- Start and end ---- */

static void wait_and_restart(struct master_child *child)
{
	bool is_new_step;
	int64_t delay = master_restart_delay(&child->restart, child->ready_at, clock_mono(), &is_new_step);

	enter(child, MASTER_CHILD_WAITING);
	if (delay > 0 && is_new_step)
		log_warn(NULL, "master.child.waiting", log_text("child", role_name(child->role)),
			 log_uint("slot", child->slot), log_ms("delay_ms", delay));
	loop_timer_set(child->timer, delay);
}

static void start_again(void *ctx)
{
	struct master_child *child = ctx;

	child->restarts++;
	metrics_add_at(METRIC_CHILD_RESTARTS, child->role, 1);
	spawn(child);
}

static void spawn(struct master_child *child)
{
	static const struct ipc_events events = {on_frame, on_close};
	struct master *m = child->master;
	char path[PATH_MAX];
	struct err err;
	int fds[2];

	child->gos = child->pings = 0;
	child->ready_at = 0;
	child->is_killed = false;
	ipc_pair(fds);
	child->pid = master_spawn_find(m->settings, child->role, path, &err)
			     ? master_spawn(m->settings, path, child->role, fds[1], &err)
			     : -1;
	fd_close(&fds[1]);
	if (child->pid < 0) {
		fd_close(&fds[0]);
		child->pid = 0;
		log_error(NULL, "master.child.cannot_start", log_text("child", role_name(child->role)),
			  log_text("reason", err.text));
		wait_and_restart(child);
		return;
	}
	enter(child, MASTER_CHILD_STARTING);
	child->control = ipc_peer_new(m->loop, fds[0], ROLE_MASTER, child->role, child->slot, &events, child);
	log_info(NULL, "master.child.started", log_text("child", role_name(child->role)),
		 log_uint("slot", child->slot), log_int("child_pid", child->pid));
	send_settings(child);
	send_numbers(child, IPC_METRICS, child->part, true, child->slot, m->metrics_fd);
	send_listeners(child);
	if (child->role == ROLE_SMTPD)
		master_tickets_send(m->tickets, child->control);
	send_identity(child);
	master_link_introduce(m->children->links, child);
	send_go(child);
}

static void log_end(const struct master_child *child, int status)
{
	bool is_signal = WIFSIGNALED(status);
	const char *how = is_signal ? strsignal(WTERMSIG(status)) : "";
	bool is_expected =
		status == 0 && (child->state == MASTER_CHILD_DRAINING || master_is_ending(child->master));

	log_write(NULL, is_expected ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, "master.child.ended",
		  (const struct log_field[]){log_text("child", role_name(child->role)),
					     log_uint("slot", child->slot), log_int("child_pid", child->pid),
					     log_int("exit_status", is_signal ? -1 : WEXITSTATUS(status)),
					     log_int("signal", is_signal ? WTERMSIG(status) : 0),
					     log_text("how", how), {0}});
}

static void ended(struct master_child *child, int status)
{
	struct master_children *c = child->master->children;

	log_end(child, status);
	child->pid = 0;
	child->gos = 0;
	ipc_peer_free(&child->control);
	metrics_clear_gauges(child->part);
	master_ask_gone(child->master, child);
	if (child->role == ROLE_CERT_RENEWER) /* the next one says it anew */
		master_notice_set(&child->master->notices, MASTER_NOTICE_CERT_RENEWER, STR(""));
	/* At the end of all it may have been told to end by others: a service manager that signals every process. */
	if (c->is_retired[child->role] || (master_is_ending(c->master) && status == 0)) {
		enter(child, MASTER_CHILD_GONE);
		c->events->on_gone(c->master);
	} else {
		wait_and_restart(child);
		note_ready(c);
	}
}

static struct master_child *find(struct master_children *c, pid_t pid)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->child[i].pid == pid)
			return &c->child[i];
	return NULL;
}

static void on_sigchld(void *ctx)
{
	struct master_children *c = ctx;
	int status;
	pid_t pid;

	/* As the first process of a container we may be given others' orphans: they are reaped and forgotten. */
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct master_child *child = find(c, pid);

		if (child != NULL)
			ended(child, status);
		else
			c->events->on_other(c->master, pid, status);
	}
}

/* Counts unanswered questions, not time: when master itself was held up, nobody else is to blame. */
static void ping(void *ctx)
{
	struct master_children *c = ctx;

	loop_timer_set(c->ping, ping_every);
	master_expiry_measure(c->master);
	for (size_t i = 0; i < c->n; i++) {
		struct master_child *child = &c->child[i];

		if (child->control == NULL)
			continue;
		/* One that is starting reads only when it is done: a journal may take its time. */
		if (child->pings >= PINGS_UNANSWERED * (child->state == MASTER_CHILD_STARTING ? 10U : 1U)) {
			kill_child(child, "it does not answer");
			continue;
		}
		child->pings++;
		ipc_send(child->control, IPC_PING, 0, STR(""), -1);
	}
}

/* ---- The end ---- */

void master_children_drain(struct master_children *c, enum role role, int64_t limit)
{
	c->is_retired[role] = true;
	for (size_t i = 0; i < c->n; i++) {
		struct master_child *child = &c->child[i];

		if (child->role != role)
			continue;
		if (child->pid == 0) {
			loop_timer_stop(child->timer);
			enter(child, MASTER_CHILD_GONE);
		} else if (child->control != NULL) {
			enter(child, MASTER_CHILD_DRAINING);
			send_numbers(child, IPC_DRAIN, (uint32_t)(limit / CLOCK_MS), false, 0, -1);
		}
	}
}

void master_children_kill(struct master_children *c, enum role role, const char *why)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->child[i].role == role)
			kill_child(&c->child[i], why);
}

bool master_children_are_gone(const struct master_children *c, enum role role)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->child[i].role == role && c->child[i].state != MASTER_CHILD_GONE)
			return false;
	return true;
}

void master_children_reload(struct master_children *c, bool with_identity)
{
	c->is_reloading = true;
	for (size_t i = 0; i < c->n; i++) {
		if (c->child[i].control == NULL)
			continue;
		send_settings(&c->child[i]);
		if (with_identity)
			send_identity(&c->child[i]);
		send_go(&c->child[i]);
	}
	note_ready(c);
}

void master_children_hand_acme(struct master_children *c, unsigned which)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->child[i].role == ROLE_CERT_RENEWER && c->child[i].control != NULL)
			send_acme(&c->child[i], which);
}

void master_children_hand_identity(struct master_children *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->child[i].control != NULL)
			send_identity(&c->child[i]);
}

/* ---- The table ---- */

static size_t how_many(const struct settings *settings, enum role role)
{
	if (role == ROLE_SMTPD)
		return (size_t)settings->smtpd.workers;
	if (role == ROLE_DELIVER)
		return (size_t)settings->deliver.agents;
	return 1;
}

struct master_children *master_children_new(struct master *master,
					    const struct master_children_events *events)
{
	struct master_children *c = mem_zero(sizeof(*c));
	size_t total = 0;

	c->master = master;
	c->events = events;
	for (size_t i = 0; i < ORDER; i++)
		total += how_many(master->settings, order[i]);
	must(total < METRICS_PARTS);
	c->child = mem_array(total, sizeof(*c->child));
	for (size_t i = 0; i < ORDER; i++)
		for (size_t slot = 0; slot < how_many(master->settings, order[i]); slot++) {
			struct master_child *child = &c->child[c->n++];

			child->master = master;
			child->role = order[i];
			child->slot = (unsigned)slot;
			child->part = (unsigned)c->n; /* master's own is 0 */
			child->timer = loop_timer_new(master->loop, start_again, child);
		}
	c->links = master_link_new(master->loop, c->child, c->n);
	c->ping = loop_timer_new(master->loop, ping, c);
	return c;
}

void master_children_start(struct master_children *c)
{
	loop_on_signal(c->master->loop, SIGCHLD, on_sigchld, c);
	loop_timer_set(c->ping, ping_every);
	for (size_t i = 0; i < c->n; i++)
		spawn(&c->child[i]);
}

void master_children_free(struct master_children **children)
{
	struct master_children *c = *children;

	if (c == NULL)
		return;
	for (size_t i = 0; i < c->n; i++) {
		ipc_peer_free(&c->child[i].control);
		loop_timer_free(&c->child[i].timer);
	}
	master_link_free(&c->links);
	loop_timer_free(&c->ping);
	free(c->child);
	mem_free(children);
}
