/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of lib/settings/settings_credential.c.
 */
#include "lib/settings/settings_credential.h"

#include <string.h>

#include "tests/support/unit.h"

#define TEXT(text) ((char *)(uintptr_t)(text))

static struct settings_provider provider(int type)
{
	return (struct settings_provider){.key = "p", .type = type, .api_key = TEXT("ours"), .domain = TEXT("mg.ours"),
					  .host = TEXT("mx.ours"), .user = TEXT("us"), .password = TEXT("pw"), .port = 587,
					  .endpoint = TEXT("https://e"), .region = TEXT("us-east-1"), .access_key_id = TEXT("AK"),
					  .secret_access_key = TEXT("SK"), .session_token = TEXT("TK"), .message_stream = TEXT(""),
					  .configuration_set = TEXT(""), .directory = TEXT("")};
}

static void what_it_says_goes_before_the_settings(void)
{
	struct settings_provider p = provider(PROVIDER_SMTP);
	struct settings_credential c;

	UNIT_TRUE(settings_credential_apply(&c, &p, STR("user: a:b\npassword:  theirs: and more \n\n port: 2525\ntls: implicit\n"), NULL));
	UNIT_TRUE(settings_credential_has_server(&c));
	UNIT_TEXT(c.provider.user, "a:b");
	UNIT_TEXT(c.provider.password, "theirs: and more");
	UNIT_INT(c.provider.port, 2525);
	UNIT_INT(c.provider.tls, PROVIDER_TLS_IMPLICIT);
	UNIT_TEXT(c.provider.host, "mx.ours");
	UNIT_TEXT(c.provider.endpoint, "https://e");
	UNIT_TEXT(c.provider.key, "p");
	UNIT_TEXT(p.password, "pw");
	settings_credential_clear(&c);
	UNIT_TRUE(settings_credential_apply(&c, &p, STR(""), NULL));
	UNIT_TRUE(!settings_credential_has_server(&c));
	UNIT_TEXT(c.provider.password, "pw");
	settings_credential_clear(&c);
}

