/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections that come in through a real socket.
 */
#include "lib/net/acceptor.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/net/addr.h"
#include "tests/support/unit.h"

struct seen {
	int fds[16];
	unsigned n;
	char from[ADDR_TEXT];
};

static void on_connection(void *ctx, int fd, const struct sockaddr_storage *from)
{
	struct seen *s = ctx;

	addr_text(from, s->from);
	s->fds[s->n++] = fd;
}

static int listen_somewhere(struct sockaddr_in *at)
{
	socklen_t n = sizeof(*at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	*at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	UNIT_TRUE(bind(fd, (struct sockaddr *)at, n) == 0 && listen(fd, 16) == 0);
	UNIT_TRUE(getsockname(fd, (struct sockaddr *)at, &n) == 0);
	return fd;
}

static int come(const struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	UNIT_TRUE(connect(fd, (const struct sockaddr *)at, sizeof(*at)) == 0);
	return fd;
}

static void turn_until(struct loop *loop, const struct seen *s, unsigned n)
{
	int64_t end = clock_mono() + 10 * CLOCK_SECOND;

	while (s->n < n && clock_mono() < end)
		loop_turn(loop, 50 * CLOCK_MS);
	UNIT_INT(s->n, n);
}

static void nothing_is_taken_before_it_is_resumed(void)
{
	struct loop *loop = loop_new();
	struct seen s = {0};
	struct sockaddr_in at;
	struct acceptor *a = acceptor_new(loop, listen_somewhere(&at), on_connection, &s);
	int clients[6];

	for (int i = 0; i < 6; i++)
		clients[i] = come(&at);
	loop_turn(loop, 20 * CLOCK_MS);
	UNIT_INT(s.n, 0);
	acceptor_resume(a);
	turn_until(loop, &s, 6);
	UNIT_TEXT(s.from, "127.0.0.1");
	UNIT_TRUE(fcntl(s.fds[0], F_GETFL) & O_NONBLOCK);
	UNIT_TRUE(fcntl(s.fds[0], F_GETFD) & FD_CLOEXEC);
	for (int i = 0; i < 6; i++) {
		fd_close(&clients[i]);
		fd_close(&s.fds[i]);
	}
	acceptor_free(&a);
	acceptor_free(&a);
	loop_free(&loop);
}

static void without_descriptors_it_pauses_and_goes_on(void)
{
	struct loop *loop = loop_new();
	struct seen s = {0};
	struct sockaddr_in at;
	struct acceptor *a = acceptor_new(loop, listen_somewhere(&at), on_connection, &s);
	int client = come(&at);
	struct rlimit whole, none;

	UNIT_TRUE(getrlimit(RLIMIT_NOFILE, &whole) == 0);
	none = whole;
	none.rlim_cur = 0;
	UNIT_TRUE(setrlimit(RLIMIT_NOFILE, &none) == 0);
	acceptor_resume(a);
	loop_turn(loop, 20 * CLOCK_MS);
	UNIT_INT(s.n, 0);
	UNIT_TRUE(setrlimit(RLIMIT_NOFILE, &whole) == 0);
	turn_until(loop, &s, 1);
	fd_close(&s.fds[0]);
	fd_close(&client);
	acceptor_free(&a);
	loop_free(&loop);
}

UNIT_TESTS({"nothing is taken before it is resumed", nothing_is_taken_before_it_is_resumed},
	   {"without descriptors it pauses and goes on", without_descriptors_it_pauses_and_goes_on})
