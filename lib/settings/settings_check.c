/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules that span several settings: settings_check(), called after a file was read. Each problem is
 * placed at the setting that has to change.
 */
#include "lib/settings/settings.h"

#include "lib/base/network.h"
#include "lib/settings/settings_certificate_check.h"
#include "lib/settings/settings_hosts.h"
#include "lib/settings/settings_problem.h"
#include "lib/settings/settings_provider_check.h"
#include "lib/settings/settings_wire.h"

#define ERROR(...) settings_problem_at(problems, false, __VA_ARGS__)
#define WARNING(...) settings_problem_at(problems, true, __VA_ARGS__)

static bool is_address(const char *text)
{
	return network_is_address(str_of(text));
}

static void check_networks(const char *section, const char *key, const char *name, const char *text,
			   struct settings_problems *problems)
{
	struct network_list list;
	struct err err;

	if (!network_list_parse(str_of(text), &list, &err))
		ERROR(section, key, name, "%s", err.text);
	network_list_clear(&list);
}

/* :: takes IPv4 too (settings.def), and a wildcard shuts out every address of its family. */
static bool overlaps(const char *a, const char *b)
{
	bool is_a4 = strchr(a, ':') == NULL, is_b4 = strchr(b, ':') == NULL;

	return strcmp(a, b) == 0 || strcmp(a, "::") == 0 || strcmp(b, "::") == 0 ||
	       (is_a4 && is_b4 && (strcmp(a, "0.0.0.0") == 0 || strcmp(b, "0.0.0.0") == 0));
}

static void check_listeners(const struct settings *settings, struct settings_problems *problems)
{
	if (settings->n_listener == 0)
		WARNING("listeners", "", "", "there is none: no mail can come in");
	for (size_t i = 0; i < settings->n_listener; i++) {
		const struct settings_listener *a = &settings->listener[i];

		if (!is_address(a->address))
			ERROR("listeners", a->key, "address",
			      "\"%s\" is not an IPv4 or IPv6 address; allowed: such as 127.0.0.1, 0.0.0.0, ::",
			      a->address);
		check_networks("listeners", a->key, "proxy_networks", a->proxy_networks, problems);
		for (size_t j = 0; j < i; j++) {
			const struct settings_listener *b = &settings->listener[j];

			if (a->port != 0 && a->port == b->port && overlaps(a->address, b->address))
				ERROR("listeners", a->key, "port",
				      "%s port %lld is taken by listeners.%s (%s) already; each needs its "
				      "own address and port",
				      a->address, (long long)a->port, b->key, b->address);
		}
		if (a->port != 0 && a->port == settings->api.port &&
		    overlaps(a->address, settings->api.address))
			ERROR("listeners", a->key, "port", "%s port %lld is api.port's already", a->address,
			      (long long)a->port);
	}
}

/* SHA-256 in hex, colons where they please. */
static bool is_fingerprint(struct str word)
{
	size_t digits = 0;

	for (size_t i = 0; i < word.n; i++) {
		if (word.p[i] == ':')
			continue;
		if (strchr("0123456789abcdefABCDEF", word.p[i]) == NULL)
			return false;
		digits++;
	}
	return digits == 64;
}

static void check_tls(const struct settings *settings, struct settings_problems *problems)
{
	struct str rest = str_of(settings->tls.client_pins), word;

	while (str_next(&rest, ' ', &word))
		if (word.n > 0 && !is_fingerprint(word))
			ERROR("tls", "", "client_pins", "\"%.*s\" is not a SHA-256 fingerprint (64 hex digits)", STR_ARG(word));
	if (settings->tls.client_crl_file[0] != '\0' && settings->tls.client_ca_file[0] == '\0')
		ERROR("tls", "", "client_crl_file", "it needs tls.client_ca_file: whose revocation lists are they?");
	for (size_t i = 0; i < settings->n_listener; i++)
		if (settings->listener[i].client_certificate != CLIENT_CERTIFICATE_OFF &&
		    settings->tls.client_ca_file[0] == '\0' && settings->tls.client_pins[0] == '\0')
			ERROR("listeners", settings->listener[i].key, "client_certificate",
			      "it needs tls.client_ca_file or tls.client_pins: no certificate would be accepted");
}

static void check_providers(const struct settings *settings, struct settings_problems *problems)
{
	const char *wanted = settings->queue.default_provider;
	bool found = wanted[0] == '\0';

	for (size_t i = 0; i < settings->n_provider; i++) {
		settings_provider_check_all(&settings->provider[i], problems);
		found |= strcmp(settings->provider[i].key, wanted) == 0;
	}
	if (!found)
		ERROR("queue", "", "default_provider",
		      "\"%s\" is not one of the providers; allowed: a name from the section providers, or "
		      "empty",
		      wanted);
}

/* HOST of redis://[USER:PASSWORD@]HOST[:PORT][/DB], without the brackets of an IPv6 address. */
static struct str redis_host(struct str url)
{
	struct str rest = str_from(url, str_starts(url, STR("rediss://")) ? 9 : 8);
	size_t at;

