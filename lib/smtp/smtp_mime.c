/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of headers, and those of bodies that may be boundaries, are seen whole (or their first octets, when they are
 * longer than any of use); all else goes by in runs. Pure.
 */
#include "lib/smtp/smtp_mime.h"

#include "lib/base/trouble.h"
#include "lib/smtp/smtp_header.h"

enum {
	LINE_KEPT = 4096,  /* of a line; boundaries and the names of fields are shorter */
	FIELD_KEPT = 8192, /* of a field with the lines folded to it */
	BOUNDARIES_MAX = (SMTP_MIME_DEPTH_MAX + 1) * SMTP_HEADER_VALUE,
};

static void begin_header(struct smtp_mime *m)
{
	m->in_header = true;
	m->header_size = 0;
	m->fields = 0;
	m->field_kind = SMTP_MIME_NO_FIELD;
	m->part = (struct smtp_mime_part){.type = SMTP_MIME_UNSAID};
}

void smtp_mime_begin(struct smtp_mime *m, const struct smtp_mime_limits *limits)
{
	*m = (struct smtp_mime){.limits = *limits,
				.field = BUF_MAX(FIELD_KEPT),
				.held = BUF_MAX(FIELD_KEPT),
				.line = BUF_MAX(LINE_KEPT),
				.boundaries = BUF_MAX(BOUNDARIES_MAX)};
	begin_header(m);
}

/* ---- what the fields of a part say ---- */

static void see_type(struct smtp_mime_part *part, struct str value)
{
	part->is_digest = str_ieq(value, STR("multipart/digest"));
	if (str_istarts(value, STR("multipart/")))
		part->type = SMTP_MIME_MULTIPART;
	else if (str_ieq(value, STR("message/rfc822")) || str_ieq(value, STR("message/global")))
		part->type = SMTP_MIME_MESSAGE;
	else if (str_istarts(value, STR("text/")) || str_find(value, '/') == value.n)
		part->type = SMTP_MIME_TEXT; /* also what is no type (RFC 2045, 5.2) */
	else
		part->type = SMTP_MIME_OTHER;
}

/* "name", "name*", "name*0*" ... of RFC 2231. */
static bool is_called(struct str parameter, struct str name)
{
	return str_istarts(parameter, name) && (parameter.n == name.n || parameter.p[name.n] == '*');
}

/* A boundary in pieces (boundary*0=, boundary*1=) comes in their order. */
static void see_boundary(struct smtp_mime *m, struct str value)
{
	if (m->boundaries.n - m->boundary_at + value.n < SMTP_HEADER_VALUE)
		buf_put_str(&m->boundaries, value);
}

static void see_content_type(struct smtp_mime *m, struct str body)
{
	struct smtp_header_value value;
	struct str name;

	if (m->part.type != SMTP_MIME_UNSAID)
		return; /* the first one counts */
	smtp_header_take_value(&body, &value);
	see_type(&m->part, str_bytes(value.p, value.n));
	while (smtp_header_take_parameter(&body, &name, &value)) {
		m->part.is_attached |= is_called(name, STR("name"));
		if (is_called(name, STR("boundary")))
			see_boundary(m, str_bytes(value.p, value.n));
	}
	/* A delimiter's blanks at its end are none of the boundary's. */
	while (m->boundaries.n > m->boundary_at && m->boundaries.p[m->boundaries.n - 1] == ' ')
		m->boundaries.n--;
}

static void see_disposition(struct smtp_mime *m, struct str body)
{
	struct smtp_header_value value;
	struct str name;

	smtp_header_take_value(&body, &value);
	m->part.is_attached |= str_ieq(str_bytes(value.p, value.n), STR("attachment"));
	while (smtp_header_take_parameter(&body, &name, &value))
		m->part.is_attached |= is_called(name, STR("filename"));
}

static void see_encoding(struct smtp_mime *m, struct str body)
{
	struct smtp_header_value value;

	smtp_header_take_value(&body, &value);
	if (str_ieq(str_bytes(value.p, value.n), STR("base64")))
		m->part.encoding = SMTP_MIME_BASE64;
	else if (str_ieq(str_bytes(value.p, value.n), STR("quoted-printable")))
		m->part.encoding = SMTP_MIME_QUOTED;
}

/* The field under way is complete. */
static void end_field(struct smtp_mime *m)
{
	static void (*const see[])(struct smtp_mime *, struct str) = {
		[SMTP_MIME_CONTENT_TYPE] = see_content_type,
		[SMTP_MIME_DISPOSITION] = see_disposition,
		[SMTP_MIME_ENCODING] = see_encoding,
	};
	struct str field = buf_str(&m->field);

	if (m->field_kind != SMTP_MIME_NO_FIELD)
		see[m->field_kind](m, str_from(field, str_find(field, ':') + 1));
	m->field_kind = SMTP_MIME_NO_FIELD;
}

