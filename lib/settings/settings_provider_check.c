/* SPDX-License-Identifier: Apache-2.0
 *
 * Pure. What stands in a host's name, a path or a header of a request is checked here, so that whoever makes the request can
 * rely on it.
 */
#include "lib/settings/settings_provider_check.h"

#include <string.h>

#include "lib/base/network.h"
#include "lib/base/trouble.h"
#include "lib/settings/settings_provider.h"

#define ERROR(p, name, ...) settings_problem_at(problems, false, "providers", (p)->key, name, __VA_ARGS__)

const char *settings_provider_check_url(struct str url)
{
	struct str rest, host, port;
	uint64_t number;
	size_t colon;

	if (!str_is_printable(url) || str_find(url, ' ') < url.n)
		return "it has a character that is not allowed in a URL";
	if (!str_starts(url, STR("https://")) && !str_starts(url, STR("http://")))
		return "it is not an https:// URL";
	rest = str_from(url, str_starts(url, STR("https://")) ? 8 : 7);
	host = str_first(rest, str_find(rest, '/'));
	if (str_find(rest, '?') < rest.n || str_find(rest, '#') < rest.n)
		return "it has a ? or # in it; allowed: https://HOST[:PORT][/PATH]";
	if (str_find(host, '@') < host.n)
		return "it has a user name in it; keys have settings of their own";
	colon = host.n;
	while (colon > 0 && host.p[colon - 1] != ':' && host.p[colon - 1] != ']')
		colon--;
	if (colon > 0 && host.p[colon - 1] == ':') {
		port = str_from(host, colon);
		host = str_first(host, colon - 1);
		if (!str_u64(port, 1, 65535, &number))
			return "its port is not between 1 and 65535";
	}
	if (host.n == 0)
		return "it names no host";
	if (str_starts(url, STR("http://")) && !network_is_this_host(host))
		return "http is not encrypted; allowed: https, or http to localhost, 127.0.0.1, [::1]";
	return NULL;
}

static void need(const struct settings_provider *p, const char *name, const char *value, struct settings_problems *problems)
{
	if (value[0] == '\0')
		ERROR(p, name, "a provider of type %s needs it", settings_provider_kind(p->type)->name);
}

static bool has_only(const char *text, const char *more)
{
	for (const char *c = text; *c != '\0'; c++)
		if (!(*c >= 'a' && *c <= 'z') && !(*c >= 'A' && *c <= 'Z') && !(*c >= '0' && *c <= '9') && strchr(more, *c) == NULL)
			return false;
	return true;
}

/* It becomes a part of the host's name, which is lower case. */
static bool is_region(const char *text)
{
	return text[0] != '\0' && has_only(text, "-") && strpbrk(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == NULL;
}

/* It becomes a part of the path, in which .. would be another one. */
static bool is_domain(const char *text)
{
	return has_only(text, "-_.") && text[0] != '.' && strstr(text, "..") == NULL;
}

/* The value is not said. */
static void check_secret(const struct settings_provider *p, const char *name, const char *value,
			 struct settings_problems *problems)
{
	if (!str_is_printable(str_of(value)) || strchr(value, ' ') != NULL)
		ERROR(p, name, "it has a space or another character that none has");
}

static void check_secrets(const struct settings_provider *p, struct settings_problems *problems)
{
	check_secret(p, "api_key", p->api_key, problems);
	check_secret(p, "access_key_id", p->access_key_id, problems);
	check_secret(p, "secret_access_key", p->secret_access_key, problems);
	check_secret(p, "session_token", p->session_token, problems);
}

static void check_smtp(const struct settings_provider *p, struct settings_problems *problems)
{
	if (p->user[0] != '\0' && p->password[0] == '\0')
		ERROR(p, "password", "providers.%s.user needs it", p->key);
	if (p->user[0] == '\0' && p->password[0] != '\0')
		ERROR(p, "user", "providers.%s.password needs it", p->key);
	if (p->tls == PROVIDER_TLS_OFF && !network_is_this_host(str_of(p->host)))
		ERROR(p, "tls", "off is not encrypted; allowed: starttls, implicit, or off to localhost, 127.0.0.1, ::1");
}

static void check_ses(const struct settings_provider *p, struct settings_problems *problems)
{
	if (p->aws_credentials == AWS_SETTINGS) {
		need(p, "access_key_id", p->access_key_id, problems);
		need(p, "secret_access_key", p->secret_access_key, problems);
	}
	if (!is_region(p->region))
		ERROR(p, "region", "\"%s\" is not an AWS region; allowed: such as us-east-1", p->region);
	if (!has_only(p->configuration_set, "-_"))
		ERROR(p, "configuration_set", "\"%s\" is not a name; allowed: letters, digits, - and _", p->configuration_set);
}

static void check_cakemail(const struct settings_provider *p, struct settings_problems *problems)
{
	if (p->api_key[0] != '\0')
		return;
	need(p, "user", p->user, problems);
	need(p, "password", p->password, problems);
}

static const struct settings_row *row_named(struct str name)
{
	size_t i = 0;

	while (i < settings_n_rows && (strcmp(settings_rows[i].section, "providers") != 0 || !str_eq(name, str_of(settings_rows[i].name))))
		i++;
	must(i < settings_n_rows); /* settings_provider.def says one that is not in settings.def */
	return &settings_rows[i];
}

static void check_needs(const struct settings_provider *p, struct settings_problems *problems)
{
	struct str rest = str_of(settings_provider_kind(p->type)->needs), name;

	while (rest.n > 0 && str_next(&rest, ' ', &name)) {
		const struct settings_row *row = row_named(name);

		need(p, row->name, *(char *const *)(const void *)((const char *)p + row->offset), problems);
	}
}

static void check_type(const struct settings_provider *p, struct settings_problems *problems)
{
	check_needs(p, problems);
	if (!is_domain(p->domain))
		ERROR(p, "domain", "\"%s\" is not a domain; allowed: such as mg.example.com", p->domain);
	if (p->type == PROVIDER_CAKEMAIL)
		check_cakemail(p, problems);
	if (p->type == PROVIDER_SMTP)
		check_smtp(p, problems);
	if (p->type == PROVIDER_SES)
		check_ses(p, problems);
}

void settings_provider_check_all(const struct settings_provider *provider, struct settings_problems *problems)
{
	const char *trouble = provider->endpoint[0] != '\0' ? settings_provider_check_url(str_of(provider->endpoint)) : NULL;

	if (trouble != NULL)
		ERROR(provider, "endpoint", "%s", trouble);
	check_secrets(provider, problems);
	if (!settings_problem_has(problems, "providers", provider->key, "type"))
		check_type(provider, problems);
}

bool settings_provider_check(const struct settings_provider *provider, struct err *err)
{
	struct settings_problems problems;
	bool is_good;

	settings_problem_init(&problems, "");
	settings_provider_check_all(provider, &problems);
	is_good = problems.n_errors == 0;
	if (!is_good)
		err_set(err, "%s: %.300s", problems.problem[0].setting, problems.problem[0].what);
	settings_problem_clear(&problems);
	return is_good;
}
