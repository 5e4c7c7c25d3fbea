/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON strings (RFC 8259, section 7). Pure. (json-c would build the whole document in memory first and
 * then copy it twice; it reads the answers: lib/base/json_read.h.)
 */
#include "deliver/provider_json.h"

#include "lib/base/encode.h"

enum { BLOCK = 16 };

/* The length of the well-formed UTF-8 character (RFC 3629) at p, or 0. */
static size_t character_length(const unsigned char *p, size_t n)
{
	unsigned char lead = p[0];
	size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;

	if (lead < 0xc2 || lead > 0xf4 || length > n)
		return 0;
	/* No overlong forms, no surrogates, nothing above U+10FFFF. */
	if ((lead == 0xe0 && p[1] < 0xa0) || (lead == 0xed && p[1] > 0x9f) || (lead == 0xf0 && p[1] < 0x90) ||
	    (lead == 0xf4 && p[1] > 0x8f))
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return length;
}

static void put_special(struct buf *out, unsigned char c)
{
	switch (c) {
	case '"':
		buf_put(out, "\\\"", 2);
		break;
	case '\\':
		buf_put(out, "\\\\", 2);
		break;
	case '\n':
		buf_put(out, "\\n", 2);
		break;
	case '\r':
		buf_put(out, "\\r", 2);
		break;
	case '\t':
		buf_put(out, "\\t", 2);
		break;
	case '\0':
		buf_put(out, "\xef\xbf\xbd", 3);
		break;
	default:
		buf_printf(out, "\\u%04x", c);
	}
}

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* How many octets at the begin stand for themselves. Nearly all of a large text do: they are looked at in blocks, without a
 * branch an octet, which compilers make vectors of. */
static size_t plain_run(const unsigned char *p, size_t n)
{
	size_t i = 0;

	for (; n - i >= BLOCK; i += BLOCK) {
		unsigned char special = 0;

		for (size_t k = 0; k < BLOCK; k++) {
			unsigned char c = p[i + k];

			special |= (unsigned char)((unsigned char)(c - 0x20) > 0x7e - 0x20);
			special |= (unsigned char)(c == '"');
			special |= (unsigned char)(c == '\\');
		}
		if (special != 0)
			break;
	}
	while (i < n && is_plain(p[i]))
		i++;
	return i;
}

void provider_json_text(struct buf *out, struct str text)
{
	const unsigned char *p = (const unsigned char *)text.p;
	size_t from = 0, i = 0;

	buf_put_char(out, '"');
	while (i < text.n) {
		size_t length;

		i += plain_run(p + i, text.n - i);
		if (i == text.n)
			break;
		length = p[i] >= 0x80 ? character_length(p + i, text.n - i) : 0;
		if (length > 0) {
			i += length;
			continue;
		}
		buf_put(out, text.p + from, i - from);
		if (p[i] < 0x80)
			put_special(out, p[i]);
		else
			buf_put(out, "\xef\xbf\xbd", 3);
		from = ++i;
	}
	if (i > from)
		buf_put(out, text.p + from, i - from);
	buf_put_char(out, '"');
}

void provider_json_base64(struct buf *out, struct str bytes)
{
	buf_put_char(out, '"');
	encode_base64(out, bytes);
	buf_put_char(out, '"');
}

void provider_json_member(struct buf *out, const char *name)
{
	buf_put_char(out, ',');
	provider_json_text(out, str_of(name));
	buf_put_char(out, ':');
}
