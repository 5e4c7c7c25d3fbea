/* SPDX-License-Identifier: Apache-2.0
 *
 * When the authority wants a certificate renewed (RFC 9773).
 */
#include "cert-renewer/acme_op.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"

/* RFC 9773, 4.3.2: in bounds of ours. */
static const int64_t soonest = 60 * CLOCK_SECOND;
static const int64_t usual = 6 * 3600 * CLOCK_SECOND;
static const int64_t latest = 86400 * CLOCK_SECOND;

struct renewal {
	struct acme_op op;
	char *id;
	acme_window_fn *fn;
	void *ctx;
};

static const char step[] = "asking for the renewal information";

static void tell(struct acme_op *op, const struct acme_window *window, const struct acme_failure *failure)
{
	struct renewal *r = (struct renewal *)op;
	acme_window_fn *fn = r->fn;
	void *ctx = r->ctx;

	acme_op_end(op);
	fn(ctx, window, failure);
}

static void fail(struct acme_op *op, const struct acme_failure *failure)
{
	tell(op, NULL, failure);
}

static void on_window(struct acme_op *op, const struct acme_reply *reply, const struct acme_failure *failure)
{
	struct acme_window window = {.is_offered = true};
	int64_t now = clock_wall(), wait;
	struct err err;

	if (failure != NULL) {
		fail(op, failure);
		return;
	}
	if (!acme_json_window(reply->body, &window, &err)) {
		acme_op_fail(op, step, false, "%s", err.text);
		return;
	}
	wait = acme_reply_wait(reply, now, usual);
	window.ask_again_at = now + (wait < soonest ? soonest : wait > latest ? latest : wait);
	tell(op, &window, NULL);
}

static void ready(struct acme_op *op)
{
	const char *base = op->session->directory->renewal_info;
	const struct acme_window none = {.ask_again_at = clock_wall() + latest};
	struct buf url = BUF_MAX(2 * ACME_URL_MAX);
	char *text;

	if (base[0] == '\0') {
		tell(op, &none, NULL);
		return;
	}
	buf_printf(&url, "%s%s%s", base, str_ends(str_of(base), STR("/")) ? "" : "/", ((struct renewal *)op)->id);
	text = buf_take_text(&url);
	acme_op_ask(op, &(struct acme_request){.kind = ACME_CALL_GET, .step = step, .url = text, .type = "application/json", .tries = 1},
		    on_window);
	free(text);
}

static void destroy(struct acme_op *op)
{
	struct renewal *r = (struct renewal *)op;

	free(r->id);
	free(r);
}

void acme_renewal_window(struct acme *acme, struct str renewal_id, acme_window_fn *fn, void *ctx)
{
	static const struct acme_op_kind kind = {false, ready, fail, destroy};
	struct renewal *r = mem_zero(sizeof(*r));

	r->id = str_dup(renewal_id);
	r->fn = fn;
	r->ctx = ctx;
	acme_op_begin(&r->op, acme, &kind);
}
