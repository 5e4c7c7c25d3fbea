/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS on OpenSSL 3: what all contexts have in common, what a client trusts, and the bytes of one connection.
 */
#include "lib/net/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/net/tls_openssl.h"

struct tls_client {
	SSL_CTX *ctx;
};

struct tls {
	SSL *ssl;
	struct tls_server *server;   /* of an accepted connection */
	struct tls_identity *shown; /* of its certificates; NULL before the handshake is done */
	char *claims;		    /* of the client's certificate */
	X509 *refused;		    /* the other side's certificate that was not accepted */
	enum tls_ask ask;
	int fd;
	int trouble; /* errno of the socket */
	bool is_shut;
	bool is_gathering;
	bool is_told; /* tls_show() was called */
};

static int tls_index = -1; /* of struct tls in an SSL's extra data */
static BIO_METHOD *socket_method;

/* More follows, so the kernel may wait with it (MSG_MORE): last words; and a ticket of TLS 1.3, which nobody waits for, goes with
 * what is said next, as one packet. */
static bool is_followed(const struct tls *tls)
{
	return tls->is_gathering || (tls->server != NULL && SSL_get_state(tls->ssl) == TLS_ST_SW_SESSION_TICKET &&
				     SSL_version(tls->ssl) == TLS1_3_VERSION);
}

/* OpenSSL's own socket BIO writes without MSG_NOSIGNAL, which would leave SIGPIPE to every program. */
static int socket_write(BIO *bio, const char *bytes, int n)
{
	struct tls *tls = BIO_get_data(bio);
	ssize_t sent;

	BIO_clear_retry_flags(bio);
	do {
		sent = send(tls->fd, bytes, (size_t)n, MSG_NOSIGNAL | (is_followed(tls) ? MSG_MORE : 0));
	} while (sent < 0 && errno == EINTR);
	if (sent < 0 && errno == EAGAIN)
		BIO_set_retry_write(bio);
	else if (sent < 0)
		tls->trouble = errno;
	return (int)sent;
}

static int socket_read(BIO *bio, char *to, int size)
{
	struct tls *tls = BIO_get_data(bio);
	ssize_t got;

	BIO_clear_retry_flags(bio);
	do {
		got = recv(tls->fd, to, (size_t)size, 0);
	} while (got < 0 && errno == EINTR);
	if (got < 0 && errno == EAGAIN)
		BIO_set_retry_read(bio);
	else if (got < 0)
		tls->trouble = errno;
	else if (got == 0)
		BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
	return (int)got;
}

static long socket_control(BIO *bio, int command, long number, void *pointer)
{
	(void)number;
	(void)pointer;
	if (command == BIO_CTRL_EOF)
		return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
	return command == BIO_CTRL_FLUSH;
}

static int socket_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

static void init_once(void)
{
	if (tls_index >= 0)
		return;
	tls_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	socket_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "smtp-proxy socket");
	if (tls_index < 0 || socket_method == NULL ||
	    !BIO_meth_set_write(socket_method, socket_write) ||
	    !BIO_meth_set_read(socket_method, socket_read) ||
	    !BIO_meth_set_ctrl(socket_method, socket_control) ||
	    !BIO_meth_set_create(socket_method, socket_create))
		die("OpenSSL cannot start");
}

/* The reason of OpenSSL's last error, in its words; empties its queue. */
const char *tls_last_reason(void)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

	ERR_clear_error();
	return reason != NULL ? reason : "unknown reason";
}

/* ---- contexts ---- */

/* What both sides have in common: AEAD with forward secrecy only, small memory, partial writes. */
SSL_CTX *tls_new_context(const SSL_METHOD *method, enum tls_min min)
{
	SSL_CTX *ctx;

	init_once();
	ctx = SSL_CTX_new(method);

	if (ctx == NULL ||
	    !SSL_CTX_set_min_proto_version(ctx, min == TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION) ||
	    !SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!PSK") ||
	    !SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
					   "TLS_CHACHA20_POLY1305_SHA256") ||
	    !SSL_CTX_set1_groups_list(ctx, "X25519:P-256"))
		die("OpenSSL cannot make a context: %s", tls_last_reason());
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
					 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_CLEANSE_PLAINTEXT |
					 /* SMTP says itself where a message ends. */
					 SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* One system call for many small records. */
	SSL_CTX_set_read_ahead(ctx, 1);
	return ctx;
}

static struct tls *of(SSL *ssl)
{
	return ssl != NULL ? SSL_get_ex_data(ssl, tls_index) : NULL;
}

struct tls_server *tls_server_of(SSL *ssl)
{
	return of(ssl)->server;
}

