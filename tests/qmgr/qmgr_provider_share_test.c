/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of qmgr/qmgr_provider_share.c: two hosts and a Redis of the test's own.
 */
#include "qmgr/qmgr_provider_share.h"

#include <stdio.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/net/redis.h"
#include "tests/qmgr/qmgr_world.h"
#include "tests/support/redis_fixture.h"
#include "tests/support/unit.h"

static struct redis_fixture server;

static const struct ipc_outcome sent = {.class = IPC_OUTCOME_SENT, .code = 200};
static const struct ipc_outcome failed = {
	.class = IPC_OUTCOME_TRANSIENT, .code = 500, .about = IPC_ABOUT_PROVIDER, .reason = {"an error", 8}};

static bool is_down(struct world *w, unsigned provider)
{
	return !qmgr_provider_is_usable(w->qmgr, provider, NULL);
}

static bool is_up(struct world *w, unsigned provider)
{
	return qmgr_provider_is_usable(w->qmgr, provider, NULL);
}

static bool has_redis(struct world *w, unsigned wanted)
{
	return redis_is_up(w->qmgr->providers.redis) == (wanted != 0);
}

static struct world *host(const char *name, int64_t probe_time)
{
	struct world *w = world_start(name, true);
	char url[64];

	w->settings->health.probe_time = probe_time;
	w->settings->provider[0].concurrency = 1;
	w->settings->queue.retry_first = 100 * CLOCK_MS;
	w->settings->queue.max_attempts = 100;
	qmgr_on_reload(w->qmgr);
	snprintf(url, sizeof(url), "redis://127.0.0.1:%u", server.port);
	mem_free(&w->settings->redis.url);
	w->settings->redis.url = mem_text(url);
	qmgr_provider_share_init(w->qmgr, STR(""));
	UNIT_TRUE(world_until(has_redis, w, 1));
	world_places(w, 0, 64);
	world_places(w, 1, 64);
	return w;
}

static void fail_three(struct world *w)
{
	for (unsigned i = 0; i < 3; i++)
		world_submit(w, i, "x\r\n");
	for (unsigned i = 0; i < 3; i++) {
		given(w, i + 1);
		world_report(w, i, &failed);
	}
	UNIT_TRUE(world_until(is_down, w, 0));
}

static void what_one_host_finds_down_the_other_knows(void)
{
	struct world *a, *b;
	int64_t from;

	redis_fixture_start(&server, 0, NULL);
	world_begin();
	a = host("host-a", 4 * CLOCK_SECOND);
	fail_three(a);
	b = host("host-b", 4 * CLOCK_SECOND);
	from = clock_mono();
	UNIT_TRUE(world_until(is_down, b, 0));
	UNIT_TRUE(clock_mono() - from < 2 * CLOCK_SECOND);
	UNIT_TRUE(is_up(b, 1));
	/* The time of the probe is common; then one of them probes. */
	UNIT_TRUE(b->qmgr->providers.at[0]->health.probe_at == a->qmgr->providers.at[0]->health.probe_at);
	given(a, 4);
	world_pass(1500 * CLOCK_MS);
	UNIT_INT(a->n_jobs, 4);
	UNIT_TRUE(!qmgr_provider_take_probe(b->qmgr, 0));
	world_pass(200 * CLOCK_MS);
	UNIT_TRUE(!qmgr_provider_take_probe(b->qmgr, 0));
	world_report(a, 3, &sent);
	UNIT_TRUE(world_until(is_up, a, 0));
	UNIT_TRUE(world_until(is_up, b, 0));
	world_free(&a);
	world_free(&b);
	redis_fixture_stop(&server);
}

static void without_redis_each_is_by_itself(void)
{
	struct world *a;

	redis_fixture_start(&server, 0, NULL);
	world_begin();
	a = host("host-a", 500 * CLOCK_MS);
	redis_fixture_stop(&server);
	UNIT_TRUE(world_until(has_redis, a, 0));
	fail_three(a);
	given(a, 4);
	world_report(a, 3, &failed);
	UNIT_TRUE(is_down(a, 0));
	/* It is back, and knows nothing: what is down stays so. */
	redis_fixture_start(&server, 0, NULL);
	UNIT_TRUE(world_until(has_redis, a, 1));
	UNIT_TRUE(is_down(a, 0));
	given(a, 5);
	world_report(a, 4, &sent);
	UNIT_TRUE(world_until(is_up, a, 0));
	world_free(&a);
	redis_fixture_stop(&server);
}

UNIT_TESTS({"what one host finds down the other knows", what_one_host_finds_down_the_other_knows},
	   {"without Redis each is by itself", without_redis_each_is_by_itself})
