/* SPDX-License-Identifier: Apache-2.0
 *
 * Builds messages: multipart/alternative for text and HTML, multipart/mixed around attachments,
 * base64, encoded words (RFC 2047) in the header, extended parameters (RFC 2231) for file names.
 * Called by client_send.c and client_batch.c.
 */
#include "client/client_message.h"

#include <stdio.h>
#include <time.h>

#include "lib/base/encode.h"
#include "lib/base/random.h"

enum {
	LINE_WIDTH = 76, /* RFC 2045, 6.8: encoded lines are no longer */
	LINE_MAX = 998,	 /* RFC 5322, 2.1.1 */
	WORD_BYTES = 39, /* of text in an encoded word: the line stays within 76 (RFC 2047, 2) */
	BOUNDARY_MAX = 48,
};

static bool is_plain_header_text(struct str s)
{
	/* "=?" would be read as an encoded word; a long word could not be folded. */
	if (!str_is_printable(s) || s.n > LINE_MAX - 100)
		return false;
	for (size_t i = 0; i + 1 < s.n; i++)
		if (s.p[i] == '=' && s.p[i + 1] == '?')
			return false;
	return true;
}

/* The length of the longest start of s, at most `most` bytes, that ends between two UTF-8
 * characters. */
static size_t whole_characters(struct str s, size_t most)
{
	size_t n = s.n < most ? s.n : most;

	while (n > 0 && n < s.n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
		n--;
	return n;
}

static void put_encoded_words(struct buf *out, struct str s)
{
	while (s.n > 0) {
		size_t n = whole_characters(s, WORD_BYTES);

		if (n == 0) /* not UTF-8: cut anywhere */
			n = s.n < WORD_BYTES ? s.n : WORD_BYTES;
		buf_put_text(out, "=?UTF-8?B?");
		encode_base64(out, str_first(s, n));
		buf_put_text(out, "?=");
		s = str_from(s, n);
		if (s.n > 0)
			buf_put_text(out, "\r\n ");
	}
}

static bool has_line_break(struct str s)
{
	return memchr(s.p ? s.p : "", '\r', s.n) != NULL ||
	       memchr(s.p ? s.p : "", '\n', s.n) != NULL ||
	       memchr(s.p ? s.p : "", '\0', s.n) != NULL;
}

static bool put_field(struct buf *out, const char *name, struct str value, struct err *err)
{
	if (has_line_break(value))
		return err_set(err, "%s: a header field cannot hold a line break", name);
	buf_printf(out, "%s: ", name);
	if (is_plain_header_text(value))
		buf_put_str(out, value);
	else
		put_encoded_words(out, value);
	buf_put_text(out, "\r\n");
	return true;
}

bool client_message_address(struct str text, struct str *address)
{
	struct str s = str_trim(text);
	size_t open;

	if (has_line_break(s))
		return false;
	if (str_ends(s, STR(">"))) {
		for (open = s.n; open > 0 && s.p[open - 1] != '<'; open--)
			;
		if (open == 0)
			return false;
		s = str_first(str_from(s, open), s.n - open - 1);
	}
	/* What would end the path or the command early. UTF-8 may stay: SMTPUTF8 is the session's
	 * matter. */
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= ' ' || s.p[i] == '<' || s.p[i] == '>' ||
		    s.p[i] == 0x7f)
			return false;
	*address = s;
	return s.n > 0 && s.n <= 320 && str_find(s, '@') > 0 && str_find(s, '@') < s.n - 1;
}

/* "Zoë <zoe@example.com>": the name as encoded words, the address as it is. */
static bool put_mailbox(struct buf *out, struct str text, struct err *err)
{
	struct str address, name;

	if (!client_message_address(text, &address))
		return err_set(err, "\"%.*s\" is not an address", STR_ARG(text));
	name = str_trim(str_first(text, (size_t)(address.p - text.p)));
	if (str_ends(name, STR("<")))
		name = str_trim(str_first(name, name.n - 1));
	if (has_line_break(name))
		return err_set(err, "an address cannot hold a line break");
	if (name.n == 0)
		return buf_put_str(out, address);
	if (is_plain_header_text(name))
		buf_put_str(out, name);
	else
		put_encoded_words(out, name);
	return buf_printf(out, " <%.*s>", STR_ARG(address));
}

static bool put_mailboxes(struct buf *out, const char *name, const struct client_texts *list,
			  struct err *err)
{
	if (list->n == 0)
		return true;
	buf_printf(out, "%s: ", name);
	for (size_t i = 0; i < list->n; i++) {
		if (i > 0)
			buf_put_text(out, ",\r\n ");
		if (!put_mailbox(out, str_of(list->text[i]), err))
			return false;
	}
	buf_put_text(out, "\r\n");
	return true;
}

