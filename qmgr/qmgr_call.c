/* SPDX-License-Identifier: Apache-2.0
 *
 * A call's outcome, from the agent's word to the line in the log and the stroke in the journal.
 */
#include "qmgr/qmgr_call.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/ipc/ipc.h"
#include "lib/service/metrics.h"
#include "qmgr/qmgr.h"
#include "qmgr/qmgr_verdict.h"


struct qmgr_call *qmgr_call_new(struct qmgr_direct *d, struct qmgr_message *m)
{
	struct qmgr_call *c = mem_zero(sizeof(*c));

	c->message = m;
	c->direct = d;
	c->slot = -1;
	m->call = c;
	return c;
}

void qmgr_call_free(struct qmgr_call *c)
{
	c->message->call = NULL;
	free(c->outcome);
	free(c);
}

bool qmgr_call_outcome(const struct qmgr_call *c, struct ipc_outcome *o)
{
	struct reader r = reader_of(str_bytes(c->outcome, c->outcome_n));

	if (c->outcome == NULL)
		return false;
	must(ipc_get_outcome(&r, o));
	return true;
}

void qmgr_call_strike(struct qmgr *q, struct qmgr_call *c)
{
	struct ipc_outcome o;

	if (c->is_struck || !qmgr_call_outcome(c, &o))
		return;
	c->is_struck = true;
	if (c->slot >= 0)
		qmgr_dispatch_stored(q, (unsigned)c->slot, c->frame_id, &o.attempt);
}

void qmgr_call_done(struct qmgr_call *c, int slot, uint64_t frame_id, const struct ipc_outcome *o)
{
	struct buf bytes = BUF_MAX(IPC_BODY_MAX);

	ipc_put_outcome(&bytes, o);
	must(!bytes.is_full);
	c->outcome_n = bytes.n;
	c->outcome = mem_copy(bytes.p, bytes.n);
	buf_clear(&bytes);
	c->slot = slot;
	c->frame_id = frame_id;
	c->verdict = qmgr_verdict_of(o);
	c->is_begun = c->is_done = true;
}

static void count(enum metric metric, const struct qmgr *q, struct str provider)
{
	char key[SETTINGS_KEY];
	unsigned i = str_copy(provider, key, sizeof(key)) ? qmgr_tenant_provider_index(q, key) : QMGR_SCHEDULE_NONE;

	if (i != QMGR_SCHEDULE_NONE)
		metrics_add_at(metric, i, 1);
}

/* Recipients that fared otherwise than the call. */
static void tell_refusals(const struct qmgr *q, const struct log_context *about, const struct ipc_outcome *o)
{
	struct reader r = reader_of(o->refusals);
	struct ipc_refusal f;
	bool is_any_for_good = false;

	while (ipc_get_refusal(&r, &f)) {
		is_any_for_good = is_any_for_good || f.class == IPC_OUTCOME_PERMANENT;
		if (f.class != IPC_OUTCOME_SENT)
			log_info(about, "qmgr.direct.refused", log_str("provider", o->provider),
				 log_uint("recipient", f.recipient), log_text("class", ipc_outcome_class_name(f.class)),
				 log_uint("code", f.code), log_str("status", f.status), log_str("reason", f.reason));
	}
	if (is_any_for_good && o->class != IPC_OUTCOME_PERMANENT)
		count(METRIC_PERMANENT, q, o->provider);
}

void qmgr_call_tell(const struct qmgr *q, const struct qmgr_call *c, const struct log_context *about, int64_t mail_at)
{
	unsigned part = c->message->part;
	struct ipc_outcome o;

	if (!qmgr_call_outcome(c, &o)) {
		log_warn(about, "qmgr.direct.not_begun", log_uint("part", part), log_uint("recipients", c->n),
			 log_text("why", "no agent and provider had a place in time"));
		return;
	}
	tell_refusals(q, about, &o);
	if (o.class == IPC_OUTCOME_SENT) {
		count(METRIC_SENT, q, o.provider);
		count(METRIC_DIRECT, q, o.provider);
		if (mail_at > 0)
			metrics_time(METRIC_DELIVERY_TIMES, o.answered_at - mail_at);
		log_info(about, "qmgr.direct.sent", log_str("provider", o.provider),
			 log_str("provider_id", o.provider_id), log_uint("part", part),
			 log_uint("recipients", c->n), log_ms("took", o.answered_at - o.started_at));
		return;
	}
	if (o.class == IPC_OUTCOME_UNKNOWN)
		count(METRIC_UNKNOWN, q, o.provider);
	if (o.class == IPC_OUTCOME_PERMANENT)
		count(METRIC_PERMANENT, q, o.provider);
	if (o.class == IPC_OUTCOME_PROVIDER_FAULT)
		log_error(about, "qmgr.direct.provider_fault", log_str("provider", o.provider),
			  log_uint("code", o.code), log_str("reason", o.reason),
			  log_text("effect", "clients are told 451"));
	log_info(about, "qmgr.direct.failed", log_str("provider", o.provider),
		 log_text("class", ipc_outcome_class_name(o.class)), log_uint("code", o.code),
		 log_str("reason", o.reason), log_uint("part", part), log_uint("recipients", c->n));
}
