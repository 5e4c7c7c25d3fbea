/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames between processes: what may be said by whom, and what happens to a peer that says anything else.
 */
#include "tests/support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/mem.h"
#include "lib/ipc/ipc.h"

/* ---- The permission table ---- */

static bool parses(unsigned type, unsigned zero, size_t body, int descriptors, enum role from, enum role to)
{
	struct buf packet = BUF_MAX(IPC_HEAD + IPC_BODY_MAX + 2);
	struct ipc_frame frame;
	bool ok;

	buf_put_u16(&packet, (uint16_t)type);
	buf_put_u16(&packet, (uint16_t)zero);
	buf_put_u64(&packet, 77);
	memset(buf_room(&packet, body + 1), 'x', body);
	buf_added(&packet, body);
	ok = ipc_parse(buf_str(&packet), descriptors, from, to, &frame);
	if (ok)
		UNIT_TRUE(frame.type == type && frame.id == 77 && frame.body.n == body);
	buf_clear(&packet);
	return ok;
}

static const struct {
	enum ipc_type type;
	enum role from, to;
	size_t largest;
	int descriptors;
} rows[] = {
#define IPC(name, from, to, largest, descriptors) {IPC_##name, ROLE_##from, ROLE_##to, largest, descriptors},
#include "lib/ipc/ipc.def"
#undef IPC
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static bool fits(enum role row, unsigned actual)
{
	return row == actual || (row == ROLE_CHILD && actual != ROLE_MASTER);
}

static void only_what_the_table_says_may_be_said(void)
{
	unsigned permitted = 0;

	for (size_t i = 0; i < ROWS; i++)
		for (unsigned from = 0; from < ROLE_COUNT; from++)
			for (unsigned to = 0; to < ROLE_COUNT; to++) {
				bool expected = fits(rows[i].from, from) && fits(rows[i].to, to);

				permitted += expected;
				UNIT_INT(parses(rows[i].type, 0, 0, 0, from, to), expected);
			}
	UNIT_TRUE(permitted > ROWS);
}

static void a_face_to_the_clients_cannot_order_a_delivery(void)
{
	UNIT_TRUE(!parses(IPC_JOB, 0, 10, 0, ROLE_SMTPD, ROLE_DELIVER));
	UNIT_TRUE(!parses(IPC_SETTINGS, 0, 10, 0, ROLE_SMTPD, ROLE_MASTER));
	UNIT_TRUE(!parses(IPC_LISTENER, 0, 4, 1, ROLE_SMTPD, ROLE_GATE));
	UNIT_TRUE(!parses(IPC_OUTCOME, 0, 10, 0, ROLE_SMTPD, ROLE_QMGR));
	UNIT_TRUE(parses(IPC_SUBMIT, 0, 10, 1, ROLE_SMTPD, ROLE_QMGR));
}

static void the_largest_body_is_the_last_that_passes(void)
{
	for (size_t i = 0; i < ROWS; i++) {
		enum role from = rows[i].from == ROLE_CHILD ? ROLE_SMTPD : rows[i].from;
		enum role to = rows[i].to == ROLE_CHILD ? ROLE_SMTPD : rows[i].to;

		UNIT_TRUE(rows[i].largest <= IPC_BODY_MAX);
		UNIT_TRUE(parses(rows[i].type, 0, rows[i].largest, 0, from, to));
		UNIT_TRUE(!parses(rows[i].type, 0, rows[i].largest + 1, 0, from, to));
		UNIT_TRUE(parses(rows[i].type, 0, 0, rows[i].descriptors, from, to));
		UNIT_TRUE(!parses(rows[i].type, 0, 0, rows[i].descriptors + 1, from, to));
	}
}

static void heads_that_make_no_sense_are_refused(void)
{
	struct ipc_frame frame;

	UNIT_TRUE(!parses(IPC_NONE, 0, 0, 0, ROLE_MASTER, ROLE_SMTPD));
	UNIT_TRUE(!parses(IPC_COUNT, 0, 0, 0, ROLE_MASTER, ROLE_SMTPD));
	UNIT_TRUE(!parses(65535, 0, 0, 0, ROLE_MASTER, ROLE_SMTPD));
	UNIT_TRUE(!parses(IPC_PING, 1, 0, 0, ROLE_MASTER, ROLE_SMTPD));
	for (size_t n = 0; n < IPC_HEAD; n++)
		UNIT_TRUE(!ipc_parse(str_bytes("\0\10\0\0\0\0\0\0\0\0\0\0", n), 0, ROLE_MASTER, ROLE_SMTPD,
				     &frame));
}

/* ---- Two peers ---- */

struct side {
	struct ipc_peer *peer;
	unsigned frames, closes;
	uint64_t last_id;
	size_t bytes;
	char fd_text[16]; /* what the last descriptor's file said */
	bool refuses;
	char why[128];
};

static bool on_frame(void *ctx, struct ipc_peer *peer, struct ipc_frame *frame)
{
	struct side *side = ctx;

	(void)peer;
	UNIT_TRUE(frame->id == side->last_id + 1);
	side->last_id = frame->id;
	side->frames++;
	side->bytes += frame->body.n;
	if (frame->fd >= 0) {
		ssize_t got = pread(frame->fd, side->fd_text, sizeof(side->fd_text) - 1, 0);

		side->fd_text[got > 0 ? got : 0] = '\0';
	}
	return !side->refuses;
}

static void on_close(void *ctx, struct ipc_peer *peer, const char *why)
{
	struct side *side = ctx;

	side->closes++;
	snprintf(side->why, sizeof(side->why), "%s", why == NULL ? "" : why);
	UNIT_TRUE(peer == side->peer);
	ipc_peer_free(&side->peer);
}

static const struct ipc_events events = {on_frame, on_close};
static struct loop *loop;

/* qmgr (a) and deliver (b). */
static void connect_sides(struct side *a, struct side *b)
{
	int fds[2];

	memset(a, 0, sizeof(*a));
	memset(b, 0, sizeof(*b));
	loop = loop_new();
	ipc_pair(fds);
	a->peer = ipc_peer_new(loop, fds[0], ROLE_QMGR, ROLE_DELIVER, 3, &events, a);
	b->peer = ipc_peer_new(loop, fds[1], ROLE_DELIVER, ROLE_QMGR, 0, &events, b);
}

static void end_sides(struct side *a, struct side *b)
{
	ipc_peer_free(&a->peer);
	ipc_peer_free(&b->peer);
	loop_turn(loop, 0);
	loop_free(&loop);
}

/* Turns the loop until the condition holds, for ten seconds at most. */
#define TURN_UNTIL(condition) \
	do { \
		int64_t until_ = clock_mono() + 10 * CLOCK_SECOND; \
		while (!(condition) && clock_mono() < until_) \
			loop_turn(loop, 10 * CLOCK_MS); \
		UNIT_TRUE(condition); \
	} while (0)

static void frames_come_in_order(void)
{
	struct side a, b;

	connect_sides(&a, &b);
	UNIT_INT(ipc_peer_slot(a.peer), 3);
	for (uint64_t id = 1; id <= 200; id++)
		UNIT_TRUE(ipc_send(a.peer, IPC_JOB, id, STR("work"), -1));
	UNIT_TRUE(ipc_send(b.peer, IPC_PLACES, 1, STR("1234"), -1));
	TURN_UNTIL(b.frames == 200 && a.frames == 1);
	UNIT_INT(b.bytes, 800);
	end_sides(&a, &b);
}

/* More than a socket takes: what is kept back comes later, in order, with its descriptors. */
static void a_slow_peer_gets_everything(void)
{
	char *body = mem_zero(190000);
	int file = fd_memfile("test");
	struct side a, b;

	connect_sides(&a, &b);
	UNIT_TRUE(fd_write_all(file, "inside", 6));
	for (uint64_t id = 1; id <= 300; id++)
		UNIT_TRUE(ipc_send(a.peer, IPC_JOB, id, str_bytes(body, 190000), id == 300 ? file : -1));
	UNIT_TRUE(ipc_backlog(a.peer) > 0);
	fd_close(&file);
	TURN_UNTIL(b.frames == 300);
	UNIT_INT(ipc_backlog(a.peer), 0);
	UNIT_INT(b.bytes, 300 * 190000);
	UNIT_TEXT(b.fd_text, "inside");
	end_sides(&a, &b);
	free(body);
}

static void a_descriptor_comes_with_its_frame(void)
{
	int file = fd_memfile("test");
	struct side a, b;

	connect_sides(&a, &b);
	UNIT_TRUE(fd_write_all(file, "content", 7));
	ipc_send(a.peer, IPC_JOB, 1, STR(""), file);
	UNIT_TRUE(fcntl(file, F_GETFD) >= 0);
	fd_close(&file);
	TURN_UNTIL(b.frames == 1);
	UNIT_TEXT(b.fd_text, "content");
	end_sides(&a, &b);
}

static void the_end_is_told_once(void)
{
	struct side a, b;

	connect_sides(&a, &b);
	ipc_peer_free(&b.peer);
	TURN_UNTIL(a.closes == 1);
	UNIT_TEXT(a.why, "");
	UNIT_TRUE(a.peer == NULL);
	loop_turn(loop, 0);
	UNIT_INT(a.closes, 1);
	end_sides(&a, &b);
}

static void sending_to_a_dead_peer_fails_quietly(void)
{
	struct side a, b;

	connect_sides(&a, &b);
	ipc_peer_free(&b.peer);
	ipc_send(a.peer, IPC_JOB, 1, STR("x"), -1);
	UNIT_TRUE(!ipc_send(a.peer, IPC_JOB, 2, STR("x"), -1));
	TURN_UNTIL(a.closes == 1);
	end_sides(&a, &b);
}

/* An answer that a process gave before it died is an answer: of a message sent directly nobody else knows. */
static void what_a_peer_said_before_it_died_is_read(void)
{
	struct side a, b;

	for (int is_spoken_to = 0; is_spoken_to < 2; is_spoken_to++) {
		connect_sides(&a, &b);
		/* Something that it has not read: then the end of it is an error on our side (ECONNRESET). */
		ipc_send(a.peer, IPC_JOB, 1, STR("x"), -1);
		for (uint64_t id = 1; id <= 100; id++)
			ipc_send(b.peer, IPC_PLACES, id, STR("1234"), -1);
		ipc_peer_free(&b.peer);
		if (is_spoken_to) {
			UNIT_TRUE(!ipc_send(a.peer, IPC_JOB, 2, STR("x"), -1));
			UNIT_TRUE(ipc_backlog(a.peer) == SIZE_MAX);
		}
		TURN_UNTIL(a.closes == 1);
		UNIT_INT(a.frames, 100);
		UNIT_TEXT(a.why, "");
		end_sides(&a, &b);
	}
}

/* ... also when more was to be sent to it than its socket took. */
static void what_a_slow_peer_said_before_it_died_is_read(void)
{
	char *body = mem_zero(190000);
	struct side a, b;

	connect_sides(&a, &b);
	for (uint64_t id = 1; id <= 100; id++)
		ipc_send(a.peer, IPC_JOB, id, str_bytes(body, 190000), -1);
	UNIT_TRUE(ipc_backlog(a.peer) > 0);
	for (uint64_t id = 1; id <= 100; id++)
		ipc_send(b.peer, IPC_PLACES, id, STR("1234"), -1);
	ipc_peer_free(&b.peer);
	TURN_UNTIL(a.closes == 1);
	UNIT_INT(a.frames, 100);
	end_sides(&a, &b);
	free(body);
}

static void a_frame_that_is_refused_cuts_the_peer_off(void)
{
	struct side a, b;

	connect_sides(&a, &b);
	b.refuses = true;
	ipc_send(a.peer, IPC_JOB, 1, STR("x"), -1);
	ipc_send(a.peer, IPC_JOB, 2, STR("x"), -1);
	TURN_UNTIL(b.closes == 1 && a.closes == 1);
	UNIT_INT(b.frames, 1);
	UNIT_TEXT(b.why, "it broke the protocol");
	end_sides(&a, &b);
}

/* A process that was taken over says what it likes: raw bytes into qmgr's end. */
static void says(const void *bytes, size_t n, int descriptors)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(8 * sizeof(int))];
	} control;
	struct iovec iov = {(void *)(uintptr_t)bytes, n};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct side a = {0};
	int fds[2];

	loop = loop_new();
	ipc_pair(fds);
	a.peer = ipc_peer_new(loop, fds[0], ROLE_QMGR, ROLE_DELIVER, 0, &events, &a);
	if (descriptors > 0) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE((size_t)descriptors * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN((size_t)descriptors * sizeof(int));
		for (int i = 0; i < descriptors; i++)
			memcpy(CMSG_DATA(&control.align) + (size_t)i * sizeof(int), &fds[1], sizeof(int));
	}
	UNIT_TRUE(sendmsg(fds[1], &msg, MSG_NOSIGNAL) == (ssize_t)n);
	TURN_UNTIL(a.closes == 1);
	UNIT_INT(a.frames, 0);
	UNIT_TRUE(recv(fds[1], control.bytes, 1, MSG_DONTWAIT) <= 0);
	close(fds[1]);
	loop_turn(loop, 0);
	loop_free(&loop);
}

