/* SPDX-License-Identifier: Apache-2.0
 *
 * SHA-2 and HMAC (RFC 2104) over it.
 */
#ifndef LIB_NET_DIGEST_H
#define LIB_NET_DIGEST_H

#include "lib/base/buf.h"
#include "lib/base/str.h"

enum digest { DIGEST_SHA256, DIGEST_SHA384, DIGEST_SHA512 };
enum { DIGEST_SHA256_SIZE = 32, DIGEST_MAX = 64 };

void digest_sha256(struct str bytes, unsigned char out[DIGEST_SHA256_SIZE]);
/* Returns how many octets were put out. */
size_t digest_hmac(enum digest digest, struct str key, struct str bytes,
		   unsigned char out[DIGEST_MAX]);

#endif
