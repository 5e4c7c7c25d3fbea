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

static bool is_beyond_ascii(char c)
{
	return (unsigned char)c >= 0x80;
}

static bool is_atom(char c)
{
	return is_alnum(c) || is_beyond_ascii(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
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
		if (i >= s.n || (!is_beyond_ascii(s.p[i]) && (s.p[i] < ' ' || s.p[i] > '~')))
			return 0;
	}
	return 0;
}

/* The code point at byte *at of well-formed UTF-8; *at moves behind it. */
static uint32_t code_point(struct str s, size_t *at)
{
	unsigned char first = (unsigned char)s.p[(*at)++];
	unsigned more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
	uint32_t c = more == 0 ? first : first & (0x3fu >> more);

	for (; more > 0; more--)
		c = c << 6 | ((unsigned char)s.p[(*at)++] & 0x3f);
	return c;
}

/* No text that deceives its reader or is taken apart differently by others: controls, blanks, what turns the
 * direction of writing, and what IDNA reads as a dot. */
static bool is_plain_utf8(struct str s)
{
	static const struct {
		uint32_t from, to;
	} bad[] = {{0x80, 0xa0},     {0x1680, 0x1680}, {0x2000, 0x200b}, {0x200e, 0x200f}, {0x2028, 0x202f},
		   {0x205f, 0x206f}, {0x3000, 0x3000}, {0x3002, 0x3002}, {0xfeff, 0xfeff}, {0xff0e, 0xff0e},
		   {0xff61, 0xff61}, {0xfff9, 0xffff}, {0xe0000, 0xe0fff}};

	if (!str_is_utf8(s))
		return false;
	for (size_t at = 0; at < s.n;) {
		uint32_t c = code_point(s, &at);

		for (size_t i = 0; c >= 0x80 && i < sizeof(bad) / sizeof(bad[0]); i++)
			if (c >= bad[i].from && c <= bad[i].to)
				return false;
	}
	return true;
}

/* Characters of UTF-8: how long the A-label is that DNS will see only IDNA can tell. */
static size_t length(struct str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
	return n;
}

bool smtp_address_is_domain(struct str s)
{
	struct str label;

	if (s.n == 0 || s.n > SMTP_ADDRESS_DOMAIN_MAX || !is_plain_utf8(s))
		return false;
	while (str_next(&s, '.', &label)) {
		if (label.n == 0 || length(label) > 63 || label.p[0] == '-' || label.p[label.n - 1] == '-')
			return false;
		for (size_t i = 0; i < label.n; i++)
			/* The underscore is no host name's but is seen in addresses. */
			if (!is_alnum(label.p[i]) && !is_beyond_ascii(label.p[i]) && label.p[i] != '-' && label.p[i] != '_')
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

	if (!is_plain_utf8(path) || !drop_source_route(&path) || path.n == 0)
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
