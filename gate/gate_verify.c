/* SPDX-License-Identifier: Apache-2.0
 *
 * A few threads, a list of what is to be verified and a list of what is, one lock for both; an
 * eventfd wakes the loop. An attempt belongs to the threads from gate_verify_start() to its
 * callback.
 */
#include "gate/gate_verify.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"

/* crypt_r()'s own work area is on the heap. */
enum { STACK = 256 * 1024 };

struct jobs {
	struct gate_attempt *first, **last;
};

struct gate_verify {
	struct loop_fd *watch;
	int event;
	gate_verify_fn *fn;
	void *ctx;
	pthread_t *threads;
	unsigned n_threads;

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t wake;
	struct jobs waiting, done;
	bool is_ending;
};

static void add_job(struct jobs *jobs, struct gate_attempt *a)
{
	if (jobs->first == NULL)
		jobs->last = &jobs->first;
	a->next_job = NULL;
	*jobs->last = a;
	jobs->last = &a->next_job;
}

static struct gate_attempt *take_job(struct jobs *jobs)
{
	struct gate_attempt *a = jobs->first;

	if (a != NULL)
		jobs->first = a->next_job;
	return a;
}

/* NULL: the thread is to end. */
static struct gate_attempt *wait_for_job(struct gate_verify *v)
{
	struct gate_attempt *a;

	pthread_mutex_lock(&v->lock);
	while (!v->is_ending && v->waiting.first == NULL)
		pthread_cond_wait(&v->wake, &v->lock);
	a = v->is_ending ? NULL : take_job(&v->waiting);
	pthread_mutex_unlock(&v->lock);
	return a;
}

static void *work(void *arg)
{
	struct gate_verify *v = arg;
	struct gate_attempt *a;

	while ((a = wait_for_job(v)) != NULL) {
		int64_t start = clock_mono();
		const uint64_t one = 1;

		a->is_right = password_is_right(str_bytes(a->password, a->password_n), a->hash);
		a->took = clock_mono() - start;
		pthread_mutex_lock(&v->lock);
		add_job(&v->done, a);
		pthread_mutex_unlock(&v->lock);
		/* It only fails when the counter is full: the loop is awake then. */
		(void)!write(v->event, &one, sizeof(one));
	}
	return NULL;
}

static void on_done(void *ctx, unsigned events)
{
	struct gate_verify *v = ctx;
	struct jobs done;
	struct gate_attempt *a;
	uint64_t count;

	(void)events;
	(void)!read(v->event, &count, sizeof(count));
	pthread_mutex_lock(&v->lock);
	done = v->done;
	v->done = (struct jobs){0};
	pthread_mutex_unlock(&v->lock);
	while ((a = take_job(&done)) != NULL)
		v->fn(v->ctx, a);
}

static void start_threads(struct gate_verify *v)
{
	pthread_attr_t attr;
	sigset_t all, was;
	int failed = 0;

	must(pthread_attr_init(&attr) == 0 && pthread_attr_setstacksize(&attr, STACK) == 0);
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	for (unsigned i = 0; i < v->n_threads && failed == 0; i++)
		failed = pthread_create(&v->threads[i], &attr, work, v);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	pthread_attr_destroy(&attr);
	if (failed != 0)
		die("cannot start a thread: %s", strerror(failed));
}

struct gate_verify *gate_verify_new(struct loop *loop, unsigned threads, gate_verify_fn *fn,
				    void *ctx)
{
	struct gate_verify *v = mem_zero(sizeof(*v));

	v->fn = fn;
	v->ctx = ctx;
	v->n_threads = threads;
	v->threads = mem_array(threads, sizeof(*v->threads));
	v->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (v->event < 0)
		die("eventfd: %s", strerror(errno));
	v->watch = loop_fd_new(loop, v->event, on_done, v);
	loop_fd_want(v->watch, LOOP_READ);
	must(pthread_mutex_init(&v->lock, NULL) == 0 && pthread_cond_init(&v->wake, NULL) == 0);
	start_threads(v);
	return v;
}

void gate_verify_free(struct gate_verify **verify)
{
	struct gate_verify *v = *verify;

	if (v == NULL)
		return;
	pthread_mutex_lock(&v->lock);
	v->is_ending = true;
	pthread_cond_broadcast(&v->wake);
	pthread_mutex_unlock(&v->lock);
	for (unsigned i = 0; i < v->n_threads; i++)
		pthread_join(v->threads[i], NULL);
	loop_fd_free(&v->watch);
	fd_close(&v->event);
	pthread_cond_destroy(&v->wake);
	pthread_mutex_destroy(&v->lock);
	free(v->threads);
	mem_free(verify);
}

void gate_verify_start(struct gate_verify *verify, struct gate_attempt *attempt)
{
	pthread_mutex_lock(&verify->lock);
	add_job(&verify->waiting, attempt);
	pthread_cond_signal(&verify->wake);
	pthread_mutex_unlock(&verify->lock);
}
