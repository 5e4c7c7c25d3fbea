/* SPDX-License-Identifier: Apache-2.0
 *
 * What the hosts share of providers by the database: the recipients of each day, and operators' suspensions. While it is away,
 * each host goes on with what it knows.
 */
#ifndef QMGR_QMGR_PROVIDER_STORE_H
#define QMGR_QMGR_PROVIDER_STORE_H

struct qmgr;

void qmgr_provider_store_tick(struct qmgr *q);

#endif
