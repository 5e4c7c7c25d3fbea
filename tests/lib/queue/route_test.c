/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/queue/route.h"

#include <string.h>

#include "lib/base/mem.h"
#include "tests/support/unit.h"

static const struct route_conditions always = {{NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}, {{0}}};

static void targets_are_read_and_printed(void)
{
	static const struct {
		const char *in, *out; /* out NULL: refused */
	} cases[] = {
		{"a", "a"},
		{"sendgrid:3,ses:1 > mailgun > smarthost", "sendgrid:3,ses > mailgun > smarthost"},
		{"  a : 2 ,b>c", "a:2,b > c"},
		{"a:1000", "a:1000"},
		{"x.y_z-1@q+2", "x.y_z-1@q+2"},
		{"", NULL},
		{"   ", NULL},
		{"a > > b", NULL},
		{"a,,b", NULL},
		{"a >", NULL},
		{"> a", NULL},
		{"a:0", NULL},
		{"a:1001", NULL},
		{"a:", NULL},
		{"a:x", NULL},
		{"a:-1", NULL},
		{"a > a", NULL},
		{"a b", NULL},
		{"a\xc3\xa9", NULL},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = BUF_MAX(ROUTE_TEXT);
		struct route route;
		struct err err = {""};
		bool ok = route_make(&route, &always, str_of(cases[i].in), &err);

		UNIT_INT(ok, cases[i].out != NULL);
		UNIT_INT(err.text[0] == '\0', ok);
		route_print(&route, &out);
		UNIT_STR(buf_str(&out), cases[i].out != NULL ? cases[i].out : "");
		buf_clear(&out);
		route_clear(&route);
	}
}

static void there_is_an_end_to_the_targets(void)
{
	struct buf text = BUF_MAX(1 << 20);
	struct route route;

	for (unsigned i = 0; i < ROUTE_TARGETS; i++)
		buf_printf(&text, "%sp%u", i > 0 ? ">" : "", i);
	UNIT_TRUE(route_make(&route, &always, buf_str(&text), NULL));
	UNIT_INT(route.n_targets, ROUTE_TARGETS);
	UNIT_INT(route.target[ROUTE_TARGETS - 1].tier, ROUTE_TARGETS - 1);
	route_clear(&route);
	buf_put_text(&text, ",more");
	UNIT_TRUE(!route_make(&route, &always, buf_str(&text), NULL));
	while (text.n <= ROUTE_TEXT)
		buf_put_char(&text, ' ');
	UNIT_TRUE(!route_make(&route, &always, buf_str(&text), NULL));
	buf_clear(&text);
}

