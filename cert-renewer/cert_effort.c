/* SPDX-License-Identifier: Apache-2.0
 *
 * The steps of an effort, one after the other.
 */
#include "cert-renewer/cert_effort.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cert-renewer/cert_plan.h"
#include "cert-renewer/cert_restore.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/settings/settings_certificate.h"

enum { LOCK_NAME = SETTINGS_KEY + 16, KEY_ROOM = 4096 };
#define LOCK_LIFETIME (600 * CLOCK_SECOND)
#define LOCK_KEEP (180 * CLOCK_SECOND)	/* taken again so often */
#define LOCK_AGAIN (2 * CLOCK_SECOND)	/* asked again, when it could not be asked */
/* Then without it: a certificate is worth more than an order too many; the more so when there is none. */
#define LOCK_PATIENCE (180 * CLOCK_SECOND)
#define LOCK_HURRY (10 * CLOCK_SECOND)

enum step { STEP_LOCK, STEP_LOOK, STEP_ACCOUNT, STEP_ORDER };

struct cert_effort {
	struct cert_parts *parts;
	cert_effort_fn *fn;
	void *ctx;
	char *key, *but_not, *replaces;
	char *profile, *preferred_chain, *names_text;
	struct str names[ACME_NAMES_MAX];
	unsigned n_names;
	enum tls_key_type key_type;
	int challenge;
	bool has_lock;
	int64_t newer_than;
	int64_t lock_until; /* monotonic */

	enum step step;
	struct loop_timer *timer; /* asks for the lock again, or keeps it */
	uint64_t question;	  /* to the other hosts; 0: none */
	struct cert_restore *restore;
	struct acme_order *order;
	struct tls_key *certificate_key;
};

/* ---- names ---- */

static unsigned split(struct str text, struct str names[ACME_NAMES_MAX])
{
	struct str name;
	unsigned n = 0;

	while (str_next(&text, ' ', &name))
		if (name.n > 0 && n < ACME_NAMES_MAX)
			names[n++] = name;
	return n;
}

unsigned cert_effort_names(const struct settings_certificate *row, struct str names[ACME_NAMES_MAX])
{
	return split(settings_certificate_names(row), names);
}

enum tls_key_type cert_effort_key_type(const struct settings_certificate *row)
{
	return row->key_type == KEY_TYPE_RSA ? TLS_KEY_RSA : TLS_KEY_ECDSA;
}

/* ---- the lock ---- */

static uint64_t ask_lock(struct cert_parts *parts, const char *key, enum ipc_share_act act, cert_share_fn *fn, void *ctx)
{
	char name[LOCK_NAME];
	struct ipc_share question = {.act = act, .value = str_of(parts->host_name), .lifetime = LOCK_LIFETIME};

	snprintf(name, sizeof(name), "lock/%s", key);
	question.name = str_of(name);
	return cert_share_ask(parts->share, &question, fn, ctx);
}

void cert_effort_unlock(struct cert_parts *parts, const char *key)
{
	ask_lock(parts, key, IPC_SHARE_UNLOCK, NULL, NULL);
}

/* ---- the end ---- */

static void stop(struct cert_effort *effort)
{
	if (effort->question != 0)
		cert_share_forget(effort->parts->share, effort->question);
	cert_restore_forget(&effort->restore);
	if (effort->order != NULL)
		acme_order_cancel(&effort->order);
	loop_timer_free(&effort->timer);
	tls_key_free(&effort->certificate_key);
}

static void clear(void *ctx)
{
	struct cert_effort *effort = ctx;

	free(effort->key);
	free(effort->but_not);
	free(effort->replaces);
	free(effort->profile);
	free(effort->preferred_chain);
	free(effort->names_text);
	free(effort);
}

/* The memory goes at the end of the turn: a callback of ours may be running. */
static void finish(struct cert_effort *effort, const struct cert_effort_result *result)
{
	if (effort->has_lock && (result->pem.n == 0 || result->is_restored))
		cert_effort_unlock(effort->parts, effort->key);
	stop(effort);
	effort->fn(effort->ctx, result);
	loop_later(effort->parts->loop, clear, effort);
}

