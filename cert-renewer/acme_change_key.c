/* SPDX-License-Identifier: Apache-2.0
 *
 * Another key for the account (RFC 8555, 7.3.5). When the answer got lost, the authority is asked whose the new key is: it would be bad
 * to go on with the wrong one.
 */
#include "cert-renewer/acme_op.h"

#include <stdlib.h>

#include "cert-renewer/acme_jws.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"

struct key_change {
	struct acme_op op;
	const struct tls_key *key;
	struct acme_failure failure; /* of the change, until it is known whether it was made */
	acme_done_fn *fn;
	void *ctx;
};

static const char step[] = "changing the account's key";

static void finish(struct acme_op *op, const struct acme_failure *failure)
{
	struct key_change *k = (struct key_change *)op;
	acme_done_fn *fn = k->fn;
	void *ctx = k->ctx;

	if (failure == NULL)
		op->session->key = k->key;
	acme_op_end(op);
	fn(ctx, failure);
}

static void on_owner(struct acme_op *op, const struct acme_reply *reply, const struct acme_failure *failure)
{
	bool was_made = failure == NULL && op->session->account != NULL && str_eq(reply->location, str_of(op->session->account));

	finish(op, was_made ? NULL : &((struct key_change *)op)->failure);
}

static void on_changed(struct acme_op *op, const struct acme_reply *reply, const struct acme_failure *failure)
{
	struct key_change *k = (struct key_change *)op;

	(void)reply;
	if (failure == NULL) {
		finish(op, NULL);
		return;
	}
	if (acme_op_again(op, failure))
		return;
	k->failure = *failure;
	acme_op_ask(op,
		    &(struct acme_request){.kind = ACME_CALL_SIGNED_BY_KEY,
					   .step = step,
					   .url = op->session->directory->new_account,
					   .payload = STR("{\"onlyReturnExisting\":true}"),
					   .key = k->key},
		    on_owner);
}

static void ready(struct acme_op *op)
{
	const struct tls_key *key = ((struct key_change *)op)->key;
	const char *url = op->session->directory->change_key;
	struct buf inner = BUF_MAX(8192), payload = BUF_MAX(ACME_JWS_MAX / 2);

	if (url[0] == '\0') {
		acme_op_fail(op, step, false, "the authority does not offer it");
		return;
	}
	json_begin(&inner, NULL, '{');
	json_put_text(&inner, "account", str_of(op->session->account));
	buf_put_text(&inner, ",\"oldKey\":");
	acme_jws_put_jwk(&inner, op->session->key);
	buf_put_char(&inner, '}');
	acme_jws_put(&payload, &(struct acme_jws){.key = key, .url = str_of(url), .payload = buf_str(&inner)});
	acme_op_ask(op, &(struct acme_request){.kind = ACME_CALL_SIGNED, .step = step, .url = url, .payload = buf_str(&payload)},
		    on_changed);
	buf_clear(&inner);
	buf_clear(&payload);
}

static void destroy(struct acme_op *op)
{
	free(op);
}

void acme_change_key(struct acme *acme, const struct tls_key *key, acme_done_fn *fn, void *ctx)
{
	static const struct acme_op_kind kind = {true, ready, finish, destroy};
	struct key_change *k = mem_zero(sizeof(*k));

	k->key = key;
	k->fn = fn;
	k->ctx = ctx;
	acme_op_begin(&k->op, acme, &kind);
}
