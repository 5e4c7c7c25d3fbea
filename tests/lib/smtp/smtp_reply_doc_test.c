/* SPDX-License-Identifier: Apache-2.0
 *
 * The manual of the replies is fresh and has them all.
 */
#include "lib/smtp/smtp_reply_doc.h"

#include "lib/base/fd.h"
#include "lib/smtp/smtp_reply.h"
#include "tests/support/unit.h"

static void the_manual_is_fresh(void)
{
	struct buf made = BUF_MAX(1 << 20), committed = BUF_MAX(1 << 20);
	struct err err = {""};

	smtp_reply_doc_manual(&made);
	UNIT_TRUE(fd_read_file(TOP_SRCDIR "/man/smtp-proxy-replies.7", &committed, &err));
	UNIT_TEXT(err.text, "");
	if (!str_eq(buf_str(&committed), buf_str(&made))) {
		printf("\nman/smtp-proxy-replies.7 is stale: run make conf-and-man\n");
		UNIT_TRUE(!"fresh");
	}
	buf_clear(&made);
	buf_clear(&committed);
}

static void the_manual_has_every_reply(void)
{
	struct buf made = BUF_MAX(1 << 20);
	char text[128];

	smtp_reply_doc_manual(&made);
	for (enum smtp_reply r = SMTP_REPLY_NONE + 1; r < SMTP_REPLY_COUNT; r++) {
		snprintf(text, sizeof(text), " %s\n", smtp_reply_token(r));
		UNIT_TRUE(memmem(made.p, made.n, text, strlen(text)) != NULL);
	}
	buf_clear(&made);
}

UNIT_TESTS({"the manual is fresh", the_manual_is_fresh}, {"the manual has every reply", the_manual_has_every_reply})
