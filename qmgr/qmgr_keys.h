/* SPDX-License-Identifier: Apache-2.0
 *
 * The idempotency keys of messages of the direct modes. Nothing of these is in the database, so their keys are in the memory of
 * this process: they hold on this host, as long as it lives, and for the newest QMGR_KEYS_MOST messages that were taken. (The
 * keys of queued messages are stored with them: sql/0008_front.sql.)
 */
#ifndef QMGR_QMGR_KEYS_H
#define QMGR_QMGR_KEYS_H

#include "lib/ipc/ipc_body.h"
#include "qmgr/qmgr_front.h"

enum { QMGR_KEYS_MOST = 65536 };

struct qmgr_key;

struct qmgr_keys {
	struct qmgr_key **table, **asked; /* by tenant and key; by asker, those without an answer yet */
	struct qmgr_key *oldest, *newest; /* of those that were taken, in that order */
	size_t n_taken;
};

void qmgr_keys_init(struct qmgr *q);
void qmgr_keys_clear(struct qmgr *q);
/* A message of a direct mode has come. True: it has the key of another one, and was answered. */
bool qmgr_keys_take(struct qmgr *q, const struct qmgr_asker *asker, const struct ipc_message *m);
/* An answer goes out. */
void qmgr_keys_answered(struct qmgr *q, const struct qmgr_asker *asker, const struct ipc_submit_result *result);
/* This smtpd is gone, and with it those who wait. */
void qmgr_keys_forget(struct qmgr *q, const struct qmgr_front *front);

#endif
