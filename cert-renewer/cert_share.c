/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions to qmgr and their answers. A question is not asked again of the next qmgr: whoever asked knows better whether it
 * still matters.
 */
#include "cert-renewer/cert_share.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/ipc/ipc.h"
#include "lib/service/service.h"

#define ANSWER_TIME (10 * CLOCK_SECOND)

enum {
	BODY_MAX = 8192, /* as IPC(SHARE) */
	UNDER_WAY = 64,
	/* Anybody who asks on port 80 causes these: the rest of the places is for what we do ourselves. */
	GETS_UNDER_WAY = 32,
	GETS_A_SECOND = 200,
};

struct question {
	struct question *next;
	uint64_t number;
	int64_t ends_at; /* monotonic */
	bool is_get, is_asked;
	cert_share_fn *fn; /* NULL: nobody wants to know */
	void *ctx;
};

struct cert_share {
	struct loop *loop;
	struct ipc_peer *qmgr; /* NULL: it is away */
	struct loop_timer *timer;
	struct question *first, **last; /* in the order of asking */
	uint64_t next_number;
	unsigned n, n_gets;	/* under way */
	unsigned gets_lately;	/* in the second that began at second_at */
	int64_t second_at;
};

static struct question *take(struct cert_share *share, struct question **at)
{
	struct question *question = *at;

	*at = question->next;
	if (share->last == &question->next)
		share->last = at;
	share->n -= question->is_asked;
	share->n_gets -= question->is_asked && question->is_get;
	return question;
}

/* Callbacks ask new questions, which go to the end. */
static void settle(struct cert_share *share, struct question **at, const struct ipc_share_result *result)
{
	struct question *question = take(share, at);

	if (question->fn != NULL)
		question->fn(question->ctx, result->verdict, result->value);
	mem_free(&question);
}

static struct question **find(struct cert_share *share, uint64_t number)
{
	struct question **at = &share->first;

	while (*at != NULL && (*at)->number != number)
		at = &(*at)->next;
	return at;
}

static void set_timer(struct cert_share *share)
{
	int64_t now = clock_mono(), at = INT64_MAX;

	for (const struct question *question = share->first; question != NULL; question = question->next)
		at = question->ends_at < at ? question->ends_at : at;
	if (at == INT64_MAX)
		loop_timer_stop(share->timer);
	else
		loop_timer_set(share->timer, at > now ? at - now : 0);
}

static void on_timer(void *ctx)
{
	static const struct ipc_share_result unavailable = {.verdict = IPC_SHARE_UNAVAILABLE};
	struct cert_share *share = ctx;
	int64_t now = clock_mono();
	uint64_t before = share->next_number;

	/* One at a time from the beginning: a callback may have forgotten any of the others. */
	for (struct question **at = &share->first; *at != NULL && (*at)->number < before;) {
		if ((*at)->ends_at > now) {
			at = &(*at)->next;
			continue;
		}
		settle(share, at, &unavailable);
		at = &share->first;
	}
	set_timer(share);
}

static bool on_frame(void *ctx, struct ipc_peer *peer, struct ipc_frame *frame)
{
	struct cert_share *share = ctx;
	struct ipc_share_result result;
	struct question **at;

	(void)peer;
	if (frame->type != IPC_SHARE_RESULT || !ipc_get_share_result(&frame->body, &result))
		return false;
	at = find(share, frame->id);
	if (*at != NULL) /* else it was too late, or is not wanted any more */
		settle(share, at, &result);
	return true;
}

/* What it was asked gets no answer. */
static void lose(struct cert_share *share)
{
	ipc_peer_free(&share->qmgr);
	for (struct question *question = share->first; question != NULL; question = question->next)
		question->ends_at = 0;
	set_timer(share);
}

static void on_close(void *ctx, struct ipc_peer *peer, const char *why)
{
	struct cert_share *share = ctx;

	if (peer != share->qmgr)
		return;
	log_info(NULL, "cert.share.qmgr_gone", log_text("reason", why));
	service_peer_lost(ROLE_QMGR, ipc_peer_slot(peer));
	lose(share);
}

void cert_share_connect(struct cert_share *share, unsigned slot, int fd)
{
	static const struct ipc_events events = {.on_frame = on_frame, .on_close = on_close};

	lose(share);
	share->qmgr = ipc_peer_new(share->loop, fd, ROLE_CERT_RENEWER, ROLE_QMGR, slot, &events, share);
}

/* Is there a place for one more? */
static bool has_place(struct cert_share *share, bool is_get)
{
	int64_t now = clock_mono();

	if (!is_get)
		return share->n < UNDER_WAY;
	if (now - share->second_at >= CLOCK_SECOND) {
		share->second_at = now;
		share->gets_lately = 0;
	}
	return share->n < UNDER_WAY && share->n_gets < GETS_UNDER_WAY && share->gets_lately++ < GETS_A_SECOND;
}

static void transmit(struct cert_share *share, uint64_t number, const struct ipc_share *what)
{
	char bytes[BODY_MAX];
	struct buf body = {.p = bytes, .size = sizeof(bytes), .max = sizeof(bytes)};

	must(what->name.n > 0 && what->name.n <= IPC_SHARE_NAME && what->value.n <= IPC_SHARE_VALUE);
	ipc_put_share(&body, what);
	ipc_send(share->qmgr, IPC_SHARE, number, buf_str(&body), -1);
}

uint64_t cert_share_ask(struct cert_share *share, const struct ipc_share *what, cert_share_fn *fn, void *ctx)
{
	struct question *question = mem_zero(sizeof(*question));

	question->number = share->next_number++;
	question->is_get = what->act == IPC_SHARE_GET;
	question->is_asked = share->qmgr != NULL && has_place(share, question->is_get);
	question->ends_at = question->is_asked ? clock_mono() + ANSWER_TIME : 0; /* else at the end of this turn */
	question->fn = fn;
	question->ctx = ctx;
	*share->last = question;
	share->last = &question->next;
	share->n += question->is_asked;
	share->n_gets += question->is_asked && question->is_get;
	if (question->is_asked)
		transmit(share, question->number, what);
	set_timer(share);
	return question->number;
}

void cert_share_forget(struct cert_share *share, uint64_t number)
{
	struct question *question = *find(share, number);

	if (question != NULL)
		question->fn = NULL;
}

struct cert_share *cert_share_new(struct loop *loop)
{
	struct cert_share *share = mem_zero(sizeof(*share));

	share->loop = loop;
	share->timer = loop_timer_new(loop, on_timer, share);
	share->last = &share->first;
	share->next_number = 1;
	return share;
}

void cert_share_free(struct cert_share **share)
{
	if (*share == NULL)
		return;
	ipc_peer_free(&(*share)->qmgr);
	loop_timer_free(&(*share)->timer);
	while ((*share)->first != NULL) {
		struct question *question = take(*share, &(*share)->first);

		mem_free(&question);
	}
	mem_free(share);
}
