/* SPDX-License-Identifier: Apache-2.0
 *
 * Which links master makes between children, and when it makes a cut one again. The children are played: the other
 * ends of their control sockets are held here.
 */
#include "tests/support/unit.h"

#include "lib/base/fd.h"
#include "master/master_link.h"

enum { GATE, QMGR, SMTPD, OTHER_SMTPD, DELIVER, API, N };

static const enum role roles[N] = {ROLE_GATE, ROLE_QMGR, ROLE_SMTPD, ROLE_SMTPD, ROLE_DELIVER, ROLE_API};

struct world {
	struct loop *loop;
	struct master_child child[N];
	struct master_links *links;
	int heard_by[N]; /* what master says */
};

static bool on_frame(void *ctx, struct ipc_peer *peer, struct ipc_frame *frame)
{
	(void)ctx;
	(void)peer;
	(void)frame;
	return true;
}

static void on_close(void *ctx, struct ipc_peer *peer, const char *why)
{
	(void)ctx;
	(void)peer;
	(void)why;
}

static void start(struct world *w, int i)
{
	static const struct ipc_events events = {on_frame, on_close};
	int fds[2];

	ipc_pair(fds);
	w->heard_by[i] = fds[1];
	w->child[i].control = ipc_peer_new(w->loop, fds[0], ROLE_MASTER, roles[i], w->child[i].slot, &events, w);
	master_link_introduce(w->links, &w->child[i]);
}

static void end(struct world *w, int i)
{
	ipc_peer_free(&w->child[i].control);
	fd_close(&w->heard_by[i]);
}

static void open_world(struct world *w)
{
	*w = (struct world){.loop = loop_new()};
	for (int i = 0; i < N; i++) {
		w->child[i].role = roles[i];
		w->heard_by[i] = -1;
	}
	w->child[OTHER_SMTPD].slot = 1;
	w->links = master_link_new(w->loop, w->child, N);
	for (int i = 0; i < N; i++)
		start(w, i);
}

static void close_world(struct world *w)
{
	for (int i = 0; i < N; i++)
		end(w, i);
	master_link_free(&w->links);
	loop_turn(w->loop, 0); /* what was freed goes at the end of the turn */
	loop_free(&w->loop);
}

/* How many PEER of `from` child i was given since the last time; *number is the last one's. */
static int peers(struct world *w, int i, int from, uint32_t *number)
{
	int n = 0;

	for (;;) {
		struct ipc_frame frame = {.fd = -1};
		struct buf body = BUF_MAX(IPC_BODY_MAX);
		bool is_one = ipc_read(w->heard_by[i], roles[i], ROLE_MASTER, &frame, &body);
		uint32_t role, slot, its;

		if (is_one) {
			UNIT_INT(frame.type, IPC_PEER);
			UNIT_TRUE(frame.fd >= 0);
			role = reader_u32(&frame.body);
			slot = reader_u32(&frame.body);
			its = reader_u32(&frame.body);
			UNIT_TRUE(reader_is_done(&frame.body));
			if (role == roles[from] && slot == w->child[from].slot) {
				*number = its;
				n++;
			}
		}
		fd_close(&frame.fd);
		buf_clear(&body);
		if (!is_one)
			return n;
	}
}

static bool lost(struct world *w, int i, int other, uint32_t number)
{
	char bytes[16];
	struct buf body = {.p = bytes, .size = sizeof(bytes), .max = sizeof(bytes)};
	struct reader r;

	buf_put_u32(&body, roles[other]);
	buf_put_u32(&body, w->child[other].slot);
	buf_put_u32(&body, number);
	r = reader_of(buf_str(&body));
	return master_link_lost(w->links, &w->child[i], &r);
}

static void turn_for(struct world *w, int64_t time)
{
	int64_t until = clock_mono() + time;

	while (clock_mono() < until)
		loop_turn(w->loop, until - clock_mono());
}

static void those_with_business_are_introduced(void)
{
	static const bool talk[N][N] = {
		[GATE] = {[SMTPD] = true, [OTHER_SMTPD] = true},
		[QMGR] = {[SMTPD] = true, [OTHER_SMTPD] = true, [DELIVER] = true},
		[SMTPD] = {[GATE] = true, [QMGR] = true},
		[OTHER_SMTPD] = {[GATE] = true, [QMGR] = true},
		[DELIVER] = {[QMGR] = true},
	};

	for (int i = 0; i < N; i++)
		for (int other = 0; other < N; other++) {
			struct world w;
			uint32_t number = 0;

			open_world(&w);
			UNIT_INT(peers(&w, i, other, &number), talk[i][other]);
			UNIT_INT(lost(&w, i, other, number + 1), talk[i][other]); /* else a breach */
			close_world(&w);
		}
}

