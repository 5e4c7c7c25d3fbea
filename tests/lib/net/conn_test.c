/* SPDX-License-Identifier: Apache-2.0
 *
 * Two connections of one loop talk to each other over a socket pair or the loopback, in clear and under
 * TLS.
 */
#include "lib/net/conn.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/mem.h"
#include "lib/net/tls_server.h"
#include "tests/support/certificate.h"
#include "tests/support/unit.h"

#define DAY 86400L

/* One side: what it heard, and what it does about it. */
struct side {
	struct conn *conn;
	struct buf heard;
	char why[512];
	size_t take; /* bytes to consume at a call; 0: all */
	size_t largest; /* input seen at once */
	unsigned inputs, secures, flushes, deadlines, ends, connects;
	bool free_on_input, pause_on_input, finish_on_deadline, echo;
};

static struct loop *loop;
static struct certificate ca, leaf, stranger;
static struct tls_server *server;
static struct tls_client *client;

static void on_input(void *ctx)
{
	struct side *s = ctx;
	struct str in = conn_input(s->conn);

	s->inputs++;
	if (in.n > s->largest)
		s->largest = in.n;
	if (s->take > 0)
		in = str_first(in, s->take);
	buf_put_str(&s->heard, in);
	if (s->echo)
		conn_write(s->conn, in);
	conn_consume(s->conn, in.n);
	if (s->pause_on_input)
		conn_pause(s->conn);
	if (s->free_on_input)
		conn_free(&s->conn);
}

static void on_secure(void *ctx)
{
	((struct side *)ctx)->secures++;
}

static void on_flushed(void *ctx)
{
	((struct side *)ctx)->flushes++;
}

static void on_deadline(void *ctx)
{
	struct side *s = ctx;

	s->deadlines++;
	if (s->finish_on_deadline) {
		conn_write(s->conn, STR("bye"));
		conn_finish(s->conn);
	}
}

static void on_end(void *ctx, const char *why)
{
	struct side *s = ctx;

	s->ends++;
	str_copy(str_of(why), s->why, sizeof(s->why));
	conn_free(&s->conn);
}

static void on_connected(void *ctx)
{
	((struct side *)ctx)->connects++;
}

static const struct conn_events events = {on_input, on_secure, on_flushed, on_deadline, on_end, on_connected, NULL};

/* Turns the loop until *count reaches n, or a second has gone. */
static bool until(const unsigned *count, unsigned n)
{
	int64_t end = clock_mono() + 2 * CLOCK_SECOND;

	while (*count < n && clock_mono() < end)
		loop_turn(loop, 10 * CLOCK_MS);
	return *count >= n;
}

static bool until_heard(const struct side *s, size_t n)
{
	int64_t end = clock_mono() + 10 * CLOCK_SECOND;

	while (s->heard.n < n && clock_mono() < end)
		loop_turn(loop, 10 * CLOCK_MS);
	return s->heard.n >= n;
}

static void settle(void)
{
	for (int i = 0; i < 5; i++)
		loop_turn(loop, 1 * CLOCK_MS);
}

static void begin_with(struct side *a, struct side *b, size_t input_max)
{
	int fds[2];

	memset(a, 0, sizeof(*a));
	memset(b, 0, sizeof(*b));
	buf_init(&a->heard, 64 << 20);
	buf_init(&b->heard, 64 << 20);
	UNIT_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	a->conn = conn_new(loop, fds[0], input_max, &events, a);
	b->conn = conn_new(loop, fds[1], input_max, &events, b);
}

static void begin(struct side *a, struct side *b)
{
	begin_with(a, b, 65536);
}

static void begin_tls(struct side *a, struct side *b)
{
	begin(a, b);
	conn_start_tls_server(a->conn, server, TLS_ASK_NOTHING);
	conn_start_tls_client(b->conn, client, "localhost");
	UNIT_TRUE(until(&a->secures, 1) && until(&b->secures, 1));
}

static void end(struct side *a, struct side *b)
{
	conn_free(&a->conn);
	conn_free(&b->conn);
	settle();
	buf_clear(&a->heard);
	buf_clear(&b->heard);
}

