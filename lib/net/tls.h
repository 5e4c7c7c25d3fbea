/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS contexts: what a server shows, what a client trusts. The only file with OpenSSL's SSL_CTX and
 * SSL (lib/net/conn.c moves the bytes through the functions at the end).
 */
#ifndef LIB_NET_TLS_H
#define LIB_NET_TLS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

struct tls_server; /* certificate, key and rules of a listener; counted: sessions keep the one they began with */
struct tls_client;
struct tls; /* one connection's TLS */

enum tls_min { TLS_1_2, TLS_1_3 };

/* What is known of a certificate, for logs, the status and refusals. */
struct tls_certificate {
	char subject[256], issuer[256], serial[64], names[512];
	int64_t not_before, not_after; /* seconds since 1970 */
};

/* From PEM text: the chain (the server's own certificate first) and the key, in any order. False when it
 * does not parse, the key does not fit, or it is not valid at `now` (seconds); err says which. */
struct tls_server *tls_server_new(struct str pem, enum tls_min min, int64_t now, struct err *err);
struct tls_server *tls_server_keep(struct tls_server *server);
void tls_server_free(struct tls_server **server);
/* The checks of tls_server_new() alone, and what the certificate says: for master and the tools. */
bool tls_certificate_read(struct str pem, bool with_key, int64_t now, struct tls_certificate *out,
			  struct err *err);

/* A client that trusts the authorities in ca_pem (or the system's when empty), or with `insecure` anybody. */
struct tls_client *tls_client_new(struct str ca_pem, bool insecure, enum tls_min min, struct err *err);
void tls_client_free(struct tls_client **client);
/* For a library with TLS of its own (libcurl): its SSL_CTX trusts the same authorities, without reading them
 * again for every connection (20 ms and a megabyte for the system's). */
void tls_client_lend(const struct tls_client *client, void *ssl_ctx);

/* The connection's side: lib/net/conn.c only. `host` is checked against the certificate and sent as SNI. */
struct tls *tls_accept(struct tls_server *server, int fd);
struct tls *tls_connect(struct tls_client *client, int fd, const char *host);
void tls_free(struct tls **tls);

enum tls_result { TLS_DONE, TLS_WANT_READ, TLS_WANT_WRITE, TLS_END, TLS_FAILED };
enum tls_result tls_handshake(struct tls *tls, struct err *err);
enum tls_result tls_read(struct tls *tls, char *to, size_t size, size_t *got, struct err *err);
enum tls_result tls_write(struct tls *tls, const char *from, size_t n, size_t *sent, struct err *err);
/* Bytes that are decrypted, or read from the socket, but not yet given by tls_read(). */
bool tls_has_pending(const struct tls *tls);
/* From now on all waits in the socket, to leave in one packet with the end of the connection. */
void tls_gather(struct tls *tls);
/* Sends close_notify, without waiting for the other's. */
void tls_shutdown(struct tls *tls);
const char *tls_version(const struct tls *tls); /* "TLSv1.3" */
const char *tls_cipher(const struct tls *tls);	/* "TLS_AES_256_GCM_SHA384" */
/* The peer's certificate, for messages to people; false when it showed none. */
bool tls_peer(const struct tls *tls, struct tls_certificate *out);

#endif
