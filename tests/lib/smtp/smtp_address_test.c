/* SPDX-License-Identifier: Apache-2.0
 *
 * Which mailboxes are good.
 */
#include "lib/smtp/smtp_address.h"

#include "lib/base/buf.h"
#include "tests/support/unit.h"

#define SIXTEEN "aaaaaaaaaaaaaaaa"
#define SIXTY "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void the_grammar_of_rfc_5321_holds(void)
{
	static const struct {
		const char *path;
		enum smtp_address_result result;
		const char *mailbox;
	} cases[] = {
		{"a@b", SMTP_ADDRESS_OK, "a@b"},
		{"first.last+tag@sub.example.com", SMTP_ADDRESS_OK, "first.last+tag@sub.example.com"},
		{"!#$%&'*+-/=?^_`{|}~@b", SMTP_ADDRESS_OK, "!#$%&'*+-/=?^_`{|}~@b"},
		{"\"a b\"@c.d", SMTP_ADDRESS_OK, "\"a b\"@c.d"},
		{"\"a\\\"@b\"@c.d", SMTP_ADDRESS_OK, "\"a\\\"@b\"@c.d"},
		{"\"a@b\"@c.d", SMTP_ADDRESS_OK, "\"a@b\"@c.d"},
		{"a@[127.0.0.1]", SMTP_ADDRESS_OK, "a@[127.0.0.1]"},
		{"a@[IPv6:::1]", SMTP_ADDRESS_OK, "a@[IPv6:::1]"},
		{"@one.test,@two.test:a@b", SMTP_ADDRESS_OK, "a@b"},
		{"@one.test:a@b", SMTP_ADDRESS_OK, "a@b"},
		{"a@under_score.test", SMTP_ADDRESS_OK, "a@under_score.test"},
		{SIXTEEN SIXTEEN SIXTEEN SIXTEEN "@b", SMTP_ADDRESS_OK, SIXTEEN SIXTEEN SIXTEEN SIXTEEN "@b"},
		{"", SMTP_ADDRESS_SYNTAX, NULL},
		{"a", SMTP_ADDRESS_SYNTAX, NULL},
		{"a@", SMTP_ADDRESS_SYNTAX, NULL},
		{"@b", SMTP_ADDRESS_SYNTAX, NULL},
		{"a@b@c", SMTP_ADDRESS_SYNTAX, NULL},
		{".a@b", SMTP_ADDRESS_SYNTAX, NULL},
		{"a.@b", SMTP_ADDRESS_SYNTAX, NULL},
		{"a..b@c", SMTP_ADDRESS_SYNTAX, NULL},
		{"a b@c", SMTP_ADDRESS_SYNTAX, NULL},
		{"\"\"@c", SMTP_ADDRESS_SYNTAX, NULL},
		{"\"a@c", SMTP_ADDRESS_SYNTAX, NULL},
		{"\"a\\\"@c", SMTP_ADDRESS_SYNTAX, NULL},
		{"\"a\x01\"@c", SMTP_ADDRESS_SYNTAX, NULL},
		{"\"a\"b@c", SMTP_ADDRESS_SYNTAX, NULL},
		{"a@b..c", SMTP_ADDRESS_SYNTAX, NULL},
		{"a@.b", SMTP_ADDRESS_SYNTAX, NULL},
		{"a@b.", SMTP_ADDRESS_SYNTAX, NULL},
		{"a@-b", SMTP_ADDRESS_SYNTAX, NULL},
		{"a@b-", SMTP_ADDRESS_SYNTAX, NULL},
		{"a@b c", SMTP_ADDRESS_SYNTAX, NULL},
		{"a@[127.0.0.256]", SMTP_ADDRESS_SYNTAX, NULL},
		{"a@[IPv6:zz]", SMTP_ADDRESS_SYNTAX, NULL},
		{"a@[]", SMTP_ADDRESS_SYNTAX, NULL},
		{"@one.test a@b", SMTP_ADDRESS_SYNTAX, NULL},
		{"@one.test,two.test:a@b", SMTP_ADDRESS_SYNTAX, NULL},
		{"@:a@b", SMTP_ADDRESS_SYNTAX, NULL},
		{SIXTEEN SIXTEEN SIXTEEN SIXTEEN "a@b", SMTP_ADDRESS_LONG, NULL},
		{"a@" SIXTY "aaaa.b", SMTP_ADDRESS_SYNTAX, NULL},
		{"a@" SIXTY "." SIXTY "." SIXTY "." SIXTY "." SIXTY, SMTP_ADDRESS_LONG, NULL},
		{"a@" SIXTY "." SIXTY "." SIXTY "." SIXTY ".aaaaaaaaaa", SMTP_ADDRESS_LONG, NULL},
		/* RFC 6531, 3.3 */
		{"m\xc3\xbcller@b", SMTP_ADDRESS_OK, "m\xc3\xbcller@b"},
		{"a@m\xc3\xbcller.test", SMTP_ADDRESS_OK, "a@m\xc3\xbcller.test"},
		{"\"\xe7\x94\xb0 \xe4\xb8\xad\"@\xe4\xbe\x8b.\xe4\xbe\x8b", SMTP_ADDRESS_OK, NULL},
		{"\xf0\x9f\x93\xa7@b", SMTP_ADDRESS_OK, NULL},
		{"a@\xd9\x85\xd8\xab\xd8\xa7\xd9\x84.test", SMTP_ADDRESS_OK, NULL},
		{"@\xe4\xbe\x8b.test:a@b", SMTP_ADDRESS_OK, "a@b"},
		{"m\xfcller@b", SMTP_ADDRESS_SYNTAX, NULL},		  /* Latin-1 */
		{"a@b\xc3", SMTP_ADDRESS_SYNTAX, NULL},		  /* cut */
		{"a\xc0\xae@b", SMTP_ADDRESS_SYNTAX, NULL},	  /* an overlong dot */
		{"a\xed\xa0\x80@b", SMTP_ADDRESS_SYNTAX, NULL},	  /* a surrogate */
		{"a@b\xe3\x80\x82test", SMTP_ADDRESS_SYNTAX, NULL}, /* U+3002: to IDNA a dot */
		{"a\xc2\xa0@b", SMTP_ADDRESS_SYNTAX, NULL},	  /* no-break space */
		{"a\xe2\x80\xae@b", SMTP_ADDRESS_SYNTAX, NULL},	  /* writes backwards */
		{"a\xc2\x85@b", SMTP_ADDRESS_SYNTAX, NULL},	  /* a control */
		{"\"a\xe2\x80\xa8\"@b", SMTP_ADDRESS_SYNTAX, NULL},  /* a line's end */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct smtp_address a;
		enum smtp_address_result result = smtp_address_parse(str_of(cases[i].path), &a);

		if (result != cases[i].result)
			printf("\n%s:", cases[i].path);
		UNIT_INT(result, cases[i].result);
		if (result == SMTP_ADDRESS_OK && cases[i].mailbox != NULL)
			UNIT_STR(a.mailbox, cases[i].mailbox);
	}
}

