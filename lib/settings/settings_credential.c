/* SPDX-License-Identifier: Apache-2.0
 *
 * Which settings a credential may have, and how they are laid over the provider's.
 */
#include "lib/settings/settings_credential.h"

#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/trouble.h"

/* Who the tenant is at the provider, and nothing else of it: limits and the provider's address stay the operator's, but for
 * a smarthost, which is the account's. */
static const char *const names[] = {"api_key",	     "domain",		  "message_stream", "user",
				    "password",	     "account_id",	  "list_id",	    "host",
				    "port",	     "tls",		  "region",	    "access_key_id",
				    "secret_access_key", "session_token", "configuration_set"};

bool settings_credential_has(struct str name)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (str_eq(name, str_of(names[i])))
			return true;
	return false;
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
	c->is_own = true;
	if (!settings_set(&c->own, row, str_trim(str_from(line, colon + 1)), &why))
		return err_set(err, "%s: %s", row->name, why.text);
	memcpy((char *)&c->provider + row->offset, (const char *)&c->own + row->offset, size_of(row));
	return true;
}

/* Who the operator is stays out of who the tenant is: a key of the one would go with a token of the other. */
static void drop_the_operators(struct settings_credential *c)
{
	static char none[] = "";
	const struct settings_provider *own = &c->own;

	if (own->api_key != NULL || own->user != NULL) {
		c->provider.api_key = own->api_key != NULL ? own->api_key : none;
		c->provider.user = own->user != NULL ? own->user : none;
		c->provider.password = own->password != NULL ? own->password : none;
	}
	if (own->access_key_id != NULL) {
		c->provider.aws_credentials = AWS_SETTINGS;
		c->provider.secret_access_key = own->secret_access_key != NULL ? own->secret_access_key : none;
		c->provider.session_token = own->session_token != NULL ? own->session_token : none;
	}
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
	return true;
}

void settings_credential_clear(struct settings_credential *c)
{
	for (size_t i = 0; c->is_own && i < sizeof(names) / sizeof(names[0]); i++) {
		const struct settings_row *row = row_of(str_of(names[i]));

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
