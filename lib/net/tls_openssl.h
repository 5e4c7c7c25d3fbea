/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files lib/net/tls*.c share, in OpenSSL's types. For nobody else.
 */
#ifndef LIB_NET_TLS_OPENSSL_H
#define LIB_NET_TLS_OPENSSL_H

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "lib/base/buf.h"
#include "lib/net/tls_server.h"

enum { TLS_CHAIN_MAX = 16 /* certificates in a server's PEM text */, TLS_DATE = 32 };

struct tls_pem {
	X509 *chain[TLS_CHAIN_MAX];
	unsigned n;
	EVP_PKEY *key; /* NULL: there is none */
};

/* A certificate with its key that servers show and connections are on; counted. */
struct tls_identity {
	struct tls_identity *next, **link; /* all of this process */
	unsigned holders;
	size_t sessions;
	X509 *x;
	EVP_PKEY *key;
	STACK_OF(X509) *chain;
	struct buf ocsp;
	struct tls_certificate about;
};

/* tls.c */
const char *tls_last_reason(void); /* OpenSSL's last error, in its words; empties its queue */
SSL_CTX *tls_new_context(const SSL_METHOD *method, enum tls_min min);
struct tls_server *tls_server_of(SSL *ssl); /* of an accepted connection */
enum tls_ask tls_asks(SSL *ssl);
bool tls_is_told(SSL *ssl); /* which certificate to show: tls_show() */
/* Remembers the certificate that is not accepted, so that a person can be told whose it was. */
void tls_note_refused(SSL *ssl, X509 *x);

/* tls_certificate.c */
bool tls_certificate_take(struct tls_pem *out, struct str pem, struct err *err);
/* The same, of a text that may be without any. */
bool tls_certificate_take_some(struct tls_pem *out, struct str pem, struct err *err);
void tls_certificate_drop(struct tls_pem *pem);
/* Dates (unless `now` is 0) and key. Describes the certificate in any case. */
bool tls_certificate_check(const struct tls_pem *pem, int64_t now, struct tls_certificate *seen, struct err *err);
void tls_certificate_describe(X509 *x, struct tls_certificate *out);
int64_t tls_certificate_seconds(const ASN1_TIME *time); /* since 1970 */
void tls_certificate_date(int64_t seconds, char out[TLS_DATE]);
/* Each DNS name, in lower case; those with other characters than a host name's are passed over. */
void tls_certificate_each_name(const X509 *x, void (*fn)(void *ctx, const char *name), void *ctx);
/* What a client's certificate claims (tls_client_claims()); `only_fingerprint` when nobody vouches for its names. */
void tls_certificate_claims(X509 *x, bool only_fingerprint, struct buf *out);

/* tls_identity.c */
/* Takes the chain and the key out of the PEM. */
struct tls_identity *tls_identity_new(struct tls_pem *pem);
void tls_identity_let_go(struct tls_identity *id);
bool tls_identity_show(SSL *ssl, const struct tls_identity *id);
/* All of this process, linked by `next`: also of servers that are no more, while they have sessions. */
const struct tls_identity *tls_identity_all(void);
/* A certificate that was read twice is one: these look at its fingerprint. */
bool tls_identity_is_same(const struct tls_identity *a, const struct tls_identity *b);
size_t tls_identity_sessions(const struct tls_identity *id);
bool tls_identity_is_first(const struct tls_identity *id); /* of those that are the same */

/* tls_server.c */
SSL_CTX *tls_server_context(const struct tls_server *server);
struct str tls_server_pins(const struct tls_server *server);
/* Gives a connection of another server the first certificate of this one. */
void tls_server_show(const struct tls_server *server, SSL *ssl);
/* The rules of a new connection. */
void tls_server_prepare(const struct tls_server *server, SSL *ssl, enum tls_ask ask);
/* The handshake is done: counts the connection in; NULL when it was shown no certificate. */
struct tls_identity *tls_server_count_in(const struct tls_server *server, SSL *ssl);
void tls_server_count_out(struct tls_identity **identity);

#endif
