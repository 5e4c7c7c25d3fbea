/* SPDX-License-Identifier: Apache-2.0
 *
 * A tenant's own credential, as it comes with a job: opened with the key of the settings, and laid over the provider's
 * settings for this one call.
 */
#ifndef DELIVER_DELIVER_CREDENTIAL_H
#define DELIVER_DELIVER_CREDENTIAL_H

#include "lib/ipc/ipc_body.h"
#include "lib/settings/settings_credential.h"

/* `row` is borrowed for the life of *out. settings_credential_clear() in both cases. The error is for people; nothing
 * secret is in it. */
bool deliver_credential_open(const struct settings *settings, const struct settings_provider *row, const struct ipc_job *job,
			     struct settings_credential *out, struct err *err);

#endif
