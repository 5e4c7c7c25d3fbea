/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys, requests and self-signed certificates, read back with OpenSSL; ES256 as RFC 7515, appendix
 * A.3 shows it.
 */
#include "lib/net/tls_key.h"

#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <time.h>

#include "lib/base/encode.h"
#include "tests/support/certificate.h"
#include "tests/support/unit.h"

#define DAY 86400L

static struct buf octets_of(const char *base64url)
{
	struct buf out = BUF_MAX(200);

	UNIT_TRUE(encode_from_base64url(&out, str_of(base64url)));
	return out;
}

/* R and S, as the signer puts them out. */
static bool is_signed(EVP_PKEY *key, struct str bytes, struct str signature)
{
	ECDSA_SIG *pair = ECDSA_SIG_new();
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char *der = NULL;
	int n;
	bool ok;

	UNIT_INT(signature.n, TLS_KEY_ES256);
	ECDSA_SIG_set0(pair, BN_bin2bn((const unsigned char *)signature.p, 32, NULL),
		       BN_bin2bn((const unsigned char *)signature.p + 32, 32, NULL));
	n = i2d_ECDSA_SIG(pair, &der);
	ok = EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
	     EVP_DigestVerify(ctx, der, (size_t)n, (const unsigned char *)bytes.p, bytes.n) == 1;
	OPENSSL_free(der);
	ECDSA_SIG_free(pair);
	EVP_MD_CTX_free(ctx);
	return ok;
}

#define X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define D "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"
#define INPUT \
	"eyJhbGciOiJFUzI1NiJ9." \
	"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0" \
	"cnVl" \
	"fQ"
#define SIGNATURE \
	"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"

static EVP_PKEY *rfc_key(void)
{
	struct buf x = octets_of(X), y = octets_of(Y), d = octets_of(D), point = BUF_MAX(65);
	BIGNUM *secret = BN_bin2bn((const unsigned char *)d.p, (int)d.n, NULL);
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *key = NULL;
	OSSL_PARAM *params;

	buf_put_u8(&point, POINT_CONVERSION_UNCOMPRESSED);
	buf_put_str(&point, buf_str(&x));
	buf_put_str(&point, buf_str(&y));
	OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0);
	OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point.p, point.n);
	OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, secret);
	params = OSSL_PARAM_BLD_to_param(build);
	UNIT_TRUE(EVP_PKEY_fromdata_init(ctx) == 1 &&
		  EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) == 1);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	EVP_PKEY_CTX_free(ctx);
	BN_free(secret);
	buf_clear(&x);
	buf_clear(&y);
	buf_clear(&d);
	buf_clear(&point);
	return key;
}

static struct str text_of(struct buf *out, EVP_PKEY *key, bool is_traditional)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;

	if (is_traditional)
		PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL, 0, NULL, NULL);
	else
		PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	text = certificate_text(bio);
	buf_put_text(out, text);
	free(text);
	return buf_str(out);
}

static void signatures_are_those_of_rfc_7515(void)
{
	unsigned char x[TLS_KEY_COORDINATE], y[TLS_KEY_COORDINATE], out[TLS_KEY_ES256];
	struct buf pem = BUF_MAX(4096), theirs = octets_of(SIGNATURE), point = BUF_MAX(200);
	EVP_PKEY *rfc = rfc_key();
	struct err err = {""};
	struct tls_key *key = tls_key_read(text_of(&pem, rfc, false), &err);

	UNIT_TRUE(key != NULL && tls_key_is(key, TLS_KEY_ECDSA) && !tls_key_is(key, TLS_KEY_RSA));
	tls_key_point(key, x, y);
	encode_base64url(&point, str_bytes(x, sizeof(x)));
	buf_put_char(&point, ' ');
	encode_base64url(&point, str_bytes(y, sizeof(y)));
	UNIT_STR(buf_str(&point), X " " Y);
	UNIT_TRUE(is_signed(rfc, STR(INPUT), buf_str(&theirs)));
	/* They are random, and one in 128 has a number with a zero in front. */
	for (unsigned i = 0; i < 300; i++) {
		tls_key_sign_es256(key, STR(INPUT), out);
		UNIT_TRUE(is_signed(rfc, STR(INPUT), str_bytes(out, sizeof(out))));
	}
	UNIT_TRUE(!is_signed(rfc, STR(INPUT "x"), str_bytes(out, sizeof(out))));
	tls_key_free(&key);
	EVP_PKEY_free(rfc);
	buf_clear(&pem);
	buf_clear(&theirs);
	buf_clear(&point);
}