static void start_all(void)
{
	struct tls_certificate seen;
	struct err err;

	loop = loop_new();
	ca = certificate_make("Test CA", NULL, -DAY, 10 * DAY, NULL);
	leaf = certificate_make("mail.test", "DNS:mail.test,DNS:localhost,IP:127.0.0.1", -DAY, DAY, &ca);
	stranger = certificate_make("stranger", NULL, -DAY, DAY, NULL);
	server = tls_server_new(TLS_1_2);
	UNIT_TRUE(tls_server_add(server, str_of(leaf.both), STR(""), time(NULL), &seen, &err));
	client = tls_client_new(str_of(ca.pem), false, TLS_1_2, &err);
	UNIT_TRUE(client != NULL);
}

static void stop_all(void)
{
	tls_server_free(&server);
	tls_client_free(&client);
	certificate_clear(&ca);
	certificate_clear(&leaf);
	certificate_clear(&stranger);
	settle();
	loop_free(&loop);
}

static void bytes_arrive_in_order(void)
{
	struct side a, b;

	begin(&a, &b);
	conn_write(a.conn, STR("one "));
	conn_write(a.conn, STR("two"));
	UNIT_TRUE(until_heard(&b, 7));
	UNIT_STR(buf_str(&b.heard), "one two");
	UNIT_INT(b.inputs, 1); /* gathered into one write */
	UNIT_INT(a.flushes, 1);
	end(&a, &b);
}

static void what_is_left_is_shown_again_with_more(void)
{
	struct side a, b;

	begin(&a, &b);
	b.take = 3;
	conn_write(a.conn, STR("abcdef"));
	UNIT_TRUE(until_heard(&b, 3));
	UNIT_STR(conn_input(b.conn), "def");
	conn_write(a.conn, STR("ghi"));
	UNIT_TRUE(until_heard(&b, 6));
	UNIT_STR(conn_input(b.conn), "ghi");
	end(&a, &b);
}

static void a_paused_connection_hears_nothing_until_it_is_resumed(void)
{
	struct side a, b;

	begin(&a, &b);
	b.take = 1;
	b.pause_on_input = true;
	conn_write(a.conn, STR("abc"));
	UNIT_TRUE(until_heard(&b, 1));
	conn_write(a.conn, STR("def"));
	settle();
	UNIT_INT(b.inputs, 1);
	b.take = 0;
	b.pause_on_input = false;
	conn_resume(b.conn);
	UNIT_TRUE(until_heard(&b, 6));
	UNIT_STR(buf_str(&b.heard), "abcdef");
	end(&a, &b);
}

static void many_bytes_cross_both_ways(bool is_secure)
{
	static char bytes[3000000];
	struct side a, b;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 7 + i / 251);
	if (is_secure)
		begin_tls(&a, &b);
	else
		begin(&a, &b);
	a.echo = true;
	conn_write(b.conn, str_bytes(bytes, sizeof(bytes)));
	UNIT_TRUE(until_heard(&b, sizeof(bytes)));
	UNIT_TRUE(b.heard.n == sizeof(bytes) && memcmp(b.heard.p, bytes, sizeof(bytes)) == 0);
	UNIT_TRUE(a.largest <= 65536);
	UNIT_INT(conn_unsent(b.conn), 0);
	end(&a, &b);
}

static void many_bytes_cross_in_clear(void)
{
	many_bytes_cross_both_ways(false);
}

static void many_bytes_cross_under_tls(void)
{
	many_bytes_cross_both_ways(true);
}

static void both_sides_know_the_tls_they_speak(void)
{
	struct tls_certificate c;
	struct side a, b;

	begin_tls(&a, &b);
	UNIT_TRUE(conn_is_secure(a.conn) && conn_is_secure(b.conn));
	UNIT_TEXT(tls_version(conn_tls(a.conn)), "TLSv1.3");
	UNIT_TEXT(tls_cipher(conn_tls(a.conn)), "TLS_AES_128_GCM_SHA256");
	UNIT_TRUE(tls_peer(conn_tls(b.conn), &c));
	UNIT_TEXT(c.subject, "CN=mail.test");
	UNIT_TRUE(!tls_peer(conn_tls(a.conn), &c));
	end(&a, &b);
}

