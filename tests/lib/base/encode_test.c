/* SPDX-License-Identifier: Apache-2.0
 *
 * lib/base/encode.c and uuid.c, against the vectors of RFC 4648 (section 10) and RFC 9562 (appendix A.6).
 */
#include "lib/base/encode.h"

#include "lib/base/uuid.h"
#include "tests/support/unit.h"

static void base64_gives_the_vectors_of_rfc_4648(void)
{
	static const char *const cases[][2] = {
		{"", ""},	      {"f", "Zg=="},	    {"fo", "Zm8="},	    {"foo", "Zm9v"},
		{"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf b = BUF_MAX(100), back = BUF_MAX(100);

		UNIT_TRUE(encode_base64(&b, str_of(cases[i][0])));
		UNIT_STR(buf_str(&b), cases[i][1]);
		UNIT_TRUE(encode_from_base64(&back, buf_str(&b)));
		UNIT_STR(buf_str(&back), cases[i][0]);
		buf_clear(&b);
		buf_clear(&back);
	}
}

static void base64_comes_back_whatever_the_octets_are(void)
{
	unsigned char octets[64 * 3];
	struct buf b = BUF_MAX(1000), back = BUF_MAX(1000);

	/* Each digit at each place of a group. */
	for (unsigned i = 0; i < 64; i++) {
		uint32_t group = i << 18 | ((i + 16) % 64) << 12 | ((i + 32) % 64) << 6 | (i + 48) % 64;

		for (unsigned k = 0; k < 3; k++)
			octets[3 * i + k] = (unsigned char)(group >> (16 - 8 * k));
	}
	for (size_t n = sizeof(octets) - 3; n <= sizeof(octets); n++) {
		struct str s = str_bytes((const char *)octets, n);

		buf_reset(&b);
		buf_reset(&back);
		UNIT_TRUE(encode_base64(&b, s) && encode_from_base64(&back, buf_str(&b)));
		UNIT_TRUE(str_eq(buf_str(&back), s));
	}
	/* And nothing else is one. */
	for (unsigned c = 1; c < 256; c++) {
		char text[5] = {'A', (char)c, 'A', 'A', '\0'};
		bool is_digit = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '+' ||
				c == '/';

		buf_reset(&back);
		UNIT_INT(encode_from_base64(&back, str_of(text)), is_digit);
	}
	buf_clear(&b);
	buf_clear(&back);
}

static void base64_that_is_not_strict_is_refused(void)
{
	static const char *const cases[] = {"Zg=", "Zg", "Z===", "====", "Zh==", "Zm9=", "Zm 9v", "Zg==Zg==",
					    "Zm9v\n", "Zm9-", "=Zg="};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf b = BUF_MAX(100);

		UNIT_TRUE(!encode_from_base64(&b, str_of(cases[i])));
		buf_clear(&b);
	}
}

static void base64_stops_at_the_maximum(void)
{
	struct buf b = BUF_MAX(3);

	UNIT_TRUE(!encode_base64(&b, STR("f")));
	buf_reset(&b);
	UNIT_TRUE(!encode_from_base64(&b, STR("Zm9vYg==")));
	buf_clear(&b);
}

static void base64url_has_no_padding(void)
{
	/* RFC 4648, section 10, and RFC 7515, appendix C. */
	static const struct {
		struct str octets;
		const char *text;
	} cases[] = {
		{STR(""), ""},	     {STR("f"), "Zg"},	     {STR("fo"), "Zm8"},	 {STR("foo"), "Zm9v"},
		{STR("foob"), "Zm9vYg"}, {STR("foobar"), "Zm9vYmFy"}, {STR("\x03\xec\xff\xe0\xc1"), "A-z_4ME"},
	};
	static const char *const bad[] = {"Z", "Zg==", "Zh", "Zm9", "A+z_4ME", "A-z/4ME", "Zm9vY", "Zm 9", "Zg\n", "="};
	struct buf small = BUF_MAX(3);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf b = BUF_MAX(100), back = BUF_MAX(100);

		UNIT_TRUE(encode_base64url(&b, cases[i].octets));
		UNIT_STR(buf_str(&b), cases[i].text);
		UNIT_TRUE(encode_from_base64url(&back, buf_str(&b)));
		UNIT_TRUE(str_eq(buf_str(&back), cases[i].octets));
		buf_clear(&b);
		buf_clear(&back);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct buf b = BUF_MAX(100);

		UNIT_TRUE(!encode_from_base64url(&b, str_of(bad[i])));
		buf_clear(&b);
	}
	UNIT_TRUE(!encode_base64url(&small, STR("foo")));
	buf_reset(&small);
	UNIT_TRUE(encode_base64url(&small, STR("fo")));
	buf_clear(&small);
}