static void keys_come_back_from_their_text(void)
{
	for (int type = TLS_KEY_ECDSA; type <= TLS_KEY_RSA; type++) {
		struct tls_key *key = tls_key_new((enum tls_key_type)type), *back;
		struct buf pem = BUF_MAX(8192), again = BUF_MAX(8192);
		struct err err = {""};

		tls_key_put(key, &pem);
		UNIT_TRUE(str_starts(buf_str(&pem), STR("-----BEGIN PRIVATE KEY-----\n")));
		back = tls_key_read(buf_str(&pem), &err);
		UNIT_TRUE(back != NULL);
		UNIT_TRUE(tls_key_is(back, (enum tls_key_type)type) &&
			  !tls_key_is(back, (enum tls_key_type) !type));
		tls_key_put(back, &again);
		UNIT_TRUE(str_eq(buf_str(&pem), buf_str(&again)));
		tls_key_free(&key);
		tls_key_free(&back);
		buf_clear_secret(&pem);
		buf_clear_secret(&again);
	}
}

static void what_is_no_key_is_refused(void)
{
	struct certificate c = certificate_make("mail.test", "DNS:mail.test", -DAY, DAY, NULL);
	struct buf two = BUF_MAX(8192), encrypted = BUF_MAX(8192);
	BIO *bio = BIO_new(BIO_s_mem());
	struct err err = {""};
	char passphrase[] = "geheim", *text;
	struct tls_key *key;

	key = tls_key_read(str_of(c.both), &err);
	UNIT_TRUE(key != NULL);
	tls_key_free(&key);
	UNIT_TRUE(tls_key_read(str_of(c.pem), &err) == NULL);
	UNIT_TEXT(err.text, "there is no private key in it");
	UNIT_TRUE(tls_key_read(STR(""), &err) == NULL);
	UNIT_TRUE(tls_key_read(STR("-----BEGIN PRIVATE KEY-----\nMIGH\n"), &err) == NULL);
	buf_put_text(&two, c.key_pem);
	buf_put_text(&two, c.key_pem);
	UNIT_TRUE(tls_key_read(buf_str(&two), &err) == NULL);
	UNIT_TEXT(err.text, "there is more than one private key");
	PEM_write_bio_PrivateKey(bio, c.key, EVP_aes_128_cbc(), NULL, 0, NULL, passphrase);
	text = certificate_text(bio);
	buf_put_text(&encrypted, text);
	free(text);
	UNIT_TRUE(tls_key_read(buf_str(&encrypted), &err) == NULL);
	UNIT_TEXT(err.text, "the private key is encrypted");
	certificate_clear(&c);
	buf_clear(&two);
	buf_clear(&encrypted);
}

static void keys_of_other_kinds_are_told_apart(void)
{
	EVP_PKEY *p384 = EVP_EC_gen("P-384"), *short_rsa = EVP_RSA_gen(1024);
	struct buf pem = BUF_MAX(8192);
	struct err err = {""};
	struct tls_key *key = tls_key_read(text_of(&pem, p384, true), &err);

	UNIT_TRUE(key != NULL && !tls_key_is(key, TLS_KEY_ECDSA) && !tls_key_is(key, TLS_KEY_RSA));
	tls_key_free(&key);
	buf_reset(&pem);
	key = tls_key_read(text_of(&pem, short_rsa, true), &err);
	UNIT_TRUE(key != NULL && !tls_key_is(key, TLS_KEY_ECDSA) && !tls_key_is(key, TLS_KEY_RSA));
	tls_key_free(&key);
	EVP_PKEY_free(p384);
	EVP_PKEY_free(short_rsa);
	buf_clear(&pem);
}

static void names_text(GENERAL_NAMES *all, struct buf *out)
{
	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *one = sk_GENERAL_NAME_value(all, i);
		const ASN1_STRING *value = one->type == GEN_DNS ? one->d.dNSName : one->d.iPAddress;

		buf_printf(out, "%s%s:", i > 0 ? " " : "",
			   one->type == GEN_DNS	    ? "dns"
			   : one->type == GEN_IPADD ? "ip"
						    : "?");
		if (one->type == GEN_DNS)
			buf_put(out, ASN1_STRING_get0_data(value),
				(size_t)ASN1_STRING_length(value));
		else
			encode_hex(out, str_bytes(ASN1_STRING_get0_data(value),
						  (size_t)ASN1_STRING_length(value)));
	}
	GENERAL_NAMES_free(all);
}

