/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxyctl credential set, list, remove, key, rotate: tenants' own credentials for providers, sealed before they go
 * into the database. They come from a file or standard input; never from the command line, which others can see.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/ctl_message.h"
#include "ctl/ctl_out.h"
#include "lib/base/encode.h"
#include "lib/base/fd.h"
#include "lib/base/mem.h"
#include "lib/base/random.h"
#include "lib/ipc/ipc_body.h"
#include "lib/net/seal.h"
#include "lib/settings/settings_credential.h"

#define COLUMNS(array) array, sizeof(array) / sizeof((array)[0])

enum { TEXT_MAX = IPC_CREDENTIAL_MAX - SEAL_OVERHEAD };

static struct seal_key key_of(const char *setting, const char *digits)
{
	struct seal_key key;
	struct err err;

	if (digits[0] == '\0')
		ctl_fail(EX_CONFIG, "credentials.%s is empty: make one (smtp-proxyctl credential key > FILE) and name it (%s: file:FILE)",
			 setting, setting);
	if (!seal_key_parse(str_of(digits), &key, &err))
		ctl_fail(EX_CONFIG, "credentials.%s: %s", setting, err.text);
	return key;
}

static const struct settings_provider *provider_of(struct ctl *ctl, const char *name)
{
	const struct settings *s = ctl_settings(ctl);

	for (size_t i = 0; i < s->n_provider; i++)
		if (strcmp(s->provider[i].key, name) == 0)
			return &s->provider[i];
	ctl_fail(EX_DATAERR, "%s: the settings have no such provider", name);
}

/* All of standard input, or of the file. */
static void read_text(const char *file, struct buf *text)
{
	char part[4096];
	struct err err;
	ssize_t n = 0;

	if (file != NULL) {
		if (!fd_read_file(file, text, &err))
			ctl_fail(EX_NOINPUT, "%s", err.text);
		return;
	}
	if (isatty(STDIN_FILENO))
		fputs("Lines \"name: value\", such as \"api_key: KEY\"; end with Ctrl-D.\n", stderr);
	while (!text->is_full && (n = read(STDIN_FILENO, part, sizeof(part))) > 0)
		buf_put(text, part, (size_t)n);
	mem_wipe(part, sizeof(part));
	if (text->is_full)
		ctl_fail(EX_DATAERR, "a credential has at most %d octets", TEXT_MAX);
}

static void check_text(const struct settings_provider *provider, struct str text)
{
	struct settings_credential credential;
	struct err err;

	if (!settings_credential_apply(&credential, provider, text, &err))
		ctl_fail(EX_DATAERR, "%s", err.text);
	settings_credential_clear(&credential);
}

static void seal(const struct seal_key *key, const struct uuid *tenant, struct str provider, struct str text, struct buf *sealed)
{
	struct buf label = BUF_MAX(256);

	settings_credential_label(tenant, provider, &label);
	seal_close(key, buf_str(&label), text, sealed);
	buf_clear(&label);
}

int ctl_credential_set(struct ctl *ctl)
{
	const char *file = ctl_option(ctl, "--file"), *tenant_name = ctl_argument(ctl, "the tenant's name");
	const char *name = ctl_argument(ctl, "the provider");
	struct buf text = BUF_MAX(TEXT_MAX), sealed = BUF_MAX(IPC_CREDENTIAL_MAX);
	struct pg_params *p = pg_params_new();
	struct seal_key key;
	struct uuid tenant;
	struct ctl_pg *db;

	ctl_end(ctl);
	key = key_of("key", ctl_settings(ctl)->credentials.key);
	read_text(file, &text);
	check_text(provider_of(ctl, name), buf_str(&text));
	db = ctl_pg_open(ctl);
	tenant = ctl_message_tenant_named(db, tenant_name);
	seal(&key, &tenant, str_of(name), buf_str(&text), &sealed);
	mem_wipe(&key, sizeof(key));
	buf_clear_secret(&text);
	pg_put_uuid(p, &tenant);
	pg_put_text(p, str_of(name));
	pg_put_bytes(p, buf_str(&sealed));
	ctl_pg_run(db,
		   "INSERT INTO provider_credential AS c (tenant_id, provider, sealed) VALUES ($1::uuid, $2::text, $3::bytea)"
		   " ON CONFLICT (tenant_id, provider) DO UPDATE SET sealed = excluded.sealed, set_at = now()",
		   p);
	ctl_out_done(ctl, "tenant %s sends through %s with a credential of its own", tenant_name, name);
	buf_clear(&sealed);
	pg_params_free(&p);
	ctl_pg_close(&db);
	return EX_OK;
}

/* Whose key it was sealed with, for people. */
static const char *sealed_by(const struct settings *s, struct str sealed)
{
	struct seal_key key;

	if (s->credentials.key[0] != '\0' && seal_key_parse(str_of(s->credentials.key), &key, NULL) && seal_is_by(&key, sealed))
		return "credentials.key";
	if (s->credentials.old_key[0] != '\0' && seal_key_parse(str_of(s->credentials.old_key), &key, NULL) &&
	    seal_is_by(&key, sealed))
		return "credentials.old_key";
	return "a key that is not in the settings";
}

