/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers to tls-alpn-01, seen by a client with OpenSSL in a process of its own, as an authority
 * would look at them.
 */
#include "cert-renewer/challenge_alpn.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cert-renewer/cert_share.h"
#include "lib/base/clock.h"
#include "lib/base/encode.h"
#include "lib/ipc/ipc.h"
#include "lib/net/digest.h"
#include "tests/support/unit.h"

#define PATIENCE (30 * CLOCK_SECOND)

static struct loop *loop;
static struct challenge_alpn *alpn;
static uint16_t port;

/* ---- The authority ---- */

struct visit {
	const char *host;      /* NULL: it names none */
	const char *protocols; /* as in the extension; NULL: none */
	int version;	       /* 0: any */
};

#define ACME \
	"\x0a" \
	"acme-tls/1"

static int connect_to(uint16_t to)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons(to),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
		_exit(2);
	return fd;
}

/* What an authority looks at: protocol, names, the extension with its criticality. */
static void describe(SSL *ssl, struct buf *out)
{
	ASN1_OBJECT *kind = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1);
	X509 *x = SSL_get0_peer_certificate(ssl);
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	X509_EXTENSION *e = X509_get_ext(x, X509_get_ext_by_OBJ(x, kind, -1));
	const unsigned char *protocol;
	unsigned n;

	SSL_get0_alpn_selected(ssl, &protocol, &n);
	buf_put(out, protocol, n);
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const ASN1_STRING *name = sk_GENERAL_NAME_value(names, i)->d.dNSName;

		buf_printf(out, " %.*s", ASN1_STRING_length(name),
			   (const char *)ASN1_STRING_get0_data(name));
	}
	buf_printf(out, " %s ", X509_EXTENSION_get_critical(e) ? "critical" : "optional");
	encode_hex(out, str_bytes(ASN1_STRING_get0_data(X509_EXTENSION_get_data(e)),
				  (size_t)ASN1_STRING_length(X509_EXTENSION_get_data(e))));
}

static void visit_in_child(const struct visit *v, int to)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);
	struct buf out = BUF_MAX(4096);
	char octet;

	if (v->version != 0)
		SSL_set_max_proto_version(ssl, v->version);
	if (v->host != NULL)
		SSL_set_tlsext_host_name(ssl, v->host);
	if (v->protocols != NULL)
		SSL_set_alpn_protos(ssl, (const unsigned char *)v->protocols,
				    (unsigned)strlen(v->protocols));
	SSL_set_fd(ssl, connect_to(port));
	if (SSL_connect(ssl) == 1) {
		describe(ssl, &out);
		/* Nothing follows, but the end. */
		buf_put_text(&out, SSL_read(ssl, &octet, 1) == 0 &&
						   SSL_get_error(ssl, 0) == SSL_ERROR_ZERO_RETURN
					   ? ""
					   : " and more");
	} else {
		buf_put_text(&out, ERR_reason_error_string(ERR_peek_error()));
	}
	_exit(write(to, out.p, out.n) == (ssize_t)out.n ? 0 : 1);
}

struct visitor {
	pid_t child;
	int from;
};

static struct visitor begin_visit(const struct visit *v)
{
	struct visitor visitor;
	int ends[2];

	UNIT_INT(pipe(ends), 0);
	visitor.from = ends[0];
	visitor.child = fork();
	if (visitor.child == 0)
		visit_in_child(v, ends[1]);
	close(ends[1]);
	return visitor;
}

/* Turns the loop until the child has ended, or the time is up. */
static void end_visit(struct visitor *visitor, struct buf *seen)
{
	int64_t stop = clock_mono() + PATIENCE;
	char text[4096];
	ssize_t n;

	while (waitpid(visitor->child, NULL, WNOHANG) == 0 && clock_mono() < stop)
		loop_turn(loop, 5 * CLOCK_MS);
	kill(visitor->child, SIGKILL);
	n = read(visitor->from, text, sizeof(text));
	buf_put(seen, text, n > 0 ? (size_t)n : 0);
	close(visitor->from);
}

static void visit(const struct visit *v, struct buf *seen)
{
	struct visitor visitor = begin_visit(v);

	end_visit(&visitor, seen);
}

/* ---- What is put ---- */

static void begin(struct cert_share *share)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	loop = loop == NULL ? loop_new() : loop;
	UNIT_TRUE(bind(fd, (struct sockaddr *)&a, n) == 0 && listen(fd, 128) == 0);
	UNIT_INT(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	port = ntohs(a.sin_port);
	alpn = challenge_alpn_new(loop, share);
	UNIT_TRUE(!challenge_alpn_is_listening(alpn));
	challenge_alpn_listen(alpn, fd);
	UNIT_TRUE(challenge_alpn_is_listening(alpn));
}

