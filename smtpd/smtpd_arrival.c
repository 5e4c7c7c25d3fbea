/* SPDX-License-Identifier: Apache-2.0
 *
 * Arrivals. They may come by the thousands in a second, so one that is refused costs little: no connection object,
 * no buffers, no watch on its socket. Nothing is read from it but a PROXY header, and of that not a byte too much:
 * what follows may be a ClientHello, which OpenSSL reads from the socket itself.
 */
#include "smtpd/smtpd_arrival.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/encode.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/random.h"
#include "lib/net/proxy_header.h"
#include "lib/service/metrics.h"
#include "smtpd/smtpd_session.h"

enum {
	BEYOND_LIMIT = 256, /* connections over limits.connections that are told so; more are closed without a word */
	LINES_A_SECOND = 20,
};

/* While a PROXY header is waited for. */
struct header {
	struct loop_fd *watch;
	struct loop_timer *timer;
	size_t n; /* octets that were taken from the socket */
	char octets[PROXY_HEADER_MAX];
};

struct smtpd_arrival {
	struct smtpd_arrival *next, **link;
	struct smtpd_worker *worker;
	struct header *header; /* or NULL */
	struct smtpd_guest guest;
};

static size_t everybody(const struct smtpd_worker *worker)
{
	return worker->n_sessions + worker->n_arrivals;
}

static void name_session(char out[SMTPD_SESSION_ID])
{
	unsigned char bytes[(SMTPD_SESSION_ID - 1) / 2];
	struct buf text = {.p = out, .size = SMTPD_SESSION_ID, .max = SMTPD_SESSION_ID};

	random_fill(bytes, sizeof(bytes));
	encode_hex(&text, str_bytes(bytes, sizeof(bytes)));
	out[SMTPD_SESSION_ID - 1] = '\0';
}

/* ---- no ---- */

static void refuse(struct smtpd_worker *worker, struct smtpd_guest *guest, enum smtp_reply reply)
{
	struct log_context ctx = {.session = guest->session};
	char space[512];
	struct buf text = {.p = space, .size = sizeof(space), .max = sizeof(space)};
	uint64_t unsaid;

	/* Under implicit TLS a word would cost a handshake, which is what a flood is after: closed as it is. */
	if (!guest->listener->is_implicit_tls) {
		smtp_reply_put(&text, reply, str_of(worker->rules.host_name));
		send(guest->fd, text.p, text.n, MSG_NOSIGNAL | MSG_DONTWAIT);
		metrics_add_at(METRIC_REPLIES, reply, 1);
	}
	fd_close(&guest->fd);
	if (log_limit_take(&worker->refusals, clock_mono(), LINES_A_SECOND, &unsaid))
		log_info(&ctx, "smtpd.connection.refused", log_text("client", guest->client),
			 log_text("listener", guest->listener->key), log_text("reply", smtp_reply_token(reply)),
			 log_uint("unsaid", unsaid));
}

/* What needs nobody's answer. NONE: it may come in as far as this worker is concerned. */
static enum smtp_reply own_refusal(const struct smtpd_worker *worker, const struct smtpd_listener *listener)
{
	if (worker->is_draining)
		return SMTP_REPLY_SHUTDOWN;
	if (everybody(worker) >= (size_t)worker->settings->limits.connections)
		return SMTP_REPLY_TOO_MANY_SESSIONS;
	/* What is sent at once does not lengthen the queue. */
	if (worker->rules.is_under_pressure && listener->mode != IPC_DIRECT)
		return SMTP_REPLY_OVERLOADED;
	return SMTP_REPLY_NONE;
}

/* ---- the list of those that wait ---- */

static struct smtpd_arrival *keep(struct smtpd_worker *worker, const struct smtpd_guest *guest)
{
	struct smtpd_arrival *a = mem_zero(sizeof(*a));

	a->worker = worker;
	a->guest = *guest;
	a->next = worker->arrivals;
	a->link = &worker->arrivals;
	if (a->next != NULL)
		a->next->link = &a->next;
	worker->arrivals = a;
	worker->n_arrivals++;
	return a;
}

