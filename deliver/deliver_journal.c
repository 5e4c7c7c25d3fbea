/* SPDX-License-Identifier: Apache-2.0
 *
 * The journal: records appended to a file, read only at start. A record is its length, a checksum (CRC-32)
 * and a payload, so that a torn tail is seen and left out. There are two files: when the one in use has
 * grown, what is still needed is copied into the other, which from then on is in use, and the first is
 * emptied. The copy begins with its generation and its number of records: after a crash in between, the
 * file of the higher generation counts if its copy is whole, else the other, which is then still complete.
 */
#include "deliver/deliver_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"

enum record { RECORD_GENERATION = 1, RECORD_START, RECORD_OUTCOME, RECORD_STRUCK };

enum {
	BUCKETS = 4096,
	HEAD = 8,
	RECORD_MAX = 200000, /* an OUTCOME frame and a little */
	FILE_MAX = 512 << 20, /* larger is not ours */
	WAIT_BEFORE_SYNC = 1000000,
};

struct entry {
	struct deliver_journal_entry public;
	struct entry *next;
	char *provider;
	struct buf whom;
	int64_t started_at; /* wall */
	int64_t done_at;    /* monotonic */
	bool is_synced;
};

struct deliver_journal {
	int files[DELIVER_JOURNAL_FILES];
	int in_use;	      /* index of files */
	off_t end;	      /* of what is valid in it */
	off_t limit;	      /* grow beyond this and the files are changed */
	uint64_t generation;
	struct buf pending;   /* records that wait for the next write */
	struct entry *buckets[BUCKETS];
	unsigned n, n_done;
	bool is_dirty;	      /* written since the last sync */
};

/* ---- opening ---- */

static bool make_directory(const char *path, struct err *err)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return err_set(err, "cannot make the directory %s: %s", path, strerror(errno));
	return true;
}

