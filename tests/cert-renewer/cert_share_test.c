/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions to a qmgr that the test plays: each gets one answer, whatever becomes of qmgr. Both sides by the real programs'
 * parts: tests/qmgr/qmgr_share_test.c.
 */
#include "cert-renewer/cert_share.h"

#include "lib/base/clock.h"
#include "lib/ipc/ipc.h"
#include "tests/support/unit.h"

enum { KEPT = 512 };

static struct loop *loop;
static struct cert_share *share;
static struct ipc_peer *qmgr;
static uint64_t asked[KEPT];
static unsigned n_asked;

struct heard {
	unsigned n;
	enum ipc_share_verdict verdict;
	char value[64];
	uint64_t forgets; /* this question, in its callback */
};

static void on_answer(void *ctx, enum ipc_share_verdict verdict, struct str value)
{
	struct heard *h = ctx;

	h->n++;
	h->verdict = verdict;
	UNIT_TRUE(str_copy(value, h->value, sizeof(h->value)));
	if (h->forgets != 0)
		cert_share_forget(share, h->forgets);
}

static bool on_frame(void *ctx, struct ipc_peer *peer, struct ipc_frame *frame)
{
	struct ipc_share question;

	(void)ctx, (void)peer;
	UNIT_TRUE(frame->type == IPC_SHARE && ipc_get_share(&frame->body, &question));
	if (n_asked < KEPT)
		asked[n_asked++] = frame->id;
	return true;
}

static void on_close(void *ctx, struct ipc_peer *peer, const char *why)
{
	(void)ctx, (void)peer, (void)why;
	ipc_peer_free(&qmgr);
}

static void connect_qmgr(void)
{
	static const struct ipc_events events = {on_frame, on_close};
	int fds[2];

	ipc_peer_free(&qmgr);
	ipc_pair(fds);
	n_asked = 0;
	qmgr = ipc_peer_new(loop, fds[0], ROLE_QMGR, ROLE_CERT_RENEWER, 0, &events, NULL);
	cert_share_connect(share, 0, fds[1]);
}

static void begin(void)
{
	loop = loop == NULL ? loop_new() : loop;
	share = cert_share_new(loop);
}

static void end(void)
{
	cert_share_free(&share);
	ipc_peer_free(&qmgr);
}

static uint64_t ask(enum ipc_share_act act, struct heard *h)
{
	return cert_share_ask(share, &(struct ipc_share){act, STR("lock/a"), STR(""), CLOCK_SECOND}, on_answer, h);
}

/* Turns the loop until *n is at least `wanted`. */
static void until(const unsigned *n, unsigned wanted)
{
	int64_t stop = clock_mono() + 15 * CLOCK_SECOND;

	while (*n < wanted && clock_mono() < stop)
		loop_turn(loop, 20 * CLOCK_MS);
	UNIT_INT(*n, wanted);
}

static void answer(uint64_t id, enum ipc_share_verdict verdict, const char *value)
{
	char bytes[128];
	struct buf body = {.p = bytes, .size = sizeof(bytes), .max = sizeof(bytes)};

	ipc_put_share_result(&body, &(struct ipc_share_result){verdict, str_of(value)});
	ipc_send(qmgr, IPC_SHARE_RESULT, id, buf_str(&body), -1);
}

static void each_answer_finds_its_question(void)
{
	struct heard a = {0}, b = {0};
	uint64_t first, second;

	begin();
	connect_qmgr();
	first = ask(IPC_SHARE_LOCK, &a);
	second = ask(IPC_SHARE_GET, &b);
	until(&n_asked, 2);
	answer(second, IPC_SHARE_YES, "value");
	until(&b.n, 1);
	UNIT_INT(b.verdict, IPC_SHARE_YES);
	UNIT_TEXT(b.value, "value");
	UNIT_INT(a.n, 0);
	/* Twice, and one that was never asked: of no meaning. */
	answer(second, IPC_SHARE_NO, "");
	answer(77, IPC_SHARE_NO, "");
	answer(first, IPC_SHARE_NO, "another");
	until(&a.n, 1);
	UNIT_INT(a.verdict, IPC_SHARE_NO);
	UNIT_INT(b.n, 1);
	end();
}

