/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions to gate and their answers. When gate dies, the next one is asked what the last one had not answered:
 * a client does not notice.
 */
#include "smtpd/smtpd_gate.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/ipc/ipc.h"
#include "lib/service/service.h"

enum {
	OFF_TIME = 5 * CLOCK_SECOND, /* nobody is asked about limits after gate was too slow to answer one such question */
	BODY_ROOM = 128,	     /* lengths, ids and what else is not text */
	BODY_MAX = 16384,	     /* of AUTH in ipc.def; a certificate with very many names does not fit */
};

enum kind { CONNECT, AUTH, MAY_SEND, MAY_RECEIVE, KINDS };

static const struct {
	enum ipc_type question, answer;
	int64_t answer_time, away_time; /* with a gate; without: master starts the next one at once, as a rule */
	bool is_limit;			/* without an answer it is a yes */
} kinds[KINDS] = {
	[CONNECT] = {IPC_CONNECT, IPC_CONNECT_RESULT, 2 * CLOCK_SECOND, 500 * CLOCK_MS, true},
	[AUTH] = {IPC_AUTH, IPC_AUTH_RESULT, 30 * CLOCK_SECOND, 3 * CLOCK_SECOND, false},
	[MAY_SEND] = {IPC_MAY_SEND, IPC_MAY_SEND_RESULT, 2 * CLOCK_SECOND, 500 * CLOCK_MS, true},
	[MAY_RECEIVE] = {IPC_MAY_RECEIVE, IPC_MAY_RECEIVE_RESULT, 10 * CLOCK_SECOND, 3 * CLOCK_SECOND, false},
};

struct question {
	struct question *next;
	void *asker; /* NULL: it has left */
	uint64_t id;
	int64_t ends_at;
	enum kind kind;
	struct buf body; /* of the frame, in `space`; a secret */
	char space[];
};

struct smtpd_gate {
	struct loop *loop;
	struct ipc_peer *peer; /* NULL: gate is away */
	struct loop_timer *timer;
	int64_t timer_at; /* when it fires; 0: it does not run */
	const struct smtpd_gate_answers *answers;
	void *ctx;
	struct question *first, **last; /* in the order of asking */
	uint64_t next_id;
	int64_t off_until; /* till then nobody is asked about limits */
	bool is_off;	   /* that was said in the log */
};

/* An answer, gate's or ours. */
struct answer {
	unsigned connect;
	struct ipc_auth_result auth;
	struct ipc_may_send_result send;
	bool is_counted; /* MAY_SEND: by gate */
	unsigned receive;
};

static const struct answer without_gate = {.connect = IPC_CONNECT_OK,
					   .auth = {.verdict = IPC_AUTH_UNAVAILABLE},
					   .send = {.verdict = IPC_MAY_SEND_OK},
					   .receive = IPC_MAY_RECEIVE_UNAVAILABLE};

/* ---- the list ---- */

/* The whole place from the start: growing would leave copies of the password behind. */
static struct question *question_new(enum kind kind, void *asker, size_t texts)
{
	size_t size = texts + BODY_ROOM < BODY_MAX ? texts + BODY_ROOM : BODY_MAX;
	struct question *q = mem_zero(sizeof(*q) + size);

	q->kind = kind;
	q->asker = asker;
	q->body = (struct buf){.p = q->space, .size = size, .max = size};
	return q;
}

static void question_free(struct question *q)
{
	mem_wipe(q->space, q->body.n);
	free(q);
}

/* Takes the question at *at out of the list. */
static struct question *unlink_at(struct smtpd_gate *gate, struct question **at)
{
	struct question *q = *at;

	*at = q->next;
	if (gate->last == &q->next)
		gate->last = at;
	return q;
}

/* A gate that dies takes its counts along: what was to be given back to it is forgotten. */
static void drop_orphans(struct smtpd_gate *gate)
{
	struct question **at = &gate->first;

	while (*at != NULL) {
		if ((*at)->asker == NULL)
			question_free(unlink_at(gate, at));
		else
			at = &(*at)->next;
	}
}

