/* SPDX-License-Identifier: Apache-2.0 */
#include "cert-renewer/acme_poll.h"

#include "lib/base/clock.h"
#include "tests/support/unit.h"

static void on_time(void *ctx)
{
	++*(unsigned *)ctx;
}

/* It takes so long until it is time, microseconds; a timer may be a little early by our clock. */
static void await(struct loop *loop, const unsigned *n, unsigned wanted, int64_t pause)
{
	int64_t begun = clock_mono();

	while (*n < wanted && clock_mono() < begun + 20 * CLOCK_SECOND)
		loop_turn(loop, 100000);
	UNIT_INT(*n, wanted);
	UNIT_TRUE(clock_mono() - begun >= pause - 20000);
}

static void pauses_grow_or_are_what_is_asked_for(void)
{
	const struct acme_reply silent = {.status = 200}, one = {.retry_after = STR("1")}, none = {.retry_after = STR("0")};
	struct loop *loop = loop_new();
	unsigned n = 0;
	struct acme_poll *poll = acme_poll_new(loop, on_time, &n);

	acme_poll_begin(poll);
	UNIT_TRUE(acme_poll_wait(poll, &silent));
	await(loop, &n, 1, 500000);
	UNIT_TRUE(acme_poll_wait(poll, &silent));
	await(loop, &n, 2, CLOCK_SECOND);
	UNIT_TRUE(acme_poll_wait(poll, &one));
	await(loop, &n, 3, CLOCK_SECOND);
	/* Never without a pause. */
	UNIT_TRUE(acme_poll_wait(poll, &none));
	await(loop, &n, 4, CLOCK_SECOND);
	acme_poll_free(&poll);
	loop_free(&loop);
}

static void there_is_an_end_to_it(void)
{
	const struct acme_reply long_enough = {.retry_after = STR("590")}, too_long = {.retry_after = STR("601")};
	struct loop *loop = loop_new();
	unsigned n = 0;
	struct acme_poll *poll = acme_poll_new(loop, on_time, &n);

	UNIT_TRUE(!acme_poll_wait(poll, &long_enough)); /* not begun */
	acme_poll_begin(poll);
	UNIT_TRUE(acme_poll_wait(poll, &long_enough));
	UNIT_TRUE(!acme_poll_wait(poll, &too_long));
	acme_poll_free(&poll);
	loop_turn(loop, 0);
	UNIT_INT(n, 0);
	loop_free(&loop);
}

UNIT_TESTS({"pauses grow or are what is asked for", pauses_grow_or_are_what_is_asked_for},
	   {"there is an end to it", there_is_an_end_to_it})