static int open_file(const char *path, uid_t user, gid_t group, struct err *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat st;

	if (fd < 0) {
		err_set(err, "cannot open %s: %s", path, strerror(errno));
		return -1;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		err_set(err, "%s is not a file", path);
	else if (geteuid() == 0 && (fchown(fd, user, group) < 0 || fchmod(fd, 0600) < 0))
		err_set(err, "cannot give %s to the agent's user: %s", path, strerror(errno));
	else if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		err_set(err, "%s is in use by another process", path);
	else
		return fd;
	fd_close(&fd);
	return -1;
}

bool deliver_journal_open(const char *state_dir, unsigned slot, uid_t user, gid_t group,
			  int files[DELIVER_JOURNAL_FILES], struct err *err)
{
	char path[4096];

	files[0] = files[1] = -1;
	/* The directory is not the agent's: it needs no name in it but those of its files. */
	if (snprintf(path, sizeof(path), "%s/journal", state_dir) >= (int)sizeof(path) - 64)
		return err_set(err, "instance.state_dir is too long");
	if (!make_directory(state_dir, err) || !make_directory(path, err))
		return false;
	for (int i = 0; i < DELIVER_JOURNAL_FILES; i++) {
		snprintf(path, sizeof(path), "%s/journal/deliver-%u.journal%s", state_dir, slot, i == 0 ? "" : ".2");
		files[i] = open_file(path, user, group, err);
		if (files[i] < 0) {
			fd_close(&files[0]);
			return false;
		}
	}
	return true;
}

bool deliver_journal_is_left(const char *state_dir, unsigned slot)
{
	char path[4096];
	struct stat st;

	for (int i = 0; i < DELIVER_JOURNAL_FILES; i++)
		if (snprintf(path, sizeof(path), "%s/journal/deliver-%u.journal%s", state_dir, slot,
			     i == 0 ? "" : ".2") < (int)sizeof(path) &&
		    lstat(path, &st) == 0 && st.st_size > 0)
			return true;
	return false;
}

/* ---- the table ---- */

static struct entry **bucket_of(const struct deliver_journal *j, const struct ipc_attempt *attempt)
{
	/* The last bytes of a version 7 UUID are random. */
	unsigned hash = (unsigned)attempt->message.b[14] << 8 | attempt->message.b[15];

	return (struct entry **)(uintptr_t)&j->buckets[(hash ^ attempt->attempt ^ attempt->part) % BUCKETS];
}

static struct entry **find_place(const struct deliver_journal *j, const struct ipc_attempt *attempt)
{
	struct entry **at = bucket_of(j, attempt);

	while (*at != NULL && ((*at)->public.attempt.attempt != attempt->attempt ||
			       (*at)->public.attempt.part != attempt->part ||
			       !uuid_eq(&(*at)->public.attempt.message, &attempt->message)))
		at = &(*at)->next;
	return at;
}

static struct entry *get_entry(struct deliver_journal *j, const struct ipc_attempt *attempt)
{
	struct entry **at = find_place(j, attempt);

	if (*at == NULL) {
		*at = mem_zero(sizeof(**at));
		buf_init(&(*at)->whom, RECORD_MAX);
		(*at)->public.attempt = *attempt;
		j->n++;
	}
	return *at;
}

static void set_start(struct entry *e, struct str whom, struct str provider, int64_t started_at)
{
	free(e->provider);
	e->provider = str_dup(provider);
	buf_reset(&e->whom);
	buf_put_str(&e->whom, whom);
	e->started_at = started_at;
}

static void set_outcome(struct deliver_journal *j, struct entry *e, struct str outcome)
{
	if (!e->public.is_done)
		j->n_done++;
	e->public.is_done = true;
	free((char *)(uintptr_t)e->public.outcome.p);
	e->public.outcome = str_bytes(mem_copy(outcome.p, outcome.n), outcome.n);
}

static void remove_entry(struct deliver_journal *j, struct entry **at)
{
	struct entry *e = *at;

	*at = e->next;
	j->n--;
	if (e->public.is_done)
		j->n_done--;
	free((char *)(uintptr_t)e->public.outcome.p);
	free(e->provider);
	buf_clear(&e->whom);
	free(e);
}

/* ---- records ---- */

static uint32_t checksum(struct str s)
{
	static uint32_t table[256];
	uint32_t sum = 0xffffffff;

	if (table[1] == 0)
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t v = i;

			for (int bit = 0; bit < 8; bit++)
				v = v & 1 ? v >> 1 ^ 0xedb88320 : v >> 1;
			table[i] = v;
		}
	for (size_t i = 0; i < s.n; i++)
		sum = table[(sum ^ (unsigned char)s.p[i]) & 0xff] ^ sum >> 8;
	return ~sum;
}

static void put_record(struct buf *out, struct str payload)
{
	must(payload.n <= RECORD_MAX);
	buf_put_u32(out, (uint32_t)payload.n);
	buf_put_u32(out, checksum(payload));
	buf_put_str(out, payload);
}

static void put_generation(struct buf *out, uint64_t generation, unsigned records)
{
	struct buf payload = BUF_MAX(64);

	buf_put_u8(&payload, RECORD_GENERATION);
	buf_put_u64(&payload, generation);
	buf_put_u32(&payload, records);
	put_record(out, buf_str(&payload));
	buf_clear(&payload);
}

static void put_start(struct buf *out, const struct entry *e)
{
	struct buf payload = BUF_MAX(RECORD_MAX);

	buf_put_u8(&payload, RECORD_START);
	buf_put_u64(&payload, (uint64_t)e->started_at);
	buf_put_blob(&payload, str_of(e->provider));
	buf_put_blob(&payload, buf_str(&e->whom));
	ipc_put_attempt(&payload, &e->public.attempt);
	put_record(out, buf_str(&payload));
	buf_clear(&payload);
}

static void put_outcome(struct buf *out, const struct entry *e)
{
	struct buf payload = BUF_MAX(RECORD_MAX);

	buf_put_u8(&payload, RECORD_OUTCOME);
	buf_put_str(&payload, e->public.outcome);
	put_record(out, buf_str(&payload));
	buf_clear(&payload);
}

static void put_struck(struct buf *out, const struct ipc_attempt *attempt)
{
	struct buf payload = BUF_MAX(64);

	buf_put_u8(&payload, RECORD_STRUCK);
	ipc_put_attempt(&payload, attempt);
	put_record(out, buf_str(&payload));
	buf_clear(&payload);
}

