/* SPDX-License-Identifier: Apache-2.0
 *
 * The key is that of RFC 7515, A.3, the MAC's that of A.1. Signatures are checked with OpenSSL: ES256 never gives the same twice.
 */
#include "cert-renewer/acme_jws.h"

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "lib/base/encode.h"
#include "tests/support/unit.h"

static const char key_pem[] = "-----BEGIN EC PRIVATE KEY-----\n"
			      "MHcCAQEEII6bEJ5xkJi/mASH3x9dd+nLKWBuvtImO19XwhPfhPSyoAoGCCqGSM49\n"
			      "AwEHoUQDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEXH8UTNG72b\n"
			      "focs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n"
			      "-----END EC PRIVATE KEY-----\n";
static const char jwk[] = "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
			  "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}";

static struct tls_key *the_key(void)
{
	struct err err = {""};
	struct tls_key *key = tls_key_read(str_of(key_pem), &err);

	UNIT_TEXT(err.text, "");
	return key;
}

/* The text of a member of a JSON object without anything to escape in it. */
static struct str member(struct str json, const char *name)
{
	char wanted[64], *found, *text = str_dup(json);
	struct str value;

	snprintf(wanted, sizeof(wanted), "\"%s\":\"", name);
	found = strstr(text, wanted);
	UNIT_TRUE(found != NULL);
	value = str_from(json, (size_t)(found - text) + strlen(wanted));
	free(text);
	return str_first(value, str_find(value, '"'));
}

static bool verifies(struct str json)
{
	struct str protected = member(json, "protected"), payload = member(json, "payload");
	struct buf raw = BUF_MAX(256), text = BUF_MAX(65536);
	BIO *bio = BIO_new_mem_buf(key_pem, -1);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	ECDSA_SIG *sig = ECDSA_SIG_new();
	unsigned char *der = NULL;
	bool ok;
	int n;

	UNIT_TRUE(encode_from_base64url(&raw, member(json, "signature")));
	UNIT_INT(raw.n, 64);
	ECDSA_SIG_set0(sig, BN_bin2bn((unsigned char *)raw.p, 32, NULL), BN_bin2bn((unsigned char *)raw.p + 32, 32, NULL));
	n = i2d_ECDSA_SIG(sig, &der);
	buf_printf(&text, "%.*s.%.*s", STR_ARG(protected), STR_ARG(payload));
	ok = EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
	     EVP_DigestVerify(ctx, der, (size_t)n, (unsigned char *)text.p, text.n) == 1;
	OPENSSL_free(der);
	ECDSA_SIG_free(sig);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	BIO_free(bio);
	buf_clear(&raw);
	buf_clear(&text);
	return ok;
}

static void check_decoded(struct str base64, const char *expected)
{
	struct buf text = BUF_MAX(65536);

	UNIT_TRUE(encode_from_base64url(&text, base64));
	UNIT_STR(buf_str(&text), expected);
	buf_clear(&text);
}

static void the_key_is_shown_and_has_its_thumbprint(void)
{
	struct tls_key *key = the_key();
	struct buf out = BUF_MAX(1024);

	acme_jws_put_jwk(&out, key);
	UNIT_STR(buf_str(&out), jwk);
	buf_reset(&out);
	acme_jws_put_key_authorization(&out, key, STR("tok-en"));
	UNIT_STR(buf_str(&out), "tok-en.oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U");
	buf_clear(&out);
	tls_key_free(&key);
}

static void requests_are_signed(void)
{
	struct tls_key *key = the_key();
	const struct {
		struct acme_jws jws;
		const char *header;
	} cases[] = {
		{{key, STR("https://ca/acct/1"), STR("n-1"), STR("https://ca/order"), STR("{\"a\":1}")},
		 "{\"alg\":\"ES256\",\"kid\":\"https://ca/acct/1\",\"nonce\":\"n-1\",\"url\":\"https://ca/order\"}"},
		{{key, STR("https://ca/\"x\""), STR("n-1"), STR("https://ca/order"), STR("")},
		 "{\"alg\":\"ES256\",\"kid\":\"https://ca/\\\"x\\\"\",\"nonce\":\"n-1\",\"url\":\"https://ca/order\"}"},
		{{key, STR(""), STR("n-1"), STR("https://ca/new"), STR("{}")},
		 "{\"alg\":\"ES256\",\"jwk\":{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
		 "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"},\"nonce\":\"n-1\",\"url\":\"https://ca/new\"}"},
		/* the inner one of a change of keys (RFC 8555, 7.3.5) has no nonce */
		{{key, STR(""), STR(""), STR("https://ca/change"), STR("{}")},
		 "{\"alg\":\"ES256\",\"jwk\":{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
		 "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"},\"url\":\"https://ca/change\"}"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = BUF_MAX(65536);
		char *payload = str_dup(cases[i].jws.payload);

		acme_jws_put(&out, &cases[i].jws);
		check_decoded(member(buf_str(&out), "protected"), cases[i].header);
		check_decoded(member(buf_str(&out), "payload"), payload);
		UNIT_TRUE(verifies(buf_str(&out)));
		out.p[out.n - 20] = out.p[out.n - 20] == 'A' ? 'B' : 'A';
		UNIT_TRUE(!verifies(buf_str(&out)));
		buf_clear(&out);
		free(payload);
	}
	tls_key_free(&key);
}

static void a_key_is_bound_to_an_account(void)
{
	struct tls_key *key = the_key();
	struct buf out = BUF_MAX(65536), mac = BUF_MAX(256);

	UNIT_TRUE(encode_from_base64url(
		&mac, STR("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")));
	acme_jws_put_binding(&out, key, STR("kid-1"), buf_str(&mac), STR("https://ca.example/new-acct"));
	UNIT_STR(buf_str(&out),
		 "{\"protected\":\"eyJhbGciOiJIUzI1NiIsImtpZCI6ImtpZC0xIiwidXJsIjoiaHR0cHM6Ly9jYS5leGFtcGxlL25ldy1hY2N0In0\","
		 "\"payload\":\"eyJjcnYiOiJQLTI1NiIsImt0eSI6IkVDIiwieCI6ImY4M09KM0QyeEYxQmc4dnViOXRMZTFnSE16Vjc2ZThUdXM5dVBIdlJWRVUiLC"
		 "J5IjoieF9GRXpSdTltMzZITE5fdHVlNjU5TE5wWFc2cEN5U3Rpa1lqS0lXSTVhMCJ9\","
		 "\"signature\":\"mXuHexXjjcraUOYKo-0RLKrDR96G8miLTCk2VGidxik\"}");
	buf_clear(&out);
	buf_clear(&mac);
	tls_key_free(&key);
}

UNIT_TESTS({"the key is shown and has its thumbprint", the_key_is_shown_and_has_its_thumbprint},
	   {"requests are signed", requests_are_signed}, {"a key is bound to an account", a_key_is_bound_to_an_account})