/* ---- sending ---- */

static void transmit(struct smtpd_gate *gate, enum ipc_type type, uint64_t id, struct str body)
{
	if (gate->peer != NULL)
		ipc_send(gate->peer, type, id, body, -1);
}

static void transmit_connect(struct smtpd_gate *gate, enum ipc_type type, const struct ipc_connect *who)
{
	char space[BODY_ROOM + IPC_SESSION_TEXT + 64];
	struct buf body = {.p = space, .size = sizeof(space), .max = sizeof(space)};

	ipc_put_connect(&body, who);
	transmit(gate, type, 0, buf_str(&body));
}

void smtpd_gate_tell_inside(struct smtpd_gate *gate, struct ipc_connect who)
{
	who.is_inside = true;
	transmit_connect(gate, IPC_CONNECT, &who);
}

void smtpd_gate_tell_disconnect(struct smtpd_gate *gate, const struct ipc_connect *who)
{
	transmit_connect(gate, IPC_DISCONNECT, who);
}

void smtpd_gate_tell_not_sent(struct smtpd_gate *gate, const struct ipc_may_send *what)
{
	char space[BODY_ROOM + IPC_SESSION_TEXT + 64];
	struct buf body = {.p = space, .size = sizeof(space), .max = sizeof(space)};

	ipc_put_may_send(&body, what);
	transmit(gate, IPC_NOT_SENT, 0, buf_str(&body));
}

/* ---- answering ---- */

static void tell(struct smtpd_gate *gate, enum kind kind, void *asker, const struct answer *answer)
{
	switch (kind) {
	case CONNECT:
		gate->answers->on_connect(asker, (enum ipc_connect_verdict)answer->connect);
		break;
	case AUTH:
		gate->answers->on_auth(asker, &answer->auth);
		break;
	case MAY_SEND:
		gate->answers->on_may_send(asker, &answer->send, answer->is_counted);
		break;
	case MAY_RECEIVE:
		gate->answers->on_may_receive(asker, (enum ipc_may_receive_verdict)answer->receive);
		break;
	case KINDS:
		break;
	}
}

/* Gate has answered the question at *at. */
static void settle(struct smtpd_gate *gate, struct question **at, const struct answer *answer)
{
	struct question *q = unlink_at(gate, at);

	/* What was counted for one who has left, or was counted otherwise meanwhile, goes back. */
	if (q->asker != NULL)
		tell(gate, q->kind, q->asker, answer);
	else if (q->kind == CONNECT && answer->connect == IPC_CONNECT_OK)
		transmit(gate, IPC_DISCONNECT, 0, buf_str(&q->body));
	else if (q->kind == MAY_SEND && answer->send.verdict == IPC_MAY_SEND_OK)
		transmit(gate, IPC_NOT_SENT, 0, buf_str(&q->body));
	question_free(q);
}

static bool read_answer(struct ipc_frame *frame, enum kind *kind, struct answer *answer)
{
	switch (frame->type) {
	case IPC_CONNECT_RESULT:
		*kind = CONNECT;
		return ipc_get_verdict(&frame->body, IPC_CONNECT_VERDICTS, &answer->connect);
	case IPC_AUTH_RESULT:
		*kind = AUTH;
		return ipc_get_auth_result(&frame->body, &answer->auth);
	case IPC_MAY_SEND_RESULT:
		*kind = MAY_SEND;
		if (!ipc_get_may_send_result(&frame->body, &answer->send))
			return false;
		answer->is_counted = answer->send.verdict == IPC_MAY_SEND_OK;
		return true;
	case IPC_MAY_RECEIVE_RESULT:
		*kind = MAY_RECEIVE;
		return ipc_get_verdict(&frame->body, IPC_MAY_RECEIVE_VERDICTS, &answer->receive);
	default:
		return false;
	}
}

