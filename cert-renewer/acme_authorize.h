/* SPDX-License-Identifier: Apache-2.0
 *
 * Showing the authority that the names of an order are ours (RFC 8555, 7.5): all challenges are put up together, then told, then awaited.
 */
#ifndef CERT_RENEWER_ACME_AUTHORIZE_H
#define CERT_RENEWER_ACME_AUTHORIZE_H

#include "cert-renewer/acme_op.h"

struct acme_authorize;

/* All of them are valid; what went wrong is told with op->kind->fail(). The challenges are withdrawn. */
typedef void acme_authorize_fn(struct acme_op *op);

struct acme_authorize_wish {
	const struct acme_json_order *order; /* its authorizations; copied */
	char *const *names; /* of the order; borrowed */
	unsigned n_names;
	int kind; /* CHALLENGE_HTTP_01, ... */
	struct challenges *challenges;
};

/* Makes the requests of `op`, whose other ones wait meanwhile. */
struct acme_authorize *acme_authorize_start(struct acme_op *op, const struct acme_authorize_wish *wish, acme_authorize_fn *fn);
/* Withdraws what is there. It does not end op->call. */
void acme_authorize_end(struct acme_authorize **authorize);

#endif
