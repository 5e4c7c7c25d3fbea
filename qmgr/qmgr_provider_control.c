/* SPDX-License-Identifier: Apache-2.0
 *
 * Times in the answer are seconds since 1970.
 */
#include "qmgr/qmgr_provider_control.h"

#include "lib/base/clock.h"
#include "lib/base/json.h"
#include "qmgr/qmgr.h"

static const char *state_of(const struct qmgr_provider *p)
{
	if (p->suspended_until != 0)
		return "suspended";
	if (!qmgr_health_is_up(&p->health))
		return "down";
	return p->held == QMGR_BUDGET_FREE ? "up" : "used up";
}

static const char *why_of(const struct qmgr_provider *p)
{
	if (p->suspended_until != 0)
		return p->reason;
	if (!qmgr_health_is_up(&p->health))
		return qmgr_health_why_name(p->health.why);
	return qmgr_budget_why_name(p->held);
}

static unsigned own_down(const struct qmgr_provider *p)
{
	unsigned n = 0;

	for (const struct qmgr_provider_own *own = p->own; own != NULL; own = own->next)
		n += !qmgr_health_is_up(&own->health);
	return n;
}

static void put(const struct qmgr *q, const struct qmgr_provider *p, int64_t now, struct buf *out)
{
	struct qmgr_health_rules rules = qmgr_provider_health_rules(q);
	bool is_up = qmgr_health_is_up(&p->health);
	unsigned calls, failed;

	qmgr_health_count(&p->health, &rules, now, &calls, &failed);
	json_begin(out, NULL, '{');
	json_put_text(out, "provider", str_of(p->key));
	json_put_text(out, "state", str_of(state_of(p)));
	json_put_text(out, "why", str_of(why_of(p)));
	json_put_text(out, "last_error", str_of(is_up ? "" : p->last_error));
	json_put_int(out, "down_since", is_up ? 0 : p->down_since / CLOCK_SECOND);
	json_put_int(out, "probe_at", is_up ? 0 : p->health.probe_at / CLOCK_SECOND);
	json_put_int(out, "suspended_until", p->suspended_until / CLOCK_SECOND);
	json_put_text(out, "suspended_by", str_of(p->suspended_until != 0 ? p->who : ""));
	json_put_int(out, "in_flight", q->schedule.provider[p->index].in_flight);
	json_put_int(out, "calls", (int64_t)p->calls);
	json_put_int(out, "failed", (int64_t)p->failed);
	json_put_int(out, "throttled", (int64_t)p->throttled);
	json_put_int(out, "window_calls", calls);
	json_put_int(out, "window_failed", failed);
	json_put_int(out, "calls_in_1000_seconds", (int64_t)qmgr_budget_rate(&p->budget, &p->rules));
	json_put_int(out, "paused_until", p->budget.paused_until > now ? p->budget.paused_until / CLOCK_SECOND : 0);
	json_put_int(out, "day", p->budget.used_day);
	json_put_int(out, "per_day", p->rules.per_day);
	json_put_int(out, "month", p->budget.used_month);
	json_put_int(out, "per_month", p->rules.per_month);
	json_put_int(out, "credentials_refused", own_down(p));
	buf_put_char(out, '}');
}

void qmgr_provider_control_ask(const struct qmgr *q, struct str words, struct buf *answer)
{
	json_begin(answer, NULL, '{');
	if (str_eq(words, STR("provider list"))) {
		json_begin(answer, "providers", '[');
		for (unsigned i = 0; i < q->providers.n; i++)
			put(q, q->providers.at[i], clock_wall(), answer);
		buf_put_char(answer, ']');
	} else {
		json_put_text(answer, "error", STR("qmgr does not know these words"));
	}
	buf_put_char(answer, '}');
}
