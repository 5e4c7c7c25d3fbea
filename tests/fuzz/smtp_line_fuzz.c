/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines: arbitrary bytes, whole and in pieces, give the same lines; none holds a CR or LF.
 */
#include "lib/smtp/smtp_line.h"

#include "lib/base/buf.h"
#include "lib/base/trouble.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(struct str all, size_t step, struct buf *out)
{
	struct smtp_line state = {false};
	struct str line;
	size_t from = 0, end = 0;

	while (end < all.n) {
		struct str input;
		enum smtp_line_result result;

		end = end + step < all.n ? end + step : all.n;
		input = str_from(str_first(all, end), from);
		while ((result = smtp_line_take(&state, &input, 64, &line)) != SMTP_LINE_MORE) {
			if (result == SMTP_LINE_OK) {
				must(line.n <= 62 && str_find(line, '\r') == line.n && str_find(line, '\n') == line.n);
				buf_put_str(out, line);
			}
			buf_put_char(out, "\n?\r^"[result]);
		}
		from = end - input.n;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str all = str_bytes(size > 1 ? data + 1 : data, size > 1 ? size - 1 : 0);
	struct buf whole = BUF_MAX(1 << 20), pieces = BUF_MAX(1 << 20);

	if (size > 4096)
		return 0;
	run(all, all.n + 1, &whole);
	run(all, size > 0 ? data[0] % 7 + 1 : 1, &pieces);
	must(str_eq(buf_str(&whole), buf_str(&pieces)));
	buf_clear(&whole);
	buf_clear(&pieces);
	return 0;
}
