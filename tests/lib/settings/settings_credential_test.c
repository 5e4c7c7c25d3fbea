/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of lib/settings/settings_credential.c.
 */
#include "lib/settings/settings_credential.h"

#include <string.h>

#include "tests/support/unit.h"

#define TEXT(text) ((char *)(uintptr_t)(text))

static struct settings_provider provider(void)
{
	return (struct settings_provider){.key = "p", .type = PROVIDER_SMTP, .api_key = TEXT("ours"), .host = TEXT("mx.ours"),
					  .user = TEXT("us"), .password = TEXT("pw"), .port = 587, .endpoint = TEXT("https://e")};
}

static void what_it_says_goes_before_the_settings(void)
{
	struct settings_provider p = provider();
	struct settings_credential c;

	UNIT_TRUE(settings_credential_apply(&c, &p, STR("api_key:  theirs: and more \n\n port: 2525\ntls: implicit\n"), NULL));
	UNIT_TEXT(c.provider.api_key, "theirs: and more");
	UNIT_INT(c.provider.port, 2525);
	UNIT_INT(c.provider.tls, PROVIDER_TLS_IMPLICIT);
	UNIT_TEXT(c.provider.host, "mx.ours");
	UNIT_TEXT(c.provider.endpoint, "https://e");
	UNIT_TEXT(c.provider.key, "p");
	UNIT_TEXT(p.api_key, "ours");
	settings_credential_clear(&c);
	UNIT_TRUE(settings_credential_apply(&c, &p, STR(""), NULL));
	UNIT_TEXT(c.provider.api_key, "ours");
	settings_credential_clear(&c);
}

static void what_it_may_not_say_is_refused_without_a_word_of_it(void)
{
	static const char *const cases[] = {"type: file-secret", "endpoint: https://secret", "concurrency: 9000",
					    "directory: /secret", "secret", "port: secret", "port: 70000000",
					    "tls: secret", "api_key: a\tsecret", "nothing: secret"};
	struct settings_provider p = provider();
	struct settings_credential c;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err err = {""};

		UNIT_TRUE(!settings_credential_apply(&c, &p, str_of(cases[i]), &err));
		UNIT_TRUE(err.text[0] != '\0');
		/* A number or choice that is none may stand there, as for the settings' file; a secret never. */
		UNIT_TRUE(strstr(err.text, "a\tsecret") == NULL && strstr(err.text, "https://secret") == NULL);
		settings_credential_clear(&c);
	}
}

static void whoever_is_somebody_is_not_the_operator_too(void)
{
	struct settings_provider p = provider();
	struct settings_credential c;

	p.access_key_id = TEXT("AK");
	p.secret_access_key = TEXT("SK");
	p.session_token = TEXT("TK");
	p.aws_credentials = AWS_INSTANCE;
	UNIT_TRUE(settings_credential_apply(&c, &p, STR("user: them\npassword: theirs\n"), NULL));
	UNIT_TEXT(c.provider.api_key, "");
	UNIT_TEXT(c.provider.user, "them");
	UNIT_TEXT(c.provider.session_token, "TK");
	UNIT_INT(c.provider.aws_credentials, AWS_INSTANCE);
	settings_credential_clear(&c);
	UNIT_TRUE(settings_credential_apply(&c, &p, STR("access_key_id: A\nsecret_access_key: S\n"), NULL));
	UNIT_TEXT(c.provider.access_key_id, "A");
	UNIT_TEXT(c.provider.secret_access_key, "S");
	UNIT_TEXT(c.provider.session_token, "");
	UNIT_INT(c.provider.aws_credentials, AWS_SETTINGS);
	UNIT_TEXT(c.provider.api_key, "ours");
	settings_credential_clear(&c);
}

UNIT_TESTS({"whoever is somebody is not the operator too", whoever_is_somebody_is_not_the_operator_too},
	   {"what it says goes before the settings", what_it_says_goes_before_the_settings},
	   {"what it may not say is refused without a word of it", what_it_may_not_say_is_refused_without_a_word_of_it})
