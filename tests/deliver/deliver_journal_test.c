/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of deliver/deliver_journal.c: what is remembered after an end at any octet.
 */
#include "deliver/deliver_journal.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "tests/support/unit.h"

static char directory[64];

static void make_directory(void)
{
	snprintf(directory, sizeof(directory), "/tmp/deliver-journal-XXXXXX");
	UNIT_TRUE(mkdtemp(directory) != NULL);
	/* Torn tails are said in the log; here they are meant. */
	log_set(LOG_FORMAT_PLAIN, LOG_LEVEL_ERROR);
}

static char *file_path(int i, char *out)
{
	snprintf(out, 128, "%s/journal/deliver-0.journal%s", directory, i == 0 ? "" : ".2");
	return out;
}

static void remove_directory(void)
{
	char path[128];

	unlink(file_path(0, path));
	unlink(file_path(1, path));
	snprintf(path, sizeof(path), "%s/journal", directory);
	rmdir(path);
	UNIT_INT(rmdir(directory), 0);
}

static struct deliver_journal *open_journal(void)
{
	int files[DELIVER_JOURNAL_FILES];
	struct err err;

	if (!deliver_journal_open(directory, 0, geteuid(), getegid(), files, &err)) {
		printf("\n%s\n", err.text);
		UNIT_TRUE(!"the journal opens");
		exit(1);
	}
	return deliver_journal_new(files);
}

static struct ipc_attempt attempt_of(unsigned message, uint32_t number)
{
	struct ipc_attempt a = {.attempt = number};

	a.message.b[14] = (unsigned char)(message >> 8);
	a.message.b[15] = (unsigned char)message;
	return a;
}

static void begin(struct deliver_journal *j, unsigned message)
{
	struct ipc_attempt a = attempt_of(message, 1);

	UNIT_TRUE(deliver_journal_start(j, &a, STR(""), STR("sg"), 1000 + message, NULL));
}

static void conclude(struct deliver_journal *j, unsigned message)
{
	const struct ipc_outcome o = {
		.attempt = attempt_of(message, 1),
		.class = IPC_OUTCOME_SENT,
		.provider = STR("sg"),
		.provider_id = STR("id-of-it"),
		.code = 202,
		.status = STR("2.0.0"),
		.reason = STR("accepted"),
		.started_at = 1000 + message,
		.answered_at = 2000 + message,
	};

	UNIT_TRUE(deliver_journal_outcome(j, &o, NULL));
}

static void strike(struct deliver_journal *j, unsigned message)
{
	struct ipc_attempt a = attempt_of(message, 1);

	deliver_journal_strike(j, &a);
}

/* -1: not there; else the outcome's class; IPC_OUTCOME_CLASSES while it runs. */
static int class_of(const struct deliver_journal *j, unsigned message)
{
	struct ipc_attempt a = attempt_of(message, 1);
	const struct deliver_journal_entry *entry = deliver_journal_find(j, &a);
	struct ipc_outcome o;
	struct reader r;

	if (entry == NULL)
		return -1;
	if (!entry->is_done)
		return IPC_OUTCOME_CLASSES;
	r = reader_of(entry->outcome);
	UNIT_TRUE(ipc_get_outcome(&r, &o));
	UNIT_TRUE(uuid_eq(&o.attempt.message, &a.message));
	UNIT_STR(o.provider, "sg");
	UNIT_INT(o.started_at, 1000 + message);
	return (int)o.class;
}