void cert_effort_cancel(struct cert_effort **effort)
{
	if (*effort == NULL)
		return;
	/* It may be given to us yet. */
	if ((*effort)->has_lock || ((*effort)->step == STEP_LOCK && (*effort)->question != 0))
		cert_effort_unlock((*effort)->parts, (*effort)->key);
	stop(*effort);
	loop_later((*effort)->parts->loop, clear, *effort);
	*effort = NULL;
}

static void fail(struct cert_effort *effort, const char *why)
{
	struct acme_failure failure = {.not_before = 0};

	snprintf(failure.why, sizeof(failure.why), "%s", why);
	finish(effort, &(struct cert_effort_result){.failure = &failure});
}

/* ---- the order ---- */

/* Good is what will be good soon, too: the authority's clock may be ahead of ours. */
static bool check(const struct cert_effort *effort, struct str pem, struct tls_certificate *seen, struct err *err)
{
	int64_t now = clock_wall() / CLOCK_SECOND;

	if (!tls_certificate_read(pem, 0, seen, err) || !tls_certificate_is_for(pem, effort->names, effort->n_names, err))
		return err_wrap(err, "the authority's certificate: ");
	if (seen->not_after <= now)
		return err_set(err, "the authority's certificate has ended already, or the clock of this host is wrong");
	return true;
}

static void on_order(void *ctx, struct str chain, const struct acme_failure *failure)
{
	struct cert_effort *effort = ctx;
	struct buf pem = BUF_MAX(TLS_CERTIFICATE_PEM_MAX);
	struct cert_effort_result result = {.failure = failure};
	struct err err;

	effort->order = NULL;
	if (failure != NULL) {
		cert_account_doubt(effort->parts->account, failure->problem);
		finish(effort, &result);
		return;
	}
	cert_account_confirm(effort->parts->account);
	buf_room(&pem, KEY_ROOM + chain.n); /* what grows leaves copies behind */
	tls_key_put(effort->certificate_key, &pem);
	buf_put_str(&pem, chain);
	if (pem.is_full)
		fail(effort, "the authority's chain of certificates is too long");
	else if (!check(effort, buf_str(&pem), &result.seen, &err))
		fail(effort, err.text);
	else {
		result.pem = buf_str(&pem);
		finish(effort, &result);
	}
	buf_clear_secret(&pem);
}

static void begin_order(struct cert_effort *effort, struct acme *acme)
{
	struct acme_wish wish = {
		.names = effort->names,
		.n_names = effort->n_names,
		.challenge = effort->challenge,
		.profile = str_of(effort->profile),
		.replaces = str_of(effort->replaces),
		.preferred_chain = str_of(effort->preferred_chain),
	};

	effort->step = STEP_ORDER;
	effort->certificate_key = tls_key_new(effort->key_type);
	wish.key = effort->certificate_key;
	log_info(NULL, "cert.order.begun", log_text("certificate", effort->key), log_text("names", effort->names_text));
	effort->order = acme_order_start(acme, &wish, effort->parts->challenges, on_order, effort);
}

static void go_to_account(struct cert_effort *effort)
{
	struct err err;
	struct acme *acme;

	effort->step = STEP_ACCOUNT;
	acme = cert_account_get(effort->parts->account, &err);
	if (acme != NULL)
		begin_order(effort, acme);
	else if (err.text[0] != '\0')
		fail(effort, err.text);
}

void cert_effort_poke(struct cert_effort *effort)
{
	if (effort->step == STEP_ACCOUNT)
		go_to_account(effort);
}

/* ---- the backup ---- */

static void on_restored(void *ctx, struct str pem, const struct tls_certificate *seen, const char *why)
{
	struct cert_effort *effort = ctx;
	struct cert_effort_result result = {.pem = pem, .is_restored = true};

	effort->restore = NULL;
	if (why[0] != '\0')
		log_warn(NULL, "cert.restore.failed", log_text("certificate", effort->key), log_text("reason", why));
	if (pem.n == 0) {
		go_to_account(effort);
		return;
	}
	result.seen = *seen;
	finish(effort, &result);
}

