/* SPDX-License-Identifier: Apache-2.0
 *
 * Handshakes with a client of OpenSSL's: what a server shows to whom, whose certificate it takes, which sessions it resumes.
 */
#include "lib/net/tls_server.h"

#include <openssl/ocsp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/random.h"
#include "tests/support/certificate.h"
#include "tests/support/unit.h"

#define DAY 86400L

static struct certificate ca, fallback, fallback_rsa, site, wild, site_rsa, client, revoked, expired, stranger, named;
static struct certificate *const all[] = {&ca,	   &fallback, &fallback_rsa, &site,	&wild,	&site_rsa,
					  &client, &revoked,  &expired,	     &stranger, &named};

static void make_certificates(void)
{
	ca = certificate_make("Test CA", NULL, -DAY, 10 * DAY, NULL);
	fallback = certificate_make("fallback", "DNS:mail.test,IP:127.0.0.1", -DAY, DAY, &ca);
	fallback_rsa = certificate_make_with(EVP_RSA_gen(2048), "fallback-rsa", "DNS:mail.test,DNS:more.test", -DAY, DAY, &ca);
	site = certificate_make("site", "DNS:MX.Example.test,DNS:*.wide.test", -DAY, DAY, &ca);
	site_rsa = certificate_make_with(EVP_RSA_gen(2048), "site-rsa", "DNS:mx.example.test", -DAY, DAY, &ca);
	wild = certificate_make("wild", "DNS:*.example.test", -DAY, DAY, &ca);
	client = certificate_make("app", "DNS:App.Clients.test,email:app@clients.test,email:a b@c,DNS:*.x.test", -DAY, DAY, &ca);
	revoked = certificate_make("revoked", "DNS:revoked.clients.test", -DAY, DAY, &ca);
	expired = certificate_make("expired", "DNS:old.clients.test", -2 * DAY, -DAY, &ca);
	stranger = certificate_make("stranger", "DNS:app.clients.test", -DAY, DAY, NULL);
	named = certificate_make("named", "DNS:mail.test", -DAY, DAY, &ca);
}

static void clear_certificates(void)
{
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		certificate_clear(all[i]);
}

static void add(struct tls_server *server, const struct certificate *c, struct str ocsp)
{
	struct buf pem = BUF_MAX(65536);
	struct tls_certificate seen;
	struct err err = {""};

	buf_put_text(&pem, c->both);
	buf_put_text(&pem, ca.pem);
	UNIT_TRUE(tls_server_add(server, buf_str(&pem), ocsp, time(NULL), &seen, &err));
	UNIT_TEXT(err.text, "");
	buf_clear(&pem);
}

/* A handshake, and what came of it. */
struct trial {
	/* what the client does */
	const char *sni, *signatures;
	const struct certificate *shows;
	SSL_SESSION *resumes;
	int version; /* 0: any */
	bool asks_status;
	/* what happened */
	bool is_done, is_resumed, got_ticket, is_renewed;
	char shown[64], claims[TLS_CERTIFICATE_CLAIMS], err[512], ignored[512];
	long status, ca_names;
	SSL_SESSION *ticket; /* the caller's */
	struct tls *tls;     /* kept open when `keeps` */
	bool keeps;
};

static int on_ticket(SSL *ssl, SSL_SESSION *session)
{
	struct trial *t = SSL_get_app_data(ssl);

	SSL_SESSION_free(t->ticket);
	t->ticket = session;
	t->got_ticket = true;
	return 1;
}

static SSL *new_client(struct trial *t, int fd)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl;

	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, on_ticket);
	if (t->version != 0) {
		SSL_CTX_set_min_proto_version(ctx, t->version);
		SSL_CTX_set_max_proto_version(ctx, t->version);
	}
	ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	SSL_set_app_data(ssl, t);
	if (t->signatures != NULL)
		SSL_set1_sigalgs_list(ssl, t->signatures);
	if (t->sni != NULL)
		SSL_set_tlsext_host_name(ssl, t->sni);
	if (t->shows != NULL)
		SSL_use_cert_and_key(ssl, t->shows->x, t->shows->key, NULL, 1);
	if (t->resumes != NULL)
		SSL_set_session(ssl, t->resumes);
	if (t->asks_status)
		SSL_set_tlsext_status_type(ssl, TLSEXT_STATUSTYPE_ocsp);
	SSL_set_fd(ssl, fd);
	SSL_set_connect_state(ssl);
	return ssl;
}