	rest = str_first(rest, str_find(rest, '/'));
	while ((at = str_find(rest, '@')) < rest.n)
		rest = str_from(rest, at + 1);
	if (str_starts(rest, STR("[")))
		return str_from(str_first(rest, str_find(rest, ']')), 1);
	return str_first(rest, str_find(rest, ':'));
}

/* Nothing of the URL is said: it may have a password. */
static void check_redis(const struct settings *settings, struct settings_problems *problems)
{
	struct str url = str_of(settings->redis.url), host;

	if (url.n == 0)
		return;
	if (!str_starts(url, STR("redis://")) && !str_starts(url, STR("rediss://"))) {
		ERROR("redis", "", "url", "it is not a redis:// or rediss:// URL");
		return;
	}
	host = redis_host(url);
	if (host.n == 0)
		ERROR("redis", "", "url", "it names no host");
	/* The process's root directory is then the socket's, where no resolver can be set up. */
	else if (settings->database.host[0] == '/' && settings->gate.users == GATE_USERS_DATABASE &&
		 !network_is_address(host))
		ERROR("redis", "", "url", "its host is a name, which cannot be looked up while database.host is a "
		      "directory; allowed: an IPv4 or IPv6 address, or a database.host that is a name or an address");
}

/* RFC 5322, 2.2 */
static void check_field_name(const char *section, const char *name, const char *text, struct settings_problems *problems)
{
	for (const char *c = text; *c != '\0'; c++)
		if (*c <= ' ' || *c > '~' || *c == ':') {
			ERROR(section, "", name,
			      "\"%s\" is not the name of a field; allowed: printable ASCII without blanks and colons, or "
			      "nothing",
			      text);
			return;
		}
}

/* A process's root directory is its socket's: there can be one only, and no resolver in it. */
static void check_database_hosts(const struct settings *settings, struct settings_problems *problems)
{
	struct settings_host hosts[SETTINGS_HOSTS_MAX];
	struct err err;
	unsigned n;

	if (settings->database.host[0] == '\0')
		return;
	n = settings_hosts_read(str_of(settings->database.host), (uint16_t)settings->database.port, hosts, &err);
	if (n == 0)
		ERROR("database", "", "host", "%s; allowed: HOST[:PORT],..., or a directory", err.text);
	for (unsigned i = 0; n > 1 && i < n; i++)
		if (hosts[i].name[0] == '/')
			ERROR("database", "", "host", "\"%s\" is a directory, which must stand alone; allowed: names and "
			      "addresses, or one directory", hosts[i].name);
}

static void check_rest(const struct settings *settings, struct settings_problems *problems)
{
	check_redis(settings, problems);
	check_field_name("smtpd", "idempotency_header", settings->smtpd.idempotency_header, problems);
	check_database_hosts(settings, problems);
	check_networks("limits", "", "allow", settings->limits.allow, problems);
	for (size_t i = 0; i < settings->n_user; i++)
		check_networks("users", settings->user[i].key, "networks", settings->user[i].networks, problems);
	if (!is_address(settings->api.address))
		ERROR("api", "", "address", "\"%s\" is not an IPv4 or IPv6 address; allowed: such as "
		      "127.0.0.1, 0.0.0.0, ::", settings->api.address);
	if (settings->queue.retry_first > settings->queue.retry_longest)
		ERROR("queue", "", "retry_first", "it is longer than queue.retry_longest");
	if (settings->database.sslmode == SSLMODE_VERIFY_FULL && settings->database.ca_file[0] == '\0')
		ERROR("database", "", "ca_file", "database.sslmode verify-full needs it");
	if (settings->database.host[0] != '\0' && settings->database.name[0] == '\0')
		ERROR("database", "", "name", "it is empty; the database's name is needed");
	if (settings->database.host[0] != '\0' && settings->database.admin_user[0] == '\0')
		ERROR("database", "", "admin_user", "it is empty; a role's name is needed");
}

/* Without a database nothing can be queued, and no user is in it. */
static void check_without_database(const struct settings *settings, struct settings_problems *problems)
{
	for (size_t i = 0; i < settings->n_listener; i++)
		if (settings->listener[i].mode != MODE_DIRECT)
			ERROR("listeners", settings->listener[i].key, "mode",
			      "database.host is empty, so nothing can be queued; allowed: direct, or name a database");
	for (size_t i = 0; i < settings->n_tenant; i++)
		if (settings->tenant[i].mode != 0 && settings->tenant[i].mode != MODE_DIRECT + 1)
			ERROR("tenants", settings->tenant[i].key, "mode",
			      "database.host is empty, so nothing can be queued; allowed: direct or listener, or name a "
			      "database");
	if (settings->gate.users == GATE_USERS_DATABASE)
		ERROR("gate", "", "users",
		      "database.host is empty, so users cannot be there; allowed: settings, cakemail, or name a "
		      "database");
}

/* What qmgr takes at most to begin a call, and to store a message; and to say so. */
#define BEGIN_TIME INT64_C(12000000)
#define STORE_TIME INT64_C(22000000)

