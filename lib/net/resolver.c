/* SPDX-License-Identifier: Apache-2.0
 *
 * getaddrinfo() in a few threads: it reads /etc/hosts and /etc/resolv.conf (which a child finds in its root directory) and
 * orders what it finds (RFC 6724). One lock for the lists, an eventfd to wake the loop. A question belongs to the threads
 * until it is in `done`.
 */
#include "lib/net/resolver.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"

/* A server that does not answer keeps a thread for seconds: some more for the other names. */
enum { THREADS = 4, STACK = 256 * 1024 };

struct resolver_question {
	struct resolver_question *next;
	char *host;
	char service[8];
	resolver_fn *fn; /* NULL: forgotten. The loop's alone */
	void *ctx;
	struct addrinfo *addresses;
	int failed;
};

struct questions {
	struct resolver_question *first, **last;
};

struct resolver {
	struct loop_fd *watch;
	int event;
	pthread_t threads[THREADS];
	unsigned n_threads;

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t wake;
	struct questions waiting, done;
	bool is_ending;
};

static void add(struct questions *questions, struct resolver_question *q)
{
	if (questions->first == NULL)
		questions->last = &questions->first;
	q->next = NULL;
	*questions->last = q;
	questions->last = &q->next;
}

static struct resolver_question *take(struct questions *questions)
{
	struct resolver_question *q = questions->first;

	if (q != NULL)
		questions->first = q->next;
	return q;
}

static void free_question(struct resolver_question *q)
{
	if (q->addresses != NULL)
		freeaddrinfo(q->addresses);
	free(q->host);
	free(q);
}

static struct resolver_question *wait_for_question(struct resolver *r)
{
	struct resolver_question *q;

	pthread_mutex_lock(&r->lock);
	while (!r->is_ending && r->waiting.first == NULL)
		pthread_cond_wait(&r->wake, &r->lock);
	q = r->is_ending ? NULL : take(&r->waiting);
	pthread_mutex_unlock(&r->lock);
	return q;
}

static void *work(void *arg)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct resolver *r = arg;
	struct resolver_question *q;

	while ((q = wait_for_question(r)) != NULL) {
		const uint64_t one = 1;

		q->failed = getaddrinfo(q->host, q->service, &hints, &q->addresses);
		pthread_mutex_lock(&r->lock);
		add(&r->done, q);
		pthread_mutex_unlock(&r->lock);
		/* It only fails when the counter is full: the loop is awake then. */
		(void)!write(r->event, &one, sizeof(one));
	}
	return NULL;
}

static void answer(struct resolver_question *q)
{
	struct addrinfo *addresses = q->addresses;
	char why[300];

	if (q->fn != NULL) {
		snprintf(why, sizeof(why), "%.200s: %s", q->host, gai_strerror(q->failed));
		q->addresses = NULL;
		q->fn(q->ctx, q->failed == 0 ? addresses : NULL, why);
	}
	free_question(q);
}

static void on_done(void *ctx, unsigned events)
{
	struct resolver *r = ctx;
	struct resolver_question *q;
	uint64_t count;

	(void)events;
	(void)!read(r->event, &count, sizeof(count));
	for (;;) {
		pthread_mutex_lock(&r->lock);
		q = take(&r->done);
		pthread_mutex_unlock(&r->lock);
		if (q == NULL)
			return;
		answer(q);
	}
}

static void start_threads(struct resolver *r)
{
	pthread_attr_t attr;
	sigset_t all, was;
	int failed = 0;

	must(pthread_attr_init(&attr) == 0 && pthread_attr_setstacksize(&attr, STACK) == 0);
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	for (; r->n_threads < THREADS && failed == 0; r->n_threads += failed == 0)
		failed = pthread_create(&r->threads[r->n_threads], &attr, work, r);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	pthread_attr_destroy(&attr);
	if (failed != 0)
		die("cannot start a thread: %s", strerror(failed));
}

struct resolver *resolver_new(struct loop *loop)
{
	struct resolver *r = mem_zero(sizeof(*r));

	r->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->event < 0)
		die("eventfd: %s", strerror(errno));
	r->watch = loop_fd_new(loop, r->event, on_done, r);
	loop_fd_want(r->watch, LOOP_READ);
	must(pthread_mutex_init(&r->lock, NULL) == 0 && pthread_cond_init(&r->wake, NULL) == 0);
	return r;
}

void resolver_free(struct resolver **resolver)
{
	struct resolver *r = *resolver;
	struct resolver_question *q;

	if (r == NULL)
		return;
	pthread_mutex_lock(&r->lock);
	r->is_ending = true;
	pthread_cond_broadcast(&r->wake);
	pthread_mutex_unlock(&r->lock);
	for (unsigned i = 0; i < r->n_threads; i++)
		pthread_join(r->threads[i], NULL);
	while ((q = take(&r->waiting)) != NULL || (q = take(&r->done)) != NULL)
		free_question(q);
	loop_fd_free(&r->watch);
	fd_close(&r->event);
	pthread_cond_destroy(&r->wake);
	pthread_mutex_destroy(&r->lock);
	mem_free(resolver);
}

struct resolver_question *resolver_ask(struct resolver *resolver, const char *host, uint16_t port, resolver_fn *fn, void *ctx)
{
	struct resolver_question *q = mem_zero(sizeof(*q));

	q->host = mem_text(host);
	snprintf(q->service, sizeof(q->service), "%u", port);
	q->fn = fn;
	q->ctx = ctx;
	if (resolver->n_threads == 0)
		start_threads(resolver);
	pthread_mutex_lock(&resolver->lock);
	add(&resolver->waiting, q);
	pthread_cond_signal(&resolver->wake);
	pthread_mutex_unlock(&resolver->lock);
	return q;
}

void resolver_forget(struct resolver_question **question)
{
	if (*question != NULL)
		(*question)->fn = NULL;
	*question = NULL;
}