int ctl_credential_list(struct ctl *ctl)
{
	static const struct ctl_out_column columns[] = {
		{"tenant", "TENANT"}, {"provider", "PROVIDER"}, {"set_at", "SET"}, {"sealed_with", "SEALED WITH"}};
	const char *name = ctl_option(ctl, "--tenant");
	struct pg_params *p = pg_params_new();
	const struct pg_result *r;
	struct ctl_out *out;
	struct ctl_pg *db;

	ctl_end(ctl);
	db = ctl_pg_open(ctl);
	if (name == NULL)
		pg_put_null(p);
	else
		pg_put_text(p, str_of(name));
	r = ctl_pg_run(db,
		       "SELECT t.name, c.provider, c.set_at, c.sealed FROM provider_credential c JOIN tenant t USING (tenant_id)"
		       " WHERE $1::text IS NULL OR t.name = $1::text ORDER BY 1, 2",
		       p);
	out = ctl_out_new(ctl, COLUMNS(columns));
	for (unsigned i = 0; i < pg_rows(r); i++) {
		ctl_out_str(out, pg_text(r, i, 0));
		ctl_out_str(out, pg_text(r, i, 1));
		ctl_out_time(out, pg_time(r, i, 2));
		ctl_out_text(out, sealed_by(ctl_settings(ctl), pg_text(r, i, 3)));
	}
	ctl_out_free(&out);
	pg_params_free(&p);
	ctl_pg_close(&db);
	return EX_OK;
}

int ctl_credential_remove(struct ctl *ctl)
{
	const char *tenant_name = ctl_argument(ctl, "the tenant's name"), *name = ctl_argument(ctl, "the provider");
	struct pg_params *p = pg_params_new();
	struct uuid tenant;
	struct ctl_pg *db;

	ctl_end(ctl);
	db = ctl_pg_open(ctl);
	tenant = ctl_message_tenant_named(db, tenant_name);
	pg_put_uuid(p, &tenant);
	pg_put_text(p, str_of(name));
	if (pg_touched(ctl_pg_run(db, "DELETE FROM provider_credential WHERE tenant_id = $1::uuid AND provider = $2::text", p)) == 0)
		ctl_fail(EX_DATAERR, "tenant %s has no credential of its own for %s", tenant_name, name);
	ctl_out_done(ctl, "tenant %s sends through %s as the settings say", tenant_name, name);
	pg_params_free(&p);
	ctl_pg_close(&db);
	return EX_OK;
}

int ctl_credential_key(struct ctl *ctl)
{
	struct buf hex = BUF_MAX(2 * SEAL_KEY);
	struct seal_key key;

	ctl_end(ctl);
	random_fill(key.bytes, sizeof(key.bytes));
	encode_hex(&hex, str_bytes(key.bytes, sizeof(key.bytes)));
	printf("%.*s\n", STR_ARG(buf_str(&hex)));
	mem_wipe(&key, sizeof(key));
	buf_clear_secret(&hex);
	return EX_OK;
}

/* Seals one anew; false when the old key does not open it. */
static bool reseal(struct ctl_pg *db, const struct seal_key *old, const struct seal_key *key, const struct uuid *tenant,
		   struct str provider, struct str was)
{
	struct buf label = BUF_MAX(256), text = BUF_MAX(TEXT_MAX), sealed = BUF_MAX(IPC_CREDENTIAL_MAX);
	struct pg_params *p = pg_params_new();
	bool is_open;

	settings_credential_label(tenant, provider, &label);
	is_open = seal_open(old, buf_str(&label), was, &text, NULL);
	if (is_open) {
		seal_close(key, buf_str(&label), buf_str(&text), &sealed);
		pg_put_uuid(p, tenant);
		pg_put_text(p, provider);
		pg_put_bytes(p, was);
		pg_put_bytes(p, buf_str(&sealed));
		/* Not over one that was set meanwhile. */
		ctl_pg_run(db,
			   "UPDATE provider_credential SET sealed = $4::bytea"
			   " WHERE tenant_id = $1::uuid AND provider = $2::text AND sealed = $3::bytea",
			   p);
	}
	buf_clear(&label);
	buf_clear_secret(&text);
	buf_clear(&sealed);
	pg_params_free(&p);
	return is_open;
}

int ctl_credential_rotate(struct ctl *ctl)
{
	const struct settings *s = ctl_settings(ctl);
	unsigned n_done = 0, n_bad = 0;
	struct seal_key key, old;
	struct pg_result *all;
	struct ctl_pg *db;

	ctl_end(ctl);
	key = key_of("key", s->credentials.key);
	old = key_of("old_key", s->credentials.old_key);
	db = ctl_pg_open(ctl);
	all = pg_result_copy(ctl_pg_run(db, "SELECT tenant_id, provider, sealed FROM provider_credential ORDER BY 1, 2", NULL));
	for (unsigned i = 0; i < pg_rows(all); i++) {
		struct uuid tenant = pg_uuid(all, i, 0);
		char id[UUID_TEXT];

		if (seal_is_by(&key, pg_text(all, i, 2)))
			continue;
		if (reseal(db, &old, &key, &tenant, pg_text(all, i, 1), pg_text(all, i, 2))) {
			n_done++;
			continue;
		}
		ctl_warn("tenant %s, provider %.*s: credentials.old_key does not open it", uuid_format(&tenant, id),
			 STR_ARG(pg_text(all, i, 1)));
		n_bad++;
	}
	ctl_out_done(ctl, "sealed %u credentials with credentials.key%s", n_done,
		     n_bad > 0 ? "" : "; credentials.old_key can go");
	pg_result_free(&all);
	mem_wipe(&key, sizeof(key));
	mem_wipe(&old, sizeof(old));
	ctl_pg_close(&db);
	return n_bad > 0 ? EX_DATAERR : EX_OK;
}
