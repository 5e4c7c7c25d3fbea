/* SPDX-License-Identifier: Apache-2.0
 *
 * The recipients are sorted by how they fared (qmgr_fate.c); for those who are left time and count decide (qmgr_retry.c).
 */
#include "qmgr/qmgr_decide.h"

#include "lib/base/clock.h"
#include "lib/base/random.h"
#include "lib/settings/settings_provider.h"
#include "qmgr/qmgr.h"

/* Nobody has to wait for word of what became of a call that may be made again: before the provider has forgotten its key, which
 * counts from the first call that may have been obeyed. */
static bool is_repeatable(const struct qmgr *q, const struct qmgr_outcome *o)
{
	const struct qmgr_message *m = o->message;
	int64_t since = m->pinned != NULL ? m->queued_at : o->started_at;
	char key[SETTINGS_KEY];
	unsigned provider = QMGR_SCHEDULE_NONE;

	if (str_copy(o->provider, key, sizeof(key)))
		provider = qmgr_tenant_provider_index(q, key);
	return provider != QMGR_SCHEDULE_NONE && settings_provider_kind(q->env->settings->provider[provider].type)->repeats &&
	       clock_wall() + m->tenant->wishes.retry_longest < since + SETTINGS_PROVIDER_REPEATS;
}

/* The provider cannot carry it for so many at once (RFC 3463: 5.5.3): each is given a call of its own. */
static bool is_crowded(const struct qmgr_outcome *o, unsigned n)
{
	struct qmgr_message *m = o->message;

	if (o->class != IPC_OUTCOME_UNFIT || !str_eq(o->status, STR("5.5.3")) || n < 2 || m->call != NULL ||
	    m->tenant->redirect_to != NULL)
		return false;
	m->route.is_crowded = true;
	return true;
}

/* An operator has said during the call that another provider is to have it. */
static bool is_rerouted(const struct qmgr_outcome *o)
{
	const char *pinned = o->message->pinned;

	return pinned != NULL && o->provider.n > 0 && !str_eq(str_of(pinned), o->provider);
}

/* What follows for those who are to be tried again: n of them. */
static struct qmgr_retry_verdict decide_left(struct qmgr *q, const struct qmgr_outcome *o, unsigned n)
{
	struct qmgr_message *m = o->message;
	const struct qmgr_tenant_wishes *wishes = &m->tenant->wishes;
	struct qmgr_retry_policy policy = {
		.first = wishes->retry_first,
		.longest = wishes->retry_longest,
		.max_age = wishes->max_age,
		.max_attempts = (unsigned)wishes->max_attempts,
		.holds_unknown = m->tenant->holds_unknown && !is_repeatable(q, o),
	};
	struct qmgr_retry_case c = {
		.class = o->left_class,
		.attempts = o->attempt,
		.faults = m->faults,
		.retry_after = o->retry_after,
		.has_other = is_rerouted(o) || is_crowded(o, n) ||
			     qmgr_route_has_other(q, m, o->left_class, o->provider),
		.queued_at = m->queued_at,
		.now = clock_wall(),
	};

	random_fill(&c.random, sizeof(c.random));
	return qmgr_retry_decide(&policy, &c);
}

void qmgr_decide(struct qmgr *q, struct qmgr_outcome *o, const struct str *recipients, unsigned n, struct str dsn)
{
	const struct qmgr_message *m = o->message;
	struct qmgr_fates *f = &o->fates;
	const struct ipc_outcome told = {
		.whom = o->whom,
		.class = o->class,
		.code = o->code,
		.status = o->status,
		.reason = o->reason,
		.refusals = o->refusals,
	};

	qmgr_fate_clear(f);
	qmgr_fate_sort(f, m, recipients, n, &told, m->tenant->bounce_from != NULL && !o->is_dsn_passed ? dsn : STR(""));
	o->is_late = o->attempt <= m->attempts;
	o->verdict = (struct qmgr_retry_verdict){.next = QMGR_NEXT_DEAD, .faults = m->faults};
	o->left_class = f->is_own_left ? o->class : IPC_OUTCOME_TRANSIENT;
	if (qmgr_fate_first(f, QMGR_FATE_LEFT) != NULL) {
		o->verdict = decide_left(q, o, n);
		/* A later attempt has decided that there is another. */
		if (o->is_late && o->verdict.next == QMGR_NEXT_DEAD)
			o->verdict.next = QMGR_NEXT_AGAIN;
	}
	if (o->verdict.next == QMGR_NEXT_DEAD) {
		qmgr_fate_give_up(f);
		if (qmgr_fate_first(f, QMGR_FATE_SENT) != NULL)
			o->verdict.next = QMGR_NEXT_SENT;
	}
	if (f->n[QMGR_FATE_ABSENT] > 0 && o->verdict.next != QMGR_NEXT_HELD && o->verdict.next != QMGR_NEXT_AGAIN) {
		o->verdict.next = QMGR_NEXT_AGAIN;
		o->verdict.due_at = clock_wall();
	}
	/* Once it is not known whether the provider has it, no other one may get it. */
	o->is_pinned = m->pinned != NULL || o->left_class == IPC_OUTCOME_UNKNOWN;
}
