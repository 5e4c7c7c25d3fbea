/* SPDX-License-Identifier: Apache-2.0
 *
 * Leases on shards: renewing, taking over, evening out between hosts, noticing changes.
 */
#include "qmgr/qmgr_lease.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/random.h"
#include "lib/base/trouble.h"
#include "lib/service/metrics.h"
#include "qmgr/qmgr.h"
#include "qmgr/qmgr_sql.h"

/* The parts of the lease after which it is renewed, and at whose last one sending stops. */
enum { LEASE_PARTS = 5 };

#define RIVAL_SAID_EVERY (60 * CLOCK_SECOND)

void qmgr_lease_init(struct qmgr *q, const char *owner, const char *place)
{
	str_copy(str_of(owner), q->lease.owner, sizeof(q->lease.owner));
	str_copy(str_of(place), q->lease.place, sizeof(q->lease.place));
	random_fill(&q->lease.nonce, sizeof(q->lease.nonce));
}

struct qmgr_lease_plan qmgr_lease_plan(unsigned ours, unsigned free, unsigned hosts)
{
	unsigned part = (QMGR_SHARDS + hosts - 1) / hosts;
	struct qmgr_lease_plan plan = {0, 0};

	if (ours > part)
		plan.give = ours - part;
	else
		plan.take = part - ours < free ? part - ours : free;
	return plan;
}

bool qmgr_lease_is_ours(const struct qmgr *q, unsigned shard)
{
	return q->lease.shard[shard].is_ours && !q->lease.shard[shard].is_leaving;
}

bool qmgr_lease_is_safe(const struct qmgr *q, int64_t mono)
{
	return mono < q->lease.safe_until;
}

int64_t qmgr_lease_epoch(const struct qmgr *q, unsigned shard)
{
	return q->lease.shard[shard].epoch;
}

int qmgr_lease_pick(struct qmgr *q)
{
	struct qmgr_lease *l = &q->lease;

	if (l->is_unsure || l->must_retake || l->is_taking)
		return -1;
	for (unsigned i = 0; i < QMGR_SHARDS; i++) {
		unsigned shard = (l->turn + i) % QMGR_SHARDS;

		if (qmgr_lease_is_ours(q, shard)) {
			l->turn = shard + 1;
			return (int)shard;
		}
	}
	return -1;
}

void qmgr_lease_doubt(struct qmgr *q)
{
	q->lease.is_unsure = true;
	q->lease.next_at = 0;
}

void qmgr_lease_retake(struct qmgr *q)
{
	q->lease.must_retake = true;
	q->lease.next_at = 0;
}

/* Forgets what waits to be sent from it; what is under way stays until its outcome is recorded. */
static void forget_waiting(struct qmgr *q, unsigned shard)
{
	struct qmgr_message *m = q->messages.shard[shard];

	while (m != NULL) {
		struct qmgr_message *next = m->next;

		if (m->state == QMGR_SCHEDULED)
			qmgr_message_drop(q, m);
		m = next;
	}
}

static void lose_shard(struct qmgr *q, unsigned shard)
{
	struct qmgr_shard *s = &q->lease.shard[shard];

	if (s->is_ours)
		q->lease.n_ours--;
	s->is_ours = s->is_leaving = false;
	forget_waiting(q, shard);
}

static void give_shards(struct qmgr *q, unsigned n)
{
	for (unsigned i = QMGR_SHARDS; i > 0 && n > 0; i--) {
		if (!qmgr_lease_is_ours(q, i - 1))
			continue;
		q->lease.shard[i - 1].is_leaving = true;
		forget_waiting(q, i - 1);
		n--;
	}
}

