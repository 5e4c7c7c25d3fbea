/* SPDX-License-Identifier: Apache-2.0
 *
 * The settings as bytes between master and its children: a checksum of the table, then each list's
 * keys, then a row's number, its thing's number and its value as text. Values are checked again by the
 * reader, through the same settings_set().
 */
#include "lib/settings/settings_wire.h"

enum { ROW_END = 0xffff };

/* FNV-1a over what both sides must agree on. */
static uint64_t table_sum(void)
{
	uint64_t sum = 14695981039346656037ULL;

	for (size_t i = 0; i < settings_n_rows; i++) {
		const char *texts[] = {settings_rows[i].section, settings_rows[i].name,
				       settings_rows[i].allowed};

		for (size_t j = 0; j < sizeof(texts) / sizeof(texts[0]); j++)
			for (const char *p = texts[j];; p++) {
				sum = (sum ^ (unsigned char)*p) * 1099511628211ULL;
				if (*p == '\0')
					break;
			}
	}
	return sum;
}

static void put_row(const struct settings *settings, size_t row, struct buf *out)
{
	const struct settings_row *r = &settings_rows[row];
	size_t n = r->list == NULL ? 1 : settings_count(settings, r->list);
	struct buf value = BUF_MAX(SETTINGS_WIRE_MAX);

	for (size_t i = 0; i < n; i++) {
		buf_reset(&value);
		settings_get(r->list == NULL ? (const void *)settings : settings_at(settings, r->list, i), r,
			     &value);
		buf_put_u16(out, (uint16_t)row);
		buf_put_u16(out, (uint16_t)i);
		buf_put_blob(out, buf_str(&value));
	}
	buf_clear_secret(&value);
}

bool settings_wire_put(const struct settings *settings, unsigned role, struct buf *out)
{
	buf_put_u64(out, table_sum());
	for (size_t i = 0; i < settings_n_sections; i++) {
		const struct settings_list *list = settings_sections[i].list;

		if (list == NULL)
			continue;
		buf_put_u16(out, (uint16_t)settings_count(settings, list));
		for (size_t j = 0; j < settings_count(settings, list); j++)
			buf_put_blob(out, str_of(settings_at(settings, list, j)));
	}
	for (size_t i = 0; i < settings_n_rows; i++)
		if ((settings_rows[i].roles & (1U << role)) != 0)
			put_row(settings, i, out);
	buf_put_u16(out, ROW_END);
	return !out->is_full;
}

static bool get_lists(struct settings *settings, struct reader *r, struct err *err)
{
	for (size_t i = 0; i < settings_n_sections; i++) {
		const struct settings_list *list = settings_sections[i].list;
		size_t n = list == NULL ? 0 : reader_u16(r);

		for (size_t j = 0; j < n; j++) {
			char key[SETTINGS_KEY];

			reader_text(r, key, sizeof(key));
			if (r->is_bad || settings_find(settings, list, str_of(key)) != NULL ||
			    settings_add(settings, list, str_of(key)) == NULL)
				return err_set(err, "settings from master: %s: bad list", list->section);
		}
	}
	return true;
}

static bool get_row(struct settings *settings, uint16_t row, struct reader *r, struct err *err)
{
	uint16_t i = reader_u16(r);
	struct str value = reader_blob(r);
	const struct settings_row *s = &settings_rows[row];

	if (r->is_bad || (s->list != NULL && i >= settings_count(settings, s->list)))
		return err_set(err, "settings from master: bad value of %s.%s", s->section, s->name);
	if (!settings_set(s->list == NULL ? (void *)settings : settings_at(settings, s->list, i), s, value,
			  err))
		return err_wrap(err, "settings from master: %s.%s: ", s->section, s->name);
	return true;
}

static bool get_all(struct settings *settings, struct reader *r, struct err *err)
{
	uint16_t row;

	if (reader_u64(r) != table_sum())
		return err_set(err, "settings from master: they are from another build");
	if (!get_lists(settings, r, err))
		return false;
	while ((row = reader_u16(r)) != ROW_END) {
		if (r->is_bad || row >= settings_n_rows)
			return err_set(err, "settings from master: cut short or malformed");
		if (!get_row(settings, row, r, err))
			return false;
	}
	return reader_is_done(r) || err_set(err, "settings from master: bytes left over");
}

struct settings *settings_wire_get(struct str bytes, struct err *err)
{
	struct settings *settings = settings_new();
	struct reader r = reader_of(bytes);

	if (!get_all(settings, &r, err))
		settings_free(&settings);
	return settings;
}
