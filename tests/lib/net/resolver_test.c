/* SPDX-License-Identifier: Apache-2.0
 *
 * Names that need no server: this host's, addresses, and one that no server may know (RFC 6761, 6.4).
 */
#include "lib/net/resolver.h"

#include <netdb.h>
#include <netinet/in.h>

#include "lib/net/addr.h"
#include "tests/support/unit.h"

struct answer {
	char address[ADDR_TEXT];
	char why[300];
	unsigned port, n;
};

static void on_answer(void *ctx, struct addrinfo *addresses, const char *why)
{
	struct answer *a = ctx;
	struct sockaddr_storage address = {0};

	a->n++;
	str_copy(str_of(why), a->why, sizeof(a->why));
	if (addresses == NULL)
		return;
	memcpy(&address, addresses->ai_addr, addresses->ai_addrlen);
	addr_text(&address, a->address);
	a->port = ntohs(((const struct sockaddr_in *)(const void *)addresses->ai_addr)->sin_port);
	freeaddrinfo(addresses);
}

static void wait_for(struct loop *loop, const struct answer *answers, unsigned n)
{
	for (int turns = 0; turns < 600; turns++) {
		unsigned got = 0;

		for (unsigned i = 0; i < n; i++)
			got += answers[i].n;
		if (got >= n)
			return;
		loop_turn(loop, 100000);
	}
	UNIT_TRUE(false);
}

static void names_and_addresses_are_found(void)
{
	struct loop *loop = loop_new();
	struct resolver *resolver = resolver_new(loop);
	struct answer a[4] = {0};

	resolver_ask(resolver, "192.0.2.7", 25, on_answer, &a[0]);
	resolver_ask(resolver, "2001:db8::1", 465, on_answer, &a[1]);
	resolver_ask(resolver, "localhost", 587, on_answer, &a[2]);
	resolver_ask(resolver, "no host", 587, on_answer, &a[3]);
	UNIT_INT(a[0].n, 0);
	wait_for(loop, a, 4);
	UNIT_TEXT(a[0].address, "192.0.2.7");
	UNIT_INT(a[0].port, 25);
	UNIT_TEXT(a[1].address, "2001:db8::1");
	UNIT_INT(a[1].port, 465);
	UNIT_TRUE(strcmp(a[2].address, "127.0.0.1") == 0 || strcmp(a[2].address, "::1") == 0);
	UNIT_TEXT(a[3].address, "");
	UNIT_TRUE(str_starts(str_of(a[3].why), STR("no host: ")));
	resolver_free(&resolver);
	loop_free(&loop);
}

static void what_is_forgotten_is_not_answered(void)
{
	struct loop *loop = loop_new();
	struct resolver *resolver = resolver_new(loop);
	struct answer a[2] = {0};
	struct resolver_question *q = resolver_ask(resolver, "192.0.2.7", 25, on_answer, &a[0]);

	resolver_forget(&q);
	UNIT_TRUE(q == NULL);
	resolver_forget(&q);
	resolver_ask(resolver, "192.0.2.8", 25, on_answer, &a[1]);
	wait_for(loop, &a[1], 1);
	UNIT_INT(a[0].n, 0);
	/* Questions that are open at the end are dropped. */
	resolver_ask(resolver, "192.0.2.9", 25, on_answer, &a[0]);
	resolver_free(&resolver);
	UNIT_INT(a[0].n, 0);
	loop_free(&loop);
}

UNIT_TESTS({"names and addresses are found", names_and_addresses_are_found},
	   {"what is forgotten is not answered", what_is_forgotten_is_not_answered})