/* ---- writing ---- */

/* Writes at `at`, whole or not at all: what a full disk took of it is overwritten by the next. */
static bool write_at(int fd, struct str bytes, off_t at)
{
	while (bytes.n > 0) {
		ssize_t done = pwrite(fd, bytes.p, bytes.n, at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		bytes = str_from(bytes, (size_t)done);
		at += done;
	}
	return true;
}

/* Moves what is still needed into the other file. When the disk does not allow it, all stays as it is. */
static void change_files(struct deliver_journal *j)
{
	int other = j->files[1 - j->in_use];
	struct buf all = BUF_MAX(FILE_MAX);

	put_generation(&all, j->generation + 1, j->n);
	for (size_t i = 0; i < BUCKETS; i++)
		for (const struct entry *e = j->buckets[i]; e != NULL; e = e->next)
			if (e->public.is_done)
				put_outcome(&all, e);
			else
				put_start(&all, e);
	if (ftruncate(other, 0) == 0 && write_at(other, buf_str(&all), 0) && fdatasync(other) == 0 &&
	    ftruncate(j->files[j->in_use], 0) == 0) {
		j->generation++;
		j->in_use = 1 - j->in_use;
		j->end = (off_t)all.n;
		j->limit = 2 * j->end > DELIVER_JOURNAL_SIZE ? 2 * j->end : DELIVER_JOURNAL_SIZE;
	} else {
		log_error(NULL, "deliver.journal.not_changed", log_text("reason", strerror(errno)));
		if (ftruncate(other, 0) < 0)
			log_error(NULL, "deliver.journal.not_emptied", log_text("reason", strerror(errno)));
		j->limit = 2 * j->limit;
	}
	buf_clear(&all);
}

static bool flush(struct deliver_journal *j, struct err *err)
{
	if (j->pending.n == 0)
		return true;
	if (!write_at(j->files[j->in_use], buf_str(&j->pending), j->end))
		return err_set(err, "the journal cannot be written: %s", strerror(errno));
	j->end += (off_t)j->pending.n;
	j->is_dirty = true;
	buf_reset(&j->pending);
	if (j->end > j->limit)
		change_files(j);
	return true;
}

bool deliver_journal_start(struct deliver_journal *j, const struct ipc_attempt *attempt, struct str whom,
			   struct str provider, int64_t started_at, struct err *err)
{
	struct entry *e = get_entry(j, attempt);
	size_t before = j->pending.n;

	must(e->provider == NULL && !e->public.is_done);
	set_start(e, whom, provider, started_at);
	put_start(&j->pending, e);
	if (flush(j, err))
		return true;
	j->pending.n = before; /* only what was put just now: strikes may wait */
	remove_entry(j, find_place(j, attempt));
	return false;
}

bool deliver_journal_outcome(struct deliver_journal *j, const struct ipc_outcome *outcome, struct err *err)
{
	struct entry *e = get_entry(j, &outcome->attempt);
	struct buf body = BUF_MAX(RECORD_MAX - 1);

	ipc_put_outcome(&body, outcome);
	must(!body.is_full);
	set_outcome(j, e, buf_str(&body));
	buf_clear(&body);
	e->done_at = clock_mono();
	put_outcome(&j->pending, e);
	return flush(j, err);
}

void deliver_journal_strike(struct deliver_journal *j, const struct ipc_attempt *attempt)
{
	struct entry **at = find_place(j, attempt);

	if (*at == NULL || !(*at)->public.is_done)
		return;
	remove_entry(j, at);
	/* Written with the next record, or by the tick: a strike that is lost is only said again. */
	put_struck(&j->pending, attempt);
}

void deliver_journal_tick(struct deliver_journal *j, int64_t mono)
{
	bool is_needed = false;

	flush(j, NULL);
	if (!j->is_dirty)
		return;
	for (size_t i = 0; i < BUCKETS && j->n_done > 0; i++)
		for (const struct entry *e = j->buckets[i]; e != NULL; e = e->next)
			is_needed |= e->public.is_done && !e->is_synced && mono - e->done_at > WAIT_BEFORE_SYNC;
	if (!is_needed)
		return;
	if (fdatasync(j->files[j->in_use]) < 0) {
		log_error(NULL, "deliver.journal.not_synced", log_text("reason", strerror(errno)));
		return;
	}
	j->is_dirty = false;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct entry *e = j->buckets[i]; e != NULL; e = e->next)
			e->is_synced = e->public.is_done;
}

