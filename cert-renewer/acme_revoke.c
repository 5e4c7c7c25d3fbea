/* SPDX-License-Identifier: Apache-2.0
 *
 * Revoking a certificate, by the account that ordered it (RFC 8555, 7.6).
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

static void on_revoked(struct acme_op *op, const struct acme_reply *reply, const struct acme_failure *failure)
{
	(void)reply;
	if (failure == NULL || strcmp(failure->problem, "alreadyRevoked") == 0)
		finish(op, NULL);
	else if (!acme_op_again(op, failure))
		finish(op, failure);
}

static void ready(struct acme_op *op)
{
	const struct acme_request request = {.kind = ACME_CALL_SIGNED,
					     .step = step,
					     .url = op->session->directory->revoke,
					     .payload = buf_str(&((struct revocation *)op)->payload)};

	if (request.url[0] == '\0')
		acme_op_fail(op, step, false, "the authority does not offer it");
	else
		acme_op_ask(op, &request, on_revoked);
}

static void destroy(struct acme_op *op)
{
	struct revocation *r = (struct revocation *)op;

	buf_clear(&r->payload);
	free(r);
}

void acme_revoke(struct acme *acme, struct str der, unsigned reason, acme_done_fn *fn, void *ctx)
{
	static const struct acme_op_kind kind = {true, ready, finish, destroy};
	struct revocation *r = mem_zero(sizeof(*r));

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
