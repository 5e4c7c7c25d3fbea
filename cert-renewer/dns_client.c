/* SPDX-License-Identifier: Apache-2.0
 *
 * Each try has a socket, thus a port, and an id of its own: what does not fit is not looked at, and the answer still awaited.
 */
#include "cert-renewer/dns_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/fd.h"
#include "lib/base/mem.h"
#include "lib/base/random.h"
#include "lib/base/trouble.h"
#include "lib/net/addr.h"
#include "lib/net/conn.h"
#include "lib/net/resolver.h"

#define TCP_TIME (10 * CLOCK_SECOND)

enum { TRIES = 3 };

static const int64_t try_time[TRIES] = {2 * CLOCK_SECOND, 3 * CLOCK_SECOND, 5 * CLOCK_SECOND};

struct socket {
	struct loop_fd *watch;
	int fd;
};

struct dns_client_call {
	struct dns_client_call *next;
	struct dns_client *client;
	struct resolver_question *resolving;
	struct addr_list addresses;
	unsigned tries;
	struct socket *udp; /* of the try under way */
	struct conn *tcp;   /* after a truncated answer */
	struct loop_timer *timer;
	struct dns_message_question question;
	const struct dns_tsig_key *key;
	struct buf message; /* what was said in this try */
	uint16_t id;
	struct dns_tsig_mac mac;
	struct err why; /* what was wrong with the last answer that was not taken */
	dns_client_fn *fn;
	void *ctx;
};

struct dns_client {
	struct loop *loop;
	struct resolver *resolver;
	struct dns_client_call *calls;
};

static void next_try(struct dns_client_call *call);

/* ---- the end ---- */

static void release_socket(void *ctx)
{
	struct socket *s = ctx;

	loop_fd_free(&s->watch);
	fd_close(&s->fd);
	free(s);
}

/* Its callback may be running. */
static void close_socket(struct dns_client_call *call)
{
	if (call->udp == NULL)
		return;
	loop_fd_want(call->udp->watch, 0);
	loop_later(call->client->loop, release_socket, call->udp);
	call->udp = NULL;
}

static void release(void *ctx)
{
	struct dns_client_call *call = ctx;

	loop_timer_free(&call->timer);
	buf_clear(&call->message);
	free(call);
}

static void end(struct dns_client_call *call)
{
	struct dns_client_call **at = &call->client->calls;

	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	close_socket(call);
	conn_free(&call->tcp);
	loop_timer_stop(call->timer);
	if (call->resolving != NULL)
		resolver_forget(call->client->resolver, &call->resolving);
	loop_later(call->client->loop, release, call);
}

static void fail(struct dns_client_call *call, const char *why)
{
	struct dns_client_answer answer = {.why = why};

	end(call);
	call->fn(call->ctx, &answer);
}

/* ---- an answer ---- */

/* Nothing of it is taken: the right one may still come. */
static bool pass_over(struct dns_client_call *call, const char *why)
{
	return err_set(&call->why, "%s", why);
}

/* Errors may come from a server that cannot sign. */
static bool may_be_unsigned(unsigned rcode)
{
	return rcode != DNS_NOERROR && rcode != DNS_NXDOMAIN;
}

/* False: it is not the answer. */
static bool take(struct dns_client_call *call, struct str octets)
{
	struct dns_message message;
	struct dns_tsig_check check = {0};
	struct dns_client_answer answer = {.message = &message, .why = ""};
	int64_t now = clock_wall() / CLOCK_SECOND;
	const char *why;

	if (!dns_message_read(octets, call->id, &call->question, &message, &why))
		return pass_over(call, why);
	if (message.is_truncated)
		return pass_over(call, "its answer is cut off");
	if (call->key != NULL && !dns_tsig_check(&message, call->key, &call->mac, now, &check) && !may_be_unsigned(message.rcode))
		return pass_over(call, check.why);
	answer.rcode = check.error != 0 ? check.error : message.rcode;
	if (check.server_time != 0)
		answer.clock_ahead = check.server_time - now;
	end(call);
	call->fn(call->ctx, &answer);
	return true;
}

/* ---- TCP (RFC 7766) ---- */

static void on_connected(void *ctx)
{
	struct dns_client_call *call = ctx;
	const unsigned char size[2] = {(unsigned char)(call->message.n >> 8), (unsigned char)call->message.n};

	conn_write(call->tcp, str_bytes(size, sizeof(size)));
	conn_write(call->tcp, buf_str(&call->message));
}

static void on_tcp_over(struct dns_client_call *call, const char *why)
{
	pass_over(call, why);
	conn_free(&call->tcp);
	next_try(call);
}

static void on_tcp_input(void *ctx)
{
	struct dns_client_call *call = ctx;
	struct str input = conn_input(call->tcp);
	size_t size;

	if (input.n < 2)
		return;
	size = (size_t)(unsigned char)input.p[0] << 8 | (unsigned char)input.p[1];
	if (input.n - 2 < size || take(call, str_first(str_from(input, 2), size)))
		return;
	conn_free(&call->tcp);
	next_try(call);
}

