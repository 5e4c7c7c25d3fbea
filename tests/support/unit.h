/* SPDX-License-Identifier: Apache-2.0
 *
 * The frame of a unit test program: an array of named tests, run by CUnit, one line of counts at the end.
 *
 *	UNIT_TESTS({"a bare LF is refused", bare_lf_is_refused}, ...)
 */
#ifndef TESTS_SUPPORT_UNIT_H
#define TESTS_SUPPORT_UNIT_H

#include <CUnit/Basic.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/str.h"

struct unit_test {
	const char *name;
	void (*run)(void);
};

/* Compares two texts and prints both when they differ. */
#define UNIT_TEXT(actual, expected) unit_text(__FILE__, __LINE__, str_of(actual), str_of(expected))
#define UNIT_STR(actual, expected) unit_text(__FILE__, __LINE__, (actual), str_of(expected))
#define UNIT_TRUE(cond) unit_true(__FILE__, __LINE__, #cond, (cond))
#define UNIT_INT(actual, expected) unit_int(__FILE__, __LINE__, (long long)(actual), (long long)(expected))

static inline void unit_true(const char *file, int line, const char *what, bool ok)
{
	if (!ok)
		printf("\n%s:%d: not true: %s\n", file, line, what);
	CU_assertImplementation(ok, (unsigned)line, what, file, "", CU_FALSE);
}

static inline void unit_int(const char *file, int line, long long actual, long long expected)
{
	if (actual != expected)
		printf("\n%s:%d: is %lld, should be %lld\n", file, line, actual, expected);
	CU_assertImplementation(actual == expected, (unsigned)line, "equal", file, "", CU_FALSE);
}

static inline void unit_text(const char *file, int line, struct str actual, struct str expected)
{
	bool ok = str_eq(actual, expected);

	if (!ok)
		printf("\n%s:%d: is     \"%.*s\"\n%s:%d: should \"%.*s\"\n", file, line, STR_ARG(actual), file,
		       line, STR_ARG(expected));
	CU_assertImplementation(ok, (unsigned)line, "equal text", file, "", CU_FALSE);
}

static inline int unit_main(const char *suite, const struct unit_test *tests, size_t n)
{
	CU_pSuite s;
	unsigned failed;

	if (CU_initialize_registry() != CUE_SUCCESS || (s = CU_add_suite(suite, NULL, NULL)) == NULL)
		return 1;
	for (size_t i = 0; i < n; i++)
		if (CU_add_test(s, tests[i].name, tests[i].run) == NULL)
			return 1;
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	failed = CU_get_number_of_tests_failed();
	printf("UNIT %s: %u passed, %u failed\n", suite, CU_get_number_of_tests_run() - failed, failed);
	CU_cleanup_registry();
	return failed == 0 ? 0 : 1;
}

#define UNIT_TESTS(...) \
	int main(void) \
	{ \
		const struct unit_test tests[] = {__VA_ARGS__}; \
		return unit_main(__FILE__, tests, sizeof(tests) / sizeof(tests[0])); \
	}

#endif