static void free_header(void *ctx)
{
	struct header *h = ctx;

	loop_fd_free(&h->watch);
	loop_timer_free(&h->timer);
	free(h);
}

/* Later: its own callback may be running. */
static void stop_header(struct smtpd_arrival *a)
{
	if (a->header == NULL)
		return;
	if (a->header->watch != NULL) {
		loop_fd_want(a->header->watch, 0);
		loop_timer_stop(a->header->timer);
	}
	loop_later(a->worker->loop, free_header, a->header);
	a->header = NULL;
}

/* Who waited, and does not any more. */
static struct smtpd_guest release(struct smtpd_arrival *a)
{
	struct smtpd_guest guest = a->guest;

	stop_header(a);
	*a->link = a->next;
	if (a->next != NULL)
		a->next->link = a->link;
	a->worker->n_arrivals--;
	free(a);
	return guest;
}

/* ---- may it come in? ---- */

void smtpd_arrival_answered(void *arrival, enum ipc_connect_verdict verdict)
{
	static const enum smtp_reply refusals[IPC_CONNECT_VERDICTS] = {
		[IPC_CONNECT_OK] = SMTP_REPLY_NONE,
		[IPC_CONNECT_FULL] = SMTP_REPLY_TOO_MANY_SESSIONS,
		[IPC_CONNECT_TOO_MANY] = SMTP_REPLY_TOO_MANY_CONNECTIONS,
		[IPC_CONNECT_BANNED] = SMTP_REPLY_BANNED,
	};
	struct smtpd_arrival *a = arrival;
	struct smtpd_worker *worker = a->worker;
	struct smtpd_guest guest = release(a);

	if (verdict == IPC_CONNECT_OK)
		smtpd_session_start(worker, &guest);
	else
		refuse(worker, &guest, refusals[verdict]);
}

/* It is known whose connection it is. The client is not watched while gate is asked: that takes less than a
 * millisecond as a rule, and never long; one that left meanwhile is noticed by its session. */
static void come_in(struct smtpd_worker *worker, struct smtpd_guest *guest)
{
	struct ipc_connect question = {.session = str_of(guest->session)};
	enum smtp_reply refusal = own_refusal(worker, guest->listener);
	struct smtpd_arrival *a;

	if (!guest->is_local)
		metrics_add(METRIC_CONNECTIONS, 1);
	if (refusal != SMTP_REPLY_NONE) {
		refuse(worker, guest, refusal);
		return;
	}
	if (guest->is_local) {
		smtpd_session_start(worker, guest);
		return;
	}
	a = keep(worker, guest);
	question.client = str_of(a->guest.client);
	smtpd_gate_ask_connect(worker->gate, &question, a);
}

/* ---- whose is it? ---- */

static void fail_header(struct smtpd_arrival *a, const char *why)
{
	struct smtpd_worker *worker = a->worker;
	struct smtpd_guest guest = release(a);
	uint64_t unsaid;

	fd_close(&guest.fd);
	metrics_add(METRIC_PROXY_FAILURES, 1);
	if (log_limit_take(&worker->proxy_failures, clock_mono(), 1, &unsaid))
		log_warn(NULL, "smtpd.proxy.failed", log_text("balancer", guest.client),
			 log_text("listener", guest.listener->key), log_text("reason", why),
			 log_text("text", "connections from listeners.*.proxy_networks must begin with a PROXY header, sent "
					  "before the client speaks; an AWS NLB waits for the client unless its target "
					  "group has proxy_protocol_v2.client_to_server.header_placement=on_first_ack"),
			 log_uint("unsaid", unsaid));
}

/* A health check that connects and leaves: nothing has failed. */
static void let_go(struct smtpd_arrival *a)
{
	struct smtpd_guest guest = release(a);

	log_debug(NULL, "smtpd.proxy.left", log_text("balancer", guest.client),
		  log_text("listener", guest.listener->key));
	fd_close(&guest.fd);
}

