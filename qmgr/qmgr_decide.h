/* SPDX-License-Identifier: Apache-2.0
 *
 * What follows from an outcome for its message.
 */
#ifndef QMGR_QMGR_DECIDE_H
#define QMGR_QMGR_DECIDE_H

#include "lib/base/str.h"

struct qmgr;
struct qmgr_outcome;

/* Fills in what is decided (verdict, fates, is_late, is_pinned, left_class); may be asked again, when the row has changed.
 * recipients[n] are the part's; `dsn` is empty when there is nobody to tell anything. */
void qmgr_decide(struct qmgr *q, struct qmgr_outcome *o, const struct str *recipients, unsigned n, struct str dsn);

#endif
