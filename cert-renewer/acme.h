/* SPDX-License-Identifier: Apache-2.0
 *
 * An account at one authority (RFC 8555), and what is done with it: orders, revocation, another key, and when to renew
 * (ARI, RFC 9773). One request to the authority at a time and order; nonces, badNonce and Retry-After are seen to in here.
 */
#ifndef CERT_RENEWER_ACME_H
#define CERT_RENEWER_ACME_H

#include <stdbool.h>
#include <stdint.h>

#include "cert-renewer/challenge.h"
#include "lib/base/buf.h"
#include "lib/base/str.h"
#include "lib/net/http_client.h"
#include "lib/net/loop.h"
#include "lib/net/tls_key.h"

enum { ACME_WHY = 512, ACME_NAMES_MAX = 100, ACME_URL_MAX = 2048, ACME_PROBLEM = 64 };

struct acme;
struct acme_order;

struct acme_config {
	struct loop *loop;
	struct http_client *http; /* trusts acme.ca_file */
	const char *directory;	  /* URL */
	bool agrees;
	struct str contact;	   /* addresses with blanks between, without mailto: */
	struct str eab_key_id, eab_key; /* the key in base64url; both empty: none */
	const struct tls_key *key; /* the account's, ECDSA; borrowed until acme_free() or the end of acme_change_key() */
	/* Its URL; empty: it is asked for, or made, with the first need. Only then are other contacts than before told. */
	struct str account;
	/* The account's URL became known (or another one): to be kept. */
	void (*on_account)(void *ctx, struct str url);
	void *ctx;
};

/* Why something failed. */
struct acme_failure {
	char why[ACME_WHY];	    /* a sentence for people: step, the authority's words */
	char problem[ACME_PROBLEM]; /* "rateLimited": RFC 8555, 6.7, without its URN; "" when it is none of these */
	int64_t not_before;	    /* wall clock, microseconds: the authority wants no other try before; 0: it does not say */
	bool is_ours;		    /* nothing will help but another setting: badCSR, rejectedIdentifier, externalAccountRequired, ... */
};

/* Texts of the config are copied; http, loop, key are borrowed. */
struct acme *acme_new(const struct acme_config *config);
/* What is under way fails: its fn is called within, and must begin nothing with this account; the challenges of its orders are withdrawn.
 * Not in a callback of it. */
void acme_free(struct acme **acme);

/* All borrowed for the call; what is needed later is copied, but the key, which is borrowed until the end. */
struct acme_wish {
	const struct str *names; /* DNS names, also *.example.com */
	unsigned n_names;
	const struct tls_key *key; /* the certificate's */
	int challenge;		   /* CHALLENGE_HTTP_01, ... */
	struct str profile;	   /* empty: the authority's default */
	struct str replaces;	   /* tls_certificate_renewal_id() of the one before; empty: none */
	struct str preferred_chain; /* the common name of the last issuer; empty: any */
};

/* `chain`: PEM, the certificate first, checked to be for the key and names; NULL failure. Else failure, chain empty. */
typedef void acme_order_fn(void *ctx, struct str chain, const struct acme_failure *failure);
/* From newOrder to the download; the challenges are withdrawn whatever happens. fn is called once, never before this returns; the order
 * is over then. */
struct acme_order *acme_order_start(struct acme *acme, const struct acme_wish *wish, struct challenges *challenges,
				    acme_order_fn *fn, void *ctx);
/* fn is not called; the challenges are withdrawn. */
void acme_order_cancel(struct acme_order **order);

/* failure NULL: done. */
typedef void acme_done_fn(void *ctx, const struct acme_failure *failure);
/* RFC 8555, 7.6: `der` is the certificate; reason of RFC 5280, 5.3.1. One that is revoked already is done, too. The certificate's `key`
 * signs when the authority says that the account may not: it is taken over; NULL: it is not at hand. */
void acme_revoke(struct acme *acme, struct str der, struct tls_key *key, unsigned reason, acme_done_fn *fn, void *ctx);
/* RFC 8555, 7.3.5: from then on the account's key is this one, borrowed as the first was. */
void acme_change_key(struct acme *acme, const struct tls_key *key, acme_done_fn *fn, void *ctx);

/* RFC 9773, 4.2 */
struct acme_window {
	bool is_offered;	    /* the authority has renewal information at all */
	int64_t start, end;	    /* wall clock, microseconds */
	int64_t ask_again_at;	    /* wall clock, microseconds */
	char explanation[ACME_WHY]; /* a URL for people, or "" */
};

typedef void acme_window_fn(void *ctx, const struct acme_window *window, const struct acme_failure *failure);
void acme_renewal_window(struct acme *acme, struct str renewal_id, acme_window_fn *fn, void *ctx);

#endif
