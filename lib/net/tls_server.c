/* SPDX-License-Identifier: Apache-2.0
 *
 * The server's side of TLS: which certificate a client is shown, whose certificate is accepted of it, tickets. One
 * context with its callbacks; what differs between listeners is set on the connection.
 */
#include "lib/net/tls_server.h"

#include <ctype.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/net/tls_ocsp.h"
#include "lib/net/tls_openssl.h"

enum {
	SNI_MAX = 256,
	CHAIN_DEPTH = 8,	   /* of a client's */
	TRUST_MAX = 16 << 20,	   /* PEM text: revocation lists grow */
	TICKET_NAME = 16,
	TICKET_AES = 32,
	TICKET_LIFETIME_MAX = 604800, /* RFC 8446, 4.6.1 */
};

/* Which certificates have this name: bit n for the n-th. */
struct name {
	char *text;
	uint64_t mask;
};

struct tls_server {
	SSL_CTX *ctx;
	unsigned holders;
	struct tls_identity *identity[TLS_SERVER_CERTIFICATES];
	unsigned n;
	struct name *names; /* sorted */
	size_t n_names, room;
	uint64_t fallback; /* what a client that names no known host is shown */
	char *pins;
	unsigned char ticket_key[TLS_SERVER_TICKET_KEYS][TLS_SERVER_TICKET_KEY];
	unsigned n_ticket_keys;
};

/* ---- Certificates and their names ---- */