static void take_header(struct smtpd_arrival *a, const struct proxy_header *header)
{
	struct smtpd_worker *worker = a->worker;
	struct smtpd_guest guest = release(a);
	char balancer[ADDR_TEXT];

	memcpy(balancer, guest.client, sizeof(balancer));
	guest.is_local = header->is_local;
	if (!header->is_local && !header->is_unknown) {
		addr_text(&header->from, guest.client);
		/* Some balancers' health checks name themselves instead of saying LOCAL. */
		guest.is_local = strcmp(guest.client, balancer) == 0;
	}
	log_debug(&(struct log_context){.session = guest.session}, "smtpd.proxy.header",
		  log_text("balancer", balancer), log_text("client", guest.client),
		  log_bool("is_local", guest.is_local));
	come_in(worker, &guest);
}

/* Looks at what is there, and takes from the socket what is the header's. False: more has to come. */
static bool read_header(struct smtpd_arrival *a)
{
	struct header *h = a->header;
	struct proxy_header header;
	enum proxy_header_result result;
	ssize_t got = recv(a->guest.fd, h->octets + h->n, sizeof(h->octets) - h->n, MSG_PEEK);
	size_t mine;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (got <= 0) {
		if (h->n == 0)
			let_go(a);
		else
			fail_header(a, "closed within the header");
		return true;
	}
	result = proxy_header_parse(str_bytes(h->octets, h->n + (size_t)got), &header);
	if (result == PROXY_HEADER_BAD) {
		fail_header(a, header.why);
		return true;
	}
	mine = result == PROXY_HEADER_OK ? header.length - h->n : (size_t)got;
	if (recv(a->guest.fd, h->octets + h->n, mine, 0) != (ssize_t)mine) {
		fail_header(a, "lost within the header");
		return true;
	}
	h->n += mine;
	if (result == PROXY_HEADER_MORE)
		return false;
	take_header(a, &header);
	return true;
}

static void on_header(void *ctx, unsigned events)
{
	(void)events;
	read_header(ctx);
}

static void on_late_header(void *ctx)
{
	struct smtpd_arrival *a = ctx;

	fail_header(a, a->header->n > 0 ? "not complete in time" : "did not come in time");
}

static void await_header(struct smtpd_worker *worker, const struct smtpd_guest *guest)
{
	struct smtpd_arrival *a = keep(worker, guest);
	struct header *h = a->header = mem_zero(sizeof(*h));

	if (read_header(a)) /* it came with the connection, as a rule */
		return;
	h->watch = loop_fd_new(worker->loop, guest->fd, on_header, a);
	h->timer = loop_timer_new(worker->loop, on_late_header, a);
	loop_fd_want(h->watch, LOOP_READ);
	loop_timer_set(h->timer, worker->settings->smtpd.proxy_timeout);
}

void smtpd_arrival_begin(struct smtpd_worker *worker, const struct smtpd_listener *listener, int fd, const char *from)
{
	size_t limit = (size_t)worker->settings->limits.connections + (listener->is_implicit_tls ? 0 : BEYOND_LIMIT);
	struct smtpd_guest guest = {.listener = listener, .fd = fd};

	if (everybody(worker) >= limit) {
		metrics_add(METRIC_CONNECTIONS, 1);
		close(fd);
		return;
	}
	name_session(guest.session);
	str_copy(str_of(from), guest.client, sizeof(guest.client));
	if (network_list_has(&listener->proxies, str_of(from)))
		await_header(worker, &guest);
	else
		come_in(worker, &guest);
}

void smtpd_arrival_refuse_all(struct smtpd_worker *worker)
{
	while (worker->arrivals != NULL) {
		struct smtpd_guest guest;

		smtpd_gate_forget(worker->gate, worker->arrivals);
		guest = release(worker->arrivals);
		refuse(worker, &guest, SMTP_REPLY_SHUTDOWN);
	}
}
