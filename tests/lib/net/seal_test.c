/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of lib/net/seal.c.
 */
#include "lib/net/seal.h"

#include "tests/support/unit.h"

#define DIGITS "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define OTHERS "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static struct seal_key key_of(const char *digits)
{
	struct seal_key key;

	UNIT_TRUE(seal_key_parse(str_of(digits), &key, NULL));
	return key;
}

static void what_is_sealed_opens(void)
{
	static const struct str secrets[] = {STR("api_key: SG.secret\n"), STR(""), STR("\0\xff")};
	struct seal_key key = key_of(DIGITS);

	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
		struct buf sealed = BUF_MAX(1000), again = BUF_MAX(1000), out = BUF_MAX(1000);

		seal_close(&key, STR("label"), secrets[i], &sealed);
		seal_close(&key, STR("label"), secrets[i], &again);
		UNIT_INT(sealed.n, secrets[i].n + SEAL_OVERHEAD);
		UNIT_TRUE(!str_eq(buf_str(&sealed), buf_str(&again)));
		UNIT_TRUE(seal_is_by(&key, buf_str(&sealed)));
		UNIT_TRUE(seal_open(&key, STR("label"), buf_str(&sealed), &out, NULL));
		UNIT_TRUE(str_eq(buf_str(&out), secrets[i]));
		buf_clear(&sealed);
		buf_clear(&again);
		buf_clear(&out);
	}
}

static void what_was_changed_anywhere_does_not_open(void)
{
	struct seal_key key = key_of(DIGITS), other = key_of(OTHERS);
	struct buf sealed = BUF_MAX(1000), out = BUF_MAX(1000);
	struct err err;

	seal_close(&key, STR("label"), STR("secret"), &sealed);
	for (size_t i = 0; i < sealed.n; i++) {
		sealed.p[i] = (char)(sealed.p[i] ^ 1);
		UNIT_TRUE(!seal_open(&key, STR("label"), buf_str(&sealed), &out, &err));
		sealed.p[i] = (char)(sealed.p[i] ^ 1);
	}
	for (size_t n = 0; n < sealed.n; n++)
		UNIT_TRUE(!seal_open(&key, STR("label"), str_bytes(sealed.p, n), &out, &err));
	UNIT_TRUE(!seal_open(&key, STR("Label"), buf_str(&sealed), &out, &err));
	UNIT_TRUE(!seal_open(&other, STR("label"), buf_str(&sealed), &out, &err));
	UNIT_TRUE(!seal_is_by(&other, buf_str(&sealed)));
	UNIT_INT(out.n, 0);
	UNIT_TRUE(seal_open(&key, STR("label"), buf_str(&sealed), &out, &err));
	buf_clear(&sealed);
	buf_clear(&out);
}

/* "AES-GCM test case 14" of the GCM specification (McGrew, Viega), but for our mark: a key and a nonce of zeroes. */
static void it_is_aes_256_gcm(void)
{
	static const char sealed[] = "\x01\x66\x68\x7a\xad"
				     "\0\0\0\0\0\0\0\0\0\0\0\0"
				     "\xce\xa7\x40\x3d\x4d\x60\x6b\x6e\x07\x4e\xc5\xd3\xba\xf3\x9d\x18"
				     "\xd0\xd1\xc8\xa7\x99\x99\x6b\xf0\x26\x5b\x98\xb5\xd4\x8a\xb9\x19";
	struct seal_key key = key_of("0000000000000000000000000000000000000000000000000000000000000000");
	struct buf out = BUF_MAX(1000);
	struct err err;

	UNIT_TRUE(seal_open(&key, STR(""), str_bytes(sealed, sizeof(sealed) - 1), &out, &err));
	UNIT_INT(out.n, 16);
	for (size_t i = 0; i < out.n; i++)
		UNIT_INT(out.p[i], 0);
	buf_clear(&out);
}

static void what_is_no_key_is_refused(void)
{
	static const char *const cases[] = {"", "00", (DIGITS "00"), ("0x" DIGITS),
					    "g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"};
	struct seal_key key;
	struct err err;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		UNIT_TRUE(!seal_key_parse(str_of(cases[i]), &key, &err));
	UNIT_TRUE(seal_key_parse(STR(" " DIGITS " "), &key, &err));
}

UNIT_TESTS({"what is sealed opens", what_is_sealed_opens},
	   {"what was changed anywhere does not open", what_was_changed_anywhere_does_not_open},
	   {"it is AES-256-GCM", it_is_aes_256_gcm}, {"what is no key is refused", what_is_no_key_is_refused})