static void on_tcp_deadline(void *ctx)
{
	on_tcp_over(ctx, "no answer over TCP in time");
}

static void on_tcp_end(void *ctx, const char *why)
{
	on_tcp_over(ctx, why != NULL ? why : "it closed the connection without an answer");
}

static void begin_tcp(struct dns_client_call *call, const struct sockaddr_storage *address)
{
	static const struct conn_events events = {.on_connected = on_connected,
						  .on_input = on_tcp_input,
						  .on_deadline = on_tcp_deadline,
						  .on_end = on_tcp_end};
	struct addr_list one = {.address = {*address}, .n = 1};
	struct err err;

	close_socket(call);
	loop_timer_stop(call->timer);
	call->tcp = conn_open(call->client->loop, &one, DNS_MESSAGE_MAX + 2, &events, call, &err);
	if (call->tcp != NULL) {
		conn_set_deadline(call->tcp, TCP_TIME);
		return;
	}
	pass_over(call, err.text);
	next_try(call);
}

/* ---- UDP ---- */

static const struct sockaddr_storage *address_of(const struct dns_client_call *call)
{
	return &call->addresses.address[(call->tries - 1) % call->addresses.n];
}

static bool is_truncated(const struct dns_client_call *call, struct str octets)
{
	struct dns_message message;
	const char *why;

	return dns_message_read(octets, call->id, &call->question, &message, &why) && message.is_truncated;
}

static void on_udp(void *ctx, unsigned events)
{
	static char octets[DNS_MESSAGE_MAX];
	struct dns_client_call *call = ctx;
	ssize_t n = recv(call->udp->fd, octets, sizeof(octets), 0);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		/* Nobody listens there. */
		pass_over(call, strerror(errno));
		next_try(call);
		return;
	}
	if (is_truncated(call, str_bytes(octets, (size_t)n)))
		begin_tcp(call, address_of(call));
	else
		take(call, str_bytes(octets, (size_t)n));
}

static void make_message(struct dns_client_call *call)
{
	random_fill(&call->id, sizeof(call->id));
	buf_reset(&call->message);
	dns_message_put(&call->message, call->id, &call->question);
	if (call->key != NULL)
		dns_tsig_sign(&call->message, call->key, clock_wall() / CLOCK_SECOND, &call->mac);
}

static bool begin_udp(struct dns_client_call *call)
{
	const struct sockaddr_storage *address = address_of(call);
	int fd = socket(address->ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)address, addr_size(address)) < 0 ||
	    send(fd, call->message.p, call->message.n, MSG_NOSIGNAL) < 0) {
		pass_over(call, strerror(errno));
		fd_close(&fd);
		return false;
	}
	call->udp = mem_zero(sizeof(*call->udp));
	call->udp->fd = fd;
	call->udp->watch = loop_fd_new(call->client->loop, fd, on_udp, call);
	loop_fd_want(call->udp->watch, LOOP_READ);
	return true;
}

static void next_try(struct dns_client_call *call)
{
	struct err why = call->why;

	close_socket(call);
	while (call->tries < TRIES) {
		int64_t limit = try_time[call->tries++];

		make_message(call);
		if (begin_udp(call)) {
			loop_timer_set(call->timer, limit);
			return;
		}
	}
	if (why.text[0] == '\0')
		why = call->why;
	fail(call, why.text[0] != '\0' ? why.text : "it does not answer");
}

static void on_timer(void *ctx)
{
	next_try(ctx);
}

static void on_resolved(void *ctx, const struct addr_list *addresses, const char *why)
{
	struct dns_client_call *call = ctx;

	call->resolving = NULL;
	if (addresses == NULL || addresses->n == 0) {
		fail(call, why);
		return;
	}
	call->addresses = *addresses;
	next_try(call);
}

/* ---- making and ending ---- */

struct dns_client_call *dns_client_start(struct dns_client *client, const struct dns_client_request *request, dns_client_fn *fn,
					 void *ctx)
{
	const struct resolver_host host = {.name = request->host, .port = request->port};
	struct dns_client_call *call = mem_zero(sizeof(*call));

	call->next = client->calls;
	client->calls = call;
	call->client = client;
	call->question = *request->question;
	call->key = request->key;
	call->fn = fn;
	call->ctx = ctx;
	buf_init(&call->message, DNS_MESSAGE_MAX);
	call->timer = loop_timer_new(client->loop, on_timer, call);
	call->resolving = resolver_ask(client->resolver, &host, on_resolved, call);
	return call;
}

void dns_client_cancel(struct dns_client_call **call)
{
	if (*call != NULL)
		end(*call);
	*call = NULL;
}

struct dns_client *dns_client_new(struct loop *loop)
{
	struct dns_client *client = mem_zero(sizeof(*client));

	client->loop = loop;
	client->resolver = resolver_new(loop);
	return client;
}

void dns_client_free(struct dns_client **client)
{
	struct dns_client *c = *client;

	if (c == NULL)
		return;
	while (c->calls != NULL)
		end(c->calls);
	resolver_free(&c->resolver);
	mem_free(client);
}
