/* SPDX-License-Identifier: Apache-2.0
 *
 * A request line and header fields, strictly: what is read in two ways by two programs is refused.
 */
#include "cert-renewer/challenge_http_request.h"

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool challenge_http_request_is_token(struct str text)
{
	for (size_t i = 0; i < text.n; i++)
		if (!is_alnum(text.p[i]) && text.p[i] != '-' && text.p[i] != '_')
			return false;
	return text.n > 0 && text.n <= CHALLENGE_HTTP_REQUEST_TOKEN;
}

/* RFC 9110, 5.6.2: of methods and names of fields. */
static bool is_word(struct str text)
{
	for (size_t i = 0; i < text.n; i++)
		if (!is_alnum(text.p[i]) && (text.p[i] == '\0' || strchr("!#$%&'*+-.^_`|~", text.p[i]) == NULL))
			return false;
	return text.n > 0;
}

/* The next line off the front of *rest, without its end, which may lack the CR (RFC 9112, 2.2). False: it is not whole. */
static bool next_line(struct str *rest, struct str *line)
{
	size_t end = str_find(*rest, '\n');

	if (end == rest->n)
		return false;
	*line = str_first(*rest, end);
	*rest = str_from(*rest, end + 1);
	if (str_ends(*line, STR("\r")))
		line->n--;
	return true;
}

/* The path of "/path?query" or of "http://host/path?query". Empty: it is neither. */
static struct str path_of(struct str target)
{
	bool is_absolute = str_istarts(target, STR("http://")) || str_istarts(target, STR("https://"));

	if (is_absolute) {
		target = str_from(target, str_find(target, ':') + 3);
		target = str_from(target, str_find(target, '/'));
	}
	if (!str_starts(target, STR("/")))
		return STR("");
	return str_first(target, str_find(target, '?'));
}

static unsigned read_request_line(struct str line, struct challenge_http_request *r, bool *wants_host)
{
	const struct str prefix = STR("/.well-known/acme-challenge/");
	struct str method, target, path;

	if (!str_is_printable(line) || !str_next(&line, ' ', &method) || !str_next(&line, ' ', &target) || !is_word(method) ||
	    target.n == 0)
		return 400;
	if (!str_eq(line, STR("HTTP/1.1")) && !str_eq(line, STR("HTTP/1.0")))
		return 400;
	*wants_host = str_eq(line, STR("HTTP/1.1"));
	r->is_head = str_eq(method, STR("HEAD"));
	if (!r->is_head && !str_eq(method, STR("GET")))
		return 405;
	path = path_of(target);
	if (path.n == 0)
		return 400;
	r->token = str_from(path, prefix.n);
	return str_starts(path, prefix) && challenge_http_request_is_token(r->token) ? 0 : 404;
}

/* No line is continued (RFC 9112, 5.2), and nothing in it is a control character but the tab. */
static bool is_field(struct str line, struct str *name)
{
	for (size_t i = 0; i < line.n; i++)
		if (((unsigned char)line.p[i] < ' ' && line.p[i] != '\t') || line.p[i] == 0x7f)
			return false;
	*name = str_first(line, str_find(line, ':'));
	return name->n < line.n && is_word(*name);
}

bool challenge_http_request_read(struct str input, struct challenge_http_request *request)
{
	struct str rest = str_first(input, CHALLENGE_HTTP_REQUEST_MAX), line, name;
	bool wants_host = false;
	unsigned n_hosts = 0, status;

	*request = (struct challenge_http_request){.status = 400};
	do {
		if (!next_line(&rest, &line))
			goto unfinished;
	} while (line.n == 0);
	status = read_request_line(line, request, &wants_host);
	if (status == 400)
		return true;
	for (;;) {
		if (!next_line(&rest, &line))
			goto unfinished;
		if (line.n == 0)
			break;
		if (!is_field(line, &name))
			return true;
		n_hosts += str_ieq(name, STR("Host"));
	}
	if (n_hosts <= 1 && (n_hosts == 1 || !wants_host))
		request->status = status;
	return true;
unfinished:
	request->status = 431;
	return input.n >= CHALLENGE_HTTP_REQUEST_MAX;
}
