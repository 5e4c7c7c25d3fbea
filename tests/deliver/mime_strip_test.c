/* SPDX-License-Identifier: Apache-2.0
 *
 * Fields that are taken out of a message: also in spellings that only a lenient reader takes for them.
 */
#include "deliver/mime_strip.h"

#include "tests/support/unit.h"

static const char *const names[] = {"bcc", "x-ses-*", "subject!", NULL};

static void named_fields_go_and_all_else_stays(void)
{
	static const struct {
		struct str content;
		const char *header, *names;
	} cases[] = {
		{STR("A: 1\r\nBcc: x\r\n y\r\nB: 2\r\n\r\nBcc: z\r\n"), "A: 1\r\nB: 2\r\n", "Bcc"},
		{STR("Bcc-x: 1\r\nA : 2\r\nX-SES: 3\r\n\r\n"), "Bcc-x: 1\r\nA : 2\r\nX-SES: 3\r\n", ""},
		{STR("x-ses-TAG: 1\r\nX-Ses-: 2\r\nA: 3\r\n"), "A: 3\r\n", "x-ses-TAG, X-Ses-"},
		{STR("Subject: 1\r\nSUBJECT : 2\r\nSubject\r\n : 3\r\n\r\n"), "Subject: 1\r\n", "SUBJECT, Subject"},
		/* the name's end */
		{STR("Bcc : x\r\nBcc\t :x\r\nA: 1\r\n\r\n"), "A: 1\r\n", "Bcc, Bcc"},
		{STR("A: 1\r\nBcc\r\n : x\r\nX-SES-CONFIGURATION-SET\r\n\t\r\n : y\r\nB: 2\r\n\r\n"), "A: 1\r\nB: 2\r\n",
		 "Bcc, X-SES-CONFIGURATION-SET"},
		/* octets that no name has */
		{STR("Bcc\0: x\r\nB\x80""cc: y\r\nA: 1\r\n\r\n"), "A: 1\r\n", "Bcc, Bcc"},
		{STR(" Bcc: x\r\nA: 1\r\n\r\n"), "A: 1\r\n", "Bcc"},
		{STR("X-SES-\xff: x\r\nA: 1\r\n\r\n"), "A: 1\r\n", "X-SES-"},
		/* what is no field hides nothing */
		{STR("A: 1\r\nno field\r\n folded\r\nBcc: x\r\nB: 2\r\n\r\n"), "A: 1\r\nno field\r\n folded\r\nB: 2\r\n", "Bcc"},
		{STR("Bcc\r\nBcc: x\r\n\r\n"), "Bcc\r\n", "Bcc"},
		{STR("A: 1\nBcc\n : x\nB: 2\n\nx"), "A: 1\nB: 2\n", "Bcc"},
		{STR("\r\nBcc: x\r\n"), "", ""},
		{STR(""), "", ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mime_strip strip;

		mime_strip(&strip, cases[i].content, names);
		UNIT_STR(strip.header, cases[i].header);
		UNIT_STR(buf_str(&strip.names), cases[i].names);
		UNIT_TRUE(strip.body.n == 0 || str_starts(strip.body, STR("\r\n")) || str_starts(strip.body, STR("\n")));
		mime_strip_clear(&strip);
	}
}

UNIT_TESTS({"named fields go and all else stays", named_fields_go_and_all_else_stays})