static int open_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void hostile_packets_cut_the_peer_off_and_leak_nothing(void)
{
	static char large[IPC_HEAD + IPC_BODY_MAX + 1];
	static const char places[IPC_HEAD] = {0, IPC_PLACES};
	static const char job[IPC_HEAD] = {0, IPC_JOB}; /* qmgr's to say */
	int before = open_descriptors();

	large[1] = IPC_OUTCOME;
	says("x", 1, 0);
	says(large, sizeof(large), 0);
	large[1] = IPC_RUNNING;
	says(large, 9000, 0);
	says(job, sizeof(job), 0);
	says(places, sizeof(places), 1);
	says(places, sizeof(places), 3);
	says(places, sizeof(places), 8);
	says(places, 0, 1);
	says(places, 0, 3);
	UNIT_INT(open_descriptors(), before);
}

/* Is the word, each of its octets plus one, in our static memory? */
__attribute__((no_sanitize("address"))) static bool is_left_behind(const char *word_plus_one)
{
	extern char __data_start[], _end[];
	size_t n = strlen(word_plus_one);

	for (const char *p = __data_start; p + n <= _end; p++) {
		size_t same = 0;

		while (same < n && p[same] == word_plus_one[same] - 1)
			same++;
		if (same == n)
			return true;
	}
	return false;
}