/* ---- reading ---- */

static bool replay_outcome(struct deliver_journal *j, struct reader *r)
{
	struct str body = str_bytes(r->p, r->n);
	struct ipc_outcome outcome;

	if (!ipc_get_outcome(r, &outcome))
		return false;
	set_outcome(j, get_entry(j, &outcome.attempt), body);
	return true;
}

static bool replay_start(struct deliver_journal *j, struct reader *r)
{
	int64_t started_at = (int64_t)reader_u64(r);
	struct str provider = reader_blob(r), whom = reader_blob(r);
	struct ipc_attempt attempt;

	if (!ipc_get_attempt(r, &attempt) || !ipc_whom_is_good(whom))
		return false;
	set_start(get_entry(j, &attempt), whom, provider, started_at);
	return true;
}

static bool replay_record(struct deliver_journal *j, struct str payload)
{
	struct reader r = reader_of(payload);
	struct ipc_attempt attempt;
	struct entry **at;

	switch (reader_u8(&r)) {
	case RECORD_GENERATION:
		return true;
	case RECORD_START:
		return replay_start(j, &r);
	case RECORD_OUTCOME:
		return replay_outcome(j, &r);
	case RECORD_STRUCK:
		if (!ipc_get_attempt(&r, &attempt))
			return false;
		at = find_place(j, &attempt);
		if (*at != NULL)
			remove_entry(j, at);
		return true;
	default:
		return false;
	}
}

/* Takes a whole record off the front. */
static bool next_record(struct str *rest, struct str *payload)
{
	struct reader r = reader_of(*rest);
	uint32_t n = reader_u32(&r), sum = reader_u32(&r);

	if (r.is_bad || n == 0 || n > RECORD_MAX || n > r.n)
		return false;
	*payload = str_bytes(r.p, n);
	if (checksum(*payload) != sum)
		return false;
	*rest = str_from(*rest, HEAD + n);
	return true;
}

/* 0: it does not begin with a whole copy. */
static uint64_t generation_of(struct str content)
{
	struct str payload = STR("");
	struct reader r;
	uint64_t generation;
	uint32_t records;

	if (!next_record(&content, &payload))
		return 0;
	r = reader_of(payload);
	if (reader_u8(&r) != RECORD_GENERATION)
		return 0;
	generation = reader_u64(&r);
	records = reader_u32(&r);
	for (uint32_t i = 0; i < records; i++)
		if (!next_record(&content, &payload))
			return 0;
	return reader_is_done(&r) ? generation : 0;
}

/* Returns where the valid part ends. */
static size_t replay(struct deliver_journal *j, struct str content)
{
	struct str rest = content, payload;

	while (next_record(&rest, &payload))
		if (!replay_record(j, payload))
			break;
	if (rest.n > 0)
		log_warn(NULL, "deliver.journal.torn", log_uint("bytes_ignored", rest.n),
			 log_uint("bytes_read", content.n - rest.n));
	return content.n - rest.n;
}

static void read_file(int fd, struct buf *out)
{
	struct stat st;
	char *room;

	if (fstat(fd, &st) < 0)
		die("the journal cannot be read: %s", strerror(errno));
	room = buf_room(out, (size_t)st.st_size);
	if (room == NULL)
		die("the journal is larger than %d bytes", FILE_MAX);
	while (out->n < (size_t)st.st_size) {
		ssize_t got = pread(fd, out->p + out->n, (size_t)st.st_size - out->n, (off_t)out->n);

		if (got < 0 && errno != EINTR)
			die("the journal cannot be read: %s", strerror(errno));
		if (got == 0)
			break;
		if (got > 0)
			buf_added(out, (size_t)got);
	}
}