static void without_qmgr_it_is_said_at_once(void)
{
	struct heard a = {0};
	int64_t from = clock_mono();

	begin();
	ask(IPC_SHARE_LOCK, &a);
	UNIT_INT(a.n, 0);
	until(&a.n, 1);
	UNIT_INT(a.verdict, IPC_SHARE_UNAVAILABLE);
	UNIT_TRUE(clock_mono() - from < 5 * CLOCK_SECOND);
	end();
}

static void what_a_qmgr_that_dies_was_asked_is_unavailable(void)
{
	struct heard a = {0}, b = {0}, c = {0};
	int64_t from;

	begin();
	connect_qmgr();
	ask(IPC_SHARE_LOCK, &a);
	ask(IPC_SHARE_LOCK, &b);
	until(&n_asked, 2);
	ipc_peer_free(&qmgr);
	from = clock_mono();
	until(&a.n, 1);
	until(&b.n, 1);
	UNIT_INT(a.verdict, IPC_SHARE_UNAVAILABLE);
	UNIT_TRUE(clock_mono() - from < 5 * CLOCK_SECOND);
	/* The next one is asked anew, and answers nothing of before. */
	connect_qmgr();
	ask(IPC_SHARE_LOCK, &c);
	until(&n_asked, 1);
	answer(asked[0], IPC_SHARE_ALONE, "");
	until(&c.n, 1);
	UNIT_INT(c.verdict, IPC_SHARE_ALONE);
	UNIT_INT(a.n, 1);
	end();
}

static void what_is_forgotten_is_not_heard_of(void)
{
	struct heard a = {0}, b = {0}, c = {0};

	begin();
	connect_qmgr();
	cert_share_forget(share, ask(IPC_SHARE_LOCK, &a));
	/* One may forget the next one while it is told, ... */
	ask(IPC_SHARE_LOCK, &b);
	b.forgets = ask(IPC_SHARE_LOCK, &a);
	/* ... or itself, or one that there never was. */
	c.forgets = ask(IPC_SHARE_LOCK, &c);
	cert_share_forget(share, 4711);
	until(&n_asked, 4);
	ipc_peer_free(&qmgr);
	until(&b.n, 1);
	until(&c.n, 1);
	UNIT_INT(a.n, 0);
	end();
}

/* What strangers cause leaves room for what we do ourselves. */
static void a_flood_of_gets_is_held_back(void)
{
	struct heard gets = {0}, lock = {0};
	uint64_t number;

	begin();
	connect_qmgr();
	for (unsigned i = 0; i < 400; i++)
		ask(IPC_SHARE_GET, &gets);
	number = ask(IPC_SHARE_LOCK, &lock);
	until(&gets.n, 400 - 32);
	until(&n_asked, 33);
	UNIT_INT(gets.verdict, IPC_SHARE_UNAVAILABLE);
	answer(number, IPC_SHARE_YES, "");
	until(&lock.n, 1);
	UNIT_INT(lock.verdict, IPC_SHARE_YES);
	for (unsigned i = 0; i < 32; i++)
		answer(asked[i], IPC_SHARE_NO, "");
	until(&gets.n, 400);
	UNIT_INT(gets.verdict, IPC_SHARE_NO);
	end();
	UNIT_INT(lock.n, 1);
}

UNIT_TESTS({"each answer finds its question", each_answer_finds_its_question},
	   {"without qmgr it is said at once", without_qmgr_it_is_said_at_once},
	   {"what a qmgr that dies was asked is unavailable", what_a_qmgr_that_dies_was_asked_is_unavailable},
	   {"what is forgotten is not heard of", what_is_forgotten_is_not_heard_of},
	   {"a flood of gets is held back", a_flood_of_gets_is_held_back})