static void a_request_has_its_names_and_no_subject(void)
{
	static const struct str names[] = {STR("example.com"), STR("*.example.com"),
					   STR("xn--bcher-kva.example"), STR("192.0.2.1"),
					   STR("2001:db8::1")};

	for (int type = TLS_KEY_ECDSA; type <= TLS_KEY_RSA; type++) {
		struct tls_key *key = tls_key_new((enum tls_key_type)type);
		struct buf der = BUF_MAX(4096), text = BUF_MAX(500);
		STACK_OF(X509_EXTENSION) * extensions;
		struct err err = {""};
		const unsigned char *p;
		X509_REQ *request;

		UNIT_TRUE(tls_key_put_request(key, names, 5, &der, &err));
		p = (const unsigned char *)der.p;
		request = d2i_X509_REQ(NULL, &p, (long)der.n);
		UNIT_TRUE(request != NULL && p == (const unsigned char *)der.p + der.n);
		UNIT_INT(X509_REQ_verify(request, X509_REQ_get0_pubkey(request)), 1);
		UNIT_INT(X509_REQ_get_version(request), X509_REQ_VERSION_1);
		UNIT_INT(X509_NAME_entry_count(X509_REQ_get_subject_name(request)), 0);
		extensions = X509_REQ_get_extensions(request);
		UNIT_INT(sk_X509_EXTENSION_num(extensions), 1);
		names_text(X509V3_get_d2i(extensions, NID_subject_alt_name, NULL, NULL), &text);
		UNIT_STR(buf_str(&text),
			 "dns:example.com dns:*.example.com dns:xn--bcher-kva.example ip:c0000201 "
			 "ip:20010db8000000000000000000000001");
		sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
		X509_REQ_free(request);
		tls_key_free(&key);
		buf_clear(&der);
		buf_clear(&text);
	}
}

#define A63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void a_name_that_cannot_be_one_is_refused(void)
{
	static const struct str bad[] = {
		STR(""),
		STR("."),
		STR("a."),
		STR(".a"),
		STR("a..b"),
		STR("a b"),
		STR("a_b"),
		STR("-a.b"),
		STR("a-.b"),
		STR("*"),
		STR("a.*.b"),
		STR("*a.b"),
		STR("*.*.b"),
		STR("b\xc3\xbc"
		    "cher.example"),
		STR("a\0b"),
		STR("a" A63 ".b"),
		STR(A63 "." A63 "." A63 "." A63),
		STR("1:2"),
		STR("a\nb"),
		STR("a@b"),
	};
	struct tls_key *key = tls_key_new(TLS_KEY_ECDSA);
	struct buf der = BUF_MAX(4096), small = BUF_MAX(20);
	const struct str good = STR("example.com"),
			 longest = STR(
				 A63
				 "." A63 "." A63
				 ".aaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	struct err err = {""};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct str names[] = {good, bad[i]};

		UNIT_TRUE(!tls_key_put_request(key, names, 2, &der, &err));
		UNIT_TRUE(!tls_key_put_self_signed(
			key, &(struct tls_key_self_signed){.names = &bad[i], .n_names = 1}, &der,
			&err));
	}
	UNIT_INT(der.n, 0);
	UNIT_TRUE(!tls_key_put_request(key, NULL, 0, &der, &err));
	UNIT_TEXT(err.text, "there is no name");
	UNIT_TRUE(!tls_key_put_request(key, &good, 1, &small, &err));
	UNIT_TRUE(tls_key_put_request(key, &longest, 1, &der, &err));
	tls_key_free(&key);
	buf_clear(&der);
}

static X509 *first_of(const struct buf *pem)
{
	BIO *bio = BIO_new_mem_buf(pem->p, (int)pem->n);
	X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	BIO_free(bio);
	return x;
}

