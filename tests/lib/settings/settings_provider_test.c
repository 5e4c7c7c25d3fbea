/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of lib/settings/settings_provider.c.
 */
#include "lib/settings/settings_provider.h"

#include <limits.h>

#include "tests/support/unit.h"

static void the_settings_may_lower_what_the_api_takes(void)
{
	static const struct {
		int type;
		int64_t wanted;
		unsigned most;
	} cases[] = {
		{PROVIDER_SES, 0, 50},		{PROVIDER_SES, 10, 10},	    {PROVIDER_SES, 51, 50},
		{PROVIDER_SENDGRID, 0, 1000},	{PROVIDER_SENDGRID, 1, 1},  {PROVIDER_SENDGRID, 1000, 1000},
		{PROVIDER_FILE, 0, UINT_MAX},	{PROVIDER_FILE, 3, 3},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct settings_provider p = {.type = cases[i].type, .recipients_per_call = cases[i].wanted};

		UNIT_INT(settings_provider_recipients(&p), cases[i].most);
	}
}

UNIT_TESTS({"the settings may lower what the API takes", the_settings_may_lower_what_the_api_takes})