static void go_to_backup(struct cert_effort *effort)
{
	const struct cert_restore_wish wish = {
		.key = str_of(effort->key),
		.names = effort->names,
		.n_names = effort->n_names,
		.key_type = effort->key_type,
		.newer_than = effort->newer_than,
		.but_not = effort->but_not,
	};

	effort->step = STEP_LOOK;
	if (!cert_backup_is_wanted(effort->parts->backup))
		go_to_account(effort);
	else
		effort->restore = cert_restore_start(effort->parts->backup, &wish, on_restored, effort);
}

/* ---- the first step ---- */

static void on_lock(void *ctx, enum ipc_share_verdict verdict, struct str value)
{
	struct cert_effort *effort = ctx;

	effort->question = 0;
	if (verdict == IPC_SHARE_NO) {
		finish(effort, &(struct cert_effort_result){.other_host = value.n > 0 ? value : STR("another host")});
		return;
	}
	if (verdict == IPC_SHARE_UNAVAILABLE && clock_mono() < effort->lock_until) {
		loop_timer_set(effort->timer, LOCK_AGAIN);
		return;
	}
	if (verdict == IPC_SHARE_UNAVAILABLE)
		log_warn(NULL, "cert.lock.unavailable", log_text("certificate", effort->key),
			 log_text("effect", "it is ordered without asking the other hosts"));
	effort->has_lock = verdict == IPC_SHARE_YES;
	if (effort->has_lock)
		loop_timer_set(effort->timer, LOCK_KEEP);
	go_to_backup(effort);
}

/* Lost when it could not be taken again for longer than it lasts: two orders for the same names are in each other's way. One that is said
 * to be ours is: qmgr was started anew, and is another owner to the one before. */
static void on_kept(void *ctx, enum ipc_share_verdict verdict, struct str value)
{
	struct cert_effort *effort = ctx;
	struct err err;

	effort->question = 0;
	if (verdict != IPC_SHARE_NO || str_eq(value, str_of(effort->parts->host_name)))
		return;
	effort->has_lock = false;
	err_set(&err, "%.*s has taken the lock for renewing it meanwhile", STR_ARG(value.n > 0 ? value : STR("another host")));
	fail(effort, err.text);
}

static void on_timer(void *ctx)
{
	struct cert_effort *effort = ctx;

	if (effort->step == STEP_LOCK) {
		effort->question = ask_lock(effort->parts, effort->key, IPC_SHARE_LOCK, on_lock, effort);
		return;
	}
	effort->question = ask_lock(effort->parts, effort->key, IPC_SHARE_LOCK, on_kept, effort);
	loop_timer_set(effort->timer, LOCK_KEEP);
}

struct cert_effort *cert_effort_start(struct cert_parts *parts, const struct cert_effort_wish *wish, cert_effort_fn *fn, void *ctx)
{
	struct cert_effort *effort = mem_zero(sizeof(*effort));

	*effort = (struct cert_effort){
		.parts = parts,
		.fn = fn,
		.ctx = ctx,
		.key = mem_text(wish->key),
		.but_not = mem_text(wish->but_not),
		.replaces = str_dup(wish->replaces),
		.profile = mem_text(wish->row->profile),
		.preferred_chain = mem_text(wish->row->preferred_chain),
		.names_text = str_dup(settings_certificate_names(wish->row)),
		.key_type = cert_effort_key_type(wish->row),
		.challenge = wish->row->challenge,
		.newer_than = wish->newer_than,
		.lock_until = clock_mono() + (wish->is_urgent ? LOCK_HURRY : LOCK_PATIENCE),
	};
	effort->n_names = split(str_of(effort->names_text), effort->names);
	effort->timer = loop_timer_new(parts->loop, on_timer, effort);
	loop_timer_set(effort->timer, 0);
	return effort;
}
