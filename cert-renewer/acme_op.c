/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of an operation.
 */
#include "cert-renewer/acme_op.h"

#include <stdarg.h>
#include <string.h>

#include "cert-renewer/acme_account.h"
#include "lib/base/trouble.h"

static void link_in(struct acme_op *op)
{
	op->next = op->acme->ops;
	if (op->next != NULL)
		op->next->prev = op;
	op->acme->ops = op;
}

static void take_out(struct acme_op *op)
{
	if (op->prev != NULL)
		op->prev->next = op->next;
	else
		op->acme->ops = op->next;
	if (op->next != NULL)
		op->next->prev = op->prev;
}

static void wait_for_account(struct acme_op *op)
{
	op->is_waiting = true;
	loop_timer_set(op->acme->timer, 0);
}

void acme_op_begin(struct acme_op *op, struct acme *acme, const struct acme_op_kind *kind)
{
	op->kind = kind;
	op->acme = acme;
	op->session = &acme->session;
	link_in(op);
	wait_for_account(op);
}

static void on_reply(void *ctx, const struct acme_reply *reply, const struct acme_failure *failure)
{
	struct acme_op *op = ctx;

	op->call = NULL;
	op->then(op, reply, failure);
}

void acme_op_ask(struct acme_op *op, const struct acme_request *request, acme_op_fn *then)
{
	must(op->call == NULL);
	op->then = then;
	op->call = acme_call_start(op->session, request, on_reply, op);
}

bool acme_op_again(struct acme_op *op, const struct acme_failure *failure)
{
	if (strcmp(failure->problem, "accountDoesNotExist") != 0 || op->was_renewed)
		return false;
	op->was_renewed = true;
	acme_account_forget(op->acme);
	wait_for_account(op);
	return true;
}

void acme_op_fail(struct acme_op *op, const char *step, bool is_ours, const char *format, ...)
{
	struct acme_failure failure;
	struct buf text = BUF_MAX(16384);
	va_list args;

	va_start(args, format);
	buf_vprintf(&text, format, args);
	va_end(args);
	acme_reply_fail(&failure, "%.*s", STR_ARG(buf_str(&text)));
	buf_clear(&text);
	failure.is_ours = is_ours;
	acme_call_complete(op->session, step, &failure);
	op->kind->fail(op, &failure);
}

static void destroy(void *ctx)
{
	struct acme_op *op = ctx;

	op->kind->destroy(op);
}

void acme_op_end(struct acme_op *op)
{
	struct loop *loop = op->session->loop;

	acme_call_cancel(&op->call);
	take_out(op);
	loop_later(loop, destroy, op);
}
