/* SPDX-License-Identifier: Apache-2.0
 *
 * Message -> group commit -> answer. What is stored and what is not is never guessed: a
 * commit whose answer was lost is run again (it stores each id once), and when the client could not
 * wait for that, the message is withdrawn before anything is read from the table.
 */
#include "qmgr/qmgr_intake.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/ipc/ipc_body.h"
#include "lib/service/metrics.h"
#include "qmgr/qmgr.h"
#include "qmgr/qmgr_sql.h"

enum {
	BATCH_BYTES = 8 << 20,
	PENDING_BYTES = 256 << 20, /* of messages that wait for their commit */
	ARRAY_TEXT = 1 << 20,
};

#define ANSWER_WITHIN (20 * CLOCK_SECOND)
#define START_GRACE (5 * CLOCK_SECOND)
struct qmgr_submission {
	struct qmgr_submission *next;
	struct qmgr_asker asker;
	struct uuid id;
	struct qmgr_body *body;
	int64_t bytes;
	int64_t came_at; /* monotonic */
	bool is_answered;
	bool is_stored; /* and that was the answer */
	uint64_t tried; /* bit n: was in a commit into shard n whose answer was lost */
};

struct qmgr_batch {
	struct qmgr_submissions in;
	unsigned shard;
	int64_t sent_at;
};

static void list_init(struct qmgr_submissions *list)
{
	*list = (struct qmgr_submissions){.last = &list->first};
}

static void list_add(struct qmgr_submissions *list, struct qmgr_submission *s)
{
	s->next = NULL;
	*list->last = s;
	list->last = &s->next;
	list->n++;
	list->bytes += s->bytes;
}

static struct qmgr_submission *list_take(struct qmgr_submissions *list)
{
	struct qmgr_submission *s = list->first;

	if (s == NULL)
		return NULL;
	list->first = s->next;
	if (list->first == NULL)
		list->last = &list->first;
	list->n--;
	list->bytes -= s->bytes;
	return s;
}

/* Puts all of `from` before what is in `list`. */
static void list_put_first(struct qmgr_submissions *list, struct qmgr_submissions *from)
{
	struct qmgr_submissions all;

	list_init(&all);
	for (struct qmgr_submission *s; (s = list_take(from)) != NULL;)
		list_add(&all, s);
	for (struct qmgr_submission *s; (s = list_take(list)) != NULL;)
		list_add(&all, s);
	*list = all;
	if (list->first == NULL)
		list->last = &list->first;
}

static void submission_free(struct qmgr_submission *s)
{
	qmgr_message_body_free(&s->body);
	free(s);
}

/* The message is known under the id of an earlier one. */
static void answer_repeated(struct qmgr_submission *s, const struct uuid *earlier)
{
	struct ipc_submit_result result = {.verdict = IPC_SUBMIT_STORED, .id = *earlier};

	s->is_answered = true;
	qmgr_front_answer(&s->asker, &result);
}

static void answer(struct qmgr *q, struct qmgr_submission *s, enum ipc_submit_verdict verdict, const char *reason)
{
	struct ipc_submit_result result = {.verdict = verdict, .reason = str_of(reason)};

	s->is_answered = true;
	s->is_stored = verdict == IPC_SUBMIT_STORED;
	if (verdict == IPC_SUBMIT_UNAVAILABLE)
		qmgr_direct_answer(q, &s->id, &result);
	qmgr_front_answer(&s->asker, &result);
}

bool qmgr_intake_is_regretted(const struct qmgr *q, const struct uuid *id)
{
	for (unsigned i = 0; i < q->intake.n_regrets; i++)
		if (uuid_eq(&q->intake.regrets[i], id))
			return true;
	return false;
}

/* The client is told 451 although the message may be stored. */
static void regret(struct qmgr *q, const struct uuid *id)
{
	struct qmgr_intake *in = &q->intake;
	struct qmgr_message *m = qmgr_message_find(q, id, 0);

	in->regrets = mem_grow(in->regrets, (in->n_regrets + 1) * sizeof(*in->regrets));
	in->regrets[in->n_regrets++] = *id;
	if (m != NULL && m->state == QMGR_SCHEDULED)
		qmgr_message_drop(q, m);
}

