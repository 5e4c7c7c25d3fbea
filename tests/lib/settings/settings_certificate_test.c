/* SPDX-License-Identifier: Apache-2.0
 *
 * What the settings of certificates come to.
 */
#include <stdlib.h>

#include "tests/support/unit.h"

#include "lib/settings/settings_certificate.h"
#include "tests/lib/settings/settings_fixture.h"

#define ACME "listeners: {a: {}}\nacme: {agree_to_terms: true, directory: 'https://ca.test/dir', dns_hook: /hook"

static struct settings *read(const char *text)
{
	struct settings *settings;
	char *said = settings_fixture(str_of(text), &settings);

	UNIT_TEXT(said, "");
	free(said);
	return settings;
}

static void the_names_are_what_is_said_or_the_key(void)
{
	struct settings *s = read(ACME "}\ncertificates: {mail.test: {from: acme}, b: {from: acme, names: ' a.test  b.test '}}\n");

	UNIT_STR(settings_certificate_names(&s->certificate[0]), "mail.test");
	UNIT_STR(settings_certificate_names(&s->certificate[1]), "a.test  b.test");
	settings_free(&s);
}

static void a_port_is_wanted_while_a_certificate_needs_it(void)
{
	static const struct {
		const char *text;
		bool has_acme, http, alpn;
	} cases[] = {
		{ACME "}\n", false, false, false},
		{ACME "}\ncertificates: {a: {certificate_file: /a.pem, challenge: tls-alpn-01}}\n", false, false, false},
		{ACME "}\ncertificates: {a: {from: acme}}\n", true, true, false},
		{ACME ", webroot: /var/www}\ncertificates: {a: {from: acme}}\n", true, false, false},
		{ACME "}\ncertificates: {a: {from: acme, challenge: dns-01}}\n", true, false, false},
		{ACME ", webroot: /var/www}\ncertificates: {a: {from: acme, challenge: tls-alpn-01}, b: {from: acme}}\n", true, false, true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct settings *s = read(cases[i].text);

		UNIT_INT(settings_certificate_has_acme(s), cases[i].has_acme);
		UNIT_INT(settings_certificate_wants_port(s, CHALLENGE_HTTP_01), cases[i].http);
		UNIT_INT(settings_certificate_wants_port(s, CHALLENGE_TLS_ALPN_01), cases[i].alpn);
		UNIT_TRUE(!settings_certificate_wants_port(s, CHALLENGE_DNS_01));
		settings_free(&s);
	}
}

static void aws_is_looked_for_when_it_is_spoken_to(void)
{
	static const struct {
		const char *text;
		bool wants;
	} cases[] = {
		{ACME "}\ncertificates: {a: {from: acme}}\n", false},
		{ACME ", backup_s3: 's3://bucket'}\n", false},
		{ACME ", backup_s3: 's3://bucket'}\ncertificates: {a: {from: acme}}\n", true},
		{ACME "}\nalerts: {sns_topic: 'arn:aws:sns:eu-west-1:123456789012:t'}\ncertificates: {a: {from: acme}}\n", true},
		{ACME ", backup_s3: 's3://bucket'}\ncertificates: {a: {from: acme}}\n"
		      "aws: {credentials: settings, access_key_id: k, secret_access_key: s}\n", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct settings *s = read(cases[i].text);

		UNIT_INT(settings_certificate_wants_aws(s), cases[i].wants);
		settings_free(&s);
	}
}

static void authorities_with_a_name(void)
{
	UNIT_TEXT(settings_certificate_known_directory("letsencrypt"), "https://acme-v02.api.letsencrypt.org/directory");
	UNIT_TEXT(settings_certificate_known_directory("letsencrypt-staging"), "https://acme-staging-v02.api.letsencrypt.org/directory");
	UNIT_TRUE(settings_certificate_known_directory("letsencrypt-") == NULL);
	UNIT_TRUE(settings_certificate_known_directory("https://acme-v02.api.letsencrypt.org/directory") == NULL);
}

UNIT_TESTS({"authorities with a name", authorities_with_a_name},
	   {"the names are what is said, or the key", the_names_are_what_is_said_or_the_key},
	   {"a port is wanted while a certificate needs it", a_port_is_wanted_while_a_certificate_needs_it},
	   {"AWS is looked for when it is spoken to", aws_is_looked_for_when_it_is_spoken_to})
