/* SPDX-License-Identifier: Apache-2.0
 *
 * Abuse, for tests/bench/abuse.py: connections that are opened and dropped at a rate, and slow clients that say an octet a
 * second, each from other addresses of 127.0.0.0/8 than 127.0.0.1. It runs until its standard input ends, and then writes
 * what it did as one JSON object. Only the loopback network: the addresses are fixed here.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/net/loop.h"

enum {
	TICK = 5000,	     /* microseconds: connections are opened in lots of so long */
	HELD = 20000,	     /* so long a connection is open before it is dropped */
	RING = 65536,	     /* at most so many at a time */
	DROP_ADDRESSES = 64, /* 127.0.2.1 and on */
	SLOW_EACH = 5,	     /* slow clients of one address, from 127.0.3.1 on */
	STEPS = 50,	     /* a fiftieth of the slow clients speaks every 20 ms */
};

struct dropped {
	int fd;
	int64_t opened;
};

struct slow {
	int fd;
	size_t at; /* octets that were said */
};

struct abuse {
	struct loop *loop;
	struct loop_timer *tick, *step;
	struct loop_fd *input;
	uint16_t port, implicit_port;
	double rate;
	uint64_t n_slow, opened, failed, refused, spoken, closed;
	int64_t began;
	struct dropped *ring;
	size_t first, n;
	struct slow *slow;
	unsigned turn;
};

/* The connection may still be under way when this returns; -1 when it cannot even begin. */
static int open_from(uint32_t from, uint16_t port)
{
	struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr = {htonl(from)}};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&source, sizeof(source)) == 0 &&
	    (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 || errno == EINPROGRESS))
		return fd;
	fd_close(&fd);
	return -1;
}

/* ---- opened and dropped ---- */

static void drop(struct abuse *a)
{
	struct dropped *d = &a->ring[a->first];
	/* Half of them by RST. */
	struct linger reset = {.l_onoff = 1};
	int error = 0;
	socklen_t n = sizeof(error);

	if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &error, &n) == 0 && error != 0)
		a->refused++;
	if (a->first % 2 == 0)
		setsockopt(d->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	fd_close(&d->fd);
	a->first = (a->first + 1) % RING;
	a->n--;
}

static void on_tick(void *ctx)
{
	struct abuse *a = ctx;
	int64_t now = clock_mono();
	uint64_t due = (uint64_t)((double)(now - a->began) / CLOCK_SECOND * a->rate);

	while (a->n > 0 && now - a->ring[a->first].opened >= HELD)
		drop(a);
	for (uint64_t done = a->opened + a->failed; done < due && a->n < RING; done++) {
		int fd = open_from(0x7f000201 + (uint32_t)(done % DROP_ADDRESSES), a->port);

		if (fd < 0) {
			a->failed++;
			continue;
		}
		a->ring[(a->first + a->n++) % RING] = (struct dropped){fd, now};
		a->opened++;
	}
	loop_timer_set(a->tick, TICK);
}

/* ---- slow clients ---- */

/* Every other one speaks in clear, the others begin a handshake. */
static void speak(struct abuse *a, size_t i)
{
	static const char clear[] = "EHLO a-very-slow-client-that-takes-its-time.example.com\r\nNOOP\r\n";
	static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
	struct slow *s = &a->slow[i];
	bool is_clear = i % 2 == 0;
	char octet;

	if (s->fd < 0) {
		s->fd = open_from(0x7f000301 + (uint32_t)(i / SLOW_EACH), is_clear ? a->port : a->implicit_port);
		s->at = 0;
		return;
	}
	octet = is_clear ? clear[s->at % (sizeof(clear) - 1)] : s->at < sizeof(hello) - 1 ? hello[s->at] : (char)s->at;
	if (send(s->fd, &octet, 1, MSG_NOSIGNAL) == 1) {
		s->at++;
		a->spoken++;
	} else if (errno != EAGAIN) {
		a->closed++;
		fd_close(&s->fd);
	}
}

static void on_step(void *ctx)
{
	struct abuse *a = ctx;

	for (size_t i = a->turn; i < a->n_slow; i += STEPS)
		speak(a, i);
	a->turn = (a->turn + 1) % STEPS;
	loop_timer_set(a->step, CLOCK_SECOND / STEPS);
}

/* ---- */

static void on_input(void *ctx, unsigned events)
{
	struct abuse *a = ctx;
	char bytes[64];

	(void)events;
	if (read(STDIN_FILENO, bytes, sizeof(bytes)) <= 0)
		loop_stop(a->loop);
}

static double number(const char *text)
{
	char *end;
	double n = strtod(text, &end);

	if (*text == '\0' || *end != '\0' || n < 0 || n > 1e6)
		die_with(EX_USAGE, "bench_abuse: \"%s\" is not a number up to a million", text);
	return n;
}

static void parse(struct abuse *a, int argc, char **argv)
{
	static const struct option options[] = {{"port", required_argument, NULL, 'p'},
						{"implicit-port", required_argument, NULL, 'i'},
						{"rate", required_argument, NULL, 'r'},
						{"slow", required_argument, NULL, 's'},
						{0}};
	int name;

	while ((name = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (name == 'p')
			a->port = (uint16_t)number(optarg);
		else if (name == 'i')
			a->implicit_port = (uint16_t)number(optarg);
		else if (name == 'r')
			a->rate = number(optarg);
		else if (name == 's')
			a->n_slow = (uint64_t)number(optarg);
		else
			die_with(EX_USAGE, "usage: bench_abuse --port N --implicit-port N --rate N --slow N");
	}
}

int main(int argc, char **argv)
{
	struct abuse a = {0};
	struct rlimit files;
	double seconds;
	uint64_t still = 0;

	parse(&a, argc, argv);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	a.loop = loop_new();
	a.ring = mem_array(RING, sizeof(*a.ring));
	a.slow = mem_array(a.n_slow + 1, sizeof(*a.slow));
	for (size_t i = 0; i < a.n_slow; i++)
		a.slow[i].fd = -1;
	a.tick = loop_timer_new(a.loop, on_tick, &a);
	a.step = loop_timer_new(a.loop, on_step, &a);
	a.input = loop_fd_new(a.loop, STDIN_FILENO, on_input, &a);
	loop_fd_want(a.input, LOOP_READ);
	a.began = clock_mono();
	loop_timer_set(a.tick, 0);
	loop_timer_set(a.step, 0);
	loop_run(a.loop);
	seconds = (double)(clock_mono() - a.began) / CLOCK_SECOND;
	for (size_t i = 0; i < a.n_slow; i++)
		still += a.slow[i].fd >= 0;
	printf("{\"seconds\":%.1f,\"dropped_per_second\":%.0f,\"failed\":%llu,\"refused\":%llu,\"slow\":%llu,\"slow_octets\":%llu,"
	       "\"slow_closed\":%llu}\n",
	       seconds, (double)a.opened / seconds, (unsigned long long)a.failed, (unsigned long long)a.refused,
	       (unsigned long long)still, (unsigned long long)a.spoken, (unsigned long long)a.closed);
	while (a.n > 0)
		drop(&a);
	for (size_t i = 0; i < a.n_slow; i++)
		fd_close(&a.slow[i].fd);
	loop_fd_free(&a.input);
	loop_timer_free(&a.tick);
	loop_timer_free(&a.step);
	loop_free(&a.loop);
	free(a.ring);
	free(a.slow);
	return 0;
}
