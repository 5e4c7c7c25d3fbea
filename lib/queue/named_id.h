/* SPDX-License-Identifier: Apache-2.0
 *
 * Ids of things that have none but their name: tenants and users that are not in the database.
 */
#ifndef LIB_QUEUE_NAMED_ID_H
#define LIB_QUEUE_NAMED_ID_H

#include "lib/base/str.h"
#include "lib/base/uuid.h"

/* The same for the same kind ("tenant", "user") and name, on every host (UUID version 8, from SHA-256). */
struct uuid named_id(const char *kind, struct str name);

#endif
