/* SPDX-License-Identifier: Apache-2.0
 *
 * What the cert-renewers of all hosts share (SHARE, SHARE_RESULT): in the database; without one, in Redis; without either each
 * host is alone. Mail does not wait for it: it goes over the connection of qmgr_keep.c, and only so much is under way.
 */
#ifndef QMGR_QMGR_SHARE_H
#define QMGR_QMGR_SHARE_H

#include <stdint.h>

struct ipc_peer;
struct qmgr;
struct qmgr_share_question;

struct qmgr_share {
	struct ipc_peer *peer; /* cert-renewer; NULL: it is away */
	struct qmgr_share_question *first;
	unsigned n;	   /* under way */
	int64_t forget_at; /* monotonic: when what is past its time is deleted next */
};

void qmgr_share_on_peer(struct qmgr *q, unsigned slot, int fd);
void qmgr_share_clear(struct qmgr *q);
/* Now and then: deletes what is past its time. */
void qmgr_share_tidy(struct qmgr *q);

#endif
