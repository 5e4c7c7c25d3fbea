/* SPDX-License-Identifier: Apache-2.0
 *
 * One pass over the fields. Pure.
 */
#include "smtpd/smtpd_header.h"

#include <string.h>

#include "lib/smtp/smtp_header.h"
#include "lib/smtp/smtp_mailbox.h"

/* What a field is to us. */
static const struct kind {
	struct str name;
	bool is_removed, is_from, is_message_id, is_date, is_hop;
} kinds[] = {
	{.name = {"Bcc", 3}, .is_removed = true},
	{.name = {"Resent-Bcc", 10}, .is_removed = true},
	/* Whoever delivers writes it (RFC 5321, 4.4); from a client it is a lie or a leftover. */
	{.name = {"Return-Path", 11}, .is_removed = true},
	{.name = {"From", 4}, .is_from = true},
	{.name = {"Sender", 6}, .is_from = true},
	{.name = {"Resent-From", 11}, .is_from = true},
	{.name = {"Resent-Sender", 13}, .is_from = true},
	{.name = {"Message-ID", 10}, .is_message_id = true},
	{.name = {"Date", 4}, .is_date = true},
	{.name = {"Received", 8}, .is_hop = true},
};

static const struct kind *kind_of(const struct smtp_header_field *field)
{
	static const struct kind other = {.name = {"", 0}};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (smtp_header_is(field, kinds[i].name, false))
			return &kinds[i];
	return &other;
}

static bool is_key(const struct smtpd_header *seen, const struct smtp_header_field *field)
{
	return seen->key_field.n > 0 && smtp_header_is(field, seen->key_field, false);
}

static void take_key(struct smtpd_header *seen, struct str body)
{
	struct str key;

	if (body.n > 0 && body.p[body.n - 1] == '\n')
		body.n--;
	if (body.n > 0 && body.p[body.n - 1] == '\r')
		body.n--;
	key = str_trim(body);
	if (key.n == 0 || seen->key->n > 0)
		seen->is_key_bad = true;
	for (size_t i = 0; i < key.n; i++)
		seen->is_key_bad |= key.p[i] < ' ' || key.p[i] > '~';
	buf_put_str(seen->key, key);
	seen->is_key_bad |= seen->key->is_full;
}

static size_t keep(char *to, struct str s)
{
	if (to != s.p)
		memmove(to, s.p, s.n);
	return s.n;
}

/* A name that is folded before its colon loses the folding: to others it would be the end of the header. */
static size_t keep_field(char *to, const struct smtp_header_field *field)
{
	size_t n;

	if (str_find(field->label, '\n') == field->label.n || field->name.n == 0)
		return keep(to, field->whole);
	n = keep(to, field->name);
	return n + keep(to + n, str_from(field->whole, field->label.n));
}

size_t smtpd_header_clean(char *header, size_t n, struct smtpd_header *seen)
{
	struct str rest = str_bytes(header, n);
	struct smtp_header_field field;
	size_t left = 0;

	while (smtp_header_next(&rest, &field)) {
		const struct kind *kind = kind_of(&field);

		seen->has_message_id |= kind->is_message_id;
		seen->has_date |= kind->is_date;
		seen->hops += kind->is_hop;
		if (kind->is_from && !smtp_mailbox_list(field.body, seen->from))
			seen->is_from_odd = true;
		if (is_key(seen, &field)) {
			take_key(seen, field.body);
			continue;
		}
		if (kind->is_removed)
			continue;
		left += keep_field(header + left, &field);
	}
	return left;
}
