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
		{PROVIDER_RESEND, 0, 50},	{PROVIDER_MAILGUN, 2000, 1000}, {PROVIDER_SPARKPOST, 7, 7},
		{PROVIDER_FILE, 0, UINT_MAX},	{PROVIDER_FILE, 3, 3},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct settings_provider p = {.type = cases[i].type, .recipients_per_call = cases[i].wanted};

		UNIT_INT(settings_provider_recipients(&p), cases[i].most);
	}
}

static void a_copy_is_the_same_until_it_is_changed(void)
{
	char key[] = "secret", other[] = "other", region[] = "eu-west-1";
	struct settings_provider a = {.key = "p", .type = PROVIDER_SES, .port = 25, .api_key = key, .region = region}, b = a;
	struct settings_provider *copy = settings_provider_copy(&a);

	UNIT_TRUE(settings_provider_same(&a, copy));
	UNIT_TRUE(copy->api_key != a.api_key && copy->region != a.region);
	b.api_key = other;
	UNIT_TRUE(!settings_provider_same(&b, copy));
	b = a;
	b.port = 26;
	UNIT_TRUE(!settings_provider_same(&b, copy));
	b = a;
	b.key[0] = 'q';
	UNIT_TRUE(!settings_provider_same(&b, copy));
	b = a;
	b.aws_credentials = AWS_FILE;
	UNIT_TRUE(!settings_provider_same(&b, copy));
	settings_provider_free(&copy);
	UNIT_TRUE(copy == NULL);
}

static void aws_credentials_are_wanted_only_by_ses(void)
{
	static struct settings settings;

	UNIT_TRUE(!settings_provider_wants_aws(&settings));
	settings.n_provider = 2;
	settings.provider[1] = (struct settings_provider){.type = PROVIDER_SENDGRID, .aws_credentials = AWS_FILE};
	UNIT_TRUE(!settings_provider_wants_aws(&settings));
	settings.provider[1].type = PROVIDER_SES;
	UNIT_TRUE(settings_provider_wants_aws(&settings));
	settings.provider[1].aws_credentials = AWS_SETTINGS;
	UNIT_TRUE(!settings_provider_wants_aws(&settings));
}

UNIT_TESTS({"the settings may lower what the API takes", the_settings_may_lower_what_the_api_takes},
	   {"a copy is the same until it is changed", a_copy_is_the_same_until_it_is_changed},
	   {"AWS credentials are wanted only by SES", aws_credentials_are_wanted_only_by_ses})