static void a_self_signed_certificate_is_as_wished(void)
{
	static const struct str names[] = {STR("mail.example"), STR("localhost")};
	int64_t now = time(NULL);
	struct tls_key *key = tls_key_new(TLS_KEY_ECDSA), *back;
	struct buf pem = BUF_MAX(8192), text = BUF_MAX(100);
	struct err err = {""};
	int64_t from, to;
	struct tm tm;
	int critical;
	X509 *x;

	UNIT_TRUE(tls_key_put_self_signed(
		key, &(struct tls_key_self_signed){names, 2, now - 3600, now + 90 * DAY, NULL},
		&pem, &err));
	x = first_of(&pem);
	back = tls_key_read(buf_str(&pem), &err);
	UNIT_TRUE(x != NULL && back != NULL);
	UNIT_INT(X509_verify(x, X509_get0_pubkey(x)), 1);
	UNIT_INT(X509_get_version(x), X509_VERSION_3);
	ASN1_TIME_to_tm(X509_get0_notBefore(x), &tm);
	from = timegm(&tm);
	ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm);
	to = timegm(&tm);
	UNIT_INT(from, now - 3600);
	UNIT_INT(to, now + 90 * DAY);
	UNIT_INT(X509_get_ext_count(x), 1);
	names_text(X509_get_ext_d2i(x, NID_subject_alt_name, &critical, NULL), &text);
	UNIT_INT(critical, 0);
	UNIT_STR(buf_str(&text), "dns:mail.example dns:localhost");
	UNIT_INT(X509_check_host(x, "mail.example", 0, 0, NULL), 1);
	X509_free(x);
	tls_key_free(&key);
	tls_key_free(&back);
	buf_clear_secret(&pem);
	buf_clear(&text);
}

static void a_long_name_is_no_common_name(void)
{
	static const struct str name = STR(A63 ".example");
	struct tls_key *key = tls_key_new(TLS_KEY_ECDSA);
	struct buf pem = BUF_MAX(8192);
	struct err err = {""};
	int critical = -1;
	X509 *x;

	UNIT_TRUE(tls_key_put_self_signed(
		key, &(struct tls_key_self_signed){&name, 1, 0, DAY, NULL}, &pem, &err));
	x = first_of(&pem);
	UNIT_INT(X509_NAME_entry_count(X509_get_subject_name(x)), 0);
	GENERAL_NAMES_free(X509_get_ext_d2i(x, NID_subject_alt_name, &critical, NULL));
	UNIT_INT(critical, 1);
	X509_free(x);
	tls_key_free(&key);
	buf_clear_secret(&pem);
}

static void the_identifier_of_tls_alpn_01_is_critical(void)
{
	static const struct str name = STR("example.com");
	unsigned char identifier[32];
	struct tls_key *key = tls_key_new(TLS_KEY_ECDSA);
	struct buf pem = BUF_MAX(8192), hex = BUF_MAX(100);
	ASN1_OBJECT *kind = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1);
	X509_EXTENSION *extension;
	struct err err = {""};
	X509 *x;

	for (unsigned i = 0; i < sizeof(identifier); i++)
		identifier[i] = (unsigned char)i;
	UNIT_TRUE(tls_key_put_self_signed(
		key, &(struct tls_key_self_signed){&name, 1, 0, DAY, identifier}, &pem, &err));
	x = first_of(&pem);
	UNIT_INT(X509_get_ext_count(x), 2);
	extension = X509_get_ext(x, X509_get_ext_by_OBJ(x, kind, -1));
	UNIT_TRUE(extension != NULL && X509_EXTENSION_get_critical(extension) == 1);
	encode_hex(&hex, str_bytes(ASN1_STRING_get0_data(X509_EXTENSION_get_data(extension)),
				   (size_t)ASN1_STRING_length(X509_EXTENSION_get_data(extension))));
	UNIT_STR(buf_str(&hex), "0420"
				"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
	ASN1_OBJECT_free(kind);
	X509_free(x);
	tls_key_free(&key);
	buf_clear_secret(&pem);
	buf_clear(&hex);
}

UNIT_TESTS({"signatures are those of RFC 7515", signatures_are_those_of_rfc_7515},
	   {"keys come back from their text", keys_come_back_from_their_text},
	   {"what is no key is refused", what_is_no_key_is_refused},
	   {"keys of other kinds are told apart", keys_of_other_kinds_are_told_apart},
	   {"a request has its names and no subject", a_request_has_its_names_and_no_subject},
	   {"a name that cannot be one is refused", a_name_that_cannot_be_one_is_refused},
	   {"a self-signed certificate is as wished", a_self_signed_certificate_is_as_wished},
	   {"a long name is no common name", a_long_name_is_no_common_name},
	   {"the identifier of tls-alpn-01 is critical", the_identifier_of_tls_alpn_01_is_critical})
