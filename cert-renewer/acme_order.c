/* SPDX-License-Identifier: Apache-2.0
 *
 * An order (RFC 8555, 7.4). What comes next is what its status says; authorizations are acme_authorize.c's.
 */
#include "cert-renewer/acme_op.h"

#include <stdlib.h>
#include <string.h>

#include "cert-renewer/acme_authorize.h"
#include "cert-renewer/acme_chain.h"
#include "cert-renewer/acme_poll.h"
#include "lib/base/clock.h"
#include "lib/base/encode.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/net/tls_certificate.h"

enum {
	PAYLOAD_MAX = 49152,
	REFUSED_MAX = 5, /* so often the authority may find the order not ready that it called ready */
	CHAIN_MAX = HTTP_CLIENT_BODY_MAX,
};
static const char media_json[] = "application/json";
static const char media_chain[] = "application/pem-certificate-chain";
static const char step_order[] = "ordering";
static const char step_state[] = "asking for the order";
static const char step_finalize[] = "sending the signing request";
static const char step_chain[] = "downloading the certificate";

struct acme_order {
	struct acme_op op;
	/* the wish */
	char *names[ACME_NAMES_MAX];
	struct str spans[ACME_NAMES_MAX]; /* the same */
	unsigned n_names;
	const struct tls_key *key;
	int challenge;
	char *profile, *replaces, *preferred_chain;
	struct challenges *challenges;
	/* the order */
	char *url;
	struct acme_json_order state;
	struct acme_authorize *authorize;
	struct acme_poll *poll;
	bool is_authorized, is_finalized;
	unsigned n_refused;
	/* the certificate */
	struct buf chain;
	char *alternates[ACME_REPLY_ALTERNATES];
	unsigned n_alternates, next_alternate;
	acme_order_fn *fn;
	void *ctx;
};

static void act(struct acme_order *o);

static struct acme_order *order_of(struct acme_op *op)
{
	return (struct acme_order *)op;
}

/* ---- the end ---- */

/* What works for it stops at once; its memory goes when nobody runs in it. */
static void stop(struct acme_order *o)
{
	acme_authorize_end(&o->authorize);
	acme_poll_free(&o->poll);
}

static void destroy(struct acme_op *op)
{
	struct acme_order *o = order_of(op);

	stop(o);
	for (unsigned i = 0; i < o->n_names; i++)
		free(o->names[i]);
	for (unsigned i = 0; i < o->n_alternates; i++)
		free(o->alternates[i]);
	acme_json_order_clear(&o->state);
	buf_clear(&o->chain);
	free(o->profile);
	free(o->replaces);
	free(o->preferred_chain);
	free(o->url);
	free(o);
}

static void fail(struct acme_op *op, const struct acme_failure *failure)
{
	struct acme_order *o = order_of(op);

	stop(o);
	acme_op_end(op);
	o->fn(o->ctx, STR(""), failure);
}

static void succeed(struct acme_order *o)
{
	stop(o);
	acme_op_end(&o->op);
	o->fn(o->ctx, buf_str(&o->chain), NULL);
}

void acme_order_cancel(struct acme_order **order)
{
	struct acme_order *o = *order;

	*order = NULL;
	if (o == NULL)
		return;
	stop(o);
	acme_op_end(&o->op);
}

static void ask(struct acme_order *o, const char *step, const char *url, struct str payload, const char *type, acme_op_fn *then)
{
	acme_op_ask(&o->op,
		    &(struct acme_request){.kind = ACME_CALL_SIGNED, .step = step, .url = url, .payload = payload, .type = type}, then);
}

/* ---- the certificate ---- */

/* By our clock or by the authority's: what it has just signed is good, and whether ours is right is another question. */
static bool check_chain(const struct acme_order *o, struct str pem, struct err *err)
{
	int64_t now = clock_wall() / CLOCK_SECOND;

	return acme_chain_check(pem, o->key, o->spans, o->n_names, now - o->op.session->ahead, err) ||
	       acme_chain_check(pem, o->key, o->spans, o->n_names, now, err);
}

static bool is_preferred(const struct acme_order *o, struct str pem)
{
	return o->preferred_chain[0] == '\0' || tls_certificate_ends_at(pem, str_of(o->preferred_chain));
}

static void ask_for_alternate(struct acme_order *o);

static void on_alternate(struct acme_op *op, const struct acme_reply *reply, const struct acme_failure *failure)
{
	struct acme_order *o = order_of(op);
	struct err err;

	if (failure == NULL && is_preferred(o, reply->body) && check_chain(o, reply->body, &err)) {
		buf_reset(&o->chain);
		buf_put_str(&o->chain, reply->body);
		succeed(o);
		return;
	}
	ask_for_alternate(o);
}

static void ask_for_alternate(struct acme_order *o)
{
	if (o->next_alternate < o->n_alternates) {
		ask(o, step_chain, o->alternates[o->next_alternate++], STR(""), media_chain, on_alternate);
		return;
	}
	log_warn(NULL, "cert.acme.chain_not_offered", log_text("preferred", o->preferred_chain));
	succeed(o);
}

