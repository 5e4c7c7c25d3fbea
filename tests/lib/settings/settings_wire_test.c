/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings as bytes: every row reaches the roles that it is for, and nobody else.
 */
#include "lib/settings/settings_wire.h"

#include "lib/settings/settings_problem.h"
#include "lib/settings/settings_units.h"
#include "tests/support/unit.h"

/* A value of the row that is allowed and not its default. */
static void put_other_value(const struct settings_row *row, struct buf *out)
{
	const char *dots = strstr(row->allowed, "..");
	struct str first, rest = str_of(row->allowed);
	uint64_t most;

	switch (row->type) {
	case SETTINGS_BOOL:
		buf_put_text(out, strcmp(row->fallback, "true") == 0 ? "false" : "true");
		break;
	case SETTINGS_INT:
	case SETTINGS_SIZE:
	case SETTINGS_DURATION:
		buf_put_text(out, dots + 2);
		break;
	case SETTINGS_CHOICE:
		while (str_next(&rest, '|', &first))
			if (!str_eq(first, str_of(row->fallback)))
				break;
		buf_put_str(out, first);
		break;
	default:
		buf_put_text(out, row->type == SETTINGS_PATH ? "/" : "");
		buf_printf(out, "hush-%s-%s", row->section, row->name);
		if (row->type == SETTINGS_TEXT && str_u64(str_of(row->allowed), 1, SIZE_MAX, &most) && out->n > most)
			out->n = most;
	}
}

/* Settings in which no value is the default, with two things in each list. */
static struct settings *other_settings(void)
{
	struct settings *s = settings_new();

	for (size_t i = 0; i < settings_n_sections; i++) {
		if (settings_sections[i].list == NULL)
			continue;
		settings_add(s, settings_sections[i].list, STR("first"));
		settings_add(s, settings_sections[i].list, STR("second"));
	}
	for (size_t i = 0; i < settings_n_rows; i++) {
		const struct settings_row *row = &settings_rows[i];
		struct buf value = BUF_MAX(1000);

		put_other_value(row, &value);
		UNIT_TRUE(settings_set(row->list == NULL ? (void *)s : settings_at(s, row->list, 1), row,
				       buf_str(&value), NULL));
		buf_clear(&value);
	}
	return s;
}

static void every_row_reaches_its_roles_and_no_other(void)
{
	struct settings *s = other_settings();

	for (unsigned role = 1; (FOR_ALL >> role) != 0; role++) {
		struct buf wire = BUF_MAX(SETTINGS_WIRE_MAX);
		struct settings *got;
		struct err err = {""};

		UNIT_TRUE(settings_wire_put(s, role, &wire));
		got = settings_wire_get(buf_str(&wire), &err);
		UNIT_TEXT(err.text, "");
		if (got == NULL)
			continue;
		for (size_t i = 0; i < settings_n_rows; i++) {
			const struct settings_row *row = &settings_rows[i];
			bool is_for = (row->roles & (1U << role)) != 0;
			struct buf sent = BUF_MAX(1000), received = BUF_MAX(1000);

			settings_get(row->list == NULL ? (void *)s : settings_at(s, row->list, 1), row, &sent);
			settings_get(row->list == NULL ? (void *)got : settings_at(got, row->list, 1), row,
				     &received);
			UNIT_INT(str_eq(buf_str(&sent), buf_str(&received)), is_for);
			if (row->type == SETTINGS_SECRET)
				UNIT_INT(memmem(wire.p, wire.n, sent.p, sent.n) != NULL, is_for);
			buf_clear(&sent);
			buf_clear(&received);
		}
		UNIT_TEXT(got->provider[1].key, "second");
		UNIT_INT(got->n_listener, 2);
		buf_clear_secret(&wire);
		settings_free(&got);
	}
	settings_free(&s);
}

static void every_secret_has_few_readers(void)
{
	for (size_t i = 0; i < settings_n_rows; i++) {
		const struct settings_row *row = &settings_rows[i];

		if (row->type == SETTINGS_SECRET) {
			UNIT_TRUE((row->roles & (FOR_SMTPD | FOR_API)) == 0);
			/* Redis is gate's and qmgr's. */
			UNIT_TRUE(__builtin_popcount(row->roles) <= (strcmp(row->section, "redis") == 0 ? 2 : 1));
		}
	}
}

static void damaged_bytes_are_refused(void)
{
	struct settings *s = other_settings(), *got;
	struct buf wire = BUF_MAX(SETTINGS_WIRE_MAX);
	struct err err;

	UNIT_TRUE(settings_wire_put(s, 4, &wire));
	for (size_t n = 0; n < wire.n; n++)
		UNIT_TRUE(settings_wire_get(str_bytes(wire.p, n), &err) == NULL);
	buf_put_char(&wire, 'x');
	UNIT_TRUE(settings_wire_get(buf_str(&wire), &err) == NULL);
	UNIT_TEXT(err.text, "settings from master: bytes left over");
	wire.n--;
	for (size_t i = 0; i < wire.n; i++) {
		wire.p[i] ^= 0x55;
		got = settings_wire_get(buf_str(&wire), &err);
		settings_free(&got);
		wire.p[i] ^= 0x55;
	}
	wire.p[0] ^= 1;
	UNIT_TRUE(settings_wire_get(buf_str(&wire), &err) == NULL);
	UNIT_TEXT(err.text, "settings from master: they are from another build");
	buf_clear_secret(&wire);
	settings_free(&s);
}

static void what_does_not_fit_is_told(void)
{
	struct settings *s = other_settings();
	struct buf wire = BUF_MAX(100);

	UNIT_TRUE(!settings_wire_put(s, 4, &wire));
	buf_clear_secret(&wire);
	settings_free(&s);
}

UNIT_TESTS({"every row reaches its roles and no other", every_row_reaches_its_roles_and_no_other},
	   {"every secret has few readers", every_secret_has_few_readers},
	   {"damaged bytes are refused", damaged_bytes_are_refused},
	   {"what does not fit is told", what_does_not_fit_is_told})