static void outcomes_are_remembered_until_struck(void)
{
	struct deliver_journal *j;
	struct ipc_attempt second = attempt_of(1, 2);

	make_directory();
	j = open_journal();
	UNIT_INT(deliver_journal_count(j), 0);
	begin(j, 1);
	UNIT_INT(class_of(j, 1), IPC_OUTCOME_CLASSES);
	conclude(j, 1);
	begin(j, 2);
	conclude(j, 2);
	begin(j, 3);
	conclude(j, 4); /* never begun: refused before the call */
	UNIT_TRUE(deliver_journal_find(j, &second) == NULL);
	UNIT_INT(deliver_journal_count(j), 4);
	UNIT_INT(deliver_journal_count_done(j), 3);
	strike(j, 2);
	strike(j, 2);
	strike(j, 9);
	strike(j, 3); /* still runs: nobody can have stored it */
	UNIT_INT(class_of(j, 2), -1);
	UNIT_INT(class_of(j, 3), IPC_OUTCOME_CLASSES);
	deliver_journal_free(&j);

	j = open_journal();
	UNIT_INT(class_of(j, 1), IPC_OUTCOME_SENT);
	UNIT_INT(class_of(j, 2), -1);
	UNIT_INT(class_of(j, 3), IPC_OUTCOME_UNKNOWN);
	UNIT_INT(class_of(j, 4), IPC_OUTCOME_SENT);
	UNIT_INT(deliver_journal_count(j), 3);
	UNIT_INT(deliver_journal_count_done(j), 3);
	deliver_journal_free(&j);

	/* And what was found unknown stays so. */
	j = open_journal();
	UNIT_INT(class_of(j, 3), IPC_OUTCOME_UNKNOWN);
	strike(j, 1);
	strike(j, 3);
	strike(j, 4);
	deliver_journal_free(&j);
	j = open_journal();
	UNIT_INT(deliver_journal_count(j), 0);
	deliver_journal_free(&j);
	remove_directory();
}

/* Writes five messages' records, and says after each how long the file is. */
static unsigned write_script(off_t *ends)
{
	struct deliver_journal *j = open_journal();
	char path[128];
	struct stat st[2];
	unsigned n = 0;

	for (unsigned step = 0; step < 12; step++) {
		if (step % 3 == 0)
			begin(j, step / 3);
		else if (step % 3 == 1)
			conclude(j, step / 3);
		else
			strike(j, step / 3);
		deliver_journal_tick(j, clock_mono());
		UNIT_TRUE(stat(file_path(0, path), &st[0]) == 0 && stat(file_path(1, path), &st[1]) == 0);
		ends[n++] = st[0].st_size + st[1].st_size;
	}
	deliver_journal_free(&j);
	return n;
}

/* What message m is after the first `steps` steps of the script and a crash. */
static int expected(unsigned m, unsigned steps)
{
	if (steps >= 3 * m + 3 || steps <= 3 * m)
		return -1;
	return steps == 3 * m + 1 ? IPC_OUTCOME_UNKNOWN : IPC_OUTCOME_SENT;
}

static void a_tail_torn_at_any_octet_is_left_out(void)
{
	/* A length that may be right; not within a record, whose own last octets may be zeroes too. */
	static const char garbage_bytes[] = "\0\0\0\x05garbage that was there before";
	off_t ends[12];
	unsigned n;
	struct buf whole = BUF_MAX(1 << 20);
	char path[128];
	int used;
	struct stat st;

	make_directory();
	n = write_script(ends);
	UNIT_TRUE(stat(file_path(0, path), &st) == 0);
	used = st.st_size == 0;
	UNIT_TRUE(fd_read_file(file_path(used, path), &whole, NULL));
	UNIT_INT(whole.n, ends[n - 1]);
	for (off_t cut = 0; cut <= ends[n - 1]; cut++) {
		/* Once cut off, once with other octets behind: what a disk may leave. */
		for (int garbage = 0; garbage < 2; garbage++) {
			struct deliver_journal *j;
			unsigned steps = 0, zeroes;
			int fd = open(file_path(used, path), O_WRONLY | O_CREAT | O_TRUNC, 0600);

			while (steps < n && ends[steps] <= cut)
				steps++;
			zeroes = steps > 0 && ends[steps - 1] == cut ? 0 : 3;
			UNIT_TRUE(fd_write_all(fd, whole.p, (size_t)cut));
			if (garbage && cut > 0)
				UNIT_TRUE(fd_write_all(fd, garbage_bytes + zeroes, sizeof(garbage_bytes) - zeroes));
			fd_close(&fd);
			UNIT_INT(truncate(file_path(1 - used, path), 0), 0);
			j = open_journal();
			for (unsigned m = 0; m < 4; m++)
				if (class_of(j, m) != expected(m, steps)) {
					printf("\ncut at %ld:", (long)cut);
					UNIT_INT(class_of(j, m), expected(m, steps));
				}
			deliver_journal_free(&j);
		}
	}
	buf_clear(&whole);
	remove_directory();
}