static void limits_on(struct smtpd_gate *gate)
{
	gate->off_until = 0;
	if (gate->is_off)
		log_info(NULL, "smtpd.limits.on");
	gate->is_off = false;
}

static void limits_off(struct smtpd_gate *gate, int64_t now)
{
	gate->off_until = now + OFF_TIME;
	if (!gate->is_off)
		log_warn(NULL, "smtpd.limits.off", log_text("text", "gate does not answer: nobody is limited or banned"),
			 log_bool("is_away", gate->peer == NULL));
	gate->is_off = true;
}

static bool on_frame(void *ctx, struct ipc_peer *peer, struct ipc_frame *frame)
{
	struct smtpd_gate *gate = ctx;
	struct answer answer = {0};
	enum kind kind;

	(void)peer;
	if (!read_answer(frame, &kind, &answer))
		return false;
	if (kinds[kind].is_limit)
		limits_on(gate);
	/* Nearly always the first or one of the first. */
	for (struct question **at = &gate->first; *at != NULL; at = &(*at)->next)
		if ((*at)->id == frame->id) {
			if ((*at)->kind != kind)
				return false;
			settle(gate, at, &answer);
			break;
		}
	return true; /* one that nobody waits for any more is no breach */
}

/* ---- time ---- */

/* Moved only when it would fire too late: most answers come long before, and the timer stays as it is. */
static void set_timer(struct smtpd_gate *gate, int64_t now, int64_t at)
{
	if (gate->timer_at != 0 && gate->timer_at <= at)
		return;
	gate->timer_at = at;
	loop_timer_set(gate->timer, at - now);
}

static void start_time(struct smtpd_gate *gate, struct question *q, int64_t now)
{
	q->ends_at = now + (gate->peer != NULL ? kinds[q->kind].answer_time : kinds[q->kind].away_time);
	set_timer(gate, now, q->ends_at);
}

static void let_in(struct smtpd_gate *gate, const struct question *q)
{
	struct reader r = reader_of(buf_str(&q->body));
	struct ipc_connect who;

	if (ipc_get_connect(&r, &who))
		smtpd_gate_tell_inside(gate, who);
}

/* The question at *at has waited long enough. False: it stays in the list, for what a gate that lives will say:
 * it may count what nobody waits for any more. */
static bool give_up(struct smtpd_gate *gate, struct question **at, int64_t now)
{
	struct question *q = *at;
	void *asker = q->asker;
	bool stays = gate->peer != NULL && (q->kind == CONNECT || (q->kind == MAY_SEND && asker == NULL));

	if (kinds[q->kind].is_limit)
		limits_off(gate, now);
	else
		log_warn(NULL, "smtpd.gate.slow", log_bool("is_away", gate->peer == NULL));
	if (q->kind == CONNECT && asker != NULL)
		let_in(gate, q);
	q->asker = NULL;
	q->ends_at = INT64_MAX;
	if (asker != NULL)
		tell(gate, q->kind, asker, &without_gate);
	if (!stays)
		question_free(unlink_at(gate, at));
	return !stays;
}

static void on_timer(void *ctx)
{
	struct smtpd_gate *gate = ctx;
	int64_t now = clock_mono(), next = INT64_MAX;
	struct question **at = &gate->first;

	gate->timer_at = 0;
	while (*at != NULL) {
		if ((*at)->ends_at <= now && give_up(gate, at, now))
			continue;
		if ((*at)->ends_at < next)
			next = (*at)->ends_at;
		at = &(*at)->next;
	}
	if (next != INT64_MAX)
		set_timer(gate, now, next);
}

/* ---- gate comes and goes ---- */

static void on_close(void *ctx, struct ipc_peer *peer, const char *why)
{
	struct smtpd_gate *gate = ctx;

	if (peer == gate->peer) {
		log_warn(NULL, "smtpd.gate.away", log_text("reason", why));
		gate->peer = NULL;
		service_peer_lost(ROLE_GATE, ipc_peer_slot(peer));
		drop_orphans(gate);
		for (struct question *q = gate->first; q != NULL; q = q->next)
			start_time(gate, q, clock_mono());
	}
	ipc_peer_free(&peer);
}

