/* SPDX-License-Identifier: Apache-2.0
 *
 * The health of providers between hosts, through Redis: what one finds down is down for all within two seconds, and one at a
 * time probes it. While Redis is away, or none is configured, each host is by itself.
 */
#ifndef QMGR_QMGR_PROVIDER_SHARE_H
#define QMGR_QMGR_PROVIDER_SHARE_H

#include <stdbool.h>

#include "lib/base/str.h"

struct qmgr;
struct qmgr_provider;

/* `ca_pem` is for rediss. */
void qmgr_provider_share_init(struct qmgr *q, struct str ca_pem);
void qmgr_provider_share_clear(struct qmgr *q);
void qmgr_provider_share_tick(struct qmgr *q);
void qmgr_provider_share_follow_settings(struct qmgr *q);
/* The others hear of the provider's health, if it is another one than they heard of last. */
void qmgr_provider_share_tell(struct qmgr *q, struct qmgr_provider *p);
/* It is down and wants a probe: may that be ours? False: not now; when it may after all, something is pumped. */
bool qmgr_provider_share_may_probe(struct qmgr *q, struct qmgr_provider *p);

#endif
