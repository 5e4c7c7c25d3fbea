/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions to one name server: over UDP, some times, and over TCP when the answer is too long for that. Who the answer comes
 * from is told by its id and port, and by its signature where there is a key.
 */
#ifndef CERT_RENEWER_DNS_CLIENT_H
#define CERT_RENEWER_DNS_CLIENT_H

#include "cert-renewer/dns_message.h"
#include "cert-renewer/dns_tsig.h"
#include "lib/net/loop.h"

enum { DNS_CLIENT_PORT = 53 };

struct dns_client;
struct dns_client_call;

struct dns_client_request {
	const char *host; /* name or address; copied */
	uint16_t port;
	const struct dns_message_question *question; /* copied, but for its value */
	const struct dns_tsig_key *key; /* borrowed until the end, as the question's value; NULL: nothing is signed */
};

/* Borrowed for the callback. */
struct dns_client_answer {
	const struct dns_message *message; /* NULL: there is none, `why` says so */
	unsigned rcode;			   /* the message's, or what its TSIG says (DNS_BADKEY, ...) */
	int64_t clock_ahead;		   /* DNS_BADTIME: the server's, in seconds; 0: it does not say */
	const char *why;
};

typedef void dns_client_fn(void *ctx, const struct dns_client_answer *answer);

struct dns_client *dns_client_new(struct loop *loop);
/* Nobody is called back. */
void dns_client_free(struct dns_client **client);
/* fn is called once, never before this returns; the call is gone then. */
struct dns_client_call *dns_client_start(struct dns_client *client, const struct dns_client_request *request, dns_client_fn *fn,
					 void *ctx);
/* fn will not be called. */
void dns_client_cancel(struct dns_client_call **call);

#endif
