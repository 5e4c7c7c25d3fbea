/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses: what is accepted is printable or UTF-8, within its limits, and is accepted again as it came out; its one spelling
 * stays the same.
 */
#include "lib/smtp/smtp_address.h"

#include "lib/base/trouble.h"
#include "lib/smtp/smtp_canonical.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_canonical(struct str address)
{
	struct buf once = BUF_MAX(SMTP_CANONICAL_MAX), twice = BUF_MAX(SMTP_CANONICAL_MAX);

	if (smtp_canonical_address(address, &once)) {
		must(!once.is_full && str_is_utf8(buf_str(&once)));
		/* One that has grown may be longer than any that comes in. */
		must(smtp_canonical_address(buf_str(&once), &twice) ? str_eq(buf_str(&once), buf_str(&twice)) : once.n > address.n);
	}
	buf_clear(&once);
	buf_clear(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct smtp_address a, again;

	check_canonical(str_bytes(data, size));
	if (smtp_address_parse(str_bytes(data, size), &a) != SMTP_ADDRESS_OK)
		return 0;
	must(a.mailbox.n <= SMTP_ADDRESS_MAX && a.local.n > 0 && a.domain.n > 0);
	must(a.local.n + 1 + a.domain.n == a.mailbox.n && a.mailbox.p[a.local.n] == '@');
	must(str_is_ascii(a.mailbox) ? str_is_printable(a.mailbox) : str_is_utf8(a.mailbox));
	must(smtp_address_parse(a.mailbox, &again) == SMTP_ADDRESS_OK && str_eq(a.mailbox, again.mailbox));
	must(smtp_address_eq(a.mailbox, again.mailbox));
	return 0;
}