static size_t place_of(const struct tls_server *s, const char *name, bool *found)
{
	size_t low = 0, high = s->n_names;

	*found = false;
	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = strcmp(s->names[middle].text, name);

		if (order == 0) {
			*found = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void add_name(void *ctx, const char *name)
{
	struct tls_server *s = ctx;
	bool found;
	size_t at = place_of(s, name, &found);

	if (!found) {
		if (s->n_names == s->room) {
			s->room = s->room * 2 + 8;
			s->names = mem_grow(s->names, s->room * sizeof(*s->names));
		}
		memmove(&s->names[at + 1], &s->names[at], (s->n_names - at) * sizeof(*s->names));
		s->names[at] = (struct name){mem_text(name), 0};
		s->n_names++;
	}
	s->names[at].mask |= UINT64_C(1) << s->n;
}

/* The first one, and those beside it that have all of its names. */
static void work_out_fallback(struct tls_server *s)
{
	uint64_t common = UINT64_MAX;
	bool has_names = false;

	for (size_t i = 0; i < s->n_names; i++)
		if (s->names[i].mask & 1) {
			common &= s->names[i].mask;
			has_names = true;
		}
	s->fallback = has_names ? common : 1;
}

/* OpenSSL refuses some (a key that is too short) only when they are used. */
static bool can_be_shown(const struct tls_server *s, const struct tls_identity *id, struct err *err)
{
	SSL *probe = SSL_new(s->ctx);
	bool ok = probe != NULL && tls_identity_show(probe, id);

	if (!ok)
		err_set(err, "the certificate cannot be used: %s", tls_last_reason());
	SSL_free(probe);
	return ok;
}

bool tls_server_add(struct tls_server *s, struct str pem, struct str ocsp, int64_t now,
		    struct tls_certificate *seen, struct err *err)
{
	struct tls_pem parts;
	struct tls_identity *id;

	if (s->n == TLS_SERVER_CERTIFICATES)
		return err_set(err, "there are more than %d certificates", TLS_SERVER_CERTIFICATES);
	if (!tls_certificate_take(&parts, pem, err))
		return false;
	if (!tls_certificate_check(&parts, now, seen, err)) {
		tls_certificate_drop(&parts);
		return false;
	}
	id = tls_identity_new(&parts);
	if (!can_be_shown(s, id, err)) {
		tls_identity_let_go(id);
		return false;
	}
	if (ocsp.n > 0 && tls_ocsp_check(pem, ocsp, clock_wall() / CLOCK_SECOND, &seen->ocsp_until, NULL))
		buf_put_str(&id->ocsp, ocsp);
	else
		seen->ocsp_until = 0;
	id->about = *seen;
	tls_certificate_each_name(id->x, add_name, s);
	s->identity[s->n++] = id;
	work_out_fallback(s);
	return true;
}

bool tls_server_is_empty(const struct tls_server *s)
{
	return s->n == 0;
}

/* ---- In the handshake ---- */

static uint64_t mask_of(const struct tls_server *s, const char *name)
{
	bool found;
	size_t at = place_of(s, name, &found);

	return found ? s->names[at].mask : 0;
}

/* An exact name goes before a wildcard, which stands for one label (RFC 6125, 6.4.3). */
static uint64_t choose(const struct tls_server *s, const char *sni)
{
	char name[SNI_MAX];
	size_t n = sni != NULL ? strlen(sni) : 0;
	uint64_t mask;
	char *dot;

	if (n > 0 && sni[n - 1] == '.')
		n--;
	if (n == 0 || n >= sizeof(name))
		return s->fallback;
	for (size_t i = 0; i < n; i++)
		name[i] = (char)tolower((unsigned char)sni[i]);
	name[n] = '\0';
	mask = mask_of(s, name);
	dot = strchr(name, '.');
	if (mask == 0 && dot != NULL && dot > name) {
		*--dot = '*';
		mask = mask_of(s, dot);
	}
	return mask != 0 ? mask : s->fallback;
}

/* Gives OpenSSL all certificates for the name, one a kind of key: it takes what the client can verify. */
static int on_certificate(SSL *ssl, void *ctx)
{
	struct tls_server *s = ctx;
	uint64_t mask = choose(s, SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
	int kinds[TLS_SERVER_CERTIFICATES];
	unsigned n = 0;

	for (unsigned i = 0; i < s->n; i++) {
		int kind = EVP_PKEY_get_base_id(s->identity[i]->key);
		bool is_taken = (mask >> i & 1) == 0;

		for (unsigned k = 0; k < n; k++)
			is_taken = is_taken || kinds[k] == kind;
		if (!is_taken && tls_identity_show(ssl, s->identity[i]))
			kinds[n++] = kind;
	}
	return n > 0;
}

/* So that the client hears that its name was heard, and a session is resumed only under the same name. */
static int on_server_name(SSL *ssl, int *alert, void *ctx)
{
	(void)alert;
	(void)ctx;
	return SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) != NULL ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

static struct tls_identity *identity_of(const struct tls_server *s, SSL *ssl)
{
	const X509 *x = SSL_get_certificate(ssl);

	for (unsigned i = 0; x != NULL && i < s->n; i++)
		if (s->identity[i]->x == x)
			return s->identity[i];
	return NULL;
}

static int on_status_asked(SSL *ssl, void *ctx)
{
	const struct tls_identity *id = identity_of(ctx, ssl);
	unsigned char *copy;

	if (id == NULL || id->ocsp.n == 0 || clock_wall() / CLOCK_SECOND >= id->about.ocsp_until)
		return SSL_TLSEXT_ERR_NOACK;
	copy = OPENSSL_memdup(id->ocsp.p, id->ocsp.n);
	if (copy == NULL || SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)id->ocsp.n) != 1)
		die("out of memory");
	return SSL_TLSEXT_ERR_OK;
}

/* ---- Client certificates ---- */

static int check_client(X509_STORE_CTX *store, void *ctx)
{
	const struct tls_server *s = ctx;
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	X509 *x = X509_STORE_CTX_get0_cert(store);
	struct tls_certificate c;
	bool ok;

	if (s->pins[0] != '\0') {
		tls_certificate_describe(x, &c);
		ok = tls_certificate_has_pin(str_of(s->pins), c.fingerprint);
		X509_STORE_CTX_set_error(store, ok ? X509_V_OK : X509_V_ERR_CERT_REJECTED);
	} else {
		ok = X509_verify_cert(store) == 1;
	}
	if (!ok)
		tls_note_refused(ssl, x);
	/* Where it is only asked for, the session goes on without: what the certificate claims is not heard. */
	return ok || tls_asks(ssl) == TLS_ASK;
}

static void offer_names(struct tls_server *s, STACK_OF(X509_NAME) *names)
{
	size_t total = 0;

	for (int i = 0; i < sk_X509_NAME_num(names); i++) {
		int n = i2d_X509_NAME(sk_X509_NAME_value(names, i), NULL);

		total += n > 0 ? (size_t)n + 2 : 0;
	}
	if (total <= TLS_SERVER_CA_NAMES)
		SSL_CTX_set_client_CA_list(s->ctx, names);
	else
		sk_X509_NAME_pop_free(names, X509_NAME_free);
}

static void trust_certificate(X509_STORE *store, STACK_OF(X509_NAME) *names, X509 *x,
			      struct tls_server_trusted *found)
{
	X509_NAME *name = X509_NAME_dup(X509_get_subject_name(x));

	if (X509_STORE_add_cert(store, x) != 1 || name == NULL || sk_X509_NAME_push(names, name) <= 0)
		die("OpenSSL cannot keep an authority: %s", tls_last_reason());
	found->authorities++;
}

static void trust_list(X509_STORE *store, X509_CRL *crl, struct tls_server_trusted *found)
{
	const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);
	struct tm tm;
	int64_t until;

	if (X509_STORE_add_crl(store, crl) != 1)
		die("OpenSSL cannot keep a revocation list: %s", tls_last_reason());
	until = next != NULL && ASN1_TIME_to_tm(next, &tm) == 1 ? (int64_t)timegm(&tm) : INT64_MAX;
	if (found->lists++ == 0 || until < found->lists_until)
		found->lists_until = until;
}

