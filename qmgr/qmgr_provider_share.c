/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys, beginning with "smtp-proxy:":
 *	provider:KEY	"WHY PROBE_AT" (enum qmgr_health_why, microseconds), while it is down
 *	probe:KEY	the host that probes it, for a while
 * Hosts' clocks must agree as well as NTP makes them.
 */
#include "qmgr/qmgr_provider_share.h"

#include <inttypes.h>
#include <stdio.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/net/redis.h"
#include "lib/service/metrics.h"
#include "qmgr/qmgr.h"

#define PREFIX "smtp-proxy:"
#define EVERY CLOCK_SECOND
/* The word of hosts that are gone: some time some host's probe replaces it. */
#define DOWN_SECONDS "86400"
/* Longer than most calls take; when it is over another host may probe as well, which harms nothing. */
#define PROBE_SECONDS 45
#define PROBE_SECONDS_TEXT "45"
#define ASK_AGAIN CLOCK_SECOND

enum { KEY_MAX = SETTINGS_KEY + 32 };

struct redis_key {
	char text[KEY_MAX];
};

static struct redis_key key_of(const char *what, const struct qmgr_provider *p)
{
	struct redis_key key;

	snprintf(key.text, sizeof(key.text), PREFIX "%s:%s", what, p->key);
	return key;
}

static bool is_shared(const struct qmgr *q)
{
	return q->providers.redis != NULL && redis_is_up(q->providers.redis);
}

/* ---- what is down ---- */

static void on_told(void *ctx, const struct redis_answer *answer)
{
	struct qmgr_provider *p = ctx;

	(void)answer; /* when it is lost, all is told anew: on_state() */
	p->untold--;
}

void qmgr_provider_share_tell(struct qmgr *q, struct qmgr_provider *p)
{
	struct redis_key state = key_of("provider", p), probe = key_of("probe", p);
	char value[64];

	if (p->told_why == p->health.why && (qmgr_health_is_up(&p->health) || p->told_probe_at == p->health.probe_at))
		return;
	p->told_why = p->health.why;
	p->told_probe_at = p->health.probe_at;
	p->may_probe_until = 0;
	if (!is_shared(q))
		return;
	p->untold++;
	if (qmgr_health_is_up(&p->health)) {
		redis_run(q->providers.redis, (struct str[]){STR("DEL"), str_of(state.text), str_of(probe.text)}, 3, on_told, p);
		return;
	}
	snprintf(value, sizeof(value), "%d %" PRId64, (int)p->health.why, p->health.probe_at);
	redis_run(q->providers.redis,
		  (struct str[]){STR("SET"), str_of(state.text), str_of(value), STR("EX"), STR(DOWN_SECONDS)}, 5, on_told, p);
	redis_run(q->providers.redis, (struct str[]){STR("DEL"), str_of(probe.text)}, 2, NULL, NULL);
}

/* What somebody else wrote into our Redis is no reason to stop. */
static bool read_state(struct str text, enum qmgr_health_why *why, int64_t *probe_at)
{
	struct str first;
	uint64_t number, at;

	if (!str_next(&text, ' ', &first) || !str_u64(first, 1, QMGR_HEALTH_WHYS - 1, &number) ||
	    !str_u64(text, 0, INT64_MAX / 2, &at))
		return false;
	*why = (enum qmgr_health_why)number;
	*probe_at = (int64_t)at;
	return true;
}

static void say(const struct qmgr_provider *p, int64_t now)
{
	if (qmgr_health_is_up(&p->health))
		log_info(NULL, "qmgr.provider.told_up", log_text("provider", p->key), log_text("by", "another host"));
	else
		log_warn(NULL, "qmgr.provider.told_down", log_text("provider", p->key), log_text("by", "another host"),
			 log_text("why", qmgr_health_why_name(p->health.why)), log_ms("left_alone_for", p->health.probe_at - now));
}

static void take_state(struct qmgr *q, struct qmgr_provider *p, const struct redis_answer *answer)
{
	struct qmgr_health_rules rules = qmgr_provider_health_rules(q);
	enum qmgr_health_why why = QMGR_HEALTH_UP;
	int64_t probe_at = 0, now = clock_wall();

	/* Our own word is on its way, or nothing is known. */
	if (p->untold > 0 || (redis_kind(answer) != REDIS_NOTHING && !read_state(redis_text(answer), &why, &probe_at)))
		return;
	if (why == p->told_why && probe_at == p->told_probe_at)
		return;
	p->told_why = why;
	p->told_probe_at = probe_at;
	if (qmgr_health_told(&p->health, &rules, why, probe_at, now)) {
		if (why != QMGR_HEALTH_UP)
			p->down_since = now;
		say(p, now);
	}
	qmgr_provider_changed(q, p);
}

