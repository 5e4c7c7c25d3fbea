/* SPDX-License-Identifier: Apache-2.0
 *
 * Pure, and linear in the length of the value.
 */
#include "deliver/mime_words.h"

#include "lib/base/encode.h"

enum { WORD_MAX = 58 }; /* an encoded word this long has no room for another character (RFC 2047, 2: 75) */

struct word {
	struct str charset, text;
	size_t length; /* with =? and ?= */
};

/* A base64 word at the begin of `s`. */
static bool read_word(struct str s, struct word *word)
{
	size_t charset, text;

	if (!str_starts(s, STR("=?")))
		return false;
	charset = str_find(str_from(s, 2), '?');
	if (charset == 0 || !str_istarts(str_from(s, 2 + charset), STR("?b?")))
		return false;
	text = str_find(str_from(s, charset + 5), '?');
	word->charset = str_first(str_from(s, 2), charset);
	word->text = str_first(str_from(s, charset + 5), text);
	word->length = charset + 5 + text + 2;
	return str_find(word->charset, ' ') == charset && str_find(word->text, ' ') == text &&
	       str_starts(str_from(s, charset + 5 + text), STR("?="));
}

static size_t blanks(struct str s)
{
	size_t n = 0;

	while (n < s.n && (s.p[n] == ' ' || s.p[n] == '\t' || s.p[n] == '\r' || s.p[n] == '\n'))
		n++;
	return n;
}

/* Appends the octets of the run that `first` begins, and returns its length; 0 when there is no second word to join. */
static size_t read_run(struct str s, const struct word *first, struct buf *octets)
{
	size_t at = first->length, n = 1;
	struct word next;

	if (!encode_from_base64(octets, first->text))
		return 0;
	for (;;) {
		size_t gap = blanks(str_from(s, at));

		if (!read_word(str_from(s, at + gap), &next) || !str_ieq(next.charset, first->charset) ||
		    !encode_from_base64(octets, next.text))
			break;
		at += gap + next.length;
		n++;
	}
	return n > 1 ? at : 0;
}

struct str mime_words_join(struct str value, struct buf *out)
{
	size_t done = 0, at = 0;

	while (at + 1 < value.n) {
		struct str rest = str_from(value, at);
		struct buf octets = BUF_MAX(out->max);
		size_t n = 0;
		struct word word;

		if (read_word(rest, &word)) {
			n = read_run(rest, &word, &octets);
			if (n == 0)
				at += word.length;
		} else {
			at++;
		}
		if (n > 0) {
			buf_put_str(out, str_first(str_from(value, done), at - done));
			buf_printf(out, "=?%.*s?B?", STR_ARG(word.charset));
			encode_base64(out, buf_str(&octets));
			buf_put_text(out, "?=");
			at += n;
			done = at;
		}
		buf_clear(&octets);
	}
	if (done == 0 || out->is_full)
		return value;
	buf_put_str(out, str_from(value, done));
	return out->is_full ? value : buf_str(out);
}

void mime_words_put(struct buf *out, struct str text, const char *between)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t begun = out->n;

	buf_put_text(out, "=?utf-8?q?");
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c == '\r' || c == '\n')
			continue;
		if (out->n - begun > WORD_MAX && (c & 0xc0) != 0x80) {
			buf_printf(out, "?=%s", between);
			begun = out->n;
			buf_put_text(out, "=?utf-8?q?");
		}
		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) {
			buf_put_char(out, (char)c);
		} else if (c == ' ' || c == '\t') {
			buf_put_char(out, '_');
		} else {
			buf_put_char(out, '=');
			buf_put_char(out, hex[c >> 4]);
			buf_put_char(out, hex[c & 15]);
		}
	}
	buf_put_text(out, "?=");
}
