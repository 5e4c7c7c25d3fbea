/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of headers that servers send. Nothing in them is trusted to be well formed.
 */
#include "lib/net/http_header.h"

#include "lib/base/date.h"

bool http_header_is_media(struct str value, struct str type)
{
	return str_ieq(str_trim(str_first(value, str_find(value, ';'))), type);
}

bool http_header_until(struct str date, int64_t now, int64_t max, int64_t *seconds)
{
	int64_t at;

	if (!date_read_http(date, &at))
		return false;
	*seconds = at <= now ? 1 : at - now > max ? max : at - now;
	return true;
}

bool http_header_retry_after(struct str value, int64_t now, int64_t max, int64_t *seconds)
{
	struct str text = str_trim(value);
	uint64_t number;
	bool is_number = text.n > 0;

	for (size_t i = 0; i < text.n; i++)
		is_number = is_number && text.p[i] >= '0' && text.p[i] <= '9';
	if (!is_number)
		return http_header_until(text, now, max, seconds);
	/* More digits than fit say a long time, too. */
	*seconds = str_u64(text, 0, (uint64_t)max, &number) ? (int64_t)number : max;
	return true;
}

/* ---- Link ---- */

static void skip_blanks(struct str *s)
{
	while (s->n > 0 && (s->p[0] == ' ' || s->p[0] == '\t'))
		*s = str_from(*s, 1);
}

/* A quoted text's inside, with its backslashes; *s goes on behind it. False: it does not end. */
static bool take_quoted(struct str *s, struct str *inside)
{
	size_t n = 1;

	while (n < s->n && s->p[n] != '"')
		n += s->p[n] == '\\' ? 2 : 1;
	if (n >= s->n)
		return false;
	*inside = str_bytes(s->p + 1, n - 1);
	*s = str_from(*s, n + 1);
	return true;
}

/* One parameter, from behind its semicolon on. */
static bool take_parameter(struct str *s, struct str *name, struct str *value)
{
	size_t n = 0;

	skip_blanks(s);
	while (n < s->n && s->p[n] != '=' && s->p[n] != ';' && s->p[n] != ',')
		n++;
	*name = str_trim(str_first(*s, n));
	*value = (struct str){NULL, 0};
	*s = str_from(*s, n);
	if (s->n == 0 || s->p[0] != '=')
		return true;
	*s = str_from(*s, 1);
	skip_blanks(s);
	if (s->n > 0 && s->p[0] == '"')
		return take_quoted(s, value);
	n = 0;
	while (n < s->n && s->p[n] != ';' && s->p[n] != ',')
		n++;
	*value = str_trim(str_first(*s, n));
	*s = str_from(*s, n);
	return true;
}

static bool has_word(struct str words, struct str word)
{
	struct str one;

	while (str_next(&words, ' ', &one))
		if (str_ieq(one, word))
			return true;
	return false;
}

bool http_header_link(struct str *rest, struct str relation, struct str *target, bool *fits)
{
	struct str s = *rest, name, value;
	bool has_relation = false;
	size_t end;

	*rest = (struct str){NULL, 0};
	*fits = false;
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t' || s.p[0] == ','))
		s = str_from(s, 1);
	end = str_find(s, '>');
	if (s.n == 0 || s.p[0] != '<' || end == s.n)
		return false;
	*target = str_bytes(s.p + 1, end - 1);
	s = str_from(s, end + 1);
	for (skip_blanks(&s); s.n > 0 && s.p[0] == ';'; skip_blanks(&s)) {
		s = str_from(s, 1);
		if (!take_parameter(&s, &name, &value))
			return false;
		/* The first rel counts (RFC 8288, 3.3). */
		if (str_ieq(name, STR("rel")) && !has_relation) {
			has_relation = true;
			*fits = has_word(value, relation);
		}
	}
	if (s.n > 0 && s.p[0] == ',')
		*rest = str_from(s, 1);
	return true;
}
