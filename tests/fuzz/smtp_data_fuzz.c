/* SPDX-License-Identifier: Apache-2.0
 *
 * Message octets: no lone CR or LF ever comes out, pieces give what the whole gives, and what is stuffed
 * comes out as it was.
 */
#include "lib/smtp/smtp_data.h"

#include "lib/base/trouble.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool run(struct str all, size_t step, struct buf *out, size_t *used)
{
	struct smtp_data state = {0};

	for (size_t at = 0; at < all.n; at += step) {
		struct str in = str_first(str_from(all, at), step);

		if (smtp_data_take(&state, &in, out)) {
			*used = (size_t)(in.p - all.p);
			must(state.size == out->n);
			return true;
		}
		must(in.n == 0);
	}
	*used = all.n;
	return false;
}

static void must_be_clean(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		must(s.p[i] != '\n' || (i > 0 && s.p[i - 1] == '\r'));
		must(s.p[i] != '\r' || (i + 1 < s.n && s.p[i + 1] == '\n'));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str all = str_bytes(size > 1 ? data + 1 : data, size > 1 ? size - 1 : 0);
	struct buf whole = BUF_MAX(1 << 20), pieces = BUF_MAX(1 << 20), wire = BUF_MAX(1 << 20);
	size_t used, used_again;
	bool done;

	if (size > 16384)
		return 0;
	done = run(all, all.n + 1, &whole, &used);
	must(run(all, size > 0 ? data[0] % 11 + 1 : 1, &pieces, &used_again) == done);
	must(used == used_again && str_eq(buf_str(&whole), buf_str(&pieces)));
	must_be_clean(buf_str(&whole));
	smtp_data_put(&wire, buf_str(&whole));
	buf_reset(&pieces);
	must(run(buf_str(&wire), wire.n, &pieces, &used) && used == wire.n);
	must(str_starts(buf_str(&pieces), buf_str(&whole)));
	buf_clear(&whole);
	buf_clear(&pieces);
	buf_clear(&wire);
	return 0;
}
