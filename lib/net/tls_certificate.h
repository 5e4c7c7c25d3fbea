/* SPDX-License-Identifier: Apache-2.0
 *
 * What a certificate says, for logs, the status and refusals; and OCSP responses about one. Certificates are
 * taken into use in lib/net/tls_server.h.
 */
#ifndef LIB_NET_TLS_CERTIFICATE_H
#define LIB_NET_TLS_CERTIFICATE_H

#include <stdbool.h>
#include <stdint.h>

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

/* Whether an OCSP response (DER) may be stapled to the first certificate of a PEM text at `now` (seconds): it parses, is
 * about this certificate, says good, is signed by the issuer or in its name (when the text has the issuer), and is
 * not too old. *until is when it will be. */
bool tls_certificate_check_ocsp(struct str pem, struct str der, int64_t now, int64_t *until, struct err *err);

/* Whether a fingerprint is among `pins`: hex, with or without colons, separated by blanks. */
bool tls_certificate_has_pin(struct str pins, const char *fingerprint);

#endif
