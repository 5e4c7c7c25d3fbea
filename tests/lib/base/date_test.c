/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/base/date.h"

#include "tests/support/unit.h"

static void dates_of_http_are_read(void)
{
	static const struct {
		const char *text;
		int64_t seconds; /* -1: none */
	} cases[] = {
		{"Sun, 06 Nov 1994 08:49:37 GMT", 784111777}, /* RFC 9110, 5.6.7 */
		{"sun, 6 nov 1994 08:49:37 +0000", 784111777},
		{"Thu, 01 Jan 1970 00:00:00 GMT", 0},
		{"Thu, 29 Feb 2024 23:59:60 GMT", 1709251200},
		{"", -1},
		{"Sun, 06 Nov 1994 08:49 GMT", -1},
		{"Sun, 06 Nov 1994 08:49:37:00 GMT", -1},
		{"Sun, 06 Foo 1994 08:49:37 GMT", -1},
		{"Sun, 32 Nov 1994 08:49:37 GMT", -1},
		{"Sun, 06 Nov 1994 24:49:37 GMT", -1},
		{"Sun, 06 Nov 19944 08:49:37 GMT", -1},
		{"Sunday, 06-Nov-94 08:49:37 GMT", -1},
		{"Sun, 06 Nov 1994 08:49:37 GMT x", -1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t seconds = -1;

		UNIT_INT(date_read_http(str_of(cases[i].text), &seconds), cases[i].seconds >= 0);
		UNIT_INT(seconds, cases[i].seconds);
	}
}

static void dates_of_the_internet_are_read(void)
{
	static const struct {
		const char *text;
		int64_t seconds; /* -1: none */
	} cases[] = {
		{"1985-04-12T23:20:50.52Z", 482196050}, /* RFC 3339, 5.8 */
		{"1996-12-19T16:39:57-08:00", 851042397},
		{"1990-12-31T23:59:60Z", 662688000},
		{"1990-12-31T15:59:60-08:00", 662688000},
		{"1937-01-01T12:00:27.87+00:20", -1},
		{"2025-01-02t04:00:00z", 1735790400},
		{"2025-01-02T04:00:00+00:00", 1735790400},
		{"2025-01-02T04:00:00", -1},
		{"2025-01-02T04:00:00.Z", -1},
		{"2025-01-02T04:00:00.5", -1},
		{"2025-01-02T04:00:00+0000", -1},
		{"2025-01-02T04:00:00+24:00", -1},
		{"2025-13-02T04:00:00Z", -1},
		{"2025-01-02 04:00:00Z", -1},
		{"2025-01-02T4:00:000Z", -1},
		{"2025-01-02T04:00:00ZZ", -1},
		{"", -1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t seconds = -1;

		UNIT_INT(date_read_rfc3339(str_of(cases[i].text), &seconds), cases[i].seconds >= 0);
		UNIT_INT(seconds, cases[i].seconds);
	}
}

static void dates_are_written(void)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} cases[] = {
		{0, "1970-01-01T00:00:00Z"},
		{482196050, "1985-04-12T23:20:50Z"},
		{-5, "1970-01-01T00:00:00Z"},
		{INT64_MAX, "9999-12-31T23:59:59Z"},
	};
	char text[DATE_RFC3339];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		date_put_rfc3339(cases[i].seconds, text);
		UNIT_TEXT(text, cases[i].text);
	}
}

UNIT_TESTS({"dates of HTTP are read", dates_of_http_are_read},
	   {"dates of the Internet are read", dates_of_the_internet_are_read}, {"dates are written", dates_are_written})