/* Memory knows its row, or that of a part of it: it was committed before, and smtpd says it again or the commit's answer was
 * lost. (What is GONE was perhaps withdrawn: the database is asked.) */
static bool is_known(struct qmgr *q, const struct qmgr_submission *s)
{
	static struct str recipients[IPC_RECIPIENTS_MAX];
	unsigned n = qmgr_message_body_read(s->body, recipients).n_recipients;

	for (unsigned part = 0; part < n; part++) {
		const struct qmgr_message *m = qmgr_message_find(q, &s->id, part);

		if (m != NULL && m->call == NULL && m->state != QMGR_GONE)
			return !qmgr_intake_is_regretted(q, &s->id);
	}
	return false;
}

/* Not stored, as far as anybody knows. Frees it. */
static void refuse(struct qmgr *q, struct qmgr_submission *s, const char *reason)
{
	if (s->is_stored || (!s->is_answered && is_known(q, s))) {
		if (!s->is_answered)
			answer(q, s, IPC_SUBMIT_STORED, "");
		submission_free(s);
		return;
	}
	if (!s->is_answered && !qmgr_direct_go_on(q, &s->id, &s->asker))
		answer(q, s, IPC_SUBMIT_UNAVAILABLE, reason);
	if (s->tried != 0)
		regret(q, &s->id);
	qmgr_direct_unstored(q, &s->id);
	submission_free(s);
}

/* Of what must stay the memory has been dropped. Returns how many are gone. */
static int64_t see_withdrawn(struct qmgr *q, const struct pg_result *result)
{
	int64_t gone = 0;

	for (unsigned row = 0; row < pg_rows(result); row++) {
		gone += pg_int8(result, row, 1);
		if (pg_int8(result, row, 2) > 0)
			qmgr_scan_want(q, (unsigned)pg_int4(result, row, 0));
	}
	return gone;
}

static void on_withdrawn(void *ctx, enum pg_status status, const struct pg_result *result,
			 const struct err *err)
{
	struct qmgr *q = ctx;
	struct qmgr_intake *in = &q->intake;
	unsigned n = in->n_withdrawing;
	int64_t gone;

	in->n_withdrawing = 0;
	if (status != PG_OK) {
		log_warn(NULL, "qmgr.intake.unwithdrawn", log_text("why", err->text));
		return; /* the next tick tries again */
	}
	gone = see_withdrawn(q, result);
	log_warn(NULL, "qmgr.intake.withdrawn", log_uint("answered_451", n),
		 log_int("were_stored", gone));
	for (unsigned i = 0; i < n; i++) {
		struct qmgr_message *m = qmgr_message_find(q, &in->regrets[i], 0);

		/* A scan, or an outcome that was recorded, had found its row. */
		if (m != NULL && m->call == NULL && m->state == QMGR_SCHEDULED)
			qmgr_message_drop(q, m);
	}
	in->n_regrets -= n;
	memmove(in->regrets, in->regrets + n, in->n_regrets * sizeof(*in->regrets));
	qmgr_scan_tick(q);
}

void qmgr_intake_withdraw(struct qmgr *q)
{
	struct qmgr_intake *in = &q->intake;
	struct pg_params *p;

	if (in->n_regrets == 0 || in->n_withdrawing > 0 || q->control_pg == NULL || !pg_is_up(q->control_pg) ||
	    q->lease.must_retake || q->lease.is_taking)
		return;
	p = pg_params_new();
	pg_open_array(p, PG_UUID);
	for (unsigned i = 0; i < in->n_regrets; i++)
		pg_put_uuid(p, &in->regrets[i]);
	pg_close_array(p);
	pg_put_text(p, str_of(q->lease.owner));
	in->n_withdrawing = in->n_regrets;
	pg_run(q->control_pg, QMGR_SQL_WITHDRAW, p, on_withdrawn, q);
	pg_params_free(&p);
}

