/* SPDX-License-Identifier: Apache-2.0
 *
 * Who a message says it is from.
 */
#include "lib/smtp/smtp_mailbox.h"

#include <time.h>

#include "tests/support/unit.h"

struct example {
	const char *body, *addresses;
};

static void check(const struct example *e, bool is_good)
{
	struct buf out = BUF_MAX(4096);
	bool is_list = smtp_mailbox_list(str_of(e->body), &out);

	if (is_list != is_good)
		printf("%s\n", e->body);
	UNIT_INT(is_list, is_good);
	UNIT_STR(buf_str(&out), e->addresses);
	buf_clear(&out);
}

static void addresses_are_found(void)
{
	static const struct example cases[] = {
		{" joe@example.com\r\n", "joe@example.com"},
		{"Joe <joe@example.com>", "joe@example.com"},
		{"<joe@example.com>", "joe@example.com"},
		{"\"Q. Public, Joe\" <joe@example.com>, ann@x.org", "joe@example.com ann@x.org"},
		{"Joe Q. Public <joe@example.com>", "joe@example.com"},
		{"=?UTF-8?B?SsO8cmdlbg==?= <j@example.com>", "j@example.com"},
		{"=?utf-8?q?a=40b=2Ecom?= <j@example.com>", "j@example.com"},
		{"[Shop] Orders <o@example.com>", "o@example.com"},
		{"[Shop no. 1] <o@example.com>", "o@example.com"},
		{"\"a@b.org\" <o@example.com>", "o@example.com"},
		{"joe@[IPv6:2001:db8::1]", "joe@[IPv6:2001:db8::1]"},
		{"joe@example.com <joe@example.com>", "joe@example.com joe@example.com"},
		{"boss@ok.org <joe@example.com>", "boss@ok.org joe@example.com"},
		{"<joe@example.com> <evil@x.org>", "joe@example.com evil@x.org"},
		{"joe@example.com (Joe (the \\) second))", "joe@example.com"},
		{"(a) joe (b) @ (c) example (d) . (e) com (f)", "joe@example.com"},
		{"joe . public@example.com", "joe.public@example.com"},
		{"a..b@example.com", "a..b@example.com"},
		{"\"joe\"@example.com", "joe@example.com"},
		{"\"joe.public\"@example.com", "joe.public@example.com"},
		{"\"a@b\"@example.com", "\"a@b\"@example.com"},
		{"\"a\\\"b\"@example.com", "\"a\\\"b\"@example.com"},
		{"\"\"@example.com", "\"\"@example.com"},
		{"a.\"b\".c@example.com", "a.b.c@example.com"},
		{"joe@[192.0.2.1]", "joe@[192.0.2.1]"},
		{"Joe <@one.example,@two.example:joe@example.com>", "joe@example.com"},
		{"Friends: a@x.org, Bob <b@y.org>;, c@z.org", "a@x.org b@y.org c@z.org"},
		{"Nobody:;", ""},
		{"undisclosed-recipients:;\r\n", ""},
		{"", ""},
		{" \r\n", ""},
		{",, joe@example.com,", "joe@example.com"},
		{"J\xc3\xbcrgen <j\xc3\xbcrgen@b\xc3\xbc" "cher.example>", "j\xc3\xbcrgen@b\xc3\xbc" "cher.example"},
		{"Joe\r\n <joe@\r\n\texample.com>", "joe@example.com"},
		{"Joe, Inc <joe@example.com>", "joe@example.com"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check(&cases[i], true);
}

static void what_readers_differ_about_is_odd(void)
{
	static const struct example cases[] = {
		{"Joe", ""},
		{"\"joe@example.com\"", ""},
		{"<>", ""},
		{"Joe <joe>", ""},
		{"Joe <joe@example.com", "joe@example.com"},
		{"joe@example.com>", "joe@example.com"},
		{"<<joe@example.com>>", "joe@example.com"},
		{"joe@example.com evil.org", "joe@example.com"},
		{"Joe joe@example.com", "joe@example.com"},
		{"joe@evil.org@example.com", "joe@evil.org"},
		{"@example.com", ""},
		{"joe@", ""},
		{"joe@,x@y.org", "x@y.org"},
		{"joe.@example.com", "joe.@example.com"},
		{"\"a b\"@example.com", ""},
		{"\"a\tb\"@example.com", ""},
		{"\"joe@example.com", ""},
		{"joe@example.com (Joe", "joe@example.com"},
		{"joe@example.com)", "joe@example.com"},
		{"joe@[192.0.2.1", ""},
		{"<@one.example>", ""},
		{"joe@[IPv6: 2001:db8::1]", ""},
		{"joe\\@example.com", "joe@example.com"},
		{"d@[@[\\\\]", "d@[@[\\]"},
		{"d@[x@[192.0.2.1]", "d@[x@[192.0.2.1]"},
		/* what others find within brackets and quotes */
		{"[x, evil@x.org] <joe@example.com>", "joe@example.com"},
		{"[,evil@x.org]@example.com", "[,evil@x.org]@example.com"},
		{"[<evil@x.org>] <joe@example.com>", "joe@example.com"},
		{"\"evil@x.org\", joe@example.com", "joe@example.com"},
		{"\"evil@x.org\"; <joe@example.com>", "joe@example.com"},
		{"Us: \"evil@x.org\";", ""},
		{"joe\x01@example.com", "joe@example.com"},
		{"j\xff@example.com", ""},
		{"joe@example.com: x@y.org;", "joe@example.com x@y.org"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check(&cases[i], false);
}

static void too_much_is_odd(void)
{
	struct buf body = BUF_MAX(100000), out = BUF_MAX(100);

	for (int i = 0; i < 10; i++)
		buf_put_text(&body, "a@bb.org, ");
	UNIT_TRUE(smtp_mailbox_list(buf_str(&body), &out));
	UNIT_INT(out.n, 89);
	buf_reset(&out);
	buf_put_text(&body, "a@bbb.org, a@b");
	UNIT_TRUE(!smtp_mailbox_list(buf_str(&body), &out));
	UNIT_TRUE(out.n <= 100);
	buf_clear(&out);
	buf_reset(&body);
	for (int i = 0; i < 1000; i++)
		buf_put_char(&body, 'a');
	buf_put_text(&body, "@b.org, c@d.org");
	out = BUF_MAX(4096);
	UNIT_TRUE(!smtp_mailbox_list(buf_str(&body), &out));
	UNIT_STR(buf_str(&out), "c@d.org");
	buf_clear(&out);
	buf_clear(&body);
}

/* What is not finished must not make every one of them look through all that follows: quadratic, some of these take
 * minutes. */
static void hostile_lists_are_read_in_linear_time(void)
{
	static const char *const units[] = {"<@", "<@x:", "<@>", "<@@", "<a", "\"\"", "(", "a@", "[", "\\", ":;", "a.@[]"};
	enum { SIZE = 4 << 20, MOST_SECONDS = 10 };
	struct buf body = BUF_MAX(SIZE + 16), out = BUF_MAX(4096);

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		clock_t began = clock();

		buf_reset(&body);
		while (body.n < SIZE)
			buf_put_text(&body, units[i]);
		buf_reset(&out);
		smtp_mailbox_list(buf_str(&body), &out);
		UNIT_TRUE(clock() - began < MOST_SECONDS * CLOCKS_PER_SEC);
	}
	buf_clear(&body);
	buf_clear(&out);
}

UNIT_TESTS({"addresses are found", addresses_are_found},
	   {"what readers differ about is odd", what_readers_differ_about_is_odd},
	   {"too much is odd", too_much_is_odd},
	   {"hostile lists are read in linear time", hostile_lists_are_read_in_linear_time})