static void keep_field(struct smtp_mime *m, struct str line)
{
	buf_put_str(&m->field, str_first(line, FIELD_KEPT - m->field.n));
}

static void begin_field(struct smtp_mime *m, struct str name, struct str line)
{
	end_field(m);
	m->fields++;
	if (m->limits.header_fields != 0 && m->fields > m->limits.header_fields)
		m->refusal = SMTP_REPLY_TOO_MANY_FIELDS;
	if (!str_istarts(name, STR("Content-")))
		return;
	if (str_ieq(name, STR("Content-Type")))
		m->field_kind = SMTP_MIME_CONTENT_TYPE;
	else if (str_ieq(name, STR("Content-Disposition")))
		m->field_kind = SMTP_MIME_DISPOSITION;
	else if (str_ieq(name, STR("Content-Transfer-Encoding")))
		m->field_kind = SMTP_MIME_ENCODING;
	buf_reset(&m->field);
	if (m->field_kind != SMTP_MIME_NO_FIELD)
		keep_field(m, line);
}

static void count_header(struct smtp_mime *m, size_t octets)
{
	m->header_size += octets;
	if (m->limits.header_size != 0 && m->header_size > m->limits.header_size)
		m->refusal = SMTP_REPLY_HEADER_TOO_LARGE;
}

/* ---- parts ---- */

/* A boundary, if it has one, becomes that of the new level. */
static void push_level(struct smtp_mime *m)
{
	unsigned limit = m->limits.mime_depth;
	struct smtp_mime_level *level = &m->levels[m->depth];

	if (m->depth >= (limit == 0 || limit > SMTP_MIME_DEPTH_MAX ? SMTP_MIME_DEPTH_MAX : limit)) {
		m->refusal = SMTP_REPLY_MIME_TOO_DEEP;
		return;
	}
	level->boundary = (uint32_t)m->boundary_at;
	level->n = (uint16_t)(m->boundaries.n - m->boundary_at);
	level->is_digest = m->part.is_digest;
	m->boundary_at = m->boundaries.n;
	m->depth++;
}

static void begin_body(struct smtp_mime *m)
{
	struct smtp_mime_part *part = &m->part;
	bool has_boundary = m->boundaries.n > m->boundary_at;

	if (part->type == SMTP_MIME_UNSAID && m->depth > 0 && m->levels[m->depth - 1].is_digest)
		part->type = SMTP_MIME_MESSAGE;
	m->in_header = false;
	if (part->type == SMTP_MIME_MULTIPART && has_boundary) {
		push_level(m);
		return;
	}
	m->boundaries.n = m->boundary_at;
	if (part->type == SMTP_MIME_MESSAGE && part->encoding == SMTP_MIME_IDENTITY) {
		part->is_digest = false;
		push_level(m);
		begin_header(m);
		return;
	}
	/* A multipart without a boundary is text to whoever reads it. */
	part->is_counted = part->is_attached || part->type == SMTP_MIME_OTHER || part->type == SMTP_MIME_MESSAGE;
}

static void end_header(struct smtp_mime *m, bool is_bare)
{
	end_field(m);
	if (!m->is_header_done) {
		m->is_header_done = true;
		m->is_bare = is_bare;
		m->header_end = m->header_size;
	}
	begin_body(m);
}

static uint64_t decoded(const struct smtp_mime_part *part)
{
	if (!part->is_counted)
		return 0;
	if (part->encoding == SMTP_MIME_BASE64)
		return part->octets / 4 * 3 + part->octets % 4 * 3 / 4;
	return part->octets > 2 ? part->octets - 2 : 0; /* the last CRLF is the boundary's */
}

static void end_part(struct smtp_mime *m, unsigned depth)
{
	m->attachments += decoded(&m->part);
	m->part.is_counted = false;
	m->depth = depth;
	m->boundaries.n = depth == 0 ? 0 : m->levels[depth - 1].boundary + m->levels[depth - 1].n;
	m->boundary_at = m->boundaries.n;
}

