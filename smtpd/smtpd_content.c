/* SPDX-License-Identifier: Apache-2.0
 *
 * Receiving a message's octets. The header is gathered in memory (it is bounded), put in order once, and then the
 * body streams.
 */
#include "smtpd/smtpd_content.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/fd.h"
#include "lib/base/trouble.h"
#include "lib/ipc/ipc_body.h"
#include "smtpd/smtpd_header.h"

enum {
	PIECE = 16384,	    /* taken at a time */
	FIRST_ROOM = 8192,  /* most messages fit in it */
	FILE_WRITE = 32768, /* a write to the file is worth it from here on */
	FROM_MAX = 4096,
	HOPS_MAX = 100, /* RFC 5321, 6.3: a message with more Received fields goes round in circles */
};

char *smtpd_content_date(int64_t wall, char out[SMTPD_CONTENT_DATE])
{
	static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t t = (time_t)(wall / 1000000);
	struct tm tm;

	gmtime_r(&t, &tm);
	snprintf(out, SMTPD_CONTENT_DATE, "%s, %02d %s %04d %02d:%02d:%02d +0000", days[tm.tm_wday], tm.tm_mday,
		 months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
	return out;
}

/* ---- where the octets are ---- */

/* Nothing is kept of it. */
static void drop(struct smtpd_content *c)
{
	buf_clear(&c->bytes);
	buf_clear(&c->from);
	buf_clear(&c->key);
	smtp_mime_clear(&c->mime);
	fd_close(&c->fd);
	smtpd_memory_hold(&c->share, 0, 0, 0);
}

static void refuse(struct smtpd_content *c, enum smtp_reply reply)
{
	c->refusal = reply;
	drop(c);
}

static void account(struct smtpd_content *c)
{
	uint64_t memory = c->bytes.size + c->from.size + c->key.size + smtp_mime_memory(&c->mime);

	smtpd_memory_hold(&c->share, memory + (c->is_spilled ? 0 : c->in_file), c->is_spilled ? c->in_file : 0, 0);
}

/* Moves `bytes` to the file, which there is. */
static void write_file(struct smtpd_content *c)
{
	if (c->is_spilled && !smtpd_memory_may_write(&c->share, c->bytes.n)) {
		refuse(c, SMTP_REPLY_NO_STORAGE);
	} else if (!fd_write_all(c->fd, c->bytes.p, c->bytes.n)) {
		refuse(c, c->is_spilled ? SMTP_REPLY_NO_STORAGE : SMTP_REPLY_NOT_STORED);
	} else {
		c->in_file += c->bytes.n;
		buf_reset(&c->bytes);
	}
}

static void write_memory_file(struct smtpd_content *c)
{
	if (c->fd < 0)
		c->fd = fd_memfile_try("message");
	if (c->fd < 0)
		refuse(c, SMTP_REPLY_NOT_STORED); /* no memory or descriptors left for it */
	else
		write_file(c);
}

/* From memory to a file on disk. */
static void spill(struct smtpd_content *c)
{
	int fd = -1;

	if (smtpd_memory_may_write(&c->share, c->in_file + c->bytes.n))
		fd = fd_unnamed(c->share.of->directory);
	if (fd < 0 || (c->fd >= 0 && !fd_copy(c->fd, fd, c->in_file))) {
		fd_close(&fd);
		refuse(c, SMTP_REPLY_NO_STORAGE);
		return;
	}
	fd_close(&c->fd);
	c->fd = fd;
	c->is_spilled = true;
	account(c);
}

/* A spilled message that is complete comes back: only memory can be sealed, and small ones go inline. */
static void fetch(struct smtpd_content *c)
{
	uint64_t size = c->in_file;
	char *room = size <= IPC_INLINE_MAX ? buf_room(&c->bytes, size) : NULL;
	int fd = c->fd;

	c->fd = -1;
	if (size > IPC_INLINE_MAX && smtpd_memory_may_hand_over(&c->share))
		c->fd = fd_memfile_try("message");
	if (room != NULL ? !fd_read_at(fd, 0, room, size) : c->fd < 0 || !fd_copy(fd, c->fd, size)) {
		refuse(c, SMTP_REPLY_NO_STORAGE);
	} else if (room != NULL) {
		buf_added(&c->bytes, size);
		c->in_file = 0;
		smtpd_memory_hold(&c->share, c->bytes.size, 0, 0);
	} else {
		fd_seal(c->fd);
		smtpd_memory_hold(&c->share, 0, 0, size);
	}
	fd_close(&fd);
}

/* ---- the header ---- */

static void insert(struct buf *b, size_t at, struct str s)
{
	size_t behind = b->n - at;

	must(buf_room(b, s.n) != NULL);
	memmove(b->p + at + s.n, b->p + at, behind);
	memcpy(b->p + at, s.p, s.n);
	buf_added(b, s.n);
}

static void end_header(struct smtpd_content *c)
{
	struct smtpd_header seen = {.from = &c->from, .key_field = str_of(c->plan.key_field), .key = &c->key};
	struct buf missing = BUF_MAX(1024);
	char id[UUID_TEXT], date[SMTPD_CONTENT_DATE];
	size_t was = (size_t)c->mime.header_end, is = smtpd_header_clean(c->bytes.p + c->trace_end, was, &seen);
	char *end = c->bytes.p + c->trace_end;

	memmove(end + is, end + was, c->bytes.n - c->trace_end - was);
	c->bytes.n -= was - is;
	c->is_header_done = true;
	c->is_from_odd = seen.is_from_odd;
	if (c->mime.is_bare)
		insert(&c->bytes, c->trace_end + is, STR("\r\n"));
	if (!seen.has_message_id)
		buf_printf(&missing, "Message-ID: <%s@%s>\r\n", uuid_format(&c->plan.id, id), c->plan.host);
	if (!seen.has_date)
		buf_printf(&missing, "Date: %s\r\n", smtpd_content_date(c->plan.wall, date));
	if (missing.n > 0)
		insert(&c->bytes, c->trace_end, buf_str(&missing));
	buf_clear(&missing);
	if (seen.hops > HOPS_MAX)
		refuse(c, SMTP_REPLY_TOO_MANY_HOPS);
	else if (seen.is_key_bad)
		refuse(c, SMTP_REPLY_BAD_IDEMPOTENCY_KEY);
}

/* ---- the message ---- */

void smtpd_content_begin(struct smtpd_content *c, const struct smtpd_content_plan *plan, struct str received)
{
	uint64_t header = plan->limits.header_size;

	*c = (struct smtpd_content){.plan = *plan, .fd = -1, .share = {.of = plan->memory}, .from = BUF_MAX(FROM_MAX),
				    .key = BUF_MAX(IPC_KEY_MAX)};
	smtp_mime_begin(&c->mime, &plan->limits);
	buf_init(&c->bytes, (header == 0 || header > plan->limit ? plan->limit : header) + IPC_INLINE_MAX + 4 * PIECE);
	must(buf_room(&c->bytes, FIRST_ROOM) != NULL);
	buf_put_str(&c->bytes, received);
	c->trace_end = c->bytes.n;
	account(c);
}

/* Puts away what has come, and sees whether there is room for more. */
static void keep(struct smtpd_content *c)
{
	if (!c->is_header_done && c->mime.is_header_done)
		end_header(c);
	if (c->is_header_done && c->bytes.n >= FILE_WRITE && c->fd >= 0)
		write_file(c);
	else if (c->is_header_done && c->bytes.n > IPC_INLINE_MAX)
		write_memory_file(c);
	if (c->refusal != SMTP_REPLY_NONE)
		return;
	account(c);
	if (c->is_header_done && !c->is_spilled && smtpd_memory_must_spill(&c->share))
		spill(c);
	else if (!c->is_header_done && smtpd_memory_is_full(&c->share))
		refuse(c, SMTP_REPLY_NO_STORAGE);
}

/* Between two calls a spilled message has no memory. */
static void rest(struct smtpd_content *c)
{
	if (c->refusal != SMTP_REPLY_NONE || !c->is_spilled)
		return;
	write_file(c);
	if (c->refusal != SMTP_REPLY_NONE)
		return;
	buf_clear(&c->bytes);
	account(c);
}

static void complete(struct smtpd_content *c)
{
	enum smtp_reply refusal = c->refusal != SMTP_REPLY_NONE ? c->refusal : smtp_mime_end(&c->mime);

	if (refusal != SMTP_REPLY_NONE) {
		refuse(c, refusal);
		return;
	}
	if (!c->is_header_done)
		end_header(c);
	if (c->refusal != SMTP_REPLY_NONE)
		return;
	smtp_mime_clear(&c->mime);
	if (c->is_spilled) {
		rest(c);
		if (c->refusal == SMTP_REPLY_NONE)
			fetch(c);
		return;
	}
	if (c->fd >= 0 || c->bytes.n > IPC_INLINE_MAX) {
		write_memory_file(c);
		if (c->refusal != SMTP_REPLY_NONE)
			return;
		fd_seal(c->fd);
		buf_clear(&c->bytes);
	}
	account(c);
	if (smtpd_memory_is_full(&c->share))
		refuse(c, SMTP_REPLY_NO_STORAGE);
}

/* Where the octets go now: nowhere when the message is refused. */
static struct buf *place(struct smtpd_content *c)
{
	return c->refusal != SMTP_REPLY_NONE ? NULL : &c->bytes;
}

/* Looks at what has come since `bytes` had `before` octets. */
static void see(struct smtpd_content *c, size_t before)
{
	struct str fresh = str_from(buf_str(&c->bytes), before);
	uint64_t room = c->plan.limit - (c->data.size - fresh.n);

	if (c->refusal != SMTP_REPLY_NONE)
		return;
	must(!c->bytes.is_full);
	/* What is beyond the limit is none of its structure: whichever limit is passed first is the reason. */
	if (smtp_mime_take(&c->mime, str_first(fresh, room)) != SMTP_REPLY_NONE)
		refuse(c, c->mime.refusal);
	else if (c->data.size > c->plan.limit)
		refuse(c, SMTP_REPLY_TOO_LARGE);
}

bool smtpd_content_take(struct smtpd_content *c, struct str *input)
{
	bool is_end = false;

	while (input->n > 0 && !is_end) {
		struct str piece = str_first(*input, PIECE);
		size_t n = piece.n, before = c->bytes.n;

		is_end = smtp_data_take(&c->data, &piece, place(c));
		*input = str_from(*input, n - piece.n);
		see(c, before);
		if (!is_end && c->refusal == SMTP_REPLY_NONE)
			keep(c);
	}
	if (is_end)
		complete(c);
	else
		rest(c);
	return is_end;
}

void smtpd_content_take_chunk(struct smtpd_content *c, struct str octets)
{
	while (octets.n > 0) {
		struct str piece = str_first(octets, PIECE);
		size_t before = c->bytes.n;

		smtp_data_take_chunk(&c->data, piece, place(c));
		octets = str_from(octets, piece.n);
		see(c, before);
		if (c->refusal == SMTP_REPLY_NONE)
			keep(c);
	}
	rest(c);
}

void smtpd_content_end(struct smtpd_content *c)
{
	size_t before = c->bytes.n;

	smtp_data_end(&c->data, place(c));
	see(c, before);
	complete(c);
}

uint64_t smtpd_content_size(const struct smtpd_content *c)
{
	return c->in_file + c->bytes.n;
}

void smtpd_content_clear(struct smtpd_content *c)
{
	drop(c);
}
