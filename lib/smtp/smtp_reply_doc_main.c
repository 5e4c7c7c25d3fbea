/* SPDX-License-Identifier: Apache-2.0
 *
 * reply-doc: prints man/smtp-proxy-replies.7. Only `make conf-and-man` runs it; it is not installed.
 */
#include <stdio.h>
#include <sysexits.h>

#include "lib/smtp/smtp_reply_doc.h"

int main(void)
{
	struct buf out = BUF_MAX(1 << 20);
	bool ok;

	smtp_reply_doc_manual(&out);
	ok = fwrite(out.p, 1, out.n, stdout) == out.n && fflush(stdout) == 0;
	buf_clear(&out);
	return ok ? EX_OK : EX_IOERR;
}
