/* SPDX-License-Identifier: Apache-2.0
 *
 * Pauses and their end.
 */
#include "cert-renewer/acme_poll.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"

static const int64_t in_all = 600 * CLOCK_SECOND;
static const int64_t first = CLOCK_SECOND / 2;
static const int64_t longest = 15 * CLOCK_SECOND; /* when the authority does not say */
static const int64_t shortest_asked = CLOCK_SECOND;

struct acme_poll {
	struct loop_timer *timer;
	int64_t until; /* monotonic */
	int64_t pause;
};

struct acme_poll *acme_poll_new(struct loop *loop, loop_fn *fn, void *ctx)
{
	struct acme_poll *poll = mem_zero(sizeof(*poll));

	poll->timer = loop_timer_new(loop, fn, ctx);
	return poll;
}

void acme_poll_free(struct acme_poll **poll)
{
	if (*poll == NULL)
		return;
	loop_timer_free(&(*poll)->timer);
	mem_free(poll);
}

void acme_poll_begin(struct acme_poll *poll)
{
	poll->until = clock_mono() + in_all;
	poll->pause = first;
}

bool acme_poll_wait(struct acme_poll *poll, const struct acme_reply *reply)
{
	int64_t asked = acme_reply_wait(reply, clock_wall(), -1), now = clock_mono();
	int64_t pause = asked < 0 ? poll->pause : asked < shortest_asked ? shortest_asked : asked;

	if (now + pause > poll->until)
		return false;
	poll->pause = poll->pause * 2 > longest ? longest : poll->pause * 2;
	loop_timer_set(poll->timer, pause);
	return true;
}
