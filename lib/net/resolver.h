/* SPDX-License-Identifier: Apache-2.0
 *
 * Host names to addresses without blocking the loop: the C library's own resolver, in threads.
 */
#ifndef LIB_NET_RESOLVER_H
#define LIB_NET_RESOLVER_H

#include <stdint.h>

#include "lib/net/addr.h"
#include "lib/net/loop.h"

struct resolver;
struct resolver_question;

struct resolver_host {
	const char *name; /* or an address */
	uint16_t port;
	bool is_foreign; /* a stranger's: it may be made to take long, and is not let keep the others waiting */
};

/* The addresses are borrowed; NULL: there are none, `why` says so. */
typedef void resolver_fn(void *ctx, const struct addr_list *addresses, const char *why);

/* The threads start with the first question. */
struct resolver *resolver_new(struct loop *loop);
/* Waits for names that a thread is at; nobody is called back. */
void resolver_free(struct resolver **resolver);
/* For stream sockets at that port. Never calls fn before it returns. The question is the resolver's, and gone when fn is
 * called. */
struct resolver_question *resolver_ask(struct resolver *resolver, const struct resolver_host *host, resolver_fn *fn, void *ctx);
/* The answer is not wanted any more: fn will not be called. */
void resolver_forget(struct resolver *resolver, struct resolver_question **question);

#endif
