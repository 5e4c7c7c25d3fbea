/* SPDX-License-Identifier: Apache-2.0
 *
 * Walks through a message and encodes what is not ASCII. Its own parser, not GMime: GMime writes a message anew, and
 * here what need not be touched must not be. Pure; called by provider_sparkpost.c.
 */
#include "deliver/mime_ascii.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/mime_ascii_field.h"
#include "deliver/mime_headers.h"
#include "lib/base/encode.h"
#include "lib/smtp/smtp_header.h"

enum { DEPTH_MAX = 30, OUT_MAX = 64 << 20, CHANGED_MAX = 1024, LINE_MAX = 76, LINE_OCTETS = 57, BOUNDARY_MAX = 998 };

static bool convert(struct mime_ascii *m, struct str header, struct str body, unsigned depth);

static bool is_ascii(struct str text)
{
	return !mime_ascii_field_needs(text, STR(""));
}

static bool refuse(struct mime_ascii *m, struct str what, const char *why)
{
	what = str_first(what, 60);
	snprintf(m->trouble, sizeof(m->trouble), "%.*s%s", STR_ARG(what), why);
	return false;
}

static void remember(struct mime_ascii *m, struct str what)
{
	what = str_first(what, 60);
	if (m->changed.n + what.n + 2 > CHANGED_MAX ||
	    (m->changed.n > 0 && memmem(m->changed.p, m->changed.n, what.p, what.n) != NULL))
		return;
	buf_put_text(&m->changed, m->changed.n > 0 ? ", " : "");
	buf_put_str(&m->changed, what);
}

/* ---- what a header says ---- */

struct entity {
	struct str type;     /* "text/plain", any case; empty: it does not say */
	struct str encoding; /* of Content-Transfer-Encoding; empty: none */
	char boundary[BOUNDARY_MAX + 1];
	bool has_version;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The boundary parameter, without quotes; what it is when there are several is anybody's guess: the first. */
static void take_boundary(struct str value, char out[BOUNDARY_MAX + 1])
{
	size_t n = 0;
	bool is_quoted;

	out[0] = '\0';
	while ((value = str_from(value, str_find(value, ';') + 1)).n > 0) {
		struct str rest = str_trim_folded(value);

		if (!str_istarts(rest, STR("boundary")))
			continue;
		rest = str_trim_folded(str_from(rest, 8));
		if (!str_starts(rest, STR("=")))
			continue;
		rest = str_trim_folded(str_from(rest, 1));
		is_quoted = str_starts(rest, STR("\""));
		for (size_t i = is_quoted; i < rest.n && n < BOUNDARY_MAX; i++) {
			char c = rest.p[i];

			if (c == '\r' || c == '\n' || (is_quoted ? c == '"' : c == ';' || is_blank(c)))
				break;
			if (is_quoted && c == '\\' && i + 1 < rest.n)
				c = rest.p[++i];
			out[n++] = c;
		}
		out[n] = '\0';
		return;
	}
}

static void read_header(struct str header, struct entity *e)
{
	struct mime_field field;

	*e = (struct entity){.type = STR("")};
	while (mime_headers_next(&header, &field)) {
		struct str value = str_trim_folded(field.value);

		if (str_ieq(field.name, STR("mime-version"))) {
			e->has_version = true;
		} else if (str_ieq(field.name, STR("content-type")) && e->type.n == 0) {
			e->type = str_trim_folded(str_first(value, str_find(value, ';')));
			take_boundary(value, e->boundary);
		} else if (str_ieq(field.name, STR("content-transfer-encoding")) && e->encoding.n == 0) {
			e->encoding = str_trim_folded(str_first(value, str_find(value, ';')));
		}
	}
}

/* ---- writing ---- */

/* One field, or a line that is none. */
static bool put_field(struct mime_ascii *m, struct str raw)
{
	enum mime_ascii_field_result result;
	struct str rest = raw;
	struct mime_field field;

	if (!mime_ascii_field_needs(raw, m->hidden)) {
		buf_put_str(&m->out, raw);
		return true;
	}
	if (!mime_headers_next(&rest, &field)) {
		/* No field at all: nothing reads it. */
		remember(m, STR("a header line that is no field"));
		return true;
	}
	remember(m, field.name);
	result = mime_ascii_field_needs(field.name, m->hidden) ? MIME_ASCII_FIELD_FIXED
							       : mime_ascii_field(field.name, field.value, m->hidden, &m->out);
	switch (result) {
	case MIME_ASCII_FIELD_OK:
		if (!str_ends(raw, STR("\n")))
			m->out.n -= strlen("\r\n"); /* a header that ends with its part */
		return true;
	case MIME_ASCII_FIELD_ADDRESS:
		m->is_address = !is_ascii(raw);
		return refuse(m, field.name, m->is_address ? " has an address that is not ASCII"
							   : " has an address in which nothing can be encoded");
	case MIME_ASCII_FIELD_FIXED:
		break;
	}
	return refuse(m, field.name, " has something that cannot be encoded there");
}

/* The header section; `encoding` goes in place of the one that it has, or behind it. NULL: as it is. */
static bool put_header(struct mime_ascii *m, struct str header, const char *encoding)
{
	struct smtp_header_field field;
	bool ok = true;

	while (ok && smtp_header_next(&header, &field))
		if (encoding == NULL || !smtp_header_is(&field, STR("content-transfer-encoding"), false))
			ok = put_field(m, field.whole);
	if (encoding != NULL) {
		if (m->out.n > 0 && m->out.p[m->out.n - 1] != '\n')
			buf_put_text(&m->out, "\r\n");
		buf_printf(&m->out, "Content-Transfer-Encoding: %s\r\n", encoding);
	}
	return ok;
}

/* Quoted-printable (RFC 2045, 6.7), the lines' ends as they are. */
static void put_quoted(struct buf *out, struct str text)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t line = 0;

	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];
		bool ends = str_starts(str_from(text, i + 1), STR("\r\n")) || i + 1 == text.n;
		bool is_plain = (c > ' ' && c < 0x7f && c != '=') || ((c == ' ' || c == '\t') && !ends);

		if (c == '\r' && i + 1 < text.n && text.p[i + 1] == '\n') {
			buf_put_text(out, "\r\n");
			line = 0;
			i++;
			continue;
		}
		if (line + (is_plain ? 1 : 3) >= LINE_MAX) {
			buf_put_text(out, "=\r\n");
			line = 0;
		}
		if (is_plain) {
			buf_put_char(out, (char)c);
			line++;
		} else {
			char digits[3] = {'=', hex[c >> 4], hex[c & 15]};

			buf_put(out, digits, 3);
			line += 3;
		}
	}
}

