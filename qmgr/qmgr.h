/* SPDX-License-Identifier: Apache-2.0
 *
 * The queue manager's state. One part a file; the parts call each other as the life of a message goes:
 *
 *	front (smtpd) -> direct (answer) -> schedule -> dispatch -> direct
 *	front (smtpd) -> intake (store, answer) -> message, schedule -> dispatch (agents) -> outcome (retry; record)
 *	                                                              dispatch -> part (split) -> schedule
 *	lease (whose shard?) -> scan (what is left in the table) -> message, schedule
 */
#ifndef QMGR_QMGR_H
#define QMGR_QMGR_H

#include "lib/queue/pg.h"
#include "lib/service/service.h"
#include "qmgr/qmgr_direct.h"
#include "qmgr/qmgr_dispatch.h"
#include "qmgr/qmgr_front.h"
#include "qmgr/qmgr_intake.h"
#include "qmgr/qmgr_keep.h"
#include "qmgr/qmgr_keys.h"
#include "qmgr/qmgr_report.h"
#include "qmgr/qmgr_lease.h"
#include "qmgr/qmgr_load.h"
#include "qmgr/qmgr_message.h"
#include "qmgr/qmgr_outcome.h"
#include "qmgr/qmgr_part.h"
#include "qmgr/qmgr_provider.h"
#include "qmgr/qmgr_route.h"
#include "qmgr/qmgr_scan.h"
#include "qmgr/qmgr_schedule.h"
#include "qmgr/qmgr_share.h"
#include "qmgr/qmgr_tenant.h"
#include "qmgr/qmgr_waiting.h"

struct qmgr {
	struct service_env *env;
	struct loop *loop;
	struct pg *outcome_pg; /* records outcomes */
	struct pg *control_pg; /* leases, scans, bodies, tenants */
	struct qmgr_fronts fronts;
	struct qmgr_directs directs;
	struct qmgr_keys keys;
	struct qmgr_keep keep;
	struct qmgr_report report;
	struct qmgr_share share;
	struct qmgr_intake intake; /* has its own connection */
	struct qmgr_lease lease;
	struct qmgr_scan scan;
	struct qmgr_messages messages;
	struct qmgr_tenants tenants;
	struct qmgr_providers providers;
	struct qmgr_schedule schedule;
	struct qmgr_dispatch dispatch;
	struct qmgr_loading loading;
	struct qmgr_outcomes outcomes;
	struct qmgr_waiting waiting;
	struct qmgr_part_splits splits;
	struct loop_timer *tick;
	int64_t partitions_at; /* monotonic: when they are made next */
	int64_t count_at;	/* when the rows are counted next */
	int64_t n_rows;		/* as counted */
	int64_t drain_until;	/* monotonic; 0: not draining */
	bool has_database; /* else all modes are direct */
	bool has_tenants;  /* in the database; else they are in the settings */
	bool is_over;
	bool is_away; /* it was said that the database is */
};

/* How a host names itself in the table of shards: `owner` is a UUID as text; `place` is where only one process of it can be at a
 * time (sql/0012_host.sql). */
struct qmgr *qmgr_new(struct service_env *env, const char *owner, const char *place, unsigned agents);
void qmgr_free(struct qmgr **q);
void qmgr_go(struct qmgr *q);
void qmgr_on_peer(struct qmgr *q, enum role role, unsigned slot, int fd);
void qmgr_on_reload(struct qmgr *q);
void qmgr_drain(struct qmgr *q);

#endif
