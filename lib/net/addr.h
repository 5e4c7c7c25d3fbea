/* SPDX-License-Identifier: Apache-2.0
 *
 * IP addresses as text, and lists of them.
 */
#ifndef LIB_NET_ADDR_H
#define LIB_NET_ADDR_H

#include <sys/socket.h>

#include "lib/base/str.h"

struct addrinfo;

enum { ADDR_LIST_MAX = 16 };

/* Where a connection may be made to, in the order in which to try. */
struct addr_list {
	struct sockaddr_storage address[ADDR_LIST_MAX];
	unsigned n;
};

enum { ADDR_TEXT = 56 }; /* an IPv6 address with "IPv6:" before it, and a NUL */

/* The host's address: "192.0.2.1" also when it came as ::ffff:192.0.2.1. "unknown" for other families. */
char *addr_text(const struct sockaddr_storage *from, char out[ADDR_TEXT]);
/* As it stands in a Received field between [ and ]: with "IPv6:" before an IPv6 address (RFC 5321, 4.1.3). */
char *addr_literal(struct str text, char out[ADDR_TEXT]);

/* The first of what getaddrinfo() found. */
void addr_list_take(struct addr_list *list, const struct addrinfo *found);
void addr_list_set_port(struct addr_list *list, uint16_t port);
/* Of its family, for connect(). */
socklen_t addr_size(const struct sockaddr_storage *address);

#endif