/* The process before this one ended within these calls. */
static void settle_unknown(struct deliver_journal *j)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct entry *e = j->buckets[i]; e != NULL; e = e->next) {
			struct ipc_outcome outcome = {
				.attempt = e->public.attempt,
				.whom = buf_str(&e->whom),
				.class = IPC_OUTCOME_UNKNOWN,
				.provider = str_of(e->provider),
				.status = STR("4.4.2"),
				.reason = STR("the delivery agent ended during the call"),
				.started_at = e->started_at,
				.answered_at = clock_wall(),
			};

			if (!e->public.is_done)
				deliver_journal_outcome(j, &outcome, NULL);
		}
}

struct deliver_journal *deliver_journal_new(const int files[DELIVER_JOURNAL_FILES])
{
	struct deliver_journal *j = mem_zero(sizeof(*j));
	struct buf content[DELIVER_JOURNAL_FILES] = {BUF_MAX(FILE_MAX), BUF_MAX(FILE_MAX)};
	uint64_t generation[DELIVER_JOURNAL_FILES];

	j->pending = BUF_MAX(FILE_MAX);
	for (int i = 0; i < DELIVER_JOURNAL_FILES; i++) {
		j->files[i] = files[i];
		read_file(files[i], &content[i]);
		generation[i] = generation_of(buf_str(&content[i]));
	}
	j->in_use = generation[1] > generation[0];
	j->generation = generation[j->in_use];
	j->end = (off_t)replay(j, buf_str(&content[j->in_use]));
	for (int i = 0; i < DELIVER_JOURNAL_FILES; i++)
		buf_clear(&content[i]);
	/* One file from here on, with nothing in it but what is needed. */
	j->limit = DELIVER_JOURNAL_SIZE;
	change_files(j);
	settle_unknown(j);
	return j;
}

void deliver_journal_free(struct deliver_journal **journal)
{
	struct deliver_journal *j = *journal;

	if (j == NULL)
		return;
	flush(j, NULL);
	for (size_t i = 0; i < BUCKETS; i++)
		while (j->buckets[i] != NULL)
			remove_entry(j, &j->buckets[i]);
	for (int i = 0; i < DELIVER_JOURNAL_FILES; i++)
		fd_close(&j->files[i]);
	buf_clear(&j->pending);
	mem_free(journal);
}

bool deliver_journal_adopt(struct deliver_journal *j, struct deliver_journal **left, struct err *err)
{
	struct deliver_journal *from = *left;
	bool ok;

	for (size_t i = 0; i < BUCKETS; i++)
		for (const struct entry *e = from->buckets[i]; e != NULL; e = e->next) {
			struct entry *mine = get_entry(j, &e->public.attempt);

			if (mine->public.is_done || !e->public.is_done)
				continue;
			set_outcome(j, mine, e->public.outcome);
			mine->done_at = clock_mono();
			put_outcome(&j->pending, mine);
		}
	ok = flush(j, err) && (fdatasync(j->files[j->in_use]) == 0 ||
			       err_set(err, "the journal cannot be written: %s", strerror(errno)));
	/* What stays in them is told again at the next start, and found recorded. */
	for (int i = 0; ok && i < DELIVER_JOURNAL_FILES; i++)
		if (ftruncate(from->files[i], 0) < 0)
			log_error(NULL, "deliver.journal.not_left", log_text("reason", strerror(errno)));
	if (ok)
		buf_reset(&from->pending);
	deliver_journal_free(left);
	return ok;
}

/* ---- looking ---- */

const struct deliver_journal_entry *deliver_journal_find(const struct deliver_journal *j,
							 const struct ipc_attempt *attempt)
{
	struct entry *e = *find_place(j, attempt);

	return e == NULL ? NULL : &e->public;
}

void deliver_journal_each(const struct deliver_journal *j, deliver_journal_fn *fn, void *ctx)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (const struct entry *e = j->buckets[i]; e != NULL; e = e->next)
			fn(ctx, &e->public);
}

unsigned deliver_journal_count(const struct deliver_journal *j)
{
	return j->n;
}

unsigned deliver_journal_count_done(const struct deliver_journal *j)
{
	return j->n_done;
}
