/* SPDX-License-Identifier: Apache-2.0
 *
 * A line and a count for each fate that recipients of the part have.
 */
#include "qmgr/qmgr_tell.h"

#include "lib/base/clock.h"
#include "lib/service/metrics.h"
#include "lib/smtp/smtp_reason.h"
#include "qmgr/qmgr.h"

struct log_context qmgr_tell_context(const struct qmgr_outcome *o, char *id)
{
	const struct qmgr_message *m = o->message;

	return (struct log_context){
		.session = o->session,
		.message = uuid_format(&m->id, id),
		.tenant = m->tenant == NULL ? NULL : m->tenant->name,
	};
}

/* A provider that was taken out of the settings is not counted. */
static void count(enum metric metric, unsigned provider)
{
	if (provider != QMGR_SCHEDULE_NONE)
		metrics_add_at(metric, provider, 1);
}

static void tell_sent(const struct qmgr_outcome *o, const struct log_context *about, unsigned provider)
{
	count(METRIC_SENT, provider);
	if (o->mail_at > 0)
		metrics_time(METRIC_DELIVERY_TIMES, o->answered_at - o->mail_at);
	log_info(about, "qmgr.message.sent", log_uint("part", o->message->part),
		 log_uint("recipients", o->fates.n[QMGR_FATE_SENT]), log_str("provider", o->provider),
		 log_str("provider_id", o->provider_id), log_uint("attempts", o->attempt),
		 log_ms("call", o->answered_at - o->started_at),
		 log_ms("since_mail", o->mail_at > 0 ? o->answered_at - o->mail_at : 0));
}

static void tell_left(const struct qmgr_outcome *o, const struct log_context *about, unsigned provider,
		      const struct qmgr_fate_group *g)
{
	unsigned part = o->message->part, n = o->fates.n[QMGR_FATE_LEFT];

	if (o->verdict.next == QMGR_NEXT_HELD) {
		log_warn(about, "qmgr.message.held", log_uint("part", part), log_uint("recipients", n),
			 log_str("provider", o->provider), log_uint("attempts", o->attempt),
			 log_str("reason", qmgr_fate_reason(g)));
		return;
	}
	count(METRIC_TRANSIENT, provider);
	log_info(about, "qmgr.message.deferred", log_uint("part", part), log_uint("recipients", n),
		 log_str("provider", o->provider), log_text("class", ipc_outcome_class_name(o->left_class)),
		 log_uint("attempts", o->attempt), log_uint("code", g->code), log_str("reason", qmgr_fate_reason(g)),
		 log_ms("next_try_in", o->verdict.due_at - clock_wall()));
}

/* Another attempt was recorded before; when the next one is does not follow from this. */
static void tell_late(const struct qmgr_outcome *o, const struct log_context *about, const struct qmgr_fate_group *g)
{
	log_info(about, "qmgr.message.late", log_uint("part", o->message->part),
		 log_uint("recipients", o->fates.n[QMGR_FATE_LEFT]), log_str("provider", o->provider),
		 log_text("class", ipc_outcome_class_name(o->left_class)), log_uint("attempts", o->attempt),
		 log_uint("code", g->code), log_str("reason", qmgr_fate_reason(g)));
}

static void tell_dead(const struct qmgr_outcome *o, const struct log_context *about, unsigned provider,
		      const struct qmgr_fate_group *g)
{
	metrics_add_at(METRIC_DEAD_LETTERS,
		       o->verdict.why != NULL ? SMTP_REASON_EXPIRED : smtp_reason_of(qmgr_fate_status(g)), 1);
	if (o->verdict.why == NULL && o->class != IPC_OUTCOME_UNFIT)
		count(METRIC_PERMANENT, provider);
	log_info(about, "qmgr.message.dead", log_uint("part", o->message->part),
		 log_uint("recipients", o->fates.n[QMGR_FATE_FAILED]), log_str("provider", o->provider),
		 log_uint("attempts", o->attempt), log_uint("code", g->code), log_str("status", qmgr_fate_status(g)),
		 log_str("reason", qmgr_fate_reason(g)), log_text("rule", o->verdict.why));
}

void qmgr_tell_recorded(const struct qmgr *q, const struct qmgr_outcome *o)
{
	char id[UUID_TEXT], key[SETTINGS_KEY];
	struct log_context about = qmgr_tell_context(o, id);
	unsigned provider = QMGR_SCHEDULE_NONE;
	const struct qmgr_fate_group *failed = qmgr_fate_first(&o->fates, QMGR_FATE_FAILED);
	const struct qmgr_fate_group *left = qmgr_fate_first(&o->fates, QMGR_FATE_LEFT);

	if (str_copy(o->provider, key, sizeof(key)))
		provider = qmgr_tenant_provider_index(q, key);
	if (o->class == IPC_OUTCOME_UNKNOWN)
		count(METRIC_UNKNOWN, provider);
	if (qmgr_fate_first(&o->fates, QMGR_FATE_SENT) != NULL)
		tell_sent(o, &about, provider);
	if (failed != NULL)
		tell_dead(o, &about, provider, failed);
	if (left != NULL && o->is_late && o->verdict.next != QMGR_NEXT_HELD)
		tell_late(o, &about, left);
	else if (left != NULL)
		tell_left(o, &about, provider, left);
}
