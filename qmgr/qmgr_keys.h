/* SPDX-License-Identifier: Apache-2.0
 *
 * The idempotency keys of messages of the direct modes. Nothing of these is in the database, so their keys are in the memory of
 * this process: they hold on this host, as long as it lives, and for QMGR_KEYS_MOST messages that were taken. Beyond these
 * a tenant that has about the most of all loses its oldest, so that none with many takes the others' away. (The keys of queued
 * messages are stored with them, without such a bound: sql/0008_front.sql.)
 */
#ifndef QMGR_QMGR_KEYS_H
#define QMGR_QMGR_KEYS_H

#include "lib/ipc/ipc_body.h"
#include "qmgr/qmgr_front.h"

enum { QMGR_KEYS_MOST = 65536, QMGR_KEYS_CLASSES = 17 /* 2^16 is QMGR_KEYS_MOST */ };

struct qmgr_key;

/* A tenant's keys that were taken, in that order. */
struct qmgr_keys_owner {
	struct qmgr_key *oldest, *newest;
	size_t n;
	struct qmgr_keys_owner *next, **at; /* in its class, while it has any */
};

struct qmgr_keys {
	struct qmgr_key **table, **asked; /* by tenant and key; by asker, those without an answer yet */
	struct qmgr_keys_owner *owners[QMGR_KEYS_CLASSES]; /* those with 2^i keys, and less than twice as many */
	size_t n_taken, most;
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
