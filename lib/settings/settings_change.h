/* SPDX-License-Identifier: Apache-2.0
 *
 * A reload: what differs between two settings, and which of it has to wait for a restart.
 */
#ifndef LIB_SETTINGS_SETTINGS_CHANGE_H
#define LIB_SETTINGS_SETTINGS_CHANGE_H

#include "lib/settings/settings.h"

/* `name` is "smtpd.workers" or "providers.main.api_key", and "providers.main" for a thing that came or
 * went. Never a value: it may be a secret. */
typedef void settings_change_fn(void *ctx, const char *name, enum settings_when when);

/* Calls fn for each setting that differs. */
void settings_change_each(const struct settings *old, const struct settings *new,
			  settings_change_fn *fn, void *ctx);
/* Puts the old value of every setting that needs a restart back into `new`, so that it says what is in
 * effect after a reload. A list whose things come and go only with a restart (listeners) keeps them, in their
 * order: a listener's index means the same to master and to its children for as long as they live. */
void settings_change_keep(const struct settings *old, struct settings *new);

#endif
