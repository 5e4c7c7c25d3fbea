/* SPDX-License-Identifier: Apache-2.0
 *
 * Edit distance over the names of settings.def, for the reader's "did you mean".
 */
#include "lib/settings/settings_nearest.h"

#include <stdio.h>

enum { NAME_MOST = 64, FAR_MOST = 5 };

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

unsigned settings_nearest_distance(struct str a, struct str b)
{
	unsigned rows[3][NAME_MOST + 1], *before = rows[0], *last = rows[1], *now = rows[2], *spare;

	if (a.n > NAME_MOST || b.n > NAME_MOST)
		return NAME_MOST;
	for (unsigned j = 0; j <= b.n; j++)
		last[j] = j;
	for (unsigned i = 1; i <= a.n; i++) {
		now[0] = i;
		for (unsigned j = 1; j <= b.n; j++) {
			unsigned same = a.p[i - 1] == b.p[j - 1] ? 0 : 1;

			now[j] = least(least(last[j] + 1, now[j - 1] + 1), last[j - 1] + same);
			if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1])
				now[j] = least(now[j], before[j - 2] + 1);
		}
		spare = before;
		before = last;
		last = now;
		now = spare;
	}
	return last[b.n];
}

/* How different two names may be and still be meant for each other. */
static unsigned near_enough(struct str name)
{
	return name.n < 4 ? 1 : name.n < 9 ? 2 : least((unsigned)name.n / 3, FAR_MOST);
}

const char *settings_nearest_section(struct str name)
{
	unsigned best = near_enough(name) + 1;
	const char *found = NULL;

	for (size_t i = 0; i < settings_n_sections; i++) {
		unsigned d = settings_nearest_distance(name, str_of(settings_sections[i].name));

		if (d < best) {
			best = d;
			found = settings_sections[i].name;
		}
	}
	return found;
}

bool settings_nearest_setting(const char *section, struct str name, char *out, size_t size)
{
	unsigned best = near_enough(name) + 1;

	for (size_t i = 0; i < settings_n_rows; i++) {
		const struct settings_row *row = &settings_rows[i];
		unsigned d = settings_nearest_distance(name, str_of(row->name));

		if (strcmp(row->section, section) == 0 && d < best) {
			best = d;
			snprintf(out, size, "%s", row->name);
		}
	}
	if (best <= near_enough(name))
		return true;
	for (size_t i = 0; i < settings_n_rows; i++) {
		if (!str_eq(str_of(settings_rows[i].name), name))
			continue;
		snprintf(out, size, "%s.%s", settings_rows[i].section, settings_rows[i].name);
		return true;
	}
	return false;
}
