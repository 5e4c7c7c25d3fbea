/* SPDX-License-Identifier: Apache-2.0
 *
 * The addresses of an arbitrary field: what is found is clean, bounded, and found again in itself.
 */
#include "lib/base/trouble.h"
#include "lib/smtp/smtp_mailbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf out = BUF_MAX(2048), again = BUF_MAX(2048);
	struct str rest, address;
	bool is_good = smtp_mailbox_list(str_bytes(data, size), &out);

	must(out.n <= 2048);
	for (size_t i = 0; i < out.n; i++)
		must((unsigned char)out.p[i] >= ' ' && out.p[i] != 0x7f);
	if (!out.is_full && out.n > 0) {
		must(str_is_utf8(buf_str(&out)));
		rest = buf_str(&out);
		while (str_next(&rest, ' ', &address)) {
			must(address.n >= 3 && str_find(address, '@') < address.n);
			buf_reset(&again);
			/* Of an odd list the local part may end in a dot. */
			if (is_good)
				must(smtp_mailbox_list(address, &again) && str_eq(buf_str(&again), address));
		}
	}
	buf_clear(&out);
	buf_clear(&again);
	return 0;
}
