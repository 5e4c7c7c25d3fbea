/* SPDX-License-Identifier: Apache-2.0
 *
 * What the providers' APIs take, where more than one program has to know it.
 */
#ifndef LIB_SETTINGS_SETTINGS_PROVIDER_H
#define LIB_SETTINGS_SETTINGS_PROVIDER_H

#include "lib/settings/settings.h"

/* Recipients in one call. */
enum { SETTINGS_PROVIDER_SENDGRID_MOST = 1000, SETTINGS_PROVIDER_SES_MOST = 50 };

/* How many recipients one call of a direct mode has at most: what the API takes, or fewer when the settings say so.
 * UINT_MAX: any number. */
unsigned settings_provider_recipients(const struct settings_provider *provider);

#endif
