/* SPDX-License-Identifier: Apache-2.0
 *
 * Dates to numbers and back.
 */
#include "lib/base/date.h"

#include <time.h>

enum { DAY = 86400 };
static const int64_t last = 253402300799; /* of the year 9999 */

/* Days since 1970 of a date of the Gregorian calendar (the years counted from March on: leap days come last). */
static int64_t days_since_1970(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month > 2 ? year : year - 1, era = y / 400, of_era = y - era * 400;
	int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static uint64_t month_of(struct str name)
{
	static const char names[] = "jan feb mar apr may jun jul aug sep oct nov dec";

	for (unsigned i = 0; i < 12; i++)
		if (str_ieq(name, str_bytes(names + 4 * (size_t)i, 3)))
			return i + 1;
	return 0;
}

/* "08:49:37"; a leap second is the first of the next minute. */
static bool read_clock(struct str text, int64_t *seconds)
{
	struct str part[3];
	uint64_t hour, minute, second;
	unsigned n = 0;

	while (n < 3 && str_next(&text, ':', &part[n]))
		n++;
	if (n < 3 || text.p != NULL || part[0].n != 2 || part[1].n != 2 || part[2].n != 2 || !str_u64(part[0], 0, 23, &hour) ||
	    !str_u64(part[1], 0, 59, &minute) || !str_u64(part[2], 0, 60, &second))
		return false;
	*seconds = (int64_t)(hour * 3600 + minute * 60 + second);
	return true;
}

bool date_read_http(struct str text, int64_t *seconds)
{
	struct str word[6];
	unsigned n = 0;
	uint64_t day, year;
	int64_t clock;

	while (n < 6 && str_next(&text, ' ', &word[n]))
		n++;
	if (n < 5 || text.n > 0 || month_of(word[2]) == 0 || !str_u64(word[1], 1, 31, &day) ||
	    !str_u64(word[3], 1970, 9999, &year) || !read_clock(word[4], &clock))
		return false;
	*seconds = days_since_1970((int64_t)year, (int64_t)month_of(word[2]), (int64_t)day) * DAY + clock;
	return true;
}

/* What stands behind the seconds: a fraction, then "Z" or how far the clock is ahead of UTC. */
static bool read_zone(struct str text, int64_t *ahead)
{
	uint64_t hours, minutes;
	size_t digits = 1;

	if (text.n > 0 && text.p[0] == '.') {
		while (digits < text.n && text.p[digits] >= '0' && text.p[digits] <= '9')
			digits++;
		if (digits == 1)
			return false;
		text = str_from(text, digits);
	}
	*ahead = 0;
	if (str_ieq(text, STR("Z")))
		return true;
	if (text.n != 6 || text.p[3] != ':' || (text.p[0] != '+' && text.p[0] != '-') ||
	    !str_u64(str_bytes(text.p + 1, 2), 0, 23, &hours) || !str_u64(str_bytes(text.p + 4, 2), 0, 59, &minutes))
		return false;
	*ahead = (int64_t)(hours * 3600 + minutes * 60) * (text.p[0] == '-' ? -1 : 1);
	return true;
}

bool date_read_rfc3339(struct str text, int64_t *seconds)
{
	uint64_t year, month, day;
	int64_t clock, ahead;

	if (text.n < 20 || text.p[4] != '-' || text.p[7] != '-' || (text.p[10] != 'T' && text.p[10] != 't') ||
	    !str_u64(str_bytes(text.p, 4), 1970, 9999, &year) || !str_u64(str_bytes(text.p + 5, 2), 1, 12, &month) ||
	    !str_u64(str_bytes(text.p + 8, 2), 1, 31, &day) || !read_clock(str_bytes(text.p + 11, 8), &clock) ||
	    !read_zone(str_from(text, 19), &ahead))
		return false;
	*seconds = days_since_1970((int64_t)year, (int64_t)month, (int64_t)day) * DAY + clock - ahead;
	return true;
}

void date_put_rfc3339(int64_t seconds, char out[DATE_RFC3339])
{
	time_t when = (time_t)(seconds < 0 ? 0 : seconds > last ? last : seconds);
	struct tm tm;

	gmtime_r(&when, &tm);
	strftime(out, DATE_RFC3339, "%Y-%m-%dT%H:%M:%SZ", &tm);
}