static void small_records_are_read_together(void)
{
	struct side a, b;
	unsigned before;

	begin_tls(&a, &b);
	conn_pause(a.conn);
	/* One record each: the loop turns between the writes. */
	for (int i = 0; i < 100; i++) {
		conn_write(b.conn, STR("a line of a message\r\n"));
		before = b.flushes;
		UNIT_TRUE(until(&b.flushes, before + 1) || b.flushes > 0);
	}
	conn_resume(a.conn);
	UNIT_TRUE(until_heard(&a, 2100));
	UNIT_TRUE(a.inputs <= 3);
	end(&a, &b);
}

static void what_follows_starttls_in_clear_is_thrown_away(void)
{
	struct side a, b;

	begin(&a, &b);
	a.take = 10;
	a.pause_on_input = true;
	conn_write(b.conn, STR("STARTTLS\r\nRSET\r\n"));
	UNIT_TRUE(until_heard(&a, 10));
	a.take = 0;
	a.pause_on_input = false;
	conn_write(a.conn, STR("220\r\n"));
	conn_start_tls_server(a.conn, server, TLS_ASK_NOTHING);
	conn_resume(a.conn);
	UNIT_INT(conn_input(a.conn).n, 0);
	UNIT_TRUE(until_heard(&b, 5));
	UNIT_TRUE(!conn_is_secure(a.conn));
	conn_start_tls_client(b.conn, client, "localhost");
	UNIT_TRUE(until(&a.secures, 1));
	conn_write(b.conn, STR("EHLO x\r\n"));
	UNIT_TRUE(until_heard(&a, 18));
	UNIT_STR(buf_str(&a.heard), "STARTTLS\r\nEHLO x\r\n");
	end(&a, &b);
}

static void what_is_written_after_tls_was_asked_for_leaves_under_tls(void)
{
	struct side a, b;

	begin(&a, &b);
	conn_write(a.conn, STR("220 "));
	conn_start_tls_server(a.conn, server, TLS_ASK_NOTHING);
	conn_write(a.conn, STR("secret"));
	UNIT_TRUE(until_heard(&b, 4));
	settle();
	UNIT_STR(buf_str(&b.heard), "220 ");
	conn_start_tls_client(b.conn, client, "localhost");
	conn_write(b.conn, STR("hello"));
	UNIT_TRUE(until_heard(&b, 10) && until_heard(&a, 5));
	UNIT_STR(buf_str(&b.heard), "220 secret");
	UNIT_STR(buf_str(&a.heard), "hello");
	end(&a, &b);
}

static void a_wrong_name_or_authority_is_refused(void)
{
	struct tls_client *other;
	struct side a, b;
	struct err err;

	begin(&a, &b);
	conn_start_tls_server(a.conn, server, TLS_ASK_NOTHING);
	conn_start_tls_client(b.conn, client, "elsewhere.test");
	UNIT_TRUE(until(&b.ends, 1));
	UNIT_TEXT(b.why, "TLS handshake: the certificate of CN=mail.test (issued by CN=Test CA; for mail.test, "
			 "localhost, 127.0.0.1) is not accepted: hostname mismatch");
	end(&a, &b);

	other = tls_client_new(str_of(stranger.pem), false, TLS_1_2, &err);
	begin(&a, &b);
	conn_start_tls_server(a.conn, server, TLS_ASK_NOTHING);
	conn_start_tls_client(b.conn, other, "localhost");
	UNIT_TRUE(until(&b.ends, 1));
	UNIT_TRUE(strstr(b.why, "unable to get local issuer certificate") != NULL);
	UNIT_TRUE(until(&a.ends, 1));
	UNIT_TRUE(strstr(a.why, "unknown ca") != NULL);
	end(&a, &b);
	tls_client_free(&other);
}

static void an_address_is_checked_against_the_certificate(void)
{
	struct side a, b;

	begin(&a, &b);
	conn_start_tls_server(a.conn, server, TLS_ASK_NOTHING);
	conn_start_tls_client(b.conn, client, "127.0.0.1");
	UNIT_TRUE(until(&b.secures, 1));
	end(&a, &b);
	begin(&a, &b);
	conn_start_tls_server(a.conn, server, TLS_ASK_NOTHING);
	conn_start_tls_client(b.conn, client, "127.0.0.2");
	UNIT_TRUE(until(&b.ends, 1));
	end(&a, &b);
}

