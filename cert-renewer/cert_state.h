/* SPDX-License-Identifier: Apache-2.0
 *
 * What is remembered of a certificate over restarts, beside the certificate itself: state.json in its directory. Losing it costs
 * a question to the authority, never a certificate.
 */
#ifndef CERT_RENEWER_CERT_STATE_H
#define CERT_RENEWER_CERT_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/net/tls_certificate.h"

enum { CERT_STATE_MAX = 16384, CERT_STATE_WHY = 512, CERT_STATE_PROFILE = 64, CERT_STATE_DIRECTORY = 256 };

/* Times are seconds since 1970; 0: never. Certificates are named by their fingerprint; "": none. */
struct cert_state {
	int64_t failures; /* in a row */
	int64_t last_success, last_error_at;
	int64_t next_try;      /* after a failure, decided at last_error_at */
	/* A try that has not ended, and the certificate that there was then. */
	int64_t begun_at;
	char begun_with[TLS_CERTIFICATE_FINGERPRINT];
	int64_t refused_until; /* the authority wants no try before */
	char refused_by[CERT_STATE_DIRECTORY]; /* which: acme.directory, or as much as there is room for */
	char last_error[CERT_STATE_WHY];
	bool is_told;	   /* somebody was told of the failures */
	bool is_limit_told; /* and of a rate limit */
	bool is_asked_for; /* an operator wants another one */

	char revoked[TLS_CERTIFICATE_FINGERPRINT];
	char backed_up[TLS_CERTIFICATE_FINGERPRINT];
	/* The profile that a certificate was ordered with; of one from elsewhere it is not known. */
	char profile[CERT_STATE_PROFILE];
	char profile_of[TLS_CERTIFICATE_FINGERPRINT];

	/* What the authority suggests for a certificate (ARI). */
	char window_of[TLS_CERTIFICATE_FINGERPRINT];
	int64_t window_start, window_end;
	int64_t window_at; /* the moment chosen within */
	int64_t window_ask_at;

	int64_t ocsp_refresh_at, ocsp_until; /* of ocsp.der */
};

/* Appends it as JSON. */
void cert_state_put(const struct cert_state *state, struct buf *out);
/* False: it is not what cert_state_put() writes, and *state is as new. Members that are not there, or not known, are passed over: another
 * version wrote them. */
bool cert_state_read(struct str json, struct cert_state *state, struct err *err);

#endif
