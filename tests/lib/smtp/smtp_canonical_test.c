/* SPDX-License-Identifier: Apache-2.0
 *
 * Spellings of one mailbox.
 */
#include "lib/smtp/smtp_canonical.h"

#include "tests/support/unit.h"

/* The samples are RFC 3492's (7.1), as far as they can be labels. */
static void every_spelling_gives_one(void)
{
	static const struct {
		const char *address, *canonical; /* NULL: it is none */
	} cases[] = {
		{"john@x.example", "john@x.example"},
		{"JOHN@X.Example", "john@x.example"},
		{"\"john\"@x.example", "john@x.example"},
		{"\"jo\\hn\"@x.example", "john@x.example"},
		{"\"John.Doe\"@x.example", "john.doe@x.example"},
		{"\"john doe\"@x.example", "\"john doe\"@x.example"},
		{"\"john\\ doe\"@x.example", "\"john doe\"@x.example"},
		{"\"a\\\"b\\\\\"@x.example", "\"a\\\"b\\\\\"@x.example"},
		{"\"john.\"@x.example", "\"john.\"@x.example"},
		{"\"a@b\"@x.example", "\"a@b\"@x.example"},
		{"\"\\\"\"@x.example", "\"\\\"\"@x.example"},
		{"a@[IPv6:2001:DB8::1]", "a@[ipv6:2001:db8::1]"},
		{"@X.example", "@x.example"},
		{"a@XN--Bcher-KVA.example", "a@b\xc3\xbc" "cher.example"},
		{"a@b\xc3\xbc" "cher.example", "a@b\xc3\xbc" "cher.example"},
		{"@xn--bcher-kva.example", "@b\xc3\xbc" "cher.example"},
		{"a@xn--ihqwcrb4cv8a8dqg056pqjye.example", "a@\xe4\xbb\x96\xe4\xbb\xac\xe4\xb8\xba\xe4\xbb\x80\xe4\xb9\x88\xe4\xb8\x8d\xe8\xaf\xb4\xe4\xb8\xad\xe6\x96\x87.example"},
		{"a@xn--d9juau41awczczp.example", "a@\xe3\x81\x9d\xe3\x81\xae\xe3\x82\xb9\xe3\x83\x94\xe3\x83\xbc\xe3\x83\x89\xe3\x81\xa7.example"},
		{"a@xn--e28h.example", "a@\xf0\x9f\x98\x80.example"},
		/* none, though they say so */
		{"a@xn--abc-.example", NULL},
		{"a@xn--abc.example", "a@xn--abc.example"},
		{"a@xn--99999999.example", "a@xn--99999999.example"},
		{"a@xn--a-0.example", "a@xn--a-0.example"},
		{"x@\xc3\x84.example", "x@\xc3\x84.example"},
		{"", NULL},
		{"@", NULL},
		{"john", NULL},
		{"john@", NULL},
		{"a@b@c", NULL},
		{"a b@c", NULL},
		{"<a@b>", NULL},
		{"@a,@b:c@d", NULL},
		{"(x)a@b", NULL},
		{"a@b\n", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = BUF_MAX(SMTP_CANONICAL_MAX), again = BUF_MAX(SMTP_CANONICAL_MAX);
		bool is = smtp_canonical_address(str_of(cases[i].address), &out);

		if (is != (cases[i].canonical != NULL))
			printf("\n%s:", cases[i].address);
		UNIT_INT(is, cases[i].canonical != NULL);
		UNIT_STR(buf_str(&out), cases[i].canonical == NULL ? "" : cases[i].canonical);
		if (is) {
			UNIT_TRUE(smtp_canonical_address(buf_str(&out), &again));
			UNIT_TRUE(str_eq(buf_str(&out), buf_str(&again)));
		}
		buf_clear(&out);
		buf_clear(&again);
	}
}

/* Labels that would grow beyond what a domain may have. */
static void a_long_name_stays_within_the_limit(void)
{
	struct buf address = BUF_MAX(1000), out = BUF_MAX(SMTP_CANONICAL_MAX);

	buf_put_text(&address, "a@");
	for (unsigned i = 0; i < 20; i++)
		buf_put_text(&address, "xn--e28haaa.");
	buf_put_text(&address, "example");
	UNIT_TRUE(smtp_canonical_address(buf_str(&address), &out));
	UNIT_TRUE(!out.is_full && str_eq(buf_str(&out), buf_str(&address)));
	buf_clear(&address);
	buf_clear(&out);
}

UNIT_TESTS({"every spelling gives one", every_spelling_gives_one},
	   {"a long name stays within the limit", a_long_name_stays_within_the_limit})