static void noise_instead_of_a_handshake_ends_the_connection(void)
{
	struct side a, b;

	begin(&a, &b);
	conn_start_tls_server(a.conn, server, TLS_ASK_NOTHING);
	conn_write(b.conn, STR("EHLO client.test\r\nAUTH PLAIN\r\n"));
	UNIT_TRUE(until(&a.ends, 1));
	UNIT_TRUE(str_starts(str_of(a.why), STR("TLS handshake: ")));
	end(&a, &b);
}

static void the_last_words_arrive_before_the_end(bool is_secure)
{
	struct side a, b;

	if (is_secure)
		begin_tls(&a, &b);
	else
		begin(&a, &b);
	conn_write(b.conn, STR("these bytes are never read"));
	conn_pause(a.conn);
	settle();
	conn_write(a.conn, STR("221 bye"));
	conn_finish(a.conn);
	UNIT_TRUE(until(&b.ends, 1));
	UNIT_STR(buf_str(&b.heard), "221 bye");
	UNIT_TEXT(b.why, "");
	UNIT_TRUE(until(&a.ends, 1));
	UNIT_TEXT(a.why, "");
	end(&a, &b);
}

static void last_words_in_clear(void)
{
	the_last_words_arrive_before_the_end(false);
}

static void last_words_under_tls(void)
{
	the_last_words_arrive_before_the_end(true);
}

static void a_half_closed_connection_still_gets_its_answers(void)
{
	struct side a = {0};
	char answer[16];
	int fds[2];

	buf_init(&a.heard, 65536);
	UNIT_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	a.conn = conn_new(loop, fds[0], 65536, &events, &a);
	a.echo = true;
	UNIT_INT(write(fds[1], "NOOP", 4), 4);
	shutdown(fds[1], SHUT_WR);
	UNIT_TRUE(until(&a.ends, 1));
	UNIT_INT(read(fds[1], answer, sizeof(answer)), 4);
	UNIT_TEXT(a.why, "");
	close(fds[1]);
	settle();
	buf_clear(&a.heard);
}

static void a_deadline_comes_once_and_can_be_moved(void)
{
	struct side a, b;
	int64_t start;

	begin(&a, &b);
	a.finish_on_deadline = true;
	start = clock_mono();
	conn_set_deadline(a.conn, 10 * CLOCK_SECOND);
	conn_set_deadline(a.conn, 20 * CLOCK_MS);
	conn_set_deadline(a.conn, 60 * CLOCK_MS);
	conn_set_deadline(b.conn, 20 * CLOCK_MS);
	conn_set_deadline(b.conn, 0);
	UNIT_TRUE(until(&a.deadlines, 1));
	UNIT_TRUE(clock_mono() - start >= 50 * CLOCK_MS); /* not at 20 */
	UNIT_TRUE(until(&b.ends, 1));
	UNIT_STR(buf_str(&b.heard), "bye");
	UNIT_INT(a.deadlines, 1);
	UNIT_INT(b.deadlines, 0);
	end(&a, &b);
}

static void a_connection_may_be_freed_in_its_own_callback(void)
{
	struct side a, b;

	begin_tls(&a, &b);
	a.free_on_input = true;
	a.echo = true;
	conn_write(b.conn, STR("hello"));
	UNIT_TRUE(until(&b.ends, 1));
	UNIT_TRUE(a.conn == NULL);
	UNIT_INT(a.ends, 0);
	end(&a, &b);
}

static void no_more_is_read_ahead_than_was_allowed(void)
{
	struct side a, b;

	begin_with(&a, &b, 16);
	a.take = 4;
	conn_write(b.conn, STR("0123456789abcdefghijklmnopqrstuvwxyz"));
	UNIT_TRUE(until_heard(&a, 24));
	UNIT_TRUE(a.largest <= 16);
	UNIT_STR(buf_str(&a.heard), "0123456789abcdefghijklmn");
	UNIT_STR(conn_input(a.conn), "opqrstuvwxyz");
	end(&a, &b);
}

static int listen_on_loopback(uint16_t *port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t n = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	UNIT_INT(bind(fd, (struct sockaddr *)&in, n), 0);
	UNIT_INT(listen(fd, 8), 0);
	getsockname(fd, (struct sockaddr *)&in, &n);
	*port = ntohs(in.sin_port);
	return fd;
}

