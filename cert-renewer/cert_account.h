/* SPDX-License-Identifier: Apache-2.0
 *
 * The account at the authority that acme.directory names: its key, one for each directory, in the store (.accounts/HASH.pem, HASH.url;
 * HASH.next.pem: a key that may be the account's now; HASH.apart: the key was made here, and is not in the backup) and in the backup, so
 * that all hosts have the same.
 */
#ifndef CERT_RENEWER_CERT_ACCOUNT_H
#define CERT_RENEWER_CERT_ACCOUNT_H

#include "cert-renewer/acme.h"
#include "cert-renewer/cert_backup.h"
#include "cert-renewer/cert_store.h"
#include "lib/settings/settings.h"

struct cert_account;

struct cert_account_config {
	struct loop *loop;
	struct http_client *http; /* trusts acme.ca_file */
	struct cert_store *store;
	struct cert_backup *backup;
	const struct settings *settings; /* replaced with cert_account_use_settings() */
	/* What cert_account_get() gave, or would have given, is about to go: whatever was begun with it has to be cancelled. */
	void (*on_end)(void *ctx);
	/* Ask cert_account_get() again. */
	void (*on_ready)(void *ctx);
	void *ctx;
};

struct cert_account *cert_account_new(const struct cert_account_config *config);
void cert_account_free(struct cert_account **account);
/* Another authority, other terms or addresses: on_end() is called, and the account is another one. */
void cert_account_use_settings(struct cert_account *account, const struct settings *settings);

/* NULL: not yet, or not while its key is being changed (err is empty): on_ready() follows; or it cannot be had: err says why. The account itself is asked for or made with the
 * first need (acme.h). */
struct acme *cert_account_get(struct cert_account *account, struct err *err);

/* The authority took an order: the key in use is the account's. */
void cert_account_confirm(struct cert_account *account);
/* It did not know who asks (a problem of RFC 8555, 6.7): the key may have been changed on another host, or by a roll-over whose answer
 * was lost. Other keys that there are will be tried. */
void cert_account_doubt(struct cert_account *account, const char *problem);

/* Another key for the account; not while anything is ordered with the present one: the answers to challenges are made with it. fn: why it
 * failed, or NULL. Called once. */
typedef void cert_account_fn(void *ctx, const char *error);
void cert_account_roll(struct cert_account *account, cert_account_fn *fn, void *ctx);

#endif
