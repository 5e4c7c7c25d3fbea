/* SPDX-License-Identifier: Apache-2.0
 *
 * cert-renewer speaks to the network, so what it says is not trusted: nothing of it is more than a wish.
 */
#include "master/master_renewer.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "master/master_reload.h"

/* Several in a row are one; and whoever says it all the time does not keep us from all else. */
static const int64_t gather = 100 * CLOCK_MS;

struct master_renewer {
	struct master *master;
	struct loop_timer *timer;
};

static void load(void *ctx)
{
	struct master_renewer *r = ctx;

	master_reload_certificates(r->master);
}

bool master_renewer_take(struct master_renewer *r, const struct master_child *child, struct ipc_frame *frame)
{
	(void)child;
	switch (frame->type) {
	case IPC_CERTIFICATES_CHANGED:
		if (!loop_timer_is_running(r->timer))
			loop_timer_set(r->timer, gather);
		return true;
	case IPC_NOTICE:
		master_notice_set(&r->master->notices, MASTER_NOTICE_CERT_RENEWER, str_bytes(frame->body.p, frame->body.n));
		return true;
	default:
		return false;
	}
}

struct master_renewer *master_renewer_new(struct master *master)
{
	struct master_renewer *r = mem_zero(sizeof(*r));

	r->master = master;
	r->timer = loop_timer_new(master->loop, load, r);
	return r;
}

void master_renewer_free(struct master_renewer **renewer)
{
	struct master_renewer *r = *renewer;

	if (r == NULL)
		return;
	loop_timer_free(&r->timer);
	mem_free(renewer);
}
