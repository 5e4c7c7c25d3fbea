/* SPDX-License-Identifier: Apache-2.0
 *
 * The certificate that an order ends with (RFC 8555, 7.4.2 and 9.1). Pure.
 */
#ifndef CERT_RENEWER_ACME_CHAIN_H
#define CERT_RENEWER_ACME_CHAIN_H

#include "lib/base/err.h"
#include "lib/net/tls_key.h"

/* Is it a list of certificates and nothing else, the first for this key, for these names and no others, and good at `now` (seconds)? */
bool acme_chain_check(struct str pem, const struct tls_key *key, const struct str *names, unsigned n, int64_t now, struct err *err);

#endif
