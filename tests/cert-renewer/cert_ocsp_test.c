/* SPDX-License-Identifier: Apache-2.0
 *
 * Asking OpenSSL's responder, which is started here, and one that answers with whatever the test
 * says.
 */
#include "cert-renewer/cert_ocsp.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/net/acceptor.h"
#include "lib/net/conn.h"
#include "tests/support/certificate.h"
#include "tests/support/unit.h"

#define DAY 86400L
#define PATIENCE (60 * CLOCK_SECOND)

static struct loop *loop;
static struct http_client *http;
static struct certificate ca;

/* ---- What came of a question ---- */

struct heard {
	unsigned n;
	size_t size;
	int64_t refresh_at, until;
	char why[512];
};

static void on_heard(void *ctx, struct str der, int64_t refresh_at, int64_t until, const char *why)
{
	struct heard *h = ctx;

	h->n++;
	h->size = der.n;
	h->refresh_at = refresh_at;
	h->until = until;
	str_copy(str_of(why), h->why, sizeof(h->why));
}

static void await(const struct heard *h)
{
	int64_t stop = clock_mono() + PATIENCE;

	while (h->n == 0 && clock_mono() < stop)
		loop_turn(loop, 20 * CLOCK_MS);
	UNIT_INT(h->n, 1);
}

/* Its chain, with `url` as the responder. */
static struct buf chain_of(struct certificate *c, const char *url)
{
	struct buf pem = BUF_MAX(65536), value = BUF_MAX(4096);
	char *text;
	BIO *bio = BIO_new(BIO_s_mem());

	buf_printf(&value, "OCSP;URI:%s", url);
	text = buf_take_text(&value);
	certificate_extend(c->x, ca.x, NID_info_access, text);
	free(text);
	X509_sign(c->x, ca.key, EVP_sha256());
	PEM_write_bio_X509(bio, c->x);
	text = certificate_text(bio);
	buf_put_text(&pem, text);
	buf_put_text(&pem, ca.pem);
	free(text);
	return pem;
}

static struct heard ask(const struct buf *pem)
{
	struct heard h = {0};
	struct err err = {""};

	UNIT_TRUE(cert_ocsp_ask(http, buf_str(pem), on_heard, &h, &err) != NULL);
	UNIT_INT(h.n, 0);
	await(&h);
	return h;
}

static void begin(void)
{
	struct http_client_config config = {.connect_timeout = 30 * CLOCK_SECOND,
					    .max_connections = 4};

	loop = loop_new();
	http_client_prepare();
	http = http_client_new(loop, &config);
	ca = certificate_make("Test CA", NULL, -DAY, 10 * DAY, NULL);
}

static void end(void)
{
	http_client_free(&http);
	loop_free(&loop);
	certificate_clear(&ca);
}

/* ---- OpenSSL's responder ---- */

struct responder {
	char folder[64];
	pid_t child;
	unsigned port;
	int says; /* a pipe that stays open, for it may have more to say */
};

static void write_file(const struct responder *r, const char *name, const char *text)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", r->folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	UNIT_TRUE(fd >= 0 && fd_write_all(fd, text, strlen(text)));
	close(fd);
}

/* Says "ACCEPT [::]:PORT PID=..." when it listens. */
static unsigned port_of(int from)
{
	char text[4096], *at;
	size_t n = 0;
	uint64_t port;
	ssize_t got;

	while ((got = read(from, text + n, sizeof(text) - 1 - n)) > 0) {
		n += (size_t)got;
		text[n] = '\0';
		at = strstr(text, "ACCEPT ");
		if (at != NULL && strchr(at, '\n') != NULL && (at = strstr(at, " PID")) != NULL) {
			while (at > text && at[-1] != ':')
				at--;
			return str_u64(str_first(str_of(at), str_find(str_of(at), ' ')), 1, 65535, &port) ? (unsigned)port : 0;
		}
	}
	return 0;
}

