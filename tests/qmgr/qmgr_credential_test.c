/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of qmgr/qmgr_credential.c.
 */
#include "qmgr/qmgr_credential.h"

#include "tests/support/unit.h"

static void the_providers_own_line_is_found(void)
{
	static const struct {
		const char *lines, *provider, *sealed;
	} cases[] = {
		{NULL, "a", ""},
		{"", "a", ""},
		{"a 4142", "a", "AB"},
		{"a 4142", "b", ""},
		{"a 4142\nb 4344", "b", "CD"},
		{"ab 4142\na 4344", "a", "CD"},
		{"a b 4142\na 4344", "a", "CD"},
		{"a b 4142", "a b", "AB"},
		{"a", "a", ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = BUF_MAX(100);

		qmgr_credential_find(cases[i].lines, cases[i].provider, &out);
		UNIT_STR(buf_str(&out), cases[i].sealed);
		buf_clear(&out);
	}
}

UNIT_TESTS({"the provider's own line is found", the_providers_own_line_is_found})
