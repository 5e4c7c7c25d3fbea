/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS on OpenSSL 3. The only file that knows SSL_CTX and SSL: what a server shows, what a client trusts,
 * and the bytes of one connection. Certificates are checked here, for everybody, before they are used.
 */
#include "lib/net/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"

enum {
	CHAIN_MAX = 16,		/* certificates in a PEM text */
	CLIENT_CA_MAX = 1 << 20, /* PEM text of trusted authorities */
};

struct tls_server {
	SSL_CTX *ctx;
	unsigned holders;
};

struct tls_client {
	SSL_CTX *ctx;
};

struct tls {
	SSL *ssl;
	struct tls_server *server; /* of an accepted connection */
	X509 *refused;		   /* a client's: the server certificate that was not accepted */
	int fd;
	int trouble; /* errno of the socket */
	bool is_shut;
	bool is_gathering;
};

static int tls_index = -1; /* of struct tls in an SSL's extra data */
static BIO_METHOD *socket_method;

/* OpenSSL's own socket BIO writes without MSG_NOSIGNAL, which would leave SIGPIPE to every program. */
static int socket_write(BIO *bio, const char *bytes, int n)
{
	struct tls *tls = BIO_get_data(bio);
	ssize_t sent;

	BIO_clear_retry_flags(bio);
	do {
		sent = send(tls->fd, bytes, (size_t)n, MSG_NOSIGNAL | (tls->is_gathering ? MSG_MORE : 0));
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
static const char *last_reason(void)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

	ERR_clear_error();
	return reason != NULL ? reason : "unknown reason";
}

/* ---- certificates ---- */

struct identity {
	X509 *chain[CHAIN_MAX];
	unsigned n;
	EVP_PKEY *key;
};

static void identity_clear(struct identity *id)
{
	for (unsigned i = 0; i < id->n; i++)
		X509_free(id->chain[i]);
	EVP_PKEY_free(id->key);
	*id = (struct identity){.n = 0};
}

static bool take_key(struct identity *id, const char *name, const char *header,
		     const unsigned char *der, long n, struct err *err)
{
	if (str_starts(str_of(name), STR("ENCRYPTED")) || header[0] != '\0')
		return err_set(err, "the private key is encrypted");
	if (id->key != NULL)
		return err_set(err, "there is more than one private key");
	id->key = d2i_AutoPrivateKey(NULL, &der, n);
	if (id->key == NULL)
		return err_set(err, "the private key cannot be read: %s", last_reason());
	return true;
}

static bool take_certificate(struct identity *id, const unsigned char *der, long n, struct err *err)
{
	X509 *x;

	if (id->n == CHAIN_MAX)
		return err_set(err, "there are more than %d certificates", CHAIN_MAX);
	x = d2i_X509(NULL, &der, n);
	if (x == NULL)
		return err_set(err, "certificate %u cannot be read: %s", id->n + 1, last_reason());
	id->chain[id->n++] = x;
	return true;
}

/* Takes one PEM block; other kinds (EC PARAMETERS) are passed over. *end: there was none. */
static bool take_block(struct identity *id, BIO *bio, bool *end, struct err *err)
{
	char *name = NULL, *header = NULL;
	unsigned char *der = NULL;
	long n = 0;
	bool ok = true;

	if (!PEM_read_bio(bio, &name, &header, &der, &n)) {
		*end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
		if (!*end)
			return err_set(err, "the PEM text is broken: %s", last_reason());
		ERR_clear_error();
		return true;
	}
	if (str_eq(str_of(name), STR("CERTIFICATE")))
		ok = take_certificate(id, der, n, err);
	else if (str_ends(str_of(name), STR("PRIVATE KEY")))
		ok = take_key(id, name, header, der, n, err);
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_clear_free(der, (size_t)n);
	return ok;
}

static bool take_all(struct identity *id, struct str pem, struct err *err)
{
	BIO *bio;
	bool end = false, ok = true;

	*id = (struct identity){.n = 0};
	if (pem.n == 0 || pem.n > CLIENT_CA_MAX)
		return err_set(err, pem.n == 0 ? "it is empty" : "it is too large");
	bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	if (bio == NULL)
		die("out of memory");
	while (ok && !end)
		ok = take_block(id, bio, &end, err);
	BIO_free(bio);
	if (ok && id->n == 0)
		ok = err_set(err, "there is no certificate in it");
	if (!ok)
		identity_clear(id);
	return ok;
}

static int64_t seconds_of(const ASN1_TIME *time)
{
	struct tm tm;

	return ASN1_TIME_to_tm(time, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static void name_text(X509_NAME *name, char *out, size_t size)
{
	BIO *bio = BIO_new(BIO_s_mem());
	int n = 0;

	if (bio == NULL)
		die("out of memory");
	if (X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0)
		n = BIO_read(bio, out, (int)size - 1);
	out[n > 0 ? n : 0] = '\0';
	BIO_free(bio);
}

static void add_name(struct buf *names, const GENERAL_NAME *name)
{
	const ASN1_STRING *value = name->type == GEN_DNS ? name->d.dNSName : name->d.iPAddress;
	char address[INET6_ADDRSTRLEN];
	int n;

	if (name->type != GEN_DNS && name->type != GEN_IPADD)
		return;
	n = ASN1_STRING_length(value);
	if (names->n > 0)
		buf_put_text(names, ", ");
	if (name->type == GEN_DNS)
		buf_put(names, ASN1_STRING_get0_data(value), (size_t)n);
	else if ((n == 4 || n == 16) &&
		 inet_ntop(n == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(value), address,
			   sizeof(address)) != NULL)
		buf_put_text(names, address);
}

static void names_text(const X509 *x, char *out, size_t size)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	struct buf names = BUF_MAX(size - 1);

	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++)
		add_name(&names, sk_GENERAL_NAME_value(all, i));
	if (!str_copy(buf_str(&names), out, size))
		out[0] = '\0'; /* a NUL in a name */
	buf_clear(&names);
	GENERAL_NAMES_free(all);
}

static void describe(X509 *x, struct tls_certificate *out)
{
	BIGNUM *serial = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);
	char *hex = serial != NULL ? BN_bn2hex(serial) : NULL;

	memset(out, 0, sizeof(*out));
	name_text(X509_get_subject_name(x), out->subject, sizeof(out->subject));
	name_text(X509_get_issuer_name(x), out->issuer, sizeof(out->issuer));
	if (hex != NULL)
		str_copy(str_of(hex), out->serial, sizeof(out->serial));
	names_text(x, out->names, sizeof(out->names));
	out->not_before = seconds_of(X509_get0_notBefore(x));
	out->not_after = seconds_of(X509_get0_notAfter(x));
	OPENSSL_free(hex);
	BN_free(serial);
}

