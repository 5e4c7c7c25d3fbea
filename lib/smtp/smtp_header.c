/* SPDX-License-Identifier: Apache-2.0
 *
 * Fields and parameters as they are found in the wild. Pure.
 */
#include "lib/smtp/smtp_header.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_name_octet(char c)
{
	return c > ' ' && c <= '~' && c != ':';
}

/* How many octets of a name stand at the front. */
static size_t name_length(struct str s)
{
	size_t n = 0;

	while (n < s.n && is_name_octet(s.p[n]))
		n++;
	return n;
}

static bool is_all_blank(struct str s)
{
	while (s.n > 0 && is_blank(s.p[0]))
		s = str_from(s, 1);
	return s.n == 0;
}

struct str smtp_header_name(struct str text)
{
	size_t colon = str_find(text, ':'), n = name_length(text);

	if (colon == text.n || !is_all_blank(str_first(str_from(text, n), colon - n)))
		return str_first(text, 0);
	return str_first(text, n);
}

bool smtp_header_is_begun(struct str line)
{
	size_t n = name_length(line);

	return n > 0 && is_all_blank(str_from(line, n));
}

static bool is_empty_line(struct str s)
{
	return str_starts(s, STR("\n")) || str_starts(s, STR("\r\n"));
}

bool smtp_header_next(struct str *header, struct smtp_header_field *field)
{
	size_t n = 0, colon;

	if (header->n == 0 || is_empty_line(*header))
		return false;
	do
		n += str_find(str_from(*header, n), '\n') + 1;
	while (n < header->n && (header->p[n] == ' ' || header->p[n] == '\t'));
	field->whole = str_first(*header, n);
	colon = str_find(field->whole, ':');
	field->label = str_first(field->whole, colon < field->whole.n ? colon : 0);
	field->name = smtp_header_name(field->whole);
	field->body = str_from(field->whole, colon + 1);
	*header = str_from(*header, n);
	return true;
}

bool smtp_header_is(const struct smtp_header_field *field, struct str name, bool is_prefix)
{
	struct str label = field->label;
	size_t n = 0;

	for (; label.n > 0; label = str_from(label, 1)) {
		if (!is_name_octet(label.p[0]))
			continue;
		if (n == name.n)
			return is_prefix;
		if (!str_ieq(str_first(label, 1), str_first(str_from(name, n), 1)))
			return false;
		n++;
	}
	return n == name.n && name.n > 0;
}

/* ---- parameters ---- */

bool smtp_header_skip_comments(struct str *s)
{
	unsigned depth = 0;

	for (; s->n > 0; *s = str_from(*s, 1)) {
		char c = s->p[0];

		if (c == '(')
			depth++;
		else if (depth > 0 && c == ')')
			depth--;
		else if (depth > 0 && c == '\\')
			*s = str_from(*s, 1);
		else if (depth == 0 && !is_blank(c))
			break;
	}
	return depth == 0;
}

static void add(struct smtp_header_value *value, char c)
{
	if (value->n < sizeof(value->p))
		value->p[value->n++] = c;
}

/* A quoted string; folding in it is dropped. */
static void take_quoted(struct str *s, struct smtp_header_value *value)
{
	for (*s = str_from(*s, 1); s->n > 0 && s->p[0] != '"'; *s = str_from(*s, 1)) {
		if (s->p[0] == '\\' && s->n > 1)
			*s = str_from(*s, 1);
		if (s->p[0] != '\r' && s->p[0] != '\n')
			add(value, s->p[0]);
	}
	*s = str_from(*s, 1);
}

/* Up to the next semicolon. */
static void take_text(struct str *s, struct smtp_header_value *value)
{
	value->n = 0;
	for (smtp_header_skip_comments(s); s->n > 0 && s->p[0] != ';'; smtp_header_skip_comments(s)) {
		if (s->p[0] == '"') {
			take_quoted(s, value);
		} else {
			add(value, s->p[0]);
			*s = str_from(*s, 1);
		}
	}
}

void smtp_header_take_value(struct str *body, struct smtp_header_value *value)
{
	take_text(body, value);
}

bool smtp_header_take_parameter(struct str *body, struct str *name, struct smtp_header_value *value)
{
	size_t n = 0;

	while (body->n > 0 && body->p[0] == ';') {
		*body = str_from(*body, 1);
		smtp_header_skip_comments(body);
	}
	if (body->n == 0)
		return false;
	while (n < body->n && body->p[n] != '=' && body->p[n] != ';' && body->p[n] != '(' && !is_blank(body->p[n]))
		n++;
	*name = str_first(*body, n);
	*body = str_from(*body, n);
	smtp_header_skip_comments(body);
	if (body->n > 0 && body->p[0] == '=')
		*body = str_from(*body, 1);
	take_text(body, value);
	return true;
}
