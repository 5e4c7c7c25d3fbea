/* SPDX-License-Identifier: Apache-2.0
 *
 * What hosts share: two hosts' qmgr and the asking side of cert-renewer (cert_share.c), over a Postgres, a Redis, nothing.
 */
#include "qmgr/qmgr_share.h"

#include <stdio.h>
#include <stdlib.h>

#include "cert-renewer/cert_share.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/net/redis.h"
#include "qmgr/qmgr_provider_share.h"
#include "tests/qmgr/qmgr_world.h"
#include "tests/support/pg_fixture.h"
#include "tests/support/redis_fixture.h"
#include "tests/support/unit.h"

#define HOUR (3600 * CLOCK_SECOND)

static struct redis_fixture server;

/* One host with its cert-renewer's end. */
struct host {
	struct world *w;
	struct cert_share *share;
};

static struct {
	unsigned n;
	enum ipc_share_verdict verdict;
	char value[IPC_SHARE_VALUE + 1];
} heard;

static void on_answer(void *ctx, enum ipc_share_verdict verdict, struct str value)
{
	(void)ctx;
	heard.n++;
	heard.verdict = verdict;
	UNIT_TRUE(str_copy(value, heard.value, sizeof(heard.value)));
}

static bool has_heard(struct world *w, unsigned n)
{
	(void)w;
	return heard.n >= n;
}

static bool has_redis(struct world *w, unsigned n)
{
	(void)n;
	return redis_is_up(w->qmgr->providers.redis);
}

static bool has_database(struct world *w, unsigned n)
{
	return pg_is_up(w->qmgr->keep.pg) == (n != 0);
}

static void connect_renewer(struct host *h)
{
	int fds[2];

	ipc_pair(fds);
	qmgr_on_peer(h->w->qmgr, ROLE_CERT_RENEWER, 0, fds[0]);
	cert_share_connect(h->share, 0, fds[1]);
}

static void begin(struct host *h, const char *owner)
{
	h->w = world_start(owner, true);
	h->share = cert_share_new(h->w->env.loop);
	if (server.pid > 0) {
		char url[64];

		snprintf(url, sizeof(url), "redis://127.0.0.1:%u", server.port);
		mem_free(&h->w->settings->redis.url);
		h->w->settings->redis.url = mem_text(url);
		qmgr_provider_share_init(h->w->qmgr, STR(""));
		UNIT_TRUE(world_until(has_redis, h->w, 1));
	} else if (world_database()[0] != '\0') {
		UNIT_TRUE(world_until(has_database, h->w, 1));
	}
	h->w->qmgr->share.forget_at = INT64_MAX; /* what is past its time must not count, were it there */
	connect_renewer(h);
}

static void end(struct host *h)
{
	cert_share_free(&h->share);
	world_free(&h->w);
}

static int ask(struct host *h, enum ipc_share_act act, const char *name, const char *value, int64_t lifetime)
{
	heard.n = 0;
	cert_share_ask(h->share, &(struct ipc_share){act, str_of(name), str_of(value), lifetime}, on_answer, NULL);
	UNIT_INT(heard.n, 0);
	UNIT_TRUE(world_until(has_heard, h->w, 1));
	return heard.n == 1 ? (int)heard.verdict : -1;
}

static int lock(struct host *h, const char *who, int64_t lifetime)
{
	return ask(h, IPC_SHARE_LOCK, "lock/example.com", who, lifetime);
}

static int unlock(struct host *h)
{
	return ask(h, IPC_SHARE_UNLOCK, "lock/example.com", "", 0);
}

static int get(struct host *h, const char *name)
{
	return ask(h, IPC_SHARE_GET, name, "", 0);
}

static void until_locked(struct host *h)
{
	int64_t end = clock_mono() + 15 * CLOCK_SECOND;

	while (lock(h, "b", HOUR) != IPC_SHARE_YES && clock_mono() < end)
		world_pass(20 * CLOCK_MS);
	UNIT_INT(heard.verdict, IPC_SHARE_YES);
}

/* ---- the same by either way ---- */

