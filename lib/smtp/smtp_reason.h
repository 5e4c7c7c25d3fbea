/* SPDX-License-Identifier: Apache-2.0
 *
 * Why mail failed, in a word: few enough of them to be the label of a metric.
 */
#ifndef LIB_SMTP_SMTP_REASON_H
#define LIB_SMTP_SMTP_REASON_H

#include "lib/base/str.h"

enum smtp_reason {
	SMTP_REASON_INVALID_RECIPIENT,
	SMTP_REASON_INVALID_SENDER,
	SMTP_REASON_MAILBOX,
	SMTP_REASON_TOO_LARGE,
	SMTP_REASON_SYSTEM,
	SMTP_REASON_NETWORK,
	SMTP_REASON_PROTOCOL,
	SMTP_REASON_CONTENT,
	SMTP_REASON_POLICY,
	SMTP_REASON_EXPIRED, /* whatever it was, it was tried for long enough: no status says so */
	SMTP_REASON_OTHER,
	SMTP_REASONS
};

/* What an enhanced status code is about; OTHER when it is none. */
enum smtp_reason smtp_reason_of(struct str status);
const char *smtp_reason_name(enum smtp_reason reason);

#endif