static bool trust_all(struct tls_server *s, STACK_OF(X509_INFO) *all, struct tls_server_trusted *found,
		      struct err *err)
{
	X509_STORE *store = SSL_CTX_get_cert_store(s->ctx);
	STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();

	if (names == NULL)
		die("out of memory");
	for (int i = 0; i < sk_X509_INFO_num(all); i++) {
		X509_INFO *info = sk_X509_INFO_value(all, i);

		if (info->x509 != NULL)
			trust_certificate(store, names, info->x509, found);
		if (info->crl != NULL)
			trust_list(store, info->crl, found);
	}
	offer_names(s, names);
	if (found->lists > 0)
		X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
	return found->authorities > 0 || err_set(err, "there is no certificate of an authority in it");
}

bool tls_server_trust(struct tls_server *s, struct str pem, struct str pins, struct tls_server_trusted *found,
		      struct err *err)
{
	STACK_OF(X509_INFO) *all;
	BIO *bio;
	bool ok;

	*found = (struct tls_server_trusted){0};
	free(s->pins);
	s->pins = str_dup(pins);
	if (pem.n == 0)
		return true;
	if (pem.n > TRUST_MAX)
		return err_set(err, "the text of the authorities and revocation lists is too large");
	bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	if (bio == NULL)
		die("out of memory");
	all = PEM_X509_INFO_read_bio(bio, NULL, NULL, NULL);
	BIO_free(bio);
	if (all == NULL)
		return err_set(err, "the PEM text is broken: %s", tls_last_reason());
	ok = trust_all(s, all, found, err);
	sk_X509_INFO_pop_free(all, X509_INFO_free);
	ERR_clear_error();
	return ok;
}

struct str tls_server_pins(const struct tls_server *s)
{
	return str_of(s->pins);
}

/* ---- Tickets ---- */

/* RFC 5077, 4: AES-256-CBC, then HMAC-SHA-256. A ticket of an earlier key is good, and renewed. */
static int on_ticket(SSL *ssl, unsigned char name[TICKET_NAME], unsigned char *iv, EVP_CIPHER_CTX *cipher,
		     EVP_MAC_CTX *mac, int is_new)
{
	const struct tls_server *s = tls_server_of(ssl);
	const unsigned char *key;
	char digest[] = "SHA256";
	const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
				     OSSL_PARAM_construct_end()};
	unsigned i = 0;

	while (!is_new && i < s->n_ticket_keys && memcmp(name, s->ticket_key[i], TICKET_NAME) != 0)
		i++;
	if (i >= s->n_ticket_keys)
		return 0;
	key = s->ticket_key[i];
	if (is_new) {
		memcpy(name, key, TICKET_NAME);
		if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1)
			return -1;
	}
	if (EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key + TICKET_NAME, iv, is_new) != 1 ||
	    EVP_MAC_init(mac, key + TICKET_NAME + TICKET_AES, TLS_SERVER_TICKET_KEY - TICKET_NAME - TICKET_AES,
			 params) != 1)
		return -1;
	/* 2 renews it. A client of TLS 1.3 uses each only once (RFC 8446, C.4). */
	return is_new || (i == 0 && SSL_version(ssl) != TLS1_3_VERSION) ? 1 : 2;
}

void tls_server_set_tickets(struct tls_server *s, struct str keys, int64_t lifetime)
{
	must(keys.n % TLS_SERVER_TICKET_KEY == 0 && keys.n <= sizeof(s->ticket_key));
	mem_wipe(s->ticket_key, sizeof(s->ticket_key));
	if (keys.n > 0)
		memcpy(s->ticket_key, keys.p, keys.n);
	s->n_ticket_keys = (unsigned)(keys.n / TLS_SERVER_TICKET_KEY);
	SSL_CTX_set_timeout(s->ctx, lifetime < TICKET_LIFETIME_MAX ? (long)lifetime : TICKET_LIFETIME_MAX);
}

