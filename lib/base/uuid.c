/* SPDX-License-Identifier: Apache-2.0
 *
 * Making, printing and reading UUIDs.
 */
#include "lib/base/uuid.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/encode.h"
#include "lib/base/random.h"

struct uuid uuid_new(int64_t wall)
{
	uint64_t ms = (uint64_t)(wall / 1000);
	struct uuid u;

	random_fill(u.b, sizeof(u.b));
	for (size_t i = 0; i < 6; i++)
		u.b[i] = (unsigned char)(ms >> (8 * (5 - i)));
	u.b[6] = (unsigned char)(0x70 | (u.b[6] & 0x0f));
	u.b[8] = (unsigned char)(0x80 | (u.b[8] & 0x3f));
	return u;
}

int64_t uuid_time_ms(const struct uuid *u)
{
	int64_t ms = 0;

	for (size_t i = 0; i < 6; i++)
		ms = ms << 8 | u->b[i];
	return ms;
}

bool uuid_is_v7(const struct uuid *u)
{
	return (u->b[6] & 0xf0) == 0x70 && (u->b[8] & 0xc0) == 0x80;
}

bool uuid_eq(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

bool uuid_is_zero(const struct uuid *u)
{
	static const struct uuid zero;

	return uuid_eq(u, &zero);
}

char *uuid_format(const struct uuid *u, char *out)
{
	static const char digits[] = "0123456789abcdef";
	char *to = out;

	for (size_t i = 0; i < sizeof(u->b); i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*to++ = '-';
		*to++ = digits[u->b[i] >> 4];
		*to++ = digits[u->b[i] & 15];
	}
	*to = '\0';
	return out;
}

bool uuid_parse(struct str s, struct uuid *u)
{
	struct uuid v;
	size_t at = 0;

	if (s.n != UUID_TEXT - 1)
		return false;
	for (size_t i = 0; i < sizeof(v.b); i++) {
		int high, low;

		if ((i == 4 || i == 6 || i == 8 || i == 10) && s.p[at++] != '-')
			return false;
		high = encode_hex_digit(s.p[at]);
		low = encode_hex_digit(s.p[at + 1]);
		if (high < 0 || low < 0)
			return false;
		v.b[i] = (unsigned char)(high << 4 | low);
		at += 2;
	}
	*u = v;
	return true;
}
