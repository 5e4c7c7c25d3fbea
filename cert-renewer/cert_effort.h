/* SPDX-License-Identifier: Apache-2.0
 *
 * One try to get a certificate: the lock that all hosts share, what the backup has, the account, an order. What comes of it, and when the
 * next try is, is for cert_job.c.
 */
#ifndef CERT_RENEWER_CERT_EFFORT_H
#define CERT_RENEWER_CERT_EFFORT_H

#include "cert-renewer/cert_parts.h"
#include "lib/net/tls_certificate.h"

struct cert_effort;

struct cert_effort_wish {
	const char *key; /* in the section certificates */
	const struct settings_certificate *row;
	bool is_urgent; /* there is no good one */
	int64_t newer_than; /* what the backup has: by not_before */
	const char *but_not; /* a fingerprint, or "" */
	struct str replaces; /* tls_certificate_put_renewal_id(); empty: nothing that the authority wants to know of */
};

struct cert_effort_result {
	struct str pem; /* key and chain, checked; secret. Empty: it failed, or has to wait */
	struct tls_certificate seen;
	bool is_restored;		    /* it is from the backup */
	const struct acme_failure *failure; /* NULL: none */
	struct str other_host;		    /* has the lock: wait for it */
};

/* Called once, unless it is cancelled; the effort has ended. With a pem from an order the lock is still ours: cert_effort_unlock(). */
typedef void cert_effort_fn(void *ctx, const struct cert_effort_result *result);
/* Everything is copied. fn is never called before this returns. */
struct cert_effort *cert_effort_start(struct cert_parts *parts, const struct cert_effort_wish *wish, cert_effort_fn *fn, void *ctx);
/* The account is there, or will not be. */
void cert_effort_poke(struct cert_effort *effort);
void cert_effort_cancel(struct cert_effort **effort);
void cert_effort_unlock(struct cert_parts *parts, const char *key);

/* The names of a row, each; borrowed from the row. Returns how many. */
unsigned cert_effort_names(const struct settings_certificate *row, struct str names[ACME_NAMES_MAX]);
enum tls_key_type cert_effort_key_type(const struct settings_certificate *row);

#endif
