/* SPDX-License-Identifier: Apache-2.0
 *
 * One state a provider, under its key. Whether it is usable is found anew with everything that is heard and every tick, and
 * remembered: then a change is told once, to the log, the metrics and the lanes.
 */
#include "qmgr/qmgr_provider.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/service/metrics.h"
#include "qmgr/qmgr.h"
#include "qmgr/qmgr_provider_share.h"
#include "qmgr/qmgr_provider_store.h"

/* Messages that have another way do not wait longer than this for a provider that wants a pause. */
#define LONG_PAUSE (10 * CLOCK_SECOND)
/* A message that was told to probe is under way by then, or something has come between. */
#define PROBE_BEGINS_WITHIN CLOCK_SECOND
/* At the start, for the database. */
#define PATIENCE (5 * CLOCK_SECOND)
/* Calls are taken out together for so long when they come one by one. */
#define SHORTEST_HOLD (2 * CLOCK_MS)

struct qmgr_health_rules qmgr_provider_health_rules(const struct qmgr *q)
{
	const struct settings *s = q->env->settings;

	return (struct qmgr_health_rules){
		.failures = (unsigned)s->health.failures,
		.percent = (unsigned)s->health.failing_percent,
		.calls = (unsigned)s->health.calls,
		.window = s->health.window,
		.open_time = s->health.open_time,
		.probe_time = s->health.probe_time,
	};
}

struct qmgr_provider *qmgr_provider_find(const struct qmgr *q, struct str key)
{
	struct qmgr_provider *p = q->providers.first;

	while (p != NULL && !str_eq(str_of(p->key), key))
		p = p->next;
	return p;
}

static struct qmgr_provider *find_or_make(struct qmgr *q, const char *key)
{
	struct qmgr_provider *p = qmgr_provider_find(q, str_of(key));

	if (p != NULL)
		return p;
	p = mem_zero(sizeof(*p));
	str_copy(str_of(key), p->key, sizeof(p->key));
	p->is_usable = true;
	p->q = q;
	p->next = q->providers.first;
	q->providers.first = p;
	return p;
}

static void count(const struct qmgr_provider *p, enum metric metric)
{
	if (p->index != QMGR_SCHEDULE_NONE)
		metrics_add_at(metric, p->index, 1);
}

static void show(const struct qmgr_provider *p)
{
	if (p->index == QMGR_SCHEDULE_NONE)
		return;
	metrics_set_at(METRIC_PROVIDER_UP, p->index, p->is_usable);
	metrics_set_at(METRIC_PROVIDER_TODAY, p->index, p->budget.used_day);
	metrics_set_at(METRIC_PROVIDER_THIS_MONTH, p->index, p->budget.used_month);
	metrics_set_at(METRIC_PROVIDER_RATE, p->index, (int64_t)(qmgr_budget_rate(&p->budget, &p->rules) + 999) / 1000);
}

static unsigned in_flight(const struct qmgr *q, const struct qmgr_provider *p)
{
	return p->index == QMGR_SCHEDULE_NONE ? 0 : q->schedule.provider[p->index].in_flight;
}

/* Its budget gives nothing for so long that messages should go another way. */
static bool is_held_long(const struct qmgr_budget_grant *grant, int64_t now)
{
	return grant->calls == 0 &&
	       (grant->why == QMGR_BUDGET_DAY || grant->why == QMGR_BUDGET_MONTH || grant->until - now > LONG_PAUSE);
}

static void say_held(struct qmgr_provider *p, const struct qmgr_budget_grant *grant, bool is_held, int64_t now)
{
	enum qmgr_budget_why why = is_held ? grant->why : QMGR_BUDGET_FREE;

	if (why != p->held && is_held)
		log_warn(NULL, "qmgr.provider.held", log_text("provider", p->key), log_text("why", qmgr_budget_why_name(why)),
			 log_ms("for", grant->until - now));
	else if (why != p->held)
		log_info(NULL, "qmgr.provider.free", log_text("provider", p->key));
	p->held = why;
}

/* True: it changed. */
static bool look(struct qmgr_provider *p, int64_t now)
{
	struct qmgr_budget_grant grant = qmgr_budget_grant(&p->budget, &p->rules, 0, now);
	bool is_held = is_held_long(&grant, now), was = p->is_usable;

	say_held(p, &grant, is_held, now);
	if (p->suspended_until != 0 && p->suspended_until <= now) {
		p->suspended_until = 0;
		log_info(NULL, "qmgr.provider.suspension_over", log_text("provider", p->key));
	}
	p->is_usable = qmgr_health_is_up(&p->health) && !is_held && p->suspended_until == 0;
	show(p);
	return was != p->is_usable;
}

