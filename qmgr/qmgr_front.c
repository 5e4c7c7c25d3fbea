/* SPDX-License-Identifier: Apache-2.0
 *
 * SUBMIT, SUBMIT_RESULT, PRESSURE. What smtpd says is not believed: it parses the clients' bytes, and may have
 * been taken over by one of them.
 */
#include "qmgr/qmgr_front.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/ipc/ipc.h"
#include "lib/service/metrics.h"
#include "qmgr/qmgr.h"
#include "qmgr/qmgr_sql.h"

enum {
	ROW_MAX = IPC_BODY_MAX - 256, /* a JOB has some octets more than a SUBMIT */
	ADDED_MAX = 65536, /* to a message by smtpd: its trace, and fields that were missing */
	REASON_MAX = 400,
};

/* An id's time may differ so much from ours: smtpd makes it on this host. */
#define ID_TOLERANCE_MS (24LL * 3600 * 1000)

struct qmgr_front {
	struct qmgr_front *next;
	struct qmgr *q;
	struct ipc_peer *peer;
};

bool qmgr_front_answer(const struct qmgr_asker *asker, const struct ipc_submit_result *result)
{
	char bytes[2048];
	struct buf body = {.p = bytes, .size = sizeof(bytes), .max = sizeof(bytes)};
	struct ipc_submit_result cut = *result;

	if (asker->front == NULL)
		return false;
	qmgr_keys_answered(asker->front->q, asker, result);
	cut.reason = str_first(cut.reason, REASON_MAX);
	cut.provider_id = str_first(cut.provider_id, REASON_MAX);
	ipc_put_submit_result(&body, &cut);
	return ipc_send(asker->front->peer, IPC_SUBMIT_RESULT, asker->frame_id, buf_str(&body), -1);
}

bool qmgr_front_is_flushed(const struct qmgr_front *front)
{
	return ipc_backlog(front->peer) == 0;
}

/* Lines of printable text, as lib/ipc/ipc_body.h has them. */
static bool is_dsn(struct str text)
{
	for (size_t i = 0; i < text.n; i++)
		if ((text.p[i] >= 0 && text.p[i] < ' ' && text.p[i] != '\n') || text.p[i] == 0x7f)
			return false;
	return text.n <= IPC_DSN_MAX && qmgr_sql_is_text(text);
}

/* Why the message cannot be taken, or NULL. */
static const char *objection(const struct qmgr *q, const struct ipc_message *m, size_t n)
{
	int64_t drift = uuid_time_ms(&m->id) - clock_wall() / CLOCK_MS;

	if (q->drain_until != 0)
		return "qmgr is stopping";
	if (drift > ID_TOLERANCE_MS || drift < -ID_TOLERANCE_MS)
		return "its id is of another day";
	if (n > ROW_MAX)
		return "too many recipients";
	/* Its file may be four gigabytes of nothing. */
	if ((int64_t)m->size > q->env->settings->smtpd.message_size + ADDED_MAX)
		return "it is larger than smtpd.message_size";
	if (!qmgr_sql_is_text(m->session) || !qmgr_sql_is_text(m->client) ||
	    !qmgr_sql_is_text(m->helo) || !qmgr_sql_is_text(m->mail_from))
		return "a text of it is not UTF-8";
	if (!qmgr_sql_is_text(m->idempotency_key))
		return "its idempotency key is not UTF-8";
	if (!is_dsn(m->dsn))
		return "its delivery status parameters are not text";
	for (unsigned i = 0; i < m->n_recipients; i++)
		if (!qmgr_sql_is_text(m->recipients[i]))
			return "a recipient is not UTF-8";
	return NULL;
}

