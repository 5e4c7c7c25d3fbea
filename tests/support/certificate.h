/* SPDX-License-Identifier: Apache-2.0
 *
 * Certificates made at test time: an authority of its own, or signed by another one, with an ECDSA P-256
 * key, for the names given. The PEM texts are the caller's to free.
 */
#ifndef TESTS_SUPPORT_CERTIFICATE_H
#define TESTS_SUPPORT_CERTIFICATE_H

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

struct certificate {
	X509 *x;
	EVP_PKEY *key;
	char *pem;     /* the certificate */
	char *key_pem; /* its key */
	char *both;    /* key and certificate */
};

static inline char *certificate_text(BIO *bio)
{
	char *p, *text;
	long n = BIO_get_mem_data(bio, &p);

	text = calloc(1, (size_t)n + 1);
	memcpy(text, p, (size_t)n);
	BIO_free(bio);
	return text;
}

static inline void certificate_extend(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
}

/* Valid from `from` to `to` seconds from now. names: "DNS:localhost,IP:127.0.0.1"; NULL makes an
 * authority. signer: NULL for self-signed. The key is taken over. */
static inline struct certificate certificate_make_with(EVP_PKEY *key, const char *cn, const char *names, long from,
							long to, const struct certificate *signer)
{
	struct certificate c = {.x = X509_new(), .key = key};
	static long serial = 4096;
	X509_NAME *name = X509_get_subject_name(c.x);
	X509 *issuer = signer != NULL ? signer->x : c.x;
	BIO *bio;

	X509_set_version(c.x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(c.x), serial++);
	X509_gmtime_adj(X509_getm_notBefore(c.x), from);
	X509_gmtime_adj(X509_getm_notAfter(c.x), to);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(c.x, X509_get_subject_name(issuer));
	X509_set_pubkey(c.x, c.key);
	if (names != NULL)
		certificate_extend(c.x, issuer, NID_subject_alt_name, names);
	else
		certificate_extend(c.x, issuer, NID_basic_constraints, "critical,CA:TRUE");
	X509_sign(c.x, signer != NULL ? signer->key : c.key, EVP_sha256());
	bio = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(bio, c.x);
	c.pem = certificate_text(bio);
	bio = BIO_new(BIO_s_mem());
	PEM_write_bio_PrivateKey(bio, c.key, NULL, NULL, 0, NULL, NULL);
	c.key_pem = certificate_text(bio);
	c.both = calloc(1, strlen(c.pem) + strlen(c.key_pem) + 1);
	memcpy(c.both, c.key_pem, strlen(c.key_pem));
	memcpy(c.both + strlen(c.key_pem), c.pem, strlen(c.pem));
	return c;
}

static inline struct certificate certificate_make(const char *cn, const char *names, long from, long to,
						  const struct certificate *signer)
{
	return certificate_make_with(EVP_EC_gen("P-256"), cn, names, from, to, signer);
}

static inline void certificate_clear(struct certificate *c)
{
	X509_free(c->x);
	EVP_PKEY_free(c->key);
	free(c->pem);
	free(c->key_pem);
	free(c->both);
}

#endif
