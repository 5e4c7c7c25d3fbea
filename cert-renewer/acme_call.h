/* SPDX-License-Identifier: Apache-2.0
 *
 * One request to the authority and its answer: nonces, signatures, badNonce and what is worth trying again are seen to in here.
 */
#ifndef CERT_RENEWER_ACME_CALL_H
#define CERT_RENEWER_ACME_CALL_H

#include "cert-renewer/acme_json.h"
#include "cert-renewer/acme_reply.h"

struct acme_call;

enum { ACME_CALL_NONCES = 16 };

/* What requests have in common. */
struct acme_session {
	struct loop *loop;
	struct http_client *http;
	bool http_is_fine;		       /* the authority is on this host, and without TLS */
	const struct tls_key *key;	       /* the account's */
	char *account;			       /* its URL; NULL: not known */
	struct acme_json_directory *directory; /* NULL: not known */
	char nonces[ACME_CALL_NONCES][ACME_REPLY_NONCE];
	unsigned n_nonces;
	int64_t ahead; /* our clock less the authority's, seconds, as its last answer told */
};

enum acme_call_kind {
	ACME_CALL_GET,		  /* unsigned */
	ACME_CALL_SIGNED,	  /* by the account */
	ACME_CALL_SIGNED_BY_KEY,  /* by a key that need not have an account */
};

/* Texts are borrowed for the call of the function. */
struct acme_request {
	enum acme_call_kind kind;
	const char *step; /* for sentences: "ordering" */
	const char *url;
	struct str payload;	   /* empty: POST-as-GET */
	const char *type;	   /* of the answer that is wanted; NULL: whatever */
	const struct tls_key *key; /* SIGNED_BY_KEY; NULL: what is the account's then, which a change of it may free meanwhile */
	unsigned tries;		   /* so often at most, when the answer is none or promises better; 0: a few times */
};

/* One of both is NULL. It may start other calls, and end the session. */
typedef void acme_call_fn(void *ctx, const struct acme_reply *reply, const struct acme_failure *failure);
/* fn is called once, never before this returns. */
struct acme_call *acme_call_start(struct acme_session *session, const struct acme_request *request, acme_call_fn *fn, void *ctx);
/* Of one whose fn was not called: it will not be. Sets *call to NULL. */
void acme_call_cancel(struct acme_call **call);
/* "STEP: ", and what is to be said of the clock. */
void acme_call_complete(const struct acme_session *session, const char *step, struct acme_failure *failure);

#endif