/* Further fields replace those that would be made: the names that the caller gave. */
static bool has_field(const struct client_message *m, struct str name)
{
	for (size_t i = 0; i < m->header.n; i++) {
		struct str field = str_of(m->header.text[i]);

		if (str_ieq(str_trim(str_first(field, str_find(field, ':'))), name))
			return true;
	}
	return false;
}

static bool put_further_field(struct buf *out, struct str field, struct err *err)
{
	size_t colon = str_find(field, ':');
	struct str name = str_first(field, colon);
	char text[128];

	if (colon == field.n || colon == 0)
		return err_set(err, "\"%.*s\" is not a header field: write 'Name: value'",
			       STR_ARG(field));
	for (size_t i = 0; i < name.n; i++)
		if ((unsigned char)name.p[i] <= ' ' || (unsigned char)name.p[i] >= 0x7f)
			return err_set(err,
				       "\"%.*s\" is not a header field: its name has a character "
				       "that is not allowed",
				       STR_ARG(field));
	if (!str_copy(name, text, sizeof(text)))
		return err_set(err, "a header field's name is too long");
	return put_field(out, text, str_trim(str_from(field, colon + 1)), err);
}

static void put_date(struct buf *out, int64_t seconds)
{
	static const char days[] = "SunMonTueWedThuFriSat",
			  months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t t = (time_t)seconds;
	struct tm tm;

	/* Not strftime(): the names must not follow the locale. */
	gmtime_r(&t, &tm);
	buf_printf(out, "Date: %.3s, %d %.3s %d %02d:%02d:%02d +0000\r\n", days + 3 * tm.tm_wday,
		   tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
		   tm.tm_sec);
}

static void put_boundary(char *boundary)
{
	uint64_t r[2];

	random_fill(r, sizeof(r));
	/* "=_" cannot occur in base64 nor quoted-printable text (RFC 2045, 6.7). */
	snprintf(boundary, BOUNDARY_MAX, "=_%016llx%016llx", (unsigned long long)r[0],
		 (unsigned long long)r[1]);
}

static void put_base64_lines(struct buf *out, struct str bytes)
{
	for (; bytes.n > 0; bytes = str_from(bytes, LINE_WIDTH / 4 * 3)) {
		encode_base64(out, str_first(bytes, LINE_WIDTH / 4 * 3));
		buf_put_text(out, "\r\n");
	}
}

/* Can go as it is: ASCII, no bare CR or NUL, lines of a length that every server takes. */
static bool is_7bit(struct str s)
{
	size_t line = 0;

	if (!str_is_ascii(s))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\0' || (s.p[i] == '\r' && (i + 1 == s.n || s.p[i + 1] != '\n')))
			return false;
		line = s.p[i] == '\n' ? 0 : line + 1;
		if (line > LINE_MAX)
			return false;
	}
	return true;
}

static void put_lines(struct buf *out, struct str s)
{
	struct str line;

	while (str_next(&s, '\n', &line)) {
		if (s.p == NULL && line.n == 0)
			break; /* it ended with a line break */
		if (str_ends(line, STR("\r")))
			line.n--;
		buf_put_str(out, line);
		buf_put_text(out, "\r\n");
	}
}

static void put_text_part(struct buf *out, const char *subtype, struct str text)
{
	if (is_7bit(text)) {
		buf_printf(out, "Content-Type: text/%s; charset=us-ascii\r\n\r\n", subtype);
		put_lines(out, text);
		return;
	}
	buf_printf(out,
		   "Content-Type: text/%s; charset=%s\r\nContent-Transfer-Encoding: base64\r\n\r\n",
		   subtype, str_is_utf8(text) ? "utf-8" : "iso-8859-1");
	put_base64_lines(out, text);
}

static void put_file_name(struct buf *out, const char *parameter, struct str name)
{
	bool is_simple = str_is_printable(name) && name.n <= 60;

	if (is_simple) {
		buf_printf(out, ";\r\n %s=\"", parameter);
		for (size_t i = 0; i < name.n; i++) {
			if (name.p[i] == '"' || name.p[i] == '\\')
				buf_put_char(out, '\\');
			buf_put_char(out, name.p[i]);
		}
		buf_put_char(out, '"');
		return;
	}
	/* RFC 2231: in pieces of at most 16 bytes, so that no line gets too long. */
	for (unsigned piece = 0; name.n > 0; piece++) {
		size_t n = name.n < 16 ? name.n : 16;

		buf_printf(out, ";\r\n %s*%u*=%s", parameter, piece, piece == 0 ? "UTF-8''" : "");
		for (size_t i = 0; i < n; i++)
			buf_printf(out, "%%%02X", (unsigned char)name.p[i]);
		name = str_from(name, n);
	}
}

