/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes and ends the queue manager's state, its connections to the database, its clock, and its
 * orderly end.
 */
#include "qmgr/qmgr.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/service/metrics.h"
#include "qmgr/qmgr_sql.h"

#define TICK (250 * CLOCK_MS)
#define DRAIN_TIME (10 * CLOCK_SECOND)
#define PARTITIONS_EVERY (3600 * CLOCK_SECOND)
#define COUNT_EVERY (30 * CLOCK_SECOND)

static void on_state(void *ctx, bool is_up, const char *why)
{
	struct qmgr *q = ctx;

	if (!is_up) {
		/* Once an outage, not once an attempt of each connection. */
		if (!q->is_away)
			log_warn(NULL, "qmgr.database.away", log_text("why", why));
		q->is_away = true;
		return;
	}
	/* What an earlier connection still does is fenced off before anything is read or sent. */
	qmgr_lease_retake(q);
	qmgr_lease_tick(q);
}

static void on_intake_state(void *ctx, bool is_up, const char *why)
{
	struct qmgr_intake_connection *c = ctx;

	on_state(c->q, is_up, why);
}

static void on_partitions(void *ctx, enum pg_status status, const struct pg_result *result,
			  const struct err *err)
{
	struct qmgr *q = ctx;

	(void)result;
	if (status == PG_OK)
		return;
	log_error(NULL, "qmgr.partitions.failed", log_text("why", err->text));
	q->partitions_at = clock_mono() + 60 * CLOCK_SECOND;
}

static void on_forgotten(void *ctx, enum pg_status status, const struct pg_result *result,
			 const struct err *err)
{
	(void)ctx, (void)result;
	if (status != PG_OK)
		log_warn(NULL, "qmgr.hosts.unforgotten", log_text("why", err->text));
}

static void make_partitions(struct qmgr *q, int64_t now)
{
	if (now < q->partitions_at || !pg_is_up(q->control_pg))
		return;
	q->partitions_at = now + PARTITIONS_EVERY;
	pg_run(q->control_pg, QMGR_SQL_PARTITIONS, NULL, on_partitions, q);
	pg_run(q->control_pg, QMGR_SQL_FORGET_HOSTS, NULL, on_forgotten, q);
}

static void on_control_state(void *ctx, bool is_up, const char *why)
{
	struct qmgr *q = ctx;

	metrics_set(METRIC_QUEUE_DATABASE_UP, is_up);
	if (is_up) {
		q->is_away = false;
		log_info(NULL, "qmgr.database.up");
		/* Before any lease, and so before any mail: what once is in the default partition keeps its
		 * day's own from being made. */
		make_partitions(q, clock_mono());
	}
	on_state(q, is_up, why);
}

/* It is said of the others. */
static void on_keep_state(void *ctx, bool is_up, const char *why)
{
	(void)ctx;
	(void)is_up;
	(void)why;
}

static void connect_all(struct qmgr *q)
{
	const struct settings *s = q->env->settings;
	struct pg_options options = {
		.host = q->env->database_host,
		.name = s->database.name,
		.user = "smtp_proxy_queue",
		.password = s->database.queue_password,
		.ca_file = q->env->database_ca_file,
		.application = "smtp-proxy qmgr",
		.port = (uint16_t)s->database.port,
		.sslmode = s->database.sslmode,
		.connect_timeout = 5 * CLOCK_SECOND,
		.statement_timeout = 15 * CLOCK_SECOND,
	};

	q->control_pg = pg_new(q->loop, &options, on_control_state, q);
	q->outcome_pg = pg_new(q->loop, &options, on_state, q);
	for (unsigned i = 0; i < QMGR_INTAKE_CONNECTIONS; i++)
		q->intake.connection[i].pg =
			pg_new(q->loop, &options, on_intake_state, &q->intake.connection[i]);
	qmgr_keep_start(q, pg_new(q->loop, &options, on_keep_state, NULL));
	qmgr_report_start(q);
}

static void on_count(void *ctx, enum pg_status status, const struct pg_result *result,
		     const struct err *err)
{
	struct qmgr *q = ctx;

	(void)err;
	if (status == PG_OK && pg_rows(result) == 1)
		q->n_rows = pg_int8(result, 0, 0) - (int64_t)qmgr_message_queued(q);
}

/* The depth is what memory holds, and what it did not hold when the rows were counted last. */
static void count_rows(struct qmgr *q, int64_t now)
{
	int64_t depth = (int64_t)qmgr_message_queued(q) + (q->n_rows > 0 ? q->n_rows : 0);
	struct pg_params *p;

	metrics_set(METRIC_QUEUE_DEPTH, depth);
	qmgr_front_press(q, depth);
	if (now < q->count_at || !pg_is_up(q->control_pg))
		return;
	q->count_at = now + COUNT_EVERY;
	p = pg_params_new();
	pg_open_array(p, PG_INT4);
	for (unsigned i = 0; i < QMGR_SHARDS; i++)
		if (qmgr_lease_is_ours(q, i))
			pg_put_int4(p, (int32_t)i);
	pg_close_array(p);
	pg_run(q->control_pg, QMGR_SQL_COUNT, p, on_count, q);
	pg_params_free(&p);
}

