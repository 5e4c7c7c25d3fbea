/* SPDX-License-Identifier: Apache-2.0
 *
 * Exponential backoff with jitter; the provider's Retry-After wins over it; max_attempts and
 * max_age end it.
 */
#include "qmgr/qmgr_retry.h"

/* The wait after so many attempts, as the header says. */
static int64_t backoff(const struct qmgr_retry_policy *policy, unsigned attempts, uint64_t random)
{
	int64_t wait = policy->first, least = QMGR_RETRY_LEAST;

	for (unsigned i = 1; i < attempts && wait < policy->longest; i++)
		wait *= 2;
	if (wait > policy->longest)
		wait = policy->longest;
	if (attempts <= 1 && policy->first / 2 > least)
		least = policy->first / 2;
	return wait <= least ? wait : wait - (int64_t)(random % (uint64_t)(wait - least + 1));
}

static struct qmgr_retry_verdict again(const struct qmgr_retry_policy *policy,
				       const struct qmgr_retry_case *c,
				       struct qmgr_retry_verdict verdict)
{
	int64_t end = c->queued_at + policy->max_age;
	int64_t wait = c->retry_after > 0 ? (int64_t)c->retry_after * CLOCK_SECOND
					  : backoff(policy, c->attempts, c->random);

	if (c->has_other)
		wait = 0;
	if (c->now >= end) {
		verdict.next = QMGR_NEXT_DEAD;
		verdict.why = "older than queue.max_age";
		return verdict;
	}
	verdict.next = QMGR_NEXT_AGAIN;
	verdict.due_at = c->now + wait;
	/* The last try is made at the end of the message's time, not left out. */
	if (verdict.due_at > end)
		verdict.due_at = end;
	return verdict;
}

struct qmgr_retry_verdict qmgr_retry_decide(const struct qmgr_retry_policy *policy,
					    const struct qmgr_retry_case *c)
{
	struct qmgr_retry_verdict verdict = {.next = QMGR_NEXT_DEAD, .faults = c->faults};

	switch (c->class) {
	case IPC_OUTCOME_SENT:
		verdict.next = QMGR_NEXT_SENT;
		return verdict;
	case IPC_OUTCOME_PROVIDER_FAULT:
		/* Does not use up the message's attempts: the operator has to mend something. */
		verdict.faults++;
		return again(policy, c, verdict);
	case IPC_OUTCOME_UNFIT:
		if (!c->has_other)
			return verdict;
		verdict.faults++;
		return again(policy, c, verdict);
	case IPC_OUTCOME_UNKNOWN:
		if (policy->holds_unknown) {
			verdict.next = QMGR_NEXT_HELD;
			return verdict;
		}
		break;
	case IPC_OUTCOME_TRANSIENT:
		break;
	case IPC_OUTCOME_PERMANENT:
	case IPC_OUTCOME_CLASSES:
		return verdict;
	}
	if (c->attempts >= c->faults + policy->max_attempts) {
		verdict.why = "queue.max_attempts is reached";
		return verdict;
	}
	return again(policy, c, verdict);
}
