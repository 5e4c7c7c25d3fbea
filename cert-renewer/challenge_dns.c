/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a record: added, waited for, there, removed.
 */
#include "cert-renewer/challenge_dns.h"

#include <stdlib.h>

#include "cert-renewer/cert_run.h"
#include "cert-renewer/challenge_dns_update.h"
#include "cert-renewer/challenge_dns_wait.h"
#include "cert-renewer/dns_client.h"
#include "lib/base/encode.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/net/digest.h"

enum stage { ADDING, WAITING, SETTLED, REMOVING };

struct record {
	struct record *next; /* the next younger one */
	struct challenge_dns *dns;
	char *name, *value;
	enum stage stage;
	bool is_added, is_withdrawn;
	/* One of the two: */
	struct challenge_dns_update *update;
	bool wants_hook; /* it waits for its turn, for "add" or "remove" as its stage says */
	/* Of the settings that it began with: */
	char *check;
	int64_t wait_most;
	struct challenge_dns_wait *wait;
	challenge_fn *fn; /* NULL: nobody waits */
	void *ctx;
};

struct challenge_dns {
	struct loop *loop;
	const struct settings *settings;
	struct dns_client *client;
	struct record *records;
	/* One program at a time: many of them read what is there, and write it back with one value more. */
	struct record *hook;
	uint64_t run;
};

static void remove_record(struct record *r);
static void on_removed(void *ctx, bool ok, const char *why);

static void release(void *ctx)
{
	struct record *r = ctx;

	challenge_dns_update_free(&r->update);
	challenge_dns_wait_free(&r->wait);
	free(r->name);
	free(r->value);
	free(r->check);
	free(r);
}

/* ---- adding ---- */

static void settle(struct record *r, bool ok, const char *why)
{
	r->stage = SETTLED;
	r->fn(r->ctx, ok, why);
}

static void on_waited(void *ctx, bool ok, const char *why)
{
	settle(ctx, ok, why);
}

static void begin_wait(struct record *r)
{
	char place[DNS_NAME_TEXT];

	r->stage = WAITING;
	r->wait = challenge_dns_wait_start(
		r->dns->loop, r->dns->client,
		&(struct challenge_dns_wait_for){
			.servers = r->check,
			.most = r->wait_most,
			.record = r->update != NULL ? challenge_dns_update_record(r->update, place) : r->name,
			.value = r->value},
		on_waited, r);
}

static void on_added(void *ctx, bool ok, const char *why)
{
	struct record *r = ctx;

	r->is_added = ok;
	if (r->is_withdrawn) {
		remove_record(r);
		return;
	}
	if (!ok) {
		settle(r, false, why);
		return;
	}
	log_info(NULL, "challenge.dns.added", log_text("record", r->name), log_text("value", r->value));
	begin_wait(r);
}

/* ---- by a program ---- */

static void next_hook(struct challenge_dns *dns);

static void on_hook(void *ctx, bool ok, const char *output)
{
	struct challenge_dns *dns = ctx;
	struct record *r = dns->hook;
	struct err why;

	err_set(&why, "acme.dns_hook %s: %s", r->stage == ADDING ? "add" : "remove",
		output[0] != '\0' ? output : "it ended with an error and said nothing");
	dns->hook = NULL;
	dns->run = 0;
	next_hook(dns);
	if (r->stage == ADDING)
		on_added(r, ok, ok ? "" : why.text);
	else
		on_removed(r, ok, ok ? "" : why.text);
}

static void next_hook(struct challenge_dns *dns)
{
	struct record *r = dns->records;

	while (r != NULL && !r->wants_hook)
		r = r->next;
	if (r == NULL || dns->hook != NULL)
		return;
	r->wants_hook = false;
	dns->hook = r;
	dns->run = cert_run_start(IPC_PROGRAM_DNS_HOOK,
				  (const struct str[]){r->stage == ADDING ? STR("add") : STR("remove"), str_of(r->name),
						       str_of(r->value)},
				  3, on_hook, dns);
}

static void run_hook(struct record *r)
{
	r->wants_hook = true;
	next_hook(r->dns);
}

/* ---- removing ---- */

static void drop(struct record *r)
{
	struct record **at = &r->dns->records;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	loop_later(r->dns->loop, release, r);
}

/* For whoever has to remove it by hand. */
static void say_left(const struct record *r, const char *why)
{
	log_warn(NULL, "challenge.dns.left", log_text("record", r->name), log_text("value", r->value), log_text("reason", why));
}