/* Its budget of the day may be used up: that is read when the database has answered. */
static bool is_uncounted(const struct qmgr *q, const struct qmgr_provider *p)
{
	return q->has_database && !p->is_counted && (p->rules.per_day > 0 || p->rules.per_month > 0) &&
	       clock_mono() < q->providers.patient_until;
}

/* The schedule learns what this one may be given. */
static void grant(struct qmgr *q, struct qmgr_provider *p, int64_t now)
{
	struct qmgr_budget_grant g = qmgr_budget_grant(&p->budget, &p->rules, in_flight(q, p), now);
	bool is_up = qmgr_health_is_up(&p->health);

	if (is_uncounted(q, p))
		qmgr_schedule_hold(&q->schedule, p->index, INT64_MAX); /* the tick asks again */
	else if (p->suspended_until > now)
		qmgr_schedule_hold(&q->schedule, p->index, p->suspended_until);
	else if (!is_up && now < p->health.probe_at)
		qmgr_schedule_hold(&q->schedule, p->index, p->health.probe_at);
	else if (!is_up && (in_flight(q, p) > 0 || !qmgr_provider_share_may_probe(q, p)))
		qmgr_schedule_hold(&q->schedule, p->index, INT64_MAX); /* what lands, or the answer, or the tick asks again */
	else if (g.calls == 0)
		qmgr_schedule_hold(&q->schedule, p->index,
				   g.until > now + SHORTEST_HOLD ? g.until : now + SHORTEST_HOLD);
	else if (!is_up)
		qmgr_schedule_grant(&q->schedule, p->index, 1);
	else
		qmgr_schedule_grant(&q->schedule, p->index, g.calls);
}

void qmgr_provider_grant(struct qmgr *q)
{
	int64_t now = clock_wall();

	for (unsigned i = 0; i < q->providers.n; i++)
		if (qmgr_schedule_has_work(&q->schedule, i))
			grant(q, q->providers.at[i], now);
}

void qmgr_provider_began(struct qmgr *q, unsigned provider)
{
	struct qmgr_provider *p = q->providers.at[provider];

	must(provider < q->providers.n);
	p->calls++;
	qmgr_budget_began(&p->budget, &p->rules, clock_wall());
}

static struct qmgr_provider_own *own_of(const struct qmgr_provider *p, const struct qmgr_tenant *tenant)
{
	struct qmgr_provider_own *own = p->own;

	while (own != NULL && own->tenant != tenant)
		own = own->next;
	return own;
}

static void forget_own(struct qmgr_provider *p)
{
	while (p->own != NULL) {
		struct qmgr_provider_own *own = p->own;

		p->own = own->next;
		free(own);
	}
}

bool qmgr_provider_is_usable(const struct qmgr *q, unsigned provider, const struct qmgr_tenant *tenant)
{
	const struct qmgr_provider_own *own;

	if (provider >= q->providers.n || !q->providers.at[provider]->is_usable)
		return false;
	own = own_of(q->providers.at[provider], tenant);
	return own == NULL || qmgr_health_is_up(&own->health) || qmgr_health_wants_probe(&own->health, clock_wall());
}

const char *qmgr_provider_why_not(const struct qmgr *q, unsigned provider, const struct qmgr_tenant *tenant)
{
	const struct qmgr_provider *p = q->providers.at[provider];
	const struct qmgr_provider_own *own = own_of(p, tenant);

	if (p->suspended_until != 0)
		return "an operator has suspended it";
	if (!qmgr_health_is_up(&p->health))
		return qmgr_health_why_name(p->health.why);
	if (p->held != QMGR_BUDGET_FREE)
		return qmgr_budget_why_name(p->held);
	return own != NULL ? qmgr_health_why_name(own->health.why) : "it was down";
}

bool qmgr_provider_take_probe(struct qmgr *q, unsigned provider)
{
	int64_t now = clock_wall();
	struct qmgr_provider *p;

	if (provider >= q->providers.n)
		return false;
	p = q->providers.at[provider];
	if (!qmgr_health_wants_probe(&p->health, now) || p->suspended_until > now || p->held != QMGR_BUDGET_FREE || in_flight(q, p) > 0 ||
	    qmgr_schedule_has_work(&q->schedule, provider) || now - p->probe_told_at < PROBE_BEGINS_WITHIN ||
	    !qmgr_provider_share_may_probe(q, p))
		return false;
	p->probe_told_at = now;
	return true;
}