/* Base64 in lines of 76 (RFC 2045, 6.8). */
static void put_base64(struct buf *out, struct str bytes)
{
	for (; bytes.n > 0; bytes = str_from(bytes, LINE_OCTETS)) {
		encode_base64(out, str_first(bytes, LINE_OCTETS));
		buf_put_text(out, "\r\n");
	}
}

/* Where nothing is read (around parts), or what is there is no valid encoding anyway. */
static void put_masked(struct buf *out, struct str text, bool drops)
{
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] < 0x80 && text.p[i] != '\0')
			buf_put_char(out, text.p[i]);
		else if (!drops)
			buf_put_char(out, '?');
}

/* ---- the parts ---- */

/* A body that is one thing. `body` begins with the empty line. */
static bool put_leaf(struct mime_ascii *m, struct str header, struct str body, const struct entity *e, unsigned depth)
{
	struct str blank = str_first(body, str_find(body, '\n') + 1), content = str_from(body, blank.n);
	bool is_text = e->type.n == 0 || str_istarts(e->type, STR("text/"));
	size_t odd = 0;

	remember(m, e->type.n > 0 ? e->type : STR("text/plain"));
	if (str_ieq(e->encoding, STR("quoted-printable")) || str_ieq(e->encoding, STR("base64"))) {
		/* It is said to be ASCII: the octets that are not are dropped, or quoted as they should have been. */
		if (!put_header(m, header, NULL))
			return false;
		buf_put_str(&m->out, blank);
		if (str_ieq(e->encoding, STR("base64")))
			put_masked(&m->out, content, true);
		else
			for (size_t i = 0; i < content.n; i++)
				if ((unsigned char)content.p[i] >= 0x80 || content.p[i] == '\0')
					buf_printf(&m->out, "=%02X", (unsigned char)content.p[i]);
				else
					buf_put_char(&m->out, content.p[i]);
		return true;
	}
	for (size_t i = 0; i < content.n; i++)
		odd += (unsigned char)content.p[i] >= 0x80 || content.p[i] == '\0';
	is_text = is_text && odd <= content.n / 4;
	if (!put_header(m, header, is_text ? "quoted-printable" : "base64"))
		return false;
	if (depth == 0 && !e->has_version)
		buf_put_text(&m->out, "MIME-Version: 1.0\r\n");
	if (e->type.n == 0 && str_is_utf8(content))
		buf_put_text(&m->out, "Content-Type: text/plain; charset=utf-8\r\n");
	buf_put_text(&m->out, "\r\n");
	if (is_text)
		put_quoted(&m->out, content);
	else
		put_base64(&m->out, content);
	return true;
}