/* It is committed: to the schedule, unless it is known already (a scan was faster, or SUBMIT came
 * twice) or memory holds enough. */
static void schedule(struct qmgr *q, struct qmgr_submission *s, const struct uuid *tenant,
		     unsigned shard)
{
	struct qmgr_message *m = qmgr_message_find(q, &s->id, 0);
	int64_t now = clock_wall();

	if (m == NULL) {
		struct qmgr_tenant *owner = qmgr_tenant_of(q, tenant);

		if (!qmgr_lease_is_ours(q, shard) || !qmgr_scan_has_room(q, owner)) {
			qmgr_scan_left_behind(q, shard);
			return;
		}
		m = qmgr_message_add(q, &s->id, 0, shard, owner);
		m->queued_at = now;
		qmgr_message_schedule(q, m, now, now);
	}
	if (m->state == QMGR_SCHEDULED && m->body == NULL && qmgr_message_has_room(q, s->body))
		qmgr_message_keep_body(q, m, &s->body);
}

static void settle(struct qmgr *q, struct qmgr_submission *s, bool is_new, unsigned shard)
{
	struct reader r = reader_of(str_bytes(s->body->bytes, s->body->n));
	struct uuid tenant;

	reader_bytes(&r, sizeof(struct uuid));
	memcpy(tenant.b, reader_bytes(&r, sizeof(tenant.b)).p, sizeof(tenant.b));
	if (s->is_answered && !s->is_stored) {
		/* 451 was said while this was under way. */
		regret(q, &s->id);
		qmgr_direct_unstored(q, &s->id);
	} else {
		struct qmgr_message *m = qmgr_message_find(q, &s->id, 0);

		if (!s->is_answered)
			answer(q, s, IPC_SUBMIT_STORED, "");
		if (m != NULL && m->call != NULL)
			qmgr_direct_stored(q, m);
		else if (is_new)
			schedule(q, s, &tenant, shard);
		for (unsigned i = 0; i < QMGR_SHARDS && !is_new; i++)
			if (s->tried & 1ULL << i)
				qmgr_scan_want(q, i); /* it is there since the lost commit */
	}
	submission_free(s);
}

/* The row about a message, or -1: it was there before. `likely` is looked at first. */
static int row_of(const struct pg_result *result, const struct uuid *id, unsigned likely)
{
	unsigned n = pg_rows(result);

	for (unsigned i = 0; i < n; i++) {
		unsigned row = (likely + i) % n;
		struct uuid one = pg_uuid(result, row, 1);

		if (uuid_eq(&one, id))
			return (int)row;
	}
	return -1;
}

static unsigned count_stored(const struct pg_result *result)
{
	unsigned n = 0;

	for (unsigned row = 0; row < pg_rows(result); row++)
		n += !pg_is_null(result, row, 1) && pg_is_null(result, row, 2);
	return n;
}

static void on_committed(struct qmgr *q, struct qmgr_batch *batch, const struct pg_result *result)
{
	unsigned row = 0, n = batch->in.n;

	metrics_add(METRIC_QUEUE_COMMITS, 1);
	metrics_time(METRIC_QUEUE_COMMIT_TIMES, clock_mono() - batch->sent_at);
	metrics_add(METRIC_QUEUE_STORED, count_stored(result));
	log_debug(NULL, "qmgr.intake.commit", log_uint("messages", n),
		  log_uint("shard", batch->shard), log_ms("took", clock_mono() - batch->sent_at));
	for (struct qmgr_submission *s; (s = list_take(&batch->in)) != NULL;) {
		/* The rows come in the order of the parameters, as a rule. */
		int at = row_of(result, &s->id, row++);

		if (at >= 0 && !pg_is_null(result, (unsigned)at, 2)) {
			struct uuid earlier = pg_uuid(result, (unsigned)at, 2);

			if (!s->is_answered)
				answer_repeated(s, &earlier);
			submission_free(s);
		} else {
			settle(q, s, at >= 0, batch->shard);
		}
	}
}