static void what_it_may_not_say_is_refused_without_a_word_of_it(void)
{
	static const char *const cases[] = {"type: file-secret", "endpoint: https://secret", "concurrency: 9000",
					    "directory: /secret", "secret", "port: secret", "port: 70000000",
					    "tls: secret", "api_key: a\tsecret", "nothing: secret"};
	struct settings_provider p = provider(PROVIDER_SENDGRID);
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

/* Whatever says where to go, or who one is, leaves nothing of the operator's secrets behind. */
static void the_operators_secrets_go_only_where_the_operator_sends_them(void)
{
	static const struct {
		int type;
		const char *text;
		const char *user, *password, *key, *id, *secret, *token;
	} rows[] = {
		{PROVIDER_SMTP, "host: mx.theirs\n", "", "", "", "AK", "SK", "TK"},
		{PROVIDER_SMTP, "port: 2525\n", "", "", "", "AK", "SK", "TK"},
		{PROVIDER_SMTP, "tls: implicit\n", "", "", "", "AK", "SK", "TK"},
		{PROVIDER_SMTP, "tls: starttls\n", "", "", "", "AK", "SK", "TK"},
		{PROVIDER_SMTP, "user: them\npassword: theirs\n", "them", "theirs", "", "AK", "SK", "TK"},
		{PROVIDER_SENDGRID, "api_key: theirs\n", "", "", "theirs", "AK", "SK", "TK"},
		{PROVIDER_CAKEMAIL, "user: them\npassword: theirs\n", "them", "theirs", "", "AK", "SK", "TK"},
		{PROVIDER_CAKEMAIL, "account_id: 7\n", "us", "pw", "ours", "AK", "SK", "TK"},
		{PROVIDER_MAILGUN, "domain: mg.theirs\n", "us", "pw", "ours", "AK", "SK", "TK"},
		{PROVIDER_SES, "access_key_id: A\nsecret_access_key: S\n", "us", "pw", "ours", "A", "S", ""},
		{PROVIDER_SES, "region: eu-west-1\naccess_key_id: A\nsecret_access_key: S\nsession_token: T\n", "us", "pw", "ours", "A",
		 "S", "T"},
		{PROVIDER_SES, "configuration_set: theirs\n", "us", "pw", "ours", "AK", "SK", "TK"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct settings_provider p = provider(rows[i].type);
		struct settings_credential c;
		struct err err = {""};

		p.aws_credentials = AWS_INSTANCE;
		UNIT_TRUE(settings_credential_apply(&c, &p, str_of(rows[i].text), &err));
		UNIT_TEXT(err.text, "");
		UNIT_TEXT(c.provider.user, rows[i].user);
		UNIT_TEXT(c.provider.password, rows[i].password);
		UNIT_TEXT(c.provider.api_key, rows[i].key);
		UNIT_TEXT(c.provider.access_key_id, rows[i].id);
		UNIT_TEXT(c.provider.secret_access_key, rows[i].secret);
		UNIT_TEXT(c.provider.session_token, rows[i].token);
		UNIT_INT(c.provider.aws_credentials, strcmp(rows[i].id, "AK") == 0 ? AWS_INSTANCE : AWS_SETTINGS);
		settings_credential_clear(&c);
	}
}

static void what_is_not_complete_is_refused_with_a_sentence(void)
{
	static const struct {
		int type;
		const char *text, *why;
	} rows[] = {
		{PROVIDER_SMTP, "password: guessed\n", "providers.p.user: providers.p.password needs it"},
		{PROVIDER_SMTP, "user: them\n", "providers.p.password: providers.p.user needs it"},
		{PROVIDER_SMTP, "host: mx.theirs\nuser: them\n", "providers.p.password: providers.p.user needs it"},
		{PROVIDER_SMTP, "host: mx.theirs\ntls: off\n",
		 "providers.p.tls: off is not encrypted; allowed: starttls, implicit, or off to localhost, 127.0.0.1, ::1"},
		{PROVIDER_SENDGRID, "user: them\npassword: theirs\n", "providers.p.api_key: a provider of type sendgrid needs it"},
		{PROVIDER_SENDGRID, "api_key: my secret\n", "providers.p.api_key: it has a space or another character that none has"},
		{PROVIDER_CAKEMAIL, "user: them\n", "providers.p.password: a provider of type cakemail needs it"},
		{PROVIDER_MAILGUN, "domain: x/../../v3/routes?\n",
		 "providers.p.domain: \"x/../../v3/routes?\" is not a domain; allowed: such as mg.example.com"},
		{PROVIDER_MAILGUN, "domain: ..\n", "providers.p.domain: \"..\" is not a domain; allowed: such as mg.example.com"},
		{PROVIDER_SES, "region: eu-west-1\n", "providers.p.access_key_id: a provider of type ses needs it"},
		{PROVIDER_SES, "secret_access_key: guessed\n", "providers.p.access_key_id: a provider of type ses needs it"},
		{PROVIDER_SES, "region: x.attacker.example/\naccess_key_id: A\nsecret_access_key: S\n",
		 "providers.p.region: \"x.attacker.example/\" is not an AWS region; allowed: such as us-east-1"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct settings_provider p = provider(rows[i].type);
		struct settings_credential c;
		struct err err = {""};

		p.aws_credentials = AWS_WEB_IDENTITY;
		UNIT_TRUE(!settings_credential_apply(&c, &p, str_of(rows[i].text), &err));
		UNIT_TEXT(err.text, rows[i].why);
		settings_credential_clear(&c);
	}
}

/* The operator's own relay on this host is the operator's to give. */
static void it_leads_to_no_server_of_this_host(void)
{
	static const char *const refused[] = {"host: localhost\n", "host: LOCALHOST\n", "host: 127.0.0.1\n", "host: 127.9.9.9\n",
					      "host: ::1\n", "host: ::ffff:127.0.0.1\n", "host: 169.254.169.254\n",
					      "host: fe80::1\n", "host: 0.0.0.0\n"};
	struct settings_provider p = provider(PROVIDER_SMTP);
	struct settings_credential c;
	struct err err;

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		UNIT_TRUE(!settings_credential_apply(&c, &p, str_of(refused[i]), &err));
		UNIT_TRUE(strstr(err.text, "this machine") != NULL);
		settings_credential_clear(&c);
	}
	p.host = TEXT("127.0.0.1");
	p.tls = PROVIDER_TLS_OFF;
	UNIT_TRUE(!settings_credential_apply(&c, &p, STR("port: 5432\n"), &err));
	settings_credential_clear(&c);
	UNIT_TRUE(settings_credential_apply(&c, &p, STR("user: them\npassword: theirs\n"), &err));
	UNIT_TEXT(c.provider.host, "127.0.0.1");
	settings_credential_clear(&c);
}

UNIT_TESTS({"the operator's secrets go only where the operator sends them", the_operators_secrets_go_only_where_the_operator_sends_them},
	   {"what is not complete is refused with a sentence", what_is_not_complete_is_refused_with_a_sentence},
	   {"it leads to no server of this host", it_leads_to_no_server_of_this_host},
	   {"what it says goes before the settings", what_it_says_goes_before_the_settings},
	   {"what it may not say is refused without a word of it", what_it_may_not_say_is_refused_without_a_word_of_it})
