/* SPDX-License-Identifier: Apache-2.0
 *
 * IP addresses to text. Pure.
 */
#include "lib/net/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

char *addr_text(const struct sockaddr_storage *from, char out[ADDR_TEXT])
{
	const struct sockaddr_in6 *six = (const void *)from;
	const struct sockaddr_in *four = (const void *)from;
	const void *address = &four->sin_addr;
	int family = from->ss_family;

	if (family == AF_INET6) {
		address = &six->sin6_addr;
		if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
			family = AF_INET;
			address = &six->sin6_addr.s6_addr[12];
		}
	}
	if ((family != AF_INET && family != AF_INET6) || inet_ntop(family, address, out, ADDR_TEXT) == NULL)
		snprintf(out, ADDR_TEXT, "unknown");
	return out;
}

char *addr_literal(struct str text, char out[ADDR_TEXT])
{
	bool is_six = str_find(text, ':') < text.n;

	snprintf(out, ADDR_TEXT, "%s%.*s", is_six ? "IPv6:" : "", STR_ARG(text));
	return out;
}
