/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes to text and back. Pure.
 */
#include "lib/base/encode.h"

#include <string.h>

static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool encode_base64(struct buf *out, struct str bytes)
{
	const unsigned char *p = (const unsigned char *)bytes.p;
	size_t n = (bytes.n + 2) / 3 * 4;
	char *to = buf_room(out, n);

	if (to == NULL)
		return false;
	for (size_t i = 0; i < bytes.n; i += 3, to += 4) {
		size_t left = bytes.n - i;
		uint32_t group = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
				 (left > 2 ? p[i + 2] : 0);

		to[0] = base64_digits[group >> 18];
		to[1] = base64_digits[group >> 12 & 63];
		to[2] = left > 1 ? base64_digits[group >> 6 & 63] : '=';
		to[3] = left > 2 ? base64_digits[group & 63] : '=';
	}
	buf_added(out, n);
	return true;
}

/* The value of a base64 digit and 1; 0: it is none. A table, for a comparison of random digits is guessed wrong half the time. */
static const unsigned char digit_values[256] = {
	['A'] = 1,  ['B'] = 2,	['C'] = 3,  ['D'] = 4,	['E'] = 5,  ['F'] = 6,	['G'] = 7,  ['H'] = 8,	['I'] = 9,
	['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16, ['Q'] = 17, ['R'] = 18,
	['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24, ['Y'] = 25, ['Z'] = 26, ['a'] = 27,
	['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36,
	['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45,
	['t'] = 46, ['u'] = 47, ['v'] = 48, ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54,
	['2'] = 55, ['3'] = 56, ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63,
	['/'] = 64,
};

/* `digits` digits of a group as 24 bits; false: one of them is none. */
static bool take_group(const char *p, size_t digits, uint32_t *group)
{
	unsigned char v[4] = {1, 1, 1, 1};

	for (size_t k = 0; k < digits; k++)
		v[k] = digit_values[(unsigned char)p[k]];
	*group = (uint32_t)(v[0] - 1) << 18 | (uint32_t)(v[1] - 1) << 12 | (uint32_t)(v[2] - 1) << 6 | (uint32_t)(v[3] - 1);
	return v[0] != 0 && v[1] != 0 && v[2] != 0 && v[3] != 0;
}

bool encode_from_base64(struct buf *out, struct str text)
{
	size_t pad = (text.n >= 4 && text.p[text.n - 1] == '=') + (text.n >= 4 && str_ends(text, STR("=="))), n;
	uint32_t group = 0;
	char *to;

	if (text.n % 4 != 0)
		return false;
	n = text.n / 4 * 3 - pad;
	to = buf_room(out, n);
	if (to == NULL)
		return false;
	for (size_t i = 0; i < text.n; i += 4) {
		size_t octets = i + 4 == text.n ? 3 - pad : 3;

		if (!take_group(text.p + i, octets + 1, &group))
			return false;
		for (size_t k = 0; k < octets; k++)
			*to++ = (char)(group >> (16 - 8 * k));
	}
	/* Bits that the padding leaves over must be zero, or two texts would mean the same. */
	if ((pad == 2 && (group & 0xffff)) || (pad == 1 && (group & 0xff)))
		return false;
	buf_added(out, n);
	return true;
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
