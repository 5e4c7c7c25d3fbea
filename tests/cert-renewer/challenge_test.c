/* SPDX-License-Identifier: Apache-2.0
 *
 * Presenting and withdrawing: http-01 over a real socket, with the test as the authority and as qmgr; files of a web server;
 * programs that the test plays.
 */
#include "cert-renewer/challenge.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cert-renewer/cert_run.h"
#include "cert-renewer/cert_share.h"
#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/ipc/ipc.h"
#include "lib/service/service.h"
#include "tests/support/unit.h"

#define PATH "/.well-known/acme-challenge/"

static struct loop *loop;
static struct settings *settings;
static struct sockaddr_in http_at;

static const struct challenge http_01 = {.kind = CHALLENGE_HTTP_01,
					 .name = {"example.com", 11},
					 .token = {"tok-en_1", 8},
					 .key_authorization = {"tok-en_1.thumb", 14}};

struct told {
	unsigned n;
	bool ok;
	char why[512];
	struct challenges *withdraws_in; /* when it is told */
};

static void on_told(void *ctx, bool ok, const char *why)
{
	struct told *t = ctx;

	t->n++;
	t->ok = ok;
	UNIT_TRUE(str_copy(str_of(why), t->why, sizeof(t->why)));
	if (t->withdraws_in != NULL)
		challenge_withdraw(t->withdraws_in, &http_01);
}

/* ---- the frame ---- */

static struct challenges *begin(struct cert_share *share, int webroot)
{
	loop = loop_new();
	settings = settings_new();
	return challenges_new(
		&(struct challenges_config){.loop = loop, .settings = settings, .share = share, .webroot = webroot});
}

static void end(struct challenges **c)
{
	challenges_free(c);
	loop_turn(loop, 0);
	settings_free(&settings);
	loop_free(&loop);
}