static void the_files_stay_small(void)
{
	struct deliver_journal *j;
	char path[128];
	struct stat st[2];

	make_directory();
	j = open_journal();
	begin(j, 60000); /* one that stays */
	for (unsigned i = 0; i < 60000; i++) {
		begin(j, i);
		conclude(j, i);
		strike(j, i);
	}
	UNIT_TRUE(stat(file_path(0, path), &st[0]) == 0 && stat(file_path(1, path), &st[1]) == 0);
	UNIT_TRUE(st[0].st_size <= DELIVER_JOURNAL_SIZE + 4096 && st[1].st_size <= DELIVER_JOURNAL_SIZE + 4096);
	UNIT_TRUE(st[0].st_size == 0 || st[1].st_size == 0);
	conclude(j, 60001);
	deliver_journal_free(&j);
	j = open_journal();
	UNIT_INT(deliver_journal_count(j), 2);
	UNIT_INT(class_of(j, 60000), IPC_OUTCOME_UNKNOWN);
	UNIT_INT(class_of(j, 60001), IPC_OUTCOME_SENT);
	deliver_journal_free(&j);
	remove_directory();
}

/* The end came while what was needed was copied from one file into the other. */
static void a_change_of_files_can_end_at_any_octet(void)
{
	struct deliver_journal *j;
	char path[128], saved[128];
	struct stat st;
	int old, fresh;

	make_directory();
	j = open_journal();
	for (unsigned m = 0; m < 3; m++)
		begin(j, m);
	conclude(j, 1);
	conclude(j, 2);
	deliver_journal_free(&j);
	UNIT_TRUE(stat(file_path(0, path), &st) == 0);
	old = st.st_size == 0;
	fresh = 1 - old;
	/* Opening it copies; the old file is put back as it was before. */
	snprintf(saved, sizeof(saved), "%s/saved", directory);
	UNIT_INT(rename(file_path(old, path), saved), 0);
	UNIT_INT(link(saved, file_path(old, path)), 0);
	{
		struct buf before = BUF_MAX(1 << 20), after = BUF_MAX(1 << 20);

		UNIT_TRUE(fd_read_file(saved, &before, NULL));
		j = open_journal();
		deliver_journal_free(&j);
		UNIT_TRUE(fd_read_file(file_path(fresh, path), &after, NULL));
		for (size_t cut = 0; cut <= after.n; cut++) {
			int fd = open(file_path(old, path), O_WRONLY | O_TRUNC);

			UNIT_TRUE(fd_write_all(fd, before.p, before.n));
			fd_close(&fd);
			fd = open(file_path(fresh, path), O_WRONLY | O_TRUNC);
			UNIT_TRUE(fd_write_all(fd, after.p, cut));
			fd_close(&fd);
			j = open_journal();
			UNIT_INT(deliver_journal_count(j), 3);
			UNIT_INT(class_of(j, 0), IPC_OUTCOME_UNKNOWN);
			UNIT_INT(class_of(j, 1), IPC_OUTCOME_SENT);
			UNIT_INT(class_of(j, 2), IPC_OUTCOME_SENT);
			deliver_journal_free(&j);
		}
		buf_clear(&before);
		buf_clear(&after);
	}
	unlink(saved);
	remove_directory();
}