static void a_password_is_not_left_behind(void)
{
	static const char plus_one[] = "ivoufs3"; /* hunter2 */
	struct side a = {0}, b = {0};
	char password[8] = "";
	int fds[2];

	loop = loop_new();
	ipc_pair(fds);
	a.peer = ipc_peer_new(loop, fds[0], ROLE_SMTPD, ROLE_GATE, 0, &events, &a);
	b.peer = ipc_peer_new(loop, fds[1], ROLE_GATE, ROLE_SMTPD, 0, &events, &b);
	for (size_t i = 0; i < 7; i++)
		password[i] = (char)(plus_one[i] - 1);
	UNIT_TRUE(ipc_send(a.peer, IPC_AUTH, 1, str_of(password), -1));
	UNIT_TRUE(!is_left_behind(plus_one));
	TURN_UNTIL(b.frames == 1);
	UNIT_INT(b.bytes, 7);
	UNIT_TRUE(!is_left_behind(plus_one));
	end_sides(&a, &b);
}

static void first_words_are_read_without_a_loop(void)
{
	struct buf body = BUF_MAX(IPC_BODY_MAX);
	struct ipc_frame frame;
	struct side a = {0};
	int fds[2];

	loop = loop_new();
	ipc_pair(fds);
	a.peer = ipc_peer_new(loop, fds[0], ROLE_MASTER, ROLE_SMTPD, 0, &events, &a);
	ipc_send(a.peer, IPC_SETTINGS, 1, STR("settings"), -1);
	ipc_send(a.peer, IPC_METRICS, 2, STR("12345678"), fds[0]);
	UNIT_TRUE(ipc_read(fds[1], ROLE_SMTPD, ROLE_MASTER, &frame, &body));
	UNIT_INT(frame.type, IPC_SETTINGS);
	UNIT_STR(buf_str(&body), "settings");
	UNIT_TRUE(ipc_read(fds[1], ROLE_SMTPD, ROLE_MASTER, &frame, &body));
	UNIT_TRUE(frame.type == IPC_METRICS && frame.fd >= 0);
	fd_close(&frame.fd);
	ipc_send(a.peer, IPC_PING, 3, STR(""), -1);
	UNIT_TRUE(!ipc_read(fds[1], ROLE_MASTER, ROLE_SMTPD, &frame, &body));
	ipc_peer_free(&a.peer);
	UNIT_TRUE(!ipc_read(fds[1], ROLE_SMTPD, ROLE_MASTER, &frame, &body));
	close(fds[1]);
	buf_clear(&body);
	loop_turn(loop, 0);
	loop_free(&loop);
}

