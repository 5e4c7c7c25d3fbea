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
		{"m\xc3\xbcller@b", SMTP_ADDRESS_NOT_ASCII, NULL},
		{"a@m\xc3\xbcller.test", SMTP_ADDRESS_NOT_ASCII, NULL},
		{"m\xfcller@b", SMTP_ADDRESS_SYNTAX, NULL},
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
