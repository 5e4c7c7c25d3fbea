/* SPDX-License-Identifier: Apache-2.0
 *
 * An answer of the authority's, and what is wrong with it, as a sentence for people. Pure.
 */
#ifndef CERT_RENEWER_ACME_REPLY_H
#define CERT_RENEWER_ACME_REPLY_H

#include "cert-renewer/acme.h"

enum {
	ACME_REPLY_LINKS = 16,
	ACME_REPLY_NONCE = 256,
	ACME_REPLY_ALTERNATES = 8,
	ACME_REPLY_LONGEST = 30 * 86400, /* seconds: no Retry-After holds us off for longer */
};

/* Borrowed texts; empty: there is none. */
struct acme_reply {
	unsigned status;
	bool is_complete, is_cut; /* as of struct http_answer */
	struct str error;	  /* why it is not complete */
	struct str body, type, location, retry_after;
	struct str links[ACME_REPLY_LINKS];
	unsigned n_links;
};

/* Is it an answer of a good status, with a body of this type (NULL: whatever)? If not, the failure says what it is; step and clock
 * are for the caller to add. `now`: wall clock, microseconds. */
bool acme_reply_judge(const struct acme_reply *reply, const char *type, int64_t now, struct acme_failure *failure);
/* Is this one of the problems (RFC 8555, 6.7) that no waiting helps against? */
bool acme_reply_is_ours(const char *problem);
/* The alphabet of RFC 8555, 6.5.1. */
bool acme_reply_is_nonce(struct str text);
/* The URL of the n-th link of this relation. */
bool acme_reply_link(const struct acme_reply *reply, const char *relation, unsigned n, struct str *url);
/* How long it asks to wait, microseconds; else `otherwise`. */
int64_t acme_reply_wait(const struct acme_reply *reply, int64_t now, int64_t otherwise);

/* Sets a failure that is nobody's problem but what the sentence says. */
void acme_reply_fail(struct acme_failure *failure, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Puts "STEP: " in front. */
void acme_reply_add_step(struct acme_failure *failure, const char *step);
/* When the sentence, or the time that the authority last told (ours less theirs, seconds), lets think that this host's clock is wrong,
 * says so at the end. */
void acme_reply_add_clock(struct acme_failure *failure, int64_t ahead, int64_t now);

#endif
