/* SPDX-License-Identifier: Apache-2.0
 *
 * Is this host ready to take and send mail? Asked by load balancers and orchestrators; answered from the
 * metrics alone.
 */
#ifndef API_API_HEALTH_H
#define API_API_HEALTH_H

#include <stdbool.h>

#include "lib/base/buf.h"
#include "lib/settings/settings.h"

/* Puts {"status":"ready"} or {"status":"not ready","missing":[...]} and returns which. */
bool api_health_ready(const struct settings *settings, struct buf *out);

#endif
