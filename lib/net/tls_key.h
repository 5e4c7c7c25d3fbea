/* SPDX-License-Identifier: Apache-2.0
 *
 * Private keys, and what is made with them: signing requests, certificates that we sign ourselves,
 * signatures of ACME accounts.
 */
#ifndef LIB_NET_TLS_KEY_H
#define LIB_NET_TLS_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/str.h"

enum tls_key_type { TLS_KEY_ECDSA /* P-256 */, TLS_KEY_RSA /* 2048 bits */ };
enum { TLS_KEY_COORDINATE = 32, TLS_KEY_ES256 = 64 };

struct tls_key;

struct tls_key *tls_key_new(enum tls_key_type type);
/* The private key of a PEM text, which may have certificates, too. Of any kind that OpenSSL knows.
 * NULL: err says why. */
struct tls_key *tls_key_read(struct str pem, struct err *err);
/* Whether it is one that tls_key_new() might have made; RSA keys may be longer. */
bool tls_key_is(const struct tls_key *key, enum tls_key_type type);
void tls_key_free(struct tls_key **key);
/* Appends it as PEM (PKCS #8, RFC 5958), not encrypted: secret. */
void tls_key_put(const struct tls_key *key, struct buf *pem);

/* ECDSA keys only. The public point, and a signature as RFC 7518, 3.4 wants it: R and S, no DER. */
void tls_key_point(const struct tls_key *key, unsigned char x[TLS_KEY_COORDINATE],
		   unsigned char y[TLS_KEY_COORDINATE]);
void tls_key_sign_es256(const struct tls_key *key, struct str bytes,
			unsigned char out[TLS_KEY_ES256]);

/* Appends a certificate signing request (RFC 2986), DER, for these DNS names (and IP addresses),
 * all as subjectAltName; no common name. False: a name that cannot be one. */
bool tls_key_put_request(const struct tls_key *key, const struct str *names, unsigned n,
			 struct buf *der, struct err *err);

struct tls_key_self_signed {
	const struct str *names; /* DNS names (and IP addresses); the first is the common name,
				    unless it is too long for one */
	unsigned n_names;
	int64_t not_before, not_after;	      /* seconds since 1970 */
	const unsigned char *acme_identifier; /* 32 octets: the extension of tls-alpn-01 (RFC 8737,
						 3), critical; NULL: none */
};

/* Appends a certificate that the key signs itself, and the key: PEM, secret. False: as of a
 * request. */
bool tls_key_put_self_signed(const struct tls_key *key, const struct tls_key_self_signed *wish,
			     struct buf *pem, struct err *err);

#endif