static void date_text(int64_t seconds, char out[32])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(out, 32, "%Y-%m-%d %H:%M:%S UTC", &tm);
}

static bool check(const struct identity *id, bool with_key, int64_t now, struct tls_certificate *c,
		  struct err *err)
{
	char date[32];
	int fits;

	describe(id->chain[0], c);
	if (now < c->not_before) {
		date_text(c->not_before, date);
		return err_set(err, "the certificate is not valid before %s", date);
	}
	if (now >= c->not_after) {
		date_text(c->not_after, date);
		return err_set(err, "the certificate expired on %s", date);
	}
	if (!with_key)
		return true;
	if (id->key == NULL)
		return err_set(err, "there is no private key in it");
	fits = X509_check_private_key(id->chain[0], id->key);
	ERR_clear_error();
	return fits == 1 || err_set(err, "the private key does not belong to the first certificate");
}

bool tls_certificate_read(struct str pem, bool with_key, int64_t now, struct tls_certificate *out,
			  struct err *err)
{
	struct identity id;
	bool ok;

	init_once();
	if (!take_all(&id, pem, err))
		return false;
	ok = check(&id, with_key, now, out, err);
	identity_clear(&id);
	return ok;
}

/* ---- contexts ---- */

/* What both sides have in common: AEAD with forward secrecy only, small memory, partial writes. */
static SSL_CTX *new_context(const SSL_METHOD *method, enum tls_min min)
{
	SSL_CTX *ctx = SSL_CTX_new(method);

	if (ctx == NULL ||
	    !SSL_CTX_set_min_proto_version(ctx, min == TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION) ||
	    !SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!PSK") ||
	    !SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
					   "TLS_CHACHA20_POLY1305_SHA256") ||
	    !SSL_CTX_set1_groups_list(ctx, "X25519:P-256"))
		die("OpenSSL cannot make a context: %s", last_reason());
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

