/* SPDX-License-Identifier: Apache-2.0
 *
 * AUTH and AUTH_RESULT frames. When gate dies, the next one is asked what the last one had not answered: a
 * client does not notice.
 */
#include "smtpd/smtpd_gate.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/ipc/ipc.h"
#include "lib/service/service.h"

enum {
	ANSWER_TIME = 30 * CLOCK_SECOND,
	AWAY_TIME = 3 * CLOCK_SECOND, /* without a gate; master starts the next one at once, as a rule */
	QUESTION_MAX = 2048,
};

struct question {
	struct question *next;
	void *asker; /* NULL: it has left */
	uint64_t id;
	int64_t ends_at;
	struct buf body; /* of the frame; a secret */
};

struct smtpd_gate {
	struct loop *loop;
	struct ipc_peer *peer; /* NULL: gate is away */
	struct loop_timer *timer;
	smtpd_gate_fn *on_answer;
	struct question *first, **last; /* in the order of asking */
	uint64_t next_id;
};

static const struct ipc_auth_result unavailable = {.verdict = IPC_AUTH_UNAVAILABLE};

static void question_free(struct question *q)
{
	buf_clear_secret(&q->body);
	free(q);
}

/* Takes the question at *at out of the list and answers it. */
static void answer(struct smtpd_gate *gate, struct question **at, const struct ipc_auth_result *result)
{
	struct question *q = *at;
	void *asker = q->asker;

	*at = q->next;
	if (gate->last == &q->next)
		gate->last = at;
	question_free(q);
	if (asker != NULL)
		gate->on_answer(asker, result);
}

static bool on_frame(void *ctx, struct ipc_peer *peer, struct ipc_frame *frame)
{
	struct smtpd_gate *gate = ctx;
	struct ipc_auth_result result;

	(void)peer;
	if (frame->type != IPC_AUTH_RESULT || !ipc_get_auth_result(&frame->body, &result))
		return false;
	/* Nearly always the first or one of the first. */
	for (struct question **at = &gate->first; *at != NULL; at = &(*at)->next)
		if ((*at)->id == frame->id) {
			answer(gate, at, &result);
			break;
		}
	return true; /* one that nobody waits for any more is no breach */
}

/* From now on every question may take so long. */
static void wait_all(struct smtpd_gate *gate, int64_t microseconds)
{
	for (struct question *q = gate->first; q != NULL; q = q->next)
		q->ends_at = clock_mono() + microseconds;
	if (gate->first != NULL)
		loop_timer_set(gate->timer, microseconds);
}

static void on_close(void *ctx, struct ipc_peer *peer, const char *why)
{
	struct smtpd_gate *gate = ctx;

	if (peer == gate->peer) {
		log_warn(NULL, "smtpd.gate.away", log_text("reason", why));
		gate->peer = NULL;
		service_peer_lost(ROLE_GATE, ipc_peer_slot(peer));
		wait_all(gate, AWAY_TIME);
	}
	ipc_peer_free(&peer);
}

static void on_timer(void *ctx)
{
	struct smtpd_gate *gate = ctx;
	int64_t now = clock_mono(), next = INT64_MAX;
	struct question **at = &gate->first;

	while (*at != NULL) {
		if ((*at)->ends_at <= now) {
			log_warn(NULL, "smtpd.gate.slow", log_bool("is_away", gate->peer == NULL));
			answer(gate, at, &unavailable);
			continue;
		}
		if ((*at)->ends_at < next)
			next = (*at)->ends_at;
		at = &(*at)->next;
	}
	if (next != INT64_MAX)
		loop_timer_set(gate->timer, next - now);
}

struct smtpd_gate *smtpd_gate_new(struct loop *loop, smtpd_gate_fn *on_answer)
{
	struct smtpd_gate *gate = mem_zero(sizeof(*gate));

	gate->loop = loop;
	gate->on_answer = on_answer;
	gate->last = &gate->first;
	gate->timer = loop_timer_new(loop, on_timer, gate);
	return gate;
}

void smtpd_gate_free(struct smtpd_gate **gate)
{
	struct smtpd_gate *g = *gate;

	if (g == NULL)
		return;
	while (g->first != NULL) {
		struct question *q = g->first;

		g->first = q->next;
		question_free(q);
	}
	ipc_peer_free(&g->peer);
	loop_timer_free(&g->timer);
	mem_free(gate);
}

void smtpd_gate_connect(struct smtpd_gate *gate, unsigned slot, int fd)
{
	static const struct ipc_events events = {on_frame, on_close};

	/* Master may know before us that the old one is dead. */
	ipc_peer_free(&gate->peer);
	gate->peer = ipc_peer_new(gate->loop, fd, ROLE_SMTPD, ROLE_GATE, slot, &events, gate);
	for (struct question *q = gate->first; q != NULL; q = q->next)
		ipc_send(gate->peer, IPC_AUTH, q->id, buf_str(&q->body), -1);
	wait_all(gate, ANSWER_TIME);
}

void smtpd_gate_ask(struct smtpd_gate *gate, const struct ipc_auth *question, void *asker)
{
	struct question *q = mem_zero(sizeof(*q));
	int64_t patience = gate->peer != NULL ? ANSWER_TIME : AWAY_TIME;

	buf_init(&q->body, QUESTION_MAX);
	/* Its whole place from the start: growing would leave copies of the password behind. */
	buf_room(&q->body, QUESTION_MAX);
	ipc_put_auth(&q->body, question);
	if (q->body.is_full) {
		question_free(q);
		gate->on_answer(asker, &unavailable);
		return;
	}
	q->asker = asker;
	q->id = ++gate->next_id;
	q->ends_at = clock_mono() + patience;
	*gate->last = q;
	gate->last = &q->next;
	if (gate->peer != NULL)
		ipc_send(gate->peer, IPC_AUTH, q->id, buf_str(&q->body), -1);
	if (!loop_timer_is_running(gate->timer) || gate->peer == NULL)
		loop_timer_set(gate->timer, patience);
}

void smtpd_gate_forget(struct smtpd_gate *gate, const void *asker)
{
	for (struct question *q = gate->first; q != NULL; q = q->next)
		if (q->asker == asker)
			q->asker = NULL;
}
