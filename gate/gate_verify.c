/* SPDX-License-Identifier: Apache-2.0
 *
 * crypt_r() is plain computation on memory of its own.
 */
#include "gate/gate_verify.h"

#include <stddef.h>
#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/net/threads.h"

struct gate_verify {
	struct threads *threads;
	gate_verify_fn *fn;
	void *ctx;
};

static struct gate_attempt *attempt_of(struct threads_job *job)
{
	return (struct gate_attempt *)((char *)job - offsetof(struct gate_attempt, job));
}

static void work(struct threads_job *job)
{
	struct gate_attempt *a = attempt_of(job);
	int64_t start = clock_mono();

	a->is_right = password_is_right(str_bytes(a->password, a->password_n), a->hash);
	a->took = clock_mono() - start;
}

static void on_done(void *ctx, struct threads_job *job)
{
	struct gate_verify *v = ctx;

	v->fn(v->ctx, attempt_of(job));
}

struct gate_verify *gate_verify_new(struct loop *loop, unsigned threads, gate_verify_fn *fn,
				    void *ctx)
{
	struct gate_verify *v = mem_zero(sizeof(*v));

	v->fn = fn;
	v->ctx = ctx;
	v->threads = threads_new(loop, threads, work, on_done, v);
	return v;
}

void gate_verify_free(struct gate_verify **verify)
{
	if (*verify == NULL)
		return;
	threads_free(&(*verify)->threads, NULL);
	mem_free(verify);
}

void gate_verify_start(struct gate_verify *verify, struct gate_attempt *attempt)
{
	threads_start(verify->threads, &attempt->job);
}
