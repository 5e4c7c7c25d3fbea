/* SPDX-License-Identifier: Apache-2.0
 *
 * One lock for both lists, an eventfd to wake the loop.
 */
#include "lib/net/threads.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"

/* Neither getaddrinfo() nor crypt_r(), whose work area is on the heap, needs more. */
enum { STACK = 256 * 1024 };

struct jobs {
	struct threads_job *first, **last;
};

struct threads {
	struct loop_fd *watch;
	int event;
	threads_work_fn *work;
	threads_done_fn *done_fn;
	void *ctx;
	pthread_t *thread;
	unsigned n, n_started;

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t wake;
	struct jobs waiting, done;
	bool is_ending;
};

static void add(struct jobs *jobs, struct threads_job *job)
{
	if (jobs->first == NULL)
		jobs->last = &jobs->first;
	job->next = NULL;
	*jobs->last = job;
	jobs->last = &job->next;
}

static struct threads_job *take(struct jobs *jobs)
{
	struct threads_job *job = jobs->first;

	if (job != NULL)
		jobs->first = job->next;
	return job;
}

/* NULL: the thread is to end. */
static struct threads_job *wait_for_job(struct threads *t)
{
	struct threads_job *job;

	pthread_mutex_lock(&t->lock);
	while (!t->is_ending && t->waiting.first == NULL)
		pthread_cond_wait(&t->wake, &t->lock);
	job = t->is_ending ? NULL : take(&t->waiting);
	pthread_mutex_unlock(&t->lock);
	return job;
}

static void *run(void *arg)
{
	struct threads *t = arg;
	struct threads_job *job;

	while ((job = wait_for_job(t)) != NULL) {
		const uint64_t one = 1;

		t->work(job);
		pthread_mutex_lock(&t->lock);
		add(&t->done, job);
		pthread_mutex_unlock(&t->lock);
		/* It only fails when the counter is full: the loop is awake then. */
		(void)!write(t->event, &one, sizeof(one));
	}
	return NULL;
}

static void on_done(void *ctx, unsigned events)
{
	struct threads *t = ctx;
	struct threads_job *job;
	struct jobs done;
	uint64_t count;

	(void)events;
	(void)!read(t->event, &count, sizeof(count));
	pthread_mutex_lock(&t->lock);
	done = t->done;
	t->done = (struct jobs){0};
	pthread_mutex_unlock(&t->lock);
	while ((job = take(&done)) != NULL)
		t->done_fn(t->ctx, job);
}

static void start_all(struct threads *t)
{
	pthread_attr_t attr;
	sigset_t all, was;
	int failed = 0;

	must(pthread_attr_init(&attr) == 0 && pthread_attr_setstacksize(&attr, STACK) == 0);
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	for (; t->n_started < t->n && failed == 0; t->n_started += failed == 0)
		failed = pthread_create(&t->thread[t->n_started], &attr, run, t);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	pthread_attr_destroy(&attr);
	if (failed != 0)
		die("cannot start a thread: %s", strerror(failed));
}

struct threads *threads_new(struct loop *loop, unsigned n, threads_work_fn *work, threads_done_fn *done, void *ctx)
{
	struct threads *t = mem_zero(sizeof(*t));

	t->work = work;
	t->done_fn = done;
	t->ctx = ctx;
	t->n = n;
	t->thread = mem_array(n, sizeof(*t->thread));
	t->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->event < 0)
		die("eventfd: %s", strerror(errno));
	t->watch = loop_fd_new(loop, t->event, on_done, t);
	loop_fd_want(t->watch, LOOP_READ);
	must(pthread_mutex_init(&t->lock, NULL) == 0 && pthread_cond_init(&t->wake, NULL) == 0);
	return t;
}

void threads_free(struct threads **threads, void (*drop)(struct threads_job *job))
{
	struct threads *t = *threads;
	struct threads_job *job;

	if (t == NULL)
		return;
	pthread_mutex_lock(&t->lock);
	t->is_ending = true;
	pthread_cond_broadcast(&t->wake);
	pthread_mutex_unlock(&t->lock);
	for (unsigned i = 0; i < t->n_started; i++)
		pthread_join(t->thread[i], NULL);
	while (drop != NULL && ((job = take(&t->waiting)) != NULL || (job = take(&t->done)) != NULL))
		drop(job);
	loop_fd_free(&t->watch);
	fd_close(&t->event);
	pthread_cond_destroy(&t->wake);
	pthread_mutex_destroy(&t->lock);
	free(t->thread);
	mem_free(threads);
}

void threads_start(struct threads *t, struct threads_job *job)
{
	if (t->n_started == 0)
		start_all(t);
	pthread_mutex_lock(&t->lock);
	add(&t->waiting, job);
	pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
}
