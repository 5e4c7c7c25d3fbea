/* SPDX-License-Identifier: Apache-2.0
 *
 * cert-renewer speaks to the network, so what it says is not trusted: nothing of it is more than a wish.
 */
#include "master/master_renewer.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "master/master_reload.h"
#include "master/master_run.h"

enum { RESULT_MAX = 8192 /* as RUN_RESULT in ipc.def */ };

/* Several in a row are one; and whoever says it all the time does not keep us from all else: reading takes time. */
static const int64_t gather = 100 * CLOCK_MS, rest = CLOCK_SECOND, is_long = 500 * CLOCK_MS, rest_times = 10;
static const int64_t run_longest = 300 * CLOCK_SECOND;

struct master_renewer {
	struct master *master;
	struct loop_timer *timer;
	int64_t load_from; /* monotonic: not again before; 0: not yet */
	struct master_run *run;
};

static void load_soon(struct master_renewer *r);

/* A good certificate takes some milliseconds, and is to be shown within a second; what takes long rests the longer. */
static void load(void *ctx)
{
	struct master_renewer *r = ctx;
	int64_t begin = clock_mono(), took;

	master_reload_certificates(r->master);
	took = clock_mono() - begin;
	r->load_from = clock_mono() + (took > is_long ? took * rest_times : rest);
	if (r->master->identities.is_unfinished)
		load_soon(r);
}

static void load_soon(struct master_renewer *r)
{
	int64_t left = r->load_from == 0 ? 0 : r->load_from - clock_mono();

	if (!loop_timer_is_running(r->timer))
		loop_timer_set(r->timer, left > gather ? left : gather);
}

/* A process that has come in the asker's place knows nothing of it. */
static void on_result(void *ctx, pid_t asker, uint64_t id, const struct ipc_run_result *result)
{
	struct master_renewer *r = ctx;
	struct buf body = BUF_MAX(RESULT_MAX);

	ipc_put_run_result(&body, result);
	for (size_t i = 0; i < master_children_count(r->master->children); i++) {
		const struct master_child *child = master_children_at(r->master->children, i);

		if (child->pid == asker && child->control != NULL)
			ipc_send(child->control, IPC_RUN_RESULT, id, buf_str(&body), -1);
	}
	buf_clear(&body);
}

/* Which program it is, the settings say; the frame has only the words for it. */
static bool take_run(struct master_renewer *r, const struct master_child *child, struct ipc_frame *frame)
{
	const struct settings *s = r->master->settings;
	struct ipc_run run;

	if (!ipc_get_run(&frame->body, &run))
		return false;
	master_run_start(r->run, run.program == IPC_PROGRAM_DNS_HOOK ? s->acme.dns_hook : s->alerts.command, &run, child->pid,
			 frame->id);
	return true;
}

void master_renewer_ended(struct master_renewer *r, pid_t pid, int status)
{
	master_run_ended(r->run, pid, status);
}

bool master_renewer_take(struct master_renewer *r, const struct master_child *child, struct ipc_frame *frame)
{
	switch (frame->type) {
	case IPC_CERTIFICATES_CHANGED:
		load_soon(r);
		return true;
	case IPC_NOTICE:
		master_notice_set(&r->master->notices, MASTER_NOTICE_CERT_RENEWER, str_bytes(frame->body.p, frame->body.n));
		return true;
	case IPC_RUN:
		return take_run(r, child, frame);
	default:
		return false;
	}
}

struct master_renewer *master_renewer_new(struct master *master)
{
	struct master_renewer *r = mem_zero(sizeof(*r));

	r->master = master;
	r->timer = loop_timer_new(master->loop, load, r);
	r->run = master_run_new(master->loop, run_longest, on_result, r);
	return r;
}

void master_renewer_free(struct master_renewer **renewer)
{
	struct master_renewer *r = *renewer;

	if (r == NULL)
		return;
	loop_timer_free(&r->timer);
	master_run_free(&r->run);
	mem_free(renewer);
}
