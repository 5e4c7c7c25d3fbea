/* SPDX-License-Identifier: Apache-2.0
 *
 * From an outcome's class, code and words to one of the replies.
 */
#include "qmgr/qmgr_verdict.h"

enum { TOO_MANY_REQUESTS = 429 }; /* RFC 6585 */

static bool has_word(struct str text, struct str word)
{
	for (; text.n >= word.n; text = str_from(text, 1))
		if (str_istarts(text, word))
			return true;
	return false;
}

static bool is_rate_limit(const struct ipc_outcome *o)
{
	return o->code == TOO_MANY_REQUESTS || o->retry_after > 0 || has_word(o->reason, STR("rate limit")) ||
	       has_word(o->reason, STR("rate exceeded")) || has_word(o->reason, STR("throttl")) ||
	       has_word(o->reason, STR("too many requests"));
}

bool qmgr_verdict_leaves_some(const struct ipc_outcome *o)
{
	struct reader r = reader_of(o->refusals);
	struct ipc_refusal f;

	while (ipc_get_refusal(&r, &f))
		if (f.class == IPC_OUTCOME_TRANSIENT)
			return true;
	return false;
}

enum ipc_submit_verdict qmgr_verdict_of(const struct ipc_outcome *o)
{
	switch (o->class) {
	case IPC_OUTCOME_SENT:
		return IPC_SUBMIT_SENT;
	case IPC_OUTCOME_PERMANENT:
	case IPC_OUTCOME_UNFIT:
		return qmgr_verdict_leaves_some(o) ? IPC_SUBMIT_FAILING : IPC_SUBMIT_REFUSED;
	case IPC_OUTCOME_UNKNOWN:
		return IPC_SUBMIT_UNREACHABLE;
	case IPC_OUTCOME_TRANSIENT:
		if (is_rate_limit(o))
			return IPC_SUBMIT_RATE_LIMITED;
		/* The network, not the provider (RFC 3463, 3.5). */
		return str_starts(o->status, STR("4.4.")) ? IPC_SUBMIT_UNREACHABLE : IPC_SUBMIT_FAILING;
	case IPC_OUTCOME_PROVIDER_FAULT:
	case IPC_OUTCOME_CLASSES:
		break;
	}
	return IPC_SUBMIT_FAILING;
}

enum ipc_submit_verdict qmgr_verdict_join(enum ipc_submit_verdict all, enum ipc_submit_verdict next)
{
	if (all == IPC_SUBMIT_SENT || next == IPC_SUBMIT_SENT)
		return IPC_SUBMIT_SENT;
	return all == IPC_SUBMIT_REFUSED ? next : all;
}

bool qmgr_verdict_is_final(enum ipc_submit_verdict verdict)
{
	return verdict == IPC_SUBMIT_SENT || verdict == IPC_SUBMIT_REFUSED;
}
