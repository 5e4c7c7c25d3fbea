/* SPDX-License-Identifier: Apache-2.0
 *
 * lib/base/buf.c: bounded writing and bounded reading.
 */
#include "lib/base/buf.h"

#include <stdlib.h>

#include "tests/support/unit.h"

static void nothing_goes_past_the_maximum(void)
{
	struct buf b = BUF_MAX(5);

	UNIT_TRUE(buf_put_text(&b, "abc"));
	UNIT_TRUE(!buf_put_text(&b, "def"));
	UNIT_TRUE(b.is_full);
	UNIT_TRUE(!buf_put_char(&b, 'x'));
	UNIT_STR(buf_str(&b), "abc");
	buf_reset(&b);
	UNIT_TRUE(buf_put_text(&b, "abcde"));
	UNIT_TRUE(!buf_put_char(&b, 'x'));
	buf_clear(&b);
}

static void long_formats_are_written_whole(void)
{
	struct buf b = BUF_MAX(2000);
	char expected[1001];

	memset(expected, ' ', sizeof(expected));
	expected[999] = 'x';
	expected[1000] = '\0';
	UNIT_TRUE(buf_printf(&b, "%1000s", "x"));
	UNIT_STR(buf_str(&b), expected);
	UNIT_TRUE(!buf_printf(&b, "%1001s", "x"));
	buf_clear(&b);
}

static void what_was_put_is_read_back(void)
{
	struct buf b = BUF_MAX(1000);
	struct reader r;
	char text[8];

	buf_put_u8(&b, 0xfe);
	buf_put_u16(&b, 0xfedc);
	buf_put_u32(&b, 0xfedcba98u);
	buf_put_u64(&b, 0xfedcba9876543210ull);
	buf_put_blob(&b, STR("blob"));
	buf_put_blob(&b, STR("text"));
	r = reader_of(buf_str(&b));
	UNIT_TRUE(reader_u8(&r) == 0xfe);
	UNIT_TRUE(reader_u16(&r) == 0xfedc);
	UNIT_TRUE(reader_u32(&r) == 0xfedcba98u);
	UNIT_TRUE(reader_u64(&r) == 0xfedcba9876543210ull);
	UNIT_STR(reader_blob(&r), "blob");
	reader_text(&r, text, sizeof(text));
	UNIT_TEXT(text, "text");
	UNIT_TRUE(reader_is_done(&r));
	buf_clear(&b);
}

static void reading_past_the_end_is_bad_and_stays_bad(void)
{
	struct reader r = reader_of(STR("\0\0\0\x05""abcd"));

	UNIT_INT(reader_blob(&r).n, 0);
	UNIT_TRUE(r.is_bad);
	UNIT_TRUE(reader_u8(&r) == 0);
	UNIT_TRUE(!reader_is_done(&r));
}

static void a_text_with_nul_or_too_long_is_bad(void)
{
	struct reader r = reader_of(STR("\0\0\0\x03""a\0b"));
	char text[4];

	reader_text(&r, text, sizeof(text));
	UNIT_TRUE(r.is_bad);
	r = reader_of(STR("\0\0\0\x04""abcd"));
	reader_text(&r, text, sizeof(text));
	UNIT_TRUE(r.is_bad);
}

static void the_front_is_consumed(void)
{
	struct buf b = BUF_MAX(100);
	char *text;

	buf_put_text(&b, "hello world");
	buf_consume(&b, 6);
	UNIT_STR(buf_str(&b), "world");
	text = buf_take_text(&b);
	UNIT_TEXT(text, "world");
	UNIT_INT(b.n, 0);
	free(text);
}

UNIT_TESTS({"nothing goes past the maximum", nothing_goes_past_the_maximum},
	   {"long formats are written whole", long_formats_are_written_whole},
	   {"what was put is read back", what_was_put_is_read_back},
	   {"reading past the end is bad and stays bad", reading_past_the_end_is_bad_and_stays_bad},
	   {"a text with NUL or too long is bad", a_text_with_nul_or_too_long_is_bad},
	   {"the front is consumed", the_front_is_consumed})