static struct str ticket_of(const SSL_SESSION *session)
{
	const unsigned char *p = NULL;
	size_t n = 0;

	SSL_SESSION_get0_ticket(session, &p, &n);
	return str_bytes(p, n);
}

static void note_client(struct trial *t, SSL *ssl)
{
	X509 *x = SSL_get0_peer_certificate(ssl);
	unsigned char *status;

	t->is_resumed = SSL_session_reused(ssl) == 1;
	/* Of 1.2: the client's callback is not called for one that replaces another. */
	t->is_renewed = t->is_resumed && !str_eq(ticket_of(SSL_get0_session(ssl)), ticket_of(t->resumes));
	if (x != NULL)
		X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, t->shown, sizeof(t->shown));
	t->status = SSL_get_tlsext_status_ocsp_resp(ssl, &status);
	t->ca_names = sk_X509_NAME_num(SSL_get0_peer_CA_list(ssl));
}

static void note_server(struct trial *t, struct tls *tls)
{
	struct err err;
	const char *claims = tls_client_claims(tls, &err);

	UNIT_INT(tls_is_resumed(tls), t->is_resumed);
	str_copy(str_of(claims), t->claims, sizeof(t->claims));
	str_copy(str_of(err.text), t->ignored, sizeof(t->ignored));
}

static void shake(struct tls_server *server, enum tls_ask ask, struct trial *t)
{
	enum tls_result result = TLS_WANT_READ;
	struct tls *tls;
	struct err err = {""};
	char byte;
	size_t n;
	SSL *ssl;
	int fds[2], done = 0;

	UNIT_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	tls = tls_accept(server, fds[0], ask);
	ssl = new_client(t, fds[1]);
	for (int turn = 0; turn < 10 && result != TLS_FAILED && (result != TLS_DONE || done != 1); turn++) {
		if (done != 1)
			done = SSL_do_handshake(ssl);
		if (result != TLS_DONE)
			result = tls_handshake(tls, &err);
	}
	t->is_done = result == TLS_DONE && done == 1;
	str_copy(str_of(err.text), t->err, sizeof(t->err));
	if (t->is_done) {
		SSL_read(ssl, &byte, 1); /* takes the ticket */
		UNIT_INT(tls_read(tls, &byte, 1, &n, &err), TLS_WANT_READ);
		note_client(t, ssl);
		note_server(t, tls);
		SSL_shutdown(ssl);
	}
	SSL_free(ssl);
	close(fds[1]);
	if (t->keeps) {
		t->tls = tls; /* its socket is of no use any more */
		return;
	}
	tls_free(&tls);
	close(fds[0]);
}

/* ---- names ---- */

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void the_certificate_with_the_name_is_shown(void)
{
	static const struct {
		const char *sni, *signatures, *shown;
	} cases[] = {
		{NULL, NULL, "fallback"},
		{"mail.test", NULL, "fallback"},
		{"unknown.test", NULL, "fallback"},
		{"mx.example.test", NULL, "site"},
		{"MX.EXAMPLE.test", NULL, "site"},
		{"mx.example.test.", NULL, "site"},
		{"other.example.test", NULL, "wild"},
		{"a.other.example.test", NULL, "fallback"}, /* a wildcard is one label */
		{"example.test", NULL, "fallback"},
		{"x.wide.test", NULL, "site"},
		{"*.wide.test", NULL, "site"},
		{".wide.test", NULL, "fallback"},
		{"127.0.0.1", NULL, "fallback"},
		/* a client that knows only RSA */
		{"mx.example.test", "RSA+SHA256:RSA-PSS+SHA256", "site-rsa"},
		{NULL, "RSA+SHA256:RSA-PSS+SHA256", "fallback-rsa"},
		{"more.test", "RSA+SHA256:RSA-PSS+SHA256", "fallback-rsa"},
		{"more.test", NULL, "fallback-rsa"},
	};
	struct tls_server *server = tls_server_new(TLS_1_2);

	add(server, &fallback, STR(""));
	add(server, &site, STR(""));
	add(server, &wild, STR(""));
	add(server, &site_rsa, STR(""));
	add(server, &fallback_rsa, STR(""));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t v = 0; v < 2; v++) {
			struct trial t = {.sni = cases[i].sni, .signatures = cases[i].signatures, .version = versions[v]};

			shake(server, TLS_ASK_NOTHING, &t);
			UNIT_TEXT(t.err, "");
			UNIT_TEXT(t.shown, cases[i].shown);
			UNIT_TRUE(!t.got_ticket); /* no keys yet */
		}
	tls_server_free(&server);
}

