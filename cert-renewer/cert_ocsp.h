/* SPDX-License-Identifier: Apache-2.0
 *
 * Asking the responder that a certificate names (RFC 6960, appendix A.1).
 */
#ifndef CERT_RENEWER_CERT_OCSP_H
#define CERT_RENEWER_CERT_OCSP_H

#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/net/http_client.h"

struct cert_ocsp_call;

/* `der` has been checked (tls_ocsp_check()), and is good until `until` (seconds since 1970); it may
 * be refreshed from `refresh_at` on, when half of what is left of its life has passed. Empty: `why`
 * says what is in the way. */
typedef void cert_ocsp_fn(void *ctx, struct str der, int64_t refresh_at, int64_t until,
			  const char *why);

/* pem: the chain, the certificate first, and its issuer; copied. fn is called once, never before
 * this returns. NULL: there is nobody to ask, and fn is not called; err says why. */
struct cert_ocsp_call *cert_ocsp_ask(struct http_client *http, struct str pem, cert_ocsp_fn *fn,
				     void *ctx, struct err *err);
/* fn will not be called. */
void cert_ocsp_forget(struct cert_ocsp_call **call);

#endif