static void put_held(const struct qmgr *q, struct pg_params *p, bool only_leaving)
{
	const struct qmgr_shard *shard = q->lease.shard;

	pg_open_array(p, PG_INT4);
	for (unsigned i = 0; i < QMGR_SHARDS; i++)
		if (shard[i].is_ours && (!only_leaving || shard[i].is_leaving))
			pg_put_int4(p, (int32_t)i);
	pg_close_array(p);
	pg_open_array(p, PG_INT8);
	for (unsigned i = 0; i < QMGR_SHARDS; i++)
		if (shard[i].is_ours && (!only_leaving || shard[i].is_leaving))
			pg_put_int8(p, shard[i].epoch);
	pg_close_array(p);
}

static void on_released(void *ctx, enum pg_status status, const struct pg_result *result,
			const struct err *err)
{
	/* Not given up in time: the lease ends by itself. */
	(void)ctx, (void)result;
	if (status != PG_OK)
		log_warn(NULL, "qmgr.lease.unreleased", log_text("why", err->text));
}

/* Gives away the leaving shards that nothing is under way from. */
static void release_leaving(struct qmgr *q)
{
	struct pg_params *p = pg_params_new();
	bool is_any = false;

	for (unsigned i = 0; i < QMGR_SHARDS; i++) {
		struct qmgr_shard *s = &q->lease.shard[i];

		if (s->is_leaving && (q->messages.n_shard[i] > 0 || qmgr_intake_writes_to(q, i)))
			return; /* all together, later */
		is_any = is_any || s->is_leaving;
	}
	if (is_any) {
		pg_put_text(p, str_of(q->lease.owner));
		put_held(q, p, true);
		pg_run(q->control_pg, QMGR_SQL_RELEASE, p, on_released, q);
		for (unsigned i = 0; i < QMGR_SHARDS; i++)
			if (q->lease.shard[i].is_leaving)
				lose_shard(q, i);
		log_info(NULL, "qmgr.lease.given", log_uint("shards_left", q->lease.n_ours));
	}
	pg_params_free(&p);
}

static int64_t lease_time(const struct qmgr *q)
{
	return q->env->settings->queue.lease;
}

static void renewed_at(struct qmgr *q, int64_t sent_at)
{
	int64_t until = sent_at + lease_time(q) - lease_time(q) / LEASE_PARTS;

	if (until > q->lease.safe_until)
		q->lease.safe_until = until;
}

static void on_taken(void *ctx, enum pg_status status, const struct pg_result *result,
		     const struct err *err)
{
	struct qmgr *q = ctx;
	struct qmgr_lease *l = &q->lease;

	l->is_taking = false;
	if (status != PG_OK) {
		log_warn(NULL, "qmgr.lease.untaken", log_text("why", err->text));
		l->must_retake = true;
		return;
	}
	for (unsigned row = 0; row < pg_rows(result); row++) {
		unsigned shard = (unsigned)pg_int4(result, row, 0);
		int64_t epoch = pg_int8(result, row, 1);
		struct qmgr_shard *s = &l->shard[shard];
		/* Nobody had it in between: what we know of it is all there is. */
		bool is_known = s->is_ours && pg_bool(result, row, 3) && epoch == s->epoch + 1;

		must(shard < QMGR_SHARDS);
		if (!s->is_ours)
			l->n_ours++;
		if (!is_known) {
			forget_waiting(q, shard);
			qmgr_scan_want(q, shard);
		}
		s->is_ours = true;
		s->epoch = epoch;
		s->wake = pg_int8(result, row, 2);
	}
	l->is_settled = true;
	log_info(NULL, "qmgr.lease.taken", log_uint("taken", pg_rows(result)),
		 log_uint("shards", l->n_ours));
	qmgr_intake_withdraw(q);
	qmgr_scan_tick(q);
	qmgr_intake_pump(q);
	qmgr_outcome_pump(q);
	qmgr_dispatch_pump(q);
}

/* Is nobody's, or its owner has had the time to come back. */
static bool is_free(const struct qmgr *q, const struct pg_result *result, unsigned row)
{
	bool is_given_up = pg_bool(result, row, 8);

	return pg_bool(result, row, 2) && (is_given_up || clock_mono() >= q->lease.patient_until);
}

