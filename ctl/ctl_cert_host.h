/* SPDX-License-Identifier: Apache-2.0
 *
 * The certificate that a host shows to whoever connects: at once, or after STARTTLS.
 */
#ifndef CTL_CTL_CERT_HOST_H
#define CTL_CTL_CERT_HOST_H

#include <stdint.h>

#include "lib/base/err.h"
#include "lib/net/tls_certificate.h"

/* Whoever vouches for it. False: err says what is in the way. Takes ten seconds at most, beside the resolver's. */
bool ctl_cert_host_look(const char *host, uint16_t port, bool is_implicit, struct tls_certificate *seen, struct err *err);

#endif