/* The answer is lost: it is run again when the connection is back. */
static void keep_lost(struct qmgr *q, struct qmgr_batch *batch)
{
	for (struct qmgr_submission *s = batch->in.first; s != NULL; s = s->next)
		s->tried |= 1ULL << batch->shard;
	list_put_first(&q->intake.pending, &batch->in);
}

static void on_refused(struct qmgr *q, struct qmgr_batch *batch, bool is_up, const char *sqlstate,
		       const struct err *err)
{
	struct log_context about = {0};
	char id[UUID_TEXT];
	/* Refused without the database while there is a connection: too large for a statement. */
	bool is_bad_row = sqlstate[0] == '\0' || qmgr_sql_is_bad_row(sqlstate);

	if (sqlstate[0] == '\0' && !is_up) {
		/* There was no connection: nothing happened. */
		list_put_first(&q->intake.pending, &batch->in);
		return;
	}
	if (is_bad_row && batch->in.n > 1) {
		q->intake.one_by_one = batch->in.n;
		list_put_first(&q->intake.pending, &batch->in);
		return;
	}
	if (batch->in.first != NULL)
		about.message = uuid_format(&batch->in.first->id, id);
	log_error(&about, "qmgr.intake.refused", log_uint("messages", batch->in.n),
		  log_text("why", err->text));
	for (struct qmgr_submission *s; (s = list_take(&batch->in)) != NULL;)
		refuse(q, s, "the database refused it");
}

static void on_result(void *ctx, enum pg_status status, const struct pg_result *result,
		      const struct err *err)
{
	struct qmgr_intake_connection *c = ctx;
	struct qmgr *q = c->q;
	struct qmgr_batch *batch = c->batch;

	c->batch = NULL;
	switch (status) {
	case PG_OK:
		if (pg_rows(result) > 0 && pg_bool(result, 0, 0)) {
			on_committed(q, batch, result);
		} else {
			qmgr_lease_doubt(q);
			list_put_first(&q->intake.pending, &batch->in);
		}
		break;
	case PG_LOST:
		log_warn(NULL, "qmgr.intake.lost", log_uint("messages", batch->in.n),
			 log_text("why", err->text));
		keep_lost(q, batch);
		/* The server may be at it still, however long the next connection takes. */
		qmgr_lease_retake(q);
		break;
	case PG_REFUSED:
		on_refused(q, batch, pg_is_up(c->pg), result == NULL ? "" : pg_sqlstate(result), err);
		break;
	}
	free(batch);
	qmgr_intake_withdraw(q);
	qmgr_intake_pump(q);
	qmgr_dispatch_pump(q);
}

/* The columns in the order of QMGR_SQL_STORE; one walk over the batch a column. */
static void put_columns(struct pg_params *p, const struct ipc_message *m, unsigned n,
			const struct str *recipients, const struct str *content)
{
#define COLUMN(type, put) \
	pg_open_array(p, type); \
	for (unsigned i = 0; i < n; i++) \
		put; \
	pg_close_array(p)
	COLUMN(PG_UUID, pg_put_uuid(p, &m[i].tenant));
	COLUMN(PG_UUID, pg_put_uuid(p, &m[i].id));
	COLUMN(PG_UUID, pg_put_uuid(p, &m[i].user));
	COLUMN(PG_TEXT, pg_put_text(p, m[i].session));
	COLUMN(PG_TEXT, pg_put_text(p, m[i].client));
	COLUMN(PG_TEXT, pg_put_text(p, m[i].helo));
	COLUMN(PG_TEXT, pg_put_text(p, m[i].mail_from));
	COLUMN(PG_TEXT, pg_put_text(p, recipients[i]));
	COLUMN(PG_BOOL, pg_put_bool(p, m[i].is_8bit));
	COLUMN(PG_BOOL, pg_put_bool(p, m[i].is_utf8));
	COLUMN(PG_INT4, pg_put_int4(p, (int32_t)m[i].size));
	COLUMN(PG_TIME, pg_put_time(p, m[i].mail_at));
	COLUMN(PG_TIME, pg_put_time(p, m[i].received_at));
	COLUMN(PG_BYTES, pg_put_bytes(p, content[i]));
	COLUMN(PG_TEXT, pg_put_text(p, m[i].dsn));
	COLUMN(PG_BOOL, pg_put_bool(p, m[i].is_test));
#undef COLUMN
}