static void take_alternates(struct acme_order *o, const struct acme_reply *reply)
{
	struct str url;

	for (unsigned i = 0; o->n_alternates < ACME_REPLY_ALTERNATES && acme_reply_link(reply, "alternate", i, &url); i++)
		if (acme_json_check_url(url, o->op.session->http_is_fine) == NULL)
			o->alternates[o->n_alternates++] = str_dup(url);
}

static void on_chain(struct acme_op *op, const struct acme_reply *reply, const struct acme_failure *failure)
{
	struct acme_order *o = order_of(op);
	struct err err;

	if (failure != NULL) {
		fail(op, failure);
	} else if (!check_chain(o, reply->body, &err)) {
		acme_op_fail(op, step_chain, false, "what the authority gave cannot be used: %s", err.text);
	} else {
		buf_put_str(&o->chain, reply->body);
		if (is_preferred(o, reply->body)) {
			succeed(o);
			return;
		}
		take_alternates(o, reply);
		ask_for_alternate(o);
	}
}

/* ---- finalizing ---- */

static bool take_state(struct acme_order *o, const struct acme_reply *reply, struct err *err)
{
	struct acme_json_order seen;

	if (!acme_json_order(reply->body, o->op.session->http_is_fine, &seen, err)) {
		acme_json_order_clear(&seen);
		return false;
	}
	acme_json_order_clear(&o->state);
	o->state = seen;
	return true;
}

static void on_poll(void *ctx);

/* Not decided yet. */
static void wait(struct acme_order *o, const struct acme_reply *reply)
{
	if (!acme_poll_wait(o->poll, reply))
		acme_op_fail(&o->op, step_state, false, "the authority has not decided in time: the order is still %s",
			     acme_json_status_name(o->state.status));
}

static void take_answer(struct acme_order *o, const char *step, const struct acme_reply *reply, const struct acme_failure *failure)
{
	enum acme_json_status status;
	struct err err;

	if (failure != NULL) {
		fail(&o->op, failure);
		return;
	}
	if (!take_state(o, reply, &err)) {
		acme_op_fail(&o->op, step, false, "%s", err.text);
		return;
	}
	status = o->state.status;
	if (status == ACME_JSON_PROCESSING || status == ACME_JSON_PENDING || (status == ACME_JSON_READY && o->is_finalized))
		wait(o, reply);
	else
		act(o);
}

static void on_state(struct acme_op *op, const struct acme_reply *reply, const struct acme_failure *failure)
{
	take_answer(order_of(op), step_state, reply, failure);
}

static void on_poll(void *ctx)
{
	struct acme_order *o = ctx;

	ask(o, step_state, o->url, STR(""), media_json, on_state);
}

static void on_finalized(struct acme_op *op, const struct acme_reply *reply, const struct acme_failure *failure)
{
	struct acme_order *o = order_of(op);

	/* It was called ready a moment ago: not all of the authority's servers know it yet; or this is the second time that it was sent,
	 * and the answer to the first got lost. */
	if (failure != NULL && strcmp(failure->problem, "orderNotReady") == 0 && ++o->n_refused < REFUSED_MAX) {
		on_poll(o);
		return;
	}
	o->is_finalized = true;
	take_answer(o, step_finalize, reply, failure);
}

static void finalize(struct acme_order *o)
{
	struct buf der = BUF_MAX(PAYLOAD_MAX / 2), payload = BUF_MAX(PAYLOAD_MAX);
	struct err err;

	if (!tls_key_put_request(o->key, o->spans, o->n_names, &der, &err)) {
		buf_clear(&der);
		acme_op_fail(&o->op, step_finalize, true, "%s", err.text);
		return;
	}
	buf_put_text(&payload, "{\"csr\":\"");
	encode_base64url(&payload, buf_str(&der));
	buf_put_text(&payload, "\"}");
	ask(o, step_finalize, o->state.finalize, buf_str(&payload), media_json, on_finalized);
	buf_clear(&der);
	buf_clear(&payload);
}

/* ---- what is next ---- */

static void on_authorized(struct acme_op *op)
{
	struct acme_order *o = order_of(op);

	o->is_authorized = true;
	acme_poll_begin(o->poll);
	on_poll(o);
}

static void authorize(struct acme_order *o)
{
	const struct acme_authorize_wish wish = {.order = &o->state,
						 .names = o->names,
						 .n_names = o->n_names,
						 .kind = o->challenge,
						 .challenges = o->challenges};

	acme_authorize_end(&o->authorize);
	o->authorize = acme_authorize_start(&o->op, &wish, on_authorized);
}

