/* SPDX-License-Identifier: Apache-2.0
 *
 * getaddrinfo() in a few threads: it reads /etc/hosts and /etc/resolv.conf (which a child finds in its root directory) and
 * orders what it finds (RFC 6724).
 *
 * A server that does not answer keeps a thread for many seconds. So a name is looked up once for all who wait for it, and not
 * at all when nobody waits any more; and names that strangers give never have all threads.
 */
#include "lib/net/resolver.h"

#include <netdb.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/net/threads.h"

enum { THREADS = 4, FOREIGN_MAX = 2 };

struct resolver_question {
	struct lookup *lookup;
	struct resolver_question *next; /* for the same name */
	uint16_t port;
	resolver_fn *fn;
	void *ctx;
};

struct lookup {
	struct threads_job job;
	struct lookup *next; /* the next younger one */
	char *host;
	bool is_foreign, is_running;
	struct resolver_question *questions;
	/* While it runs, the thread's: */
	struct addr_list found;
	int failed;
};

struct resolver {
	struct threads *threads;
	struct lookup *lookups;
	unsigned n_running, n_foreign; /* the latter among the former */
};

static struct lookup *lookup_of(struct threads_job *job)
{
	return (struct lookup *)((char *)job - offsetof(struct lookup, job));
}

static void free_lookup(struct lookup *l)
{
	while (l->questions != NULL) {
		struct resolver_question *q = l->questions;

		l->questions = q->next;
		free(q);
	}
	free(l->host);
	free(l);
}

static void unlink_lookup(struct resolver *r, const struct lookup *l)
{
	struct lookup **at = &r->lookups;

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
}

static void work(struct threads_job *job)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct lookup *l = lookup_of(job);
	struct addrinfo *found = NULL;

	l->failed = getaddrinfo(l->host, NULL, &hints, &found);
	if (l->failed != 0)
		return;
	addr_list_take(&l->found, found);
	freeaddrinfo(found);
}

/* As many as may, the oldest first. */
static void start_some(struct resolver *r)
{
	for (struct lookup *l = r->lookups; l != NULL && r->n_running < THREADS; l = l->next) {
		if (l->is_running || (l->is_foreign && r->n_foreign >= FOREIGN_MAX))
			continue;
		l->is_running = true;
		r->n_running++;
		r->n_foreign += l->is_foreign;
		threads_start(r->threads, &l->job);
	}
}

static void on_done(void *ctx, struct threads_job *job)
{
	struct resolver *r = ctx;
	struct lookup *l = lookup_of(job);
	char why[300];

	unlink_lookup(r, l);
	r->n_running--;
	r->n_foreign -= l->is_foreign;
	start_some(r);
	snprintf(why, sizeof(why), "%.200s: %s", l->host, gai_strerror(l->failed));
	while (l->questions != NULL) {
		struct resolver_question q = *l->questions;

		free(l->questions);
		l->questions = q.next;
		addr_list_set_port(&l->found, q.port);
		q.fn(q.ctx, l->failed == 0 ? &l->found : NULL, why);
	}
	free_lookup(l);
}

struct resolver *resolver_new(struct loop *loop)
{
	struct resolver *r = mem_zero(sizeof(*r));

	r->threads = threads_new(loop, THREADS, work, on_done, r);
	return r;
}

void resolver_free(struct resolver **resolver)
{
	struct resolver *r = *resolver;

	if (r == NULL)
		return;
	threads_free(&r->threads, NULL);
	while (r->lookups != NULL) {
		struct lookup *l = r->lookups;

		r->lookups = l->next;
		free_lookup(l);
	}
	mem_free(resolver);
}

static struct lookup *lookup_for(struct resolver *r, const struct resolver_host *host)
{
	struct lookup **at = &r->lookups;

	while (*at != NULL && !str_ieq(str_of((*at)->host), str_of(host->name)))
		at = &(*at)->next;
	if (*at == NULL) {
		*at = mem_zero(sizeof(**at));
		(*at)->host = mem_text(host->name);
		(*at)->is_foreign = host->is_foreign;
	}
	/* One that runs was counted when it began. */
	if (!(*at)->is_running)
		(*at)->is_foreign &= host->is_foreign;
	return *at;
}

struct resolver_question *resolver_ask(struct resolver *resolver, const struct resolver_host *host, resolver_fn *fn, void *ctx)
{
	struct lookup *l = lookup_for(resolver, host);
	struct resolver_question **at = &l->questions, *q = mem_zero(sizeof(*q));

	*q = (struct resolver_question){.lookup = l, .port = host->port, .fn = fn, .ctx = ctx};
	while (*at != NULL)
		at = &(*at)->next;
	*at = q;
	start_some(resolver);
	return q;
}

void resolver_forget(struct resolver *resolver, struct resolver_question **question)
{
	struct resolver_question *q = *question, **at;
	struct lookup *l;

	if (q == NULL)
		return;
	l = q->lookup;
	for (at = &l->questions; *at != q; at = &(*at)->next)
		continue;
	*at = q->next;
	free(q);
	*question = NULL;
	if (l->questions == NULL && !l->is_running) {
		unlink_lookup(resolver, l);
		free_lookup(l);
	}
}
