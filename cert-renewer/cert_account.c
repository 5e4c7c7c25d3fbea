/* SPDX-License-Identifier: Apache-2.0
 *
 * A key is in the store before the authority hears of it. With a roll-over there are two for a while: the new one lies beside the old one
 * until the authority has taken an order under it.
 *
 * A key that was made here is apart until it is in the backup, and goes there only where none is: hosts would lose the account that they
 * share. A backup that cannot be read is waited for before one is made.
 */
#include "cert-renewer/cert_account.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/encode.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/net/digest.h"
#include "lib/settings/settings_certificate.h"

#define ACCOUNTS ".accounts"

enum { FILE_NAME = 64, HASH_SIZE = 16, KEY_MAX = 8192 };
enum file { FILE_KEY, FILE_NEXT, FILE_URL, FILE_APART };
enum look_for { LOOK_FOR_ANY, LOOK_FOR_ANOTHER, LOOK_FOR_ROOM };

/* So long a backup that cannot be read is waited for. A certificate is worth more than one account for all. */
#define UNREAD_PATIENCE (300 * CLOCK_SECOND)

struct roll {
	cert_account_fn *fn;
	void *ctx;
	struct tls_key *key; /* the new one; NULL: no roll-over is under way */
};

struct cert_account {
	struct cert_account_config config;
	char *wish; /* the settings that it was made with, to see that others came */
	struct acme *acme;
	struct tls_key *key;
	bool is_next; /* the key in use is that of FILE_NEXT */
	bool is_confirmed;
	bool is_doubted;
	unsigned n_looks; /* at the backup; an answer to an earlier one is not heard */
	bool is_looking;
	bool is_ending; /* whoever is told so begins nothing with it */
	int64_t unread_since; /* monotonic; 0: the backup could be read when last looked at */
	struct err failure; /* why the last look came to nothing, for whoever asks next */
	struct roll roll;
};

/* An answer of the backup's may come when nobody waits for it any more. */
struct look {
	struct cert_account *account;
	unsigned number;
	enum look_for what;
	bool is_there; /* whatever it is */
	struct tls_key *found;
};

/* ---- names ---- */

static const char *directory_of(const struct settings *settings)
{
	const char *known = settings_certificate_known_directory(settings->acme.directory);

	return known != NULL ? known : settings->acme.directory;
}

static void file_name(const struct cert_account *account, enum file file, char out[FILE_NAME])
{
	static const char *const ends[] = {[FILE_KEY] = ".pem", [FILE_NEXT] = ".next.pem", [FILE_URL] = ".url", [FILE_APART] = ".apart"};
	unsigned char hash[DIGEST_SHA256_SIZE];
	struct buf hex = BUF_MAX(2 * HASH_SIZE + 1);
	char *text;

	digest_sha256(str_of(directory_of(account->config.settings)), hash);
	encode_hex(&hex, str_bytes(hash, HASH_SIZE));
	text = buf_take_text(&hex);
	snprintf(out, FILE_NAME, "%s%s", text, ends[file]);
	mem_free(&text);
}

static char *wish_of(const struct settings *settings)
{
	struct buf out = BUF_MAX(8192);

	buf_printf(&out, "%s\n%d\n%s\n%s\n%s", directory_of(settings), settings->acme.agree_to_terms, settings->acme.contact,
		   settings->acme.eab_key_id, settings->acme.eab_key);
	return buf_take_text(&out);
}

/* ---- files ---- */

static bool read_file(const struct cert_account *account, enum file file, struct buf *out, struct err *err)
{
	char name[FILE_NAME];

	file_name(account, file, name);
	return cert_store_read(account->config.store, STR(ACCOUNTS), name, out, err);
}

static bool write_file(const struct cert_account *account, enum file file, struct str bytes, struct err *err)
{
	char name[FILE_NAME];

	file_name(account, file, name);
	return cert_store_write(account->config.store, STR(ACCOUNTS), name, bytes, err);
}

static void remove_file(const struct cert_account *account, enum file file)
{
	char name[FILE_NAME];
	struct err err;

	file_name(account, file, name);
	if (!cert_store_remove(account->config.store, STR(ACCOUNTS), name, &err))
		log_warn(NULL, "cert.account.not_removed", log_text("reason", err.text));
}

static bool write_key(const struct cert_account *account, enum file file, const struct tls_key *key, struct err *err)
{
	struct buf pem = BUF_MAX(KEY_MAX);
	bool ok;

	tls_key_put(key, &pem);
	ok = write_file(account, file, buf_str(&pem), err);
	buf_clear_secret(&pem);
	return ok;
}

static struct tls_key *key_of(struct str pem, struct err *err)
{
	struct tls_key *key = tls_key_read(pem, err);