/* smtpd must not give up while the answer may still come: the client would send the message again. */
static void check_times(const struct settings *settings, struct settings_problems *problems)
{
	int64_t least = 0;

	for (size_t i = 0; i < settings->n_listener + settings->n_tenant; i++) {
		int mode = i < settings->n_listener ? settings->listener[i].mode
						    : settings->tenant[i - settings->n_listener].mode - 1;
		int64_t needs = mode == MODE_DIRECT		? settings->deliver.call_timeout + BEGIN_TIME
				: mode == MODE_DIRECT_THEN_QUEUE ? settings->direct.deadline + STORE_TIME
								: 0;

		least = needs > least ? needs : least;
	}
	if (settings->smtpd.submit_timeout < least)
		ERROR("smtpd", "", "submit_timeout",
		      "a listener or tenant has a direct mode, whose answer may take %llds (direct: deliver.call_timeout and "
		      "12s; direct-then-queue: direct.deadline and 22s); allowed: %llds or more",
		      (long long)((least + 999999) / 1000000), (long long)((least + 999999) / 1000000));
}

/* Names with > or a comma between, each perhaps with a weight (lib/queue/route.h reads it when it is used). */
static void check_fallbacks(const struct settings *settings, const struct settings_tenant *t, struct settings_problems *problems)
{
	struct str rest = str_of(t->fallbacks), tier, one;

	while (str_trim(str_of(t->fallbacks)).n > 0 && str_next(&rest, '>', &tier))
		while (str_next(&tier, ',', &one)) {
			size_t colon = str_find(one, ':');
			struct str key = str_trim(str_first(one, colon));
			bool is_found = false;
			uint64_t weight;

			for (size_t i = 0; i < settings->n_provider; i++)
				is_found |= str_eq(key, str_of(settings->provider[i].key));
			if (!is_found || str_eq(key, str_of(t->provider)))
				ERROR("tenants", t->key, "fallbacks",
				      "\"%.*s\" is not another one of the providers; allowed: such as \"ses > mailgun\"",
				      STR_ARG(str_first(key, 64)));
			if (colon < one.n && !str_u64(str_trim(str_from(one, colon + 1)), 1, 1000, &weight))
				ERROR("tenants", t->key, "fallbacks", "\"%.*s\" has no weight from 1 to 1000",
				      STR_ARG(str_first(one, 64)));
		}
}

static void check_users(const struct settings *settings, struct settings_problems *problems)
{
	const char *trouble = settings_provider_check_url(str_of(settings->gate.cakemail_endpoint));

	if (trouble != NULL)
		ERROR("gate", "", "cakemail_endpoint", "%s", trouble);
	if (settings->gate.cakemail_tenant[0] == '\0')
		ERROR("gate", "", "cakemail_tenant", "it is empty; a name is needed");
	if (settings->gate.users == GATE_USERS_SETTINGS && settings->n_user == 0)
		WARNING("gate", "", "users", "the section users is empty: nobody can log in");
	for (size_t i = 0; i < settings->n_user; i++) {
		if (settings->user[i].password[0] != '$' && settings->user[i].password[0] != '\0')
			ERROR("users", settings->user[i].key, "password",
			      "it is not a hash; smtp-proxyctl user hash makes one");
		if (settings->gate.users == GATE_USERS_SETTINGS && settings->user[i].password[0] == '\0' &&
		    settings->user[i].certificates[0] == '\0')
			ERROR("users", settings->user[i].key, "password",
			      "a user needs a password (smtp-proxyctl user hash prints its hash) or certificates");
	}
	for (size_t i = 0; i < settings->n_tenant; i++) {
		const struct settings_tenant *t = &settings->tenant[i];
		bool found = t->provider[0] == '\0';

		for (size_t j = 0; j < settings->n_provider; j++)
			found |= strcmp(settings->provider[j].key, t->provider) == 0;
		if (!found)
			ERROR("tenants", t->key, "provider",
			      "\"%s\" is not one of the providers; allowed: a name from the section providers, or empty",
			      t->provider);
		check_fallbacks(settings, t, problems);
	}
}

/* What a child is told goes in one frame. */
static void check_size(const struct settings *settings, struct settings_problems *problems)
{
	struct buf wire = BUF_MAX(SETTINGS_WIRE_MAX);

	for (unsigned role = 1; (FOR_ALL >> role) != 0; role++) {
		buf_reset(&wire);
		if (settings_wire_put(settings, role, &wire))
			continue;
		ERROR("providers", "", "", "all settings together are larger than %d bytes",
		      SETTINGS_WIRE_MAX);
		break;
	}
	buf_clear_secret(&wire);
}

void settings_check(const struct settings *settings, struct settings_problems *problems)
{
	check_listeners(settings, problems);
	check_tls(settings, problems);
	settings_certificate_check_all(settings, problems);
	check_providers(settings, problems);
	check_rest(settings, problems);
	check_users(settings, problems);
	check_times(settings, problems);
	if (settings->database.host[0] == '\0')
		check_without_database(settings, problems);
	check_size(settings, problems);
}
