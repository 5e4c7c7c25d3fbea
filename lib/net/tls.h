/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS: what a client trusts, and one connection's side (lib/net/conn.c moves the bytes through it). What a server shows
 * is in lib/net/tls_server.h. Nobody outside lib/net/tls*.c sees OpenSSL's SSL.
 */
#ifndef LIB_NET_TLS_H
#define LIB_NET_TLS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/net/tls_certificate.h"

struct tls_server; /* certificates, keys and rules; counted: sessions keep the one they began with */
struct tls_client;
struct tls; /* one connection's TLS */

enum tls_min { TLS_1_2, TLS_1_3 };
/* Whether a client is asked for a certificate. TLS_ASK: with a bad one, as without, the handshake goes on, and the client
 * is nobody by it. TLS_REQUIRE: it fails. */
enum tls_ask { TLS_ASK_NOTHING, TLS_ASK, TLS_REQUIRE };

/* A client that trusts the authorities in ca_pem (or the system's when empty), or with `insecure` anybody. */
struct tls_client *tls_client_new(struct str ca_pem, bool insecure, enum tls_min min, struct err *err);
void tls_client_free(struct tls_client **client);
/* For a library with TLS of its own (libcurl): its SSL_CTX trusts the same authorities, without reading them
 * again for every connection (20 ms and a megabyte for the system's). */
void tls_client_lend(const struct tls_client *client, void *ssl_ctx);

/* The connection's side: lib/net/conn.c only. `host` is checked against the certificate and sent as SNI. */
struct tls *tls_accept(struct tls_server *server, int fd, enum tls_ask ask);
struct tls *tls_connect(struct tls_client *client, int fd, const char *host);
void tls_free(struct tls **tls);

/* WANT_CERTIFICATE: of a server that is told while the handshake waits (lib/net/tls_acme.h). */
enum tls_result { TLS_DONE, TLS_WANT_READ, TLS_WANT_WRITE, TLS_WANT_CERTIFICATE, TLS_END, TLS_FAILED };
enum tls_result tls_handshake(struct tls *tls, struct err *err);
/* After WANT_CERTIFICATE: for which host. */
const char *tls_wanted_host(const struct tls *tls);
/* What the handshake waits for: the (first) certificate of this server; NULL: there is none, and the handshake fails. */
void tls_show(struct tls *tls, const struct tls_server *server);
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
bool tls_is_resumed(const struct tls *tls);
/* The peer's certificate, for messages to people; false when it showed none. */
bool tls_peer(const struct tls *tls, struct tls_certificate *out);
/* Of an accepted connection whose handshake is done: what the client's certificate says, "sha256:HEX dns:NAME
 * email:ADDRESS ...", blanks between, only characters of host names and plain addresses; with pinned certificates the
 * fingerprint alone, for nobody vouches for the names. Borrowed for the life of the connection. NULL: it showed none (err is
 * empty), or one that is not accepted (err says why). */
const char *tls_client_claims(struct tls *tls, struct err *err);

#endif