static void one_host_has_the_lock(struct host *a, struct host *b)
{
	UNIT_INT(lock(a, "host a", HOUR), IPC_SHARE_YES);
	UNIT_INT(lock(b, "host b", HOUR), IPC_SHARE_NO);
	UNIT_TEXT(heard.value, "host a");
	/* Keeping it is taking it again. */
	UNIT_INT(lock(a, "host a", HOUR), IPC_SHARE_YES);
	UNIT_INT(unlock(b), IPC_SHARE_NO);
	UNIT_INT(lock(b, "host b", HOUR), IPC_SHARE_NO);
	UNIT_INT(unlock(a), IPC_SHARE_YES);
	UNIT_INT(unlock(a), IPC_SHARE_NO);
	UNIT_INT(lock(b, "host b", HOUR), IPC_SHARE_YES);
	UNIT_INT(unlock(b), IPC_SHARE_YES);
	/* The time of one who is gone ends. */
	UNIT_INT(lock(a, "host a", 200 * CLOCK_MS), IPC_SHARE_YES);
	until_locked(b);
	UNIT_INT(unlock(a), IPC_SHARE_NO);
	UNIT_INT(lock(a, "host a", HOUR), IPC_SHARE_NO);
	UNIT_INT(unlock(b), IPC_SHARE_YES);
}

static void what_one_puts_the_other_gets(struct host *a, struct host *b)
{
	char longest[IPC_SHARE_VALUE + 1], name[IPC_SHARE_NAME + 1];

	UNIT_INT(get(b, "challenge/x"), IPC_SHARE_NO);
	UNIT_INT(ask(a, IPC_SHARE_PUT, "challenge/x", "x.thumb print\t\"'", HOUR), IPC_SHARE_YES);
	UNIT_INT(get(b, "challenge/x"), IPC_SHARE_YES);
	UNIT_TEXT(heard.value, "x.thumb print\t\"'");
	UNIT_INT(get(b, "challenge/y"), IPC_SHARE_NO);
	/* Anybody may put and delete. */
	UNIT_INT(ask(b, IPC_SHARE_PUT, "challenge/x", "", HOUR), IPC_SHARE_YES);
	UNIT_INT(get(a, "challenge/x"), IPC_SHARE_YES);
	UNIT_TEXT(heard.value, "");
	UNIT_INT(ask(a, IPC_SHARE_DELETE, "challenge/x", "", 0), IPC_SHARE_YES);
	UNIT_INT(get(b, "challenge/x"), IPC_SHARE_NO);
	UNIT_INT(ask(a, IPC_SHARE_DELETE, "challenge/x", "", 0), IPC_SHARE_NO);
	memset(longest, 'v', IPC_SHARE_VALUE);
	longest[IPC_SHARE_VALUE] = '\0';
	memset(name, 'n', IPC_SHARE_NAME);
	memcpy(name, "challenge/", 10);
	name[IPC_SHARE_NAME] = '\0';
	UNIT_INT(ask(a, IPC_SHARE_PUT, name, longest, HOUR), IPC_SHARE_YES);
	UNIT_INT(get(b, name), IPC_SHARE_YES);
	UNIT_TEXT(heard.value, longest);
	/* However long or short. */
	UNIT_INT(ask(a, IPC_SHARE_PUT, "current/x", "v", INT64_MAX), IPC_SHARE_YES);
	UNIT_INT(get(b, "current/x"), IPC_SHARE_YES);
	UNIT_INT(ask(a, IPC_SHARE_PUT, "current/x", "v", 0), IPC_SHARE_YES);
	/* It ends. */
	UNIT_INT(ask(a, IPC_SHARE_PUT, name, "v", 100 * CLOCK_MS), IPC_SHARE_YES);
	for (int64_t until = clock_mono() + 15 * CLOCK_SECOND; clock_mono() < until && get(b, name) == IPC_SHARE_YES;)
		world_pass(20 * CLOCK_MS);
	UNIT_INT(heard.verdict, IPC_SHARE_NO);
}

static void by_the_database(void)
{
	struct host a, b;

	world_begin();
	begin(&a, "host-a");
	begin(&b, "host-b");
	one_host_has_the_lock(&a, &b);
	what_one_puts_the_other_gets(&a, &b);
	end(&a);
	end(&b);
}

static void by_redis(void)
{
	struct host a, b;

	redis_fixture_start(&server, 0, NULL);
	world_begin_alone();
	begin(&a, "host-a");
	begin(&b, "host-b");
	one_host_has_the_lock(&a, &b);
	what_one_puts_the_other_gets(&a, &b);
	redis_fixture_stop(&server);
	UNIT_INT(lock(&a, "host a", HOUR), IPC_SHARE_UNAVAILABLE);
	end(&a);
	end(&b);
}

/* ---- when there is nobody to ask ---- */

