/* SPDX-License-Identifier: Apache-2.0
 *
 * A body is read once for all parts of its message, and what the table holds is not trusted.
 */
#include "qmgr/qmgr_load.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/trouble.h"
#include "qmgr/qmgr.h"
#include "qmgr/qmgr_sql.h"

enum { BYTES_AT_A_TIME = 16 << 20 };

#define AGAIN (500 * CLOCK_MS)

/* NULL: the row is damaged. */
static struct qmgr_body *read_body(const struct pg_result *result, unsigned row)
{
	static struct str recipients[IPC_RECIPIENTS_MAX];
	struct buf bytes = BUF_MAX(IPC_BODY_MAX);
	struct str content = pg_text(result, row, 14);
	struct ipc_message out = {
		.id = pg_uuid(result, row, 2),
		.tenant = pg_uuid(result, row, 1),
		.user = pg_uuid(result, row, 3),
		.session = pg_text(result, row, 4),
		.client = pg_text(result, row, 5),
		.helo = pg_text(result, row, 6),
		.mail_from = pg_text(result, row, 7),
		.recipients = recipients,
		.is_8bit = pg_bool(result, row, 9),
		.is_utf8 = pg_bool(result, row, 10),
		.size = (uint32_t)content.n,
		.mail_at = pg_time(result, row, 12),
		.received_at = pg_time(result, row, 13),
		.dsn = pg_text(result, row, 15),
		.is_test = pg_bool(result, row, 16),
		.content = content,
	};
	struct qmgr_body *body = NULL;
	struct reader check;
	struct ipc_message again;
	int fd = -1;

	out.n_recipients = pg_text_array(result, row, 8, recipients, IPC_RECIPIENTS_MAX);
	if (out.n_recipients > IPC_RECIPIENTS_MAX)
		out.n_recipients = 0; /* not ours: refused below */
	if (content.n > IPC_INLINE_MAX) {
		fd = fd_memfile("message");
		if (!fd_write_all(fd, content.p, content.n))
			die("memfd: no room for a message of %zu bytes", content.n);
		fd_seal(fd);
		out.content = STR("");
	}
	ipc_put_message(&bytes, &out);
	/* What the table holds was written by us, or by somebody with rights to it: not trusted. */
	check = reader_of(buf_str(&bytes));
	if (!bytes.is_full && ipc_get_message(&check, &again, recipients))
		body = qmgr_message_body_new(buf_str(&bytes), fd, fd >= 0 ? content.n : 0);
	else
		fd_close(&fd);
	buf_clear(&bytes);
	return body;
}

/* A part of this message that still waits for its body (an agent may have reported on it meanwhile), or that has it now and
 * waits to be sent. */
static struct qmgr_message *find_loading(struct qmgr *q, const struct uuid *id, bool has_body)
{
	for (struct qmgr_job *job = q->dispatch.jobs; job != NULL; job = job->next)
		if (job->is_loading && (job->message->body != NULL) == has_body && uuid_eq(&job->message->id, id))
			return job->message;
	return NULL;
}

/* All its parts that wait have the one body. */
static void send_loaded(struct qmgr *q, const struct uuid *id, struct qmgr_body *body)
{
	struct qmgr_message *first = find_loading(q, id, false), *m;

	qmgr_message_keep_body(q, first, &body);
	while ((m = find_loading(q, id, false)) != NULL)
		qmgr_message_share_body(first, m);
	while ((m = find_loading(q, id, true)) != NULL) {
		m->job->is_loading = false;
		qmgr_dispatch_send(q, m);
	}
}

static void fail_loading(struct qmgr *q, const struct uuid *id, const char *why)
{
	struct qmgr_message *m;

	while ((m = find_loading(q, id, false)) != NULL)
		qmgr_outcome_make(q, m, IPC_OUTCOME_PERMANENT, "", why);
}

static void take_body(struct qmgr *q, const struct uuid *id, const struct pg_result *result, unsigned row)
{
	struct qmgr_message *m = find_loading(q, id, false);
	struct qmgr_body *body;

	if (m == NULL)
		return;
	if (pg_is_null(result, row, 14)) {
		/* It did not fit into this answer. */
		for (; m != NULL; m = find_loading(q, id, false))
			qmgr_dispatch_put_back(q, m);
		return;
	}
	if (pg_text(result, row, 14).n != (size_t)pg_int4(result, row, 11)) {
		fail_loading(q, id, "its content is not in the database any more");
		return;
	}
	body = read_body(result, row);
	if (body != NULL)
		send_loaded(q, id, body);
	else
		fail_loading(q, id, "its row in the database is damaged");
}

static void on_bodies(void *ctx, enum pg_status status, const struct pg_result *result,
		      const struct err *err)
{
	struct qmgr *q = ctx;
	struct qmgr_loading *l = &q->loading;
	unsigned n = l->n, row = 0;
	struct uuid ids[QMGR_BODIES_AT_A_TIME];

	memcpy(ids, l->id, n * sizeof(*ids));
	l->n = 0;
	if (status != PG_OK) {
		log_warn(NULL, "qmgr.dispatch.unread", log_uint("messages", n),
			 log_text("why", err->text));
		l->again_at = clock_mono() + AGAIN;
		return; /* they stay taken; the tick tries again */
	}
	for (unsigned i = 0; i < n; i++) {
		bool is_here = row < pg_rows(result) && pg_int8(result, row, 0) == (int64_t)i + 1;

		if (is_here)
			take_body(q, &ids[i], result, row);
		else
			fail_loading(q, &ids[i], "its content is not in the database any more");
		row += is_here;
	}
	qmgr_dispatch_pump(q);
}

static bool is_being_loaded(const struct qmgr_loading *l, const struct uuid *id)
{
	for (unsigned i = 0; i < l->n; i++)
		if (uuid_eq(&l->id[i], id))
			return true;
	return false;
}

void qmgr_load(struct qmgr *q)
{
	struct qmgr_loading *l = &q->loading;
	struct uuid tenants[QMGR_BODIES_AT_A_TIME];
	struct pg_params *p;

	if (l->n > 0 || q->dispatch.n_unsent == 0 || q->control_pg == NULL || !pg_is_up(q->control_pg) ||
	    clock_mono() < l->again_at)
		return;
	for (struct qmgr_job *job = q->dispatch.jobs; job != NULL && l->n < QMGR_BODIES_AT_A_TIME;
	     job = job->next)
		if (job->is_loading && job->message->body == NULL && !is_being_loaded(l, &job->message->id)) {
			tenants[l->n] = job->message->tenant->id;
			l->id[l->n++] = job->message->id;
		}
	if (l->n == 0)
		return;
	p = pg_params_new();
	pg_open_array(p, PG_UUID);
	for (unsigned i = 0; i < l->n; i++)
		pg_put_uuid(p, &tenants[i]);
	pg_close_array(p);
	pg_open_array(p, PG_UUID);
	for (unsigned i = 0; i < l->n; i++)
		pg_put_uuid(p, &l->id[i]);
	pg_close_array(p);
	pg_put_int8(p, BYTES_AT_A_TIME);
	pg_run(q->control_pg, QMGR_SQL_BODIES, p, on_bodies, q);
	pg_params_free(&p);
}