/* ---- The whole ---- */

struct tls_server *tls_server_new(enum tls_min min)
{
	struct tls_server *s = mem_zero(sizeof(*s));

	s->ctx = tls_new_context(TLS_server_method(), min);
	s->holders = 1;
	s->pins = mem_text("");
	/* The chain is what the PEM text holds: it is not looked for, and verified, in every handshake. */
	SSL_CTX_set_mode(s->ctx, SSL_MODE_NO_AUTO_CHAIN);
	/* Resumption by tickets alone: they are good at every worker. One is enough for clients that make one
	 * connection after the other; each costs a write. */
	SSL_CTX_set_session_cache_mode(s->ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(s->ctx, 1);
	SSL_CTX_set_verify_depth(s->ctx, CHAIN_DEPTH);
	SSL_CTX_set_cert_verify_callback(s->ctx, check_client, s);
	SSL_CTX_set_cert_cb(s->ctx, on_certificate, s);
	SSL_CTX_set_tlsext_servername_callback(s->ctx, on_server_name);
	SSL_CTX_set_tlsext_status_cb(s->ctx, on_status_asked);
	SSL_CTX_set_tlsext_status_arg(s->ctx, s);
	if (SSL_CTX_set_tlsext_ticket_key_evp_cb(s->ctx, on_ticket) != 1)
		die("OpenSSL cannot make a context: %s", tls_last_reason());
	return s;
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
	for (unsigned i = 0; i < s->n; i++)
		tls_identity_let_go(s->identity[i]);
	for (size_t i = 0; i < s->n_names; i++)
		free(s->names[i].text);
	free(s->names);
	free(s->pins);
	mem_wipe(s->ticket_key, sizeof(s->ticket_key));
	free(s);
}

SSL_CTX *tls_server_context(const struct tls_server *server)
{
	return server->ctx;
}

void tls_server_prepare(const struct tls_server *s, SSL *ssl, enum tls_ask ask)
{
	unsigned char name = (unsigned char)('0' + ask);

	/* A ticket of a listener that asks nothing must not open another one. */
	if (SSL_set_session_id_context(ssl, &name, 1) != 1)
		die("OpenSSL cannot name a context: %s", tls_last_reason());
	if (ask != TLS_ASK_NOTHING)
		SSL_set_verify(ssl, SSL_VERIFY_PEER | (ask == TLS_REQUIRE ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
	if (ask == TLS_ASK_NOTHING && s->n_ticket_keys > 0)
		return;
	SSL_set_options(ssl, SSL_OP_NO_TICKET);
	SSL_set_num_tickets(ssl, 0);
}

void tls_server_show(const struct tls_server *server, SSL *ssl)
{
	must(server->n > 0);
	tls_identity_show(ssl, server->identity[0]); /* it was tried when it was added */
}

/* ---- Who is on what ---- */

struct tls_identity *tls_server_count_in(const struct tls_server *s, SSL *ssl)
{
	struct tls_identity *id = SSL_session_reused(ssl) ? NULL : identity_of(s, ssl);

	if (id != NULL) {
		id->holders++;
		id->sessions++;
	}
	return id;
}

void tls_server_count_out(struct tls_identity **identity)
{
	struct tls_identity *id = *identity;

	*identity = NULL;
	if (id == NULL)
		return;
	id->sessions--;
	tls_identity_let_go(id);
}

static bool is_current(const struct tls_server *s, const struct tls_identity *id)
{
	for (unsigned i = 0; s != NULL && i < s->n; i++)
		if (tls_identity_is_same(s->identity[i], id))
			return true;
	return false;
}

void tls_server_each(const struct tls_server *s, void (*fn)(void *ctx, const struct tls_server_shown *shown), void *ctx)
{
	for (unsigned i = 0; s != NULL && i < s->n; i++)
		fn(ctx, &(struct tls_server_shown){&s->identity[i]->about, tls_identity_sessions(s->identity[i]), true,
						   (s->fallback >> i & 1) != 0});
	for (const struct tls_identity *i = tls_identity_all(); i != NULL; i = i->next) {
		struct tls_server_shown shown = {&i->about, tls_identity_sessions(i), false, false};

		if (shown.sessions > 0 && !is_current(s, i) && tls_identity_is_first(i))
			fn(ctx, &shown);
	}
}