static void alone(void)
{
	struct host a;

	world_begin_alone();
	begin(&a, "host-a");
	UNIT_INT(lock(&a, "host a", HOUR), IPC_SHARE_ALONE);
	UNIT_INT(get(&a, "challenge/x"), IPC_SHARE_ALONE);
	end(&a);
}

static void without_a_database_that_there_should_be(void)
{
	struct host a;

	world_begin();
	begin(&a, "host-a");
	pg_fixture_kill();
	UNIT_TRUE(world_until(has_database, a.w, 0));
	UNIT_INT(lock(&a, "host a", HOUR), IPC_SHARE_UNAVAILABLE);
	pg_fixture_restart();
	UNIT_TRUE(world_until(has_database, a.w, 1));
	UNIT_INT(lock(&a, "host a", HOUR), IPC_SHARE_YES);
	end(&a);
}

static void a_refusal_is_no_answer(void)
{
	struct host a;

	world_begin();
	begin(&a, "host-a");
	pg_fixture_sql(world_database(), "DROP TABLE share");
	UNIT_INT(lock(&a, "host a", HOUR), IPC_SHARE_UNAVAILABLE);
	UNIT_INT(get(&a, "challenge/x"), IPC_SHARE_UNAVAILABLE);
	end(&a);
}

/* An answer to a renewer that is gone goes nowhere, and the next one is answered. */
static void a_renewer_may_die_while_it_asks(void)
{
	struct host a;
	struct ipc_share question = {IPC_SHARE_LOCK, STR("lock/example.com"), STR("host a"), HOUR};

	world_begin();
	begin(&a, "host-a");
	heard.n = 0;
	for (unsigned i = 0; i < 3; i++)
		cert_share_ask(a.share, &question, on_answer, NULL);
	connect_renewer(&a);
	UNIT_TRUE(world_until(has_heard, a.w, 3));
	UNIT_INT(heard.verdict, IPC_SHARE_UNAVAILABLE);
	UNIT_INT(lock(&a, "host a", HOUR), IPC_SHARE_YES);
	UNIT_INT(a.w->qmgr->share.n, 0);
	end(&a);
	UNIT_INT(heard.n, 1);
}

/* ---- what makes no sense ---- */

static bool was_cut;

static bool no_frame(void *ctx, struct ipc_peer *peer, struct ipc_frame *frame)
{
	(void)ctx, (void)peer, (void)frame;
	return true;
}

static void on_cut(void *ctx, struct ipc_peer *peer, const char *why)
{
	struct ipc_peer **kept = ctx;

	(void)peer, (void)why;
	was_cut = true;
	ipc_peer_free(kept);
}

static bool is_cut(struct world *w, unsigned n)
{
	(void)w, (void)n;
	return was_cut;
}

static void nonsense_cuts_the_connection(void)
{
	static const struct ipc_events events = {no_frame, on_cut};
	static const char long_value[IPC_SHARE_VALUE + 1] = "";
	const struct ipc_share bad[] = {
		{IPC_SHARE_PUT, STR("challenge/a\0b"), STR("x"), HOUR},
		{IPC_SHARE_PUT, STR("challenge/\xff"), STR("x"), HOUR},
		{IPC_SHARE_PUT, STR("challenge/a"), STR("\xff"), HOUR},
		{IPC_SHARE_PUT, STR("challenge/a"), str_bytes(long_value, sizeof(long_value)), HOUR},
		{IPC_SHARE_PUT, STR("challenge/a"), STR("x"), -1},
		{IPC_SHARE_GET, STR(""), STR(""), 0},
		/* Names that are not for this. */
		{IPC_SHARE_PUT, STR("a"), STR("x"), HOUR},
		{IPC_SHARE_GET, STR("challenge"), STR(""), 0},
		{IPC_SHARE_PUT, STR("lock/a"), STR("x"), HOUR},
		{IPC_SHARE_DELETE, STR("lock/a"), STR(""), 0},
		{IPC_SHARE_LOCK, STR("challenge/a"), STR("x"), HOUR},
		{IPC_SHARE_UNLOCK, STR("current/a"), STR(""), 0},
		{IPC_SHARE_DELETE, STR("current/a"), STR(""), 0},
	};
	struct host a;

	world_begin_alone();
	begin(&a, "host-a");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct buf body = BUF_MAX(8192);
		struct ipc_peer *peer;
		int fds[2];

		ipc_pair(fds);
		qmgr_on_peer(a.w->qmgr, ROLE_CERT_RENEWER, 0, fds[0]);
		was_cut = false;
		peer = ipc_peer_new(a.w->env.loop, fds[1], ROLE_CERT_RENEWER, ROLE_QMGR, 0, &events, &peer);
		ipc_put_share(&body, &bad[i]);
		UNIT_TRUE(ipc_send(peer, IPC_SHARE, 1, buf_str(&body), -1));
		UNIT_TRUE(world_until(is_cut, a.w, 1));
		ipc_peer_free(&peer);
		buf_clear(&body);
	}
	connect_renewer(&a);
	UNIT_INT(get(&a, "challenge/a"), IPC_SHARE_ALONE);
	end(&a);
}

