/* SPDX-License-Identifier: Apache-2.0
 *
 * Is a provider's part of the settings complete and good? For the file, and for what a tenant's own credential makes of it.
 */
#ifndef LIB_SETTINGS_SETTINGS_PROVIDER_CHECK_H
#define LIB_SETTINGS_SETTINGS_PROVIDER_CHECK_H

#include "lib/settings/settings_problem.h"

/* Everything that is wrong with it, each at its place. */
void settings_provider_check_all(const struct settings_provider *provider, struct settings_problems *problems);
/* False: *err is the first thing that is wrong. No secret is in it. */
bool settings_provider_check(const struct settings_provider *provider, struct err *err);
/* Is it a base URL that we may speak to? NULL, or what is wrong with it. */
const char *settings_provider_check_url(struct str url);

#endif