/* Never with an order that is to be waited for. */
static void act(struct acme_order *o)
{
	const struct acme_json_problem *problem = &o->state.problem;
	struct acme_failure failure;

	switch (o->state.status) {
	case ACME_JSON_PENDING:
		authorize(o);
		return;
	case ACME_JSON_READY:
		finalize(o);
		return;
	case ACME_JSON_VALID:
		ask(o, step_chain, o->state.certificate, STR(""), media_chain, on_chain);
		return;
	default:
		break;
	}
	acme_reply_fail(&failure, "the authority says: %s (%s%sthe order is %s)",
			problem->text[0] != '\0' ? problem->text : "nothing more", problem->type, problem->type[0] != '\0' ? ", " : "",
			acme_json_status_name(o->state.status));
	str_copy(str_of(problem->type), failure.problem, sizeof(failure.problem));
	failure.is_ours = acme_reply_is_ours(problem->type);
	acme_call_complete(o->op.session, o->is_finalized ? step_finalize : step_order, &failure);
	fail(&o->op, &failure);
}

/* ---- ordering ---- */

/* That a certificate replaces another one is a courtesy: it must not stand in the way of a new one. */
static bool was_replaces(const struct acme_order *o, const struct acme_failure *failure)
{
	static const char *const problems[] = {"alreadyReplaced", "malformed", "unauthorized", "conflict"};

	for (size_t i = 0; i < sizeof(problems) / sizeof(problems[0]); i++)
		if (o->replaces[0] != '\0' && strcmp(failure->problem, problems[i]) == 0)
			return true;
	return false;
}

static void order(struct acme_op *op);

static void on_ordered(struct acme_op *op, const struct acme_reply *reply, const struct acme_failure *failure)
{
	struct acme_order *o = order_of(op);
	struct err err;

	if (failure != NULL && was_replaces(o, failure)) {
		o->replaces[0] = '\0';
		order(op);
	} else if (failure != NULL) {
		if (!acme_op_again(op, failure))
			fail(op, failure);
	} else if (acme_json_check_url(reply->location, op->session->http_is_fine) != NULL) {
		acme_op_fail(op, step_order, false, "the answer does not tell the order's URL");
	} else if (!take_state(o, reply, &err)) {
		acme_op_fail(op, step_order, false, "%s", err.text);
	} else {
		free(o->url);
		o->url = str_dup(reply->location);
		acme_poll_begin(o->poll);
		if (o->state.status == ACME_JSON_PROCESSING)
			wait(o, reply);
		else
			act(o);
	}
}

static bool is_profile(const char *profiles, const char *name)
{
	struct str rest = str_of(profiles), one;

	while (str_next(&rest, ' ', &one))
		if (str_eq(one, str_of(name)))
			return true;
	return false;
}

static void order(struct acme_op *op)
{
	const struct acme_json_directory *directory = op->session->directory;
	struct acme_order *o = order_of(op);
	struct buf payload = BUF_MAX(PAYLOAD_MAX);

	if (o->profile[0] != '\0' && directory->has_profiles && !is_profile(directory->profiles, o->profile)) {
		acme_op_fail(op, step_order, true, "the authority has no profile \"%s\"; it offers: %s", o->profile, directory->profiles);
		return;
	}
	json_begin(&payload, NULL, '{');
	json_begin(&payload, "identifiers", '[');
	for (unsigned i = 0; i < o->n_names; i++) {
		json_begin(&payload, NULL, '{');
		json_put_text(&payload, "type", STR("dns"));
		json_put_text(&payload, "value", o->spans[i]);
		buf_put_char(&payload, '}');
	}
	buf_put_char(&payload, ']');
	if (o->profile[0] != '\0' && directory->has_profiles)
		json_put_text(&payload, "profile", str_of(o->profile));
	if (o->replaces[0] != '\0' && directory->renewal_info[0] != '\0')
		json_put_text(&payload, "replaces", str_of(o->replaces));
	buf_put_char(&payload, '}');
	must(!payload.is_full);
	ask(o, step_order, directory->new_order, buf_str(&payload), media_json, on_ordered);
	buf_clear(&payload);
}

struct acme_order *acme_order_start(struct acme *acme, const struct acme_wish *wish, struct challenges *challenges,
				    acme_order_fn *fn, void *ctx)
{
	static const struct acme_op_kind kind = {true, order, fail, destroy};
	struct acme_order *o = mem_zero(sizeof(*o));

	must(wish->n_names > 0 && wish->n_names <= ACME_NAMES_MAX);
	for (unsigned i = 0; i < wish->n_names; i++) {
		o->names[i] = str_dup(wish->names[i]);
		o->spans[i] = str_of(o->names[i]);
	}
	o->n_names = wish->n_names;
	o->key = wish->key;
	o->challenge = wish->challenge;
	o->profile = str_dup(wish->profile);
	o->replaces = str_dup(wish->replaces);
	o->preferred_chain = str_dup(wish->preferred_chain);
	o->challenges = challenges;
	o->chain = BUF_MAX(CHAIN_MAX);
	o->fn = fn;
	o->ctx = ctx;
	acme_op_begin(&o->op, acme, &kind);
	o->poll = acme_poll_new(o->op.session->loop, on_poll, o);
	return o;
}
