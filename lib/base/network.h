/* SPDX-License-Identifier: Apache-2.0
 *
 * IP addresses and lists of networks, as people write them: "10.0.0.0/8 2001:db8::/32, 192.0.2.7". An IPv4 address
 * is the same written as ::ffff:192.0.2.7. Pure.
 */
#ifndef LIB_BASE_NETWORK_H
#define LIB_BASE_NETWORK_H

#include "lib/base/err.h"
#include "lib/base/str.h"

enum { NETWORK_KEY = 56 };

struct network {
	unsigned char address[16]; /* IPv4 as ::ffff:a.b.c.d */
	uint8_t bits;		   /* of these 128 that count */
};

/* All zero: none. */
struct network_list {
	struct network *network;
	size_t n;
};

/* An address without anything behind it. */
bool network_is_address(struct str text);

/* A host's name or address ("localhost", "::1", "[::1]", 127.x.y.z) that is this machine whatever a resolver says. */
bool network_is_this_host(struct str host);

/* An address that leads to this machine or to what is reached only from it: loopback, link-local (the clouds' metadata),
 * none, multicast, the limited broadcast. */
bool network_is_near(struct str address);

/* Networks and addresses with blanks, commas or both between them; none is fine. Into a list that held nothing; the
 * caller ends it with network_list_clear(). False: nothing is in it, and err names the one that is wrong. */
bool network_list_parse(struct str text, struct network_list *out, struct err *err);
/* Whether the address is in one of them; what is no address is in none. ::/0 has no IPv4 address in it. */
bool network_list_has(const struct network_list *list, struct str address);
void network_list_clear(struct network_list *list);

/* Under which name an address is counted: "192.0.2.1", and for IPv6 its /64, "2001:db8:1:2::/64", since that is
 * what one customer has. Such a name gives itself. False for what is neither; out is then "". */
bool network_key(struct str address, char out[NETWORK_KEY]);

#endif
