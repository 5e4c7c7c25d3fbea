/* SPDX-License-Identifier: Apache-2.0
 *
 * The server of tls-alpn-01 (RFC 8737): it speaks only acme-tls/1, and has no certificate of its
 * own. A client that offers the protocol and names a host waits until the connection is told which
 * certificate to show (on_wanted of lib/net/conn.h); with others the handshake fails.
 */
#ifndef LIB_NET_TLS_ACME_H
#define LIB_NET_TLS_ACME_H

struct tls_server;

struct tls_server *tls_acme_server(void);

#endif
