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

/* The value of a base64 digit, or -1. */
static int digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

bool encode_from_base64(struct buf *out, struct str text)
{
	if (text.n % 4 != 0)
		return false;
	for (size_t i = 0; i < text.n; i += 4) {
		bool is_last = i + 4 == text.n;
		size_t digits = 4;
		uint32_t group = 0;

		if (is_last && text.p[i + 3] == '=')
			digits = text.p[i + 2] == '=' ? 2 : 3;
		for (size_t k = 0; k < 4; k++) {
			int v = k < digits ? digit_value(text.p[i + k]) : 0;

			if (v < 0)
				return false;
			group = group << 6 | (uint32_t)v;
		}
		/* Bits that the padding leaves over must be zero, or two texts would mean the same. */
		if ((digits == 2 && (group & 0xffff)) || (digits == 3 && (group & 0xff)))
			return false;
		for (size_t k = 0; k + 1 < digits; k++)
			if (!buf_put_char(out, (char)(group >> (16 - 8 * k))))
				return false;
	}
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
