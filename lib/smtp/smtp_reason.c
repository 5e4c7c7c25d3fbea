/* SPDX-License-Identifier: Apache-2.0
 *
 * By the subject and the detail of enhanced status codes (RFC 3463, 3; RFC 5248's register). Pure.
 */
#include "lib/smtp/smtp_reason.h"

/* The first row that the code's second and third number begin with. */
static const struct {
	const char *beginning;
	enum smtp_reason reason;
} topics[] = {
	/* Addresses: 7 and 8 are the sender's. */
	{".1.7", SMTP_REASON_INVALID_SENDER},
	{".1.8", SMTP_REASON_INVALID_SENDER},
	{".1.", SMTP_REASON_INVALID_RECIPIENT},
	{".2.3", SMTP_REASON_TOO_LARGE},
	{".2.", SMTP_REASON_MAILBOX},
	{".3.4", SMTP_REASON_TOO_LARGE},
	{".3.", SMTP_REASON_SYSTEM},
	{".4.", SMTP_REASON_NETWORK},
	{".5.", SMTP_REASON_PROTOCOL},
	{".6.", SMTP_REASON_CONTENT},
	{".7.", SMTP_REASON_POLICY},
};

enum smtp_reason smtp_reason_of(struct str status)
{
	for (size_t i = 0; status.n > 0 && i < sizeof(topics) / sizeof(topics[0]); i++)
		if (str_starts(str_from(status, 1), str_of(topics[i].beginning)))
			return topics[i].reason;
	return SMTP_REASON_OTHER;
}

const char *smtp_reason_name(enum smtp_reason reason)
{
	static const char *const names[SMTP_REASONS] = {
		[SMTP_REASON_INVALID_RECIPIENT] = "invalid_recipient",
		[SMTP_REASON_INVALID_SENDER] = "invalid_sender",
		[SMTP_REASON_MAILBOX] = "mailbox",
		[SMTP_REASON_TOO_LARGE] = "too_large",
		[SMTP_REASON_SYSTEM] = "system",
		[SMTP_REASON_NETWORK] = "network",
		[SMTP_REASON_PROTOCOL] = "protocol",
		[SMTP_REASON_CONTENT] = "content",
		[SMTP_REASON_POLICY] = "policy",
		[SMTP_REASON_EXPIRED] = "expired",
		[SMTP_REASON_OTHER] = "other",
	};

	return names[reason];
}