static void the_files_are_private_and_locked(void)
{
	int files[DELIVER_JOURNAL_FILES], again[DELIVER_JOURNAL_FILES];
	char path[128];
	struct stat st;
	struct err err;

	make_directory();
	UNIT_TRUE(deliver_journal_open(directory, 0, geteuid(), getegid(), files, &err));
	UNIT_TRUE(stat(file_path(0, path), &st) == 0 && (st.st_mode & 0777) == 0600);
	UNIT_TRUE(!deliver_journal_open(directory, 0, geteuid(), getegid(), again, &err));
	UNIT_TRUE(strstr(err.text, "in use") != NULL);
	fd_close(&files[0]);
	fd_close(&files[1]);
	UNIT_INT(unlink(file_path(0, path)), 0);
	UNIT_INT(symlink("/etc/passwd", file_path(0, path)), 0);
	UNIT_TRUE(!deliver_journal_open(directory, 0, geteuid(), getegid(), again, &err));
	remove_directory();
}

static void a_full_disk_forbids_the_call_and_keeps_the_outcome(void)
{
	int files[DELIVER_JOURNAL_FILES];
	struct deliver_journal *j;
	struct ipc_attempt a = attempt_of(7, 1);
	const struct ipc_outcome o = {.attempt = a, .class = IPC_OUTCOME_SENT, .provider = STR("sg"), .started_at = 1007};
	struct err err;

	make_directory();
	UNIT_TRUE(deliver_journal_open(directory, 0, geteuid(), getegid(), files, &err));
	/* Files that can only be read stand for a disk that takes nothing. */
	for (int i = 0; i < DELIVER_JOURNAL_FILES; i++) {
		char path[128];
		int fd = open(file_path(i, path), O_RDONLY);

		UNIT_TRUE(dup2(fd, files[i]) >= 0);
		fd_close(&fd);
	}
	j = deliver_journal_new(files);
	UNIT_TRUE(!deliver_journal_start(j, &a, STR(""), STR("sg"), 1, &err));
	UNIT_TRUE(strstr(err.text, "journal") != NULL);
	UNIT_INT(class_of(j, 7), -1);
	UNIT_TRUE(!deliver_journal_outcome(j, &o, &err));
	UNIT_INT(class_of(j, 7), IPC_OUTCOME_SENT);
	deliver_journal_tick(j, clock_mono() + 5 * CLOCK_SECOND);
	deliver_journal_free(&j);
	remove_directory();
}

static void count_entry(void *ctx, const struct deliver_journal_entry *entry)
{
	unsigned *counts = ctx;

	counts[entry->is_done]++;
}

static void parts_of_a_message_are_apart(void)
{
	struct deliver_journal *j;
	struct ipc_attempt a = attempt_of(1, 1);

	make_directory();
	j = open_journal();
	for (unsigned pass = 0; pass < 2; pass++) {
		for (a.part = 0; a.part < 3 && pass == 0; a.part++)
			UNIT_TRUE(deliver_journal_start(j, &a, STR(""), STR("sg"), 1001, NULL));
		for (a.part = 0; a.part < 3; a.part++)
			UNIT_TRUE(deliver_journal_find(j, &a) != NULL);
		UNIT_INT(deliver_journal_count(j), 3);
		deliver_journal_free(&j);
		j = open_journal(); /* they are unknown now */
	}
	a.part = 1;
	deliver_journal_strike(j, &a);
	deliver_journal_free(&j);
	j = open_journal();
	UNIT_INT(deliver_journal_count(j), 2);
	UNIT_TRUE(deliver_journal_find(j, &a) == NULL);
	deliver_journal_free(&j);
	remove_directory();
}

