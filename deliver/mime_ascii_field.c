/* SPDX-License-Identifier: Apache-2.0
 *
 * Encodes what must be in header fields, by their kind: words and comments as encoded words (RFC 2047), parameters by
 * RFC 2231, URLs with percents. Pure; called by mime_ascii.c.
 */
#include "deliver/mime_ascii_field.h"

#include <string.h>

#include "deliver/mime_charset.h"
#include "deliver/mime_words.h"
#include "lib/base/encode.h"

enum { VALUE_MAX = 1 << 20 };

enum kind {
	TEXT,	    /* RFC 5322, 3.2.5, and every field that is not known */
	ADDRESSES,
	PARAMETERS, /* Content-Type, Content-Disposition */
	URLS,	    /* in < > */
	FIXED,	    /* nothing can be encoded */
	TRACE,	    /* for people who look for trouble: what cannot stand there becomes a question mark */
};

static enum kind kind_of(struct str name)
{
	static const struct {
		const char *name;
		enum kind kind;
	} kinds[] = {
		{"from", ADDRESSES}, {"to", ADDRESSES}, {"cc", ADDRESSES}, {"reply-to", ADDRESSES}, {"sender", ADDRESSES},
		{"resent-from", ADDRESSES}, {"resent-to", ADDRESSES}, {"resent-cc", ADDRESSES}, {"resent-sender", ADDRESSES},
		{"disposition-notification-to", ADDRESSES}, {"errors-to", ADDRESSES}, {"mail-followup-to", ADDRESSES},
		{"content-type", PARAMETERS}, {"content-disposition", PARAMETERS},
		{"list-unsubscribe", URLS}, {"list-subscribe", URLS}, {"list-help", URLS}, {"list-post", URLS}, {"list-owner", URLS},
		{"list-archive", URLS}, {"archived-at", URLS},
		{"message-id", FIXED}, {"in-reply-to", FIXED}, {"references", FIXED}, {"content-id", FIXED}, {"resent-message-id", FIXED},
		{"content-transfer-encoding", FIXED}, {"list-unsubscribe-post", FIXED},
		{"received", TRACE}, {"return-path", TRACE}, {"delivered-to", TRACE}, {"date", TRACE}, {"mime-version", TRACE},
		{"dkim-signature", TRACE}, {"authentication-results", TRACE}, {"received-spf", TRACE}, {"arc-seal", TRACE},
		{"arc-message-signature", TRACE}, {"arc-authentication-results", TRACE}, {"content-location", TRACE},
		{"domainkey-signature", TRACE},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (str_ieq(name, str_of(kinds[i].name)))
			return kinds[i].kind;
	return TEXT;
}

bool mime_ascii_field_needs(struct str text, struct str hidden)
{
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] >= 0x80 || text.p[i] == '\0')
			return true;
	return hidden.n > 0 && text.n > 0 && memmem(text.p, text.n, hidden.p, hidden.n) != NULL;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The length of the run of blanks, or of others, at the front. */
static size_t run_length(struct str text, bool blank)
{
	size_t n = 0;

	while (n < text.n && is_blank(text.p[n]) == blank)
		n++;
	return n;
}

static bool is_encoded_word(struct str word)
{
	return word.n > 6 && str_starts(word, STR("=?")) && str_ends(word, STR("?="));
}

/* Words that need it, and the blanks between them, become encoded words; others stay. */
static void put_text(struct buf *out, struct str text, struct str hidden)
{
	bool after_word = false; /* what stands before the blanks is an encoded word */

	while (text.n > 0) {
		size_t blanks = run_length(text, true), n = blanks + run_length(str_from(text, blanks), false);
		struct str word = str_from(str_first(text, n), blanks);

		if (!mime_ascii_field_needs(word, hidden)) {
			buf_put_str(out, str_first(text, n));
			after_word = is_encoded_word(word);
			text = str_from(text, n);
			continue;
		}
		/* As far as the words need it, or are encoded already: the blanks before those must not be lost. */
		for (;;) {
			struct str rest = str_from(text, n);
			size_t more = run_length(rest, true), end = more + run_length(str_from(rest, more), false);
			struct str next = str_from(str_first(rest, end), more);

			if (next.n > 0 && mime_ascii_field_needs(next, hidden)) {
				n += end;
			} else {
				if (is_encoded_word(next))
					n += more;
				break;
			}
		}
		buf_put_str(out, after_word ? STR(" ") : str_first(text, blanks));
		mime_words_put(out, after_word ? str_first(text, n) : str_from(str_first(text, n), blanks), "\r\n ");
		if (n < text.n && !is_blank(text.p[n]))
			buf_put_char(out, ' ');
		after_word = true;
		text = str_from(text, n);
	}
}

