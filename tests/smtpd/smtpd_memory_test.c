/* SPDX-License-Identifier: Apache-2.0
 *
 * Many messages at once under a budget: they go to files and come back whole, are refused when that is full too,
 * and whatever becomes of them, nothing stays counted.
 */
#include "smtpd/smtpd_memory.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lib/ipc/ipc_body.h"
#include "smtpd/smtpd_content.h"
#include "tests/support/unit.h"

#define RECEIVED "Received: us\r\n"
#define HEADER "Message-ID: m\r\nDate: d\r\n\r\n"
#define LINE "12345678\r\n"

enum { MESSAGES = 40, FIRST_ROOM = 8192, KIB = 1024 };

static struct smtpd_memory memory;
static char state_dir[64];

static void open_memory(uint64_t bytes, uint64_t spill)
{
	snprintf(state_dir, sizeof(state_dir), "/tmp/smtpd_memory_test.XXXXXX");
	UNIT_TRUE(mkdtemp(state_dir) != NULL);
	memory = (struct smtpd_memory){.memory = bytes, .spill = spill};
	smtpd_memory_open(&memory, state_dir, geteuid(), getegid());
	UNIT_TRUE(memory.directory >= 0);
}

/* Nothing is counted any more, and no file has ever been left. */
static void close_memory(void)
{
	char path[80];

	UNIT_INT(memory.in_memory, 0);
	UNIT_INT(memory.in_files, 0);
	UNIT_INT(memory.in_handover, 0);
	fd_close(&memory.directory);
	snprintf(path, sizeof(path), "%s/smtpd", state_dir);
	UNIT_INT(rmdir(path), 0);
	UNIT_INT(rmdir(state_dir), 0);
}

/* A message on its way: its wire text, how much of it has gone. */
struct sender {
	struct smtpd_content content;
	struct buf wire;
	size_t sent;
	bool is_open, is_done;
};

static void begin(struct sender *s, size_t lines)
{
	const struct smtpd_content_plan plan = {.limit = 10 << 20, .host = "mail.test", .memory = &memory};

	s->wire = BUF_MAX(16 << 20);
	s->sent = 0;
	s->is_open = true;
	s->is_done = false;
	buf_put_text(&s->wire, HEADER);
	for (size_t i = 0; i < lines; i++)
		buf_put_text(&s->wire, LINE);
	buf_put_text(&s->wire, ".\r\n");
	smtpd_content_begin(&s->content, &plan, STR(RECEIVED));
}

static void go_on(struct sender *s, size_t n)
{
	struct str piece = str_first(str_from(buf_str(&s->wire), s->sent), n);

	s->sent += piece.n;
	s->is_done = smtpd_content_take(&s->content, &piece);
	UNIT_INT(s->is_done, s->sent == s->wire.n);
	UNIT_INT(piece.n, 0);
}

/* What has arrived is what was sent. */
static void check(const struct sender *s)
{
	const struct smtpd_content *c = &s->content;
	size_t head = strlen(RECEIVED), size = head + s->wire.n - 3;
	const char *p = c->bytes.p;

	UNIT_INT(smtpd_content_size(c), size);
	UNIT_INT(c->fd >= 0, size > IPC_INLINE_MAX);
	if (c->fd >= 0) {
		UNIT_TRUE(fd_is_sealed(c->fd, size));
		p = fd_map(c->fd, size);
	}
	UNIT_TRUE(p != NULL && memcmp(p, RECEIVED, head) == 0 && memcmp(p + head, s->wire.p, size - head) == 0);
	if (c->fd >= 0)
		fd_unmap(p, size);
}

static void end(struct sender *s)
{
	smtpd_content_clear(&s->content);
	buf_clear(&s->wire);
	s->is_open = false;
}

/* The totals are the sum of what the messages have, and within the budgets. */
static void check_totals(const struct sender *senders)
{
	uint64_t in_memory = 0, in_files = 0, in_handover = 0;

	for (size_t i = 0; i < MESSAGES; i++)
		if (senders[i].is_open) {
			in_memory += senders[i].content.share.memory;
			in_files += senders[i].content.share.file;
			in_handover += senders[i].content.share.handover;
		}
	UNIT_INT(memory.in_memory, in_memory);
	UNIT_INT(memory.in_files, in_files);
	UNIT_INT(memory.in_handover, in_handover);
	UNIT_TRUE(in_memory <= memory.memory + MESSAGES * FIRST_ROOM && in_files <= memory.spill);
}

static unsigned next_random(unsigned *state)
{
	*state = *state * 1103515245U + 12345U;
	return *state >> 8;
}

static void thousands_of_messages_leave_nothing_behind(void)
{
	static struct sender senders[MESSAGES];
	unsigned state = 7, good = 0, spilled = 0, refused = 0, begun = 0;

	open_memory(512 * KIB, 2048 * KIB);
	for (unsigned turn = 0; turn < 120000; turn++) {
		struct sender *s = &senders[next_random(&state) % MESSAGES];
		bool was_spilled = s->content.is_spilled;

		if (!s->is_open) {
			begin(s, next_random(&state) % 4 == 0 ? next_random(&state) % 20000 : next_random(&state) % 800);
			begun++;
		} else if (next_random(&state) % 30 == 0) {
			end(s); /* answered, or aborted */
		} else if (!s->is_done) {
			go_on(s, next_random(&state) % 30000);
			spilled += s->content.is_spilled && !was_spilled;
			refused += s->content.refusal != SMTP_REPLY_NONE && s->is_done;
			if (s->is_done && s->content.refusal == SMTP_REPLY_NONE) {
				check(s);
				good++;
			}
		}
		if (turn % 16 == 0)
			check_totals(senders);
	}
	for (size_t i = 0; i < MESSAGES; i++)
		if (senders[i].is_open)
			end(&senders[i]);
	UNIT_TRUE(begun > 2000 && good > 500 && spilled > 100 && refused > 10);
	close_memory();
}