static void a_client_without_common_signatures_is_refused(void)
{
	struct tls_server *server = tls_server_new(TLS_1_2);
	struct trial t = {.signatures = "RSA+SHA256:RSA-PSS+SHA256"};

	add(server, &fallback, STR(""));
	shake(server, TLS_ASK_NOTHING, &t);
	UNIT_TRUE(!t.is_done);
	UNIT_TEXT(t.err, "no suitable signature algorithm");
	tls_server_free(&server);
}

/* ---- client certificates ---- */

static char *crl_of(const struct certificate *signer, const struct certificate *which, long to)
{
	X509_CRL *crl = X509_CRL_new();
	X509_REVOKED *r = X509_REVOKED_new();
	ASN1_TIME *now = X509_gmtime_adj(NULL, -60), *next = X509_gmtime_adj(NULL, to);
	BIO *bio = BIO_new(BIO_s_mem());

	X509_CRL_set_version(crl, 1);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(signer->x));
	X509_CRL_set1_lastUpdate(crl, now);
	X509_CRL_set1_nextUpdate(crl, next);
	X509_REVOKED_set_serialNumber(r, X509_get_serialNumber(which->x));
	X509_REVOKED_set_revocationDate(r, now);
	X509_CRL_add0_revoked(crl, r);
	X509_CRL_sort(crl);
	X509_CRL_sign(crl, signer->key, EVP_sha256());
	PEM_write_bio_X509_CRL(bio, crl);
	ASN1_TIME_free(now);
	ASN1_TIME_free(next);
	X509_CRL_free(crl);
	return certificate_text(bio);
}

