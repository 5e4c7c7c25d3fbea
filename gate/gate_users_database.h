/* SPDX-License-Identifier: Apache-2.0
 *
 * The SMTP users in the database, as the role smtp_proxy_gate may read them.
 */
#ifndef GATE_GATE_USERS_DATABASE_H
#define GATE_GATE_USERS_DATABASE_H

#include "gate/gate_users.h"

extern const struct gate_users_source gate_users_database;

#endif
