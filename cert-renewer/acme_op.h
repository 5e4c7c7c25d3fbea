/* SPDX-License-Identifier: Apache-2.0
 *
 * Something that is under way at an authority (an order, a revocation ...): it waits until the directory, and the account where it wants
 * one, are known, then makes its requests one after the other.
 */
#ifndef CERT_RENEWER_ACME_OP_H
#define CERT_RENEWER_ACME_OP_H

#include "cert-renewer/acme.h"
#include "cert-renewer/acme_call.h"

struct acme_op;

struct acme_op_kind {
	bool wants_account;
	void (*ready)(struct acme_op *op); /* the first request can be made */
	/* Tells the owner, and ends it. */
	void (*fail)(struct acme_op *op, const struct acme_failure *failure);
	/* Gives back what it has and is; the challenges of an order too. */
	void (*destroy)(struct acme_op *op);
};

/* The first member of what it is. */
struct acme_op {
	const struct acme_op_kind *kind;
	struct acme *acme;
	struct acme_session *session;
	struct acme_op *next, *prev; /* of one authority */
	struct acme_call *call;
	void *part; /* of whoever makes its requests now */
	bool is_waiting;   /* for directory and account */
	bool has_directory; /* it was asked for since this began */
	bool is_doomed;	   /* what it waited for has failed, and it is told in a moment */
	bool was_renewed;  /* the account was made anew for it */
	void (*then)(struct acme_op *op, const struct acme_reply *reply, const struct acme_failure *failure);
};

typedef void acme_op_fn(struct acme_op *op, const struct acme_reply *reply, const struct acme_failure *failure);

/* ready() or fail() follow; never before this returns. */
void acme_op_begin(struct acme_op *op, struct acme *acme, const struct acme_op_kind *kind);
/* Makes a request; one at a time. */
void acme_op_ask(struct acme_op *op, const struct acme_request *request, acme_op_fn *then);
/* After the first request: the authority does not know the account (any more). Once, it is made anew, and ready() comes again: true. */
bool acme_op_again(struct acme_op *op, const struct acme_failure *failure);
/* Fails with a sentence of its own; `is_ours` as in the failure. */
void acme_op_fail(struct acme_op *op, const char *step, bool is_ours, const char *format, ...) __attribute__((format(printf, 4, 5)));
/* It is over: its call is taken back, and it is destroyed when nobody runs in it any more. */
void acme_op_end(struct acme_op *op);

#endif