/* Is the line a delimiter of the boundary: 1, the last one: 2. */
static int delimiter_of(struct str line, struct str boundary)
{
	struct str rest;

	if (!str_starts(line, STR("--")) || !str_starts(str_from(line, 2), boundary))
		return 0;
	rest = str_trim_folded(str_from(line, 2 + boundary.n));
	return rest.n == 0 ? 1 : str_starts(rest, STR("--")) ? 2 : 0;
}

/* Splits into header section and body (from the empty line on) and converts. The line end before a delimiter is the
 * delimiter's. */
static bool put_part(struct mime_ascii *m, struct str part, unsigned depth)
{
	struct str end = str_ends(part, STR("\r\n")) ? STR("\r\n") : str_ends(part, STR("\n")) ? STR("\n") : STR("");
	size_t at = 0;

	part.n -= end.n;
	while (at < part.n && !str_starts(str_from(part, at), STR("\r\n")) && part.p[at] != '\n')
		at += str_first(str_from(part, at), str_find(str_from(part, at), '\n') + 1).n;
	if (!convert(m, str_first(part, at), str_from(part, at), depth))
		return false;
	buf_put_str(&m->out, end);
	return true;
}

static bool put_multipart(struct mime_ascii *m, struct str body, struct str boundary, unsigned depth)
{
	size_t from = 0, at = 0;
	int state = 0; /* 0: before the first delimiter, 1: in a part, 2: behind the last one */

	while (at <= body.n) {
		struct str line = str_first(str_from(body, at), str_find(str_from(body, at), '\n') + 1);
		int delimiter = state == 2 || at == body.n ? 0 : delimiter_of(line, boundary);

		if (delimiter == 0 && at < body.n) {
			at += line.n;
			continue;
		}
		if (state != 1)
			put_masked(&m->out, str_bytes(body.p + from, at - from), false);
		else if (!put_part(m, str_bytes(body.p + from, at - from), depth + 1))
			return false;
		if (at == body.n)
			break;
		/* Behind the boundary nothing is read. */
		put_masked(&m->out, line, false);
		at += line.n;
		from = at;
		state = delimiter;
	}
	return true;
}

/* As it is. A full buffer is found at the end. */
static bool put_rest(struct mime_ascii *m, struct str body)
{
	buf_put_str(&m->out, body);
	return true;
}

/* A message in the message: its header is no header of ours, and may have in it what it likes. */
static bool put_message(struct mime_ascii *m, struct str body, unsigned depth)
{
	struct str blank = str_first(body, str_find(body, '\n') + 1), hidden = m->hidden;
	bool ok;

	buf_put_str(&m->out, blank);
	m->hidden = STR("");
	ok = put_part(m, str_from(body, blank.n), depth + 1);
	m->hidden = hidden;
	return ok;
}

static bool is_hiding(const struct mime_ascii *m, struct str body)
{
	return m->hidden.n > 0 && body.n > 0 && memmem(body.p, body.n, m->hidden.p, m->hidden.n) != NULL;
}

static bool convert(struct mime_ascii *m, struct str header, struct str body, unsigned depth)
{
	bool is_plain = is_ascii(body), is_coded;
	struct entity e;

	if (depth > DEPTH_MAX)
		return refuse(m, STR(""), "its parts are nested too deep");
	read_header(header, &e);
	is_coded = str_ieq(e.encoding, STR("quoted-printable")) || str_ieq(e.encoding, STR("base64"));
	if (str_ieq(e.type, STR("multipart/signed")) && (!is_plain || is_hiding(m, body)))
		return refuse(m, STR(""), "it is signed, and its signature would not outlive the encoding");
	/* In a multipart there are header fields to be looked at. */
	if (!is_coded && str_istarts(e.type, STR("multipart/")) && e.boundary[0] != '\0' && (!is_plain || is_hiding(m, body)))
		return put_header(m, header, is_plain ? NULL : "7bit") && put_multipart(m, body, str_of(e.boundary), depth);
	if (is_plain)
		return put_header(m, header, NULL) && put_rest(m, body);
	if (!is_coded && str_istarts(e.type, STR("message/")) && !str_ieq(e.type, STR("message/partial")))
		return put_header(m, header, "7bit") && put_message(m, body, depth);
	return put_leaf(m, header, body, &e, depth);
}

bool mime_ascii(struct mime_ascii *m, struct str header, struct str body)
{
	m->out = BUF_MAX(OUT_MAX);
	m->changed = BUF_MAX(CHANGED_MAX);
	m->trouble[0] = '\0';
	m->is_address = false;
	buf_room(&m->out, header.n + body.n + 4096);
	if (!convert(m, header, body, 0))
		return false;
	if (m->out.is_full)
		return refuse(m, STR(""), "it is too large");
	return true;
}

void mime_ascii_clear(struct mime_ascii *m)
{
	buf_clear_secret(&m->out);
	buf_clear(&m->changed);
}
