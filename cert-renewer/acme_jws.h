/* SPDX-License-Identifier: Apache-2.0
 *
 * Signed requests (RFC 8555, 6.2): a JWS in the flattened JSON serialization (RFC 7515, 7.2.2). Pure, but for what ECDSA takes at random.
 */
#ifndef CERT_RENEWER_ACME_JWS_H
#define CERT_RENEWER_ACME_JWS_H

#include <stdbool.h>

#include "lib/base/buf.h"
#include "lib/net/tls_key.h"

/* What the bodies and parts of requests may take: a CSR with a hundred names is some 7 KiB. */
enum { ACME_JWS_MAX = 131072 };

struct acme_jws {
	const struct tls_key *key;
	struct str account; /* its URL ("kid"); empty: the key itself is in it ("jwk") */
	struct str nonce;   /* empty: none, of an inner one */
	struct str url;
	struct str payload; /* empty: POST-as-GET */
};

/* Appends it, signed with ES256. */
void acme_jws_put(struct buf *out, const struct acme_jws *jws);
/* Appends what binds the key to an account that the authority knows already (7.3.4): HS256 with `mac_key`. */
void acme_jws_put_binding(struct buf *out, const struct tls_key *key, struct str key_id, struct str mac_key, struct str url);
/* Appends the public key as a JWK, its members in the order that RFC 7638 wants. */
void acme_jws_put_jwk(struct buf *out, const struct tls_key *key);
/* Appends TOKEN.THUMBPRINT (8.1). */
void acme_jws_put_key_authorization(struct buf *out, const struct tls_key *key, struct str token);

#endif
