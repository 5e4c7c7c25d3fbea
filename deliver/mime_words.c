/* SPDX-License-Identifier: Apache-2.0
 *
 * Pure, and linear in the length of the value.
 */
#include "deliver/mime_words.h"

#include "lib/base/encode.h"

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
