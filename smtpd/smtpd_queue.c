/* SPDX-License-Identifier: Apache-2.0
 *
 * SUBMIT, SUBMIT_RESULT and PRESSURE frames.
 */
#include "smtpd/smtpd_queue.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/ipc/ipc.h"
#include "lib/service/service.h"

struct submission {
	struct submission *next;
	void *asker;
	uint64_t id;
	int64_t ends_at;
	struct buf body; /* of the frame */
	int fd;
	bool was_said;
};

struct smtpd_queue {
	struct loop *loop;
	struct ipc_peer *peer; /* NULL: qmgr is away */
	struct loop_timer *timer;
	int64_t timer_at; /* when it fires; 0: it does not run */
	smtpd_queue_fn *on_answer;
	struct submission *first, **last; /* in the order of their coming */
	uint64_t next_id;
	bool *is_full; /* or NULL */
};

static void drop(struct submission *s)
{
	buf_clear(&s->body);
	fd_close(&s->fd);
	free(s);
}

/* Takes the submission at *at out of the list. */
static struct submission *unlink_at(struct smtpd_queue *queue, struct submission **at)
{
	struct submission *s = *at;

	*at = s->next;
	if (queue->last == &s->next)
		queue->last = at;
	return s;
}

static void answer(struct smtpd_queue *queue, struct submission **at, const struct ipc_submit_result *result)
{
	struct submission *s = unlink_at(queue, at);
	void *asker = s->asker;

	drop(s);
	if (asker != NULL)
		queue->on_answer(asker, result);
}

static void set_full(struct smtpd_queue *queue, bool is_full)
{
	if (queue->is_full != NULL)
		*queue->is_full = is_full;
}

static bool take_pressure(struct smtpd_queue *queue, struct reader *body)
{
	uint8_t is_full = reader_u8(body);

	if (!reader_is_done(body) || is_full > 1)
		return false;
	set_full(queue, is_full);
	return true;
}

static bool on_frame(void *ctx, struct ipc_peer *peer, struct ipc_frame *frame)
{
	struct smtpd_queue *queue = ctx;
	struct ipc_submit_result result;

	(void)peer;
	if (frame->type == IPC_PRESSURE)
		return take_pressure(queue, &frame->body);
	if (frame->type != IPC_SUBMIT_RESULT || !ipc_get_submit_result(&frame->body, &result))
		return false;
	if (result.verdict != IPC_SUBMIT_STORED && result.verdict != IPC_SUBMIT_SENT)
		log_debug(NULL, "smtpd.queue.refused", log_str("reason", result.reason));
	/* A commit answers what came together: nearly always the first of the list. */
	for (struct submission **at = &queue->first; *at != NULL; at = &(*at)->next)
		if ((*at)->id == frame->id) {
			answer(queue, at, &result);
			break;
		}
	return true; /* one that nobody waits for any more is no breach */
}

/* Nobody would learn of the answer: the client sends the message again. */
static void drop_orphans(struct smtpd_queue *queue)
{
	struct submission **at = &queue->first;

	while (*at != NULL) {
		if ((*at)->asker == NULL)
			drop(unlink_at(queue, at));
		else
			at = &(*at)->next;
	}
}

static void on_close(void *ctx, struct ipc_peer *peer, const char *why)
{
	struct smtpd_queue *queue = ctx;

	if (peer == queue->peer) {
		log_warn(NULL, "smtpd.queue.away", log_text("reason", why));
		queue->peer = NULL;
		set_full(queue, false); /* as far as anybody knows */
		service_peer_lost(ROLE_QMGR, ipc_peer_slot(peer));
		drop_orphans(queue);
	}
	ipc_peer_free(&peer);
}

/* Moved only when it would fire too late: most answers come long before, and the timer stays as it is. */
static void set_timer(struct smtpd_queue *queue, int64_t now, int64_t at)
{
	if (queue->timer_at != 0 && queue->timer_at <= at)
		return;
	queue->timer_at = at;
	loop_timer_set(queue->timer, at - now);
}

static void on_timer(void *ctx)
{
	struct smtpd_queue *queue = ctx;
	int64_t now = clock_mono();

	queue->timer_at = 0;
	while (queue->first != NULL && queue->first->ends_at <= now) {
		log_warn(NULL, "smtpd.queue.slow");
		answer(queue, &queue->first, &(struct ipc_submit_result){.verdict = IPC_SUBMIT_UNAVAILABLE});
	}
	if (queue->first != NULL)
		set_timer(queue, now, queue->first->ends_at);
}

struct smtpd_queue *smtpd_queue_new(struct loop *loop, smtpd_queue_fn *on_answer)
{
	struct smtpd_queue *queue = mem_zero(sizeof(*queue));

	queue->loop = loop;
	queue->on_answer = on_answer;
	queue->last = &queue->first;
	queue->timer = loop_timer_new(loop, on_timer, queue);
	return queue;
}

void smtpd_queue_show_full(struct smtpd_queue *queue, bool *flag)
{
	queue->is_full = flag;
}

void smtpd_queue_free(struct smtpd_queue **queue)
{
	struct smtpd_queue *q = *queue;

	if (q == NULL)
		return;
	while (q->first != NULL)
		drop(unlink_at(q, &q->first));
	ipc_peer_free(&q->peer);
	loop_timer_free(&q->timer);
	mem_free(queue);
}

/* qmgr is told when the same was said to an earlier one, or over a connection that broke. */
static void transmit(struct smtpd_queue *queue, struct submission *s)
{
	if (queue->peer == NULL)
		return;
	ipc_send(queue->peer, s->was_said ? IPC_SUBMIT_AGAIN : IPC_SUBMIT, s->id, buf_str(&s->body), s->fd);
	s->was_said = true;
}

void smtpd_queue_connect(struct smtpd_queue *queue, unsigned slot, int fd)
{
	static const struct ipc_events events = {on_frame, on_close};

	/* The answers that the old qmgr gave before it died: what it has sent must not be handed in again. */
	if (queue->peer != NULL)
		ipc_peer_read(queue->peer);
	ipc_peer_free(&queue->peer);
	set_full(queue, false); /* the new one says so if it is */
	drop_orphans(queue);
	queue->peer = ipc_peer_new(queue->loop, fd, ROLE_SMTPD, ROLE_QMGR, slot, &events, queue);
	for (struct submission *s = queue->first; s != NULL; s = s->next)
		transmit(queue, s);
}

bool smtpd_queue_submit(struct smtpd_queue *queue, const struct ipc_message *message, int fd, int64_t timeout,
			void *asker)
{
	struct buf body = BUF_MAX(IPC_BODY_MAX);
	int64_t now = clock_mono();
	struct submission *s;

	/* The fields beside content and recipients take little. */
	if (buf_room(&body, message->content.n + 1024) != NULL)
		ipc_put_message(&body, message);
	if (body.is_full) {
		buf_clear(&body);
		return false;
	}
	s = mem_zero(sizeof(*s));
	s->asker = asker;
	s->id = ++queue->next_id;
	s->ends_at = now + timeout;
	s->body = body;
	s->fd = fd;
	*queue->last = s;
	queue->last = &s->next;
	set_timer(queue, now, s->ends_at);
	transmit(queue, s);
	return true;
}

void smtpd_queue_forget(struct smtpd_queue *queue, const void *asker)
{
	for (struct submission *s = queue->first; s != NULL; s = s->next)
		if (s->asker == asker)
			s->asker = NULL;
}
