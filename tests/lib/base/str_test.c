/* SPDX-License-Identifier: Apache-2.0
 *
 * lib/base/str.c: cutting, comparing and reading text.
 */
#include "lib/base/str.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/unit.h"

static void numbers_are_read_within_bounds_only(void)
{
	static const struct {
		const char *text;
		uint64_t min, max;
		bool ok;
		uint64_t value;
	} cases[] = {
		{"0", 0, 10, true, 0},
		{"10", 0, 10, true, 10},
		{"11", 0, 10, false, 0},
		{"4", 5, 10, false, 0},
		{"007", 0, 10, true, 7},
		{"", 0, 10, false, 0},
		{"-1", 0, 10, false, 0},
		{"+1", 0, 10, false, 0},
		{" 1", 0, 10, false, 0},
		{"1x", 0, 10, false, 0},
		{"18446744073709551615", 0, UINT64_MAX, true, UINT64_MAX},
		{"18446744073709551616", 0, UINT64_MAX, false, 0},
		{"99999999999999999999999", 0, UINT64_MAX, false, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t v = 0;

		UNIT_INT(str_u64(str_of(cases[i].text), cases[i].min, cases[i].max, &v), cases[i].ok);
		UNIT_TRUE(v == cases[i].value);
	}
}

static void parts_are_cut_off_one_by_one(void)
{
	struct str rest = STR("a,,b"), part;

	UNIT_TRUE(str_next(&rest, ',', &part));
	UNIT_STR(part, "a");
	UNIT_TRUE(str_next(&rest, ',', &part));
	UNIT_STR(part, "");
	UNIT_TRUE(str_next(&rest, ',', &part));
	UNIT_STR(part, "b");
	UNIT_TRUE(!str_next(&rest, ',', &part));

	rest = STR("a,");
	UNIT_TRUE(str_next(&rest, ',', &part));
	UNIT_TRUE(str_next(&rest, ',', &part));
	UNIT_STR(part, "");
	UNIT_TRUE(!str_next(&rest, ',', &part));
}

static void comparison_knows_length_and_case(void)
{
	UNIT_TRUE(str_eq(STR("a\0b"), STR("a\0b")));
	UNIT_TRUE(!str_eq(STR("a\0b"), STR("a\0c")));
	UNIT_TRUE(!str_eq(STR("a"), STR("a\0")));
	UNIT_TRUE(str_ieq(STR("MaIl"), STR("mAiL")));
	UNIT_TRUE(!str_ieq(STR("[\xc4]"), STR("{\xe4}")));
	UNIT_TRUE(str_istarts(STR("from:<a>"), STR("FROM:")));
	UNIT_TRUE(!str_istarts(STR("fro"), STR("FROM:")));
	UNIT_TRUE(str_ends(STR("a.eml"), STR(".eml")));
	UNIT_STR(str_trim(STR(" \t a b\t ")), "a b");
	UNIT_STR(str_trim(STR(" \t ")), "");
	UNIT_STR(str_trim(STR("\r\n a")), "\r\n a");
	UNIT_STR(str_trim_folded(STR("\r\n\ta b \r\n ")), "a b");
	UNIT_STR(str_trim_folded(STR("\r\n ")), "");
	UNIT_STR(str_from(STR("abc"), 7), "");
}

static void utf8_is_checked_in_its_shortest_form(void)
{
	static const struct {
		struct str s;
		bool ok;
	} cases[] = {
		{STR(""), true},
		{STR("plain"), true},
		{STR("\xc3\xa9"), true},
		{STR("\xe2\x82\xac"), true},
		{STR("\xf0\x9f\x93\xa7"), true},
		{STR("\xf4\x8f\xbf\xbf"), true},
		{STR("\xf4\x90\x80\x80"), false}, /* past U+10FFFF */
		{STR("\xc0\xaf"), false},	  /* overlong */
		{STR("\xe0\x80\xaf"), false},
		{STR("\xf0\x80\x80\xaf"), false},
		{STR("\xed\xa0\x80"), false}, /* surrogate */
		{STR("\xc3"), false},
		{STR("\xe2\x82"), false},
		{STR("\x80"), false},
		{STR("\xff"), false},
	};

	/* Wherever it stands: ASCII before and behind it is passed over several octets at a time. */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t before = 0; before <= 17; before++)
			for (size_t behind = 0; behind <= 9; behind += 3) {
				char text[17 + 9 + 8];

				memset(text, 'a', sizeof(text));
				memcpy(text + before, cases[i].s.p, cases[i].s.n);
				UNIT_INT(str_is_utf8(str_bytes(text, before + cases[i].s.n + behind)), cases[i].ok);
				UNIT_INT(str_is_ascii(str_bytes(text, before + cases[i].s.n + behind)), i < 2);
			}
}

static void a_copy_that_does_not_fit_is_empty(void)
{
	char out[4];

	UNIT_TRUE(str_copy(STR("abc"), out, sizeof(out)));
	UNIT_TEXT(out, "abc");
	UNIT_TRUE(!str_copy(STR("abcd"), out, sizeof(out)));
	UNIT_TEXT(out, "");
	UNIT_TRUE(!str_copy(STR("a\0b"), out, sizeof(out)));
	UNIT_TEXT(out, "");
}

UNIT_TESTS({"numbers are read within bounds only", numbers_are_read_within_bounds_only},
	   {"parts are cut off one by one", parts_are_cut_off_one_by_one},
	   {"comparison knows length and case", comparison_knows_length_and_case},
	   {"UTF-8 is checked in its shortest form", utf8_is_checked_in_its_shortest_form},
	   {"a copy that does not fit is empty", a_copy_that_does_not_fit_is_empty})
