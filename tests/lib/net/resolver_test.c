/* SPDX-License-Identifier: Apache-2.0
 *
 * Names that need no server: this host's, addresses, and one that no server may know (RFC 6761, 6.4). Names that begin with
 * "slow" take until they are let go.
 */
#include "lib/net/resolver.h"

#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>

#include "tests/support/unit.h"

static struct {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	unsigned n_slow, n_late; /* how many were begun */
	bool is_let_go;
} names = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
	int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
	bool is_slow = str_starts(str_of(host), STR("slow"));

	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	pthread_mutex_lock(&names.lock);
	names.n_slow += is_slow;
	names.n_late += str_eq(str_of(host), STR("late"));
	pthread_cond_broadcast(&names.wake);
	while (is_slow && !names.is_let_go)
		pthread_cond_wait(&names.wake, &names.lock);
	pthread_mutex_unlock(&names.lock);
	return real(is_slow ? "192.0.2.1" : host, service, hints, found);
}

/* Until so many threads are held up. */
static void await_slow(unsigned n)
{
	pthread_mutex_lock(&names.lock);
	while (names.n_slow < n)
		pthread_cond_wait(&names.wake, &names.lock);
	pthread_mutex_unlock(&names.lock);
}

static void let_go(bool is_let_go)
{
	pthread_mutex_lock(&names.lock);
	names.is_let_go = is_let_go;
	if (!is_let_go)
		names.n_slow = names.n_late = 0;
	pthread_cond_broadcast(&names.wake);
	pthread_mutex_unlock(&names.lock);
}

struct answer {
	char address[ADDR_TEXT];
	char why[300];
	unsigned port, n;
};

static void on_answer(void *ctx, const struct addr_list *addresses, const char *why)
{
	struct answer *a = ctx;

	a->n++;
	str_copy(str_of(why), a->why, sizeof(a->why));
	if (addresses == NULL)
		return;
	addr_text(&addresses->address[0], a->address);
	a->port = ntohs(((const struct sockaddr_in *)(const void *)&addresses->address[0])->sin_port);
}

static struct resolver_question *ask(struct resolver *resolver, const char *name, uint16_t port, struct answer *a)
{
	return resolver_ask(resolver, &(struct resolver_host){name, port, false}, on_answer, a);
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

	ask(resolver, "192.0.2.7", 25, &a[0]);
	ask(resolver, "2001:db8::1", 465, &a[1]);
	ask(resolver, "localhost", 587, &a[2]);
	ask(resolver, "no host", 587, &a[3]);
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
	struct resolver_question *q = ask(resolver, "192.0.2.7", 25, &a[0]);

	resolver_forget(resolver, &q);
	UNIT_TRUE(q == NULL);
	resolver_forget(resolver, &q);
	ask(resolver, "192.0.2.8", 25, &a[1]);
	wait_for(loop, &a[1], 1);
	UNIT_INT(a[0].n, 0);
	/* Questions that are open at the end are dropped. */
	ask(resolver, "192.0.2.9", 25, &a[0]);
	resolver_free(&resolver);
	UNIT_INT(a[0].n, 0);
	loop_free(&loop);
}

/* However many ask for a name that takes long, it has one thread; each is told its own port. */
static void equal_names_are_looked_up_once(void)
{
	struct loop *loop = loop_new();
	struct resolver *resolver = resolver_new(loop);
	struct answer a[101] = {0};
	struct resolver_question *q[100];

	let_go(false);
	for (unsigned i = 0; i < 100; i++)
		q[i] = ask(resolver, i % 2 == 0 ? "slow.example" : "SLOW.example", (uint16_t)(1000 + i), &a[i]);
	await_slow(1);
	ask(resolver, "192.0.2.8", 25, &a[100]);
	wait_for(loop, &a[100], 1);
	for (unsigned i = 10; i < 100; i++)
		resolver_forget(resolver, &q[i]);
	let_go(true);
	wait_for(loop, a, 10);
	UNIT_INT(names.n_slow, 1);
	for (unsigned i = 0; i < 100; i++) {
		UNIT_INT(a[i].n, i < 10);
		UNIT_INT(a[i].port, i < 10 ? 1000 + i : 0);
	}
	resolver_free(&resolver);
	loop_free(&loop);
}

static void a_name_that_nobody_waits_for_is_not_looked_up(void)
{
	struct loop *loop = loop_new();
	struct resolver *resolver = resolver_new(loop);
	struct answer a[7] = {0};
	struct resolver_question *q, *slow;

	let_go(false);
	slow = ask(resolver, "slow1", 25, &a[0]);
	ask(resolver, "slow2", 25, &a[1]);
	ask(resolver, "slow3", 25, &a[2]);
	ask(resolver, "slow4", 25, &a[3]);
	await_slow(4);
	q = ask(resolver, "late", 25, &a[4]);
	resolver_forget(resolver, &q);
	ask(resolver, "192.0.2.8", 25, &a[5]);
	/* One that runs has its thread: who asks again meanwhile gets what it finds. */
	resolver_forget(resolver, &slow);
	ask(resolver, "slow1", 26, &a[6]);
	let_go(true);
	wait_for(loop, &a[1], 3);
	wait_for(loop, &a[5], 2);
	UNIT_INT(a[0].n, 0);
	UNIT_INT(a[4].n, 0);
	UNIT_INT(a[5].n, 1);
	UNIT_INT(a[6].port, 26);
	UNIT_INT(names.n_late, 0);
	UNIT_INT(names.n_slow, 4);
	resolver_free(&resolver);
	loop_free(&loop);
}

static void the_names_of_strangers_leave_threads_to_the_others(void)
{
	struct loop *loop = loop_new();
	struct resolver *resolver = resolver_new(loop);
	struct answer a[9] = {0};

	let_go(false);
	for (unsigned i = 0; i < 8; i++) {
		const char name[] = {'s', 'l', 'o', 'w', (char)('a' + i), '\0'};

		resolver_ask(resolver, &(struct resolver_host){name, 25, true}, on_answer, &a[i]);
	}
	await_slow(2);
	ask(resolver, "192.0.2.8", 25, &a[8]);
	wait_for(loop, &a[8], 1);
	UNIT_INT(names.n_slow, 2);
	let_go(true);
	wait_for(loop, a, 8);
	UNIT_INT(names.n_slow, 8);
	resolver_free(&resolver);
	loop_free(&loop);
}

UNIT_TESTS({"names and addresses are found", names_and_addresses_are_found},
	   {"what is forgotten is not answered", what_is_forgotten_is_not_answered},
	   {"equal names are looked up once", equal_names_are_looked_up_once},
	   {"a name that nobody waits for is not looked up", a_name_that_nobody_waits_for_is_not_looked_up},
	   {"the names of strangers leave threads to the others", the_names_of_strangers_leave_threads_to_the_others})