static void a_link_that_was_cut_is_made_again_once(void)
{
	struct world w;
	uint32_t at_gate, at_smtpd, again;

	open_world(&w);
	UNIT_INT(peers(&w, GATE, SMTPD, &at_gate), 1);
	UNIT_INT(peers(&w, SMTPD, GATE, &at_smtpd), 1);
	UNIT_INT(at_gate, at_smtpd);
	turn_for(&w, MASTER_LINK_EVERY);
	/* Both report it; one of them late, when the new link is on its way. */
	UNIT_TRUE(lost(&w, GATE, SMTPD, at_gate));
	UNIT_TRUE(lost(&w, GATE, SMTPD, at_gate));
	UNIT_INT(peers(&w, SMTPD, GATE, &again), 0);
	turn_for(&w, 2 * MASTER_LINK_SETTLE);
	UNIT_TRUE(lost(&w, SMTPD, GATE, at_smtpd));
	UNIT_INT(peers(&w, SMTPD, GATE, &again), 1);
	UNIT_TRUE(again != at_smtpd);
	UNIT_INT(peers(&w, GATE, SMTPD, &at_gate), 1);
	UNIT_INT(at_gate, again);
	turn_for(&w, MASTER_LINK_EVERY + 2 * MASTER_LINK_SETTLE);
	UNIT_INT(peers(&w, GATE, SMTPD, &at_gate), 0);
	UNIT_INT(peers(&w, GATE, OTHER_SMTPD, &at_gate), 0);
	/* And a second time. */
	UNIT_TRUE(lost(&w, SMTPD, GATE, again));
	turn_for(&w, 2 * MASTER_LINK_SETTLE);
	UNIT_INT(peers(&w, GATE, SMTPD, &at_gate), 1);
	close_world(&w);
}

static void a_link_cut_at_once_is_not_forgotten(void)
{
	struct world w;
	uint32_t number;

	open_world(&w);
	UNIT_INT(peers(&w, DELIVER, QMGR, &number), 1);
	UNIT_TRUE(lost(&w, DELIVER, QMGR, number));
	turn_for(&w, MASTER_LINK_EVERY / 2);
	UNIT_INT(peers(&w, DELIVER, QMGR, &number), 0);
	turn_for(&w, MASTER_LINK_EVERY);
	UNIT_INT(peers(&w, DELIVER, QMGR, &number), 1);
	close_world(&w);
}

static void the_dead_are_introduced_by_their_restart_only(void)
{
	struct world w;
	uint32_t number;

	open_world(&w);
	UNIT_INT(peers(&w, QMGR, DELIVER, &number), 1);
	turn_for(&w, MASTER_LINK_EVERY);
	UNIT_TRUE(lost(&w, QMGR, DELIVER, number));
	end(&w, DELIVER);
	turn_for(&w, 2 * MASTER_LINK_SETTLE);
	UNIT_INT(peers(&w, QMGR, DELIVER, &number), 0);
	start(&w, DELIVER);
	UNIT_INT(peers(&w, QMGR, DELIVER, &number), 1);
	/* Restarted while a report waits. */
	UNIT_TRUE(lost(&w, QMGR, DELIVER, number));
	end(&w, DELIVER);
	start(&w, DELIVER);
	turn_for(&w, MASTER_LINK_EVERY + 2 * MASTER_LINK_SETTLE);
	UNIT_INT(peers(&w, QMGR, DELIVER, &number), 1);
	close_world(&w);
}

static void a_report_that_is_cut_short_is_a_breach(void)
{
	struct world w;
	struct reader r = reader_of(str_bytes("\0\0\0\1\0\0\0\0", 8));

	open_world(&w);
	UNIT_TRUE(!master_link_lost(w.links, &w.child[SMTPD], &r));
	close_world(&w);
}

static void no_link_is_made_more_than_once_a_second(void)
{
	static const struct {
		int64_t made_at, now, delay;
	} cases[] = {
		{0, 0, MASTER_LINK_EVERY},
		{5 * CLOCK_SECOND, 5 * CLOCK_SECOND + 300 * CLOCK_MS, 700 * CLOCK_MS},
		{0, 950 * CLOCK_MS, MASTER_LINK_SETTLE},
		{0, 3600 * CLOCK_SECOND, MASTER_LINK_SETTLE},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		UNIT_INT(master_link_delay(cases[i].made_at, cases[i].now), cases[i].delay);
}

UNIT_TESTS({"those who have business with each other are introduced", those_with_business_are_introduced},
	   {"a link that was cut is made again, once", a_link_that_was_cut_is_made_again_once},
	   {"a link that is cut at once is not forgotten", a_link_cut_at_once_is_not_forgotten},
	   {"the dead are introduced by their restart only", the_dead_are_introduced_by_their_restart_only},
	   {"a report that is cut short is a breach", a_report_that_is_cut_short_is_a_breach},
	   {"no link is made more than once a second", no_link_is_made_more_than_once_a_second})
