/* SPDX-License-Identifier: Apache-2.0
 *
 * Compares settings row by row, for master's reload.
 */
#include "lib/settings/settings_change.h"

#include <stdio.h>

#include "lib/base/trouble.h"

enum { VALUE_MOST = 65536, NAME_MOST = 256 };

static bool differs(const void *a, const void *b, const struct settings_row *row)
{
	struct buf x = BUF_MAX(VALUE_MOST), y = BUF_MAX(VALUE_MOST);
	bool differ;

	settings_get(a, row, &x);
	settings_get(b, row, &y);
	differ = !str_eq(buf_str(&x), buf_str(&y));
	buf_clear_secret(&x);
	buf_clear_secret(&y);
	return differ;
}

static void compare_things(const void *a, const void *b, const struct settings_list *list,
			   settings_change_fn *fn, void *ctx)
{
	char name[NAME_MOST];

	for (size_t i = 0; i < settings_n_rows; i++) {
		const struct settings_row *row = &settings_rows[i];

		if (row->list != list || !differs(a, b, row))
			continue;
		if (list == NULL)
			snprintf(name, sizeof(name), "%s.%s", row->section, row->name);
		else
			snprintf(name, sizeof(name), "%s.%s.%s", row->section, (const char *)a, row->name);
		fn(ctx, name, row->when);
	}
}

/* The things of `a`: those that `b` lacks, and with `both` also those that differ. */
static void compare_list(const struct settings *a, const struct settings *b,
			 const struct settings_list *list, bool both, settings_change_fn *fn, void *ctx)
{
	char name[NAME_MOST];

	for (size_t i = 0; i < settings_count(a, list); i++) {
		const char *thing = settings_at(a, list, i);
		const void *other = settings_find(b, list, str_of(thing));

		if (other == NULL) {
			snprintf(name, sizeof(name), "%s.%s", list->section, thing);
			fn(ctx, name, list->when);
		} else if (both) {
			compare_things(thing, other, list, fn, ctx);
		}
	}
}

void settings_change_each(const struct settings *old, const struct settings *new,
			  settings_change_fn *fn, void *ctx)
{
	compare_things(old, new, NULL, fn, ctx);
	for (size_t i = 0; i < settings_n_sections; i++) {
		const struct settings_list *list = settings_sections[i].list;

		if (list == NULL)
			continue;
		compare_list(old, new, list, true, fn, ctx);
		compare_list(new, old, list, false, fn, ctx);
	}
}

/* Copies the rows of that kind from one thing to another. */
static void copy_rows(const void *from, void *to, const struct settings_list *list, enum settings_when when)
{
	struct buf value = BUF_MAX(VALUE_MOST);

	for (size_t i = 0; i < settings_n_rows; i++) {
		const struct settings_row *row = &settings_rows[i];

		if (row->list != list || row->when != when)
			continue;
		buf_reset(&value);
		settings_get(from, row, &value);
		must(settings_set(to, row, buf_str(&value), NULL));
	}
	buf_clear_secret(&value);
}

/* Puts the things of one list in place of another's. */
static void copy_list(const struct settings *from, struct settings *to, const struct settings_list *list)
{
	settings_empty(to, list);
	for (size_t i = 0; i < settings_count(from, list); i++) {
		const char *thing = settings_at(from, list, i);
		void *copy = settings_add(to, list, str_of(thing));

		must(copy != NULL);
		copy_rows(thing, copy, list, SETTINGS_RESTART);
		copy_rows(thing, copy, list, SETTINGS_RELOAD);
	}
}

/* The things of the old list in their order, with what `new` says of them that may change. */
static void keep_members(const struct settings *old, struct settings *new, const struct settings_list *list)
{
	struct settings *kept = settings_new();

	copy_list(old, kept, list);
	for (size_t i = 0; i < settings_count(kept, list); i++) {
		void *thing = settings_at(kept, list, i);
		const void *fresh = settings_find(new, list, str_of(thing));

		if (fresh != NULL)
			copy_rows(fresh, thing, list, SETTINGS_RELOAD);
	}
	copy_list(kept, new, list);
	settings_free(&kept);
}

static void keep_list(const struct settings *old, struct settings *new, const struct settings_list *list)
{
	if (list->when == SETTINGS_RESTART)
		keep_members(old, new, list);
	for (size_t i = 0; i < settings_count(new, list); i++) {
		void *thing = settings_at(new, list, i);
		const void *was = settings_find(old, list, str_of(thing));

		if (was != NULL)
			copy_rows(was, thing, list, SETTINGS_RESTART);
	}
}

void settings_change_keep(const struct settings *old, struct settings *new)
{
	copy_rows(old, new, NULL, SETTINGS_RESTART);
	for (size_t i = 0; i < settings_n_sections; i++)
		if (settings_sections[i].list != NULL)
			keep_list(old, new, settings_sections[i].list);
}