	if (key != NULL && !tls_key_is(key, TLS_KEY_ECDSA)) {
		err_set(err, "it is no ECDSA key on P-256");
		tls_key_free(&key);
	}
	return key;
}

/* NULL: there is none, or none that can be used, which is said. */
static struct tls_key *read_key(const struct cert_account *account, enum file file)
{
	struct buf pem = BUF_MAX(KEY_MAX);
	struct tls_key *key = NULL;
	struct err err = {""};

	if (read_file(account, file, &pem, &err) && pem.n > 0)
		key = key_of(buf_str(&pem), &err);
	if (err.text[0] != '\0')
		log_error(NULL, "cert.account.key_broken", log_text("reason", err.text));
	buf_clear_secret(&pem);
	return key;
}

/* Whether the key was made here and is not in the backup. */
static bool is_apart(const struct cert_account *account)
{
	struct buf mark = BUF_MAX(FILE_NAME);
	struct err err;
	bool is = !read_file(account, FILE_APART, &mark, &err) || mark.n > 0;

	buf_clear(&mark);
	return is;
}

static void on_put(void *ctx, bool ok, const char *why)
{
	struct look *look = ctx;

	if (!ok)
		log_warn(NULL, "cert.account.backup_failed", log_text("reason", why));
	else if (look->number == look->account->n_looks)
		remove_file(look->account, FILE_APART);
	mem_free(&look);
}

static struct look *new_look(struct cert_account *account, enum look_for what)
{
	struct look *look = mem_zero(sizeof(*look));

	*look = (struct look){.account = account, .number = account->n_looks, .what = what};
	return look;
}

static void back_up(struct cert_account *account)
{
	struct buf pem = BUF_MAX(KEY_MAX);
	char name[FILE_NAME];

	if (!cert_backup_is_wanted(account->config.backup))
		return;
	file_name(account, FILE_KEY, name);
	tls_key_put(account->key, &pem);
	cert_backup_put(account->config.backup, STR(ACCOUNTS), str_of(name), buf_str(&pem), on_put, new_look(account, LOOK_FOR_ROOM));
	buf_clear_secret(&pem);
}

static void on_got(void *ctx, struct str bytes, const char *where, const char *why);

static void look_in_backup(struct cert_account *account, enum look_for what)
{
	char name[FILE_NAME];

	if (what != LOOK_FOR_ROOM) {
		account->n_looks++;
		account->is_looking = true;
	}
	file_name(account, FILE_KEY, name);
	cert_backup_get(account->config.backup, STR(ACCOUNTS), str_of(name), on_got, new_look(account, what));
}

/* To those who share the backup. */
static void hand_on(struct cert_account *account)
{
	if (!cert_backup_is_wanted(account->config.backup))
		return;
	if (is_apart(account))
		look_in_backup(account, LOOK_FOR_ROOM);
	else
		back_up(account);
}

/* ---- the account ---- */

static void on_account(void *ctx, struct str url)
{
	struct cert_account *account = ctx;
	struct err err;

	log_info(NULL, "cert.account.known", log_str("account", url), log_text("directory", directory_of(account->config.settings)));
	if (!write_file(account, FILE_URL, url, &err))
		log_warn(NULL, "cert.account.url_not_kept", log_text("reason", err.text));
}

static void begin(struct cert_account *account)
{
	const struct settings *settings = account->config.settings;
	struct buf url = BUF_MAX(ACME_URL_MAX);
	struct acme_config config = {
		.loop = account->config.loop,
		.http = account->config.http,
		.directory = directory_of(settings),
		.agrees = settings->acme.agree_to_terms,
		.contact = str_of(settings->acme.contact),
		.eab_key_id = str_of(settings->acme.eab_key_id),
		.eab_key = str_of(settings->acme.eab_key),
		.key = account->key,
		.on_account = on_account,
		.ctx = account,
	};
	struct err err;

	if (!read_file(account, FILE_URL, &url, &err))
		log_warn(NULL, "cert.account.url_not_read", log_text("reason", err.text));
	config.account = str_trim_folded(buf_str(&url));
	account->acme = acme_new(&config);
	account->is_confirmed = false;
	buf_clear(&url);
}

static void end(struct cert_account *account)
{
	account->is_ending = true;
	account->config.on_end(account->config.ctx);
	acme_free(&account->acme);
	tls_key_free(&account->key);
	account->is_next = account->is_looking = account->is_ending = false;
	account->n_looks++;
}

static bool make_key(struct cert_account *account, struct err *err)
{
	struct tls_key *key = tls_key_new(TLS_KEY_ECDSA);

	if (!write_file(account, FILE_APART, STR("made here\n"), err) || !write_key(account, FILE_KEY, key, err)) {
		tls_key_free(&key);
		return false;
	}
	log_info(NULL, "cert.account.key_made", log_text("directory", directory_of(account->config.settings)));
	account->key = key;
	hand_on(account);
	return true;
}