/* ---- addresses ---- */

/* The length of the quoted string, comment or angle-bracketed address at the front, to its end or the text's. */
static size_t closed_length(struct str text)
{
	char open = text.p[0], close = open == '(' ? ')' : open == '<' ? '>' : '"';
	unsigned depth = 0;

	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '\\' && open != '<')
			i++;
		else if (text.p[i] == open && (open == '(' || i == 0))
			depth++;
		else if (text.p[i] == close && i > 0 && --depth == 0)
			return i + 1;
	}
	return text.n;
}

/* Without the quotes and backslashes. */
static void unquote(struct buf *out, struct str quoted)
{
	for (size_t i = 1; i < quoted.n; i++) {
		if (quoted.p[i] == '\\' && i + 1 < quoted.n)
			i++;
		else if (quoted.p[i] == '"')
			break;
		buf_put_char(out, quoted.p[i]);
	}
}

static bool put_quoted(struct buf *out, struct str quoted, struct str behind, struct str hidden)
{
	struct buf inner = BUF_MAX(VALUE_MAX);

	if (!mime_ascii_field_needs(quoted, hidden)) {
		buf_put_str(out, quoted);
		return true;
	}
	if (str_starts(behind, STR("@")))
		return false;
	unquote(&inner, quoted);
	/* An encoded word beside another word needs a blank between them; between two the blank is lost. */
	mime_words_put(out, buf_str(&inner), "\r\n ");
	if (behind.n > 0 && !is_blank(behind.p[0]) && behind.p[0] != ',' && behind.p[0] != ';' && behind.p[0] != ':')
		buf_put_char(out, ' ');
	buf_clear(&inner);
	return true;
}

static void put_comment(struct buf *out, struct str comment, struct str hidden)
{
	struct str inner = str_from(comment, 1);

	if (!mime_ascii_field_needs(comment, hidden)) {
		buf_put_str(out, comment);
		return;
	}
	if (str_ends(inner, STR(")")))
		inner.n--;
	buf_put_char(out, '(');
	mime_words_put(out, inner, "\r\n ");
	buf_put_char(out, ')');
}

/* A phrase's atoms, or an address without < >, up to what is of another kind. */
static size_t atoms_length(struct str text)
{
	size_t n = 0;

	while (n < text.n && strchr("\"(<,;:", text.p[n]) == NULL)
		n++;
	while (n < text.n && text.p[n] == '\0') /* strchr finds it */
		n++;
	return n > 0 ? n : 1;
}

static enum mime_ascii_field_result put_addresses(struct buf *out, struct str text, struct str hidden)
{
	while (text.n > 0) {
		char c = text.p[0];
		size_t n = c == '"' || c == '(' || c == '<' ? closed_length(text) : atoms_length(text);
		struct str piece = str_first(text, n);

		text = str_from(text, n);
		if (c == '"') {
			if (!put_quoted(out, piece, text, hidden))
				return MIME_ASCII_FIELD_ADDRESS;
		} else if (c == '(') {
			put_comment(out, piece, hidden);
		} else if (!mime_ascii_field_needs(piece, hidden)) {
			buf_put_str(out, piece);
		} else if (c == '<' || str_find(piece, '@') < piece.n) {
			return MIME_ASCII_FIELD_ADDRESS;
		} else {
			put_text(out, piece, hidden);
			if ((str_starts(text, STR("<")) || str_starts(text, STR("("))) && !is_blank(piece.p[piece.n - 1]))
				buf_put_char(out, ' ');
		}
	}
	return MIME_ASCII_FIELD_OK;
}