/* Is the line a delimiter of one of the multiparts we are in? Then what was in it ends. */
static bool see_delimiter(struct smtp_mime *m, struct str text)
{
	struct str rest;

	for (unsigned i = m->depth; i-- > 0;) {
		const struct smtp_mime_level *level = &m->levels[i];

		if (level->n == 0 || text.n < 2U + level->n ||
		    memcmp(text.p + 2, m->boundaries.p + level->boundary, level->n) != 0)
			continue;
		rest = str_trim(str_from(text, 2U + level->n));
		if (rest.n > 0 && !str_eq(rest, STR("--")))
			continue;
		end_part(m, rest.n == 0 ? i + 1 : i);
		if (rest.n == 0)
			begin_header(m);
		else
			m->in_header = false; /* what follows it is in no part */
		return true;
	}
	return false;
}

/* ---- octets of bodies ---- */

/* Those that stand for six bits each. In blocks, so that the compiler can count many at a time. */
static uint64_t count_base64(struct str s)
{
	enum { BLOCK = 64 };
	uint64_t total = 0;
	size_t i = 0;

	for (; i + BLOCK <= s.n; i += BLOCK) {
		unsigned char n = 0;

		for (size_t k = 0; k < BLOCK; k++)
			n = (unsigned char)(n + (((unsigned char)s.p[i + k] > ' ') & (s.p[i + k] != '=')));
		total += n;
	}
	for (; i < s.n; i++)
		total += (unsigned char)s.p[i] > ' ' && s.p[i] != '=';
	return total;
}

/* "=41" is one octet, "=" and a line's end none. */
static uint64_t count_quoted(struct smtp_mime_part *part, struct str s)
{
	uint64_t total = 0;

	while (s.n > 0) {
		size_t n = 1;

		if (part->escape == SMTP_MIME_PLAIN) {
			n = str_find(s, '=');
			total += n;
			if (n < s.n) {
				part->escape = SMTP_MIME_AFTER_EQUALS;
				n++;
			}
		} else if (part->escape == SMTP_MIME_AFTER_EQUALS) {
			total += s.p[0] != '\r';
			part->escape = SMTP_MIME_LAST;
		} else {
			part->escape = SMTP_MIME_PLAIN;
		}
		s = str_from(s, n);
	}
	return total;
}

static void see_octets(struct smtp_mime *m, struct str s)
{
	struct smtp_mime_part *part = &m->part;
	uint64_t one = m->limits.attachment_size, all = m->limits.attachments_size, size;

	if (!part->is_counted || s.n == 0)
		return;
	if (part->encoding == SMTP_MIME_BASE64)
		part->octets += count_base64(s);
	else if (part->encoding == SMTP_MIME_QUOTED)
		part->octets += count_quoted(part, s);
	else
		part->octets += s.n;
	size = decoded(part);
	one = one == 0 ? UINT64_MAX : one;
	all = all == 0 ? UINT64_MAX : all - m->attachments;
	if (size > one || size > all) /* which was passed first? */
		m->refusal = one <= all ? SMTP_REPLY_ATTACHMENT_TOO_LARGE : SMTP_REPLY_ATTACHMENTS_TOO_LARGE;
}

/* ---- lines ---- */

static void see_line(struct smtp_mime *m, struct str line, bool is_whole);

static struct str without_line_end(struct str line)
{
	if (line.n > 0 && line.p[line.n - 1] == '\n')
		line.n--;
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	return line;
}

/* What was held for a field is none: the header ended before it. */
static void give_up_held(struct smtp_mime *m)
{
	struct buf held = m->held;
	struct str rest = buf_str(&held), line;

	m->held = BUF_MAX(FIELD_KEPT);
	end_header(m, true);
	for (; rest.n > 0; rest = str_from(rest, line.n)) {
		line = str_first(rest, str_find(rest, '\n') + 1);
		see_line(m, line, true);
	}
	buf_clear(&held);
}

/* The line behind a name without a colon. False: it is not folded to it, or has something else before the colon. */
static bool take_held(struct smtp_mime *m, struct str line, bool is_whole)
{
	struct str blank = str_trim(without_line_end(line)), field;

	if ((line.p[0] != ' ' && line.p[0] != '\t') || m->held.n + line.n > FIELD_KEPT ||
	    (blank.n == 0 ? !is_whole : blank.p[0] != ':'))
		return false;
	must(buf_put_str(&m->held, line));
	if (blank.n == 0)
		return true;
	field = buf_str(&m->held);
	count_header(m, field.n);
	if (m->refusal == SMTP_REPLY_NONE)
		begin_field(m, smtp_header_name(field), field);
	m->is_mid_line = !is_whole;
	buf_reset(&m->held);
	return true;
}

