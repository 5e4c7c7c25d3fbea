/* SPDX-License-Identifier: Apache-2.0
 *
 * Durations in microseconds and sizes in bytes, with their units. Called by settings.c for values and
 * bounds alike.
 */
#include "lib/settings/settings_units.h"

#include <inttypes.h>

struct unit {
	const char *name;
	int64_t factor;
	bool is_decimal; /* read, never written */
};

/* Largest first: settings_units_format() takes the first that divides. */
static const struct unit durations[] = {
	{"d", 86400000000, false}, {"h", 3600000000, false}, {"m", 60000000, false},
	{"s", 1000000, false},	   {"ms", 1000, false},	     {"us", 1, false},
};
static const struct unit sizes[] = {
	{"GiB", 1 << 30, false}, {"MiB", 1 << 20, false}, {"KiB", 1 << 10, false},
	{"GB", 1000000000, true}, {"MB", 1000000, true}, {"KB", 1000, true}, {"B", 1, false},
};
static const struct unit plain[] = {{"", 1, false}};

static const struct unit *units_of(enum settings_type type, size_t *n)
{
	switch (type) {
	case SETTINGS_DURATION:
		*n = sizeof(durations) / sizeof(durations[0]);
		return durations;
	case SETTINGS_SIZE:
		*n = sizeof(sizes) / sizeof(sizes[0]);
		return sizes;
	default:
		*n = 1;
		return plain;
	}
}

bool settings_units_has(enum settings_type type)
{
	return type == SETTINGS_INT || type == SETTINGS_SIZE || type == SETTINGS_DURATION;
}

bool settings_units_parse(enum settings_type type, struct str text, int64_t *value)
{
	size_t digits = 0, n;
	const struct unit *units = units_of(type, &n);
	uint64_t number;

	while (digits < text.n && text.p[digits] >= '0' && text.p[digits] <= '9')
		digits++;
	if (!str_u64(str_first(text, digits), 0, INT64_MAX, &number))
		return false;
	for (size_t i = 0; i < n; i++)
		if (str_eq(str_from(text, digits), str_of(units[i].name)))
			return !__builtin_mul_overflow((int64_t)number, units[i].factor, value);
	return false;
}

void settings_units_format(enum settings_type type, int64_t value, struct buf *out)
{
	size_t n;
	const struct unit *units = units_of(type, &n), *best = &units[n - 1];

	for (size_t i = 0; i < n; i++) {
		if (!units[i].is_decimal && value != 0 && value % units[i].factor == 0) {
			best = &units[i];
			break;
		}
	}
	if (value == 0 && type == SETTINGS_DURATION)
		buf_put_text(out, "0s");
	else
		buf_printf(out, "%" PRId64 "%s", value / best->factor, best->name);
}

const char *settings_units_example(enum settings_type type)
{
	switch (type) {
	case SETTINGS_DURATION:
		return "a duration such as 500ms, 30s, 5m, 1h or 2d";
	case SETTINGS_SIZE:
		return "a size such as 512B, 64KiB, 10MiB or 1GiB";
	default:
		return "a whole number";
	}
}