static bool use_identity(SSL_CTX *ctx, const struct identity *id, struct err *err)
{
	if (SSL_CTX_use_certificate(ctx, id->chain[0]) != 1)
		return err_set(err, "the certificate cannot be used: %s", last_reason());
	if (SSL_CTX_use_PrivateKey(ctx, id->key) != 1)
		return err_set(err, "the private key cannot be used: %s", last_reason());
	for (unsigned i = 1; i < id->n; i++)
		if (SSL_CTX_add1_chain_cert(ctx, id->chain[i]) != 1)
			return err_set(err, "certificate %u cannot be used: %s", i + 1, last_reason());
	return true;
}

struct tls_server *tls_server_new(struct str pem, enum tls_min min, int64_t now, struct err *err)
{
	struct tls_server *server;
	struct tls_certificate seen;
	struct identity id;
	SSL_CTX *ctx = NULL;
	bool ok;

	init_once();
	if (!take_all(&id, pem, err))
		return NULL;
	ok = check(&id, true, now, &seen, err);
	if (ok) {
		ctx = new_context(TLS_server_method(), min);
		ok = use_identity(ctx, &id, err);
	}
	identity_clear(&id);
	if (!ok) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	/* The chain is what the PEM text holds: it is not looked for, and verified, in every handshake. */
	SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
	/* No resumption: a ticket is good only at the worker that made it, so it would cost each session
	 * memory and a write, and help by chance. */
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	SSL_CTX_set_num_tickets(ctx, 0);
	server = mem_zero(sizeof(*server));
	server->ctx = ctx;
	server->holders = 1;
	return server;
}

struct tls_server *tls_server_keep(struct tls_server *server)
{
	server->holders++;
	return server;
}

void tls_server_free(struct tls_server **server)
{
	struct tls_server *s = *server;

	*server = NULL;
	if (s == NULL || --s->holders > 0)
		return;
	SSL_CTX_free(s->ctx);
	free(s);
}

/* Remembers a certificate that is refused, so that a person can be told whose it was. */
static int on_verify(int ok, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *tls = ssl != NULL ? SSL_get_ex_data(ssl, tls_index) : NULL;
	X509 *x = X509_STORE_CTX_get0_cert(store);

	if (!ok && tls != NULL && tls->refused == NULL && x != NULL && X509_up_ref(x))
		tls->refused = x;
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
	if (ca_pem.n > CLIENT_CA_MAX)
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

	init_once();
	ctx = new_context(TLS_client_method(), min);
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
		die("OpenSSL cannot make a connection: %s", last_reason());
	BIO_set_data(bio, tls);
	SSL_set_bio(tls->ssl, bio, bio);
	return tls;
}

struct tls *tls_accept(struct tls_server *server, int fd)
{
	struct tls *tls = new_connection(server->ctx, fd);

	tls->server = tls_server_keep(server);
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
	tls_server_free(&t->server);
	mem_free(tls);
}

static bool explain(struct tls *tls, struct err *err)
{
	long verified = SSL_get_verify_result(tls->ssl);
	struct tls_certificate c;

	if (tls->refused != NULL && verified != X509_V_OK) {
		describe(tls->refused, &c);
		ERR_clear_error();
		return err_set(err, "the certificate of %s (issued by %s; for %s) is not accepted: %s",
			       c.subject, c.issuer, c.names[0] != '\0' ? c.names : "no host",
			       X509_verify_cert_error_string(verified));
	}
	if (tls->trouble != 0)
		return err_set(err, "%s", strerror(tls->trouble));
	if (ERR_peek_last_error() == 0)
		return err_set(err, "the connection ended");
	return err_set(err, "%s", last_reason());
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
	return result;
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

bool tls_peer(const struct tls *tls, struct tls_certificate *out)
{
	X509 *x = SSL_get0_peer_certificate(tls->ssl);

	if (x == NULL)
		x = tls->refused;
	if (x == NULL)
		return false;
	describe(x, out);
	return true;
}
