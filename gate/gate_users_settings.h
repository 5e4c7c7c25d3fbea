/* SPDX-License-Identifier: Apache-2.0
 *
 * The SMTP users in the sections users and tenants of the settings. Their ids come from their names.
 */
#ifndef GATE_GATE_USERS_SETTINGS_H
#define GATE_GATE_USERS_SETTINGS_H

#include "gate/gate_users.h"

extern const struct gate_users_source gate_users_settings;

/* How the tenant's messages are taken: what the section tenants says of it. */
enum ipc_mode gate_users_settings_mode(const struct settings *settings, const char *tenant);

#endif
