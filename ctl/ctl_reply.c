/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxyctl reply: the table of replies, looked into by token, code or enhanced code. Asks nobody.
 */
#include <stdio.h>

#include "ctl/ctl_out.h"
#include "lib/smtp/smtp_reply.h"

/* Its token, code, enhanced code or both codes; "5" is all that are for good, "4.7" all of that subject. */
static bool is_meant(enum smtp_reply reply, struct str what)
{
	char code[8], both[24];
	struct str status = str_of(smtp_reply_status(reply));

	snprintf(code, sizeof(code), "%u", smtp_reply_code(reply));
	snprintf(both, sizeof(both), "%s %s", code, smtp_reply_status(reply));
	return smtp_reply_find(what) == reply || str_starts(str_of(code), what) || str_eq(str_of(both), what) ||
	       str_eq(status, what) || (str_starts(status, what) && status.p[what.n] == '.');
}

static void put(struct ctl_out *out, enum smtp_reply reply)
{
	ctl_out_int(out, smtp_reply_code(reply));
	ctl_out_text(out, smtp_reply_status(reply));
	ctl_out_text(out, smtp_reply_token(reply));
	ctl_out_text(out, smtp_reply_text(reply));
	ctl_out_text(out, smtp_reply_prose(reply));
}

int ctl_reply_show(struct ctl *ctl)
{
	static const struct ctl_out_column columns[] = {
		{"code", "CODE"}, {"status", "STATUS"}, {"token", "TOKEN"}, {"text", "TEXT"}, {"meaning", "MEANING"}};
	const size_t n = sizeof(columns) / sizeof(columns[0]);
	const char *what = ctl_optional(ctl);
	struct ctl_out *out;
	size_t found;

	ctl_end(ctl);
	out = what != NULL ? ctl_out_record(ctl, columns, n) : ctl_out_new(ctl, columns, n);
	for (enum smtp_reply r = SMTP_REPLY_NONE + 1; r < SMTP_REPLY_COUNT; r++)
		if (what == NULL || is_meant(r, str_of(what)))
			put(out, r);
	found = ctl_out_rows(out);
	ctl_out_free(&out);
	if (found == 0)
		ctl_fail(EX_DATAERR, "%s: no such reply; without an argument all are listed", what);
	return EX_OK;
}