/* ---- the table ---- */

static void only_by_the_functions(void)
{
	world_begin();
	pg_fixture_sql(world_database(), "SET ROLE smtp_proxy_queue; SELECT share_put('a', 'host', 'v', 1000000)");
	UNIT_INT(world_count("SELECT has_table_privilege('smtp_proxy_queue', 'share', 'SELECT, INSERT, UPDATE, DELETE')::int"), 0);
	UNIT_INT(world_count("SELECT has_function_privilege('smtp_proxy_gate', 'share_get(text)', 'EXECUTE')::int"), 0);
}

static void nothing_lasts_for_ever_and_nobody_has_them_all(void)
{
	struct host a, b;

	world_begin();
	begin(&a, "host-a");
	begin(&b, "host-b");
	UNIT_INT(ask(&a, IPC_SHARE_PUT, "challenge/x", "v", INT64_MAX), IPC_SHARE_YES);
	UNIT_INT(ask(&a, IPC_SHARE_PUT, "current/x", "v", INT64_MAX), IPC_SHARE_YES);
	UNIT_INT(lock(&a, "host a", INT64_MAX), IPC_SHARE_YES);
	UNIT_INT(world_count("SELECT count(*) FROM share WHERE until > now() + interval '25 hours'"), 1);
	UNIT_INT(world_count("SELECT count(*) FROM share WHERE until > now() + interval '91 days'"), 0);
	pg_fixture_sql(world_database(), "INSERT INTO share SELECT 'challenge/' || n, '', s.owner, s.until"
					 " FROM share s, generate_series(1, 997) n WHERE s.name = 'current/x'");
	UNIT_INT(ask(&a, IPC_SHARE_PUT, "challenge/y", "v", HOUR), IPC_SHARE_NO);
	UNIT_INT(ask(&a, IPC_SHARE_LOCK, "lock/y", "v", HOUR), IPC_SHARE_NO);
	/* What it has it keeps, and others have their own. */
	UNIT_INT(ask(&a, IPC_SHARE_PUT, "challenge/x", "w", HOUR), IPC_SHARE_YES);
	UNIT_INT(lock(&a, "host a", HOUR), IPC_SHARE_YES);
	UNIT_INT(ask(&b, IPC_SHARE_PUT, "challenge/y", "v", HOUR), IPC_SHARE_YES);
	UNIT_INT(ask(&a, IPC_SHARE_DELETE, "challenge/x", "", 0), IPC_SHARE_YES);
	UNIT_INT(ask(&a, IPC_SHARE_PUT, "challenge/z", "v", HOUR), IPC_SHARE_YES);
	end(&a);
	end(&b);
}

static bool is_tidy(struct world *w, unsigned n)
{
	(void)w;
	return world_count("SELECT count(*) FROM share") == (long long)n;
}

static void what_is_past_its_time_goes(void)
{
	struct host a;

	world_begin();
	pg_fixture_sql(world_database(), "INSERT INTO share SELECT n::text, '', '', now() + (n - 5) * interval '1 minute'"
					 " FROM generate_series(1, 9) n");
	begin(&a, "host-a");
	a.w->qmgr->share.forget_at = 0;
	UNIT_TRUE(world_until(is_tidy, a.w, 4));
	end(&a);
}

UNIT_TESTS({"by the database", by_the_database}, {"by Redis", by_redis}, {"alone", alone},
	   {"without a database that there should be", without_a_database_that_there_should_be},
	   {"a refusal is no answer", a_refusal_is_no_answer},
	   {"a renewer may die while it asks", a_renewer_may_die_while_it_asks},
	   {"nonsense cuts the connection", nonsense_cuts_the_connection}, {"only by the functions", only_by_the_functions},
	   {"nothing lasts for ever, and nobody has them all", nothing_lasts_for_ever_and_nobody_has_them_all},
	   {"what is past its time goes", what_is_past_its_time_goes})