static void a_client_connects_by_name_to_whatever_address_answers(void)
{
	struct side a = {0}, b = {0};
	struct err err = {""};
	uint16_t port;
	int fd = listen_on_loopback(&port), accepted;

	buf_init(&a.heard, 65536);
	buf_init(&b.heard, 65536);
	b.conn = conn_connect(loop, "localhost", port, 65536, &events, &b, &err);
	UNIT_TRUE(b.conn != NULL);
	UNIT_TRUE(until(&b.connects, 1));
	accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	a.conn = conn_new(loop, accepted, 65536, &events, &a);
	conn_start_tls_server(a.conn, server, TLS_ASK_NOTHING);
	conn_start_tls_client(b.conn, client, "localhost");
	UNIT_TRUE(until(&b.secures, 1));
	conn_write(a.conn, STR("220"));
	UNIT_TRUE(until_heard(&b, 3));
	end(&a, &b);
	close(fd);
}

static void a_refused_or_unknown_host_is_said(void)
{
	struct side b = {0};
	struct err err = {""};
	uint16_t port;
	int fd = listen_on_loopback(&port);

	close(fd);
	b.conn = conn_connect(loop, "127.0.0.1", port, 65536, &events, &b, &err);
	if (b.conn != NULL) {
		UNIT_TRUE(until(&b.ends, 1));
		UNIT_TEXT(b.why, "Connection refused");
	} else {
		UNIT_TRUE(strstr(err.text, "Connection refused") != NULL);
	}
	settle();
	UNIT_TRUE(conn_connect(loop, "300.300.300.300.invalid", port, 65536, &events, &b, &err) == NULL);
	UNIT_TRUE(strlen(err.text) > 0);
	settle();
}

static void a_reset_is_said(void)
{
	struct side a = {0}, b = {0};
	struct linger now = {1, 0};
	struct err err;
	uint16_t port;
	int fd = listen_on_loopback(&port), accepted;

	buf_init(&b.heard, 65536);
	b.conn = conn_connect(loop, "127.0.0.1", port, 65536, &events, &b, &err);
	UNIT_TRUE(until(&b.connects, 1));
	accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	setsockopt(accepted, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(accepted);
	UNIT_TRUE(until(&b.ends, 1));
	UNIT_TEXT(b.why, "Connection reset by peer");
	end(&a, &b);
	close(fd);
}

UNIT_TESTS({"start", start_all},
	   {"bytes arrive in order, gathered", bytes_arrive_in_order},
	   {"what is left is shown again with more", what_is_left_is_shown_again_with_more},
	   {"a paused connection hears nothing until it is resumed",
	    a_paused_connection_hears_nothing_until_it_is_resumed},
	   {"many bytes cross in clear", many_bytes_cross_in_clear},
	   {"many bytes cross under TLS", many_bytes_cross_under_tls},
	   {"both sides know the TLS they speak", both_sides_know_the_tls_they_speak},
	   {"small records are read together", small_records_are_read_together},
	   {"what follows STARTTLS in clear is thrown away",
	    what_follows_starttls_in_clear_is_thrown_away},
	   {"what is written after TLS was asked for leaves under TLS",
	    what_is_written_after_tls_was_asked_for_leaves_under_tls},
	   {"a wrong name or authority is refused", a_wrong_name_or_authority_is_refused},
	   {"an address is checked against the certificate",
	    an_address_is_checked_against_the_certificate},
	   {"noise instead of a handshake ends the connection",
	    noise_instead_of_a_handshake_ends_the_connection},
	   {"the last words arrive before the end, in clear", last_words_in_clear},
	   {"the last words arrive before the end, under TLS", last_words_under_tls},
	   {"a half-closed connection still gets its answers",
	    a_half_closed_connection_still_gets_its_answers},
	   {"a deadline comes once and can be moved", a_deadline_comes_once_and_can_be_moved},
	   {"a connection may be freed in its own callback", a_connection_may_be_freed_in_its_own_callback},
	   {"no more is read ahead than was allowed", no_more_is_read_ahead_than_was_allowed},
	   {"a client connects by name to whatever address answers",
	    a_client_connects_by_name_to_whatever_address_answers},
	   {"a refused or unknown host is said", a_refused_or_unknown_host_is_said},
	   {"a reset is said", a_reset_is_said}, {"stop", stop_all})
