/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a certificate is still good, in its authority's words (RFC 6960): asking, and what may be
 * stapled of the answers.
 */
#ifndef LIB_NET_TLS_OCSP_H
#define LIB_NET_TLS_OCSP_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/str.h"

/* Appends a request (DER) for the first certificate of a PEM text, whose issuer is there too, and
 * the URL of the responder. False: it names none, or there is no issuer; err says which. */
bool tls_ocsp_put_request(struct str pem, struct buf *der, struct buf *url, struct err *err);

/* Whether a response (DER) may be stapled to the first certificate of a PEM text at `now`
 * (seconds): it parses, is about this certificate, says good, is signed by the issuer or in its
 * name (when the text has the issuer), and is not too old. *until is when it will be. */
bool tls_ocsp_check(struct str pem, struct str der, int64_t now, int64_t *until, struct err *err);

#endif
