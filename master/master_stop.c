/* SPDX-License-Identifier: Apache-2.0
 *
 * Stages, each with a limit: a stage begins when all children of the one before have ended, by themselves or by
 * force.
 */
#include "master/master_stop.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/service/metrics.h"
#include "master/master_children.h"
#include "master/master_notify.h"

/* Those who give work first; qmgr after the agents whose outcomes it still records. */
static const struct {
	enum role role;
	unsigned stage;
} order[] = {
	{ROLE_SMTPD, 0}, {ROLE_GATE, 1}, {ROLE_DELIVER, 1}, {ROLE_CERT_RENEWER, 1}, {ROLE_QMGR, 2}, {ROLE_API, 3},
};
enum { ORDER = sizeof(order) / sizeof(order[0]), STAGES = 4 };

static const int64_t stage_limit = 30 * CLOCK_SECOND;
/* What ends its work in time by itself need not be killed on the tick. */
static const int64_t grace = 10 * CLOCK_SECOND;

struct master_stop {
	struct master *master;
	void (*on_gone)(struct master *master);
	struct loop_timer *timer;
	unsigned stage;
	bool is_begun; /* the stage's children have been told */
};

const char *master_stop_state_name(enum master_state state)
{
	static const char *const names[] = {"running", "draining", "drained", "stopping", "upgrading"};

	return names[state];
}

/* How long a role's children have to finish. */
static int64_t limit_of(const struct master *m, enum role role)
{
	const struct settings *s = m->settings;
	if (role == ROLE_SMTPD)
		return m->state == MASTER_UPGRADING ? s->smtpd.upgrade_time : s->smtpd.drain_time;
	/* A call to a provider may take its whole time; its outcome is worth the wait. */
	return role == ROLE_DELIVER ? s->deliver.drain_time : stage_limit;
}

static void kill_stage(void *ctx)
{
	struct master_stop *stop = ctx;

	for (size_t i = 0; i < ORDER; i++)
		if (order[i].stage == stop->stage)
			master_children_kill(stop->master->children, order[i].role, "it took too long to stop");
}

static void begin_stage(struct master_stop *stop)
{
	int64_t longest = 0;

	stop->is_begun = true;
	for (size_t i = 0; i < ORDER; i++) {
		int64_t limit = limit_of(stop->master, order[i].role);

		if (order[i].stage != stop->stage)
			continue;
		master_children_drain(stop->master->children, order[i].role, limit);
		longest = limit > longest ? limit : longest;
	}
	loop_timer_set(stop->timer, longest + grace);
}

static bool stage_is_over(const struct master_stop *stop)
{
	for (size_t i = 0; i < ORDER; i++)
		if (order[i].stage == stop->stage &&
		    !master_children_are_gone(stop->master->children, order[i].role))
			return false;
	return true;
}

static void all_gone(void *ctx)
{
	struct master_stop *stop = ctx;

	stop->on_gone(stop->master);
}

static void advance(struct master_stop *stop)
{
	struct master *m = stop->master;

	while (stop->is_begun && stage_is_over(stop)) {
		loop_timer_stop(stop->timer);
		if (m->state == MASTER_DRAINING || m->state == MASTER_DRAINED) {
			if (m->state == MASTER_DRAINING)
				log_info(NULL, "master.drained");
			m->state = MASTER_DRAINED;
			return;
		}
		if (stop->stage + 1 == STAGES) {
			stop->is_begun = false;
			loop_later(m->loop, all_gone, stop);
			return;
		}
		stop->stage++;
		begin_stage(stop);
	}
}

/* Says once that the sessions are being ended, whatever the reason. */
static void begin(struct master_stop *stop, enum master_state state)
{
	bool is_draining = stop->is_begun;

	stop->master->state = state;
	if (!is_draining) {
		log_info(NULL, "master.draining", log_text("text", "Entering connection draining mode"),
			 log_int("sessions", metrics_sum(METRIC_ACTIVE_CONNECTIONS, 0)),
			 log_ms("limit_ms", limit_of(stop->master, ROLE_SMTPD)));
		metrics_set(METRIC_ACCEPTING, 0);
		begin_stage(stop);
	}
	advance(stop);
}

void master_stop_front(struct master_stop *stop)
{
	struct master *m = stop->master;

	if (m->state != MASTER_RUNNING)
		return;
	/* With the workers' own copies closed too, new clients are refused at once and go elsewhere. */
	master_listen_close_front(&m->listen);
	begin(stop, MASTER_DRAINING);
}

void master_stop_all(struct master_stop *stop)
{
	struct master *m = stop->master;

	if (m->state == MASTER_STOPPING) {
		for (size_t i = 0; i < ORDER; i++) {
			master_children_drain(m->children, order[i].role, 0);
			master_children_kill(m->children, order[i].role, "told twice to stop");
		}
		return;
	}
	log_info(NULL, "master.stopping");
	master_notify_stopping();
	master_listen_close(&m->listen);
	begin(stop, MASTER_STOPPING);
}

void master_stop_upgrade(struct master_stop *stop)
{
	begin(stop, MASTER_UPGRADING);
}

void master_stop_note_gone(struct master_stop *stop)
{
	advance(stop);
}

struct master_stop *master_stop_new(struct master *master, void (*on_gone)(struct master *master))
{
	struct master_stop *stop = mem_zero(sizeof(*stop));

	stop->master = master;
	stop->on_gone = on_gone;
	stop->timer = loop_timer_new(master->loop, kill_stage, stop);
	return stop;
}

void master_stop_free(struct master_stop **stop)
{
	if (*stop == NULL)
		return;
	loop_timer_free(&(*stop)->timer);
	mem_free(stop);
}