static void fingerprint_of(const struct certificate *c, char out[65])
{
	unsigned char digest[32];

	X509_digest(c->x, EVP_sha256(), digest, NULL);
	for (int i = 0; i < 32; i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static struct tls_server *server_that_trusts(const char *a, const char *b, const char *pins)
{
	struct tls_server *server = tls_server_new(TLS_1_2);
	struct tls_server_trusted found;
	struct buf pem = BUF_MAX(1 << 20);
	struct err err;

	buf_put_text(&pem, a);
	buf_put_text(&pem, b);
	UNIT_TRUE(tls_server_trust(server, buf_str(&pem), str_of(pins), &found, &err));
	UNIT_INT(found.authorities, a[0] != '\0');
	UNIT_INT(found.lists, b[0] != '\0');
	add(server, &fallback, STR(""));
	buf_clear(&pem);
	return server;
}

struct client_case {
	const struct certificate *shows;
	bool is_good; /* else the reason: */
	const char *reason;
};

static void try_clients(struct tls_server *server, const struct client_case *cases, size_t n)
{
	char fingerprint[65], claim[80];

	for (size_t i = 0; i < n; i++)
		for (size_t v = 0; v < 2; v++) {
			struct trial ask = {.shows = cases[i].shows, .version = versions[v]}, require = ask, off = ask;

			shake(server, TLS_ASK, &ask);
			shake(server, TLS_REQUIRE, &require);
			shake(server, TLS_ASK_NOTHING, &off);
			UNIT_TRUE(ask.is_done && off.is_done);
			UNIT_TEXT(off.claims, "");
			UNIT_TRUE(!ask.got_ticket && !require.got_ticket);
			UNIT_INT(require.is_done, cases[i].is_good);
			if (cases[i].is_good) {
				fingerprint_of(cases[i].shows, fingerprint);
				snprintf(claim, sizeof(claim), "sha256:%s", fingerprint);
				UNIT_STR(str_first(str_of(ask.claims), 71), claim);
				UNIT_TEXT(ask.claims, require.claims);
				UNIT_TEXT(ask.ignored, "");
				continue;
			}
			UNIT_TEXT(ask.claims, "");
			UNIT_TRUE(strstr(require.err, cases[i].reason) != NULL);
			if (cases[i].shows != NULL)
				UNIT_TEXT(ask.ignored, require.err);
			if (strstr(require.err, cases[i].reason) == NULL)
				printf("%s\n", require.err);
		}
}

static void client_certificates_are_checked(void)
{
	const struct client_case cases[] = {
		{&client, true, NULL},
		{&revoked, true, NULL}, /* nobody says that it is */
		{NULL, false, "peer did not return a certificate"},
		{&expired, false, "the certificate of CN=expired (issued by CN=Test CA; for old.clients.test) is not accepted: "
				  "certificate has expired"},
		{&stranger, false, "the certificate of CN=stranger (issued by CN=stranger; for app.clients.test) is not accepted: "
				   "self-signed certificate"},
	};
	struct tls_server *server = server_that_trusts(ca.pem, "", "");
	struct trial t = {.shows = &client};
	struct trial plain = {.shows = NULL};

	try_clients(server, cases, sizeof(cases) / sizeof(cases[0]));
	shake(server, TLS_REQUIRE, &t);
	UNIT_STR(str_from(str_of(t.claims), 71), " dns:app.clients.test email:app@clients.test");
	shake(server, TLS_ASK, &plain);
	UNIT_TRUE(plain.is_done);
	UNIT_INT(plain.ca_names, 1);
	tls_server_free(&server);
}

static void a_revoked_certificate_is_refused(void)
{
	const struct client_case cases[] = {
		{&client, true, NULL},
		{&revoked, false, "certificate revoked"},
	};
	const struct client_case none[] = {{&client, false, "CRL has expired"}};
	char *crl = crl_of(&ca, &revoked, DAY), *old = crl_of(&ca, &revoked, -1);
	struct tls_server *server = server_that_trusts(ca.pem, crl, "");

	try_clients(server, cases, 2);
	tls_server_free(&server);
	server = server_that_trusts(ca.pem, old, "");
	try_clients(server, none, 1);
	tls_server_free(&server);
	free(crl);
	free(old);
}

static void pinned_certificates_need_no_authority(void)
{
	const struct client_case cases[] = {
		{&stranger, true, NULL},
		{&client, false, "is not pinned"}, /* though its authority is trusted */
		{NULL, false, "peer did not return a certificate"},
	};
	struct tls_server *server;
	struct trial t = {.shows = &stranger};
	char pin[65];

	fingerprint_of(&stranger, pin);
	server = server_that_trusts(ca.pem, "", pin);
	try_clients(server, cases, 3);
	shake(server, TLS_REQUIRE, &t);
	UNIT_INT(strlen(t.claims), 71); /* nobody vouches for its names */
	tls_server_free(&server);
	server = server_that_trusts("", "", pin);
	try_clients(server, cases, 3);
	tls_server_free(&server);
}

static void without_authorities_nobody_is_known(void)
{
	const struct client_case cases[] = {{&client, false, "unable to get local issuer certificate"}};
	struct tls_server *server = server_that_trusts("", "", "");

	try_clients(server, cases, 1);
	tls_server_free(&server);
}

static void many_authorities_are_not_listed(void)
{
	struct tls_server *server = tls_server_new(TLS_1_2);
	struct tls_server_trusted found;
	struct buf pem = BUF_MAX(1 << 20);
	struct trial t = {.shows = &client};
	struct err err;

	buf_put_text(&pem, ca.pem);
	for (int i = 0; i < 200; i++) {
		char name[64];
		struct certificate one;

		snprintf(name, sizeof(name), "An authority with a rather long name, number %d", i);
		one = certificate_make(name, NULL, -DAY, DAY, NULL);
		buf_put_text(&pem, one.pem);
		certificate_clear(&one);
	}
	UNIT_TRUE(tls_server_trust(server, buf_str(&pem), STR(""), &found, &err));
	UNIT_INT(found.authorities, 201);
	add(server, &fallback, STR(""));
	shake(server, TLS_REQUIRE, &t);
	UNIT_TRUE(t.is_done && t.claims[0] != '\0');
	UNIT_TRUE(t.ca_names <= 0);
	buf_clear(&pem);
	tls_server_free(&server);
}

static void bad_authorities_are_refused(void)
{
	static const struct {
		const char *pem, *reason;
	} cases[] = {
		{"nothing at all\n", "there is no certificate of an authority in it"},
		{"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "the PEM text is broken: "},
	};

	for (size_t i = 0; i < 2; i++) {
		struct tls_server *server = tls_server_new(TLS_1_2);
		struct tls_server_trusted found;
		struct err err;

		UNIT_TRUE(!tls_server_trust(server, str_of(cases[i].pem), STR(""), &found, &err));
		UNIT_STR(str_first(str_of(err.text), strlen(cases[i].reason)), cases[i].reason);
		tls_server_free(&server);
	}
}

/* ---- tickets ---- */

static struct tls_server *worker(const unsigned char *keys, size_t n)
{
	struct tls_server *server = server_that_trusts(ca.pem, "", "");

	tls_server_set_tickets(server, str_bytes(keys, n * TLS_SERVER_TICKET_KEY), 3600);
	return server;
}

static void a_ticket_is_good_at_every_worker_and_over_rotations(void)
{
	unsigned char keys[4 * TLS_SERVER_TICKET_KEY]; /* the newest first */
	static const struct {
		unsigned newest, n;
		bool is_resumed;
	} cases[] = {{3, 1, true}, {2, 2, true}, {1, 3, true}, {0, 3, false}};

	random_fill(keys, sizeof(keys));
	for (size_t v = 0; v < 2; v++) {
		struct tls_server *one = worker(keys + 3 * TLS_SERVER_TICKET_KEY, 1);
		struct trial first = {.version = versions[v], .sni = "mail.test"};

		shake(one, TLS_ASK_NOTHING, &first);
		UNIT_TRUE(first.is_done && !first.is_resumed && first.got_ticket);
		UNIT_TRUE(SSL_SESSION_get_ticket_lifetime_hint(first.ticket) <= 3600);
		UNIT_INT(SSL_SESSION_get_max_early_data(first.ticket), 0);
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			struct tls_server *two = worker(keys + cases[i].newest * TLS_SERVER_TICKET_KEY, cases[i].n);
			/* OpenSSL's client does not use one twice. */
			SSL_SESSION *ticket = SSL_SESSION_dup(first.ticket);
			struct trial t = {.version = versions[v], .sni = "mail.test", .resumes = ticket};

			shake(two, TLS_ASK_NOTHING, &t);
			UNIT_TRUE(t.is_done);
			UNIT_INT(t.is_resumed, cases[i].is_resumed);
			UNIT_INT(t.got_ticket, versions[v] == TLS1_3_VERSION || !cases[i].is_resumed);
			if (versions[v] == TLS1_2_VERSION)
				UNIT_INT(t.is_renewed, cases[i].is_resumed && cases[i].n > 1);
			SSL_SESSION_free(t.ticket);
			SSL_SESSION_free(ticket);
			tls_server_free(&two);
		}
		SSL_SESSION_free(first.ticket);
		tls_server_free(&one);
	}
}

static void keys_may_be_replaced_while_a_server_is_in_use(void)
{
	unsigned char keys[2 * TLS_SERVER_TICKET_KEY];
	struct tls_server *server;
	struct trial first = {.sni = "mail.test"}, second = first, third = first;

	random_fill(keys, sizeof(keys));
	server = worker(keys + TLS_SERVER_TICKET_KEY, 1);
	shake(server, TLS_ASK_NOTHING, &first);
	tls_server_set_tickets(server, str_bytes(keys, sizeof(keys)), 3600);
	second.resumes = first.ticket;
	shake(server, TLS_ASK_NOTHING, &second);
	UNIT_TRUE(second.is_resumed);
	tls_server_set_tickets(server, str_bytes(keys, TLS_SERVER_TICKET_KEY), 3600);
	third.resumes = second.ticket; /* was renewed under the new key */
	shake(server, TLS_ASK_NOTHING, &third);
	UNIT_TRUE(third.is_resumed);
	SSL_SESSION_free(first.ticket);
	SSL_SESSION_free(second.ticket);
	SSL_SESSION_free(third.ticket);
	tls_server_free(&server);
}

static void a_ticket_does_not_replace_a_client_certificate(void)
{
	unsigned char keys[TLS_SERVER_TICKET_KEY];

	random_fill(keys, sizeof(keys));
	for (size_t v = 0; v < 2; v++) {
		struct tls_server *server = worker(keys, 1);
		struct trial off = {.version = versions[v]}, require = off, ask = off, with = off;

		shake(server, TLS_ASK_NOTHING, &off);
		UNIT_TRUE(off.got_ticket);
		require.resumes = ask.resumes = with.resumes = off.ticket;
		shake(server, TLS_REQUIRE, &require);
		UNIT_TRUE(!require.is_done);
		shake(server, TLS_ASK, &ask);
		UNIT_TRUE(ask.is_done && !ask.is_resumed && !ask.got_ticket);
		with.shows = &client;
		shake(server, TLS_REQUIRE, &with);
		UNIT_TRUE(with.is_done && !with.is_resumed && with.claims[0] != '\0');
		SSL_SESSION_free(off.ticket);
		tls_server_free(&server);
	}
}

/* ---- OCSP ---- */

static struct buf ocsp_good_for(const struct certificate *c, long seconds)
{
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), c->x, ca.x);
	ASN1_TIME *from = X509_gmtime_adj(NULL, -DAY), *to = X509_gmtime_adj(NULL, seconds);
	OCSP_RESPONSE *response;
	unsigned char *der = NULL;
	struct buf out = BUF_MAX(65536);
	int n;

	OCSP_basic_add1_status(basic, id, V_OCSP_CERTSTATUS_GOOD, 0, NULL, from, to);
	OCSP_basic_sign(basic, ca.x, ca.key, EVP_sha256(), NULL, 0);
	response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	n = i2d_OCSP_RESPONSE(response, &der);
	buf_put(&out, der, (size_t)n);
	OPENSSL_free(der);
	OCSP_RESPONSE_free(response);
	OCSP_BASICRESP_free(basic);
	OCSP_CERTID_free(id);
	ASN1_TIME_free(from);
	ASN1_TIME_free(to);
	return out;
}

