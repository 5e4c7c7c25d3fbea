/* SPDX-License-Identifier: Apache-2.0 */
#include "cert-renewer/cert_state.h"

#include "tests/support/unit.h"

static void what_is_written_is_read_back(void)
{
	struct cert_state in = {.failures = 3,
				.last_error_at = 1790000000,
				.next_try = 1790000120,
				.refused_until = 1790003600,
				.refused_by = "letsencrypt",
				.last_error = "newOrder: \"too many\"\n\xff",
				.is_told = true,
				.is_asked_for = true,
				.revoked = "00ff",
				.profile = "shortlived",
				.window_start = 1,
				.window_end = INT64_MAX},
			  out;
	struct buf json = BUF_MAX(CERT_STATE_MAX);
	struct err err;

	cert_state_put(&in, &json);
	UNIT_TRUE(!json.is_full);
	UNIT_TRUE(cert_state_read(buf_str(&json), &out, &err));
	UNIT_INT(out.failures, 3);
	UNIT_INT(out.next_try, 1790000120);
	UNIT_INT(out.refused_until, 1790003600);
	UNIT_TEXT(out.refused_by, "letsencrypt");
	UNIT_TEXT(out.last_error, "newOrder: \"too many\"\n\xc3\xbf");
	UNIT_TRUE(out.is_told && !out.is_limit_told && out.is_asked_for);
	UNIT_TEXT(out.revoked, "00ff");
	UNIT_TEXT(out.profile, "shortlived");
	UNIT_INT(out.window_end, INT64_MAX);
	buf_clear(&json);
}

static void members_of_another_version_are_passed_over(void)
{
	struct cert_state out;
	struct err err;

	UNIT_TRUE(cert_state_read(STR("{\"failures\":2,\"colour\":[1,{}]}"), &out, &err));
	UNIT_INT(out.failures, 2);
	UNIT_TRUE(cert_state_read(STR("{}\n"), &out, &err));
	UNIT_INT(out.failures, 0);
}

static void a_broken_file_is_as_none(void)
{
	static const char *const broken[] = {
		"",
		"{",
		"[]",
		"null",
		"{\"failures\":2",
		"{\"failures\":\"2\"}",
		"{\"failures\":-1}",
		"{\"failures\":1.5}",
		"{\"failures\":2,\"is_told\":1}",
		"{\"failures\":2,\"last_error\":7}",
		"{\"failures\":2,\"revoked\":\"0000000000000000000000000000000000000000000000000000000000000000x\"}",
		"{\"failures\":2,\"revoked\":\"a\\u0000b\"}",
		"{\"failures\":2,\"x\":[[[[[[]]]]]]}",
		"\xff\xfe{\"failures\":2}",
	};

	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		struct cert_state out = {.failures = 9};
		struct err err = {""};

		if (cert_state_read(str_of(broken[i]), &out, &err))
			printf("\n%s\n", broken[i]);
		UNIT_TRUE(out.failures == 0);
		UNIT_TRUE(err.text[0] != '\0');
	}
}

static void a_huge_file_is_not_read(void)
{
	struct buf json = BUF_MAX(CERT_STATE_MAX + 100);
	struct cert_state out;
	struct err err;

	buf_put_text(&json, "{\"failures\":2,\"x\":\"");
	while (json.n < CERT_STATE_MAX)
		buf_put_char(&json, 'x');
	buf_put_text(&json, "\"}");
	UNIT_TRUE(!cert_state_read(buf_str(&json), &out, &err));
	buf_clear(&json);
}

UNIT_TESTS({"what is written is read back", what_is_written_is_read_back},
	   {"members of another version are passed over", members_of_another_version_are_passed_over},
	   {"a broken file is as none", a_broken_file_is_as_none}, {"a huge file is not read", a_huge_file_is_not_read})