bool tls_is_told(SSL *ssl)
{
	return of(ssl)->is_told;
}

enum tls_ask tls_asks(SSL *ssl)
{
	return of(ssl)->ask;
}

void tls_note_refused(SSL *ssl, X509 *x)
{
	struct tls *tls = of(ssl);

	if (tls != NULL && tls->refused == NULL && x != NULL && X509_up_ref(x))
		tls->refused = x;
}

static int on_verify(int ok, X509_STORE_CTX *store)
{
	if (!ok)
		tls_note_refused(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()),
				 X509_STORE_CTX_get0_cert(store));
	return ok;
}

static bool trust(SSL_CTX *ctx, struct str ca_pem, struct err *err)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	BIO *bio;
	X509 *x;
	unsigned n = 0;

	if (ca_pem.n == 0)
		return SSL_CTX_set_default_verify_paths(ctx) == 1 ||
		       err_set(err, "the system's certificate authorities cannot be read");
	if (ca_pem.n > TLS_CERTIFICATE_PEM_MAX)
		return err_set(err, "the text of the authorities is too large");
	bio = BIO_new_mem_buf(ca_pem.p, (int)ca_pem.n);
	if (bio == NULL)
		die("out of memory");
	while ((x = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		n += X509_STORE_add_cert(store, x) == 1;
		X509_free(x);
	}
	BIO_free(bio);
	ERR_clear_error();
	return n > 0 || err_set(err, "there is no certificate of an authority in it");
}

struct tls_client *tls_client_new(struct str ca_pem, bool insecure, enum tls_min min, struct err *err)
{
	struct tls_client *client;
	SSL_CTX *ctx;

	ctx = tls_new_context(TLS_client_method(), min);
	if (!insecure && !trust(ctx, ca_pem, err)) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_set_verify(ctx, insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
			   insecure ? NULL : on_verify);
	client = mem_zero(sizeof(*client));
	client->ctx = ctx;
	return client;
}

void tls_client_free(struct tls_client **client)
{
	if (*client == NULL)
		return;
	SSL_CTX_free((*client)->ctx);
	mem_free(client);
}

void tls_client_lend(const struct tls_client *client, void *ssl_ctx)
{
	SSL_CTX_set1_cert_store(ssl_ctx, SSL_CTX_get_cert_store(client->ctx));
}

/* ---- one connection ---- */

static struct tls *new_connection(SSL_CTX *ctx, int fd)
{
	struct tls *tls = mem_zero(sizeof(*tls));
	BIO *bio = BIO_new(socket_method);

	tls->fd = fd;
	tls->ssl = SSL_new(ctx);
	if (tls->ssl == NULL || bio == NULL || !SSL_set_ex_data(tls->ssl, tls_index, tls))
		die("OpenSSL cannot make a connection: %s", tls_last_reason());
	BIO_set_data(bio, tls);
	SSL_set_bio(tls->ssl, bio, bio);
	return tls;
}

struct tls *tls_accept(struct tls_server *server, int fd, enum tls_ask ask)
{
	struct tls *tls = new_connection(tls_server_context(server), fd);

	tls->server = tls_server_keep(server);
	tls->ask = ask;
	tls_server_prepare(server, tls->ssl, ask);
	SSL_set_accept_state(tls->ssl);
	return tls;
}

