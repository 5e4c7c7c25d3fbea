/* SPDX-License-Identifier: Apache-2.0
 *
 * Showing that a name is ours (RFC 8555, 8; RFC 8737): the answer to a challenge is put where the authority looks for it,
 * and taken away again. Which way is the certificate's wish; the ways are challenge_http.c, challenge_alpn.c, challenge_dns.c.
 */
#ifndef CERT_RENEWER_CHALLENGE_H
#define CERT_RENEWER_CHALLENGE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/str.h"
#include "lib/net/loop.h"
#include "lib/settings/settings.h"

struct cert_share;
struct challenges;

struct challenges_config {
	struct loop *loop;
	const struct settings *settings; /* replaced with challenges_use_settings() */
	struct cert_share *share;	 /* borrowed for life; NULL: nothing is shared */
	int webroot;			 /* the directory acme.webroot, borrowed for life; -1: none */
};

struct challenges *challenges_new(const struct challenges_config *config);
/* What is under way goes on as it was begun. */
void challenges_use_settings(struct challenges *challenges, const struct settings *settings);
/* Takes over a listening socket: `which` is SERVICE_LISTENER_HTTP_01 or SERVICE_LISTENER_TLS_ALPN_01. It takes the place of the
 * one before. False: it is neither, and the socket still the caller's. */
bool challenges_listen(struct challenges *challenges, uint32_t which, int fd);
/* Nothing is presented, nor still being taken away: a process that ends waits for it, for a while. */
bool challenges_are_idle(const struct challenges *challenges);
/* Logs what is to be removed from the DNS and acme.webroot by hand, when it waits no longer. */
void challenges_say_left(const struct challenges *challenges);
/* Nobody is called back. What is presented is not taken away: withdraw it before. */
void challenges_free(struct challenges **challenges);

/* Texts are borrowed for the call of the function. */
struct challenge {
	int kind;		      /* CHALLENGE_HTTP_01, ... */
	struct str name;	      /* the identifier without "*." : "example.com" */
	struct str token;	      /* base64url, as the authority gave it and acme_json.c has checked it */
	struct str key_authorization; /* TOKEN.THUMBPRINT (RFC 8555, 8.1) */
};

/* ok: the authority may look for it now. Else `why` says what is in the way. */
typedef void challenge_fn(void *ctx, bool ok, const char *why);

/* fn is called once, never before this returns, unless it is withdrawn first. */
void challenge_present(struct challenges *challenges, const struct challenge *challenge, challenge_fn *fn, void *ctx);
/* Also of one that is not there (any more), or not done: then its fn is not called. */
void challenge_withdraw(struct challenges *challenges, const struct challenge *challenge);

#endif
