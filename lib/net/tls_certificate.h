/* SPDX-License-Identifier: Apache-2.0
 *
 * What a certificate says, for logs, the status and refusals, and for whoever obtains and renews it. Certificates are
 * taken into use in lib/net/tls_server.h.
 */
#ifndef LIB_NET_TLS_CERTIFICATE_H
#define LIB_NET_TLS_CERTIFICATE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/str.h"

enum { TLS_CERTIFICATE_FINGERPRINT = 65, TLS_CERTIFICATE_PEM_MAX = 1 << 20, TLS_CERTIFICATE_CLAIMS = 4096 };

struct tls_certificate {
	char subject[256], issuer[256], serial[64], names[512];
	char key[32];				       /* "RSA 2048", "ECDSA P-256" */
	char fingerprint[TLS_CERTIFICATE_FINGERPRINT]; /* SHA-256, hex in lower case */
	int64_t not_before, not_after;		       /* seconds since 1970 */
	int64_t ocsp_until; /* of a server's: the OCSP response beside it is good until then; 0: there is none */
};

/* Of a PEM text with the chain (the certificate first) and the key: parses it, and checks as tls_server_add() does; for whoever obtained
 * it. `now` in seconds; 0: whenever. */
bool tls_certificate_read(struct str pem, int64_t now, struct tls_certificate *seen, struct err *err);
/* Appends the first certificate, DER. */
bool tls_certificate_put_der(struct str pem, struct buf *der, struct err *err);
/* Appends how ACME's renewal information names it (RFC 9773, 4.1): base64url of its issuer's key identifier and of its serial
 * number, a dot between. */
bool tls_certificate_put_renewal_id(struct str pem, struct buf *out, struct err *err);
/* Does the certificate hold for each of these DNS names and IP addresses, and no other? */
bool tls_certificate_is_for(struct str pem, const struct str *names, unsigned n, struct err *err);
/* Does it hold for no other? */
bool tls_certificate_has_only(struct str pem, const struct str *names, unsigned n, struct err *err);
/* Is the first certificate signed by its own key, or does it say so? Such a one no authority gives. */
bool tls_certificate_is_self_signed(struct str pem);
/* Is this the common name of the issuer of the chain's last certificate? */
bool tls_certificate_ends_at(struct str pem, struct str issuer);

/* Whether a fingerprint is among `pins`: hex, with or without colons, separated by blanks. */
bool tls_certificate_has_pin(struct str pins, const char *fingerprint);

#endif