static void on_removed(void *ctx, bool ok, const char *why)
{
	struct record *r = ctx;

	if (ok)
		log_info(NULL, "challenge.dns.removed", log_text("record", r->name), log_text("value", r->value));
	else if (r->is_added)
		say_left(r, why);
	drop(r);
}

static bool is_wanted_by_another(const struct record *r)
{
	const struct record *other = r->dns->records;

	while (other != NULL && (other == r || other->is_withdrawn || strcmp(other->name, r->name) != 0 ||
				 strcmp(other->value, r->value) != 0))
		other = other->next;
	return other != NULL;
}

static void remove_record(struct record *r)
{
	r->stage = REMOVING;
	challenge_dns_wait_free(&r->wait);
	if (is_wanted_by_another(r))
		drop(r);
	else if (r->update != NULL)
		challenge_dns_update_remove(r->update, on_removed, r);
	else
		run_hook(r);
}

/* ---- asked for ---- */

static char *value_of(struct str key_authorization)
{
	unsigned char digest[DIGEST_SHA256_SIZE];
	struct buf value = BUF_MAX(64);

	digest_sha256(key_authorization, digest);
	must(encode_base64url(&value, str_bytes(digest, sizeof(digest))));
	return buf_take_text(&value);
}

static char *name_of(struct str identifier)
{
	struct buf name = BUF_MAX(300);

	buf_printf(&name, "_acme-challenge.%.*s", STR_ARG(identifier));
	return buf_take_text(&name);
}

/* NULL: the settings do not say how, err says so. */
static struct record *make_record(struct challenge_dns *dns, const struct challenge *challenge, struct err *err)
{
	const struct settings *s = dns->settings;
	struct challenge_dns_update *update = NULL;
	struct record *r, **at = &dns->records;

	if (s->acme.dns_hook[0] == '\0' && s->acme.dns_server[0] == '\0') {
		err_set(err, "dns-01: neither acme.dns_hook nor acme.dns_server is set");
		return NULL;
	}
	if (s->acme.dns_hook[0] == '\0' && (update = challenge_dns_update_new(dns->client, s, err)) == NULL)
		return NULL;
	r = mem_zero(sizeof(*r));
	while (*at != NULL)
		at = &(*at)->next;
	*at = r;
	r->dns = dns;
	r->update = update;
	r->name = name_of(challenge->name);
	r->value = value_of(challenge->key_authorization);
	r->check = mem_text(s->acme.dns_check);
	r->wait_most = s->acme.dns_wait;
	return r;
}

void challenge_dns_present(struct challenge_dns *dns, const struct challenge *challenge, challenge_fn *fn, void *ctx)
{
	struct err err;
	struct record *r = make_record(dns, challenge, &err);

	if (r == NULL) {
		fn(ctx, false, err.text);
		return;
	}
	r->fn = fn;
	r->ctx = ctx;
	if (r->update != NULL)
		challenge_dns_update_add(r->update, r->name, r->value, on_added, r);
	else
		run_hook(r);
}

void challenge_dns_withdraw(struct challenge_dns *dns, const void *ctx)
{
	struct record *r = dns->records;

	while (r != NULL && (r->is_withdrawn || r->ctx != ctx))
		r = r->next;
	if (r == NULL)
		return;
	r->is_withdrawn = true;
	if (r->stage != ADDING)
		remove_record(r);
}

/* ---- making and ending ---- */

struct challenge_dns *challenge_dns_new(struct loop *loop, const struct settings *settings)
{
	struct challenge_dns *dns = mem_zero(sizeof(*dns));

	dns->loop = loop;
	dns->settings = settings;
	dns->client = dns_client_new(loop);
	return dns;
}

void challenge_dns_use_settings(struct challenge_dns *dns, const struct settings *settings)
{
	dns->settings = settings;
}

bool challenge_dns_is_idle(const struct challenge_dns *dns)
{
	return dns->records == NULL;
}

void challenge_dns_say_left(const struct challenge_dns *dns)
{
	for (const struct record *r = dns->records; r != NULL; r = r->next)
		say_left(r, r->is_added ? "there was no time left to take it away" :
					  "there was no time left to see whether it was added, and to take it away");
}

void challenge_dns_free(struct challenge_dns **dns)
{
	struct challenge_dns *d = *dns;

	if (d == NULL)
		return;
	if (d->run != 0)
		cert_run_forget(d->run);
	while (d->records != NULL) {
		struct record *r = d->records;

		d->records = r->next;
		release(r);
	}
	dns_client_free(&d->client);
	mem_free(dns);
}
