/* SPDX-License-Identifier: Apache-2.0
 *
 * Headers of answers: Link, Retry-After, Content-Type, dates. What is found lies within what was given, and all ends.
 */
#include "lib/net/http_header.h"

#include "lib/base/date.h"
#include "lib/base/trouble.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str all = str_bytes(data, size), rest = all, target;
	int64_t seconds = -1, at;
	size_t n = 0;
	bool fits;

	while (http_header_link(&rest, STR("alternate"), &target, &fits)) {
		must(target.p > all.p && target.p + target.n < all.p + all.n);
		must(rest.p == NULL || (rest.p > target.p && rest.p + rest.n == all.p + all.n));
		must(++n < size);
	}
	if (http_header_retry_after(all, 1600000000, 86400, &seconds))
		must(seconds >= 0 && seconds <= 86400);
	http_header_is_media(all, STR("application/json"));
	if (date_read_rfc3339(all, &at)) {
		char text[DATE_RFC3339];
		int64_t again;

		date_put_rfc3339(at, text);
		must(at < 0 || at > 253402300799 || (date_read_rfc3339(str_of(text), &again) && again == at));
	}
	return 0;
}