static void on_states(void *ctx, const struct redis_answer *answer)
{
	struct qmgr *q = ctx;
	struct qmgr_providers *all = &q->providers;

	all->is_asking = false;
	if (answer == NULL || redis_kind(answer) != REDIS_LIST)
		return;
	for (size_t i = 0; i < redis_count(answer) && i < all->n_asked; i++)
		take_state(q, all->asked[i], redis_at(answer, i));
}

void qmgr_provider_share_tick(struct qmgr *q)
{
	struct qmgr_providers *all = &q->providers;
	struct redis_key keys[QMGR_SCHEDULE_NONE];
	struct str words[QMGR_SCHEDULE_NONE + 1] = {STR("MGET")};
	int64_t now = clock_mono();

	if (!is_shared(q) || all->is_asking || now < all->ask_at || all->n == 0)
		return;
	all->ask_at = now + EVERY;
	for (unsigned i = 0; i < all->n; i++) {
		keys[i] = key_of("provider", all->at[i]);
		words[i + 1] = str_of(keys[i].text);
		all->asked[i] = all->at[i];
	}
	all->n_asked = all->n;
	all->is_asking = true;
	redis_run(all->redis, words, all->n + 1, on_states, q);
}

/* ---- who probes ---- */

static void on_probe(void *ctx, const struct redis_answer *answer)
{
	struct qmgr_provider *p = ctx;
	int64_t now = clock_mono();

	p->is_asking_probe = false;
	/* Without an answer each is by itself. */
	if (answer == NULL || redis_kind(answer) == REDIS_TEXT || redis_kind(answer) == REDIS_REFUSED)
		p->may_probe_until = now + PROBE_SECONDS * CLOCK_SECOND;
	else
		p->ask_probe_at = now + ASK_AGAIN;
	qmgr_dispatch_pump(p->q);
}

bool qmgr_provider_share_may_probe(struct qmgr *q, struct qmgr_provider *p)
{
	struct redis_key key = key_of("probe", p);
	int64_t now = clock_mono();

	if (!is_shared(q) || now < p->may_probe_until)
		return true;
	if (p->is_asking_probe || now < p->ask_probe_at)
		return false;
	p->is_asking_probe = true;
	redis_run(q->providers.redis,
		  (struct str[]){STR("SET"), str_of(key.text), str_of(q->lease.owner), STR("EX"), STR(PROBE_SECONDS_TEXT),
				 STR("NX")},
		  6, on_probe, p);
	return false;
}

/* ---- Redis comes and goes ---- */

static void on_state(void *ctx, bool is_up, const char *why)
{
	struct qmgr *q = ctx;

	metrics_set(METRIC_QUEUE_REDIS_UP, is_up);
	/* What is down here is told anew; of what is up here the others may know better. */
	for (struct qmgr_provider *p = q->providers.first; p != NULL; p = p->next)
		p->told_why = QMGR_HEALTH_UP;
	if (is_up)
		log_info(NULL, "qmgr.redis.up");
	else
		log_warn(NULL, "qmgr.redis.down", log_text("why", why),
			 log_text("effect", "each host finds out by itself which providers are down"));
}

void qmgr_provider_share_init(struct qmgr *q, struct str ca_pem)
{
	const struct settings *s = q->env->settings;
	struct redis_url url;
	struct err err;

	if (s->redis.url[0] == '\0')
		return;
	if (!redis_url_parse(str_of(s->redis.url), &url, &err)) {
		log_error(NULL, "qmgr.redis.unusable", log_text("why", err.text));
		return;
	}
	if (url.is_tls && (q->providers.tls = tls_client_new(ca_pem, false, TLS_1_2, &err)) == NULL)
		log_error(NULL, "qmgr.redis.untrusted", log_text("why", err.text));
	else
		q->providers.redis = redis_new(q->loop, &url, q->providers.tls, s->redis.timeout, on_state, q);
	redis_url_clear(&url);
}

void qmgr_provider_share_follow_settings(struct qmgr *q)
{
	if (q->providers.redis != NULL)
		redis_set_timeout(q->providers.redis, q->env->settings->redis.timeout);
}

void qmgr_provider_share_clear(struct qmgr *q)
{
	redis_free(&q->providers.redis);
	tls_client_free(&q->providers.tls);
}
