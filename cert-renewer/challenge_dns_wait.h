/* SPDX-License-Identifier: Apache-2.0
 *
 * Waiting until the name servers show a TXT record (acme.dns_check), or for as long as that takes (acme.dns_wait).
 */
#ifndef CERT_RENEWER_CHALLENGE_DNS_WAIT_H
#define CERT_RENEWER_CHALLENGE_DNS_WAIT_H

#include "cert-renewer/challenge.h"
#include "cert-renewer/dns_client.h"

struct challenge_dns_wait;

/* Borrowed for the call. */
struct challenge_dns_wait_for {
	const char *servers; /* ADDRESS or ADDRESS:PORT, blanks between; empty: all of `most` is waited */
	int64_t most;
	const char *record, *value;
};

/* fn is called once, never before this returns. */
struct challenge_dns_wait *challenge_dns_wait_start(struct loop *loop, struct dns_client *client,
						    const struct challenge_dns_wait_for *what, challenge_fn *fn, void *ctx);
/* Then fn is not called. */
void challenge_dns_wait_free(struct challenge_dns_wait **wait);

#endif
