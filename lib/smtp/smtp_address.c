/* SPDX-License-Identifier: Apache-2.0
 *
 * The grammar of mailboxes. Pure.
 */
#include "lib/smtp/smtp_address.h"

#include <arpa/inet.h>

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_atom(char c)
{
	return is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* How long the dot-string at the front is; 0 when there is none. */
static size_t dot_string(struct str s)
{
	size_t i = 0;

	while (i < s.n && (is_atom(s.p[i]) || (s.p[i] == '.' && i > 0 && s.p[i - 1] != '.')))
		i++;
	return i > 0 && s.p[i - 1] == '.' ? 0 : i;
}

/* How long the quoted string at the front is, with its quotes; 0 when it is none. */
static size_t quoted_string(struct str s)
{
	for (size_t i = 1; i < s.n; i++) {
		if (s.p[i] == '"')
			return i > 1 ? i + 1 : 0;
		if (s.p[i] == '\\')
			i++;
		if (i >= s.n || s.p[i] < ' ' || s.p[i] > '~')
			return 0;
	}
	return 0;
}

bool smtp_address_is_domain(struct str s)
{
	struct str label;

	if (s.n == 0 || s.n > SMTP_ADDRESS_DOMAIN_MAX)
		return false;
	while (str_next(&s, '.', &label)) {
		if (label.n == 0 || label.n > 63 || label.p[0] == '-' || label.p[label.n - 1] == '-')
			return false;
		for (size_t i = 0; i < label.n; i++)
			/* The underscore is no host name's but is seen in addresses. */
			if (!is_alnum(label.p[i]) && label.p[i] != '-' && label.p[i] != '_')
				return false;
	}
	return true;
}

/* What stands between [ and ]: an IPv4 address or IPv6: and one. */
static bool is_literal(struct str s)
{
	unsigned char bytes[16];
	char text[INET6_ADDRSTRLEN];

	if (str_istarts(s, STR("IPv6:")))
		return str_copy(str_from(s, 5), text, sizeof(text)) && inet_pton(AF_INET6, text, bytes) == 1;
	return str_copy(s, text, sizeof(text)) && inet_pton(AF_INET, text, bytes) == 1;
}

static bool is_host(struct str s)
{
	if (s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
		return is_literal(str_first(str_from(s, 1), s.n - 2));
	return smtp_address_is_domain(s);
}

/* Drops "@one,@two:" (RFC 5321, appendix C: accept it, ignore it). */
static bool drop_source_route(struct str *path)
{
	struct str route, hop;
	size_t colon;

	if (path->n == 0 || path->p[0] != '@')
		return true;
	colon = str_find(*path, ':');
	if (colon == path->n)
		return false;
	route = str_first(*path, colon);
	*path = str_from(*path, colon + 1);
	while (str_next(&route, ',', &hop))
		if (hop.n < 2 || hop.p[0] != '@' || !smtp_address_is_domain(str_from(hop, 1)))
			return false;
	return true;
}

enum smtp_address_result smtp_address_parse(struct str path, struct smtp_address *address)
{
	size_t n;

	if (!str_is_ascii(path))
		return str_is_utf8(path) ? SMTP_ADDRESS_NOT_ASCII : SMTP_ADDRESS_SYNTAX;
	if (!drop_source_route(&path) || path.n == 0)
		return SMTP_ADDRESS_SYNTAX;
	n = path.p[0] == '"' ? quoted_string(path) : dot_string(path);
	if (n == 0 || n >= path.n || path.p[n] != '@')
		return SMTP_ADDRESS_SYNTAX;
	address->mailbox = path;
	address->local = str_first(path, n);
	address->domain = str_from(path, n + 1);
	if (n > SMTP_ADDRESS_LOCAL_MAX || address->domain.n > SMTP_ADDRESS_DOMAIN_MAX ||
	    path.n > SMTP_ADDRESS_MAX)
		return SMTP_ADDRESS_LONG;
	return is_host(address->domain) ? SMTP_ADDRESS_OK : SMTP_ADDRESS_SYNTAX;
}

/* The domain follows the last @: a local part may hold one in quotes, a domain never. */
static size_t find_domain(struct str mailbox)
{
	size_t at = mailbox.n;

	while (at > 0 && mailbox.p[at - 1] != '@')
		at--;
	return at;
}

bool smtp_address_eq(struct str mailbox, struct str other)
{
	size_t at = find_domain(mailbox);

	return mailbox.n == other.n && str_eq(str_first(mailbox, at), str_first(other, at)) &&
	       str_ieq(str_from(mailbox, at), str_from(other, at));
}
