/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of deliver/provider_json.c.
 */
#include "deliver/provider_json.h"

#include <string.h>

#include "tests/support/unit.h"

enum { ROOM = 40 };

/* Plain text is passed over in blocks: each octet is tried at every place in them. */
static void every_octet_is_written_as_json_wherever_it_stands(void)
{
	static const struct {
		struct str is, said;
	} cases[] = {
		{STR("z"), STR("z")},
		{STR(" "), STR(" ")},
		{STR("~"), STR("~")},
		{STR("\x7f"), STR("\\u007f")},
		{STR("\""), STR("\\\"")},
		{STR("\\"), STR("\\\\")},
		{STR("\n"), STR("\\n")},
		{STR("\r"), STR("\\r")},
		{STR("\t"), STR("\\t")},
		{STR("\x1f"), STR("\\u001f")},
		{STR("\x01"), STR("\\u0001")},
		{STR("\0"), STR("\xef\xbf\xbd")},
		{STR("\x80"), STR("\xef\xbf\xbd")},
		{STR("\xff"), STR("\xef\xbf\xbd")},
		{STR("\xc3"), STR("\xef\xbf\xbd")},
		{STR("\xc3\xa9"), STR("\xc3\xa9")},
		{STR("\xf0\x9f\x93\xa7"), STR("\xf0\x9f\x93\xa7")},
		{STR("\xed\xa0\x80"), STR("\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd")},
		{STR("\r\n\r\n"), STR("\\r\\n\\r\\n")},
	};
	struct buf out = BUF_MAX(256);
	char text[ROOM + 8], said[ROOM + 16];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t before = 0; before <= ROOM; before++) {
			size_t behind = ROOM - before;

			memset(text, 'a', sizeof(text));
			memcpy(text + before, cases[i].is.p, cases[i].is.n);
			memset(said, 'a', sizeof(said));
			said[0] = '"';
			memcpy(said + 1 + before, cases[i].said.p, cases[i].said.n);
			said[1 + ROOM + cases[i].said.n] = '"';
			buf_reset(&out);
			provider_json_text(&out, str_bytes(text, before + cases[i].is.n + behind));
			UNIT_TRUE(str_eq(buf_str(&out), str_bytes(said, ROOM + cases[i].said.n + 2)));
		}
	buf_clear(&out);
}

static void base64_is_a_string(void)
{
	struct buf out = BUF_MAX(64);

	provider_json_text(&out, STR(""));
	provider_json_base64(&out, STR("foob"));
	UNIT_STR(buf_str(&out), "\"\"\"Zm9vYg==\"");
	buf_clear(&out);
}

UNIT_TESTS({"every octet is written as JSON wherever it stands", every_octet_is_written_as_json_wherever_it_stands},
	   {"base64 is a string", base64_is_a_string})
