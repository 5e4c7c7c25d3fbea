/* SPDX-License-Identifier: Apache-2.0
 *
 * Which shards of the queue this host may send from. A lease is renewed every fifth of its time; a host
 * that could not renew stops sending before the others may take over, by its own monotonic clock. Every
 * take-over, and every new connection of ours, counts the shard's epoch up, so that nothing that was
 * decided before is written after.
 *
 * Two hosts may have one host id, when one is a copy of the other: then only one of them is that host (sql/0012_host.sql). The
 * other, which finds that another process is, has no shards until that one is gone.
 */
#ifndef QMGR_QMGR_LEASE_H
#define QMGR_QMGR_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/uuid.h"
#include "qmgr/qmgr_message.h"

enum { QMGR_LEASE_PLACE = 96 };

struct qmgr_shard {
	int64_t epoch;
	int64_t wake;	 /* as last seen: another value means that somebody changed rows of the shard */
	bool is_ours;
	bool is_leaving; /* given to another host as soon as nothing of it is under way */
};

struct qmgr_lease {
	char owner[UUID_TEXT];
	char place[QMGR_LEASE_PLACE];
	struct uuid nonce;    /* of this process */
	bool is_host, was_host; /* it is `owner`, as far as known; ... or was, once */
	int64_t rival_seen_at; /* when it found that another is: when that one was seen last */
	int64_t rival_said_at; /* monotonic */
	struct qmgr_shard shard[QMGR_SHARDS];
	unsigned n_ours;
	int64_t safe_until;   /* monotonic; sending is allowed until then */
	int64_t patient_until; /* monotonic: leases that ended are left to their owners until then */
	int64_t generation;   /* of the tenants, as last seen */
	int64_t next_at;      /* monotonic: of the next renewal */
	int64_t asked_at;     /* when the renewal that is under way was sent */
	bool is_asking, is_taking;
	bool must_retake;     /* a connection was lost: fence what the old one may still do */
	bool is_unsure;	      /* a write found its shard fenced: no new mail before we have looked */
	bool is_settled;      /* the first take-over is done */
	unsigned turn;
};

/* Pure: what a host should do about the number of its shards. */
struct qmgr_lease_plan {
	unsigned take, give;
};
struct qmgr_lease_plan qmgr_lease_plan(unsigned ours, unsigned free, unsigned hosts);

void qmgr_lease_init(struct qmgr *q, const char *owner, const char *place);
/* We own it; writes are fenced by the epoch, so this does not ask the clock. */
bool qmgr_lease_is_ours(const struct qmgr *q, unsigned shard);
/* Messages of our shards may be sent now. */
bool qmgr_lease_is_safe(const struct qmgr *q, int64_t mono);
int64_t qmgr_lease_epoch(const struct qmgr *q, unsigned shard);
/* A shard for new mail, each in turn; -1: none now. */
int qmgr_lease_pick(struct qmgr *q);
/* A write was fenced. */
void qmgr_lease_doubt(struct qmgr *q);
/* A connection came up (again). */
void qmgr_lease_retake(struct qmgr *q);
/* Looks, renews, takes, gives; called often. */
void qmgr_lease_tick(struct qmgr *q);
/* Gives all shards up, at the end; `fn` is called when that is done or failed. */
void qmgr_lease_release_all(struct qmgr *q, void (*fn)(struct qmgr *q));

#endif
