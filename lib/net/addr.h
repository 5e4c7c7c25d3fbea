/* SPDX-License-Identifier: Apache-2.0
 *
 * IP addresses as text.
 */
#ifndef LIB_NET_ADDR_H
#define LIB_NET_ADDR_H

#include <sys/socket.h>

#include "lib/base/str.h"

enum { ADDR_TEXT = 56 }; /* an IPv6 address with "IPv6:" before it, and a NUL */

/* The host's address: "192.0.2.1" also when it came as ::ffff:192.0.2.1. "unknown" for other families. */
char *addr_text(const struct sockaddr_storage *from, char out[ADDR_TEXT]);
/* As it stands in a Received field between [ and ]: with "IPv6:" before an IPv6 address (RFC 5321, 4.1.3). */
char *addr_literal(struct str text, char out[ADDR_TEXT]);

#endif
