/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys with OpenSSL. What a healthy machine cannot fail at (memory, random octets) ends the
 * process.
 */
#include "lib/net/tls_key.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <limits.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/net/tls_openssl.h"

enum {
	RSA_BITS = 2048,
	NAME_MAX_LENGTH = 253, /* RFC 1035, 2.3.4, as text */
	LABEL_MAX = 63,
	COMMON_NAME_MAX = 64, /* RFC 5280, appendix A: ub-common-name */
	SERIAL = 16,
	ACME_IDENTIFIER = 32,
};

struct tls_key {
	EVP_PKEY *key;
};

/* For what fails only when there is no memory, or OpenSSL is broken. */
static void need(bool ok, const char *what)
{
	if (!ok)
		die("OpenSSL cannot %s: %s", what, tls_last_reason());
}

/* ---- A key ---- */

static struct tls_key *wrap(EVP_PKEY *key)
{
	struct tls_key *k = mem_zero(sizeof(*k));

	k->key = key;
	return k;
}

struct tls_key *tls_key_new(enum tls_key_type type)
{
	EVP_PKEY *key = type == TLS_KEY_RSA ? EVP_RSA_gen(RSA_BITS) : EVP_EC_gen("P-256");

	need(key != NULL, "make a key");
	return wrap(key);
}

struct tls_key *tls_key_read(struct str pem, struct err *err)
{
	struct tls_pem parts;
	struct tls_key *key = NULL;

	if (!tls_certificate_take_some(&parts, pem, err))
		return NULL;
	if (parts.key != NULL) {
		key = wrap(parts.key);
		parts.key = NULL;
	} else {
		err_set(err, "there is no private key in it");
	}
	tls_certificate_drop(&parts);
	return key;
}

bool tls_key_is(const struct tls_key *key, enum tls_key_type type)
{
	char curve[24];
	size_t n;

	if (type == TLS_KEY_RSA)
		return EVP_PKEY_is_a(key->key, "RSA") == 1 &&
		       EVP_PKEY_get_bits(key->key) >= RSA_BITS;
	return EVP_PKEY_is_a(key->key, "EC") == 1 &&
	       EVP_PKEY_get_group_name(key->key, curve, sizeof(curve), &n) == 1 &&
	       strcmp(curve, "prime256v1") == 0;
}

void tls_key_free(struct tls_key **key)
{
	if (*key != NULL)
		EVP_PKEY_free((*key)->key);
	mem_free(key);
}

/* What was written into a memory BIO; freeing it wipes it. */
static void take_bio(BIO *bio, struct buf *out)
{
	char *text;
	long n = BIO_get_mem_data(bio, &text);

	buf_put(out, text, (size_t)n);
	BIO_free(bio);
}

void tls_key_put(const struct tls_key *key, struct buf *pem)
{
	BIO *bio = BIO_new(BIO_s_mem());

	need(bio != NULL &&
		     PEM_write_bio_PKCS8PrivateKey(bio, key->key, NULL, NULL, 0, NULL, NULL) == 1,
	     "write a key");
	take_bio(bio, pem);
}

/* ---- ES256 ---- */

static void put_number(const EVP_PKEY *key, const char *name, unsigned char out[TLS_KEY_COORDINATE])
{
	BIGNUM *number = NULL;

	must(EVP_PKEY_get_bn_param(key, name, &number) == 1 &&
	     BN_bn2binpad(number, out, TLS_KEY_COORDINATE) == TLS_KEY_COORDINATE);
	BN_free(number);
}

void tls_key_point(const struct tls_key *key, unsigned char x[TLS_KEY_COORDINATE],
		   unsigned char y[TLS_KEY_COORDINATE])
{
	put_number(key->key, OSSL_PKEY_PARAM_EC_PUB_X, x);
	put_number(key->key, OSSL_PKEY_PARAM_EC_PUB_Y, y);
}

