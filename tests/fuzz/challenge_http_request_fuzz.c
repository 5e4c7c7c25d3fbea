/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests at port 80: arbitrary bytes, whole and in pieces, give the same verdict; a token is one, and within the input.
 */
#include "cert-renewer/challenge_http_request.h"

#include <string.h>

#include "lib/base/trouble.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str all = str_bytes(data, size);
	struct challenge_http_request whole, piece;
	bool is_whole = challenge_http_request_read(all, &whole), is_piece = false;
	size_t n = 0;

	must(is_whole || size < CHALLENGE_HTTP_REQUEST_MAX);
	if (!is_whole)
		return 0;
	if (whole.status == 0) {
		must(challenge_http_request_is_token(whole.token));
		must(whole.token.p >= all.p && whole.token.p + whole.token.n <= all.p + all.n);
	}
	while (!is_piece && n < size)
		is_piece = challenge_http_request_read(str_first(all, ++n), &piece);
	must(is_piece && piece.status == whole.status && piece.is_head == whole.is_head);
	must(piece.token.n == whole.token.n);
	return 0;
}
