/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of what providers take.
 */
#include "lib/settings/settings_provider.h"

#include <limits.h>

unsigned settings_provider_recipients(const struct settings_provider *provider)
{
	static const unsigned most[] = {
		[PROVIDER_FILE] = UINT_MAX,
		[PROVIDER_SENDGRID] = SETTINGS_PROVIDER_SENDGRID_MOST,
		[PROVIDER_SES] = SETTINGS_PROVIDER_SES_MOST,
	};
	unsigned wanted = (unsigned)provider->recipients_per_call;

	return wanted == 0 || wanted > most[provider->type] ? most[provider->type] : wanted;
}
