/* SPDX-License-Identifier: Apache-2.0
 *
 * Pure.
 */
#include "lib/net/addr.h"

#include <arpa/inet.h>
#include <netdb.h>
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

socklen_t addr_size(const struct sockaddr_storage *address)
{
	return address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

void addr_list_take(struct addr_list *list, const struct addrinfo *found)
{
	*list = (struct addr_list){0};
	for (const struct addrinfo *a = found; a != NULL && list->n < ADDR_LIST_MAX; a = a->ai_next)
		if (a->ai_family == AF_INET || a->ai_family == AF_INET6)
			memcpy(&list->address[list->n++], a->ai_addr, a->ai_addrlen);
}

void addr_list_set_port(struct addr_list *list, uint16_t port)
{
	for (unsigned i = 0; i < list->n; i++) {
		struct sockaddr_in6 *six = (void *)&list->address[i];
		struct sockaddr_in *four = (void *)&list->address[i];

		if (list->address[i].ss_family == AF_INET6)
			six->sin6_port = htons(port);
		else
			four->sin_port = htons(port);
	}
}
