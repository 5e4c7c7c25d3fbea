/* SPDX-License-Identifier: Apache-2.0
 *
 * lib/net/digest.c, against the vectors of FIPS 180 and RFC 4231.
 */
#include "lib/net/digest.h"

#include "lib/base/encode.h"
#include "tests/support/unit.h"

static void check(const unsigned char *octets, size_t n, const char *hex)
{
	struct buf text = BUF_MAX(200);

	UNIT_TRUE(encode_hex(&text, str_bytes(octets, n)));
	UNIT_STR(buf_str(&text), hex);
	buf_clear(&text);
}

static void sha256_gives_the_vectors_of_fips_180(void)
{
	unsigned char out[DIGEST_SHA256_SIZE];

	digest_sha256(STR("abc"), out);
	check(out, sizeof(out), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	digest_sha256((struct str){NULL, 0}, out);
	check(out, sizeof(out), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void hmac_gives_the_vectors_of_rfc_4231(void)
{
	static char long_key[131];
	const struct {
		struct str key, bytes;
		const char *sha256, *sha384, *sha512;
	} cases[] = {
		{STR("\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"
		     "\x0b"),
		 STR("Hi There"),
		 "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
		 "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4"
		 "af152e8b2fa9cb6",
		 "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a7020"
		 "38b274eaea3f4e4"
		 "be9d914eeb61f1702e696c203a126854"},
		{STR("Jefe"), STR("what do ya want for nothing?"),
		 "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
		 "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78"
		 "b3239ecfab21649",
		 "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6"
		 "d034f65f8f0e6fd"
		 "caeab1a34d4a6b4b636e070a38bce737"},
		{{long_key, sizeof(long_key)},
		 STR("Test Using Larger Than Block-Size Key - Hash Key First"),
		 "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
		 "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe829"
		 "6248df163f44952",
		 "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598b"
		 "d0fd2215d6a1e52"
		 "95e64f73f63f0aec8b915a985d786598"},
	};

	memset(long_key, 0xaa, sizeof(long_key));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned char out[DIGEST_MAX];

		check(out, digest_hmac(DIGEST_SHA256, cases[i].key, cases[i].bytes, out),
		      cases[i].sha256);
		check(out, digest_hmac(DIGEST_SHA384, cases[i].key, cases[i].bytes, out),
		      cases[i].sha384);
		check(out, digest_hmac(DIGEST_SHA512, cases[i].key, cases[i].bytes, out),
		      cases[i].sha512);
	}
}

static void an_empty_key_is_no_key_of_before(void)
{
	unsigned char out[DIGEST_MAX];
	const struct str none = {NULL, 0};

	digest_hmac(DIGEST_SHA256, STR("a key"), STR("x"), out);
	check(out, digest_hmac(DIGEST_SHA256, none, none, out),
	      "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

UNIT_TESTS({"SHA-256 gives the vectors of FIPS 180", sha256_gives_the_vectors_of_fips_180},
	   {"HMAC gives the vectors of RFC 4231", hmac_gives_the_vectors_of_rfc_4231},
	   {"an empty key is no key of before", an_empty_key_is_no_key_of_before})
