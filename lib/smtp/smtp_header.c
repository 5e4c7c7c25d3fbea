/* SPDX-License-Identifier: Apache-2.0
 *
 * Fields and parameters as they are found in the wild. Pure.
 */
#include "lib/smtp/smtp_header.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str smtp_header_name(struct str line)
{
	size_t colon = str_find(line, ':'), n = colon;

	while (n > 0 && (line.p[n - 1] == ' ' || line.p[n - 1] == '\t'))
		n--;
	if (colon == line.n)
		return str_first(line, 0);
	for (size_t i = 0; i < n; i++)
		if (line.p[i] <= ' ' || line.p[i] > '~')
			return str_first(line, 0);
	return str_first(line, n);
}

bool smtp_header_next(struct str *header, struct smtp_header_field *field)
{
	size_t n = 0;

	if (header->n == 0)
		return false;
	do
		n += str_find(str_from(*header, n), '\n') + 1;
	while (n < header->n && (header->p[n] == ' ' || header->p[n] == '\t'));
	field->whole = str_first(*header, n);
	field->name = smtp_header_name(str_first(field->whole, str_find(field->whole, '\n')));
	field->body = field->name.n == 0 ? field->name : str_from(field->whole, str_find(field->whole, ':') + 1);
	*header = str_from(*header, n);
	return true;
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