/* Takes `n` free shards, and our own again when their epoch must be counted up. */
static void take(struct qmgr *q, const struct pg_result *result, unsigned n)
{
	struct pg_params *p = pg_params_new();
	unsigned wanted = 0;

	pg_put_text(p, str_of(q->lease.owner));
	pg_put_int8(p, lease_time(q));
	pg_open_array(p, PG_INT4);
	for (unsigned row = 0; row < pg_rows(result); row++) {
		unsigned shard = (unsigned)pg_int4(result, row, 0);
		bool is_mine = pg_bool(result, row, 1);

		if (q->lease.shard[shard].is_ours ? !q->lease.must_retake
						  : !(is_mine || is_free(q, result, row)))
			continue;
		if (!q->lease.shard[shard].is_ours) {
			if (n == 0)
				continue;
			n--;
		}
		pg_put_int4(p, (int32_t)shard);
		wanted++;
	}
	pg_close_array(p);
	pg_put_uuid(p, &q->lease.nonce);
	q->lease.must_retake = false;
	q->lease.is_settled = q->lease.is_settled || wanted == 0;
	if (wanted > 0) {
		q->lease.is_taking = true;
		pg_run(q->control_pg, QMGR_SQL_TAKE, p, on_taken, q);
	}
	pg_params_free(&p);
}

static void look_at_row(struct qmgr *q, const struct pg_result *result, unsigned row,
			unsigned *n_free)
{
	unsigned shard = (unsigned)pg_int4(result, row, 0);
	bool is_mine = pg_bool(result, row, 1);
	bool is_renewed = pg_bool(result, row, 3);
	int64_t wake = pg_int8(result, row, 5);
	struct qmgr_shard *s = &q->lease.shard[shard];

	must(shard < QMGR_SHARDS);
	if (s->is_ours && !is_renewed) {
		log_warn(NULL, "qmgr.lease.lost", log_uint("shard", shard));
		lose_shard(q, shard);
	}
	if (s->is_ours && s->wake != wake) {
		s->wake = wake;
		qmgr_scan_want(q, shard);
	}
	*n_free += !s->is_ours && (is_mine || is_free(q, result, row));
}

static void say_rival(struct qmgr *q, struct str name)
{
	int64_t now = clock_mono();

	if (q->lease.rival_said_at != 0 && now - q->lease.rival_said_at < RIVAL_SAID_EVERY)
		return;
	q->lease.rival_said_at = now;
	log_error(NULL, "qmgr.lease.host_id_twice", log_text("host_id", q->lease.owner), log_str("other", name),
		  log_text("why", "another host has the same host id: one of them is a copy of the other"),
		  log_text("effect", "this one takes no mail into the queue and sends none of it"),
		  log_text("mend", "stop one of them, remove host_id from its instance.state_dir, start it"));
}

/* Another process is this host. Only what is under way goes on. */
static void yield(struct qmgr *q, struct str name, int64_t seen_at)
{
	struct qmgr_lease *l = &q->lease;

	/* What a new process finds may be left by one that died a moment ago elsewhere (a container that was moved): it waits for
	 * the end of that one's lease, unless that one is seen again. */
	if (l->was_host || (l->rival_seen_at != 0 && l->rival_seen_at != seen_at))
		say_rival(q, name);
	l->rival_seen_at = seen_at;
	l->is_host = false;
	l->safe_until = 0;
	l->must_retake = true;
	for (unsigned i = 0; i < QMGR_SHARDS; i++)
		if (l->shard[i].is_ours)
			lose_shard(q, i);
	metrics_set(METRIC_QUEUE_HOST_ID_TWICE, 1);
	qmgr_outcome_pump(q);
}

