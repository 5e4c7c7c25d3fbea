/* SPDX-License-Identifier: Apache-2.0
 *
 * Receiving a message's octets. The header is looked at only to see what is missing, and where a message
 * begins without one.
 */
#include "smtpd/smtpd_content.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/fd.h"
#include "lib/base/trouble.h"
#include "lib/ipc/ipc_body.h"

enum {
	PIECE = 16384,			   /* taken at a time */
	FIRST_ROOM = 6144,		   /* most messages fit in it */
	BYTES_MAX = IPC_INLINE_MAX + 4 * PIECE,
	FILE_WRITE = 32768,		   /* a write to the file is worth it from here on */
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

void smtpd_content_begin(struct smtpd_content *c, struct str received, uint64_t limit, const struct uuid *id,
			 const char *host, int64_t wall)
{
	*c = (struct smtpd_content){.fd = -1, .limit = limit, .id = *id, .host = host, .wall = wall};
	buf_init(&c->bytes, BYTES_MAX);
	must(buf_room(&c->bytes, FIRST_ROOM) != NULL);
	buf_put_str(&c->bytes, received);
	c->trace_end = c->scanned = c->bytes.n;
}

static void insert(struct buf *b, size_t at, struct str s)
{
	size_t behind = b->n - at;

	must(buf_room(b, s.n) != NULL);
	memmove(b->p + at + s.n, b->p + at, behind);
	memcpy(b->p + at, s.p, s.n);
	buf_added(b, s.n);
}

/* The header ends at `end`; is_bare: what stands there is neither a field nor the empty line. */
static void end_header(struct smtpd_content *c, size_t end, bool is_bare)
{
	struct buf missing = BUF_MAX(1024);
	char id[UUID_TEXT], date[SMTPD_CONTENT_DATE];

	c->is_header_done = true;
	if (is_bare)
		insert(&c->bytes, end, STR("\r\n"));
	if (!c->has_message_id)
		buf_printf(&missing, "Message-ID: <%s@%s>\r\n", uuid_format(&c->id, id), c->host);
	if (!c->has_date)
		buf_printf(&missing, "Date: %s\r\n", smtpd_content_date(c->wall, date));
	if (missing.n > 0)
		insert(&c->bytes, c->trace_end, buf_str(&missing));
	buf_clear(&missing);
}

/* The name of the field that a line begins, or the empty string. */
static struct str field_name(struct str line)
{
	struct str name = str_trim(str_first(line, str_find(line, ':')));

	if (name.n >= line.n || name.p != line.p)
		return str_first(line, 0);
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] > '~')
			return str_first(line, 0);
	return name;
}

/* Looks at the lines that have come since. */
static void scan_header(struct smtpd_content *c)
{
	while (!c->is_header_done) {
		struct str rest = str_from(buf_str(&c->bytes), c->scanned), line, name;
		size_t lf = str_find(rest, '\n');

		if (lf == rest.n)
			return;
		line = str_first(rest, lf - 1); /* lines end with CRLF here */
		name = field_name(line);
		if (line.n == 0) {
			end_header(c, c->scanned, false);
		} else if (name.n == 0 && !((line.p[0] == ' ' || line.p[0] == '\t') &&
					    c->scanned > c->trace_end)) {
			end_header(c, c->scanned, true);
		} else {
			c->has_message_id |= str_ieq(name, STR("Message-ID"));
			c->has_date |= str_ieq(name, STR("Date"));
			c->scanned += lf + 1;
		}
	}
}

static void write_file(struct smtpd_content *c)
{
	if (c->fd < 0)
		c->fd = fd_memfile_try("message");
	if (c->fd < 0 || !fd_write_all(c->fd, c->bytes.p, c->bytes.n))
		c->is_broken = true; /* no memory or descriptors left for it */
	c->in_file += c->bytes.n;
	buf_reset(&c->bytes);
}

static void drop(struct smtpd_content *c)
{
	buf_clear(&c->bytes);
	fd_close(&c->fd);
}

static void keep(struct smtpd_content *c)
{
	if (!c->is_header_done)
		scan_header(c);
	if (c->fd >= 0 ? c->bytes.n >= FILE_WRITE : c->bytes.n > IPC_INLINE_MAX) {
		/* A header as large as this is left as it is. */
		c->is_header_done = true;
		write_file(c);
	}
}

static void complete(struct smtpd_content *c)
{
	if (!c->is_header_done)
		end_header(c, c->bytes.n, false);
	if (c->fd >= 0 || c->bytes.n > IPC_INLINE_MAX) {
		write_file(c);
		if (!c->is_broken)
			fd_seal(c->fd);
		buf_clear(&c->bytes);
	}
}

/* Where the octets go now: nowhere when the message cannot be kept. */
static struct buf *place(struct smtpd_content *c)
{
	return c->is_over || c->is_broken ? NULL : &c->bytes;
}

/* After each piece. */
static void put_away(struct smtpd_content *c)
{
	must(!c->bytes.is_full);
	if (c->data.size > c->limit && !c->is_over) {
		c->is_over = true;
		drop(c);
	}
	if (!c->is_over && !c->is_broken)
		keep(c);
}

bool smtpd_content_take(struct smtpd_content *c, struct str *input)
{
	bool is_end = false;

	while (input->n > 0 && !is_end) {
		struct str piece = str_first(*input, PIECE);
		size_t before = piece.n;

		is_end = smtp_data_take(&c->data, &piece, place(c));
		*input = str_from(*input, before - piece.n);
		put_away(c);
	}
	if (is_end && !c->is_over && !c->is_broken)
		complete(c);
	return is_end;
}

void smtpd_content_take_chunk(struct smtpd_content *c, struct str octets)
{
	while (octets.n > 0) {
		struct str piece = str_first(octets, PIECE);

		smtp_data_take_chunk(&c->data, piece, place(c));
		octets = str_from(octets, piece.n);
		put_away(c);
	}
}

void smtpd_content_end(struct smtpd_content *c)
{
	smtp_data_end(&c->data, place(c));
	if (!c->is_over && !c->is_broken)
		complete(c);
}

uint64_t smtpd_content_size(const struct smtpd_content *c)
{
	return c->in_file + c->bytes.n;
}

void smtpd_content_clear(struct smtpd_content *c)
{
	drop(c);
	buf_clear(&c->from);
}