static void see_header_line(struct smtp_mime *m, struct str line, struct str text, bool is_whole)
{
	bool is_folded = m->fields > 0 && (line.p[0] == ' ' || line.p[0] == '\t');
	struct str name = is_folded || text.n == 0 ? STR("") : smtp_header_name(text);

	if (text.n == 0) {
		end_header(m, false);
	} else if (!is_folded && is_whole && smtp_header_is_begun(text)) {
		must(buf_put_str(&m->held, line));
	} else if (!is_folded && name.n == 0) {
		end_header(m, true);
		see_line(m, line, is_whole);
	} else {
		count_header(m, line.n);
		if (m->refusal != SMTP_REPLY_NONE)
			return;
		if (name.n > 0)
			begin_field(m, name, text);
		else if (m->field_kind != SMTP_MIME_NO_FIELD)
			keep_field(m, text);
		m->is_mid_line = !is_whole;
	}
}

/* A line that has to be looked at, or, when it is not whole, its first LINE_KEPT octets. */
static void see_line(struct smtp_mime *m, struct str line, bool is_whole)
{
	struct str text = without_line_end(line);

	while (m->held.n > 0 && m->refusal == SMTP_REPLY_NONE) {
		if (take_held(m, line, is_whole))
			return;
		give_up_held(m);
	}
	if (m->refusal != SMTP_REPLY_NONE ||
	    (is_whole && str_starts(text, STR("--")) && see_delimiter(m, text)))
		return;
	if (m->in_header) {
		see_header_line(m, line, text, is_whole);
	} else {
		see_octets(m, line);
		m->is_mid_line = !is_whole;
	}
}

/* Takes a line that has to be looked at, or a piece of it. */
static void take_line(struct smtp_mime *m, struct str *s)
{
	size_t lf = str_find(*s, '\n'), n = lf < s->n ? lf + 1 : lf;
	struct str piece = str_first(*s, n < LINE_KEPT - m->line.n ? n : LINE_KEPT - m->line.n);
	struct str line = piece;
	bool is_whole = piece.n == lf + 1;

	if (m->line.n > 0 || (!is_whole && piece.n < LINE_KEPT)) {
		must(buf_put_str(&m->line, piece));
		line = buf_str(&m->line);
	}
	*s = str_from(*s, piece.n);
	if (!is_whole && line.n < LINE_KEPT)
		return;
	see_line(m, line, is_whole);
	buf_reset(&m->line);
}

/* The rest of a header's line that is longer than is of use. */
static void skip_line(struct smtp_mime *m, struct str *s)
{
	size_t lf = str_find(*s, '\n'), n = lf < s->n ? lf + 1 : lf;

	count_header(m, n);
	m->is_mid_line = lf == s->n;
	*s = str_from(*s, n);
}

/* Takes what is certainly no delimiter: up to the next line that begins with a hyphen. */
static void take_run(struct smtp_mime *m, struct str *s)
{
	const char *at = s->p, *end = s->p + s->n, *lf;

	if (m->boundaries.n == 0)
		at = end;
	while (at < end && (at == s->p || *at != '-')) {
		lf = memchr(at, '\n', (size_t)(end - at));
		m->is_mid_line = lf == NULL;
		at = lf == NULL ? end : lf + 1;
	}
	see_octets(m, str_first(*s, (size_t)(at - s->p)));
	*s = str_from(*s, (size_t)(at - s->p));
}

enum smtp_reply smtp_mime_take(struct smtp_mime *m, struct str octets)
{
	while (octets.n > 0 && m->refusal == SMTP_REPLY_NONE) {
		if (m->in_header && m->is_mid_line)
			skip_line(m, &octets);
		else if (m->in_header || m->line.n > 0 ||
			 (!m->is_mid_line && octets.p[0] == '-' && m->boundaries.n > 0))
			take_line(m, &octets);
		else
			take_run(m, &octets);
	}
	return m->refusal;
}

enum smtp_reply smtp_mime_end(struct smtp_mime *m)
{
	if (m->line.n > 0)
		see_line(m, buf_str(&m->line), true);
	buf_reset(&m->line);
	while (m->held.n > 0 && m->refusal == SMTP_REPLY_NONE)
		give_up_held(m);
	if (m->in_header && m->refusal == SMTP_REPLY_NONE)
		end_header(m, false);
	end_part(m, 0);
	return m->refusal;
}

size_t smtp_mime_memory(const struct smtp_mime *m)
{
	return m->field.size + m->held.size + m->line.size + m->boundaries.size;
}

void smtp_mime_clear(struct smtp_mime *m)
{
	buf_clear(&m->field);
	buf_clear(&m->held);
	buf_clear(&m->line);
	buf_clear(&m->boundaries);
}
