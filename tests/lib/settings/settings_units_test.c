/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers with units.
 */
#include "lib/settings/settings_units.h"

#include "tests/support/unit.h"

static void units_multiply(void)
{
	static const struct {
		enum settings_type type;
		const char *text;
		int64_t value;
	} cases[] = {
		{SETTINGS_DURATION, "7us", 7},
		{SETTINGS_DURATION, "7ms", 7000},
		{SETTINGS_DURATION, "7s", 7000000},
		{SETTINGS_DURATION, "7m", 420000000},
		{SETTINGS_DURATION, "7h", 25200000000},
		{SETTINGS_DURATION, "7d", 604800000000},
		{SETTINGS_SIZE, "7B", 7},
		{SETTINGS_SIZE, "7KiB", 7168},
		{SETTINGS_SIZE, "7MiB", 7340032},
		{SETTINGS_SIZE, "7GiB", 7516192768},
		{SETTINGS_SIZE, "7KB", 7000},
		{SETTINGS_SIZE, "7MB", 7000000},
		{SETTINGS_SIZE, "7GB", 7000000000},
		{SETTINGS_INT, "9223372036854775807", INT64_MAX},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t value = -1;

		UNIT_TRUE(settings_units_parse(cases[i].type, str_of(cases[i].text), &value));
		UNIT_INT(value, cases[i].value);
	}
}

static void what_is_no_number_is_refused(void)
{
	static const struct {
		enum settings_type type;
		const char *text;
	} cases[] = {
		{SETTINGS_DURATION, ""},      {SETTINGS_DURATION, "s"},	   {SETTINGS_DURATION, "5"},
		{SETTINGS_DURATION, "5 s"},   {SETTINGS_DURATION, "5S"},   {SETTINGS_DURATION, "-5s"},
		{SETTINGS_DURATION, "1.5s"},  {SETTINGS_DURATION, "5s5"},  {SETTINGS_SIZE, "5mib"},
		{SETTINGS_SIZE, "0x10B"},     {SETTINGS_INT, "5s"},	   {SETTINGS_INT, "9223372036854775808"},
		{SETTINGS_DURATION, "9223372036854775807d"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t value;

		UNIT_TRUE(!settings_units_parse(cases[i].type, str_of(cases[i].text), &value));
	}
}

static void numbers_are_written_with_the_largest_unit_that_fits(void)
{
	static const struct {
		enum settings_type type;
		int64_t value;
		const char *text;
	} cases[] = {
		{SETTINGS_DURATION, 0, "0s"},		 {SETTINGS_DURATION, 1, "1us"},
		{SETTINGS_DURATION, 1500000, "1500ms"},	 {SETTINGS_DURATION, 86400000000, "1d"},
		{SETTINGS_SIZE, 0, "0B"},		 {SETTINGS_SIZE, 1 << 20, "1MiB"},
		{SETTINGS_SIZE, 1025, "1025B"},		 {SETTINGS_INT, 42, "42"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = BUF_MAX(64);
		int64_t again = -1;

		settings_units_format(cases[i].type, cases[i].value, &out);
		UNIT_STR(buf_str(&out), cases[i].text);
		UNIT_TRUE(settings_units_parse(cases[i].type, buf_str(&out), &again));
		UNIT_INT(again, cases[i].value);
		buf_clear(&out);
	}
}

UNIT_TESTS({"units multiply", units_multiply}, {"what is no number is refused", what_is_no_number_is_refused},
	   {"numbers are written with the largest unit that fits",
	    numbers_are_written_with_the_largest_unit_that_fits})