static bool put_attachment(struct buf *out, const struct client_attachment *a, struct err *err)
{
	if (!str_is_printable(str_of(a->type)) || a->type[0] == '\0')
		return err_set(err, "%s: \"%s\" is not a media type", a->name, a->type);
	buf_printf(out, "Content-Type: %s\r\nContent-Disposition: attachment", a->type);
	put_file_name(out, "filename", str_of(a->name));
	buf_put_text(out, "\r\nContent-Transfer-Encoding: base64\r\n\r\n");
	put_base64_lines(out, a->bytes);
	return true;
}

static void put_content(struct buf *out, const struct client_message *m)
{
	char boundary[BOUNDARY_MAX];

	if (m->text == NULL || m->html == NULL) {
		put_text_part(out, m->html ? "html" : "plain", str_of(m->html ? m->html : m->text));
		return;
	}
	put_boundary(boundary);
	buf_printf(out, "Content-Type: multipart/alternative; boundary=\"%s\"\r\n\r\n--%s\r\n",
		   boundary, boundary);
	put_text_part(out, "plain", str_of(m->text));
	buf_printf(out, "\r\n--%s\r\n", boundary);
	put_text_part(out, "html", str_of(m->html));
	buf_printf(out, "\r\n--%s--\r\n", boundary);
}

static bool put_header(struct buf *out, const struct client_message *m, struct err *err)
{
	bool ok = true;

	if (!has_field(m, STR("From"))) {
		buf_put_text(out, "From: ");
		ok = put_mailbox(out, str_of(m->from), err);
		buf_put_text(out, "\r\n");
	}
	if (!has_field(m, STR("To")))
		ok = ok && put_mailboxes(out, "To", &m->to, err);
	ok = ok && put_mailboxes(out, "Cc", &m->cc, err);
	if (m->subject != NULL && !has_field(m, STR("Subject")))
		ok = ok && put_field(out, "Subject", str_of(m->subject), err);
	if (!has_field(m, STR("Date")))
		put_date(out, m->date);
	if (!has_field(m, STR("Message-ID")))
		buf_printf(out, "Message-ID: <%s>\r\n", m->id);
	for (size_t i = 0; ok && i < m->header.n; i++)
		ok = put_further_field(out, str_of(m->header.text[i]), err);
	buf_put_text(out, "MIME-Version: 1.0\r\n");
	return ok;
}

bool client_message_build(const struct client_message *m, struct buf *out, struct err *err)
{
	char boundary[BOUNDARY_MAX];

	if (!put_header(out, m, err))
		return false;
	if (m->n_attachments == 0) {
		put_content(out, m);
	} else {
		put_boundary(boundary);
		buf_printf(out, "Content-Type: multipart/mixed; boundary=\"%s\"\r\n\r\n--%s\r\n",
			   boundary, boundary);
		put_content(out, m);
		for (size_t i = 0; i < m->n_attachments; i++) {
			buf_printf(out, "\r\n--%s\r\n", boundary);
			if (!put_attachment(out, &m->attachments[i], err))
				return false;
		}
		buf_printf(out, "\r\n--%s--\r\n", boundary);
	}
	return out->is_full
		       ? err_set(err, "the message is larger than %d MiB", CLIENT_MESSAGE_MAX >> 20)
		       : true;
}

const char *client_message_type(const char *file_name)
{
	static const struct {
		const char *ending, *type;
	} types[] = {
		{".txt", "text/plain"},	     {".html", "text/html"},
		{".htm", "text/html"},	     {".csv", "text/csv"},
		{".ics", "text/calendar"},   {".pdf", "application/pdf"},
		{".png", "image/png"},	     {".jpg", "image/jpeg"},
		{".jpeg", "image/jpeg"},     {".gif", "image/gif"},
		{".svg", "image/svg+xml"},   {".zip", "application/zip"},
		{".gz", "application/gzip"}, {".json", "application/json"},
		{".xml", "application/xml"},
	};
	struct str name = str_of(file_name);

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct str ending = str_of(types[i].ending);

		if (name.n > ending.n && str_ieq(str_from(name, name.n - ending.n), ending))
			return types[i].type;
	}
	return "application/octet-stream";
}