/* What was to be direct has its key in memory (qmgr_keys.c): its call may have been made already. */
static bool has_key(const struct ipc_message *m)
{
	return m->idempotency_key.n > 0 && m->mode == IPC_QUEUED;
}

static void put_keys(struct pg_params *p, const struct ipc_message *m, unsigned n, int64_t window)
{
#define KEYED(type, put) \
	pg_open_array(p, type); \
	for (unsigned i = 0; i < n; i++) \
		if (has_key(&m[i])) \
			put; \
	pg_close_array(p)
	pg_put_int8(p, window);
	KEYED(PG_UUID, pg_put_uuid(p, &m[i].tenant));
	KEYED(PG_UUID, pg_put_uuid(p, &m[i].id));
	KEYED(PG_TEXT, pg_put_text(p, m[i].idempotency_key));
#undef KEYED
}

static void put_batch(struct pg_params *p, const struct qmgr_batch *batch, int64_t window)
{
	static struct str all[IPC_RECIPIENTS_MAX];
	unsigned n = batch->in.n, i = 0;
	struct ipc_message *m = mem_array(n, sizeof(*m));
	struct str *recipients = mem_array(n, sizeof(*recipients));
	struct str *content = mem_array(n, sizeof(*content));
	struct buf texts = BUF_MAX((size_t)n * ARRAY_TEXT);
	size_t *ends = mem_array(n, sizeof(*ends));

	for (const struct qmgr_submission *s = batch->in.first; s != NULL; s = s->next, i++) {
		m[i] = qmgr_message_body_read(s->body, all);
		qmgr_sql_put_array(&texts, all, m[i].n_recipients);
		ends[i] = texts.n;
		content[i] = m[i].content;
		if (s->body->fd >= 0) {
			content[i] = str_bytes(fd_map(s->body->fd, s->body->file_size),
					       s->body->file_size);
			if (content[i].p == NULL)
				die("mmap: a message of %zu bytes", s->body->file_size);
		}
	}
	for (i = 0; i < n; i++)
		recipients[i] = str_bytes(texts.p + (i == 0 ? 0 : ends[i - 1]),
					  ends[i] - (i == 0 ? 0 : ends[i - 1]));
	put_columns(p, m, n, recipients, content);
	put_keys(p, m, n, window);
	i = 0;
	for (const struct qmgr_submission *s = batch->in.first; s != NULL; s = s->next, i++)
		if (s->body->fd >= 0)
			fd_unmap(content[i].p, content[i].n);
	buf_clear(&texts);
	free(ends);
	free(content);
	free(recipients);
	free(m);
}

static void gather(struct qmgr *q, struct qmgr_batch *batch)
{
	struct qmgr_intake *in = &q->intake;
	unsigned most = (unsigned)q->env->settings->queue.commit_messages;

	if (in->one_by_one > 0) {
		most = 1;
		in->one_by_one--;
	}
	while (in->pending.first != NULL && batch->in.n < most &&
	       (batch->in.n == 0 || batch->in.bytes + in->pending.first->bytes <= BATCH_BYTES))
		list_add(&batch->in, list_take(&in->pending));
}

static void commit(struct qmgr_intake_connection *c, unsigned shard)
{
	struct qmgr *q = c->q;
	struct qmgr_batch *batch = mem_zero(sizeof(*batch));
	struct pg_params *p = pg_params_new();

	list_init(&batch->in);
	gather(q, batch);
	batch->shard = shard;
	batch->sent_at = clock_mono();
	c->batch = batch;
	pg_put_int4(p, (int32_t)shard);
	pg_put_text(p, str_of(q->lease.owner));
	pg_put_int8(p, qmgr_lease_epoch(q, shard));
	put_batch(p, batch, q->env->settings->queue.idempotency_window);
	pg_run(c->pg, QMGR_SQL_STORE, p, on_result, c);
	pg_params_free(&p);
}

