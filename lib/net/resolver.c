/* SPDX-License-Identifier: Apache-2.0
 *
 * getaddrinfo() in a few threads: it reads /etc/hosts and /etc/resolv.conf (which a child finds in its root directory) and
 * orders what it finds (RFC 6724).
 */
#include "lib/net/resolver.h"

#include <netdb.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "lib/base/mem.h"
#include "lib/net/threads.h"

/* A server that does not answer keeps a thread for seconds: some more for the other names. */
enum { THREADS = 4 };

struct resolver_question {
	struct threads_job job;
	char *host;
	char service[8];
	resolver_fn *fn; /* NULL: forgotten. The loop's alone */
	void *ctx;
	struct addrinfo *addresses;
	int failed;
};

struct resolver {
	struct threads *threads;
};

static struct resolver_question *question_of(struct threads_job *job)
{
	return (struct resolver_question *)((char *)job - offsetof(struct resolver_question, job));
}

static void free_question(struct threads_job *job)
{
	struct resolver_question *q = question_of(job);

	if (q->addresses != NULL)
		freeaddrinfo(q->addresses);
	free(q->host);
	free(q);
}

static void work(struct threads_job *job)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct resolver_question *q = question_of(job);

	q->failed = getaddrinfo(q->host, q->service, &hints, &q->addresses);
}

static void on_done(void *ctx, struct threads_job *job)
{
	struct resolver_question *q = question_of(job);
	struct addrinfo *addresses = q->addresses;
	char why[300];

	(void)ctx;
	if (q->fn != NULL) {
		snprintf(why, sizeof(why), "%.200s: %s", q->host, gai_strerror(q->failed));
		q->addresses = NULL;
		q->fn(q->ctx, q->failed == 0 ? addresses : NULL, why);
	}
	free_question(job);
}

struct resolver *resolver_new(struct loop *loop)
{
	struct resolver *r = mem_zero(sizeof(*r));

	r->threads = threads_new(loop, THREADS, work, on_done, r);
	return r;
}

void resolver_free(struct resolver **resolver)
{
	if (*resolver == NULL)
		return;
	threads_free(&(*resolver)->threads, free_question);
	mem_free(resolver);
}

struct resolver_question *resolver_ask(struct resolver *resolver, const char *host, uint16_t port, resolver_fn *fn, void *ctx)
{
	struct resolver_question *q = mem_zero(sizeof(*q));

	q->host = mem_text(host);
	snprintf(q->service, sizeof(q->service), "%u", port);
	q->fn = fn;
	q->ctx = ctx;
	threads_start(resolver->threads, &q->job);
	return q;
}

void resolver_forget(struct resolver_question **question)
{
	if (*question != NULL)
		(*question)->fn = NULL;
	*question = NULL;
}