void tls_key_sign_es256(const struct tls_key *key, struct str bytes,
			unsigned char out[TLS_KEY_ES256])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char der[128];
	const unsigned char *p = der;
	size_t n = sizeof(der);
	ECDSA_SIG *pair;

	must(tls_key_is(key, TLS_KEY_ECDSA));
	need(ctx != NULL && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key->key) == 1 &&
		     EVP_DigestSign(ctx, der, &n,
				    (const unsigned char *)(bytes.p != NULL ? bytes.p : ""),
				    bytes.n) == 1,
	     "sign");
	pair = d2i_ECDSA_SIG(NULL, &p, (long)n);
	must(pair != NULL &&
	     BN_bn2binpad(ECDSA_SIG_get0_r(pair), out, TLS_KEY_ES256 / 2) == TLS_KEY_ES256 / 2 &&
	     BN_bn2binpad(ECDSA_SIG_get0_s(pair), out + TLS_KEY_ES256 / 2, TLS_KEY_ES256 / 2) ==
		     TLS_KEY_ES256 / 2);
	ECDSA_SIG_free(pair);
	EVP_MD_CTX_free(ctx);
}

/* ---- Names ---- */

/* Letters, digits, hyphens inside (RFC 1123, 2.1); "*" may be the first label. Other scripts come
 * as A-labels. */
static bool is_dns_name(struct str name)
{
	struct str rest = str_starts(name, STR("*.")) ? str_from(name, 2) : name, label;

	if (name.n == 0 || name.n > NAME_MAX_LENGTH)
		return false;
	while (str_next(&rest, '.', &label)) {
		if (label.n == 0 || label.n > LABEL_MAX || label.p[0] == '-' ||
		    label.p[label.n - 1] == '-')
			return false;
		for (size_t i = 0; i < label.n; i++)
			if (!isascii(label.p[i]) ||
			    (!isalnum((unsigned char)label.p[i]) && label.p[i] != '-'))
				return false;
	}
	return true;
}

/* 4, 16, or 0: it is none. */
static int address_of(struct str name, unsigned char out[16])
{
	char text[INET6_ADDRSTRLEN];

	if (!str_copy(name, text, sizeof(text)))
		return 0;
	if (inet_pton(AF_INET, text, out) == 1)
		return 4;
	return inet_pton(AF_INET6, text, out) == 1 ? 16 : 0;
}

static bool add_name(GENERAL_NAMES *all, struct str name, struct err *err)
{
	unsigned char address[16];
	int n = address_of(name, address);
	GENERAL_NAME *one;
	ASN1_STRING *value;

	if (n == 0 && !is_dns_name(name))
		return err_set(err, "%.*s is no host name",
			       STR_ARG(str_first(name, NAME_MAX_LENGTH)));
	one = GENERAL_NAME_new();
	value = n > 0 ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
	need(one != NULL && value != NULL &&
		     ASN1_STRING_set(value, n > 0 ? (const void *)address : name.p,
				     n > 0 ? n : (int)name.n) == 1,
	     "keep a name");
	GENERAL_NAME_set0_value(one, n > 0 ? GEN_IPADD : GEN_DNS, value);
	need(sk_GENERAL_NAME_push(all, one) > 0, "keep a name");
	return true;
}

/* The extension; NULL: one is no name. Critical when there is no subject (RFC 5280, 4.2.1.6). */
static X509_EXTENSION *names_extension(const struct str *names, unsigned n, bool critical,
				       struct err *err)
{
	GENERAL_NAMES *all = GENERAL_NAMES_new();
	X509_EXTENSION *extension = NULL;
	bool ok = n > 0 || err_set(err, "there is no name");

	need(all != NULL, "keep names");
	for (unsigned i = 0; i < n && ok; i++)
		ok = add_name(all, names[i], err);
	if (ok) {
		extension = X509V3_EXT_i2d(NID_subject_alt_name, critical, all);
		need(extension != NULL, "write names");
	}
	GENERAL_NAMES_free(all);
	return extension;
}

/* ---- The request ---- */

bool tls_key_put_request(const struct tls_key *key, const struct str *names, unsigned n,
			 struct buf *der, struct err *err)
{
	X509_EXTENSION *extension = names_extension(names, n, false, err);
	STACK_OF(X509_EXTENSION) *all = sk_X509_EXTENSION_new_null();
	X509_REQ *request = X509_REQ_new();
	unsigned char *bytes = NULL;
	bool ok = extension != NULL;
	int size;