static void everything_has_a_name(void)
{
	UNIT_TEXT(role_name(ROLE_DELIVER), "deliver");
	UNIT_TEXT(ipc_type_name(IPC_OUTCOME_STORED), "OUTCOME_STORED");
}

UNIT_TESTS({"only what the table says may be said", only_what_the_table_says_may_be_said},
	   {"what faces the clients cannot order a delivery", a_face_to_the_clients_cannot_order_a_delivery},
	   {"the largest body is the last that passes", the_largest_body_is_the_last_that_passes},
	   {"heads that make no sense are refused", heads_that_make_no_sense_are_refused},
	   {"frames come in order", frames_come_in_order},
	   {"a slow peer gets everything, in order", a_slow_peer_gets_everything},
	   {"a password is not left behind", a_password_is_not_left_behind},
	   {"a descriptor comes with its frame", a_descriptor_comes_with_its_frame},
	   {"the end is told once", the_end_is_told_once},
	   {"sending to a dead peer fails quietly", sending_to_a_dead_peer_fails_quietly},
	   {"what a peer said before it died is read", what_a_peer_said_before_it_died_is_read},
	   {"what a slow peer said before it died is read", what_a_slow_peer_said_before_it_died_is_read},
	   {"a frame that is refused cuts the peer off", a_frame_that_is_refused_cuts_the_peer_off},
	   {"hostile packets cut the peer off and leak nothing", hostile_packets_cut_the_peer_off_and_leak_nothing},
	   {"first words are read without a loop", first_words_are_read_without_a_loop},
	   {"everything has a name", everything_has_a_name})
