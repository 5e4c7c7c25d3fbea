/* SPDX-License-Identifier: Apache-2.0
 *
 * A server with other rules of the handshake.
 */
#include "lib/net/tls_acme.h"

#include "lib/base/trouble.h"
#include "lib/net/tls_openssl.h"
#include "lib/net/tls_server.h"

/* As in the extension, its length first. */
static const unsigned char protocol[] = "\x0a"
					"acme-tls/1";

/* Without the extension on_protocols() would not be called. */
static int on_hello(SSL *ssl, int *alert, void *ctx)
{
	const unsigned char *extension;
	size_t n;

	(void)ctx;
	*alert = SSL_AD_NO_APPLICATION_PROTOCOL;
	return SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation,
					 &extension, &n) == 1
		       ? SSL_CLIENT_HELLO_SUCCESS
		       : SSL_CLIENT_HELLO_ERROR;
}

static int on_protocols(SSL *ssl, const unsigned char **out, unsigned char *n_out,
			const unsigned char *in, unsigned n_in, void *ctx)
{
	(void)ssl;
	(void)ctx;
	/* One of the client's, or else ours: that is no agreement. */
	return SSL_select_next_proto((unsigned char **)out, n_out, protocol, sizeof(protocol) - 1,
				     in, n_in) == OPENSSL_NPN_NEGOTIATED
		       ? SSL_TLSEXT_ERR_OK
		       : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int on_server_name(SSL *ssl, int *alert, void *ctx)
{
	(void)ctx;
	*alert = SSL_AD_UNRECOGNIZED_NAME;
	return SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) != NULL
		       ? SSL_TLSEXT_ERR_OK
		       : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Told that there is none, OpenSSL finds nothing to show, and says handshake_failure. */
static int on_certificate(SSL *ssl, void *ctx)
{
	enum { GO_ON = 1, WAIT = -1 };

	(void)ctx;
	return tls_is_told(ssl) ? GO_ON : WAIT;
}

struct tls_server *tls_acme_server(void)
{
	struct tls_server *server = tls_server_new(TLS_1_2); /* RFC 8737, 3 */
	SSL_CTX *context = tls_server_context(server);

	SSL_CTX_set_client_hello_cb(context, on_hello, NULL);
	SSL_CTX_set_alpn_select_cb(context, on_protocols, NULL);
	SSL_CTX_set_tlsext_servername_callback(context, on_server_name);
	SSL_CTX_set_cert_cb(context, on_certificate, NULL);
	return server;
}
