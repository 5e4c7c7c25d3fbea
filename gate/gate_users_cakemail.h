/* SPDX-License-Identifier: Apache-2.0
 *
 * SMTP users that are Cakemail's: its API says whether name and password are right. They belong to one tenant.
 */
#ifndef GATE_GATE_USERS_CAKEMAIL_H
#define GATE_GATE_USERS_CAKEMAIL_H

#include "gate/gate_users.h"

/* Before the root directory changes: reads gate.ca_file. */
void gate_users_cakemail_prepare(const struct settings *settings);

extern const struct gate_users_source gate_users_cakemail;

#endif