static bool is_address(const char *host)
{
	struct in6_addr any;

	return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

struct tls *tls_connect(struct tls_client *client, int fd, const char *host)
{
	struct tls *tls = new_connection(client->ctx, fd);
	X509_VERIFY_PARAM *param = SSL_get0_param(tls->ssl);
	bool ok;

	if (is_address(host))
		ok = X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1;
	else
		ok = SSL_set1_host(tls->ssl, host) == 1 &&
		     SSL_set_tlsext_host_name(tls->ssl, host) == 1;
	/* A name that OpenSSL cannot take (over 255 octets) has no certificate either. */
	if (!ok && SSL_set1_host(tls->ssl, "invalid.invalid") != 1)
		die("OpenSSL cannot set a host name");
	SSL_set_connect_state(tls->ssl);
	return tls;
}

void tls_free(struct tls **tls)
{
	struct tls *t = *tls;

	if (t == NULL)
		return;
	SSL_free(t->ssl);
	X509_free(t->refused);
	free(t->claims);
	tls_server_count_out(&t->shown);
	tls_server_free(&t->server);
	mem_free(tls);
}

/* Whose certificate it is and why it is not accepted. */
static bool explain_refusal(const struct tls *tls, struct err *err)
{
	long verified = SSL_get_verify_result(tls->ssl);
	struct tls_certificate c;

	tls_certificate_describe(tls->refused, &c);
	if (tls->server != NULL && tls_server_pins(tls->server).n > 0)
		return err_set(err, "the certificate of %s is not accepted: its fingerprint %s is not pinned",
			       c.subject, c.fingerprint);
	return err_set(err, "the certificate of %s (issued by %s; for %s) is not accepted: %s", c.subject, c.issuer,
		       c.names[0] != '\0' ? c.names : "no host", X509_verify_cert_error_string(verified));
}

static bool explain(struct tls *tls, struct err *err)
{
	if (tls->refused != NULL && SSL_get_verify_result(tls->ssl) != X509_V_OK) {
		ERR_clear_error();
		return explain_refusal(tls, err);
	}
	if (tls->trouble != 0)
		return err_set(err, "%s", strerror(tls->trouble));
	if (ERR_peek_last_error() == 0)
		return err_set(err, "the connection ended");
	return err_set(err, "%s", tls_last_reason());
}

static enum tls_result result_of(struct tls *tls, int returned, struct err *err)
{
	switch (SSL_get_error(tls->ssl, returned)) {
	case SSL_ERROR_NONE:
		return TLS_DONE;
	case SSL_ERROR_WANT_READ:
		return TLS_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return TLS_WANT_WRITE;
	case SSL_ERROR_WANT_X509_LOOKUP:
		return TLS_WANT_CERTIFICATE;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_END;
	default:
		explain(tls, err);
		tls->is_shut = true; /* after a failure SSL_shutdown() is not permitted */
		return TLS_FAILED;
	}
}

enum tls_result tls_handshake(struct tls *tls, struct err *err)
{
	enum tls_result result;

	ERR_clear_error();
	result = result_of(tls, SSL_do_handshake(tls->ssl), err);
	if (result == TLS_END) {
		err_set(err, "the connection ended");
		result = TLS_FAILED;
	}
	if (result == TLS_DONE && tls->server != NULL)
		tls->shown = tls_server_count_in(tls->server, tls->ssl);
	return result;
}

const char *tls_wanted_host(const struct tls *tls)
{
	return SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name);
}

void tls_show(struct tls *tls, const struct tls_server *server)
{
	tls->is_told = true;
	if (server != NULL)
		tls_server_show(server, tls->ssl);
}

enum tls_result tls_read(struct tls *tls, char *to, size_t size, size_t *got, struct err *err)
{
	*got = 0;
	ERR_clear_error();
	return result_of(tls, SSL_read_ex(tls->ssl, to, size, got), err);
}

enum tls_result tls_write(struct tls *tls, const char *from, size_t n, size_t *sent, struct err *err)
{
	*sent = 0;
	ERR_clear_error();
	return result_of(tls, SSL_write_ex(tls->ssl, from, n, sent), err);
}

bool tls_has_pending(const struct tls *tls)
{
	return SSL_has_pending(tls->ssl) == 1;
}

void tls_gather(struct tls *tls)
{
	tls->is_gathering = true;
}

void tls_shutdown(struct tls *tls)
{
	if (tls->is_shut || !SSL_is_init_finished(tls->ssl))
		return;
	tls->is_shut = true;
	ERR_clear_error();
	SSL_shutdown(tls->ssl);
	ERR_clear_error();
}

const char *tls_version(const struct tls *tls)
{
	return SSL_get_version(tls->ssl);
}

const char *tls_cipher(const struct tls *tls)
{
	return SSL_get_cipher_name(tls->ssl);
}

bool tls_is_resumed(const struct tls *tls)
{
	return SSL_session_reused(tls->ssl) == 1;
}

bool tls_peer(const struct tls *tls, struct tls_certificate *out)
{
	X509 *x = SSL_get0_peer_certificate(tls->ssl);

	if (x == NULL)
		x = tls->refused;
	if (x == NULL)
		return false;
	tls_certificate_describe(x, out);
	return true;
}

const char *tls_client_claims(struct tls *tls, struct err *err)
{
	X509 *x = SSL_get0_peer_certificate(tls->ssl);
	struct buf claims = BUF_MAX(TLS_CERTIFICATE_CLAIMS);

	err_set(err, "%s", "");
	must(tls->server != NULL);
	if (x == NULL || tls->claims != NULL)
		return tls->claims;
	if (tls->refused != NULL || SSL_get_verify_result(tls->ssl) != X509_V_OK) {
		explain_refusal(tls, err);
		return NULL;
	}
	tls_certificate_claims(x, tls_server_pins(tls->server).n > 0, &claims);
	tls->claims = buf_take_text(&claims);
	return tls->claims;
}