static void a_good_response_is_stapled_to_its_certificate(void)
{
	struct buf good = ocsp_good_for(&fallback, DAY), old = ocsp_good_for(&site, -1);
	struct tls_server *server = tls_server_new(TLS_1_2);

	add(server, &fallback, buf_str(&good));
	add(server, &site, buf_str(&old));
	add(server, &wild, STR(""));
	for (size_t v = 0; v < 2; v++) {
		struct trial with = {.version = versions[v], .asks_status = true}, without = {.version = versions[v]};
		struct trial outdated = with, none = with;

		outdated.sni = "mx.example.test";
		none.sni = "x.example.test";
		shake(server, TLS_ASK_NOTHING, &with);
		UNIT_INT(with.status, good.n);
		shake(server, TLS_ASK_NOTHING, &without);
		UNIT_TRUE(without.is_done && without.status <= 0);
		shake(server, TLS_ASK_NOTHING, &outdated);
		UNIT_TRUE(outdated.is_done && outdated.status <= 0);
		shake(server, TLS_ASK_NOTHING, &none);
		UNIT_TRUE(none.is_done && none.status <= 0);
	}
	buf_clear(&good);
	buf_clear(&old);
	tls_server_free(&server);
}

static void a_response_is_stapled_no_longer_than_it_is_good(void)
{
	struct buf brief = ocsp_good_for(&fallback, 2);
	struct tls_server *server = tls_server_new(TLS_1_2);
	struct trial before = {.asks_status = true}, after = before;
	time_t until = time(NULL) + 3;

	add(server, &fallback, buf_str(&brief));
	shake(server, TLS_ASK_NOTHING, &before);
	while (time(NULL) < until)
		usleep(20000);
	shake(server, TLS_ASK_NOTHING, &after);
	UNIT_TRUE(after.is_done && after.status <= 0);
	UNIT_INT(before.status, brief.n);
	buf_clear(&brief);
	tls_server_free(&server);
}