static void what_is_unknown_says_whom_the_call_was_for(void)
{
	struct deliver_journal *j;
	struct ipc_attempt a = attempt_of(1, 1);
	struct buf whom = BUF_MAX(64);

	make_directory();
	j = open_journal();
	ipc_put_index(&whom, 2);
	ipc_put_index(&whom, 999);
	UNIT_TRUE(deliver_journal_start(j, &a, buf_str(&whom), STR("sg"), 1001, NULL));
	begin(j, 2);
	for (unsigned pass = 0; pass < 2; pass++) {
		struct ipc_outcome o;
		struct reader r;

		deliver_journal_free(&j);
		j = open_journal();
		r = reader_of(deliver_journal_find(j, &a)->outcome);
		UNIT_TRUE(ipc_get_outcome(&r, &o));
		UNIT_INT(o.class, IPC_OUTCOME_UNKNOWN);
		UNIT_TRUE(str_eq(o.whom, buf_str(&whom)));
		UNIT_INT(class_of(j, 2), IPC_OUTCOME_UNKNOWN);
	}
	deliver_journal_free(&j);
	buf_clear(&whom);
	remove_directory();
}

static void all_entries_can_be_told(void)
{
	struct deliver_journal *j;
	unsigned counts[2] = {0, 0};

	make_directory();
	j = open_journal();
	for (unsigned m = 0; m < 100; m++) {
		begin(j, m);
		if (m % 4 == 0)
			conclude(j, m);
	}
	deliver_journal_each(j, count_entry, counts);
	UNIT_INT(counts[0], 75);
	UNIT_INT(counts[1], 25);
	deliver_journal_tick(j, clock_mono() + 5 * CLOCK_SECOND);
	deliver_journal_free(&j);
	remove_directory();
}

/* With fewer agents than before. */
static void what_a_slot_without_an_agent_left_is_told_by_another(void)
{
	int files[DELIVER_JOURNAL_FILES];
	struct deliver_journal *j, *left;
	char path[128];
	struct err err;

	make_directory();
	UNIT_TRUE(deliver_journal_open(directory, 3, geteuid(), getegid(), files, &err));
	left = deliver_journal_new(files);
	begin(left, 1);
	begin(left, 2);
	conclude(left, 2);
	deliver_journal_free(&left);
	UNIT_TRUE(deliver_journal_is_left(directory, 3) && !deliver_journal_is_left(directory, 2));
	j = open_journal();
	begin(j, 3);
	UNIT_TRUE(deliver_journal_open(directory, 3, geteuid(), getegid(), files, &err));
	left = deliver_journal_new(files);
	UNIT_TRUE(deliver_journal_adopt(j, &left, &err) && left == NULL);
	UNIT_TRUE(!deliver_journal_is_left(directory, 3));
	UNIT_INT(class_of(j, 1), IPC_OUTCOME_UNKNOWN);
	UNIT_INT(class_of(j, 2), IPC_OUTCOME_SENT);
	deliver_journal_free(&j);
	j = open_journal();
	UNIT_INT(deliver_journal_count_done(j), 3);
	UNIT_INT(class_of(j, 1), IPC_OUTCOME_UNKNOWN);
	UNIT_INT(class_of(j, 2), IPC_OUTCOME_SENT);
	deliver_journal_free(&j);
	for (int i = 0; i < DELIVER_JOURNAL_FILES; i++) {
		snprintf(path, sizeof(path), "%s/journal/deliver-3.journal%s", directory, i == 0 ? "" : ".2");
		unlink(path);
	}
	remove_directory();
}

UNIT_TESTS({"outcomes are remembered until struck", outcomes_are_remembered_until_struck},
	   {"a tail torn at any octet is left out", a_tail_torn_at_any_octet_is_left_out},
	   {"the files stay small", the_files_stay_small},
	   {"a change of files can end at any octet", a_change_of_files_can_end_at_any_octet},
	   {"the files are private and locked", the_files_are_private_and_locked},
	   {"a full disk forbids the call and keeps the outcome", a_full_disk_forbids_the_call_and_keeps_the_outcome},
	   {"parts of a message are apart", parts_of_a_message_are_apart},
	   {"what is unknown says whom the call was for", what_is_unknown_says_whom_the_call_was_for},
	   {"all entries can be told", all_entries_can_be_told},
	   {"what a slot without an agent left is told by another",
	    what_a_slot_without_an_agent_left_is_told_by_another})