static int listening_socket(void)
{
	socklen_t n = sizeof(http_at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	http_at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	UNIT_TRUE(bind(fd, (struct sockaddr *)&http_at, n) == 0 && listen(fd, 512) == 0);
	UNIT_TRUE(getsockname(fd, (struct sockaddr *)&http_at, &n) == 0);
	return fd;
}

static void turn_until(const unsigned *n, unsigned wanted)
{
	int64_t limit = clock_mono() + 10 * CLOCK_SECOND;

	while (*n < wanted && clock_mono() < limit)
		loop_turn(loop, 20 * CLOCK_MS);
	UNIT_INT(*n, wanted);
}

static int come(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	UNIT_TRUE(connect(fd, (const struct sockaddr *)&http_at, sizeof(http_at)) == 0);
	fd_set_nonblocking(fd);
	return fd;
}

/* The whole answer, until the other side closes. */
static struct str answer_on(int fd, struct buf *answer)
{
	int64_t limit = clock_mono() + 15 * CLOCK_SECOND;
	char piece[4096];
	ssize_t n = -1;

	buf_reset(answer);
	while (n != 0 && clock_mono() < limit) {
		n = read(fd, piece, sizeof(piece));
		if (n > 0)
			buf_put(answer, piece, (size_t)n);
		else if (n < 0)
			loop_turn(loop, 5 * CLOCK_MS);
	}
	UNIT_INT(n, 0);
	fd_close(&fd);
	return buf_str(answer);
}

static struct str ask(const char *request, struct buf *answer)
{
	int fd = come();

	UNIT_TRUE(fd_write_all(fd, request, strlen(request)));
	return answer_on(fd, answer);
}

static bool contains(struct str text, const char *what)
{
	for (size_t i = 0; i + strlen(what) <= text.n; i++)
		if (str_starts(str_from(text, i), str_of(what)))
			return true;
	return false;
}

/* ---- http-01 ---- */

static void what_is_presented_is_answered(void)
{
	struct challenges *c = begin(NULL, -1);
	struct buf answer = BUF_MAX(65536);
	struct told told = {0};
	struct str a;

	UNIT_TRUE(challenges_listen(c, SERVICE_LISTENER_HTTP_01, listening_socket()));
	UNIT_TRUE(!challenges_listen(c, 0, -1));
	a = ask("GET " PATH "tok-en_1 HTTP/1.1\r\nHost: a\r\n\r\n", &answer);
	UNIT_TRUE(str_starts(a, STR("HTTP/1.1 404 ")));
	challenge_present(c, &http_01, on_told, &told);
	UNIT_INT(told.n, 0);
	UNIT_TRUE(!challenges_are_idle(c));
	turn_until(&told.n, 1);
	UNIT_TRUE(told.ok);
	a = ask("GET " PATH "tok-en_1 HTTP/1.1\r\nHost: a\r\n\r\n", &answer);
	UNIT_TRUE(str_starts(a, STR("HTTP/1.1 200 OK\r\nDate: ")));
	UNIT_TRUE(contains(a, "\r\nContent-Type: application/octet-stream\r\n"));
	UNIT_TRUE(contains(a, "\r\nConnection: close\r\n"));
	UNIT_TRUE(contains(a, "\r\nContent-Length: 14\r\n"));
	UNIT_TRUE(str_ends(a, STR("\r\n\r\ntok-en_1.thumb")));
	a = ask("HEAD " PATH "tok-en_1 HTTP/1.0\r\n\r\n", &answer);
	UNIT_TRUE(str_starts(a, STR("HTTP/1.1 200 ")) && str_ends(a, STR("\r\nConnection: close\r\n\r\n")));
	a = ask("GET " PATH "tok-en_2 HTTP/1.0\r\n\r\n", &answer);
	UNIT_TRUE(str_starts(a, STR("HTTP/1.1 404 ")));
	a = ask("POST " PATH "tok-en_1 HTTP/1.0\r\n\r\n", &answer);
	UNIT_TRUE(str_starts(a, STR("HTTP/1.1 405 ")) && contains(a, "\r\nAllow: GET, HEAD\r\n"));
	a = ask("\r\n\r\nnonsense\r\n", &answer);
	UNIT_TRUE(str_starts(a, STR("HTTP/1.1 400 ")));
	challenge_withdraw(c, &http_01);
	challenge_withdraw(c, &http_01);
	UNIT_TRUE(challenges_are_idle(c));
	a = ask("GET " PATH "tok-en_1 HTTP/1.0\r\n\r\n", &answer);
	UNIT_TRUE(str_starts(a, STR("HTTP/1.1 404 ")));
	UNIT_INT(told.n, 1);
	buf_clear(&answer);
	end(&c);
}

static void a_new_socket_takes_the_place_of_the_old(void)
{
	struct challenges *c = begin(NULL, -1);
	struct buf answer = BUF_MAX(65536);
	struct sockaddr_in old;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	challenges_listen(c, SERVICE_LISTENER_HTTP_01, listening_socket());
	old = http_at;
	challenges_listen(c, SERVICE_LISTENER_HTTP_01, listening_socket());
	UNIT_TRUE(connect(fd, (const struct sockaddr *)&old, sizeof(old)) < 0);
	UNIT_TRUE(str_starts(ask("GET / HTTP/1.0\r\n\r\n", &answer), STR("HTTP/1.1 404 ")));
	fd_close(&fd);
	buf_clear(&answer);
	end(&c);
}

static void without_a_socket_it_fails(void)
{
	struct challenges *c = begin(NULL, -1);
	struct challenge alpn = http_01;
	struct told told = {0};

	alpn.kind = CHALLENGE_TLS_ALPN_01;
	challenge_present(c, &http_01, on_told, &told);
	turn_until(&told.n, 1);
	UNIT_TRUE(!told.ok);
	UNIT_TEXT(told.why, "http-01: nothing listens on this host's acme.http_port; smtp-proxyctl status says why");
	challenge_present(c, &alpn, on_told, &told);
	turn_until(&told.n, 2);
	UNIT_TEXT(told.why, "tls-alpn-01: nothing listens on this host's acme.alpn_port; smtp-proxyctl status says why");
	challenge_withdraw(c, &http_01);
	challenge_withdraw(c, &alpn);
	end(&c);
}

static void withdraw_now(void *ctx)
{
	challenge_withdraw(ctx, &http_01);
}

static void nobody_is_told_of_what_was_withdrawn(void)
{
	struct challenges *c = begin(NULL, -1);
	struct loop_timer *first = loop_timer_new(loop, withdraw_now, c);
	struct told told = {.withdraws_in = NULL};

	challenges_listen(c, SERVICE_LISTENER_HTTP_01, listening_socket());
	challenge_present(c, &http_01, on_told, &told);
	challenge_withdraw(c, &http_01);
	loop_turn(loop, 20 * CLOCK_MS);
	UNIT_INT(told.n, 0);
	/* Also when both are due in one turn. */
	loop_timer_set(first, 0);
	challenge_present(c, &http_01, on_told, &told);
	usleep(2000);
	loop_turn(loop, 20 * CLOCK_MS);
	UNIT_INT(told.n, 0);
	loop_timer_free(&first);
	/* Also within the word itself. */
	told.withdraws_in = c;
	challenge_present(c, &http_01, on_told, &told);
	turn_until(&told.n, 1);
	loop_turn(loop, 0);
	UNIT_TRUE(challenges_are_idle(c));
	end(&c);
}

/* Who holds connections without a word keeps nobody out: the oldest of 256 goes. */
static void there_is_always_place_for_one_more(void)
{
	enum { MANY = 256 };
	struct challenges *c = begin(NULL, -1);
	struct buf answer = BUF_MAX(65536);
	int silent[MANY], last;
	char octet;

	challenges_listen(c, SERVICE_LISTENER_HTTP_01, listening_socket());
	for (int i = 0; i < MANY; i++)
		silent[i] = come();
	UNIT_TRUE(str_starts(ask("GET / HTTP/1.0\r\n\r\n", &answer), STR("HTTP/1.1 404 ")));
	UNIT_INT(read(silent[0], &octet, 1), 0);
	UNIT_TRUE(read(silent[1], &octet, 1) < 0);
	last = silent[MANY - 1];
	UNIT_TRUE(fd_write_all(last, "GET / HTTP/1.0\r\n\r\n", 18));
	UNIT_TRUE(str_starts(answer_on(last, &answer), STR("HTTP/1.1 404 ")));
	for (int i = 0; i < MANY - 1; i++)
		fd_close(&silent[i]);
	buf_clear(&answer);
	end(&c);
}

static void the_silent_are_told_that_it_took_too_long(void)
{
	struct challenges *c = begin(NULL, -1);
	struct buf answer = BUF_MAX(65536);

	challenges_listen(c, SERVICE_LISTENER_HTTP_01, listening_socket());
	UNIT_TRUE(str_starts(ask("GET / HTTP/1.0\r\n", &answer), STR("HTTP/1.1 408 ")));
	buf_clear(&answer);
	end(&c);
}

/* ---- what the hosts share, with the test as qmgr ---- */

static struct {
	struct ipc_peer *peer;
	unsigned n;
	enum ipc_share_act acts[16];
	char name[64], value[64];
	enum ipc_share_verdict verdict;
	const char *answer;
	uint64_t id; /* of the last question */
	bool is_silent;
} qmgr;

static bool on_frame(void *ctx, struct ipc_peer *peer, struct ipc_frame *frame)
{
	struct ipc_share_result result = {.verdict = qmgr.verdict, .value = str_of(qmgr.answer)};
	struct buf body = BUF_MAX(8192);
	struct ipc_share question;

	(void)ctx;
	UNIT_TRUE(ipc_get_share(&frame->body, &question));
	qmgr.id = frame->id;
	if (qmgr.n < 16)
		qmgr.acts[qmgr.n++] = question.act;
	str_copy(question.name, qmgr.name, sizeof(qmgr.name));
	str_copy(question.value, qmgr.value, sizeof(qmgr.value));
	ipc_put_share_result(&body, &result);
	if (!qmgr.is_silent)
		ipc_send(peer, IPC_SHARE_RESULT, frame->id, buf_str(&body), -1);
	buf_clear(&body);
	return true;
}

static void on_close(void *ctx, struct ipc_peer *peer, const char *why)
{
	(void)ctx, (void)peer, (void)why;
}

static struct challenges *begin_shared(struct cert_share **share)
{
	static const struct ipc_events events = {on_frame, on_close};
	struct challenges *c = begin(NULL, -1);
	int fds[2];

	challenges_free(&c);
	*share = cert_share_new(loop);
	c = challenges_new(
		&(struct challenges_config){.loop = loop, .settings = settings, .share = *share, .webroot = -1});
	ipc_pair(fds);
	memset(&qmgr, 0, sizeof(qmgr));
	qmgr.answer = "";
	qmgr.peer = ipc_peer_new(loop, fds[1], ROLE_QMGR, ROLE_CERT_RENEWER, 0, &events, NULL);
	cert_share_connect(*share, 0, fds[0]);
	challenges_listen(c, SERVICE_LISTENER_HTTP_01, listening_socket());
	return c;
}

static void end_shared(struct challenges **c, struct cert_share **share)
{
	challenges_free(c);
	cert_share_free(share);
	ipc_peer_free(&qmgr.peer);
	loop_turn(loop, 0);
	settings_free(&settings);
	loop_free(&loop);
}

static void an_answer_is_shared_before_it_is_told(void)
{
	struct cert_share *share;
	struct challenges *c = begin_shared(&share);
	struct told told = {0};

	qmgr.verdict = IPC_SHARE_YES;
	challenge_present(c, &http_01, on_told, &told);
	turn_until(&told.n, 1);
	UNIT_TRUE(told.ok);
	UNIT_INT(qmgr.n, 1);
	UNIT_INT(qmgr.acts[0], IPC_SHARE_PUT);
	UNIT_TEXT(qmgr.name, "challenge/tok-en_1");
	UNIT_TEXT(qmgr.value, "tok-en_1.thumb");
	challenge_withdraw(c, &http_01);
	turn_until(&qmgr.n, 2);
	UNIT_INT(qmgr.acts[1], IPC_SHARE_DELETE);
	UNIT_TEXT(qmgr.name, "challenge/tok-en_1");
	/* That it cannot be shared is not in its way. */
	qmgr.verdict = IPC_SHARE_UNAVAILABLE;
	challenge_present(c, &http_01, on_told, &told);
	turn_until(&told.n, 2);
	UNIT_TRUE(told.ok);
	challenge_withdraw(c, &http_01);
	end_shared(&c, &share);
}

static void other_hosts_answers_are_given_too(void)
{
	struct cert_share *share;
	struct challenges *c = begin_shared(&share);
	struct buf answer = BUF_MAX(65536);
	struct str a;

	qmgr.verdict = IPC_SHARE_YES;
	qmgr.answer = "their-token.thumb";
	a = ask("GET " PATH "their-token HTTP/1.0\r\n\r\n", &answer);
	UNIT_TRUE(str_starts(a, STR("HTTP/1.1 200 ")) && str_ends(a, STR("\r\n\r\ntheir-token.thumb")));
	UNIT_INT(qmgr.acts[0], IPC_SHARE_GET);
	UNIT_TEXT(qmgr.name, "challenge/their-token");
	/* What is there is not for this token. */
	a = ask("GET " PATH "another HTTP/1.0\r\n\r\n", &answer);
	UNIT_TRUE(str_starts(a, STR("HTTP/1.1 404 ")));
	a = ask("GET " PATH "their-toke HTTP/1.0\r\n\r\n", &answer);
	UNIT_TRUE(str_starts(a, STR("HTTP/1.1 404 ")));
	qmgr.verdict = IPC_SHARE_NO;
	a = ask("GET " PATH "their-token HTTP/1.0\r\n\r\n", &answer);
	UNIT_TRUE(str_starts(a, STR("HTTP/1.1 404 ")));
	/* Nobody is asked for what is no token. */
	UNIT_INT(qmgr.n, 4);
	ask("GET " PATH "no%2ftoken HTTP/1.0\r\n\r\n", &answer);
	UNIT_INT(qmgr.n, 4);
	/* Without an answer it takes three seconds, not longer. */
	qmgr.is_silent = true;
	a = ask("GET " PATH "their-token HTTP/1.0\r\n\r\n", &answer);
	UNIT_TRUE(str_starts(a, STR("HTTP/1.1 404 ")));
	buf_clear(&answer);
	end_shared(&c, &share);
}

/* Its place is needed for another: qmgr's word comes too late. */
static void who_goes_while_the_hosts_are_asked_is_forgotten(void)
{
	enum { MANY = 256 };
	const struct str request = STR("GET " PATH "their-token HTTP/1.0\r\n\r\n");
	struct cert_share *share;
	struct challenges *c = begin_shared(&share);
	struct buf answer = BUF_MAX(65536), body = BUF_MAX(64);
	int fd = come(), more[MANY];
	char octet;

	qmgr.is_silent = true;
	UNIT_TRUE(fd_write_all(fd, request.p, request.n));
	turn_until(&qmgr.n, 1);
	for (int i = 0; i < MANY; i++)
		more[i] = come();
	UNIT_TRUE(str_starts(ask("GET / HTTP/1.0\r\n\r\n", &answer), STR("HTTP/1.1 404 ")));
	UNIT_INT(read(fd, &octet, 1), 0);
	ipc_put_share_result(&body, &(struct ipc_share_result){.verdict = IPC_SHARE_YES, .value = STR("their-token.x")});
	ipc_send(qmgr.peer, IPC_SHARE_RESULT, qmgr.id, buf_str(&body), -1);
	UNIT_TRUE(str_starts(ask("GET / HTTP/1.0\r\n\r\n", &answer), STR("HTTP/1.1 404 ")));
	fd_close(&fd);
	for (int i = 0; i < MANY; i++)
		fd_close(&more[i]);
	buf_clear(&answer);
	buf_clear(&body);
	end_shared(&c, &share);
}

/* ---- files of a web server ---- */

static void a_web_server_s_directory_holds_the_answer(void)
{
	char path[] = "/tmp/challenge-test-XXXXXX", file[128];
	struct buf content = BUF_MAX(4096);
	struct told told = {0};
	struct challenges *c;
	struct stat st;
	struct err err;
	int webroot;

	UNIT_TRUE(mkdtemp(path) != NULL);
	webroot = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	c = begin(NULL, webroot);
	snprintf(file, sizeof(file), "%s" PATH "tok-en_1", path);
	for (unsigned i = 1; i <= 2; i++) { /* the second time over what a predecessor has left */
		challenge_present(c, &http_01, on_told, &told);
		turn_until(&told.n, i);
		UNIT_TRUE(told.ok);
		buf_reset(&content);
		UNIT_TRUE(fd_read_file(file, &content, &err));
		UNIT_STR(buf_str(&content), "tok-en_1.thumb");
		UNIT_TRUE(stat(file, &st) == 0 && (st.st_mode & 0777) == 0644);
		if (i == 1) {
			challenges_free(&c);
			c = challenges_new(&(struct challenges_config){.loop = loop, .settings = settings, .webroot = webroot});
		}
	}
	challenge_withdraw(c, &http_01);
	UNIT_TRUE(stat(file, &st) < 0);
	challenge_withdraw(c, &http_01);
	/* A link leads nowhere. */
	snprintf(file, sizeof(file), "%s/.well-known/acme-challenge", path);
	UNIT_TRUE(rmdir(file) == 0 && symlink("/tmp", file) == 0);
	challenge_present(c, &http_01, on_told, &told);
	turn_until(&told.n, 3);
	UNIT_TRUE(!told.ok);
	UNIT_TRUE(str_starts(str_of(told.why), STR("acme.webroot: cannot make .well-known/acme-challenge: ")));
	challenge_withdraw(c, &http_01);
	unlink(file);
	snprintf(file, sizeof(file), "%s/.well-known", path);
	rmdir(file);
	rmdir(path);
	fd_close(&webroot);
	buf_clear(&content);
	end(&c);
}

/* ---- dns-01 by a program, whose runs are numbered one after the other ---- */

static void tell_run(uint64_t number, bool ok, const char *output)
{
	struct buf body = BUF_MAX(8192);
	struct ipc_frame frame = {.type = IPC_RUN_RESULT, .id = number, .fd = -1};

	ipc_put_run_result(&body, &(struct ipc_run_result){.is_done = ok, .output = str_of(output)});
	frame.body = reader_of(buf_str(&body));
	UNIT_TRUE(cert_run_take(&frame));
	buf_clear(&body);
}

static void set(const char *name, const char *value)
{
	for (size_t i = 0; i < settings_n_rows; i++)
		if (strcmp(settings_rows[i].section, "acme") == 0 && strcmp(settings_rows[i].name, name) == 0)
			UNIT_TRUE(settings_set(settings, &settings_rows[i], str_of(value), NULL));
}

static struct challenge dns_01(const char *authorization)
{
	return (struct challenge){.kind = CHALLENGE_DNS_01,
				  .name = STR("example.com"),
				  .token = str_of(authorization),
				  .key_authorization = str_of(authorization)};
}

static void programs_run_one_after_the_other(void)
{
	struct challenge one = dns_01("one"), two = dns_01("two");
	struct told first = {0}, second = {0};
	struct challenges *c = begin(NULL, -1);
	uint64_t run;

	set("dns_hook", "/bin/true");
	set("dns_wait", "0s");
	run = cert_run_start(IPC_PROGRAM_ALERT, NULL, 0, NULL, NULL);
	challenge_present(c, &one, on_told, &first);
	challenge_present(c, &two, on_told, &second);
	loop_turn(loop, 0);
	/* The second has not begun: its number is not given yet. */
	tell_run(run + 2, true, "");
	loop_turn(loop, 20 * CLOCK_MS);
	UNIT_INT(second.n, 0);
	tell_run(run + 1, true, "");
	turn_until(&first.n, 1);
	UNIT_TRUE(first.ok);
	tell_run(run + 2, false, "no such zone");
	turn_until(&second.n, 1);
	UNIT_TRUE(!second.ok);
	UNIT_TEXT(second.why, "acme.dns_hook add: no such zone");
	/* However it came: both are removed. */
	challenge_withdraw(c, &one);
	challenge_withdraw(c, &two);
	tell_run(run + 3, false, "");
	UNIT_TRUE(!challenges_are_idle(c));
	tell_run(run + 4, true, "");
	UNIT_TRUE(challenges_are_idle(c));
	end(&c);
}

static void what_is_withdrawn_while_it_is_added_is_removed_then(void)
{
	struct challenge one = dns_01("one");
	struct challenges *c = begin(NULL, -1);
	struct told told = {0};
	uint64_t run;

	set("dns_hook", "/bin/true");
	run = cert_run_start(IPC_PROGRAM_ALERT, NULL, 0, NULL, NULL);
	challenge_present(c, &one, on_told, &told);
	challenge_withdraw(c, &one);
	challenge_withdraw(c, &one);
	tell_run(run + 1, true, "");
	UNIT_TRUE(!challenges_are_idle(c));
	tell_run(run + 2, true, "");
	UNIT_TRUE(challenges_are_idle(c));
	UNIT_INT(told.n, 0);
	end(&c);
}

/* An authority may give one authorization to two orders. */
static void what_two_want_goes_with_the_last(void)
{
	struct challenge one = dns_01("one");
	struct told first = {0}, second = {0};
	struct challenges *c = begin(NULL, -1);
	uint64_t run;

	set("dns_hook", "/bin/true");
	set("dns_wait", "0s");
	run = cert_run_start(IPC_PROGRAM_ALERT, NULL, 0, NULL, NULL);
	challenge_present(c, &one, on_told, &first);
	tell_run(run + 1, true, "");
	turn_until(&first.n, 1);
	challenge_present(c, &one, on_told, &second);
	challenge_withdraw(c, &one);
	tell_run(run + 2, true, "");
	turn_until(&second.n, 1);
	UNIT_TRUE(second.ok);
	UNIT_TRUE(!challenges_are_idle(c));
	challenge_withdraw(c, &one);
	tell_run(run + 3, true, "");
	UNIT_TRUE(challenges_are_idle(c));
	UNIT_INT(first.n, 1);
	UNIT_INT(second.n, 1);
	end(&c);
}

static void an_answer_that_two_want_is_shared_until_the_last_goes(void)
{
	struct cert_share *share;
	struct challenges *c = begin_shared(&share);
	struct buf answer = BUF_MAX(65536);
	struct told told = {0};

	challenge_present(c, &http_01, on_told, &told);
	challenge_present(c, &http_01, on_told, &told);
	turn_until(&told.n, 2);
	UNIT_INT(qmgr.n, 2);
	challenge_withdraw(c, &http_01);
	UNIT_TRUE(str_starts(ask("GET " PATH "tok-en_1 HTTP/1.0\r\n\r\n", &answer), STR("HTTP/1.1 200 ")));
	UNIT_INT(qmgr.n, 2);
	challenge_withdraw(c, &http_01);
	turn_until(&qmgr.n, 3);
	UNIT_INT(qmgr.acts[2], IPC_SHARE_DELETE);
	UNIT_TRUE(str_starts(ask("GET " PATH "tok-en_1 HTTP/1.0\r\n\r\n", &answer), STR("HTTP/1.1 404 ")));
	buf_clear(&answer);
	end_shared(&c, &share);
}

static void without_program_and_server_it_fails(void)
{
	static const struct {
		const char *name, *value, *why;
	} cases[] = {
		{"dns_wait", "0s", "dns-01: neither acme.dns_hook nor acme.dns_server is set"},
		{"dns_server", "ns1:0", "acme.dns_server: \"0\" is not a port (1 to 65535)"},
		{"dns_server", "127.0.0.1", NULL},
		{"dns_zone", "a..b", "acme.dns_zone cannot be a name in the DNS"},
		{"dns_zone", "example.org", NULL},
		{"dns_key_name", "k", "acme.dns_key is not base64"},
		{"dns_key", "secret!", "acme.dns_key is not base64"},
	};
	struct challenges *c = begin(NULL, -1);
	struct challenge one = dns_01("one");
	struct told told = {0};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		set(cases[i].name, cases[i].value);
		if (cases[i].why == NULL)
			continue;
		told.n = 0;
		challenge_present(c, &one, on_told, &told);
		turn_until(&told.n, 1);
		UNIT_TRUE(!told.ok);
		UNIT_TEXT(told.why, cases[i].why);
		challenge_withdraw(c, &one);
	}
	end(&c);
}