/* ---- parameters ---- */

/* name*=utf-8''value (RFC 2231, 4) */
static enum mime_ascii_field_result put_parameter(struct buf *out, struct str piece, struct str hidden)
{
	struct str name = str_trim_folded(str_first(piece, str_find(piece, '=')));
	struct str value = str_trim_folded(str_from(piece, str_find(piece, '=') + 1));
	struct buf plain = BUF_MAX(VALUE_MAX);

	if (str_find(piece, '=') == piece.n || mime_ascii_field_needs(name, hidden) || str_ieq(name, STR("boundary")) ||
	    str_find(name, '*') < name.n)
		return MIME_ASCII_FIELD_FIXED;
	if (str_starts(value, STR("\"")))
		unquote(&plain, value);
	else
		buf_put_str(&plain, value);
	buf_put_text(out, "\r\n ");
	buf_put_str(out, name);
	buf_put_text(out, "*=utf-8''");
	encode_percent(out, buf_str(&plain), "._-");
	buf_clear(&plain);
	return MIME_ASCII_FIELD_OK;
}

/* The length of what stands before the next ; that is in no quotes. */
static size_t parameter_length(struct str text)
{
	size_t n = 0;

	while (n < text.n && text.p[n] != ';')
		n += text.p[n] == '"' ? closed_length(str_from(text, n)) : 1;
	return n;
}

static enum mime_ascii_field_result put_parameters(struct buf *out, struct str text, struct str hidden)
{
	enum mime_ascii_field_result result = MIME_ASCII_FIELD_OK;
	bool is_first = true;

	while (text.n > 0 && result == MIME_ASCII_FIELD_OK) {
		struct str piece = str_first(text, parameter_length(text));

		text = str_from(text, piece.n + 1);
		if (!is_first)
			buf_put_char(out, ';');
		if (!mime_ascii_field_needs(piece, hidden))
			buf_put_str(out, piece);
		else if (is_first)
			result = MIME_ASCII_FIELD_FIXED;
		else
			result = put_parameter(out, piece, hidden);
		is_first = false;
	}
	return result;
}

/* ---- others ---- */

static void put_urls(struct buf *out, struct str text, struct str hidden)
{
	for (size_t i = 0; i < text.n; i++) {
		bool is_hidden = hidden.n > 0 && memchr(hidden.p, text.p[i], hidden.n) != NULL;

		if (is_hidden || (unsigned char)text.p[i] >= 0x80 || text.p[i] == '\0')
			encode_percent(out, str_bytes(text.p + i, 1), "");
		else
			buf_put_char(out, text.p[i]);
	}
}

static void put_trace(struct buf *out, struct str text, struct str hidden)
{
	for (size_t i = 0; i < text.n; i++) {
		bool is_hidden = hidden.n > 0 && str_starts(str_from(text, i), hidden);

		buf_put_char(out, is_hidden || (unsigned char)text.p[i] >= 0x80 || text.p[i] == '\0' ? '?' : text.p[i]);
	}
}

enum mime_ascii_field_result mime_ascii_field(struct str name, struct str value, struct str hidden, struct buf *out)
{
	enum mime_ascii_field_result result = MIME_ASCII_FIELD_OK;
	struct buf converted = BUF_MAX(VALUE_MAX);
	struct str text = mime_charset_to_utf8(value, STR(""), &converted, NULL);

	buf_put_str(out, name);
	buf_put_char(out, ':');
	if (!is_blank(text.n > 0 ? text.p[0] : ' '))
		buf_put_char(out, ' ');
	switch (kind_of(name)) {
	case TEXT:
		put_text(out, text, hidden);
		break;
	case ADDRESSES:
		result = put_addresses(out, text, hidden);
		break;
	case PARAMETERS:
		result = put_parameters(out, text, hidden);
		break;
	case URLS:
		put_urls(out, text, hidden);
		break;
	case FIXED:
		result = MIME_ASCII_FIELD_FIXED;
		break;
	case TRACE:
		put_trace(out, text, hidden);
		break;
	}
	buf_put_text(out, "\r\n");
	buf_clear(&converted);
	return result;
}