/* Before GO there is none, but peers may talk already. */
static bool is_up(const struct qmgr_intake_connection *c)
{
	return c->pg != NULL && pg_is_up(c->pg);
}

static bool is_committing(const struct qmgr *q)
{
	for (unsigned i = 0; i < QMGR_INTAKE_CONNECTIONS; i++)
		if (q->intake.connection[i].batch != NULL)
			return true;
	return false;
}

void qmgr_intake_pump(struct qmgr *q)
{
	for (unsigned i = 0; i < QMGR_INTAKE_CONNECTIONS; i++) {
		struct qmgr_intake_connection *c = &q->intake.connection[i];
		int shard;

		if (q->intake.pending.n == 0 ||
		    (is_committing(q) && q->intake.pending.bytes < QMGR_INTAKE_OVERLAP))
			return;
		if (c->batch != NULL || !is_up(c))
			continue;
		shard = qmgr_lease_pick(q);
		if (shard < 0)
			return;
		commit(c, (unsigned)shard);
	}
}

static bool is_any_up(const struct qmgr *q)
{
	for (unsigned i = 0; i < QMGR_INTAKE_CONNECTIONS; i++)
		if (is_up(&q->intake.connection[i]))
			return true;
	return false;
}

/* Why nothing can be stored now, or NULL. */
static const char *objection(const struct qmgr *q, const struct uuid *id)
{
	if (!q->has_database)
		return "there is no database";
	if (!is_any_up(q) && clock_mono() >= q->intake.grace_until)
		return "the database is away";
	if (qmgr_intake_is_regretted(q, id))
		return "it is being withdrawn";
	if (q->intake.pending.bytes >= PENDING_BYTES)
		return "too much waits to be stored";
	return NULL;
}

/* One whose asker is gone, by its id; or NULL. */
static struct qmgr_submission *find_orphan(const struct qmgr *q, const struct uuid *id)
{
	const struct qmgr_submissions *list = &q->intake.pending;

	for (unsigned i = 0; i <= QMGR_INTAKE_CONNECTIONS; i++) {
		for (struct qmgr_submission *s = list == NULL ? NULL : list->first; s != NULL; s = s->next)
			if (s->asker.front == NULL && uuid_eq(&s->id, id))
				return s;
		list = i < QMGR_INTAKE_CONNECTIONS && q->intake.connection[i].batch != NULL
			       ? &q->intake.connection[i].batch->in
			       : NULL;
	}
	return NULL;
}

/* The connection broke while it was being stored, and smtpd says it again: the answer to the first time, which
 * nobody heard, goes to the second. A second row beside it would be taken back when the first is given up. */
static bool adopt(struct qmgr *q, const struct qmgr_asker *asker, const struct uuid *id)
{
	struct qmgr_submission *s = find_orphan(q, id);

	if (s == NULL)
		return false;
	s->asker = *asker;
	s->came_at = clock_mono();
	s->is_answered = s->is_stored = false;
	return true;
}

void qmgr_intake_take(struct qmgr *q, const struct qmgr_asker *asker, const struct uuid *id, struct qmgr_body **body,
		      bool is_again)
{
	struct qmgr_submission *s;
	const char *why;

	if (is_again && adopt(q, asker, id)) {
		qmgr_message_body_free(body);
		return;
	}
	s = mem_zero(sizeof(*s));
	s->asker = *asker;
	s->id = *id;
	s->came_at = clock_mono();
	s->bytes = (int64_t)((*body)->n + (*body)->file_size);
	s->body = *body;
	*body = NULL;
	if (is_known(q, s)) {
		answer(q, s, IPC_SUBMIT_STORED, "");
		submission_free(s);
	} else if ((why = objection(q, id)) != NULL) {
		refuse(q, s, why);
	} else {
		list_add(&q->intake.pending, s);
		qmgr_intake_pump(q);
	}
}

