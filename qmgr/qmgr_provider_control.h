/* SPDX-License-Identifier: Apache-2.0
 *
 * What an operator asks of the providers (smtp-proxyctl provider): a line of words in, a JSON object out.
 *	provider list
 */
#ifndef QMGR_QMGR_PROVIDER_CONTROL_H
#define QMGR_QMGR_PROVIDER_CONTROL_H

#include "lib/base/buf.h"

struct qmgr;

void qmgr_provider_control_ask(const struct qmgr *q, struct str words, struct buf *answer);

#endif
