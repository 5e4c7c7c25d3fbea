/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads from the table what this host has to send and does not have in memory: after a take-over, when
 * an operator changed something (shard.wake), and once a minute, because what is due later is not kept
 * in memory. The content is not read here but when a message's turn comes.
 */
#ifndef QMGR_QMGR_SCAN_H
#define QMGR_QMGR_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/base/uuid.h"
#include "qmgr/qmgr_message.h"

/* A message due later than this is left in the table. */
#define QMGR_SCAN_HORIZON (120 * CLOCK_SECOND)

struct qmgr_scan {
	bool is_wanted[QMGR_SHARDS];
	int64_t at[QMGR_SHARDS];	/* monotonic: when it is read again */
	bool is_partial[QMGR_SHARDS];	/* there is more that is due */
	bool is_running;
	unsigned shard;	    /* which */
	uint32_t number;    /* of the scan: counted up at the start of each */
	struct uuid after;   /* read so far: up to this message, and of it ... */
	unsigned after_part;
	unsigned loaded, skipped;
	unsigned turn;
};

/* Reads the shard as soon as may be. */
void qmgr_scan_want(struct qmgr *q, unsigned shard);
/* New mail of this shard was left in the table, because memory holds enough. */
void qmgr_scan_left_behind(struct qmgr *q, unsigned shard);
/* Another message of this tenant may come into memory; else it stays in the table until there is room. No
 * tenant gets it all: a million for a provider that hangs must not stand before the mail of the others. */
bool qmgr_scan_has_room(const struct qmgr *q, const struct qmgr_tenant *tenant);
/* Starts what is due; called often. */
void qmgr_scan_tick(struct qmgr *q);

#endif
