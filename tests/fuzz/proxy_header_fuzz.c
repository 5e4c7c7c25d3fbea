/* SPDX-License-Identifier: Apache-2.0
 *
 * PROXY headers: arbitrary bytes, whole and in pieces, give the same answer; it never claims more than was given.
 */
#include "lib/net/proxy_header.h"

#include <netinet/in.h>
#include <string.h>

#include "lib/base/trouble.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str all = str_bytes(data, size);
	struct proxy_header whole, piece = {0};
	enum proxy_header_result result = proxy_header_parse(all, &whole), part = PROXY_HEADER_MORE;
	size_t n = 0;

	must((whole.why != NULL) == (result == PROXY_HEADER_BAD));
	must(result != PROXY_HEADER_MORE || size < PROXY_HEADER_MAX);
	if (result == PROXY_HEADER_OK) {
		must(whole.length > 0 && whole.length <= size && whole.length <= PROXY_HEADER_MAX);
		must(whole.is_local || whole.is_unknown || whole.from.ss_family == AF_INET ||
		     whole.from.ss_family == AF_INET6);
	}
	while (part == PROXY_HEADER_MORE && n < size)
		part = proxy_header_parse(str_first(all, ++n), &piece);
	must(part == result && piece.length == whole.length);
	must(result != PROXY_HEADER_OK || (n == whole.length && memcmp(&piece, &whole, sizeof(whole)) == 0));
	return 0;
}