/* ---- keys of other hosts ---- */

static bool is_to_be_waited_for(struct cert_account *account, const char *why)
{
	if (why[0] == '\0')
		account->unread_since = 0;
	else if (account->unread_since == 0)
		account->unread_since = clock_mono();
	return why[0] != '\0' && clock_mono() - account->unread_since < UNREAD_PATIENCE;
}

static void use_found(struct cert_account *account, struct tls_key *found, const char *why)
{
	struct err err;

	if (found == NULL && is_to_be_waited_for(account, why)) {
		err_set(&account->failure, "the account's key may be in the backup, which cannot be read: %s", why);
	} else if (found != NULL && write_key(account, FILE_KEY, found, &err)) {
		account->key = found;
		remove_file(account, FILE_APART);
		log_info(NULL, "cert.account.key_restored", log_text("directory", directory_of(account->config.settings)));
	} else if (found != NULL) {
		account->failure = err;
		tls_key_free(&found);
	} else if (!make_key(account, &err)) {
		account->failure = err;
	}
	if (account->key != NULL)
		begin(account);
	account->config.on_ready(account->config.ctx);
}

static bool is_same(const struct tls_key *a, const struct tls_key *b)
{
	struct buf left = BUF_MAX(KEY_MAX), right = BUF_MAX(KEY_MAX);
	bool same;

	tls_key_put(a, &left);
	tls_key_put(b, &right);
	same = str_eq(buf_str(&left), buf_str(&right));
	buf_clear_secret(&left);
	buf_clear_secret(&right);
	return same;
}

/* Tries another key for the same account, until the authority takes an order under it. */
static void try_other(struct cert_account *account, struct tls_key *key, bool is_next)
{
	end(account);
	account->key = key;
	account->is_next = is_next;
	begin(account);
	log_warn(NULL, "cert.account.other_key", log_text("effect", "the authority did not know the one before"));
	account->config.on_ready(account->config.ctx);
}

static void use_doubted(struct cert_account *account, struct tls_key *found)
{
	struct err err;

	if (found == NULL || account->key == NULL || is_same(found, account->key) || account->roll.key != NULL) {
		tls_key_free(&found);
		return;
	}
	if (!write_key(account, FILE_NEXT, found, &err)) {
		log_error(NULL, "cert.account.found_not_kept", log_text("reason", err.text));
		tls_key_free(&found);
		return;
	}
	try_other(account, found, true);
}

/* The key was made here: is there room for it? */
static void use_room(struct cert_account *account, const struct look *look, const char *why)
{
	if (account->key == NULL || account->roll.key != NULL)
		return;
	if (look->found != NULL && is_same(look->found, account->key))
		remove_file(account, FILE_APART);
	else if (look->is_there)
		log_warn(NULL, "cert.account.apart", log_text("effect", "the backup has another key, which stays: this host has an account of its own"));
	else if (why[0] == '\0')
		back_up(account);
}

static void on_got(void *ctx, struct str bytes, const char *where, const char *why)
{
	struct look *look = ctx;
	struct cert_account *account = look->account;
	bool is_heard = look->number == account->n_looks;
	struct err err;

	if (bytes.n > 0) {
		look->is_there = true;
		if (look->found == NULL && (look->found = key_of(bytes, &err)) == NULL)
			log_warn(NULL, "cert.account.backup_broken", log_text("where", where), log_text("reason", err.text));
		return;
	}
	if (why[0] != '\0')
		log_warn(NULL, "cert.account.backup_not_read", log_text("reason", why));
	if (is_heard && look->what == LOOK_FOR_ROOM) {
		use_room(account, look, why);
	} else if (is_heard) {
		struct tls_key *found = look->found;

		look->found = NULL;
		account->is_looking = false;
		if (look->what == LOOK_FOR_ANOTHER)
			use_doubted(account, found);
		else
			use_found(account, found, why);
	}
	tls_key_free(&look->found);
	mem_free(&look);
}

/* ---- what others call ---- */

struct cert_account *cert_account_new(const struct cert_account_config *config)
{
	struct cert_account *account = mem_zero(sizeof(*account));

	account->config = *config;
	account->wish = wish_of(config->settings);
	return account;
}

void cert_account_free(struct cert_account **account)
{
	if (*account == NULL)
		return;
	end(*account);
	mem_free_secret(&(*account)->wish);
	mem_free(account);
}

void cert_account_use_settings(struct cert_account *account, const struct settings *settings)
{
	char *wish = wish_of(settings);
	bool is_other = strcmp(wish, account->wish) != 0;

	/* What ends is told by the settings that it was begun with. */
	if (is_other)
		end(account);
	account->config.settings = settings;
	mem_free_secret(&account->wish);
	account->wish = wish;
	/* An account that has to be asked for is told the addresses that there are now. */
	if (is_other)
		remove_file(account, FILE_URL);
}

