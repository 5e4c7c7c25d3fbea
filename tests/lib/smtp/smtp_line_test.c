/* SPDX-License-Identifier: Apache-2.0
 *
 * What is a line and what is not, whole and byte by byte.
 */
#include "lib/smtp/smtp_line.h"

#include "lib/base/buf.h"
#include "tests/support/unit.h"

static const struct {
	const char *input;
	const char *expected; /* lines in brackets; ! bare newline, ^ too long */
} cases[] = {
	{"NOOP\r\n", "[NOOP]"},
	{"\r\n", "[]"},
	{"NOOP", ""},
	{"NOOP\r", ""},
	{"A\r\nB\r\nC", "[A][B]"},
	{"NOOP\n", "!"},
	{"NOOP\nRSET\r\nQUIT\r\n", "![QUIT]"},
	{"NO\rOP\r\nQUIT\r\n", "![QUIT]"},
	{"NOOP\r\r\nQUIT\r\n", "![QUIT]"},
	{"\nQUIT\r\nA\r\n", "![A]"},
	{"A\n\r\nB\r\n", "![B]"},
	{"1234567890123456\r\nA\r\n", "[1234567890123456][A]"},
	{"12345678901234567890\r\nA\r\n", "^[A]"},
	{"12345678901234567890123456789012345678901234567890\nx\r\nA\r\n", "^[A]"},
};

static void note(enum smtp_line_result result, struct str line, struct buf *out)
{
	if (result == SMTP_LINE_OK)
		buf_printf(out, "[%.*s]", STR_ARG(line));
	else
		buf_put_char(out, result == SMTP_LINE_BARE ? '!' : '^');
}

/* Gives the input in pieces of `step` bytes, keeping what is left, as a connection does. */
static void run(const char *text, size_t step, struct buf *out)
{
	struct smtp_line state = {false};
	struct str all = str_of(text), line;
	size_t from = 0, end = 0;

	while (end < all.n) {
		struct str input;
		enum smtp_line_result result;

		end = end + step < all.n ? end + step : all.n;
		input = str_from(str_first(all, end), from);
		while ((result = smtp_line_take(&state, &input, 18, &line)) != SMTP_LINE_MORE)
			note(result, line, out);
		from = end - input.n;
	}
}

static void lines_end_with_crlf_only(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t step = 1; step < 60; step++) {
			struct buf out = BUF_MAX(4096);

			run(cases[i].input, step, &out);
			UNIT_STR(buf_str(&out), cases[i].expected);
			buf_clear(&out);
		}
}

UNIT_TESTS({"lines end with CRLF only, however they arrive", lines_end_with_crlf_only})