static void hex_is_lower_case(void)
{
	struct buf b = BUF_MAX(100);

	UNIT_TRUE(encode_hex(&b, STR("\x00\xff\x0a")));
	UNIT_STR(buf_str(&b), "00ff0a");
	buf_clear(&b);
}

static void hex_digits_have_values_in_either_case(void)
{
	static const char upper[] = "0123456789ABCDEF", lower[] = "0123456789abcdef";

	for (int i = 0; i < 16; i++) {
		UNIT_INT(encode_hex_digit(upper[i]), i);
		UNIT_INT(encode_hex_digit(lower[i]), i);
	}
	for (const char *other = "/:@G`g \xff"; *other != '\0'; other++)
		UNIT_INT(encode_hex_digit(*other), -1);
	UNIT_INT(encode_hex_digit('\0'), -1);
}

static void a_version_7_uuid_tells_its_time(void)
{
	struct uuid u;
	char text[UUID_TEXT];

	/* RFC 9562, appendix A.6: 2022-02-22 19:22:22 GMT-05:00 */
	UNIT_TRUE(uuid_parse(STR("017F22E2-79B0-7CC3-98C4-DC0C0C07398F"), &u));
	UNIT_TRUE(uuid_is_v7(&u));
	UNIT_INT(uuid_time_ms(&u), 1645557742000LL);
	UNIT_TEXT(uuid_format(&u, text), "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
}

static void new_uuids_are_version_7_and_differ(void)
{
	struct uuid a = uuid_new(1645557742000000LL), b = uuid_new(1645557742000999LL);

	UNIT_TRUE(uuid_is_v7(&a));
	UNIT_INT(uuid_time_ms(&a), 1645557742000LL);
	UNIT_INT(uuid_time_ms(&b), 1645557742000LL);
	UNIT_TRUE(!uuid_eq(&a, &b));
	UNIT_TRUE(!uuid_is_zero(&a));
}

static void what_is_not_a_uuid_is_refused(void)
{
	static const char *const cases[] = {
		"", "017f22e2-79b0-7cc3-98c4-dc0c0c07398", "017f22e2-79b0-7cc3-98c4-dc0c0c07398ff",
		"017f22e2079b0-7cc3-98c4-dc0c0c07398f", "g17f22e2-79b0-7cc3-98c4-dc0c0c07398f",
		"017f22e2-79b0-7cc3-98c4-dc0c0c07398-"};
	struct uuid u;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		UNIT_TRUE(!uuid_parse(str_of(cases[i]), &u));
}

static void percent_encoding(void)
{
	static const struct {
		struct str bytes;
		const char *kept, *encoded;
	} cases[] = {
		{STR("aZ09"), "", "aZ09"},
		{STR("-._~/ "), "", "%2D%2E%5F%7E%2F%20"},
		{STR("-._~/ "), "-._~", "-._~%2F%20"},
		{STR("a/b"), "/", "a/b"},
		{STR("\0\xff%"), "-", "%00%FF%25"},
		{STR(""), "", ""},
	};
	struct buf small = BUF_MAX(2);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = BUF_MAX(100);

		UNIT_TRUE(encode_percent(&out, cases[i].bytes, cases[i].kept));
		UNIT_STR(buf_str(&out), cases[i].encoded);
		buf_clear(&out);
	}
	UNIT_TRUE(!encode_percent(&small, STR(" "), ""));
	buf_clear(&small);
}

UNIT_TESTS({"base64 gives the vectors of RFC 4648", base64_gives_the_vectors_of_rfc_4648},
	   {"base64 comes back whatever the octets are", base64_comes_back_whatever_the_octets_are},
	   {"base64 that is not strict is refused", base64_that_is_not_strict_is_refused},
	   {"base64 stops at the maximum", base64_stops_at_the_maximum},
	   {"base64url has no padding", base64url_has_no_padding},
	   {"hex is lower case", hex_is_lower_case},
	   {"hex digits have values in either case", hex_digits_have_values_in_either_case},
	   {"percent-encoding keeps what it is told", percent_encoding},
	   {"a version 7 UUID tells its time", a_version_7_uuid_tells_its_time},
	   {"new UUIDs are version 7 and differ", new_uuids_are_version_7_and_differ},
	   {"what is not a UUID is refused", what_is_not_a_uuid_is_refused})