static void conditions_are_checked(void)
{
	static const struct {
		struct route_conditions when;
		bool is_good;
	} cases[] = {
		{{.sender_domain = STR("example.org")}, true},
		{{.sender_domain = STR(".example.org")}, true},
		{{.recipient_domain = STR("*.example.org")}, true},
		{{.recipient_domain = STR("b\xc3\xbc" "cher.example")}, true},
		{{.recipient_domain = STR("*")}, false},
		{{.recipient_domain = STR("a@b.example")}, false},
		{{.sender_domain = STR("*.")}, false},
		{{.sender_domain = STR("a b")}, false},
		{{.header_name = STR("X-Kind")}, true},
		{{.header_name = STR("X-Kind"), .header_pattern = STR("bulk*")}, true},
		{{.header_name = STR("X-Kind:")}, false},
		{{.header_name = STR("X Kind")}, false},
		{{.header_pattern = STR("bulk*")}, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct route route;
		struct err err;

		UNIT_INT(route_make(&route, &cases[i].when, STR("a"), &err), cases[i].is_good);
		route_clear(&route);
	}
}

/* One condition, one message: is it met? */
static void conditions_match(void)
{
	static const struct str header = STR("Received: x\r\nX-Kind: Bulk mail\r\n of  May\r\nx-empty:\r\nX-Late\r\n : v\r\nTo: a@b\r\n\r\n"
					     "X-Body: yes\r\n");
	static const struct {
		struct route_conditions when;
		const char *from, *to;
		bool is_met;
	} cases[] = {
		{{.sender_domain = STR("example.org")}, "a@EXAMPLE.org", "x@y.example", true},
		{{.sender_domain = STR("example.org")}, "a@sub.example.org", "x@y.example", false},
		{{.sender_domain = STR("example.org")}, "", "x@y.example", false},
		{{.sender_domain = STR("example.org")}, "\"a@example.org\"@b.example", "x@y.example", false},
		{{.sender_domain = STR("*.example.org")}, "a@sub.example.org", "x@y.example", true},
		{{.sender_domain = STR(".Example.org")}, "a@a.b.example.org", "x@y.example", true},
		{{.sender_domain = STR(".example.org")}, "a@example.org", "x@y.example", false},
		{{.sender_domain = STR(".example.org")}, "a@.example.org", "x@y.example", false},
		{{.sender_domain = STR(".example.org")}, "a@notexample.org", "x@y.example", false},
		{{.recipient_domain = STR("y.example")}, "", "x@y.example", true},
		{{.recipient_domain = STR("y.example")}, "", "x@z.example", false},
		{{.recipient_domain = STR("y.example")}, "", "postmaster", false},
		{{.header_name = STR("x-kind")}, "", "x@y", true},
		{{.header_name = STR("X-Empty")}, "", "x@y", true},
		{{.header_name = STR("X-Other")}, "", "x@y", false},
		{{.header_name = STR("X-Late"), .header_pattern = STR("v")}, "", "x@y", true},
		{{.header_name = STR("X-Body")}, "", "x@y", false},
		{{.header_name = STR("X-Kind"), .header_pattern = STR("bulk*")}, "", "x@y", true},
		{{.header_name = STR("X-Kind"), .header_pattern = STR("bulk")}, "", "x@y", false},
		{{.header_name = STR("X-Kind"), .header_pattern = STR("BULK mail of  may")}, "", "x@y", true},
		{{.header_name = STR("X-Kind"), .header_pattern = STR("*mail*may")}, "", "x@y", true},
		{{.header_name = STR("X-Kind"), .header_pattern = STR("*mail*ma")}, "", "x@y", false},
		{{.header_name = STR("X-Kind"), .header_pattern = STR("**a**a**")}, "", "x@y", true},
		{{.header_name = STR("X-Kind"), .header_pattern = STR("*a*a*a*")}, "", "x@y", false},
		{{.header_name = STR("X-Empty"), .header_pattern = STR("*")}, "", "x@y", true},
		{{.header_name = STR("X-Empty"), .header_pattern = STR("a*")}, "", "x@y", false},
		{{.user = {{1}}}, "", "x@y", true},
		{{.user = {{2}}}, "", "x@y", false},
		{{.user = {{1}}, .sender_domain = STR("no.example")}, "a@yes.example", "x@y", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct str to = str_of(cases[i].to);
		struct route_message m = {str_of(cases[i].from), &to, 1, {{1}}, header};
		struct route route;
		uint16_t group;

		UNIT_TRUE(route_make(&route, &cases[i].when, STR("a"), NULL));
		UNIT_TRUE(route_is_conditional(&route, 1));
		UNIT_INT(route_group(&route, 1, &m, &group), 1);
		if (group != (cases[i].is_met ? 0 : ROUTE_NONE))
			printf("\ncase %zu\n", i);
		UNIT_INT(group, cases[i].is_met ? 0 : ROUTE_NONE);
		route_clear(&route);
	}
}

static void recipients_are_grouped_by_the_first_route_that_they_meet(void)
{
	struct str to[] = {STR("a@one.example"), STR("b@two.example"), STR("c@other.example"), STR("d@sub.one.example"),
			   STR("e@ONE.example")};
	struct route_message m = {STR("s@example.org"), to, 5, {{1}}, STR("")};
	struct route routes[3];
	uint16_t group[5];

	UNIT_TRUE(route_make(&routes[0], &(struct route_conditions){.sender_domain = STR("not.example")}, STR("z"), NULL));
	UNIT_TRUE(route_make(&routes[1], &(struct route_conditions){.recipient_domain = STR("one.example")}, STR("a"), NULL));
	UNIT_TRUE(route_make(&routes[2], &(struct route_conditions){.recipient_domain = STR("*.example")}, STR("b"), NULL));
	UNIT_INT(route_group(routes, 3, &m, group), 2);
	UNIT_INT(group[0], 1);
	UNIT_INT(group[1], 2);
	UNIT_INT(group[2], 2);
	UNIT_INT(group[3], 2);
	UNIT_INT(group[4], 1);
	UNIT_INT(route_group(routes, 2, &m, group), 2);
	UNIT_INT(group[1], ROUTE_NONE);
	UNIT_INT(route_group(routes, 0, &m, group), 1);
	UNIT_TRUE(!route_is_conditional(routes, 0));
	for (unsigned i = 0; i < 3; i++)
		route_clear(&routes[i]);
}

/* ---- choosing: the providers a, b, c, d are of kinds sendgrid, ses, mailgun, file; `up` says which are ---- */

static bool is_up(void *ctx, unsigned provider)
{
	return strchr(ctx, 'a' + (int)provider) != NULL;
}

static struct settings *four_providers(void)
{
	static const int types[] = {PROVIDER_SENDGRID, PROVIDER_SES, PROVIDER_MAILGUN, PROVIDER_FILE};
	struct settings *s = settings_new();

	for (unsigned i = 0; i < 4; i++) {
		s->provider[i].key[0] = (char)('a' + i);
		s->provider[i].type = types[i];
	}
	s->n_provider = 4;
	return s;
}

static void the_first_tier_with_somebody_fine_is_taken(void)
{
	static const struct {
		const char *targets, *up;
		struct route_load load;
		int target, first;
	} cases[] = {
		{"a > b", "abcd", {0}, 0, 0},
		{"a > b", "b", {0}, 1, 0},
		{"a > b", "", {0}, -1, 0},
		{"a > b > c", "c", {0}, 2, 0},
		{"x > b", "abcd", {0}, 1, 1},
		{"x", "abcd", {0}, -1, -1},
		{"a > c", "abcd", {.has_utf8 = true}, 1, 1},
		{"a > b", "abcd", {.has_utf8 = true}, -1, -1},
		{"c > a > d", "abcd", {.size = 26 << 20}, 1, 1},
		{"c > d", "c", {.size = 100 << 20}, -1, 1},
		{"a > b > c", "abcd", {.unfit = 1}, 1, 1},
		{"a > b > c", "ac", {.unfit = 1}, 2, 1},
		{"a > b", "abcd", {.unfit = 3}, -1, -1},
		{"a,b > c", "b", {0}, 1, 0},
		{"a,b > c", "c", {0}, 2, 0},
	};
	struct settings *s = four_providers();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct route route;
		struct route_choice choice;

		UNIT_TRUE(route_make(&route, &always, str_of(cases[i].targets), NULL));
		route_resolve(&route, s);
		choice = route_choose(&route, s, &cases[i].load, is_up, (void *)(uintptr_t)cases[i].up, 0);
		if (choice.target != cases[i].target || choice.first != cases[i].first)
			printf("\ncase %zu\n", i);
		UNIT_INT(choice.target, cases[i].target);
		UNIT_INT(choice.first, cases[i].first);
		route_clear(&route);
	}
	settings_free(&s);
}

static void each_target_is_told_why_not(void)
{
	struct route_load load = {.has_utf8 = true, .unfit = 8};
	struct settings *s = four_providers();
	struct route_choice choice;
	struct route route;

	UNIT_TRUE(route_make(&route, &always, STR("a,b,c,d,x"), NULL));
	route_resolve(&route, s);
	choice = route_choose(&route, s, &load, is_up, (void *)(uintptr_t) "ab", 0);
	UNIT_INT(choice.word[0], ROUTE_UTF8);
	UNIT_INT(choice.word[2], ROUTE_DOWN);
	UNIT_INT(choice.word[3], ROUTE_UNFIT);
	UNIT_INT(choice.word[4], ROUTE_NO_PROVIDER);
	load = (struct route_load){.size = 1 << 30};
	choice = route_choose(&route, s, &load, is_up, (void *)(uintptr_t) "abcd", 0);
	UNIT_INT(choice.word[0], ROUTE_SIZE);
	UNIT_INT(choice.word[3], ROUTE_FINE);
	UNIT_INT(choice.target, 3);
	UNIT_TEXT(route_word_text(ROUTE_DOWN), "is down");
	route_clear(&route);
	settings_free(&s);
}

static void mail_is_shared_out_by_weight_and_only_what_is_down_moves(void)
{
	struct settings *s = four_providers();
	unsigned n[4] = {0}, moved = 0;
	struct route_load load = {0};
	struct route route;

	UNIT_TRUE(route_make(&route, &always, STR("a:3,b:1,c:4"), NULL));
	route_resolve(&route, s);
	for (uint64_t i = 0; i < 8000; i++) {
		struct route_choice all = route_choose(&route, s, &load, is_up, (void *)(uintptr_t) "abc", i);
		struct route_choice less = route_choose(&route, s, &load, is_up, (void *)(uintptr_t) "ac", i);

		n[all.target]++;
		UNIT_INT(less.first, all.target);
		if (all.target != 1)
			UNIT_INT(less.target, all.target);
		else
			moved += less.target == 0;
	}
	UNIT_INT(n[0], 3000);
	UNIT_INT(n[1], 1000);
	UNIT_INT(n[2], 4000);
	UNIT_TRUE(moved > 300 && moved < 600); /* 3 of 7 */
	route_clear(&route);
	settings_free(&s);
}

static void addresses_beyond_ascii_are_seen(void)
{
	struct str to[] = {STR("a@b.example"), STR("\xc3\xa9@b.example")};
	struct route_message m = {STR("s@example.org"), to, 1, {{0}}, STR("")};

	UNIT_TRUE(!route_is_beyond_ascii(&m));
	m.n_recipients = 2;
	UNIT_TRUE(route_is_beyond_ascii(&m));
	m.n_recipients = 1;
	m.mail_from = to[1];
	UNIT_TRUE(route_is_beyond_ascii(&m));
}

UNIT_TESTS({"targets are read and printed", targets_are_read_and_printed},
	   {"there is an end to the targets", there_is_an_end_to_the_targets},
	   {"conditions are checked", conditions_are_checked},
	   {"conditions match", conditions_match},
	   {"recipients are grouped by the first route that they meet",
	    recipients_are_grouped_by_the_first_route_that_they_meet},
	   {"the first tier with somebody fine is taken", the_first_tier_with_somebody_fine_is_taken},
	   {"each target is told why not", each_target_is_told_why_not},
	   {"mail is shared out by weight and only what is down moves",
	    mail_is_shared_out_by_weight_and_only_what_is_down_moves},
	   {"addresses beyond ASCII are seen", addresses_beyond_ascii_are_seen})