/* False: we are not this host now. */
static bool look_at_host(struct qmgr *q, const struct pg_result *result)
{
	struct qmgr_lease *l = &q->lease;

	if (pg_rows(result) > 0 && !pg_bool(result, 0, 9)) {
		yield(q, pg_text(result, 0, 10), pg_is_null(result, 0, 11) ? 0 : pg_time(result, 0, 11));
		return false;
	}
	if (!l->is_host && l->rival_said_at != 0)
		log_info(NULL, "qmgr.lease.host_id_free", log_text("host_id", l->owner));
	if (!l->is_host)
		metrics_set(METRIC_QUEUE_HOST_ID_TWICE, 0);
	l->is_host = l->was_host = true;
	l->rival_seen_at = l->rival_said_at = 0;
	return true;
}

static void on_looked(void *ctx, enum pg_status status, const struct pg_result *result,
		      const struct err *err)
{
	struct qmgr *q = ctx;
	struct qmgr_lease *l = &q->lease;
	struct qmgr_lease_plan plan;
	unsigned n_free = 0, hosts;

	l->is_asking = false;
	if (status != PG_OK) {
		log_warn(NULL, "qmgr.lease.unrenewed", log_text("why", err->text));
		return;
	}
	l->is_unsure = false;
	if (!look_at_host(q, result))
		return;
	/* The database was away (or we were): then the others could not renew either, and what they have sent
	 * since may not be recorded yet. A host that lives is back within its lease's time. */
	if (clock_mono() >= l->safe_until)
		l->patient_until = clock_mono() + lease_time(q);
	for (unsigned row = 0; row < pg_rows(result); row++)
		look_at_row(q, result, row, &n_free);
	renewed_at(q, l->asked_at);
	hosts = pg_rows(result) == 0 ? 1 : (unsigned)pg_int8(result, 0, 7) + 1;
	plan = qmgr_lease_plan(l->n_ours, n_free, hosts);
	if (plan.give > 0)
		give_shards(q, plan.give);
	if (plan.take > 0 || l->must_retake)
		take(q, result, plan.take);
	release_leaving(q);
	if (pg_rows(result) > 0 && pg_int8(result, 0, 6) != l->generation) {
		l->generation = pg_int8(result, 0, 6);
		qmgr_tenant_load(q);
	}
	qmgr_scan_tick(q);
	qmgr_intake_pump(q);
	qmgr_outcome_pump(q);
	qmgr_dispatch_pump(q);
}

void qmgr_lease_tick(struct qmgr *q)
{
	struct qmgr_lease *l = &q->lease;
	int64_t now = clock_mono();
	struct pg_params *p;

	if (l->is_asking || l->is_taking || now < l->next_at || !pg_is_up(q->control_pg))
		return;
	l->next_at = now + lease_time(q) / LEASE_PARTS;
	l->is_asking = true;
	l->asked_at = now;
	p = pg_params_new();
	pg_put_text(p, str_of(l->owner));
	pg_put_text(p, str_of(q->env->host_name));
	pg_put_int8(p, lease_time(q));
	put_held(q, p, false);
	pg_put_uuid(p, &l->nonce);
	pg_put_text(p, str_of(l->place));
	pg_put_bool(p, !l->was_host);
	pg_run(q->control_pg, QMGR_SQL_RENEW, p, on_looked, q);
	pg_params_free(&p);
}

struct farewell {
	struct qmgr *q;
	void (*fn)(struct qmgr *q);
};

static void on_farewell(void *ctx, enum pg_status status, const struct pg_result *result,
			const struct err *err)
{
	struct farewell farewell = *(struct farewell *)ctx;

	free(ctx);
	on_released(farewell.q, status, result, err);
	farewell.fn(farewell.q);
}

void qmgr_lease_release_all(struct qmgr *q, void (*fn)(struct qmgr *q))
{
	struct farewell *farewell = mem_zero(sizeof(*farewell));
	struct pg_params *p = pg_params_new();

	farewell->q = q;
	farewell->fn = fn;
	pg_put_text(p, str_of(q->lease.owner));
	put_held(q, p, false);
	pg_put_uuid(p, &q->lease.nonce);
	pg_run(q->control_pg, QMGR_SQL_LEAVE, p, on_farewell, farewell);
	pg_params_free(&p);
}
