/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxyctl user add, passwd, set, list, enable, disable: the SMTP users of the tenants. Passwords
 * come from a terminal, standard input or a file, or are made up here; never from the command line,
 * which others can see.
 */
#include <stdio.h>
#include <stdlib.h>

#include "ctl/ctl_limits.h"
#include "ctl/ctl_out.h"
#include "ctl/ctl_pg.h"
#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/mem.h"
#include "lib/base/network.h"
#include "lib/base/random.h"
#include "lib/queue/password.h"

/* What a made-up password is made of: 32 of them are 160 bits, and none is mistaken for another. */
static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789";
enum { MADE_UP = 32, SENDERS_MOST = 12000 };

struct source {
	bool is_made_up;
	const char *file;
};

static struct source take_source(struct ctl *ctl)
{
	struct source source = {ctl_flag(ctl, "--generate"), ctl_option(ctl, "--password-file")};

	if (source.is_made_up && source.file != NULL)
		ctl_usage(ctl, "--generate and --password-file exclude each other");
	return source;
}

/* The first line of the file. */
static char *read_password_file(const char *path)
{
	struct buf content = BUF_MAX(4096);
	struct str rest, line = STR("");
	struct err err;
	char *password;

	if (!fd_read_file(path, &content, &err))
		ctl_fail(EX_NOINPUT, "%s", err.text);
	rest = buf_str(&content);
	if (content.n > 0)
		str_next(&rest, '\n', &line);
	if (str_ends(line, STR("\r")))
		line.n--;
	password = mem_copy(line.p, line.n);
	buf_clear_secret(&content);
	return password;
}

static char *make_up_password(void)
{
	char *password = mem_zero(MADE_UP + 1);

	for (unsigned i = 0; i < MADE_UP; i++)
		password[i] = letters[random_below(sizeof(letters) - 1)];
	return password;
}

/* Gets the password and hashes it into hash[PASSWORD_HASH_MAX]. Returns it when it was made up here
 * and is to be printed, else NULL. */
static char *get_hash(const struct source *source, char *hash)
{
	char *password;
	struct err err;

	if (source->is_made_up)
		password = make_up_password();
	else if (source->file != NULL)
		password = read_password_file(source->file);
	else
		password = ctl_read_secret("Password: ", true);
	if (!password_hash(str_of(password), hash, &err)) {
		mem_free_secret(&password);
		ctl_fail(EX_DATAERR, "%s", err.text);
	}
	if (!source->is_made_up)
		mem_free_secret(&password);
	return password;
}

/* Says what was done; a made-up password is part of it and then wiped. */
static void say_done(const struct ctl *ctl, const char *did, const char *name, char **password)
{
	static const struct ctl_out_column columns[] = {{"done", "Done"}, {"password", "Password"}};
	struct buf did_what = BUF_MAX(512);
	struct ctl_out *out;

	if (*password == NULL) {
		ctl_out_done(ctl, "%s %s", did, name);
		return;
	}
	buf_printf(&did_what, "%s %s", did, name);
	out = ctl_out_record(ctl, columns, 2);
	ctl_out_str(out, buf_str(&did_what));
	ctl_out_text(out, *password);
	ctl_out_free(&out);
	buf_clear(&did_what);
	mem_free_secret(password);
}

int ctl_user_hash(struct ctl *ctl)
{
	static const struct ctl_out_column columns[] = {{"hash", "Hash"}, {"password", "Password"}};
	struct source source = take_source(ctl);
	char hash[PASSWORD_HASH_MAX];
	struct ctl_out *out;
	char *password;

	ctl_end(ctl);
	password = get_hash(&source, hash);
	out = ctl_out_record(ctl, columns, password == NULL ? 1 : 2);
	ctl_out_text(out, hash);
	if (password != NULL)
		ctl_out_text(out, password);
	ctl_out_free(&out);
	mem_free_secret(&password);
	return EX_OK;
}

noreturn static void fail_unknown_tenant(const char *name)
{
	ctl_fail(EX_DATAERR, "%s: no such tenant (smtp-proxyctl tenant list shows them)", name);
}

noreturn static void fail_unknown_user(const char *name)
{
	ctl_fail(EX_DATAERR, "%s: no such user (smtp-proxyctl user list shows them)", name);
}

static void check_tenant(struct ctl_pg *db, const char *tenant)
{
	struct pg_params *p = pg_params_new();

	pg_put_text(p, str_of(tenant));
	if (pg_rows(ctl_pg_run(db, "SELECT 1 FROM tenant WHERE name = $1", p)) == 0)
		fail_unknown_tenant(tenant);
	pg_params_free(&p);
}

/* What gate looks up by SQL must be text that the database takes and that AUTH can carry. */
static void check_name(const char *name)
{
	struct str s = str_of(name);

	if (s.n == 0 || s.n > 255 || !str_is_utf8(s))
		ctl_fail(EX_DATAERR, "a user's name is 1 to 255 octets of UTF-8");
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			ctl_fail(EX_DATAERR, "a user's name has no control characters");
}