static void say_down(const struct qmgr_provider *p, const struct ipc_outcome *o, int64_t now)
{
	if (p->health.why == QMGR_HEALTH_CREDENTIAL)
		log_error(NULL, "qmgr.provider.credential_refused", log_text("provider", p->key), log_uint("code", o->code),
			  log_str("reason", o->reason), log_ms("left_alone_for", p->health.probe_at - now),
			  log_text("mend", "put a good key into the settings and reload; no message is given up for it"));
	else
		log_warn(NULL, "qmgr.provider.down", log_text("provider", p->key),
			 log_text("why", qmgr_health_why_name(p->health.why)), log_uint("code", o->code),
			 log_str("reason", o->reason), log_ms("left_alone_for", p->health.probe_at - now));
}

static void say_throttled(const struct qmgr_provider *p, const struct ipc_outcome *o, bool was_paused, uint64_t was_rate,
			  int64_t now)
{
	uint64_t rate = qmgr_budget_rate(&p->budget, &p->rules);

	if (!was_paused && p->budget.paused_until > now)
		log_info(NULL, "qmgr.provider.paused", log_text("provider", p->key), log_uint("code", o->code),
			 log_ms("for", p->budget.paused_until - now));
	if (rate != was_rate && o->about == IPC_ABOUT_THROTTLE)
		log_info(NULL, "qmgr.provider.slowed", log_text("provider", p->key), log_uint("code", o->code),
			 log_str("reason", o->reason), log_uint("calls_in_1000_seconds", rate));
}

void qmgr_provider_changed(struct qmgr *q, struct qmgr_provider *p)
{
	qmgr_provider_share_tell(q, p);
	if (look(p, clock_wall()))
		qmgr_tenant_follow_providers(q);
}

void qmgr_provider_resume(struct qmgr *q, struct qmgr_provider *p)
{
	struct qmgr_health_rules rules = qmgr_provider_health_rules(q);

	qmgr_health_told(&p->health, &rules, QMGR_HEALTH_UP, 0, clock_wall());
	qmgr_budget_forget(&p->budget);
	forget_own(p);
	qmgr_provider_changed(q, p);
}

/* A call with the tenant's own credential, which may be for an account or a smarthost of its own: what comes of it says
 * nothing of the provider, and of no other tenant. */
static void heard_own(struct qmgr *q, struct qmgr_provider *p, const struct qmgr_tenant *tenant,
		      enum qmgr_health_word word, const struct ipc_outcome *o, int64_t now)
{
	struct qmgr_health_rules rules = qmgr_provider_health_rules(q);
	struct qmgr_provider_own *own = own_of(p, tenant);

	if (own == NULL && word != QMGR_HEALTH_REFUSED && word != QMGR_HEALTH_BAD)
		return;
	if (own == NULL) {
		own = mem_zero(sizeof(*own));
		own->tenant = tenant;
		own->next = p->own;
		p->own = own;
	}
	if (!qmgr_health_heard(&own->health, &rules, word, o->started_at, now))
		return;
	if (qmgr_health_is_up(&own->health)) {
		log_info(&(struct log_context){.tenant = tenant->name}, "qmgr.provider.own_credential_taken",
			 log_text("provider", p->key));
	} else {
		count(p, METRIC_PROVIDER_OPENED);
		log_error(&(struct log_context){.tenant = tenant->name},
			  word == QMGR_HEALTH_REFUSED ? "qmgr.provider.own_credential_refused" : "qmgr.provider.own_fails",
			  log_text("provider", p->key), log_uint("code", o->code), log_str("reason", o->reason),
			  log_text("mend", "smtp-proxyctl credential set; no message is given up for it"));
	}
	qmgr_tenant_follow_providers(q);
}

static void heard_health(struct qmgr *q, struct qmgr_provider *p, enum qmgr_health_word word, const struct ipc_outcome *o,
			 int64_t now)
{
	struct qmgr_health_rules rules = qmgr_provider_health_rules(q);
	bool was_up = qmgr_health_is_up(&p->health);

	if (!qmgr_health_heard(&p->health, &rules, word, o->started_at, now))
		return;
	if (!was_up) {
		log_info(NULL, "qmgr.provider.up", log_text("provider", p->key));
		return;
	}
	p->down_since = now;
	if (!str_copy(o->reason, p->last_error, sizeof(p->last_error)))
		str_copy(str_first(o->reason, sizeof(p->last_error) - 1), p->last_error, sizeof(p->last_error));
	count(p, METRIC_PROVIDER_OPENED);
	say_down(p, o, now);
}