static void leave(struct qmgr *q)
{
	service_exit(q->env);
}

/* Everything that was begun is recorded, or has had its time. */
static void drain_further(struct qmgr *q, int64_t now)
{
	bool is_done =
		qmgr_intake_is_idle(q) && qmgr_direct_is_idle(q) && qmgr_dispatch_is_still(q) && qmgr_outcome_is_idle(q);

	if (q->drain_until == 0 || q->is_over || (!is_done && now < q->drain_until))
		return;
	q->is_over = true;
	log_info(NULL, "qmgr.drained", log_bool("is_complete", is_done),
		 log_uint("under_way", q->dispatch.n_jobs));
	/* The others need not wait for our lease to end; unless an agent's journal may still tell
	 * us something. */
	if (is_done && qmgr_dispatch_is_idle(q) && q->has_database)
		qmgr_lease_release_all(q, leave);
	else
		leave(q);
}

static void on_tick(void *ctx)
{
	struct qmgr *q = ctx;
	int64_t now = clock_mono();

	loop_timer_set(q->tick, TICK);
	drain_further(q, now);
	if (q->is_over)
		return;
	qmgr_provider_tick(q);
	qmgr_dispatch_tick(q);
	if (!q->has_database)
		return;
	qmgr_lease_tick(q);
	qmgr_intake_tick(q);
	qmgr_scan_tick(q);
	qmgr_waiting_tick(q);
	qmgr_outcome_tick(q);
	make_partitions(q, now);
	count_rows(q, now);
}

struct qmgr *qmgr_new(struct service_env *env, const char *owner, const char *place, unsigned agents)
{
	struct qmgr *q = mem_zero(sizeof(*q));

	q->env = env;
	q->has_database = env->settings->database.host[0] != '\0';
	q->has_tenants = q->has_database && env->settings->gate.users == GATE_USERS_DATABASE;
	q->loop = env->loop;
	qmgr_lease_init(q, owner, place);
	qmgr_schedule_init(&q->schedule);
	qmgr_message_init(q);
	qmgr_tenant_init(q);
	qmgr_provider_init(q);
	qmgr_tenant_follow_settings(q);
	qmgr_intake_init(q);
	qmgr_direct_init(q);
	qmgr_keys_init(q);
	qmgr_keep_init(q);
	qmgr_report_init(q);
	qmgr_outcome_init(q);
	qmgr_dispatch_init(q, agents);
	q->tick = loop_timer_new(q->loop, on_tick, q);
	return q;
}

static void free_now(void *ctx)
{
	free(ctx);
}

void qmgr_free(struct qmgr **qmgr)
{
	struct qmgr *q = *qmgr;

	*qmgr = NULL;
	if (q == NULL)
		return;
	q->is_over = true;
	loop_timer_free(&q->tick);
	pg_free(&q->control_pg);
	pg_free(&q->outcome_pg);
	qmgr_keep_clear(q);
	qmgr_report_clear(q);
	qmgr_front_clear(q);
	qmgr_share_clear(q);
	qmgr_intake_clear(q);
	qmgr_outcome_clear(q);
	qmgr_dispatch_clear(q);
	qmgr_direct_clear(q);
	qmgr_keys_clear(q);
	qmgr_part_clear(q);
	q->scan.is_running = false;
	qmgr_message_clear(q);
	qmgr_tenant_clear(q);
	qmgr_provider_clear(q);
	qmgr_schedule_clear(&q->schedule);
	/* After what was put off to the end of this turn. */
	loop_later(q->loop, free_now, q);
}

void qmgr_go(struct qmgr *q)
{
	q->count_at = clock_mono() + 2 * CLOCK_SECOND;
	if (q->has_database)
		connect_all(q);
	else
		log_info(NULL, "qmgr.database.none", log_text("effect", "nothing is stored"));
	loop_timer_set(q->tick, TICK);
}

void qmgr_on_peer(struct qmgr *q, enum role role, unsigned slot, int fd)
{
	if (role == ROLE_SMTPD)
		qmgr_front_on_peer(q, slot, fd);
	else if (role == ROLE_CERT_RENEWER)
		qmgr_share_on_peer(q, slot, fd);
	else
		qmgr_dispatch_on_peer(q, slot, fd);
}

void qmgr_on_reload(struct qmgr *q)
{
	qmgr_provider_follow_settings(q);
	qmgr_tenant_follow_settings(q);
	qmgr_dispatch_follow_settings(q);
}

void qmgr_drain(struct qmgr *q)
{
	q->drain_until = clock_mono() + DRAIN_TIME;
	qmgr_direct_drain(q);
	loop_timer_set(q->tick, 0);
}