int ctl_user_add(struct ctl *ctl)
{
	const char *tenant = ctl_option(ctl, "--tenant");
	struct source source = take_source(ctl);
	const char *name = ctl_argument(ctl, "the user's name");
	struct pg_params *p = pg_params_new();
	struct uuid id = uuid_new(clock_wall());
	struct ctl_pg_refusal refusal;
	char hash[PASSWORD_HASH_MAX], *password;
	struct ctl_pg *db;

	ctl_end(ctl);
	if (tenant == NULL)
		ctl_usage(ctl, "--tenant is missing");
	check_name(name);
	db = ctl_pg_open(ctl);
	check_tenant(db, tenant);
	password = get_hash(&source, hash);
	pg_put_text(p, str_of(tenant));
	pg_put_uuid(p, &id);
	pg_put_text(p, str_of(name));
	pg_put_text(p, str_of(hash));
	if (ctl_pg_try(db,
		       "INSERT INTO smtp_user (tenant_id, user_id, name, password) "
		       "SELECT tenant_id, $2, $3, $4 FROM tenant WHERE name = $1",
		       p, &refusal) == NULL) {
		if (strcmp(refusal.sqlstate, "23505") == 0)
			ctl_fail(EX_DATAERR,
				 "%s: there is such a user already (names are unique over all "
				 "tenants)",
				 name);
		ctl_pg_fail(&refusal);
	}
	say_done(ctl, "added user", name, &password);
	pg_params_free(&p);
	ctl_pg_close(&db);
	return EX_OK;
}

int ctl_user_passwd(struct ctl *ctl)
{
	struct source source = take_source(ctl);
	const char *name = ctl_argument(ctl, "the user's name");
	struct pg_params *p = pg_params_new();
	char hash[PASSWORD_HASH_MAX], *password;
	struct ctl_pg *db;

	ctl_end(ctl);
	db = ctl_pg_open(ctl);
	pg_put_text(p, str_of(name));
	if (pg_rows(ctl_pg_run(db, "SELECT 1 FROM smtp_user WHERE name = $1", p)) == 0)
		fail_unknown_user(name);
	password = get_hash(&source, hash);
	pg_put_text(p, str_of(name));
	pg_put_text(p, str_of(hash));
	if (pg_touched(ctl_pg_run(db, "UPDATE smtp_user SET password = $2 WHERE name = $1", p)) ==
	    0)
		fail_unknown_user(name);
	say_done(ctl, "changed the password of", name, &password);
	pg_params_free(&p);
	ctl_pg_close(&db);
	return EX_OK;
}

/* An address, or @domain for all of a domain. */
static void check_sender(char *word)
{
	struct str s = str_of(word);
	size_t at = s.n;

	while (at > 0 && s.p[at - 1] != '@')
		at--;
	if (at == 0 || at == s.n || s.n > 320 || !str_is_utf8(s))
		ctl_fail(EX_DATAERR, "%s: not a sender; allowed: an address, or @domain for all of a domain", word);
}

/* gate tells smtpd all of them in one frame. */
static void check_senders_size(const char *senders)
{
	if (senders != NULL && strlen(senders) > SENDERS_MOST)
		ctl_fail(EX_DATAERR, "--senders: longer than %d octets; allowed: fewer, or @domain for all of a domain",
			 SENDERS_MOST);
}

static void check_network(char *word)
{
	struct network_list list;
	struct err err;

	if (!network_list_parse(str_of(word), &list, &err))
		ctl_fail(EX_DATAERR, "%s", err.text);
	network_list_clear(&list);
}

static bool is_hex(struct str text)
{
	for (size_t i = 0; i < text.n; i++)
		if (!(text.p[i] >= '0' && text.p[i] <= '9') && !(text.p[i] >= 'a' && text.p[i] <= 'f'))
			return false;
	return true;
}

/* As gate compares them: in lower case, a fingerprint without the colons that openssl shows. */
static void check_certificate(char *word)
{
	struct str value, s;
	size_t n = 0;

	for (char *c = word; *c != '\0'; c++)
		*c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
	s = str_of(word);
	value = str_from(s, str_find(s, ':') + 1);
	if (str_starts(s, STR("sha256:"))) {
		for (size_t i = 0; i < value.n; i++)
			if (value.p[i] != ':')
				word[7 + n++] = value.p[i];
		word[7 + n] = '\0';
		if (n == 64 && is_hex(str_bytes(word + 7, n)))
			return;
	} else if (value.n > 0 && str_is_printable(s)) {
		if (str_starts(s, STR("dns:")))
			return;
		if (str_starts(s, STR("email:")) && str_find(value, '@') < value.n)
			return;
	}
	ctl_fail(EX_DATAERR, "%s: names no certificate; allowed: sha256: and the fingerprint's 64 hexadecimal digits, "
			     "dns:NAME, email:ADDRESS", word);
}