UNIT_TESTS({"what is presented is answered", what_is_presented_is_answered},
	   {"a new socket takes the place of the old", a_new_socket_takes_the_place_of_the_old},
	   {"without a socket it fails", without_a_socket_it_fails},
	   {"nobody is told of what was withdrawn", nobody_is_told_of_what_was_withdrawn},
	   {"there is always place for one more", there_is_always_place_for_one_more},
	   {"the silent are told that it took too long", the_silent_are_told_that_it_took_too_long},
	   {"an answer is shared before it is told", an_answer_is_shared_before_it_is_told},
	   {"other hosts' answers are given too", other_hosts_answers_are_given_too},
	   {"who goes while the hosts are asked is forgotten", who_goes_while_the_hosts_are_asked_is_forgotten},
	   {"a web server's directory holds the answer", a_web_server_s_directory_holds_the_answer},
	   {"programs run one after the other", programs_run_one_after_the_other},
	   {"what is withdrawn while it is added is removed then", what_is_withdrawn_while_it_is_added_is_removed_then},
	   {"what two want goes with the last", what_two_want_goes_with_the_last},
	   {"an answer that two want is shared until the last goes", an_answer_that_two_want_is_shared_until_the_last_goes},
	   {"without program and server it fails", without_program_and_server_it_fails})
