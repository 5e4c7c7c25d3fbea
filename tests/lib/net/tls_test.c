/* SPDX-License-Identifier: Apache-2.0
 *
 * Which certificates a server takes, and what is said about those it does not.
 */
#include "lib/net/tls_server.h"

#include <time.h>

#include "lib/base/buf.h"
#include "tests/support/certificate.h"
#include "tests/support/unit.h"

#define DAY 86400L

static struct certificate ca, leaf, other, expired, early;

static void make_certificates(void)
{
	ca = certificate_make("Test CA", NULL, -DAY, 10 * DAY, NULL);
	leaf = certificate_make("mail.test", "DNS:mail.test,DNS:localhost,IP:127.0.0.1", -DAY, DAY, &ca);
	other = certificate_make("other", "DNS:other.test", -DAY, DAY, &ca);
	expired = certificate_make("old", "DNS:old.test", -2 * DAY, -DAY, &ca);
	early = certificate_make("new", "DNS:new.test", DAY, 2 * DAY, &ca);
}

static void clear_certificates(void)
{
	certificate_clear(&ca);
	certificate_clear(&leaf);
	certificate_clear(&other);
	certificate_clear(&expired);
	certificate_clear(&early);
}

static struct buf joined(const char *a, const char *b, const char *c)
{
	struct buf out = BUF_MAX(65536);

	buf_put_text(&out, a);
	buf_put_text(&out, b);
	buf_put_text(&out, c);
	return out;
}

static void a_good_chain_is_read_in_any_order(void)
{
	struct tls_certificate c;
	struct tls_server *server;
	struct err err = {""};
	struct buf pem;
	const char *orders[][3] = {{leaf.pem, ca.pem, leaf.key_pem},
				   {leaf.key_pem, leaf.pem, ca.pem},
				   {leaf.pem, leaf.key_pem, ca.pem}};

	for (size_t i = 0; i < 3; i++) {
		pem = joined(orders[i][0], orders[i][1], orders[i][2]);
		server = tls_server_new(TLS_1_2);
		UNIT_TRUE(tls_server_add(server, buf_str(&pem), STR(""), time(NULL), &c, &err));
		UNIT_TEXT(err.text, "");
		UNIT_TEXT(c.subject, "CN=mail.test");
		UNIT_TEXT(c.issuer, "CN=Test CA");
		UNIT_TEXT(c.names, "mail.test, localhost, 127.0.0.1");
		UNIT_TRUE(c.serial[0] != '\0');
		UNIT_TRUE(c.not_after > time(NULL) && c.not_before < time(NULL));
		UNIT_TEXT(c.key, "ECDSA P-256");
		UNIT_INT(strlen(c.fingerprint), 64);
		tls_server_free(&server);
		buf_clear(&pem);
	}
}

static void a_bad_text_is_refused_with_the_reason(void)
{
	struct {
		const char *a, *b, *reason;
	} cases[] = {
		{"", "", "it is empty"},
		{"hello", "", "there is no certificate in it"},
		{leaf.key_pem, "", "there is no certificate in it"},
		{leaf.pem, "", "there is no private key in it"},
		{leaf.pem, other.key_pem, "the private key does not belong to the first certificate"},
		{ca.both, leaf.key_pem, "there is more than one private key"},
		{expired.both, "", "the certificate expired on "},
		{early.both, "", "the certificate is not valid before "},
		{leaf.key_pem, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		 "certificate 1 cannot be read: "},
		{"-----BEGIN CERTIFICATE-----\n!!!!\n", "", "the PEM text is broken: "},
		{"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", "",
		 "the private key is encrypted"},
	};

	struct tls_server *server = tls_server_new(TLS_1_2);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf pem = joined(cases[i].a, cases[i].b, "");
		struct tls_certificate c;
		struct err err = {""};

		UNIT_TRUE(!tls_server_add(server, buf_str(&pem), STR(""), time(NULL), &c, &err));
		UNIT_STR(str_first(str_of(err.text), strlen(cases[i].reason)), cases[i].reason);
		UNIT_TRUE(tls_server_is_empty(server));
		buf_clear(&pem);
	}
	tls_server_free(&server);
}

static void the_dates_may_be_left_alone(void)
{
	struct tls_server *server = tls_server_new(TLS_1_2);
	struct tls_certificate c;
	struct err err;

	UNIT_TRUE(tls_server_add(server, str_of(expired.both), STR(""), 0, &c, &err));
	UNIT_TRUE(tls_server_add(server, str_of(early.both), STR(""), 0, &c, &err));
	tls_server_free(&server);
}

static void a_client_needs_an_authority_or_to_be_insecure(void)
{
	struct tls_client *client;
	struct err err = {""};

	UNIT_TRUE(tls_client_new(STR("nothing"), false, TLS_1_2, &err) == NULL);
	UNIT_TEXT(err.text, "there is no certificate of an authority in it");
	client = tls_client_new(str_of(ca.pem), false, TLS_1_2, &err);
	UNIT_TRUE(client != NULL);
	tls_client_free(&client);
	client = tls_client_new(STR(""), true, TLS_1_3, &err);
	UNIT_TRUE(client != NULL);
	tls_client_free(&client);
}

UNIT_TESTS({"make certificates", make_certificates},
	   {"a good chain is read in any order", a_good_chain_is_read_in_any_order},
	   {"a bad text is refused with the reason", a_bad_text_is_refused_with_the_reason},
	   {"the dates may be left alone", the_dates_may_be_left_alone},
	   {"a client needs an authority or to be insecure", a_client_needs_an_authority_or_to_be_insecure},
	   {"clear certificates", clear_certificates})
