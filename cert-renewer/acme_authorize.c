/* SPDX-License-Identifier: Apache-2.0
 *
 * The authorizations of an order, one request after the other: each is fetched; the challenges of those that are not valid yet are put up,
 * all at once, for this may take long; the authority is told to look; each is asked for until it is decided.
 */
#include "cert-renewer/acme_authorize.h"

#include <stdlib.h>
#include <string.h>

#include "cert-renewer/acme_jws.h"
#include "cert-renewer/acme_poll.h"
#include "cert-renewer/challenge.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"

enum { KEY_AUTHORIZATION_MAX = ACME_JSON_TOKEN + 64, STEP_MAX = 384 };

/* One authorization. */
struct item {
	struct acme_authorize *authorize;
	char *url;
	char name[ACME_JSON_NAME + 2]; /* for sentences: with "*." where it is for that; "" until it is known */
	const char *base;	       /* the same without */
	bool is_valid, is_up, was_told;
	char *challenge_url;
	char token[ACME_JSON_TOKEN];
	char key_authorization[KEY_AUTHORIZATION_MAX];
};

enum phase { FETCH, TELL, AWAIT };

struct acme_authorize {
	struct acme_op *op;
	struct acme_authorize_wish wish;
	struct item *items;
	unsigned n, current;
	unsigned n_waited_for; /* challenges that are not up yet */
	enum phase phase;
	struct acme_poll *poll;
	acme_authorize_fn *fn;
};

static void go_on(struct acme_authorize *a);

static const char *type_of(int kind)
{
	static const char *const types[] = {
		[CHALLENGE_HTTP_01] = "http-01",
		[CHALLENGE_TLS_ALPN_01] = "tls-alpn-01",
		[CHALLENGE_DNS_01] = "dns-01",
	};

	must(kind >= 0 && (size_t)kind < sizeof(types) / sizeof(types[0]));
	return types[kind];
}

static struct challenge challenge_of(const struct item *item)
{
	return (struct challenge){.kind = item->authorize->wish.kind,
				  .name = str_of(item->base),
				  .token = str_of(item->token),
				  .key_authorization = str_of(item->key_authorization)};
}

static void withdraw_all(struct acme_authorize *a)
{
	for (unsigned i = 0; i < a->n; i++) {
		struct challenge challenge = challenge_of(&a->items[i]);

		if (a->items[i].is_up)
			challenge_withdraw(a->wish.challenges, &challenge);
		a->items[i].is_up = false;
	}
}

void acme_authorize_end(struct acme_authorize **authorize)
{
	struct acme_authorize *a = *authorize;

	*authorize = NULL;
	if (a == NULL)
		return;
	withdraw_all(a);
	for (unsigned i = 0; i < a->n; i++) {
		free(a->items[i].url);
		free(a->items[i].challenge_url);
	}
	acme_poll_free(&a->poll);
	free(a->items);
	free(a);
}

static void step_of(const struct item *item, char out[STEP_MAX])
{
	struct buf text = BUF_MAX(1024);

	if (item->name[0] == '\0')
		buf_put_text(&text, "asking for an authorization");
	else
		buf_printf(&text, "authorization of %s by %s", item->name, type_of(item->authorize->wish.kind));
	acme_json_words(buf_str(&text), out, STEP_MAX);
	buf_clear(&text);
}

static void fail_item(const struct item *item, bool is_ours, const char *what, const char *why)
{
	char step[STEP_MAX];

	step_of(item, step);
	acme_op_fail(item->authorize->op, step, is_ours, "%s%s", what, why);
}

/* ---- fetching ---- */

/* Ours, in our spelling: what the challenges get is nothing that the authority made up. */
static bool take_name(struct item *item, const struct acme_json_authorization *seen)
{
	const struct acme_authorize_wish *wish = &item->authorize->wish;

	for (unsigned i = 0; i < wish->n_names; i++) {
		struct str name = str_of(wish->names[i]);
		bool is_wildcard = str_starts(name, STR("*."));
		struct str base = is_wildcard ? str_from(name, 2) : name;

		if (is_wildcard != seen->is_wildcard || !str_ieq(base, str_of(seen->name)))
			continue;
		if (!str_copy(name, item->name, sizeof(item->name)))
			return false;
		item->base = item->name + (is_wildcard ? 2 : 0);
		return true;
	}
	return false;
}

static void fail_undecided(struct item *item, const struct acme_json_authorization *seen)
{
	struct acme_failure failure;
	char step[STEP_MAX];

	step_of(item, step);
	acme_reply_fail(&failure, "the authority says: %s (%s%sthe authorization is %s)",
			seen->problem.text[0] != '\0' ? seen->problem.text : "nothing more", seen->problem.type,
			seen->problem.type[0] != '\0' ? ", " : "", acme_json_status_name(seen->status));
	str_copy(str_of(seen->problem.type), failure.problem, sizeof(failure.problem));
	failure.is_ours = acme_reply_is_ours(failure.problem);
	acme_call_complete(item->authorize->op->session, step, &failure);
	item->authorize->op->kind->fail(item->authorize->op, &failure);
}

