/* SPDX-License-Identifier: Apache-2.0
 *
 * Verdicts about certificates and authorities, made in another process.
 */
#include "tests/support/unit.h"

#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/service/service_rights.h"
#include "master/master_verify.h"
#include "tests/support/certificate.h"

static struct settings *settings;
static struct certificate authority, good, old;

static struct master_verdict verdict_of(const char *pem, struct str ocsp)
{
	struct master_verdict v;

	master_verify_certificate(&(struct master_verify_question){.pem = str_of(pem), .ocsp = ocsp}, settings, clock_mono() + 60 * CLOCK_SECOND, &v);
	return v;
}

static void a_good_one_says_what_it_is(void)
{
	struct master_verdict v = verdict_of(good.both, STR(""));

	UNIT_TRUE(v.is_good && !v.has_good_ocsp);
	UNIT_TEXT(v.certificate.names, "good.test");
	UNIT_INT(strlen(v.certificate.fingerprint), 64);
	UNIT_TRUE(v.certificate.not_after - v.certificate.not_before > 3000);
	/* With a response that is none it is good all the same. */
	v = verdict_of(good.both, STR("garbage"));
	UNIT_TRUE(v.is_good && !v.has_good_ocsp && v.certificate.ocsp_until == 0);
	UNIT_TRUE(v.ocsp_why.text[0] != '\0');
}

static void what_is_bad_is_said(void)
{
	struct master_verdict v = verdict_of(old.both, STR(""));

	UNIT_TRUE(!v.is_good && str_starts(str_of(v.why.text), STR("the certificate expired on ")));
	v = verdict_of(good.pem, STR(""));
	UNIT_TRUE(!v.is_good);
	UNIT_TEXT(v.why.text, "there is no private key in it");
	UNIT_TRUE(!verdict_of("", STR("")).is_good);
	UNIT_TRUE(!verdict_of("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", STR("")).is_good);
}

static void names_that_nobody_wanted_are_refused(void)
{
	static const struct {
		const char *names;
		bool is_good;
	} cases[] = {{"", true}, {"good.test", true}, {" a.test  GOOD.test ", true}, {"a.test", false}, {"*.test", false}, {" ", false}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct master_verdict v;

		master_verify_certificate(&(struct master_verify_question){str_of(good.both), STR(""), str_of(cases[i].names)}, settings,
					  clock_mono() + 60 * CLOCK_SECOND, &v);
		UNIT_INT(v.is_good, cases[i].is_good);
		UNIT_TEXT(v.why.text, cases[i].is_good ? "" : "the certificate is for other names, too");
	}
}

static void when_the_time_is_over_it_is_not_good(void)
{
	struct master_verdict v;

	master_verify_certificate(&(struct master_verify_question){.pem = str_of(good.both)}, settings, clock_mono() - 1, &v);
	UNIT_TRUE(!v.is_good && v.why.text[0] != '\0');
}

static void what_it_says_is_printable(void)
{
	struct certificate evil = certificate_make("a\nMAINPID=1\033[2J", "DNS:evil.test", -3600, 3600, NULL);
	struct master_verdict v = verdict_of(evil.both, STR(""));

	UNIT_TRUE(v.is_good);
	for (const char *c = v.certificate.subject; *c != '\0'; c++)
		UNIT_TRUE((unsigned char)*c >= ' ' && *c != 0x7f);
	certificate_clear(&evil);
}

static void authorities_are_counted_or_refused(void)
{
	struct tls_server_trusted found;
	struct err err = {""};
	bool is_list;

	UNIT_TRUE(master_verify_trust(str_of(authority.pem), strlen(authority.pem), settings, clock_mono() + 60 * CLOCK_SECOND, &found, &is_list, &err));
	UNIT_INT(found.authorities, 1);
	UNIT_TRUE(!master_verify_trust(STR("garbage"), 7, settings, clock_mono() + 60 * CLOCK_SECOND, &found, &is_list, &err));
	UNIT_TEXT(err.text, "there is no certificate of an authority in it");
	UNIT_TRUE(!is_list);
	/* Behind the authorities there must be a list. */
	UNIT_TRUE(!master_verify_trust(str_of(authority.pem), strlen(authority.pem) - 1, settings, clock_mono() + 60 * CLOCK_SECOND, &found, &is_list, &err));
	UNIT_TRUE(is_list);
	UNIT_TEXT(err.text, "there is no revocation list in it that can be read");
}

int main(void)
{
	static const struct unit_test tests[] = {
		{"a good one says what it is", a_good_one_says_what_it_is},
		{"what is bad is said", what_is_bad_is_said},
		{"names that nobody wanted are refused", names_that_nobody_wanted_are_refused},
		{"when the time is over it is not good", when_the_time_is_over_it_is_not_good},
		{"what it says is printable", what_it_says_is_printable},
		{"authorities are counted or refused", authorities_are_counted_or_refused},
	};
	int result;

	if (geteuid() == 0 && !service_rights_check_user(ROLE_CERT_RENEWER, NULL) && (setgid(65534) < 0 || setuid(65534) < 0))
		return 1;
	settings = settings_new();
	authority = certificate_make("An Authority", NULL, -3600, 3600, NULL);
	good = certificate_make("good", "DNS:good.test", -3600, 3600, &authority);
	old = certificate_make("old", "DNS:old.test", -7200, -3600, &authority);
	result = unit_main(__FILE__, tests, sizeof(tests) / sizeof(tests[0]));
	certificate_clear(&authority);
	certificate_clear(&good);
	certificate_clear(&old);
	settings_free(&settings);
	return result;
}