void smtpd_gate_connect(struct smtpd_gate *gate, unsigned slot, int fd)
{
	static const struct ipc_events events = {on_frame, on_close};

	/* Master may know before us that the old one is dead. */
	ipc_peer_free(&gate->peer);
	drop_orphans(gate);
	gate->peer = ipc_peer_new(gate->loop, fd, ROLE_SMTPD, ROLE_GATE, slot, &events, gate);
	gate->off_until = 0;
	gate->answers->on_new_gate(gate->ctx);
	for (struct question *q = gate->first; q != NULL; q = q->next) {
		transmit(gate, kinds[q->kind].question, q->id, buf_str(&q->body));
		start_time(gate, q, clock_mono());
	}
}

struct smtpd_gate *smtpd_gate_new(struct loop *loop, const struct smtpd_gate_answers *answers, void *ctx)
{
	struct smtpd_gate *gate = mem_zero(sizeof(*gate));

	gate->loop = loop;
	gate->answers = answers;
	gate->ctx = ctx;
	gate->last = &gate->first;
	gate->timer = loop_timer_new(loop, on_timer, gate);
	return gate;
}

void smtpd_gate_free(struct smtpd_gate **gate)
{
	struct smtpd_gate *g = *gate;

	if (g == NULL)
		return;
	while (g->first != NULL)
		question_free(unlink_at(g, &g->first));
	ipc_peer_free(&g->peer);
	loop_timer_free(&g->timer);
	mem_free(gate);
}

/* ---- asking ---- */

static void ask(struct smtpd_gate *gate, struct question *q)
{
	if (q->body.is_full) {
		tell(gate, q->kind, q->asker, &without_gate);
		question_free(q);
		return;
	}
	q->id = ++gate->next_id;
	*gate->last = q;
	gate->last = &q->next;
	start_time(gate, q, clock_mono());
	transmit(gate, kinds[q->kind].question, q->id, buf_str(&q->body));
}

void smtpd_gate_ask_connect(struct smtpd_gate *gate, const struct ipc_connect *question, void *asker)
{
	struct question *q;

	if (gate->off_until > clock_mono()) {
		smtpd_gate_tell_inside(gate, *question);
		tell(gate, CONNECT, asker, &without_gate);
		return;
	}
	q = question_new(CONNECT, asker, question->session.n + question->client.n);
	ipc_put_connect(&q->body, question);
	ask(gate, q);
}

void smtpd_gate_ask_auth(struct smtpd_gate *gate, const struct ipc_auth *question, void *asker)
{
	struct question *q = question_new(AUTH, asker,
					  question->session.n + question->client.n + question->user.n +
						  question->password.n + question->certificate.n);

	ipc_put_auth(&q->body, question);
	ask(gate, q);
}

void smtpd_gate_ask_may_send(struct smtpd_gate *gate, const struct ipc_may_send *question, void *asker)
{
	struct question *q;

	if (gate->off_until > clock_mono()) {
		tell(gate, MAY_SEND, asker, &without_gate);
		return;
	}
	q = question_new(MAY_SEND, asker, question->session.n + question->client.n);
	ipc_put_may_send(&q->body, question);
	ask(gate, q);
}

void smtpd_gate_ask_may_receive(struct smtpd_gate *gate, const struct ipc_may_receive *question, void *asker)
{
	struct question *q = question_new(MAY_RECEIVE, asker, question->session.n + question->recipient.n);

	ipc_put_may_receive(&q->body, question);
	ask(gate, q);
}

void smtpd_gate_forget(struct smtpd_gate *gate, const void *asker)
{
	for (struct question *q = gate->first; q != NULL; q = q->next)
		if (q->asker == asker)
			q->asker = NULL;
}
