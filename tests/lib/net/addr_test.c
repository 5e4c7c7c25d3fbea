/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses as text.
 */
#include "lib/net/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "tests/support/unit.h"

static void addresses_are_written_as_people_read_them(void)
{
	static const struct {
		int family;
		const char *address, *text, *literal;
	} cases[] = {
		{AF_INET, "192.0.2.1", "192.0.2.1", "192.0.2.1"},
		{AF_INET6, "::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1"},
		{AF_INET6, "2001:db8::1", "2001:db8::1", "IPv6:2001:db8::1"},
		{AF_INET6, "::1", "::1", "IPv6:::1"},
	};
	char text[ADDR_TEXT], literal[ADDR_TEXT];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sockaddr_storage s = {.ss_family = (sa_family_t)cases[i].family};
		struct sockaddr_in *four = (void *)&s;
		struct sockaddr_in6 *six = (void *)&s;
		void *to = cases[i].family == AF_INET ? (void *)&four->sin_addr : (void *)&six->sin6_addr;

		UNIT_INT(inet_pton(cases[i].family, cases[i].address, to), 1);
		UNIT_TEXT(addr_text(&s, text), cases[i].text);
		UNIT_TEXT(addr_literal(str_of(text), literal), cases[i].literal);
	}
}

static void another_family_has_no_address(void)
{
	struct sockaddr_storage s = {.ss_family = AF_UNIX};
	char text[ADDR_TEXT];

	UNIT_TEXT(addr_text(&s, text), "unknown");
}

UNIT_TESTS({"addresses are written as people read them", addresses_are_written_as_people_read_them},
	   {"another family has no address", another_family_has_no_address})