static struct challenge challenge_of(const char *name, const char *token, const char *authorization)
{
	return (struct challenge){CHALLENGE_TLS_ALPN_01, str_of(name), str_of(token),
				  str_of(authorization)};
}

static void put(const char *name, const char *token, const char *authorization)
{
	struct challenge c = challenge_of(name, token, authorization);
	struct err err = {""};

	UNIT_TRUE(challenge_alpn_put(alpn, &c, &err));
}

/* The extension's value is the DER of the hash. */
static void expect(const struct visit *v, const char *name, const char *authorization)
{
	struct buf wanted = BUF_MAX(4096), seen = BUF_MAX(4096);
	unsigned char hash[DIGEST_SHA256_SIZE];

	digest_sha256(str_of(authorization), hash);
	buf_printf(&wanted, "acme-tls/1 %s critical 0420", name);
	encode_hex(&wanted, str_bytes(hash, sizeof(hash)));
	visit(v, &seen);
	UNIT_TRUE(str_eq(buf_str(&seen), buf_str(&wanted)));
	if (!str_eq(buf_str(&seen), buf_str(&wanted)))
		printf("saw %.*s\n", STR_ARG(buf_str(&seen)));
	buf_clear(&wanted);
	buf_clear(&seen);
}

static void expect_failure(const struct visit *v, const char *reason)
{
	struct buf seen = BUF_MAX(4096);

	visit(v, &seen);
	UNIT_STR(buf_str(&seen), reason);
	buf_clear(&seen);
}

static void the_certificate_is_that_of_the_name(void)
{
	begin(NULL);
	put("example.com", "a", "a.thumb");
	put("xn--bcher-kva.example", "b", "b.thumb");
	expect(&(struct visit){"example.com", ACME, 0}, "example.com", "a.thumb");
	expect(&(struct visit){"EXAMPLE.com", ACME, TLS1_2_VERSION}, "example.com", "a.thumb");
	expect(&(struct visit){"xn--bcher-kva.example",
			       "\x08"
			       "http/1.1" ACME,
			       0},
	       "xn--bcher-kva.example", "b.thumb");
	challenge_alpn_free(&alpn);
}

static void others_are_refused(void)
{
	begin(NULL);
	put("example.com", "a", "a.thumb");
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		expect_failure(&(struct visit){"other.example", ACME, version},
			       "sslv3 alert handshake failure");
		expect_failure(&(struct visit){NULL, ACME, version}, "tlsv1 unrecognized name");
		expect_failure(&(struct visit){"example.com", NULL, version},
			       "tlsv1 alert no application protocol");
		expect_failure(&(struct visit){"example.com",
					       "\x08"
					       "http/1.1",
					       version},
			       "tlsv1 alert no application protocol");
	}
	challenge_alpn_free(&alpn);
}

static void a_challenge_that_is_removed_is_gone(void)
{
	struct challenge first = challenge_of("example.com", "a", "a.thumb"),
			 second = challenge_of("example.com", "b", "b.thumb");

	begin(NULL);
	put("example.com", "a", "a.thumb");
	put("example.com", "b", "b.thumb");
	expect(&(struct visit){"example.com", ACME, 0}, "example.com", "b.thumb");
	challenge_alpn_remove(alpn, &second);
	expect(&(struct visit){"example.com", ACME, 0}, "example.com", "a.thumb");
	challenge_alpn_remove(alpn, &second);
	challenge_alpn_remove(alpn, &first);
	expect_failure(&(struct visit){"example.com", ACME, 0}, "sslv3 alert handshake failure");
	challenge_alpn_free(&alpn);
}

static void what_is_no_name_is_refused(void)
{
	struct challenge bad = challenge_of("no name", "a", "a.thumb");
	struct err err = {""};

	begin(NULL);
	UNIT_TRUE(!challenge_alpn_put(alpn, &bad, &err));
	UNIT_TEXT(err.text, "no name is no host name");
	challenge_alpn_free(&alpn);
}

/* More than are let in at once say nothing; the authority is answered nevertheless. */
static void the_silent_do_not_keep_the_authority_out(void)
{
	enum { SILENT = 100 };
	int fds[SILENT];
	char octet;

	begin(NULL);
	put("example.com", "a", "a.thumb");
	for (unsigned i = 0; i < SILENT; i++) {
		fds[i] = connect_to(port);
		loop_turn(loop, 0);
	}
	expect(&(struct visit){"example.com", ACME, 0}, "example.com", "a.thumb");
	UNIT_INT(recv(fds[0], &octet, 1, MSG_DONTWAIT), 0); /* it had to go */
	UNIT_INT(recv(fds[SILENT - 1], &octet, 1, MSG_DONTWAIT), -1);
	for (unsigned i = 0; i < SILENT; i++)
		close(fds[i]);
	challenge_alpn_free(&alpn);
}

