/* SPDX-License-Identifier: Apache-2.0
 *
 * "Did you mean".
 */
#include "lib/settings/settings_nearest.h"

#include "tests/support/unit.h"

static void distances_are_counted_in_letters(void)
{
	static const struct {
		const char *a, *b;
		unsigned distance;
	} cases[] = {{"", "", 0},	      {"a", "", 1},	     {"", "abc", 3},
		     {"workers", "worker", 1}, {"wrokers", "workers", 1}, {"kitten", "sitting", 3},
		     {"abc", "abc", 0},	      {"abc", "xyz", 3}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		UNIT_INT(settings_nearest_distance(str_of(cases[i].a), str_of(cases[i].b)), cases[i].distance);
}

static void near_names_are_found(void)
{
	char near[160] = "";

	UNIT_TEXT(settings_nearest_section(STR("listener")), "listeners");
	UNIT_TEXT(settings_nearest_section(STR("ap")), "api");
	UNIT_TRUE(settings_nearest_section(STR("nothing-like-it")) == NULL);
	UNIT_TRUE(settings_nearest_setting("smtpd", STR("comand_timeout"), near, sizeof(near)));
	UNIT_TEXT(near, "command_timeout");
	UNIT_TRUE(settings_nearest_setting("smtpd", STR("retry_longest"), near, sizeof(near)));
	UNIT_TEXT(near, "queue.retry_longest");
	UNIT_TRUE(!settings_nearest_setting("smtpd", STR("zzzzzzzzzzzz"), near, sizeof(near)));
}

static void a_huge_name_is_far_from_everything(void)
{
	static char huge[100000];

	memset(huge, 'w', sizeof(huge));
	UNIT_TRUE(settings_nearest_section(str_bytes(huge, sizeof(huge))) == NULL);
}

UNIT_TESTS({"distances are counted in letters", distances_are_counted_in_letters},
	   {"near names are found", near_names_are_found},
	   {"a huge name is far from everything", a_huge_name_is_far_from_everything})
