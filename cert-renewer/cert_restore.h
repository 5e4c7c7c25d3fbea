/* SPDX-License-Identifier: Apache-2.0
 *
 * The best certificate that the backup has: one for our names that another host obtained, or this one before its disk was lost.
 */
#ifndef CERT_RENEWER_CERT_RESTORE_H
#define CERT_RENEWER_CERT_RESTORE_H

#include "cert-renewer/cert_backup.h"
#include "lib/net/tls_certificate.h"
#include "lib/net/tls_key.h"

struct cert_restore;

struct cert_restore_wish {
	struct str key; /* in the section certificates */
	const struct str *names;
	unsigned n_names;
	enum tls_key_type key_type;
	int64_t newer_than;  /* by the certificates' not_before, seconds */
	const char *but_not; /* a fingerprint, or "" */
};

/* Of key and chain in one PEM text: would it do? Good at `now` (seconds), for just these names, with that type of key, newer,
 * and not what no authority gives: signed by itself, or good for more than 400 days. */
bool cert_restore_is_good(const struct cert_restore_wish *wish, struct str pem, int64_t now, struct tls_certificate *seen, struct err *err);

/* pem: empty: there is none. why: what went wrong on the way, or "". */
typedef void cert_restore_fn(void *ctx, struct str pem, const struct tls_certificate *seen, const char *why);
/* The wish is copied. fn is called once, never before this returns. */
struct cert_restore *cert_restore_start(struct cert_backup *backup, const struct cert_restore_wish *wish, cert_restore_fn *fn, void *ctx);
/* fn will not be called. */
void cert_restore_forget(struct cert_restore **restore);

#endif
