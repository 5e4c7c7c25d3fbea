/* SPDX-License-Identifier: Apache-2.0
 *
 * A tenant's own credentials for providers, as its row brings them: sealed, and passed on so. Pure.
 */
#ifndef QMGR_QMGR_CREDENTIAL_H
#define QMGR_QMGR_CREDENTIAL_H

#include "lib/base/buf.h"

/* The sealed credential for this provider, appended to `out`; nothing when there is none. `lines` are those of
 * QMGR_SQL_TENANTS, "provider hex"; may be NULL. */
void qmgr_credential_find(const char *lines, const char *provider, struct buf *out);

#endif
