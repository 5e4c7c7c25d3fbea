/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses: what is accepted is printable or UTF-8, within its limits, and is accepted again as it came out.
 */
#include "lib/smtp/smtp_address.h"

#include "lib/base/trouble.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct smtp_address a, again;

	if (smtp_address_parse(str_bytes(data, size), &a) != SMTP_ADDRESS_OK)
		return 0;
	must(a.mailbox.n <= SMTP_ADDRESS_MAX && a.local.n > 0 && a.domain.n > 0);
	must(a.local.n + 1 + a.domain.n == a.mailbox.n && a.mailbox.p[a.local.n] == '@');
	must(str_is_ascii(a.mailbox) ? str_is_printable(a.mailbox) : str_is_utf8(a.mailbox));
	must(smtp_address_parse(a.mailbox, &again) == SMTP_ADDRESS_OK && str_eq(a.mailbox, again.mailbox));
	must(smtp_address_eq(a.mailbox, again.mailbox));
	return 0;
}