	need(all != NULL && request != NULL, "make a request");
	if (ok) {
		need(sk_X509_EXTENSION_push(all, extension) > 0 &&
			     X509_REQ_set_version(request, X509_REQ_VERSION_1) == 1 &&
			     X509_REQ_set_pubkey(request, key->key) == 1 &&
			     X509_REQ_add_extensions(request, all) == 1 &&
			     X509_REQ_sign(request, key->key, EVP_sha256()) > 0,
		     "sign a request");
		size = i2d_X509_REQ(request, &bytes);
		need(size > 0, "write a request");
		ok = buf_put(der, bytes, (size_t)size) || err_set(err, "the request is too large");
		OPENSSL_free(bytes);
	}
	sk_X509_EXTENSION_pop_free(all, X509_EXTENSION_free);
	X509_REQ_free(request);
	return ok;
}

/* ---- Our own certificates ---- */

static void set_serial(X509 *x)
{
	unsigned char octets[SERIAL];
	BIGNUM *number;

	need(RAND_bytes(octets, sizeof(octets)) == 1, "draw a number");
	octets[0] = (unsigned char)((octets[0] & 0x7f) | 0x40); /* positive, of one length */
	number = BN_bin2bn(octets, sizeof(octets), NULL);
	need(number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x)) != NULL,
	     "set a number");
	BN_free(number);
}

static void set_common_name(X509 *x, struct str name)
{
	X509_NAME *subject = X509_get_subject_name(x);

	if (name.n <= COMMON_NAME_MAX)
		need(X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
						(const unsigned char *)name.p, (int)name.n, -1,
						0) == 1,
		     "set a subject");
	need(X509_set_issuer_name(x, subject) == 1, "set an issuer");
}

/* RFC 8737, 3: an OCTET STRING in the extension's, critical. */
static void add_acme_identifier(X509 *x, const unsigned char *identifier)
{
	unsigned char der[2 + ACME_IDENTIFIER] = {V_ASN1_OCTET_STRING, ACME_IDENTIFIER};
	ASN1_OBJECT *kind = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1);
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	X509_EXTENSION *extension;

	memcpy(der + 2, identifier, ACME_IDENTIFIER);
	need(kind != NULL && value != NULL && ASN1_OCTET_STRING_set(value, der, sizeof(der)) == 1,
	     "keep an identifier");
	extension = X509_EXTENSION_create_by_OBJ(NULL, kind, 1, value);
	need(extension != NULL && X509_add_ext(x, extension, -1) == 1, "keep an identifier");
	X509_EXTENSION_free(extension);
	ASN1_OCTET_STRING_free(value);
	ASN1_OBJECT_free(kind);
}

static X509 *self_signed(const struct tls_key *key, const struct tls_key_self_signed *wish,
			 X509_EXTENSION *names)
{
	X509 *x = X509_new();

	need(x != NULL && X509_set_version(x, X509_VERSION_3) == 1 &&
		     ASN1_TIME_set(X509_getm_notBefore(x), (time_t)wish->not_before) != NULL &&
		     ASN1_TIME_set(X509_getm_notAfter(x), (time_t)wish->not_after) != NULL &&
		     X509_set_pubkey(x, key->key) == 1 && X509_add_ext(x, names, -1) == 1,
	     "make a certificate");
	set_serial(x);
	set_common_name(x, wish->names[0]);
	if (wish->acme_identifier != NULL)
		add_acme_identifier(x, wish->acme_identifier);
	need(X509_sign(x, key->key, EVP_sha256()) > 0, "sign a certificate");
	return x;
}

bool tls_key_put_self_signed(const struct tls_key *key, const struct tls_key_self_signed *wish,
			     struct buf *pem, struct err *err)
{
	bool is_nameless = wish->n_names > 0 && wish->names[0].n > COMMON_NAME_MAX;
	X509_EXTENSION *names = names_extension(wish->names, wish->n_names, is_nameless, err);
	BIO *bio;
	X509 *x;

	if (names == NULL)
		return false;
	x = self_signed(key, wish, names);
	bio = BIO_new(BIO_s_mem());
	need(bio != NULL && PEM_write_bio_X509(bio, x) == 1, "write a certificate");
	take_bio(bio, pem);
	tls_key_put(key, pem);
	X509_free(x);
	X509_EXTENSION_free(names);
	return true;
}