/* ---- who is on what ---- */

struct count {
	size_t current, on_current, old, on_old;
	char fallbacks[64];
};

static void count_one(void *ctx, const struct tls_server_shown *shown)
{
	struct count *c = ctx;

	if (shown->is_current) {
		c->current++;
		c->on_current += shown->sessions;
	} else {
		c->old++;
		c->on_old += shown->sessions;
	}
	if (shown->is_fallback)
		str_copy(str_of(shown->certificate->subject), c->fallbacks, sizeof(c->fallbacks));
}

static struct count count(const struct tls_server *current)
{
	struct count c = {0};

	tls_server_each(current, count_one, &c);
	return c;
}

static void sessions_are_counted_by_certificate(void)
{
	struct tls_server *one = tls_server_new(TLS_1_2), *two = tls_server_new(TLS_1_2);
	struct trial a = {.keeps = true}, b = {.keeps = true}, c = {.keeps = true, .sni = "mx.example.test"};

	add(one, &fallback, STR(""));
	add(one, &site, STR(""));
	add(two, &named, STR(""));
	add(two, &site, STR(""));
	shake(one, TLS_ASK_NOTHING, &a);
	shake(one, TLS_ASK_NOTHING, &b);
	shake(one, TLS_ASK_NOTHING, &c);
	UNIT_INT(count(one).on_current, 3);
	UNIT_INT(count(one).old, 0);
	tls_server_free(&one); /* its sessions keep it */
	UNIT_INT(count(two).current, 2);
	UNIT_INT(count(two).on_current, 1); /* the same certificate, read again */
	UNIT_INT(count(two).old, 1);
	UNIT_INT(count(two).on_old, 2);
	UNIT_TEXT(count(two).fallbacks, "CN=named");
	tls_free(&a.tls);
	UNIT_INT(count(two).on_old, 1);
	tls_free(&b.tls);
	tls_free(&c.tls);
	UNIT_INT(count(two).old, 0);
	UNIT_INT(count(two).on_current, 0);
	tls_server_free(&two);
}

