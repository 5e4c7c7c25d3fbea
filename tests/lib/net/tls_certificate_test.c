/* SPDX-License-Identifier: Apache-2.0
 *
 * What whoever renews a certificate wants to know of it, and what a pin is.
 */
#include "lib/net/tls_certificate.h"

#include <time.h>

#include "lib/base/buf.h"
#include "tests/support/certificate.h"
#include "tests/support/unit.h"

#define DAY 86400L

static struct certificate ca, leaf, other;

static void make_certificates(void)
{
	ca = certificate_make("Test CA", NULL, -DAY, 10 * DAY, NULL);
	leaf = certificate_make("mail.test",
				"DNS:mail.test,DNS:*.mail.test,IP:192.0.2.1,IP:2001:db8::1", -DAY,
				DAY, &ca);
	other = certificate_make("other", "DNS:other.test", -DAY, DAY, &ca);
}

static void clear_certificates(void)
{
	certificate_clear(&ca);
	certificate_clear(&leaf);
	certificate_clear(&other);
}

static void a_certificate_is_read_as_a_server_would_take_it(void)
{
	EVP_PKEY *weak_key = EVP_RSA_gen(1024);
	struct certificate weak =
		certificate_make_with(weak_key, "weak", "DNS:weak.test", -DAY, DAY, &ca);
	const struct {
		const char *pem;
		int64_t now;
		const char *reason;
	} cases[] = {
		{leaf.both, time(NULL), NULL},
		{leaf.both, time(NULL) + 2 * DAY, "the certificate expired on "},
		{leaf.both, time(NULL) - 2 * DAY, "the certificate is not valid before "},
		{leaf.both, 0, NULL},
		{leaf.pem, time(NULL), "there is no private key in it"},
		{leaf.key_pem, time(NULL), "there is no certificate in it"},
		{weak.both, time(NULL), "the certificate cannot be used: "},
		{"", time(NULL), "it is empty"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tls_certificate seen;
		struct err err = {""};
		bool ok = tls_certificate_read(str_of(cases[i].pem), cases[i].now, &seen, &err);

		UNIT_INT(ok, cases[i].reason == NULL);
		if (ok)
			UNIT_TEXT(seen.subject, "CN=mail.test");
		else
			UNIT_STR(str_first(str_of(err.text), strlen(cases[i].reason)),
				 cases[i].reason);
	}
	certificate_clear(&weak);
}

static void the_first_certificate_comes_out_as_der(void)
{
	struct buf der = BUF_MAX(65536), pem = BUF_MAX(65536), small = BUF_MAX(10);
	const unsigned char *p;
	struct err err = {""};
	X509 *x;

	buf_put_text(&pem, leaf.both);
	buf_put_text(&pem, ca.pem);
	UNIT_TRUE(tls_certificate_put_der(buf_str(&pem), &der, &err));
	p = (const unsigned char *)der.p;
	x = d2i_X509(NULL, &p, (long)der.n);
	UNIT_TRUE(x != NULL && X509_cmp(x, leaf.x) == 0 &&
		  p == (const unsigned char *)der.p + der.n);
	UNIT_TRUE(!tls_certificate_put_der(buf_str(&pem), &small, &err));
	UNIT_TRUE(!tls_certificate_put_der(STR("x"), &der, &err));
	X509_free(x);
	buf_clear(&der);
	buf_clear(&pem);
}

/* RFC 9773, appendix A; its identifier is in 4.1. */
#define RFC_9773 \
	"-----BEGIN CERTIFICATE-----\n" \
	"MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt\n" \
	"cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS\n" \
	"BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu\n" \
	"7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf\n" \
	"qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B\n" \
	"yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb\n" \
	"+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK\n" \
	"-----END CERTIFICATE-----\n"

static void the_renewal_identifier_is_that_of_rfc_9773(void)
{
	struct buf id = BUF_MAX(100), small = BUF_MAX(29);
	struct err err = {""};

	UNIT_TRUE(tls_certificate_put_renewal_id(STR(RFC_9773), &id, &err));
	UNIT_STR(buf_str(&id), "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
	UNIT_TRUE(!tls_certificate_put_renewal_id(STR(RFC_9773), &small, &err));
	UNIT_TRUE(!tls_certificate_put_renewal_id(str_of(leaf.pem), &id, &err));
	UNIT_TEXT(err.text, "the certificate does not name its issuer's key");
	buf_clear(&id);
	buf_clear(&small);
}

static void a_certificate_is_for_exactly_its_names(void)
{
	const struct str all[] = {STR("*.mail.TEST"), STR("2001:DB8:0::1"), STR("mail.test"),
				  STR("192.0.2.1")};
	const struct str wrong[] = {STR("*.mail.test"), STR("2001:db8::1"), STR("mail.test"),
				    STR("192.0.2.2")};
	const struct str more[] = {STR("*.mail.test"), STR("2001:db8::1"), STR("mail.test"),
				   STR("192.0.2.1"), STR("a.mail.test")};
	struct err err = {""};

	UNIT_TRUE(tls_certificate_is_for(str_of(leaf.pem), all, 4, &err));
	UNIT_TRUE(!tls_certificate_is_for(str_of(leaf.pem), all, 3, &err));
	UNIT_TEXT(err.text, "the certificate is for other names, too");
	UNIT_TRUE(!tls_certificate_is_for(str_of(leaf.pem), wrong, 4, &err));
	UNIT_TEXT(err.text, "the certificate is not for 192.0.2.2");
	UNIT_TRUE(!tls_certificate_is_for(str_of(leaf.pem), more, 5, &err));
	UNIT_TEXT(err.text, "the certificate is not for a.mail.test");
	UNIT_TRUE(!tls_certificate_is_for(str_of(ca.pem), all, 1, &err));
	UNIT_TRUE(!tls_certificate_is_for(STR("x"), all, 4, &err));
}

static void a_chain_ends_at_the_issuer_of_its_last_certificate(void)
{
	struct certificate middle = certificate_make("Middle", NULL, -DAY, DAY, &ca);
	struct certificate end = certificate_make("end.test", "DNS:end.test", -DAY, DAY, &middle);
	struct buf pem = BUF_MAX(65536);

	buf_put_text(&pem, end.pem);
	UNIT_TRUE(tls_certificate_ends_at(buf_str(&pem), STR("Middle")));
	buf_put_text(&pem, middle.pem);
	UNIT_TRUE(tls_certificate_ends_at(buf_str(&pem), STR("Test CA")));
	UNIT_TRUE(!tls_certificate_ends_at(buf_str(&pem), STR("Middle")));
	UNIT_TRUE(!tls_certificate_ends_at(buf_str(&pem), STR("Test")));
	UNIT_TRUE(!tls_certificate_ends_at(STR(""), STR("")));
	certificate_clear(&middle);
	certificate_clear(&end);
	buf_clear(&pem);
}

static void whoever_signs_itself_is_found_out(void)
{
	/* The second has the names of an authority, but no more than its own key. */
	struct certificate own = certificate_make("own.test", "DNS:own.test", -DAY, DAY, NULL);
	struct certificate pretender = {.x = own.x, .key = other.key};
	struct certificate claims = certificate_make_with(EVP_PKEY_dup(other.key), "claims.test", "DNS:claims.test", -DAY, DAY, &pretender);
	const struct {
		const char *pem;
		bool is;
	} cases[] = {{leaf.pem, false}, {ca.pem, true}, {own.pem, true}, {claims.pem, true}, {"x", false}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		UNIT_INT(tls_certificate_is_self_signed(str_of(cases[i].pem)), cases[i].is);
	certificate_clear(&own);
	certificate_clear(&claims);
}

#define HEX "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define OTHER "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void pins_are_fingerprints(void)
{
	static const struct {
		const char *pins;
		bool has;
	} cases[] = {
		{"", false},
		{HEX, true},
		{"  " OTHER "  " HEX " ", true},
		{OTHER, false},
		{"00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:"
		 "BB:CC:DD:EE:FF",
		 true},
		{HEX "0", false},
		{"00", false},
		{"zz112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", false},
		{"nonsense " HEX, true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		UNIT_INT(tls_certificate_has_pin(str_of(cases[i].pins), HEX), cases[i].has);
}

UNIT_TESTS({"make certificates", make_certificates},
	   {"a certificate is read as a server would take it",
	    a_certificate_is_read_as_a_server_would_take_it},
	   {"the first certificate comes out as DER", the_first_certificate_comes_out_as_der},
	   {"the renewal identifier is that of RFC 9773",
	    the_renewal_identifier_is_that_of_rfc_9773},
	   {"a certificate is for exactly its names", a_certificate_is_for_exactly_its_names},
	   {"a chain ends at the issuer of its last certificate",
	    a_chain_ends_at_the_issuer_of_its_last_certificate},
	   {"whoever signs itself is found out", whoever_signs_itself_is_found_out},
	   {"pins are fingerprints", pins_are_fingerprints},
	   {"clear certificates", clear_certificates})