static void forget(struct qmgr_submissions *list, const struct qmgr_front *front)
{
	for (struct qmgr_submission *s = list->first; s != NULL; s = s->next)
		if (s->asker.front == front)
			s->asker.front = NULL;
}

/* What an smtpd that died had handed in and is not being stored yet is dropped: its client was told
 * nothing and will come again. */
static void drop_orphans(struct qmgr *q)
{
	struct qmgr_submissions kept;

	list_init(&kept);
	for (struct qmgr_submission *s; (s = list_take(&q->intake.pending)) != NULL;) {
		if (s->asker.front == NULL && s->tried == 0) {
			qmgr_direct_unstored(q, &s->id);
			submission_free(s);
		}
		else
			list_add(&kept, s);
	}
	list_put_first(&q->intake.pending, &kept);
}

void qmgr_intake_forget(struct qmgr *q, const struct qmgr_front *front)
{
	forget(&q->intake.pending, front);
	for (unsigned i = 0; i < QMGR_INTAKE_CONNECTIONS; i++)
		if (q->intake.connection[i].batch != NULL)
			forget(&q->intake.connection[i].batch->in, front);
	drop_orphans(q);
}

void qmgr_intake_tick(struct qmgr *q)
{
	struct qmgr_submissions kept;
	int64_t now = clock_mono();

	list_init(&kept);
	for (struct qmgr_submission *s; (s = list_take(&q->intake.pending)) != NULL;) {
		bool is_late = now - s->came_at > ANSWER_WITHIN;

		/* In the grace after the start it was hoped that the database comes. */
		if (is_late || (s->tried == 0 && !is_any_up(q) && now >= q->intake.grace_until))
			refuse(q, s, "the database is away");
		else
			list_add(&kept, s);
	}
	list_put_first(&q->intake.pending, &kept);
	for (unsigned i = 0; i < QMGR_INTAKE_CONNECTIONS; i++) {
		struct qmgr_batch *batch = q->intake.connection[i].batch;

		for (struct qmgr_submission *s = batch == NULL ? NULL : batch->in.first; s != NULL;
		     s = s->next) {
			if (!s->is_answered && now - s->came_at > ANSWER_WITHIN) {
				if (is_known(q, s))
					answer(q, s, IPC_SUBMIT_STORED, "");
				else
					answer(q, s, IPC_SUBMIT_UNAVAILABLE, "the database does not answer");
				s->tried |= 1ULL << batch->shard;
			}
		}
	}
	qmgr_intake_withdraw(q);
	qmgr_intake_pump(q);
}

bool qmgr_intake_writes_to(const struct qmgr *q, unsigned shard)
{
	for (unsigned i = 0; i < QMGR_INTAKE_CONNECTIONS; i++)
		if (q->intake.connection[i].batch != NULL &&
		    q->intake.connection[i].batch->shard == shard)
			return true;
	return false;
}

bool qmgr_intake_is_idle(const struct qmgr *q)
{
	/* What is not withdrawn now would be sent by whoever has its shard next. */
	return !is_committing(q) && q->intake.pending.n == 0 && q->intake.n_regrets == 0;
}

void qmgr_intake_init(struct qmgr *q)
{
	list_init(&q->intake.pending);
	q->intake.grace_until = clock_mono() + START_GRACE;
	for (unsigned i = 0; i < QMGR_INTAKE_CONNECTIONS; i++)
		q->intake.connection[i].q = q;
}

void qmgr_intake_clear(struct qmgr *q)
{
	for (unsigned i = 0; i < QMGR_INTAKE_CONNECTIONS; i++) {
		struct qmgr_batch *batch = q->intake.connection[i].batch;

		pg_free(&q->intake.connection[i].pg);
		if (batch == NULL)
			continue;
		for (struct qmgr_submission *s; (s = list_take(&batch->in)) != NULL;)
			submission_free(s);
		mem_free(&q->intake.connection[i].batch);
	}
	for (struct qmgr_submission *s; (s = list_take(&q->intake.pending)) != NULL;)
		submission_free(s);
	mem_free(&q->intake.regrets);
}
