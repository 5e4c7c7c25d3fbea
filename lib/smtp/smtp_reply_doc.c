/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes the manual page of the replies. Called by reply-doc (make conf-and-man) and the test that it is fresh.
 */
#include "lib/smtp/smtp_reply_doc.h"

#include "lib/base/mdoc.h"
#include "lib/smtp/smtp_reply.h"

static const char head[] =
	".\\\" SPDX-License-Identifier: Apache-2.0\n"
	".\\\" Made from lib/smtp/smtp_replies.def by `make conf-and-man`: change that.\n"
	".Dd November 22, 2026\n"
	".Dt SMTP-PROXY-REPLIES 7\n"
	".Os smtp-proxy\n"
	".Sh NAME\n"
	".Nm smtp-proxy-replies\n"
	".Nd what smtp-proxy says to SMTP clients, and why\n"
	".Sh DESCRIPTION\n"
	"Every reply of the SMTP front with its code, its enhanced code (RFC 3463) and its token.\n"
	"The token is what the log and the metric\n"
	".Sy smtp_replies_total\n"
	"call the reply; it does not change when the words do.\n"
	".Ql %\n"
	"stands for what differs: a host name, an id, a limit.\n"
	"Replies that begin with 4 are for now: the client tries again later.\n"
	"Those that begin with 5 are for good: the same again will be refused again.\n"
	".Pp\n"
	".Ic smtp-proxyctl reply\n"
	"finds one by its token or code.\n";

static const struct {
	unsigned class;
	const char *title;
} classes[] = {{2, "Done"}, {3, "More is due"}, {4, "Refused for now"}, {5, "Refused for good"}};

static void put_reply(enum smtp_reply reply, struct buf *out)
{
	const char *status = smtp_reply_status(reply);

	buf_printf(out, ".It Sy %u%s%s %s\n", smtp_reply_code(reply), status[0] != '\0' ? " " : "", status,
		   smtp_reply_token(reply));
	if (smtp_reply_text(reply)[0] != '\0') {
		buf_put_text(out, ".Dq ");
		mdoc_put(out, str_of(smtp_reply_text(reply)));
		buf_put_text(out, ".br\n");
	}
	mdoc_put(out, str_of(smtp_reply_prose(reply)));
}

void smtp_reply_doc_manual(struct buf *out)
{
	buf_put_text(out, head);
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		buf_printf(out, ".Ss %s\n.Bl -tag -width Ds\n", classes[i].title);
		for (enum smtp_reply r = SMTP_REPLY_NONE + 1; r < SMTP_REPLY_COUNT; r++)
			if (smtp_reply_code(r) / 100 == classes[i].class)
				put_reply(r, out);
		buf_put_text(out, ".El\n");
	}
	buf_put_text(out, ".Sh SEE ALSO\n.Xr main.yaml 5 ,\n.Xr smtp-proxy 8 ,\n.Xr smtp-proxyctl 8\n");
}
