/* SPDX-License-Identifier: Apache-2.0 */
#include "cert-renewer/acme_chain.h"

#include "lib/base/clock.h"
#include "tests/support/certificate.h"
#include "tests/support/unit.h"

static void only_a_chain_for_key_and_names_is_good(void)
{
	struct certificate ca = certificate_make("Test CA", NULL, -3600, 3600, NULL);
	struct certificate leaf = certificate_make("a.example", "DNS:a.example,DNS:*.b.example", -3600, 3600, &ca);
	struct certificate other = certificate_make("a.example", "DNS:a.example,DNS:*.b.example", -3600, 3600, &ca);
	struct err err = {""};
	struct tls_key *key = tls_key_read(str_of(leaf.key_pem), &err);
	const struct str names[] = {STR("*.b.example"), STR("a.example")};
	const struct {
		const char *parts[4];
		unsigned n_names;
		int64_t later;
		const char *error; /* how it begins; "": good; NULL: any */
	} cases[] = {
		{{leaf.pem, ca.pem}, 2, 0, ""},
		{{leaf.pem, "\n", ca.pem, "\n"}, 2, 0, ""},
		{{leaf.pem}, 2, 0, ""},
		{{leaf.pem, ca.pem}, 1, 0, NULL},
		{{other.pem, ca.pem}, 2, 0, NULL},
		{{ca.pem, leaf.pem}, 2, 0, NULL},
		{{leaf.pem, ca.pem}, 2, 7200, NULL},
		{{leaf.pem, ca.pem}, 2, -7200, NULL},
		{{leaf.pem, "words\n", ca.pem}, 2, 0, "it has something in it that is no certificate"},
		{{leaf.pem, leaf.key_pem}, 2, 0, "it has something in it that is no certificate"},
		{{other.key_pem, leaf.pem}, 2, 0, "it has something in it that is no certificate"},
		{{leaf.pem, "-----BEGIN CERTIFICATE-----\nMIIB\n"}, 2, 0, "it is broken off"},
		{{leaf.pem, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"}, 2, 0, NULL},
		{{"-----BEGIN CERTIFICATE-----\n"}, 2, 0, "there is no certificate in it"},
		{{"{}"}, 2, 0, "it has something in it that is no certificate"},
		{{""}, 2, 0, "there is no certificate in it"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf pem = BUF_MAX(65536);
		bool ok;

		for (unsigned k = 0; k < 4 && cases[i].parts[k] != NULL; k++)
			buf_put_text(&pem, cases[i].parts[k]);
		err.text[0] = '\0';
		ok = acme_chain_check(buf_str(&pem), key, names, cases[i].n_names, clock_wall() / CLOCK_SECOND + cases[i].later, &err);
		if (ok != (cases[i].error != NULL && cases[i].error[0] == '\0'))
			printf("\ncase %zu: %s\n", i, err.text);
		UNIT_INT(ok, cases[i].error != NULL && cases[i].error[0] == '\0');
		UNIT_INT(err.text[0] != '\0', !ok);
		if (cases[i].error != NULL)
			UNIT_TEXT(err.text, cases[i].error);
		buf_clear(&pem);
	}
	tls_key_free(&key);
	certificate_clear(&ca);
	certificate_clear(&leaf);
	certificate_clear(&other);
}

static void a_chain_has_an_end(void)
{
	struct certificate ca = certificate_make("Test CA", NULL, -3600, 3600, NULL);
	struct tls_key *key = tls_key_read(str_of(ca.key_pem), NULL);
	const struct str name = STR("a.example");
	struct buf pem = BUF_MAX(65536);
	struct err err;

	for (unsigned i = 0; i < 11; i++)
		buf_put_text(&pem, ca.pem);
	UNIT_TRUE(!acme_chain_check(buf_str(&pem), key, &name, 1, clock_wall() / CLOCK_SECOND, &err));
	UNIT_TEXT(err.text, "it has more than 10 certificates");
	buf_clear(&pem);
	tls_key_free(&key);
	certificate_clear(&ca);
}

UNIT_TESTS({"only a chain for key and names is good", only_a_chain_for_key_and_names_is_good},
	   {"a chain has an end", a_chain_has_an_end})