/* ---- What another host put ---- */

static struct ipc_peer *qmgr;
static char asked_for[IPC_SHARE_NAME];
static struct ipc_share_result says;

static bool on_frame(void *ctx, struct ipc_peer *peer, struct ipc_frame *frame)
{
	struct ipc_share question;
	char bytes[512];
	struct buf body = {.p = bytes, .size = sizeof(bytes), .max = sizeof(bytes)};

	(void)ctx;
	UNIT_TRUE(frame->type == IPC_SHARE && ipc_get_share(&frame->body, &question) &&
		  question.act == IPC_SHARE_GET);
	str_copy(question.name, asked_for, sizeof(asked_for));
	ipc_put_share_result(&body, &says);
	ipc_send(peer, IPC_SHARE_RESULT, frame->id, buf_str(&body), -1);
	return true;
}

static void on_close(void *ctx, struct ipc_peer *peer, const char *why)
{
	(void)ctx, (void)peer, (void)why;
}

static void another_hosts_challenge_is_answered(void)
{
	static const struct ipc_events events = {on_frame, on_close};
	struct cert_share *share;
	int fds[2];

	loop = loop == NULL ? loop_new() : loop;
	share = cert_share_new(loop);
	ipc_pair(fds);
	qmgr = ipc_peer_new(loop, fds[0], ROLE_QMGR, ROLE_CERT_RENEWER, 0, &events, NULL);
	cert_share_connect(share, 0, fds[1]);
	begin(share);
	says = (struct ipc_share_result){IPC_SHARE_YES, STR("c.thumb")};
	expect(&(struct visit){"There.example", ACME, 0}, "There.example", "c.thumb");
	UNIT_TEXT(asked_for, "challenge-alpn/there.example");
	expect(&(struct visit){"there.example", ACME, TLS1_2_VERSION}, "there.example", "c.thumb");
	says = (struct ipc_share_result){IPC_SHARE_NO, STR("")};
	expect_failure(&(struct visit){"there.example", ACME, 0}, "sslv3 alert handshake failure");
	expect_failure(&(struct visit){"there.example", ACME, TLS1_2_VERSION},
		       "sslv3 alert handshake failure");
	/* Our own goes before: nobody is asked. */
	asked_for[0] = '\0';
	put("example.com", "a", "a.thumb");
	expect(&(struct visit){"example.com", ACME, 0}, "example.com", "a.thumb");
	UNIT_TEXT(asked_for, "");
	challenge_alpn_free(&alpn);
	cert_share_free(&share);
	ipc_peer_free(&qmgr);
}

static void whoever_leaves_while_we_ask_is_forgotten(void)
{
	struct cert_share *share;
	struct visitor visitor;
	struct buf seen = BUF_MAX(4096);
	int fds[2];
	int64_t stop;

	loop = loop == NULL ? loop_new() : loop;
	share = cert_share_new(loop);
	ipc_pair(fds); /* a qmgr that says nothing */
	cert_share_connect(share, 0, fds[1]);
	begin(share);
	visitor = begin_visit(&(struct visit){"there.example", ACME, 0});
	for (stop = clock_mono() + CLOCK_SECOND / 2; clock_mono() < stop;)
		loop_turn(loop, 5 * CLOCK_MS);
	kill(visitor.child, SIGKILL);
	end_visit(&visitor, &seen);
	/* The time for asking ends, and another is not answered either, but told so. */
	expect_failure(&(struct visit){"there.example", ACME, 0}, "sslv3 alert handshake failure");
	challenge_alpn_free(&alpn);
	cert_share_free(&share);
	close(fds[0]);
	buf_clear(&seen);
}

UNIT_TESTS({"the certificate is that of the name", the_certificate_is_that_of_the_name},
	   {"others are refused", others_are_refused},
	   {"a challenge that is removed is gone", a_challenge_that_is_removed_is_gone},
	   {"what is no name is refused", what_is_no_name_is_refused},
	   {"the silent do not keep the authority out", the_silent_do_not_keep_the_authority_out},
	   {"another host's challenge is answered", another_hosts_challenge_is_answered},
	   {"whoever leaves while we ask is forgotten", whoever_leaves_while_we_ask_is_forgotten})
