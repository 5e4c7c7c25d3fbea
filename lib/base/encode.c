/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes to text and back. Pure.
 */
#include "lib/base/encode.h"

#include <string.h>

#define LETTERS_AND_FIGURES "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static const char base64_digits[] = LETTERS_AND_FIGURES "+/", base64url_digits[] = LETTERS_AND_FIGURES "-_";

static void put_group(char *to, const unsigned char *p, size_t octets, const char *digits)
{
	uint32_t group = (uint32_t)p[0] << 16 | (octets > 1 ? (uint32_t)p[1] << 8 : 0) | (octets > 2 ? p[2] : 0);

	for (size_t k = 0; k <= octets; k++)
		to[k] = digits[group >> (18 - 6 * k) & 63];
}

bool encode_base64(struct buf *out, struct str bytes)
{
	const unsigned char *p = (const unsigned char *)bytes.p;
	size_t n = (bytes.n + 2) / 3 * 4, rest = bytes.n % 3;
	char *to = buf_room(out, n);

	if (to == NULL)
		return false;
	for (size_t i = 0; i + 3 <= bytes.n; i += 3)
		put_group(to + i / 3 * 4, p + i, 3, base64_digits);
	if (rest > 0) {
		memcpy(to + n - 4, "====", 4);
		put_group(to + n - 4, p + bytes.n - rest, rest, base64_digits);
	}
	buf_added(out, n);
	return true;
}

bool encode_base64url(struct buf *out, struct str bytes)
{
	const unsigned char *p = (const unsigned char *)bytes.p;
	size_t rest = bytes.n % 3, n = bytes.n / 3 * 4 + (rest > 0 ? rest + 1 : 0);
	char *to = buf_room(out, n);

	if (to == NULL)
		return false;
	for (size_t i = 0; i < bytes.n; i += 3)
		put_group(to + i / 3 * 4, p + i, bytes.n - i < 3 ? rest : 3, base64url_digits);
	buf_added(out, n);
	return true;
}

/* The value of a digit and 1; 0: it is none. A table, for a comparison of random digits is guessed wrong half the time. */
#define VALUES \
	['A'] = 1,  ['B'] = 2,	['C'] = 3,  ['D'] = 4,	['E'] = 5,  ['F'] = 6,	['G'] = 7,  ['H'] = 8,	['I'] = 9, \
	['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16, ['Q'] = 17, ['R'] = 18, \
	['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24, ['Y'] = 25, ['Z'] = 26, ['a'] = 27, \
	['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, \
	['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, \
	['t'] = 46, ['u'] = 47, ['v'] = 48, ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, \
	['2'] = 55, ['3'] = 56, ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62

static const unsigned char base64_values[256] = {VALUES, ['+'] = 63, ['/'] = 64};
static const unsigned char base64url_values[256] = {VALUES, ['-'] = 63, ['_'] = 64};

/* `digits` digits of a group as 24 bits; false: one of them is none. */
static bool take_group(const char *p, size_t digits, const unsigned char *values, uint32_t *group)
{
	unsigned char v[4] = {1, 1, 1, 1};

	for (size_t k = 0; k < digits; k++)
		v[k] = values[(unsigned char)p[k]];
	*group = (uint32_t)(v[0] - 1) << 18 | (uint32_t)(v[1] - 1) << 12 | (uint32_t)(v[2] - 1) << 6 | (uint32_t)(v[3] - 1);
	return v[0] != 0 && v[1] != 0 && v[2] != 0 && v[3] != 0;
}

/* Digits alone; the last group may have two or three. */
static bool decode(struct buf *out, struct str text, const unsigned char *values)
{
	size_t rest = text.n % 4, n = text.n / 4 * 3 + (rest > 0 ? rest - 1 : 0);
	uint32_t group = 0;
	char *to;

	if (rest == 1)
		return false;
	to = buf_room(out, n);
	if (to == NULL)
		return false;
	for (size_t i = 0; i < text.n; i += 4) {
		size_t digits = text.n - i < 4 ? rest : 4;

		if (!take_group(text.p + i, digits, values, &group))
			return false;
		for (size_t k = 0; k + 1 < digits; k++)
			*to++ = (char)(group >> (16 - 8 * k));
	}
	/* Bits that are left over must be zero, or two texts would mean the same. */
	if ((rest == 2 && (group & 0xffff)) || (rest == 3 && (group & 0xff)))
		return false;
	buf_added(out, n);
	return true;
}

bool encode_from_base64(struct buf *out, struct str text)
{
	size_t pad = (text.n >= 4 && text.p[text.n - 1] == '=') + (text.n >= 4 && str_ends(text, STR("==")));

	return text.n % 4 == 0 && decode(out, str_first(text, text.n - pad), base64_values);
}

bool encode_from_base64url(struct buf *out, struct str text)
{
	return decode(out, text, base64url_values);
}

bool encode_hex(struct buf *out, struct str bytes)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < bytes.n; i++) {
		unsigned char c = (unsigned char)bytes.p[i];

		if (!buf_put_char(out, digits[c >> 4]) || !buf_put_char(out, digits[c & 15]))
			return false;
	}
	return true;
}

int encode_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool encode_percent(struct buf *out, struct str bytes, const char *kept)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < bytes.n; i++) {
		unsigned char c = (unsigned char)bytes.p[i];

		if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		    (c != '\0' && strchr(kept, c) != NULL)) {
			buf_put_char(out, (char)c);
		} else {
			buf_put_char(out, '%');
			buf_put_char(out, digits[c >> 4]);
			buf_put_char(out, digits[c & 15]);
		}
	}
	return !out->is_full;
}
