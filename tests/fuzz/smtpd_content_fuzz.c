/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole messages: pieces give what the whole gives, also by way of a file; no lone CR or LF, no Bcc leaves, and
 * nothing stays counted.
 */
#include <fcntl.h>
#include <unistd.h>

#include "lib/base/trouble.h"
#include "lib/smtp/smtp_header.h"
#include "smtpd/smtpd_content.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct smtpd_memory memory = {.directory = -1};

static void run(struct smtpd_content *c, const struct smtpd_content_plan *plan, bool is_chunked, struct str message,
		size_t step)
{
	bool is_end = false;

	smtpd_content_begin(c, plan, STR("Received: us\r\n"));
	for (; message.n > 0; message = str_from(message, step)) {
		struct str piece = str_first(message, step);

		if (is_chunked)
			smtpd_content_take_chunk(c, piece);
		else
			is_end = is_end || smtpd_content_take(c, &piece);
	}
	if (!is_end && is_chunked) {
		smtpd_content_end(c);
	} else if (!is_end) {
		struct str end = STR("\r\n.\r\n");

		smtpd_content_take(c, &end);
	}
}

/* What has become of the header. */
static void check_header(struct str message)
{
	struct smtp_header_field field;

	must(str_starts(message, STR("Received: us\r\n")));
	while (smtp_header_next(&message, &field)) {
		must(field.name.n > 0 && str_find(field.label, '\n') == field.label.n);
		must(!smtp_header_is(&field, STR("Bcc"), false) && !smtp_header_is(&field, STR("Resent-Bcc"), false) &&
		     !smtp_header_is(&field, STR("Return-Path"), false));
	}
}

static void check(const struct smtpd_content *c)
{
	struct str s = buf_str(&c->bytes);

	if (c->refusal != SMTP_REPLY_NONE) {
		must(s.p == NULL && c->fd < 0 && c->share.memory + c->share.file + c->share.handover == 0);
		return;
	}
	must(c->fd < 0 && smtpd_content_size(c) == s.n);
	for (size_t i = 0; i < s.n; i++) {
		must(s.p[i] != '\n' || (i > 0 && s.p[i - 1] == '\r'));
		must(s.p[i] != '\r' || (i + 1 < s.n && s.p[i + 1] == '\n'));
	}
	check_header(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct smtpd_content_plan plan = {.limit = 100000, .host = "mail.test", .wall = 1700000000000000};
	struct smtpd_content whole, pieces;
	struct str message;

	if (size < 2 || size > 30000)
		return 0;
	if (memory.directory < 0)
		memory.directory = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (data[0] & 1) {
		plan.limit = 200;
		plan.limits = (struct smtp_mime_limits){100, 50, 60, 8, 5};
	}
	message = str_bytes(data + 2, size - 2);
	run(&whole, &plan, data[0] & 2, message, message.n + 1);
	if (data[0] & 4) { /* everything goes to a file as soon as its header is complete */
		plan.memory = &memory;
		memory.memory = 12000;
		memory.spill = 20000;
		memory.in_memory = 12001 - 8192;
	}
	run(&pieces, &plan, data[0] & 2, message, data[1] % 61 + 1U);
	check(&whole);
	check(&pieces);
	if (pieces.refusal != SMTP_REPLY_NO_STORAGE) {
		must(whole.refusal == pieces.refusal);
		must(whole.is_from_odd == pieces.is_from_odd || whole.refusal != SMTP_REPLY_NONE);
		must(str_eq(buf_str(&whole.bytes), buf_str(&pieces.bytes)));
		must(str_eq(buf_str(&whole.from), buf_str(&pieces.from)));
	}
	smtpd_content_clear(&whole);
	smtpd_content_clear(&pieces);
	must(memory.in_files == 0 && memory.in_handover == 0);
	must(!(data[0] & 4) || memory.in_memory == 12001 - 8192);
	return 0;
}
