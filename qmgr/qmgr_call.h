/* SPDX-License-Identifier: Apache-2.0
 *
 * One call to a provider for a message of a direct mode (qmgr_direct.c).
 */
#ifndef QMGR_QMGR_CALL_H
#define QMGR_QMGR_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/log.h"
#include "lib/ipc/ipc_body.h"

struct qmgr;
struct qmgr_direct;
struct qmgr_message;

/* One call, for one part of the message. */
struct qmgr_call {
	struct qmgr_message *message;
	struct qmgr_direct *direct;
	unsigned n;		  /* recipients of its part */
	bool is_begun;		  /* an agent has it, or had it */
	bool is_done;
	bool is_looked_up;	  /* qmgr_outcome.c has its outcome, and asks whether the message is stored */
	bool is_stored_since;	  /* ... and it was stored after that had begun */
	bool is_struck;		  /* out of the agent's journal */
	int slot;		  /* the agent that told the outcome, or -1 */
	uint64_t frame_id;
	enum ipc_submit_verdict verdict;
	char *outcome; /* an ipc_outcome's bytes; NULL: it was not begun in time */
	size_t outcome_n;
};

struct qmgr_call *qmgr_call_new(struct qmgr_direct *d, struct qmgr_message *m);
void qmgr_call_free(struct qmgr_call *c);
/* This came of it. */
void qmgr_call_done(struct qmgr_call *c, int slot, uint64_t frame_id, const struct ipc_outcome *o);
/* What came of it, borrowed; false when nothing did: it was not begun. */
bool qmgr_call_outcome(const struct qmgr_call *c, struct ipc_outcome *o);
/* Out of the agent's journal. */
void qmgr_call_strike(struct qmgr *q, struct qmgr_call *c);
/* The log and the metrics hear of it. */
void qmgr_call_tell(const struct qmgr *q, const struct qmgr_call *c, const struct log_context *about, int64_t mail_at);

#endif
