/* SPDX-License-Identifier: Apache-2.0
 *
 * Taking command lines apart. Pure.
 */
#include "lib/smtp/smtp_command.h"

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

void smtp_command_split(struct str line, struct smtp_command *command)
{
	size_t end = str_find(line, ' ');

	command->verb = str_first(line, end);
	command->argument = str_trim(str_from(line, end));
}

/* Where the '>' of a path stands that begins after '<'; a quoted local part may hold one. */
static size_t find_bracket(struct str s)
{
	bool in_quotes = false;

	for (size_t i = 0; i < s.n; i++) {
		if (in_quotes && s.p[i] == '\\')
			i++;
		else if (s.p[i] == '"')
			in_quotes = !in_quotes;
		else if (!in_quotes && s.p[i] == '>')
			return i;
	}
	return s.n;
}

bool smtp_command_path(struct str argument, struct str keyword, struct str *path, struct str *parameters)
{
	struct str rest;
	size_t end;

	if (!str_istarts(argument, keyword) || argument.n <= keyword.n || argument.p[keyword.n] != ':')
		return false;
	rest = str_trim(str_from(argument, keyword.n + 1));
	if (rest.n == 0)
		return false;
	if (rest.p[0] != '<') {
		end = str_find(rest, ' ');
		*path = str_first(rest, end);
		*parameters = str_trim(str_from(rest, end));
		return true;
	}
	rest = str_from(rest, 1);
	end = find_bracket(rest);
	if (end == rest.n)
		return false;
	*path = str_first(rest, end);
	rest = str_from(rest, end + 1);
	if (rest.n > 0 && rest.p[0] != ' ')
		return false;
	*parameters = str_trim(rest);
	return true;
}

static bool is_name(struct str s)
{
	if (s.n == 0 || !is_alnum(s.p[0]))
		return false;
	for (size_t i = 1; i < s.n; i++)
		if (!is_alnum(s.p[i]) && s.p[i] != '-')
			return false;
	return true;
}

static bool is_value(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= ' ' || s.p[i] == '=' || s.p[i] == 0x7f)
			return false;
	return s.n > 0 && str_is_utf8(s); /* RFC 6531, 3.3: beyond ASCII too */
}

enum smtp_command_parameter smtp_command_next_parameter(struct str *parameters, struct str *name,
							struct str *value)
{
	struct str one;
	size_t end, equals;

	*parameters = str_trim(*parameters);
	if (parameters->n == 0)
		return SMTP_COMMAND_NO_MORE;
	end = str_find(*parameters, ' ');
	one = str_first(*parameters, end);
	*parameters = str_from(*parameters, end);
	equals = str_find(one, '=');
	*name = str_first(one, equals);
	*value = (struct str){NULL, 0};
	if (!is_name(*name))
		return SMTP_COMMAND_MALFORMED;
	if (equals == one.n)
		return SMTP_COMMAND_PARAMETER;
	*value = str_from(one, equals + 1);
	return is_value(*value) ? SMTP_COMMAND_PARAMETER : SMTP_COMMAND_MALFORMED;
}
