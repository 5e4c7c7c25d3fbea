/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of what providers take.
 */
#include "lib/settings/settings_provider.h"

#include <limits.h>

#include "lib/base/trouble.h"

static const struct settings_provider_kind kinds[] = {
#define PROVIDER(constant, name, raw, envelope, utf8, inlines, recipients, size) \
	{name, raw, envelope, utf8, inlines, recipients, size},
#include "lib/settings/settings_provider.def"
#undef PROVIDER
};

const struct settings_provider_kind *settings_provider_kind(int type)
{
	must(type >= 0 && type < PROVIDER_TYPES);
	return &kinds[type];
}

unsigned settings_provider_recipients(const struct settings_provider *provider)
{
	unsigned most = settings_provider_kind(provider->type)->recipients;
	unsigned wanted = (unsigned)provider->recipients_per_call;

	return wanted == 0 || wanted > most ? most : wanted;
}