void qmgr_provider_heard(struct qmgr *q, const struct qmgr_message *m, const struct ipc_outcome *o)
{
	struct qmgr_provider *p = qmgr_provider_find(q, o->provider);
	enum qmgr_health_word word = qmgr_health_word(o);
	int64_t now = clock_wall();
	bool was_paused;
	uint64_t was_rate;
	unsigned others;

	/* The sandbox says nothing of the provider that it stands for, nor does what may have been a test, or a tenant's own
	 * credential. */
	if (p == NULL || m->job->is_test || m->job->is_adopted)
		return;
	if (m->job->has_own_credential) {
		p->failed += word == QMGR_HEALTH_BAD || word == QMGR_HEALTH_REFUSED;
		heard_own(q, p, m->tenant, word, o, now);
		return;
	}
	others = in_flight(q, p) - (in_flight(q, p) > 0 && m->job->is_counted);
	was_paused = p->budget.paused_until > now;
	was_rate = qmgr_budget_rate(&p->budget, &p->rules);
	if (qmgr_budget_heard(&p->budget, &p->rules, o, m->job->n_recipients, others, now)) {
		p->throttled++;
		count(p, METRIC_PROVIDER_THROTTLED);
	}
	say_throttled(p, o, was_paused, was_rate, now);
	p->failed += word == QMGR_HEALTH_BAD || word == QMGR_HEALTH_REFUSED;
	heard_health(q, p, word, o, now);
	qmgr_provider_changed(q, p);
}

/* Another number for each probe that is due. */
static int64_t probe_of(const struct qmgr_provider *p)
{
	return p->health.probe_at + p->health.good;
}

/* Messages that wait at a provider that is down may be able to probe this one, at which none waits. */
static bool wants_offer(const struct qmgr *q, const struct qmgr_provider *p, int64_t now)
{
	if (!qmgr_health_wants_probe(&p->health, now) || p->probe_offered == probe_of(p) || in_flight(q, p) > 0 ||
	    qmgr_schedule_has_work(&q->schedule, p->index))
		return false;
	for (unsigned i = 0; i < q->providers.n; i++)
		if (!q->providers.at[i]->is_usable && qmgr_schedule_has_work(&q->schedule, i))
			return true;
	return false;
}

static void offer_probes(struct qmgr *q)
{
	int64_t now = clock_wall();
	bool is_any = false;

	for (unsigned i = 0; i < q->providers.n; i++) {
		struct qmgr_provider *p = q->providers.at[i];

		if (!wants_offer(q, p, now))
			continue;
		/* Those who are asked take what is theirs; where another host probes they ask again. */
		if (qmgr_provider_share_may_probe(q, p))
			p->probe_offered = probe_of(p);
		is_any = is_any || p->probe_offered == probe_of(p);
	}
	if (is_any)
		qmgr_tenant_follow_providers(q);
}

void qmgr_provider_tick(struct qmgr *q)
{
	for (unsigned i = 0; i < q->providers.n; i++)
		qmgr_provider_changed(q, q->providers.at[i]);
	offer_probes(q);
	qmgr_provider_store_tick(q);
	qmgr_provider_share_tick(q);
}

void qmgr_provider_follow_settings(struct qmgr *q)
{
	const struct settings *s = q->env->settings;
	int64_t now = clock_wall();

	for (struct qmgr_provider *p = q->providers.first; p != NULL; p = p->next)
		p->index = QMGR_SCHEDULE_NONE;
	qmgr_provider_share_follow_settings(q);
	q->providers.n = (unsigned)s->n_provider;
	q->schedule.is_shared = s->n_provider > 1;
	for (unsigned i = 0; i < q->providers.n; i++) {
		struct qmgr_provider *p = find_or_make(q, s->provider[i].key);

		p->index = i;
		p->rules = (struct qmgr_budget_rules){
			.per_second = (unsigned)s->provider[i].per_second,
			.per_day = s->provider[i].per_day,
			.per_month = s->provider[i].per_month,
		};
		q->providers.at[i] = p;
		q->schedule.provider[i].concurrency = (unsigned)s->provider[i].concurrency;
		qmgr_schedule_grant(&q->schedule, i, QMGR_SCHEDULE_ANY);
		/* A key may be another one now. */
		qmgr_health_hurry(&p->health, now);
		look(p, now);
	}
}

void qmgr_provider_init(struct qmgr *q)
{
	q->providers.patient_until = clock_mono() + PATIENCE;
	qmgr_provider_follow_settings(q);
}

void qmgr_provider_clear(struct qmgr *q)
{
	qmgr_provider_share_clear(q);
	while (q->providers.first != NULL) {
		struct qmgr_provider *p = q->providers.first;

		q->providers.first = p->next;
		forget_own(p);
		free(p);
	}
}