int ctl_user_set(struct ctl *ctl)
{
	const char *senders = ctl_option(ctl, "--senders"), *networks = ctl_option(ctl, "--networks"),
		   *certificates = ctl_option(ctl, "--certificates"), *test = ctl_option(ctl, "--test");
	struct ctl_limits limits = ctl_limits_take(ctl);
	const char *name = ctl_argument(ctl, "the user's name");
	struct pg_params *p = pg_params_new();
	struct ctl_pg *db;

	ctl_end(ctl);
	if (senders == NULL && networks == NULL && certificates == NULL && test == NULL && !limits.is_given)
		ctl_usage(ctl, "nothing to set");
	if (test != NULL && strcmp(test, "on") != 0 && strcmp(test, "off") != 0)
		ctl_usage(ctl, "--test: \"%s\" is neither on nor off", test);
	pg_put_text(p, str_of(name));
	check_senders_size(senders);
	ctl_limits_put_words(p, senders, check_sender);
	ctl_limits_put_words(p, networks, check_network);
	ctl_limits_put_words(p, certificates, check_certificate);
	ctl_limits_put(&limits, p);
	if (test != NULL)
		pg_put_bool(p, strcmp(test, "on") == 0);
	else
		pg_put_null(p);
	db = ctl_pg_open(ctl);
	if (pg_touched(ctl_pg_run(db,
				  "UPDATE smtp_user SET senders = coalesce($2::text[], senders), "
				  "networks = coalesce($3::text[]::cidr[], networks), "
				  "certificates = coalesce($4::text[], certificates), "
				  CTL_LIMITS_SET ", is_test = coalesce($10::boolean, is_test) WHERE name = $1",
				  p)) == 0)
		fail_unknown_user(name);
	ctl_out_done(ctl, "changed user %s", name);
	pg_params_free(&p);
	ctl_pg_close(&db);
	return EX_OK;
}

static void list(const struct ctl *ctl, const struct pg_result *r)
{
	static const struct ctl_out_column columns[] = {{"name", "NAME"},
							{"tenant", "TENANT"},
							{"is_enabled", "ENABLED"},
							{"created_at", "CREATED"},
							{"user_id", NULL},
							{"senders", "SENDERS"},
							{"networks", "NETWORKS"},
							{"certificates", "CERTIFICATES"},
							CTL_LIMITS_COLUMNS,
							{"is_test", "TEST"}};
	struct ctl_out *out = ctl_out_new(ctl, columns, sizeof(columns) / sizeof(columns[0]));

	for (unsigned i = 0; i < pg_rows(r); i++) {
		struct uuid id = pg_uuid(r, i, 4);
		char text[UUID_TEXT];

		ctl_out_str(out, pg_text(r, i, 0));
		ctl_out_str(out, pg_text(r, i, 1));
		ctl_out_bool(out, pg_bool(r, i, 2));
		ctl_out_time(out, pg_time(r, i, 3));
		ctl_out_text(out, uuid_format(&id, text));
		for (unsigned column = 5; column < 8; column++)
			ctl_out_str(out, pg_text(r, i, column));
		ctl_limits_show(out, r, i, 8);
		ctl_out_bool(out, pg_bool(r, i, 8 + CTL_LIMITS));
	}
	ctl_out_free(&out);
}

int ctl_user_list(struct ctl *ctl)
{
	const char *tenant = ctl_option(ctl, "--tenant");
	struct pg_params *p = pg_params_new();
	struct ctl_pg *db;

	ctl_end(ctl);
	db = ctl_pg_open(ctl);
	if (tenant != NULL) {
		check_tenant(db, tenant);
		pg_put_text(p, str_of(tenant));
	} else {
		pg_put_null(p);
	}
	list(ctl,
	     ctl_pg_run(db,
			"SELECT u.name, t.name, u.is_enabled, u.created_at, u.user_id, "
			"array_to_string(u.senders, ' '), array_to_string(u.networks, ' '), "
			"array_to_string(u.certificates, ' '), "
			"u.per_second, u.per_minute, u.per_hour, u.per_day, u.per_month, u.is_test "
			"FROM smtp_user u JOIN tenant t USING (tenant_id) "
			"WHERE $1::text IS NULL OR t.name = $1 ORDER BY t.name, u.name",
			p));
	pg_params_free(&p);
	ctl_pg_close(&db);
	return EX_OK;
}

static int enable(struct ctl *ctl, bool is_enabled)
{
	const char *name = ctl_argument(ctl, "the user's name");
	struct pg_params *p = pg_params_new();
	struct ctl_pg *db;

	ctl_end(ctl);
	db = ctl_pg_open(ctl);
	pg_put_text(p, str_of(name));
	pg_put_bool(p, is_enabled);
	if (pg_touched(ctl_pg_run(db, "UPDATE smtp_user SET is_enabled = $2 WHERE name = $1", p)) ==
	    0)
		fail_unknown_user(name);
	ctl_out_done(ctl, "user %s is %s", name, is_enabled ? "enabled" : "disabled");
	pg_params_free(&p);
	ctl_pg_close(&db);
	return EX_OK;
}

int ctl_user_enable(struct ctl *ctl)
{
	return enable(ctl, true);
}

int ctl_user_disable(struct ctl *ctl)
{
	return enable(ctl, false);
}