static void the_parts_are_given(void)
{
	struct smtp_address a;

	UNIT_INT(smtp_address_parse(STR("@r:\"x@y\"@Example.COM"), &a), SMTP_ADDRESS_OK);
	UNIT_STR(a.local, "\"x@y\"");
	UNIT_STR(a.domain, "Example.COM");
}

static void a_nul_is_no_part_of_an_address(void)
{
	struct smtp_address a;

	UNIT_INT(smtp_address_parse(STR("a\0b@c"), &a), SMTP_ADDRESS_SYNTAX);
	UNIT_INT(smtp_address_parse(STR("a@[127.0.0.1\0]"), &a), SMTP_ADDRESS_SYNTAX);
}

static void domains_compare_without_case(void)
{
	UNIT_TRUE(smtp_address_eq(STR("a@B.c"), STR("a@b.C")));
	UNIT_TRUE(!smtp_address_eq(STR("A@b.c"), STR("a@b.c")));
	UNIT_TRUE(!smtp_address_eq(STR("a@b.cc"), STR("a@b.c")));
}

UNIT_TESTS({"the grammar of RFC 5321 holds", the_grammar_of_rfc_5321_holds},
	   {"the parts are given", the_parts_are_given},
	   {"a NUL is no part of an address", a_nul_is_no_part_of_an_address},
	   {"domains compare without case", domains_compare_without_case})