static bool on_submit(struct qmgr_front *front, struct ipc_frame *frame)
{
	static struct str recipients[IPC_RECIPIENTS_MAX];
	struct str bytes = str_bytes(frame->body.p, frame->body.n);
	struct qmgr_asker asker = {front, frame->id};
	struct qmgr_body *body;
	struct ipc_message m;
	const char *why;
	bool is_large;

	if (!ipc_get_message(&frame->body, &m, recipients))
		return false;
	is_large = m.size > IPC_INLINE_MAX;
	if (is_large != (frame->fd >= 0) || (is_large && !fd_is_sealed(frame->fd, m.size)))
		return false;
	why = objection(front->q, &m, bytes.n);
	if (why != NULL) {
		qmgr_front_answer(&asker, &(struct ipc_submit_result){.verdict = IPC_SUBMIT_UNAVAILABLE,
								      .reason = str_of(why)});
		return true;
	}
	if (m.mode != IPC_QUEUED && qmgr_keys_take(front->q, &asker, &m))
		return true;
	body = qmgr_message_body_new(bytes, frame->fd, is_large ? m.size : 0);
	frame->fd = -1;
	if (m.mode == IPC_QUEUED)
		qmgr_intake_take(front->q, &asker, &m.id, &body, frame->type == IPC_SUBMIT_AGAIN);
	else
		qmgr_direct_take(front->q, &asker, &m, &body, frame->type == IPC_SUBMIT_AGAIN);
	return true;
}

static bool on_frame(void *ctx, struct ipc_peer *peer, struct ipc_frame *frame)
{
	(void)peer;
	return (frame->type == IPC_SUBMIT || frame->type == IPC_SUBMIT_AGAIN) && on_submit(ctx, frame);
}

static void drop(struct qmgr_front *front)
{
	struct qmgr_front **at;

	qmgr_intake_forget(front->q, front);
	qmgr_direct_forget(front->q, front);
	qmgr_keys_forget(front->q, front);
	for (at = &front->q->fronts.first; *at != front; at = &(*at)->next)
		;
	*at = front->next;
	ipc_peer_free(&front->peer);
	free(front);
}

static void on_close(void *ctx, struct ipc_peer *peer, const char *why)
{
	log_debug(NULL, "qmgr.front.gone", log_uint("slot", ipc_peer_slot(peer)), log_text("why", why));
	service_peer_lost(ROLE_SMTPD, ipc_peer_slot(peer));
	drop(ctx);
}

static struct qmgr_front *front_of(const struct qmgr *q, unsigned slot)
{
	struct qmgr_front *front = q->fronts.first;

	while (front != NULL && ipc_peer_slot(front->peer) != slot)
		front = front->next;
	return front;
}

static void tell_pressure(const struct qmgr_front *front)
{
	char is_full = front->q->fronts.is_full ? 1 : 0;

	ipc_send(front->peer, IPC_PRESSURE, 0, str_bytes(&is_full, 1), -1);
}

void qmgr_front_on_peer(struct qmgr *q, unsigned slot, int fd)
{
	static const struct ipc_events events = {.on_frame = on_frame, .on_close = on_close};
	struct qmgr_front *front = front_of(q, slot);

	if (front != NULL)
		drop(front); /* cut, and not heard of here yet */
	front = mem_zero(sizeof(*front));
	front->q = q;
	front->next = q->fronts.first;
	q->fronts.first = front;
	front->peer = ipc_peer_new(q->loop, fd, ROLE_QMGR, ROLE_SMTPD, slot, &events, front);
	tell_pressure(front);
}

void qmgr_front_press(struct qmgr *q, int64_t depth)
{
	int64_t most = q->env->settings->queue.max_depth;
	bool was_full = q->fronts.is_full;

	/* Not to and fro with every message. */
	q->fronts.is_full = was_full ? depth >= most - most / 10 : depth >= most;
	metrics_set(METRIC_QUEUE_PRESSURE, q->fronts.is_full);
	if (q->fronts.is_full == was_full)
		return;
	if (q->fronts.is_full)
		log_warn(NULL, "qmgr.queue.full", log_int("depth", depth), log_int("max_depth", most),
			 log_text("effect", "no new mail is taken"));
	else
		log_info(NULL, "qmgr.queue.relieved", log_int("depth", depth), log_int("max_depth", most));
	for (const struct qmgr_front *front = q->fronts.first; front != NULL; front = front->next)
		tell_pressure(front);
}

void qmgr_front_clear(struct qmgr *q)
{
	while (q->fronts.first != NULL) {
		struct qmgr_front *front = q->fronts.first;

		q->fronts.first = front->next;
		ipc_peer_free(&front->peer);
		free(front);
	}
}
