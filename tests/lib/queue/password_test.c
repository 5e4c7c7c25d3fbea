/* SPDX-License-Identifier: Apache-2.0
 *
 * Password hashes: made, verified, refused.
 */
#include "lib/queue/password.h"

#include "tests/support/unit.h"

static char longest[PASSWORD_MAX + 2];

static void a_password_is_right_for_its_hash_only(void)
{
	char one[PASSWORD_HASH_MAX], two[PASSWORD_HASH_MAX];

	UNIT_TRUE(password_hash(STR("correct horse"), one, NULL));
	UNIT_TRUE(password_hash(STR("correct horse"), two, NULL));
	UNIT_TRUE(str_starts(str_of(one), STR("$y$")));
	UNIT_TRUE(strcmp(one, two) != 0);
	UNIT_TRUE(password_is_right(STR("correct horse"), one));
	UNIT_TRUE(!password_is_right(STR("correct horsf"), one));
	UNIT_TRUE(!password_is_right(STR("correct hors"), one));
	UNIT_TRUE(!password_is_right(STR(""), one));
}

static void every_byte_counts_to_the_longest_password(void)
{
	char hash[PASSWORD_HASH_MAX];

	memset(longest, 'x', PASSWORD_MAX + 1);
	UNIT_TRUE(password_hash(str_bytes(longest, PASSWORD_MAX), hash, NULL));
	UNIT_TRUE(password_is_right(str_bytes(longest, PASSWORD_MAX), hash));
	longest[PASSWORD_MAX - 1] = 'y';
	UNIT_TRUE(!password_is_right(str_bytes(longest, PASSWORD_MAX), hash));
	UNIT_TRUE(!password_is_right(str_bytes(longest, PASSWORD_MAX + 1), hash));
}

static void what_cannot_be_a_password_is_refused(void)
{
	static const struct {
		struct str password;
		const char *why;
	} cases[] = {
		{{"", 0}, "an empty password is none"},
		{{longest, PASSWORD_MAX + 1}, "the password is longer than 255 octets"},
		{{"a\0b", 3}, "the password has a NUL in it"},
	};
	char hash[PASSWORD_HASH_MAX];
	struct err err;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		UNIT_TRUE(!password_hash(cases[i].password, hash, &err));
		UNIT_TEXT(err.text, cases[i].why);
	}
}

static void a_hash_that_is_none_is_nobodys(void)
{
	static const char *const hashes[] = {"",    "*",       "*0",	"x",
					     "$y$", "$y$j9T$", "plain", "$99$abc$def"};

	for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++) {
		UNIT_TRUE(!password_is_right(str_of(hashes[i]), hashes[i]));
		UNIT_TRUE(!password_is_right(STR(""), hashes[i]));
	}
}

UNIT_TESTS({"a password is right for its hash only", a_password_is_right_for_its_hash_only},
	   {"every byte counts to the longest password", every_byte_counts_to_the_longest_password},
	   {"what cannot be a password is refused", what_cannot_be_a_password_is_refused},
	   {"a hash that is none is nobody's", a_hash_that_is_none_is_nobodys})
