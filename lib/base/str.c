/* SPDX-License-Identifier: Apache-2.0
 *
 * Comparing, cutting and reading borrowed text. Pure.
 */
#include "lib/base/str.h"

#include <strings.h>

#include "lib/base/mem.h"

struct str str_of(const char *text)
{
	return (struct str){text, text == NULL ? 0 : strlen(text)};
}

struct str str_bytes(const void *p, size_t n)
{
	return (struct str){p, n};
}

bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static unsigned char lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : c;
}

bool str_ieq(struct str a, struct str b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (lower((unsigned char)a.p[i]) != lower((unsigned char)b.p[i]))
			return false;
	return true;
}

bool str_starts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && str_eq(str_first(s, prefix.n), prefix);
}

bool str_istarts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && str_ieq(str_first(s, prefix.n), prefix);
}

bool str_ends(struct str s, struct str suffix)
{
	return s.n >= suffix.n && str_eq(str_from(s, s.n - suffix.n), suffix);
}

size_t str_find(struct str s, char c)
{
	const char *at = s.n == 0 ? NULL : memchr(s.p, c, s.n);

	return at == NULL ? s.n : (size_t)(at - s.p);
}

static struct str trim(struct str s, struct str blanks)
{
	while (s.n > 0 && str_find(blanks, s.p[0]) < blanks.n)
		s = str_from(s, 1);
	while (s.n > 0 && str_find(blanks, s.p[s.n - 1]) < blanks.n)
		s.n--;
	return s;
}

struct str str_trim(struct str s)
{
	return trim(s, STR(" \t"));
}

struct str str_trim_folded(struct str s)
{
	return trim(s, STR(" \t\r\n"));
}

struct str str_from(struct str s, size_t from)
{
	if (from >= s.n)
		return (struct str){s.p == NULL ? NULL : s.p + s.n, 0};
	return (struct str){s.p + from, s.n - from};
}

struct str str_first(struct str s, size_t n)
{
	return (struct str){s.p, n < s.n ? n : s.n};
}

bool str_next(struct str *rest, char separator, struct str *part)
{
	size_t at;

	if (rest->p == NULL)
		return false;
	at = str_find(*rest, separator);
	*part = str_first(*rest, at);
	if (at == rest->n)
		*rest = (struct str){NULL, 0};
	else
		*rest = str_from(*rest, at + 1);
	return true;
}

bool str_u64(struct str s, uint64_t min, uint64_t max, uint64_t *value)
{
	uint64_t v = 0;

	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
			return false;
	}
	if (v < min || v > max)
		return false;
	*value = v;
	return true;
}

bool str_is_printable(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < ' ' || s.p[i] > '~')
			return false;
	return true;
}

/* How many octets from `i` on are ASCII; eight at a time, for bodies are asked about too. */
static size_t ascii_run(struct str s, size_t i)
{
	size_t from = i;
	uint64_t word;

	for (; s.n - i >= sizeof(word); i += sizeof(word)) {
		memcpy(&word, s.p + i, sizeof(word));
		if ((word & UINT64_C(0x8080808080808080)) != 0)
			break;
	}
	while (i < s.n && (unsigned char)s.p[i] < 0x80)
		i++;
	return i - from;
}

bool str_is_ascii(struct str s)
{
	return ascii_run(s, 0) == s.n;
}

/* How many continuation bytes follow `lead`, and between which bounds the first of them lies: the
 * bounds rule out overlong forms, surrogates and what lies past U+10FFFF. False: not a lead byte. */
static bool utf8_lead(unsigned char lead, size_t *more, unsigned char *low, unsigned char *high)
{
	*low = 0x80;
	*high = 0xBF;
	if (lead >= 0xC2 && lead <= 0xDF) {
		*more = 1;
	} else if (lead >= 0xE0 && lead <= 0xEF) {
		*more = 2;
		if (lead == 0xE0)
			*low = 0xA0;
		if (lead == 0xED)
			*high = 0x9F;
	} else if (lead >= 0xF0 && lead <= 0xF4) {
		*more = 3;
		if (lead == 0xF0)
			*low = 0x90;
		if (lead == 0xF4)
			*high = 0x8F;
	} else {
		return false;
	}
	return true;
}

bool str_is_utf8(struct str s)
{
	for (size_t i = ascii_run(s, 0); i < s.n; i += 1 + ascii_run(s, i + 1)) {
		unsigned char c = (unsigned char)s.p[i], low, high;
		size_t more;

		if (!utf8_lead(c, &more, &low, &high) || s.n - i - 1 < more)
			return false;
		for (; more > 0; more--) {
			c = (unsigned char)s.p[++i];
			if (c < low || c > high)
				return false;
			low = 0x80;
			high = 0xBF;
		}
	}
	return true;
}

char *str_dup(struct str s)
{
	return mem_copy(s.p, s.n);
}

bool str_copy(struct str s, char *out, size_t size)
{
	if (s.n >= size || str_find(s, '\0') != s.n) {
		if (size > 0)
			out[0] = '\0';
		return false;
	}
	if (s.n > 0)
		memcpy(out, s.p, s.n);
	out[s.n] = '\0';
	return true;
}
