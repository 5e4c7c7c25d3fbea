/* SPDX-License-Identifier: Apache-2.0
 *
 * SHA-2 and HMAC with OpenSSL.
 */
#include "lib/net/digest.h"

#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "lib/base/trouble.h"

void digest_sha256(struct str bytes, unsigned char out[DIGEST_SHA256_SIZE])
{
	must(EVP_Digest(bytes.p != NULL ? bytes.p : "", bytes.n, out, NULL, EVP_sha256(), NULL) ==
	     1);
}

static const EVP_MD *md_of(enum digest digest)
{
	switch (digest) {
	case DIGEST_SHA256:
		return EVP_sha256();
	case DIGEST_SHA384:
		return EVP_sha384();
	case DIGEST_SHA512:
		return EVP_sha512();
	}
	must(!"a digest");
	return NULL;
}

size_t digest_hmac(enum digest digest, struct str key, struct str bytes,
		   unsigned char out[DIGEST_MAX])
{
	unsigned n = 0;

	must(key.n <= INT_MAX);
	/* Not NULL, which would mean the key of the call before. */
	must(HMAC(md_of(digest), key.p != NULL ? key.p : "", (int)key.n,
		  (const unsigned char *)(bytes.p != NULL ? bytes.p : ""), bytes.n, out,
		  &n) != NULL);
	return n;
}