/* index: what openssl-ca(1) keeps of its certificates. */
static void start(struct responder *r, const char *index)
{
	int ends[2];

	*r = (struct responder){"/tmp/cert_ocsp_test.XXXXXX", 0, 0, -1};
	UNIT_TRUE(mkdtemp(r->folder) != NULL);
	write_file(r, "ca.pem", ca.pem);
	write_file(r, "key.pem", ca.key_pem);
	write_file(r, "index.txt", index);
	UNIT_INT(pipe(ends), 0);
	r->child = fork();
	if (r->child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(ends[1], 1);
		dup2(ends[1], 2);
		close(ends[0]);
		close(ends[1]);
		if (chdir(r->folder) == 0)
			execlp("openssl", "openssl", "ocsp", "-port", "0", "-index", "index.txt",
			       "-CA", "ca.pem", "-rsigner", "ca.pem", "-rkey", "key.pem", "-ndays",
			       "4", (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	r->says = ends[0];
	r->port = port_of(r->says);
	UNIT_TRUE(r->port != 0);
}

static void stop(struct responder *r)
{
	static const char *const names[] = {"ca.pem", "key.pem", "index.txt", "index.txt.attr"};
	char path[128];

	kill(r->child, SIGKILL);
	waitpid(r->child, NULL, 0);
	close(r->says);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", r->folder, names[i]);
		unlink(path);
	}
	rmdir(r->folder);
}

static void a_real_responder_is_asked(void)
{
	struct certificate good, revoked, unknown;
	struct responder r;
	char index[512], url[64];
	struct buf chain;
	struct heard h;
	int64_t now = time(NULL);

	begin();
	good = certificate_make("good.test", "DNS:good.test", -DAY, DAY, &ca);
	revoked = certificate_make("revoked.test", "DNS:revoked.test", -DAY, DAY, &ca);
	unknown = certificate_make("unknown.test", "DNS:unknown.test", -DAY, DAY, &ca);
	snprintf(index, sizeof(index),
		 "V\t491231235959Z\t\t%lX\tunknown\t/CN=good.test\n"
		 "R\t491231235959Z\t200101000000Z,keyCompromise\t%lX\tunknown\t/CN=revoked.test\n",
		 ASN1_INTEGER_get(X509_get0_serialNumber(good.x)),
		 ASN1_INTEGER_get(X509_get0_serialNumber(revoked.x)));
	start(&r, index);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", r.port);

	chain = chain_of(&good, url);
	h = ask(&chain);
	UNIT_TEXT(h.why, "");
	UNIT_TRUE(h.size > 0);
	UNIT_TRUE(h.until > now + 4 * DAY - 60 && h.until < now + 4 * DAY + 60);
	UNIT_TRUE(h.refresh_at > now + 2 * DAY - 60 && h.refresh_at < now + 2 * DAY + 60);
	buf_clear(&chain);

	chain = chain_of(&revoked, url);
	h = ask(&chain);
	UNIT_INT(h.size, 0);
	UNIT_TRUE(str_starts(str_of(h.why), str_of(url)) &&
		  str_ends(str_of(h.why), STR(": it says that the certificate is revoked")));
	buf_clear(&chain);

	chain = chain_of(&unknown, url);
	h = ask(&chain);
	UNIT_TRUE(h.size == 0 &&
		  str_ends(str_of(h.why), STR(": it says that the certificate is unknown")));
	buf_clear(&chain);

	stop(&r);
	certificate_clear(&good);
	certificate_clear(&revoked);
	certificate_clear(&unknown);
	end();
}

/* ---- One that says anything ---- */

static struct standin {
	struct acceptor *acceptor;
	struct conn *conn;
	struct buf answer, request;
	unsigned port;
} standin;

static void standin_input(void *ctx)
{
	(void)ctx;
	buf_reset(&standin.request);
	buf_put_str(&standin.request, conn_input(standin.conn));
	if (standin.answer.n == 0)
		return;
	conn_consume(standin.conn, conn_input(standin.conn).n);
	conn_write(standin.conn, buf_str(&standin.answer));
	conn_finish(standin.conn);
}

static void standin_end(void *ctx, const char *why)
{
	(void)ctx, (void)why;
	conn_free(&standin.conn);
}

static void standin_accept(void *ctx, int fd, const struct sockaddr_storage *from)
{
	static const struct conn_events events = {.on_input = standin_input, .on_end = standin_end};

	(void)ctx, (void)from;
	conn_free(&standin.conn);
	standin.conn = conn_new(loop, fd, 65536, &events, NULL);
}

static void standin_start(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	UNIT_TRUE(bind(fd, (struct sockaddr *)&a, n) == 0 && listen(fd, 16) == 0 &&
		  getsockname(fd, (struct sockaddr *)&a, &n) == 0);
	standin = (struct standin){
		.port = ntohs(a.sin_port), .answer = BUF_MAX(1 << 20), .request = BUF_MAX(65536)};
	standin.acceptor = acceptor_new(loop, fd, standin_accept, NULL);
	acceptor_resume(standin.acceptor);
}

static void standin_stop(void)
{
	acceptor_free(&standin.acceptor);
	conn_free(&standin.conn);
	buf_clear(&standin.answer);
	buf_clear(&standin.request);
	loop_turn(loop, 0);
}

static void an_answer_that_is_none_is_refused(void)
{
	static const struct {
		const char *answer;
		size_t body; /* so many octets more */
		const char *why;
	} cases[] = {
		{"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", 0, "the answer's status is 500"},
		{"HTTP/1.1 301 There\r\nLocation: http://example.com/\r\nContent-Length: 0\r\n\r\n",
		 0, "the answer's status is 301"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 0,
		 "it is no OCSP response (DER)"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0, "it is no OCSP response (DER)"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n\x30\x03\x0a\x01\x06", 0,
		 "the responder answered with an error: unauthorized"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n", 300000,
		 "the answer is too large"},
	};
	static const char type[] = "\r\nContent-Type: application/ocsp-request\r\n";
	struct certificate leaf;
	char url[64];
	struct buf pem;

	begin();
	standin_start();
	leaf = certificate_make("leaf.test", "DNS:leaf.test", -DAY, DAY, &ca);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/ocsp", standin.port);
	pem = chain_of(&leaf, url);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct heard h;

		buf_reset(&standin.answer);
		buf_put_text(&standin.answer, cases[i].answer);
		for (size_t k = 0; k < cases[i].body; k++)
			buf_put_char(&standin.answer, 'x');
		h = ask(&pem);
		UNIT_INT(h.size, 0);
		UNIT_TRUE(str_starts(str_of(h.why), str_of(url)));
		UNIT_STR(str_from(str_of(h.why), strlen(url) + 2), cases[i].why);
	}
	UNIT_TRUE(str_starts(buf_str(&standin.request), STR("POST /ocsp HTTP/1.1\r\n")));
	UNIT_TRUE(memmem(standin.request.p, standin.request.n, type, sizeof(type) - 1) != NULL);
	/* Nobody there. */
	standin_stop();
	UNIT_TRUE(ask(&pem).why[0] != '\0');
	certificate_clear(&leaf);
	buf_clear(&pem);
	end();
}

static void a_question_that_is_forgotten_has_no_answer(void)
{
	struct heard h = {0}, second = {0};
	struct cert_ocsp_call *call, *other;
	struct certificate leaf;
	struct err err = {""};
	char url[64];
	struct buf pem;
	int64_t stop;

	begin();
	standin_start();
	leaf = certificate_make("leaf.test", "DNS:leaf.test", -DAY, DAY, &ca);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/ocsp", standin.port);
	pem = chain_of(&leaf, url);
	call = cert_ocsp_ask(http, buf_str(&pem), on_heard, &h, &err);
	other = cert_ocsp_ask(http, buf_str(&pem), on_heard, &second, &err);
	UNIT_TRUE(call != NULL && other != NULL);
	cert_ocsp_forget(&other);
	for (stop = clock_mono() + PATIENCE; standin.request.n == 0 && clock_mono() < stop;)
		loop_turn(loop, 20 * CLOCK_MS);
	cert_ocsp_forget(&call);
	UNIT_TRUE(call == NULL);
	standin_stop();
	UNIT_INT(h.n + second.n, 0);
	UNIT_INT(http_client_count(http), 0);
	certificate_clear(&leaf);
	buf_clear(&pem);
	end();
}

static void nobody_is_asked_without_an_url_of_http(void)
{
	static const struct {
		const char *url, *why;
	} cases[] = {
		{"ldap://127.0.0.1/",
		 "the certificate's OCSP responder is not named by an URL of HTTP"},
		{"file:///etc/passwd",
		 "the certificate's OCSP responder is not named by an URL of HTTP"},
		{"http://a b/", "the certificate's OCSP responder is not named by an URL of HTTP"},
	};

	begin();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct certificate leaf =
			certificate_make("leaf.test", "DNS:leaf.test", -DAY, DAY, &ca);
		struct buf pem = chain_of(&leaf, cases[i].url);
		struct err err = {""};
		struct heard h = {0};

		UNIT_TRUE(cert_ocsp_ask(http, buf_str(&pem), on_heard, &h, &err) == NULL);
		UNIT_TEXT(err.text, cases[i].why);
		UNIT_TRUE(cert_ocsp_ask(http, str_of(leaf.both), on_heard, &h, &err) == NULL);
		UNIT_INT(h.n, 0);
		certificate_clear(&leaf);
		buf_clear(&pem);
	}
	end();
}

UNIT_TESTS({"a real responder is asked", a_real_responder_is_asked},
	   {"an answer that is none is refused", an_answer_that_is_none_is_refused},
	   {"a question that is forgotten has no answer",
	    a_question_that_is_forgotten_has_no_answer},
	   {"nobody is asked without an URL of HTTP", nobody_is_asked_without_an_url_of_http})
