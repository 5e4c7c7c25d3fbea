/* SPDX-License-Identifier: Apache-2.0
 *
 * Revoking a certificate, by the account that ordered it, or by its own key when that was another one (RFC 8555, 7.6).
 */
#include "cert-renewer/acme_op.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/encode.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"

enum { PAYLOAD_MAX = 65536 };

struct revocation {
	struct acme_op op;
	struct buf payload;
	struct tls_key *key; /* the certificate's */
	bool is_by_key;
	acme_done_fn *fn;
	void *ctx;
};

static const char step[] = "revoking the certificate";

static void finish(struct acme_op *op, const struct acme_failure *failure)
{
	struct revocation *r = (struct revocation *)op;
	acme_done_fn *fn = r->fn;
	void *ctx = r->ctx;

	acme_op_end(op);
	fn(ctx, failure);
}

static void ask(struct acme_op *op);

static void go_on_by_key(struct acme_op *op)
{
	struct revocation *r = (struct revocation *)op;

	if (!tls_key_is(r->key, TLS_KEY_ECDSA)) {
		acme_op_fail(op, step, false, "another account ordered it, whose host has to revoke it: only an ECDSA certificate's own key signs for it here");
		return;
	}
	r->is_by_key = true;
	ask(op);
}

static void on_revoked(struct acme_op *op, const struct acme_reply *reply, const struct acme_failure *failure)
{
	const struct revocation *r = (struct revocation *)op;

	(void)reply;
	if (failure == NULL || strcmp(failure->problem, "alreadyRevoked") == 0)
		finish(op, NULL);
	else if (strcmp(failure->problem, "unauthorized") == 0 && r->key != NULL && !r->is_by_key)
		go_on_by_key(op);
	else if (!acme_op_again(op, failure))
		finish(op, failure);
}

static void ask(struct acme_op *op)
{
	const struct revocation *r = (struct revocation *)op;
	const struct acme_request request = {.kind = r->is_by_key ? ACME_CALL_SIGNED_BY_KEY : ACME_CALL_SIGNED,
					     .step = step,
					     .url = op->session->directory->revoke,
					     .payload = buf_str(&r->payload),
					     .key = r->is_by_key ? r->key : NULL};

	acme_op_ask(op, &request, on_revoked);
}

static void ready(struct acme_op *op)
{
	if (op->session->directory->revoke[0] == '\0')
		acme_op_fail(op, step, false, "the authority does not offer it");
	else
		ask(op);
}

static void destroy(struct acme_op *op)
{
	struct revocation *r = (struct revocation *)op;

	buf_clear(&r->payload);
	tls_key_free(&r->key);
	free(r);
}

void acme_revoke(struct acme *acme, struct str der, struct tls_key *key, unsigned reason, acme_done_fn *fn, void *ctx)
{
	static const struct acme_op_kind kind = {true, ready, finish, destroy};
	struct revocation *r = mem_zero(sizeof(*r));

	r->key = key;
	r->fn = fn;
	r->ctx = ctx;
	r->payload = BUF_MAX(PAYLOAD_MAX);
	buf_put_text(&r->payload, "{\"certificate\":\"");
	encode_base64url(&r->payload, der);
	buf_put_char(&r->payload, '"');
	json_put_int(&r->payload, "reason", reason);
	buf_put_char(&r->payload, '}');
	acme_op_begin(&r->op, acme, &kind);
}
