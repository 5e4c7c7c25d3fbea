/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages of the DNS signed with a key that both sides know (TSIG, RFC 8945). Pure.
 */
#ifndef CERT_RENEWER_DNS_TSIG_H
#define CERT_RENEWER_DNS_TSIG_H

#include "cert-renewer/dns_message.h"
#include "lib/net/digest.h"

enum { DNS_TSIG_FUDGE = 300 };

struct dns_tsig_key {
	struct dns_name name;
	enum digest digest;
	struct str secret; /* octets; borrowed */
};

/* Of a question: its answer is signed together with it. */
struct dns_tsig_mac {
	unsigned char octets[DIGEST_MAX];
	size_t n;
};

/* Appends the record that signs a message; `now` in seconds since 1970. */
void dns_tsig_sign(struct buf *message, const struct dns_tsig_key *key, int64_t now, struct dns_tsig_mac *mac);

struct dns_tsig_check {
	unsigned error;	     /* what the server says of our signature: DNS_BADKEY, ...; 0: it is good */
	int64_t server_time; /* DNS_BADTIME: its clock, seconds since 1970 */
	const char *why;     /* false: what is wrong with the answer's */
};

/* True: the answer comes from whoever has the key. With an error that is said without a signature (DNS_BADKEY, DNS_BADSIG) it is
 * false, and error set. */
bool dns_tsig_check(const struct dns_message *answer, const struct dns_tsig_key *key, const struct dns_tsig_mac *question,
		    int64_t now, struct dns_tsig_check *check);

#endif
