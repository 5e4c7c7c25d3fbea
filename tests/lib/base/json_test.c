/* SPDX-License-Identifier: Apache-2.0
 *
 * Whatever bytes a text has, it stays one string.
 */
#include "lib/base/json.h"

#include "tests/support/unit.h"

static void a_text_stays_one_string(void)
{
	static const struct {
		struct str text;
		const char *expected;
	} cases[] = {
		{{"", 0}, "\"n\":\"\""},
		{{"plain", 5}, "\"n\":\"plain\""},
		{{"\"}]}", 4}, "\"n\":\"\\\"}]}\""},
		{{"\\\"", 2}, "\"n\":\"\\\\\\\"\""},
		{{"a\nb\r\t\0\x1f\x7f", 8}, "\"n\":\"a\\u000ab\\u000d\\u0009\\u0000\\u001f\\u007f\""},
		{{"\xc3\xa9\xf0\x9f\x93\xa7", 6}, "\"n\":\"\xc3\xa9\xf0\x9f\x93\xa7\""},
		{{"\xc3\xa9\xff", 3}, "\"n\":\"\\u00c3\\u00a9\\u00ff\""},
		{{"\xc3", 1}, "\"n\":\"\\u00c3\""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = BUF_MAX(100);

		json_put_text(&out, "n", cases[i].text);
		UNIT_STR(buf_str(&out), cases[i].expected);
		buf_clear(&out);
	}
}

static void numbers_keep_their_sign_and_size(void)
{
	struct buf out = BUF_MAX(100);

	json_put_int(&out, "least", INT64_MIN);
	json_put_int(&out, "most", INT64_MAX);
	UNIT_STR(buf_str(&out), "\"least\":-9223372036854775808,\"most\":9223372036854775807");
	buf_clear(&out);
}

static void commas_stand_between_and_nowhere_else(void)
{
	struct buf out = BUF_MAX(100);

	json_begin(&out, NULL, '{');
	json_begin(&out, "list", '[');
	for (int i = 0; i < 2; i++) {
		json_begin(&out, NULL, '{');
		json_put_bool(&out, "yes", i == 0);
		json_put_null(&out, "no");
		buf_put_char(&out, '}');
	}
	buf_put_char(&out, ']');
	json_begin(&out, "none", '[');
	buf_put_char(&out, ']');
	json_put_text(&out, "text", STR("{"));
	json_put_int(&out, "n", 1);
	buf_put_char(&out, '}');
	UNIT_STR(buf_str(&out), "{\"list\":[{\"yes\":true,\"no\":null},{\"yes\":false,\"no\":null}],\"none\":[],"
				"\"text\":\"{\",\"n\":1}");
	buf_clear(&out);
}

UNIT_TESTS({"a text stays one string", a_text_stays_one_string},
	   {"numbers keep their sign and size", numbers_keep_their_sign_and_size},
	   {"commas stand between and nowhere else", commas_stand_between_and_nowhere_else})