UNIT_TESTS({"make certificates", make_certificates},
	   {"the certificate with the name is shown", the_certificate_with_the_name_is_shown},
	   {"a client without common signatures is refused", a_client_without_common_signatures_is_refused},
	   {"client certificates are checked", client_certificates_are_checked},
	   {"a revoked certificate is refused", a_revoked_certificate_is_refused},
	   {"pinned certificates need no authority", pinned_certificates_need_no_authority},
	   {"without authorities nobody is known", without_authorities_nobody_is_known},
	   {"many authorities are not listed", many_authorities_are_not_listed},
	   {"bad authorities are refused", bad_authorities_are_refused},
	   {"a ticket is good at every worker and over rotations", a_ticket_is_good_at_every_worker_and_over_rotations},
	   {"keys may be replaced while a server is in use", keys_may_be_replaced_while_a_server_is_in_use},
	   {"a ticket does not replace a client certificate", a_ticket_does_not_replace_a_client_certificate},
	   {"a good response is stapled to its certificate", a_good_response_is_stapled_to_its_certificate},
	   {"a response is stapled no longer than it is good", a_response_is_stapled_no_longer_than_it_is_good},
	   {"sessions are counted by certificate", sessions_are_counted_by_certificate},
	   {"clear certificates", clear_certificates})