struct acme *cert_account_get(struct cert_account *account, struct err *err)
{
	err->text[0] = '\0';
	if (account->is_ending || account->roll.key != NULL)
		return NULL;
	if (account->acme != NULL)
		return account->acme;
	if (account->is_looking)
		return NULL;
	if (account->failure.text[0] != '\0') {
		*err = account->failure;
		account->failure.text[0] = '\0';
		return NULL;
	}
	account->key = read_key(account, FILE_KEY);
	/* Whatever key comes now may be of another account. */
	if (account->key == NULL)
		remove_file(account, FILE_URL);
	if (account->key == NULL && cert_backup_is_wanted(account->config.backup)) {
		look_in_backup(account, LOOK_FOR_ANY);
		return NULL;
	}
	if (account->key == NULL && !make_key(account, err))
		return NULL;
	begin(account);
	return account->acme;
}

void cert_account_confirm(struct cert_account *account)
{
	bool is_other = account->is_next;
	struct err err;

	if (account->roll.key != NULL)
		return;
	if (!account->is_confirmed) {
		account->is_confirmed = true;
		if (account->is_next && !write_key(account, FILE_KEY, account->key, &err)) {
			log_error(NULL, "cert.account.next_not_kept", log_text("reason", err.text));
			account->is_confirmed = false;
			return;
		}
		account->is_next = false;
		remove_file(account, FILE_NEXT);
	}
	if (is_other || is_apart(account))
		hand_on(account);
}

/* Not in the callback of what it frees. */
static void doubt(void *ctx)
{
	struct cert_account *account = ctx;
	struct tls_key *other;

	account->is_doubted = false;
	if (account->acme == NULL || account->is_looking || account->roll.key != NULL)
		return;
	other = read_key(account, account->is_next ? FILE_KEY : FILE_NEXT);
	if (other != NULL)
		try_other(account, other, !account->is_next);
	else if (cert_backup_is_wanted(account->config.backup))
		look_in_backup(account, LOOK_FOR_ANOTHER);
}

void cert_account_doubt(struct cert_account *account, const char *problem)
{
	static const char *const of_keys[] = {"malformed", "accountDoesNotExist", "externalAccountRequired"};
	bool is_of_key = false;

	for (size_t i = 0; i < sizeof(of_keys) / sizeof(of_keys[0]); i++)
		is_of_key = is_of_key || strcmp(problem, of_keys[i]) == 0;
	if (account->is_doubted || !is_of_key)
		return;
	account->is_doubted = true;
	loop_later(account->config.loop, doubt, account);
}

/* ---- roll-over ---- */

static void finish_roll(struct cert_account *account)
{
	struct err err;

	tls_key_free(&account->key);
	account->key = account->roll.key;
	account->roll.key = NULL;
	account->is_next = false;
	if (write_key(account, FILE_KEY, account->key, &err)) {
		remove_file(account, FILE_NEXT);
	} else {
		/* It is in FILE_NEXT, and will be found there. */
		account->is_next = true;
		account->is_confirmed = false;
		log_error(NULL, "cert.account.rolled_not_kept", log_text("reason", err.text));
	}
	log_info(NULL, "cert.account.rolled", log_text("directory", directory_of(account->config.settings)));
	hand_on(account);
}

static void on_rolled(void *ctx, const struct acme_failure *failure)
{
	struct cert_account *account = ctx;
	struct roll roll = account->roll;

	if (failure == NULL) {
		finish_roll(account);
	} else {
		/* When it did not say no, it may have said yes, and we have not heard it. */
		if (failure->problem[0] != '\0')
			remove_file(account, FILE_NEXT);
		tls_key_free(&account->roll.key);
	}
	roll.fn(roll.ctx, failure == NULL ? NULL : failure->why);
	account->config.on_ready(account->config.ctx);
}

void cert_account_roll(struct cert_account *account, cert_account_fn *fn, void *ctx)
{
	struct err err;
	struct acme *acme = cert_account_get(account, &err);

	if (acme == NULL) {
		fn(ctx, err.text[0] != '\0'	    ? err.text
			: account->roll.key != NULL ? "it is being changed already"
						    : "the account's key is being looked for: try again");
		return;
	}
	account->roll = (struct roll){.fn = fn, .ctx = ctx, .key = tls_key_new(TLS_KEY_ECDSA)};
	if (!write_key(account, FILE_NEXT, account->roll.key, &err)) {
		tls_key_free(&account->roll.key);
		fn(ctx, err.text);
		return;
	}
	acme_change_key(acme, account->roll.key, on_rolled, account);
}
