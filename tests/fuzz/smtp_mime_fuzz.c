/* SPDX-License-Identifier: Apache-2.0
 *
 * The structure of arbitrary bytes: pieces give what the whole gives, and nothing counts more than there is.
 */
#include <stdlib.h>

#include "lib/base/trouble.h"
#include "lib/smtp/smtp_mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct smtp_mime run(const struct smtp_mime_limits *limits, struct str message, size_t step)
{
	struct smtp_mime m;

	smtp_mime_begin(&m, limits);
	for (; message.n > 0; message = str_from(message, step)) {
		/* A copy, so that a look past a piece is seen. */
		char *piece = str_dup(str_first(message, step));

		smtp_mime_take(&m, str_bytes(piece, str_first(message, step).n));
		free(piece);
		must(smtp_mime_memory(&m) < 200000 && m.depth <= 5 && m.line.n <= 4096);
	}
	smtp_mime_end(&m);
	smtp_mime_clear(&m);
	return m;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct smtp_mime_limits limits = {.mime_depth = 5};
	struct smtp_mime whole, pieces;
	struct str message;

	if (size < 2)
		return 0;
	if (data[0] & 1)
		limits = (struct smtp_mime_limits){300, 40, 60, 8, 5};
	message = str_bytes(data + 2, size - 2);
	whole = run(&limits, message, message.n + 1);
	pieces = run(&limits, message, data[1] % 37 + 1U);
	must(whole.refusal == pieces.refusal && whole.is_header_done == pieces.is_header_done);
	must(whole.attachments == pieces.attachments || whole.refusal != SMTP_REPLY_NONE);
	must(whole.header_end == pieces.header_end && whole.is_bare == pieces.is_bare);
	must(whole.header_end <= message.n && whole.attachments <= message.n);
	must(!(data[0] & 1) || whole.refusal != SMTP_REPLY_NONE || whole.attachments <= 60);
	return 0;
}