static void a_large_message_makes_way_for_small_ones(void)
{
	struct sender large = {.sent = 0}, small = {.sent = 0};

	open_memory(200 * KIB, 1024 * KIB);
	begin(&large, 50000);
	go_on(&large, 30000);
	UNIT_TRUE(!large.content.is_spilled && large.content.share.memory >= 30000);
	go_on(&large, 200000);
	UNIT_TRUE(large.content.is_spilled);
	UNIT_INT(memory.in_memory, 0);
	UNIT_INT(memory.in_files, strlen(RECEIVED) + 230000);
	begin(&small, 100);
	go_on(&small, SIZE_MAX);
	UNIT_TRUE(small.is_done && !small.content.is_spilled);
	check(&small);
	end(&small);
	go_on(&large, SIZE_MAX);
	check(&large);
	UNIT_INT(memory.in_files, 0);
	UNIT_INT(memory.in_handover, large.content.in_file);
	end(&large);
	close_memory();
}

/* Messages of this many lines come one after the other and stay. Returns how many are taken; the last is refused. */
static unsigned fill(struct sender *senders, size_t lines)
{
	unsigned n = 0;

	do {
		begin(&senders[n], lines);
		go_on(&senders[n], SIZE_MAX);
	} while (senders[n].content.refusal == SMTP_REPLY_NONE && ++n < MESSAGES);
	UNIT_TRUE(n > 0 && n < MESSAGES);
	UNIT_INT(senders[n].content.refusal, SMTP_REPLY_NO_STORAGE);
	for (unsigned i = 0; i <= n; i++)
		end(&senders[i]);
	return n;
}

static void beyond_the_budgets_a_message_is_refused(void)
{
	static struct sender senders[MESSAGES];
	struct sender large = {.sent = 0};

	/* 100 KB each: six in memory or before it is three quarters full, then as many again by way of files */
	open_memory(600 * KIB, 150 * KIB);
	UNIT_TRUE(fill(senders, 10000) > 8);
	/* 1 KB each: never worth a file; each takes its first 8 KiB */
	memory.memory = 120 * KIB;
	UNIT_INT(fill(senders, 100), 120 / 8);
	/* more than there is room for in files */
	begin(&large, 100000);
	go_on(&large, SIZE_MAX);
	UNIT_INT(large.content.refusal, SMTP_REPLY_NO_STORAGE);
	UNIT_INT(large.content.data.size, large.wire.n - 3);
	UNIT_INT(memory.in_memory + memory.in_files, 0);
	end(&large);
	/* no directory */
	fd_close(&memory.directory);
	begin(&large, 100000);
	go_on(&large, SIZE_MAX);
	UNIT_INT(large.content.refusal, SMTP_REPLY_NO_STORAGE);
	end(&large);
	memory.memory = 1;
	/* a header needs memory */
	begin(&large, 100);
	go_on(&large, 5);
	UNIT_INT(large.content.refusal, SMTP_REPLY_NO_STORAGE);
	end(&large);
	close_memory();
}

static void what_will_not_fit_is_known_from_its_size(void)
{
	struct smtpd_memory m = {.memory = 1000 * KIB, .spill = 2000 * KIB, .directory = 3};

	UNIT_TRUE(smtpd_memory_has_room(NULL, UINT64_MAX));
	UNIT_TRUE(smtpd_memory_has_room(&m, 2000 * KIB));
	UNIT_TRUE(!smtpd_memory_has_room(&m, 2001 * KIB));
	m.in_files = 1500 * KIB;
	UNIT_TRUE(smtpd_memory_has_room(&m, 750 * KIB));
	UNIT_TRUE(!smtpd_memory_has_room(&m, 751 * KIB));
	m.in_memory = 900 * KIB;
	UNIT_TRUE(smtpd_memory_has_room(&m, 500 * KIB));
	m.in_files = 2000 * KIB;
	UNIT_TRUE(!smtpd_memory_has_room(&m, 100 * KIB));
	UNIT_TRUE(smtpd_memory_has_room(&m, 20 * KIB));
	UNIT_TRUE(smtpd_memory_has_room(&m, 0));
	m.in_memory = 1001 * KIB;
	UNIT_TRUE(!smtpd_memory_has_room(&m, 1));
}

static void without_a_directory_there_are_no_files(void)
{
	struct smtpd_memory m = {.memory = 1000 * KIB, .spill = 2000 * KIB};

	smtpd_memory_open(&m, "/nowhere", geteuid(), getegid());
	UNIT_INT(m.directory, -1);
	UNIT_TRUE(smtpd_memory_has_room(&m, 750 * KIB));
	UNIT_TRUE(!smtpd_memory_has_room(&m, 751 * KIB));
}

UNIT_TESTS({"thousands of messages leave nothing behind", thousands_of_messages_leave_nothing_behind},
	   {"a large message makes way for small ones", a_large_message_makes_way_for_small_ones},
	   {"beyond the budgets a message is refused", beyond_the_budgets_a_message_is_refused},
	   {"what will not fit is known from its size", what_will_not_fit_is_known_from_its_size},
	   {"without a directory there are no files", without_a_directory_there_are_no_files})
