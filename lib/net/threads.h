/* SPDX-License-Identifier: Apache-2.0
 *
 * Work that would block the loop (a password's hash, the C library's resolver), in a few threads. They share nothing with
 * the loop but two lists: a job is the threads' from threads_start() until `done` is called with it.
 */
#ifndef LIB_NET_THREADS_H
#define LIB_NET_THREADS_H

#include "lib/net/loop.h"

/* Part of what is to be worked on. */
struct threads_job {
	struct threads_job *next;
};

struct threads;
/* In a thread. */
typedef void threads_work_fn(struct threads_job *job);
/* On the loop. */
typedef void threads_done_fn(void *ctx, struct threads_job *job);

/* They start with the first job. */
struct threads *threads_new(struct loop *loop, unsigned n, threads_work_fn *work, threads_done_fn *done, void *ctx);
/* Waits for the jobs that a thread is at. Those that were not given to `done` go to `drop`, which may be NULL. */
void threads_free(struct threads **threads, void (*drop)(struct threads_job *job));
void threads_start(struct threads *threads, struct threads_job *job);

#endif
