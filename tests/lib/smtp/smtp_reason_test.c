/* SPDX-License-Identifier: Apache-2.0
 *
 * Why mail failed, in a word.
 */
#include "lib/smtp/smtp_reason.h"

#include <string.h>

#include "tests/support/unit.h"

static void a_status_has_its_reason(void)
{
	static const struct {
		const char *status;
		enum smtp_reason reason;
	} cases[] = {
		{"5.1.1", SMTP_REASON_INVALID_RECIPIENT}, {"5.1.3", SMTP_REASON_INVALID_RECIPIENT},
		{"5.1.10", SMTP_REASON_INVALID_RECIPIENT}, {"5.1.7", SMTP_REASON_INVALID_SENDER},
		{"5.1.8", SMTP_REASON_INVALID_SENDER},	   {"5.2.1", SMTP_REASON_MAILBOX},
		{"4.2.2", SMTP_REASON_MAILBOX},		   {"5.2.3", SMTP_REASON_TOO_LARGE},
		{"5.3.4", SMTP_REASON_TOO_LARGE},	   {"4.3.0", SMTP_REASON_SYSTEM},
		{"4.4.1", SMTP_REASON_NETWORK},		   {"5.5.3", SMTP_REASON_PROTOCOL},
		{"5.6.0", SMTP_REASON_CONTENT},		   {"5.7.1", SMTP_REASON_POLICY},
		{"5.7.26", SMTP_REASON_POLICY},		   {"5.0.0", SMTP_REASON_OTHER},
		{"5.9.1", SMTP_REASON_OTHER},		   {"", SMTP_REASON_OTHER},
		{"5", SMTP_REASON_OTHER},		   {"5.7", SMTP_REASON_OTHER},
		{"nonsense", SMTP_REASON_OTHER},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		UNIT_STR(str_of(smtp_reason_name(smtp_reason_of(str_of(cases[i].status)))), smtp_reason_name(cases[i].reason));
}

static void each_reason_has_a_name_of_its_own(void)
{
	for (unsigned i = 0; i < SMTP_REASONS; i++)
		for (unsigned k = 0; k < i; k++)
			UNIT_TRUE(strcmp(smtp_reason_name(i), smtp_reason_name(k)) != 0);
}

UNIT_TESTS({"a status has its reason", a_status_has_its_reason},
	   {"each reason has a name of its own", each_reason_has_a_name_of_its_own})
