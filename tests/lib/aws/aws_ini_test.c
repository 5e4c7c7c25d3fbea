/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of lib/aws/aws_ini.c.
 */
#include "lib/aws/aws_ini.h"

#include "tests/support/unit.h"

static void values_are_found(void)
{
	static const struct {
		const char *text, *section, *value; /* of the name "key"; NULL: none */
	} cases[] = {
		{"[default]\nkey = v\n", "default", "v"},
		{"[default]\nkey=v", "default", "v"},
		{"\xef\xbb\xbf[default]\r\nKEY = v\r\n", "default", "v"},
		{"[ default ]\n# c\n; d\n\n  \nkey\t=\tv\t# c\n", "default", "v"},
		{"[default]\nkey = a#b;c\n", "default", "a#b;c"},
		{"[default]\nkey = a=b==\n", "default", "a=b=="},
		{"[default]\nkey = a ; b\n", "default", "a"},
		{"[a]\nkey = 1\n[b]\nkey = 2\n[a]\nother = 3\n", "a", "1"},
		{"[a]\nkey = 1\n[b]\nkey = 2\n", "b", "2"},
		{"[a]\nkey = 1\nkey = 2\n", "a", "2"},
		{"[a]\nkey = 1\nkey =\n", "a", NULL},
		{"[a]\ns3 =\n  key = 1\n", "a", NULL},
		{"key = 1\n", "a", NULL},
		{"[aa]\nkey = 1\n", "a", NULL},
		{"[a]\nkeys = 1\n", "a", NULL},
		{"[a]\nkey\n", "a", NULL},
		{"[profile a]\nkey = 1\n", "profile a", "1"},
		{"[profile\t  a]\nkey = 1\n", "profile a", NULL},
		{"[profile   a b]\nkey = 1\n", "profile a b", "1"},
		{"[profile a]\nkey = 1\n", "a", NULL},
		{"[a]\nkey = 1\n", "profile a", NULL},
		{"[a\nkey = 1\n", "a", "1"},
		{"", "a", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct str value = STR("");
		bool found = aws_ini_find(str_of(cases[i].text), str_of(cases[i].section), "key", &value);

		UNIT_INT(found, cases[i].value != NULL);
		if (found)
			UNIT_STR(value, cases[i].value);
	}
}

UNIT_TESTS({"values are found", values_are_found})
