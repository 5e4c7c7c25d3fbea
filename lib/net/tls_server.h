/* SPDX-License-Identifier: Apache-2.0
 *
 * What a server shows and whom it trusts: certificates by host name, authorities for client certificates, the
 * keys of the session tickets. It is made new whenever any of it but the ticket keys changes; a connection keeps the one
 * that it began with.
 *
 *	server = tls_server_new(TLS_1_2);
 *	tls_server_add(server, pem, ocsp, now, &seen, &err);	(the first one is for clients that name no known host)
 */
#ifndef LIB_NET_TLS_SERVER_H
#define LIB_NET_TLS_SERVER_H

#include <stddef.h>

#include "lib/net/tls.h"

enum {
	TLS_SERVER_CERTIFICATES = 64,
	TLS_SERVER_TICKET_KEY = 80,	   /* name 16, AES 32, HMAC 32 */
	TLS_SERVER_TICKET_KEYS = 3,	   /* the one in use and its predecessors */
	TLS_SERVER_CA_NAMES = 4096,	   /* octets of authorities' names in a handshake; when they have more, none */
};

/* Without a certificate yet. Counted. */
struct tls_server *tls_server_new(enum tls_min min);
struct tls_server *tls_server_keep(struct tls_server *server);
void tls_server_free(struct tls_server **server);

/* From PEM text: the chain (the server's own certificate first) and the key, in any order. An OCSP response that
 * is not good is left out (tls_ocsp_check() says why). False, and nothing is added: it does not parse, the key
 * does not fit or is too weak, or it is not valid at `now` (seconds; 0: whenever); err says which. */
bool tls_server_add(struct tls_server *server, struct str pem, struct str ocsp, int64_t now,
		    struct tls_certificate *seen, struct err *err);

bool tls_server_is_empty(const struct tls_server *server);

/* What tls_server_trust() found. */
struct tls_server_trusted {
	unsigned authorities, lists;
	int64_t lists_until; /* when the first of the revocation lists is out of date; seconds since 1970 */
};

/* Whose client certificates are accepted. pem: certificates of authorities, and their revocation lists; when there are
 * any, a client's certificate is looked for on its issuer's. pins: fingerprints of the only certificates that are
 * accepted; then nothing but the fingerprint counts. Both may be empty. */
bool tls_server_trust(struct tls_server *server, struct str pem, struct str pins, struct tls_server_trusted *found,
		      struct err *err);

/* Keys of TLS_SERVER_TICKET_KEY octets, the one in use first; may be replaced at any time. A ticket is good for `lifetime`
 * seconds. Without keys there are no tickets, and never for a connection that asks for a client certificate. */
void tls_server_set_tickets(struct tls_server *server, struct str keys, int64_t lifetime);

/* What connections of this process are on: first what `current` shows, in its order, then certificates that are not
 * there any more and have sessions left. Resumed sessions were shown no certificate. */
struct tls_server_shown {
	const struct tls_certificate *certificate;
	size_t sessions;
	bool is_current, is_fallback;
};

void tls_server_each(const struct tls_server *current, void (*fn)(void *ctx, const struct tls_server_shown *shown),
		     void *ctx);

#endif