static void take_challenge(struct item *item, const struct acme_json_authorization *seen)
{
	struct buf text = BUF_MAX(KEY_AUTHORIZATION_MAX);

	if (!seen->has_challenge) {
		fail_item(item, true, "the authority offers only: ", seen->offered[0] != '\0' ? seen->offered : "nothing");
		return;
	}
	item->challenge_url = mem_text(seen->url);
	item->was_told = seen->challenge_status != ACME_JSON_PENDING;
	str_copy(str_of(seen->token), item->token, sizeof(item->token));
	acme_jws_put_key_authorization(&text, item->authorize->op->session->key, str_of(item->token));
	must(str_copy(buf_str(&text), item->key_authorization, sizeof(item->key_authorization)));
	buf_clear(&text);
	item->authorize->current++;
	go_on(item->authorize);
}

static void on_fetched(struct acme_op *op, struct acme_authorize *a, const struct acme_reply *reply, const struct acme_failure *failure)
{
	struct item *item = &a->items[a->current];
	struct acme_json_authorization seen;
	struct err err;

	if (failure != NULL) {
		op->kind->fail(op, failure);
	} else if (!acme_json_authorization(reply->body, op->session->http_is_fine, type_of(a->wish.kind), &seen, &err)) {
		fail_item(item, false, "", err.text);
	} else if (item->name[0] == '\0' && !take_name(item, &seen)) {
		fail_item(item, false, "", "it is for a name that was not ordered");
	} else if (seen.status == ACME_JSON_VALID) {
		item->is_valid = true;
		a->current++;
		go_on(a);
	} else if (seen.status != ACME_JSON_PENDING && seen.status != ACME_JSON_PROCESSING) {
		fail_undecided(item, &seen);
	} else if (a->phase == FETCH) {
		take_challenge(item, &seen);
	} else if (!acme_poll_wait(a->poll, reply)) {
		fail_item(item, false, "", "the authority has not decided in time");
	}
}

/* ---- putting up ---- */

static void on_up(void *ctx, bool ok, const char *why)
{
	struct item *item = ctx;
	struct acme_authorize *a = item->authorize;

	if (!ok) {
		item->is_up = false;
		fail_item(item, false, "putting up the challenge: ", why);
		return;
	}
	if (--a->n_waited_for > 0)
		return;
	/* What it took does not count: how long a record needs in the DNS is the operator's to know. */
	acme_poll_begin(a->poll);
	go_on(a);
}

static void put_up(struct acme_authorize *a)
{
	for (unsigned i = 0; i < a->n; i++)
		a->n_waited_for += !a->items[i].is_valid;
	for (unsigned i = 0; i < a->n; i++) {
		struct challenge challenge = challenge_of(&a->items[i]);

		if (a->items[i].is_valid)
			continue;
		a->items[i].is_up = true;
		challenge_present(a->wish.challenges, &challenge, on_up, &a->items[i]);
	}
}

/* ---- requests ---- */

static void on_reply(struct acme_op *op, const struct acme_reply *reply, const struct acme_failure *failure)
{
	on_fetched(op, op->part, reply, failure);
}

static void on_told(struct acme_op *op, const struct acme_reply *reply, const struct acme_failure *failure)
{
	struct acme_authorize *a = op->part;

	(void)reply;
	if (failure != NULL) {
		op->kind->fail(op, failure);
		return;
	}
	a->current++;
	go_on(a);
}

static void fetch(struct acme_authorize *a)
{
	char step[STEP_MAX];

	step_of(&a->items[a->current], step);
	acme_op_ask(a->op,
		    &(struct acme_request){.kind = ACME_CALL_SIGNED, .step = step, .url = a->items[a->current].url, .type = "application/json"},
		    on_reply);
}

static void tell(struct acme_authorize *a)
{
	char step[STEP_MAX];

	step_of(&a->items[a->current], step);
	acme_op_ask(a->op,
		    &(struct acme_request){.kind = ACME_CALL_SIGNED,
					   .step = step,
					   .url = a->items[a->current].challenge_url,
					   .payload = STR("{}"),
					   .type = "application/json"},
		    on_told);
}

static void go_on(struct acme_authorize *a)
{
	struct acme_op *op = a->op;

	while (a->current < a->n && a->phase != FETCH &&
	       (a->items[a->current].is_valid || (a->phase == TELL && a->items[a->current].was_told)))
		a->current++;
	if (a->current < a->n) {
		if (a->phase == TELL)
			tell(a);
		else
			fetch(a);
		return;
	}
	a->current = 0;
	if (a->phase == FETCH) {
		a->phase = TELL;
		put_up(a);
		if (a->n_waited_for == 0)
			a->fn(op);
	} else if (a->phase == TELL) {
		a->phase = AWAIT;
		acme_poll_begin(a->poll);
		go_on(a);
	} else {
		withdraw_all(a);
		a->fn(op);
	}
}

static void on_poll(void *ctx)
{
	fetch(ctx);
}

struct acme_authorize *acme_authorize_start(struct acme_op *op, const struct acme_authorize_wish *wish, acme_authorize_fn *fn)
{
	struct acme_authorize *a = mem_zero(sizeof(*a));

	a->op = op;
	op->part = a;
	a->wish = *wish;
	a->wish.order = NULL;
	a->n = wish->order->n_authorizations;
	a->items = mem_array(a->n, sizeof(*a->items));
	for (unsigned i = 0; i < a->n; i++) {
		a->items[i].authorize = a;
		a->items[i].base = "";
		a->items[i].url = mem_text(wish->order->authorizations[i]);
	}
	a->poll = acme_poll_new(op->session->loop, on_poll, a);
	a->fn = fn;
	go_on(a);
	return a;
}
