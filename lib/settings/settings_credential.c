/* SPDX-License-Identifier: Apache-2.0
 *
 * Which settings a credential may have, and how they are laid over the provider's.
 */
#include "lib/settings/settings_credential.h"

#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/network.h"
#include "lib/base/trouble.h"
#include "lib/settings/settings_provider_check.h"

/* Who the tenant is at the provider, and nothing else of it: limits and the provider's address stay the operator's, but for
 * a smarthost, which is the account's. */
#define NAMES \
	NAME(api_key) NAME(domain) NAME(message_stream) NAME(user) NAME(password) NAME(account_id) NAME(list_id) NAME(host) \
	NAME(port) NAME(tls) NAME(region) NAME(access_key_id) NAME(secret_access_key) NAME(session_token) NAME(configuration_set)

enum name {
#define NAME(name) NAME_##name,
	NAMES
#undef NAME
	N_NAMES
};

static const char *const names[N_NAMES] = {
#define NAME(name) #name,
	NAMES
#undef NAME
};

/* N_NAMES: there is none. */
static size_t place_of(struct str name)
{
	size_t i = 0;

	while (i < N_NAMES && !str_eq(name, str_of(names[i])))
		i++;
	return i;
}

bool settings_credential_has(struct str name)
{
	return place_of(name) < N_NAMES;
}

static const struct settings_row *row_of(struct str name)
{
	for (size_t i = 0; i < settings_n_rows; i++) {
		const struct settings_row *row = &settings_rows[i];

		if (row->list != NULL && strcmp(row->section, "providers") == 0 && str_eq(name, str_of(row->name)))
			return settings_credential_has(name) ? row : NULL;
	}
	return NULL;
}

static size_t size_of(const struct settings_row *row)
{
	switch (row->type) {
	case SETTINGS_INT:
		return sizeof(int64_t);
	case SETTINGS_CHOICE:
		return sizeof(int);
	case SETTINGS_TEXT:
	case SETTINGS_SECRET:
		return sizeof(char *);
	default:
		break;
	}
	must(!"a credential's setting of another type");
	return 0;
}

static bool take_line(struct settings_credential *c, struct str line, struct err *err)
{
	size_t colon = str_find(line, ':');
	struct str name = str_trim(str_first(line, colon));
	const struct settings_row *row = row_of(name);
	struct err why;

	if (colon == line.n)
		return err_set(err, "a line without a colon; each is \"name: value\"");
	if (row == NULL)
		return err_set(err, "\"%.*s\" is not a setting that a credential may have", STR_ARG(str_first(name, 64)));
	c->named |= UINT32_C(1) << place_of(name);
	if (!settings_set(&c->own, row, str_trim(str_from(line, colon + 1)), &why))
		return err_set(err, "%s: %s", row->name, why.text);
	memcpy((char *)&c->provider + row->offset, (const char *)&c->own + row->offset, size_of(row));
	return true;
}

static bool says(const struct settings_credential *c, enum name name)
{
	return (c->named >> name & 1) != 0;
}

bool settings_credential_has_server(const struct settings_credential *c)
{
	return says(c, NAME_host) || says(c, NAME_port) || says(c, NAME_tls);
}

static char *own_or_none(char *own)
{
	static char none[] = "";

	return own != NULL ? own : none;
}

/* Who the operator is stays out of who the tenant is (a key of the one would go with a token of the other, or be guessed at
 * piece by piece), and the operator's secrets stay where the operator sends them. The host that a domain of Mailgun's, a
 * stream, a list or an account is asked at is the operator's choice still. */
static void drop_the_operators(struct settings_credential *c)
{
	struct settings_provider *all = &c->provider, *own = &c->own;

	if (says(c, NAME_api_key) || says(c, NAME_user) || says(c, NAME_password) || settings_credential_has_server(c)) {
		all->api_key = own_or_none(own->api_key);
		all->user = own_or_none(own->user);
		all->password = own_or_none(own->password);
	}
	if (says(c, NAME_region) || says(c, NAME_access_key_id) || says(c, NAME_secret_access_key) || says(c, NAME_session_token)) {
		all->aws_credentials = AWS_SETTINGS;
		all->access_key_id = own_or_none(own->access_key_id);
		all->secret_access_key = own_or_none(own->secret_access_key);
		all->session_token = own_or_none(own->session_token);
	}
}

static bool is_near(const char *host)
{
	return network_is_this_host(str_of(host)) || network_is_near(str_of(host));
}

bool settings_credential_apply(struct settings_credential *c, const struct settings_provider *provider, struct str text,
			       struct err *err)
{
	struct str line = STR("");

	memset(c, 0, sizeof(*c));
	c->provider = *provider;
	while (text.n > 0 && str_next(&text, '\n', &line)) {
		line = str_trim(line);
		if (line.n > 0 && !take_line(c, line, err))
			return false;
	}
	drop_the_operators(c);
	if (settings_credential_has_server(c) && is_near(c->provider.host))
		return err_set(err, "host: \"%s\" is this machine or only reached from it; only the settings may lead there",
			       c->provider.host);
	return settings_provider_check(&c->provider, err);
}

void settings_credential_clear(struct settings_credential *c)
{
	for (size_t i = 0; i < N_NAMES; i++) {
		const struct settings_row *row = says(c, (enum name)i) ? row_of(str_of(names[i])) : NULL;

		if (row == NULL)
			continue;
		if (row->type == SETTINGS_TEXT || row->type == SETTINGS_SECRET)
			mem_free_secret((char **)(void *)((char *)&c->own + row->offset));
	}
	memset(c, 0, sizeof(*c));
}

void settings_credential_label(const struct uuid *tenant, struct str provider, struct buf *out)
{
	char id[UUID_TEXT];

	buf_printf(out, "credential %s %.*s", uuid_format(tenant, id), STR_ARG(provider));
}
