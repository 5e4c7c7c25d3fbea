/* SPDX-License-Identifier: Apache-2.0
 *
 * Buffered connections. Bytes are read into one scratch area of the process and shown from there; only
 * what the owner leaves is copied into a buffer of the connection, so that an idle one holds none. What
 * is written is gathered and leaves when the callback is over, as one record where it fits.
 */
#include "lib/net/conn.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/net/addr.h"
#include "lib/net/tls_server.h"

enum {
	SCRATCH = 65536,
	TURN_BYTES = 262144,	   /* read from one connection before the others get their turn */
	FEW_BYTES = 8192,	   /* so little came that the socket is empty, most likely */
	OUT_MAX = 64 << 20,	   /* written by the owner and not taken by the other side */
	FINISH_TIME = 5000000,	   /* for the last words to leave */
	LINGER_TIME = 1000000,	   /* for the other side to close after them */
};

enum stage {
	CONNECTING,
	OPEN,	   /* in clear or secure */
	STARTING,  /* TLS is due when all that was written in clear has left */
	HANDSHAKE,
	FINISHING, /* no more input; what is written leaves */
	LINGERING, /* all has left, the other side is to close */
	OVER,	   /* on_end was or is about to be called */
};

struct conn {
	struct loop *loop;
	const struct conn_events *events;
	void *ctx;
	struct loop_fd *watch;
	struct loop_timer *timer;
	struct tls *tls;
	struct tls_server *server; /* STARTING */
	enum tls_ask ask;
	struct tls_client *client;
	char *host;
	int64_t deadline_at; /* monotonic; 0: none */
	int64_t armed_at;    /* when the timer fires; 0: it does not run */
	struct str view;     /* input, in scratch or in `kept` */
	struct buf kept;     /* what the owner left */
	struct buf out;
	size_t out_sent;  /* bytes of `out` that have left */
	size_t clear_end; /* STARTING: so much of `out` was written before TLS was asked for */
	size_t input_max;
	struct addr_list *addresses; /* NULL: it came to us */
	unsigned next_address;	     /* in them */
	struct loop_fd *old_watch;   /* of the address before */
	int fd;
	enum stage stage;
	bool is_secure, is_paused, is_eof, is_freed;
	bool is_busy;	 /* inside one of our own entries: output leaves at its end */
	bool is_muted;	 /* input came during the pause, and is not watched any more */
	bool is_due;	 /* a later call is on its way */
	bool has_more;	 /* input may be waiting inside TLS: no event will tell */
	bool is_renewed; /* resumed: what was left is announced again */
	bool has_written; /* since on_flushed */
	bool tls_wants_write;
	bool is_held, is_told; /* HANDSHAKE: waits for conn_show(); goes on after it */
};

static char scratch[SCRATCH];

static void run_later(void *ctx);

static void over(struct conn *conn, const char *why)
{
	if (conn->stage == OVER || conn->is_freed)
		return;
	conn->stage = OVER;
	loop_fd_want(conn->watch, 0);
	conn->deadline_at = 0;
	conn->events->on_end(conn->ctx, why);
}

static void schedule(struct conn *conn)
{
	if (conn->is_due || conn->is_busy || conn->stage == OVER)
		return;
	conn->is_due = true;
	loop_later(conn->loop, run_later, conn);
}

/* ---- the timer: one a connection, moved only when it has to fire earlier than it would ---- */

static void arm(struct conn *conn, int64_t now, int64_t at)
{
	if (conn->armed_at != 0 && conn->armed_at <= at)
		return;
	conn->armed_at = at;
	loop_timer_set(conn->timer, at - now);
}

static void set_deadline(struct conn *conn, int64_t microseconds)
{
	int64_t now;

	conn->deadline_at = 0;
	if (microseconds <= 0)
		return;
	now = clock_mono();
	conn->deadline_at = now + microseconds;
	arm(conn, now, conn->deadline_at);
}

/* ---- output ---- */

static void begin_handshake(struct conn *conn);

static bool raw_write(struct conn *conn, const char *p, size_t n, size_t *sent, struct err *err)
{
	ssize_t got;

	if (conn->is_secure) {
		switch (tls_write(conn->tls, p, n, sent, err)) {
		case TLS_DONE:
			return true;
		case TLS_WANT_READ:
		case TLS_WANT_WRITE:
			*sent = 0;
			return true;
		default:
			return false;
		}
	}
	do {
		got = send(conn->fd, p, n, MSG_NOSIGNAL | (conn->stage == FINISHING ? MSG_MORE : 0));
	} while (got < 0 && errno == EINTR);
	*sent = got > 0 ? (size_t)got : 0;
	return got >= 0 || errno == EAGAIN || err_set(err, "%s", strerror(errno));
}

static void begin_handshake(struct conn *conn);

/* Sends what is queued and may leave now, as far as the socket takes it. False: not all has left. */
static bool send_queued(struct conn *conn)
{
	size_t end = conn->stage == STARTING ? conn->clear_end : conn->out.n, sent;
	struct err err;

	while (conn->out_sent < end) {
		if (!raw_write(conn, conn->out.p + conn->out_sent, end - conn->out_sent, &sent, &err)) {
			over(conn, err.text);
			return false;
		}
		if (sent == 0)
			return false;
		conn->out_sent += sent;
	}
	if (end < conn->out.n)
		return true;
	conn->out_sent = 0;
	if (conn->out.p != NULL)
		buf_clear_secret(&conn->out);
	return true;
}

/* Sends, and does what waited for everything to have left. */
static void flush(struct conn *conn)
{
	for (;;) {
		if (!send_queued(conn))
			return;
		if (conn->stage == STARTING)
			begin_handshake(conn);
		if (!conn->has_written || conn->stage != OPEN)
			return;
		conn->has_written = false;
		if (conn->events->on_flushed == NULL)
			return;
		conn->events->on_flushed(conn->ctx);
		if (conn->is_freed)
			return;
	}
}

/* The last words have left: closes, but not before the other side did or had the time to: closing with
 * input unread would reset the connection and take the last words with it. */
static void linger(struct conn *conn)
{
	if (conn->stage != FINISHING || conn->out.n > 0)
		return;
	if (conn->is_secure)
		tls_shutdown(conn->tls);
	if (conn->is_eof) {
		over(conn, NULL);
		return;
	}
	shutdown(conn->fd, SHUT_WR);
	conn->stage = LINGERING;
	set_deadline(conn, LINGER_TIME);
}

static void drain_socket(struct conn *conn)
{
	for (size_t n = 0; n < TURN_BYTES;) {
		ssize_t got = recv(conn->fd, scratch, sizeof(scratch), 0);

		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (got <= 0) {
			over(conn, NULL);
			return;
		}
		n += (size_t)got;
	}
}

/* ---- input ---- */

/* Reads once. False: nothing (more) is to be had now. */
static bool raw_read(struct conn *conn, char *to, size_t size, size_t *got, const char **why,
		     struct err *err)
{
	ssize_t n;

	*got = 0;
	if (conn->is_secure) {
		enum tls_result result = tls_read(conn->tls, to, size, got, err);

		conn->is_eof = result == TLS_END;
		conn->tls_wants_write = result == TLS_WANT_WRITE; /* an answer to a key update */
		if (result == TLS_FAILED)
			*why = err->text;
		return result == TLS_DONE;
	}
	do {
		n = recv(conn->fd, to, size, 0);
	} while (n < 0 && errno == EINTR);
	conn->is_eof = n == 0;
	if (n < 0 && errno != EAGAIN) {
		err_set(err, "%s", strerror(errno));
		*why = err->text;
	}
	*got = n > 0 ? (size_t)n : 0;
	return n > 0;
}

/* Fills `to` as far as there is input. Sets is_eof, has_more; false with *why on a failure. */
static size_t fill(struct conn *conn, char *to, size_t size, const char **why, struct err *err)
{
	size_t n = 0, got;

	conn->has_more = true;
	while (n < size) {
		if (!raw_read(conn, to + n, size - n, &got, why, err)) {
			conn->has_more = false;
			break;
		}
		n += got;
		if (n < FEW_BYTES && !(conn->is_secure && tls_has_pending(conn->tls))) {
			conn->has_more = false;
			break;
		}
	}
	return n;
}

/* Keeps what the owner has left of the input, and only that. */
static void settle(struct conn *conn)
{
	if (conn->view.n == 0) {
		conn->view = (struct str){NULL, 0};
		if (conn->kept.p != NULL)
			buf_clear_secret(&conn->kept);
		return;
	}
	if (conn->view.p >= scratch && conn->view.p < scratch + sizeof(scratch))
		must(buf_put_str(&conn->kept, conn->view));
	else
		buf_consume(&conn->kept, (size_t)(conn->view.p - conn->kept.p));
	conn->view = buf_str(&conn->kept);
}

static void announce(struct conn *conn)
{
	conn->events->on_input(conn->ctx);
	if (!conn->is_freed)
		settle(conn);
}

/* One round of reading. Returns how many bytes came. */
static size_t read_round(struct conn *conn, const char **why, struct err *err)
{
	size_t room = conn->input_max - conn->view.n, n;
	bool in_scratch = conn->view.n == 0;
	char *to;

	if (room > sizeof(scratch))
		room = sizeof(scratch);
	to = in_scratch ? scratch : buf_room(&conn->kept, room);
	if (!in_scratch)
		conn->view = buf_str(&conn->kept); /* making room may have moved it */
	n = fill(conn, to, room, why, err);
	if (n == 0)
		return 0;
	if (in_scratch) {
		conn->view = str_bytes(scratch, n);
	} else {
		buf_added(&conn->kept, n);
		conn->view = buf_str(&conn->kept);
	}
	announce(conn);
	if (in_scratch)
		mem_wipe(scratch, n); /* it may have been a password */
	return n;
}

static bool may_read(const struct conn *conn)
{
	return conn->stage == OPEN && !conn->is_freed && !conn->is_paused && !conn->is_eof &&
	       !conn->tls_wants_write && conn->view.n < conn->input_max;
}

/* Announces what was left before a pause, then reads when there is something to be had. */
static void pump_input(struct conn *conn, bool is_readable)
{
	const char *why = NULL;
	struct err err;
	size_t total = 0;

	if (conn->is_renewed && conn->stage == OPEN && !conn->is_paused) {
		conn->is_renewed = false;
		if (conn->view.n > 0)
			announce(conn);
	}
	while (is_readable && may_read(conn) && total < TURN_BYTES) {
		size_t got = read_round(conn, &why, &err);

		total += got;
		if (why != NULL && !conn->is_freed) {
			over(conn, why);
			return;
		}
		if (got == 0 || !conn->has_more)
			return;
	}
}

/* ---- TLS ---- */

static void drop_input(struct conn *conn)
{
	conn->view = (struct str){NULL, 0};
	if (conn->kept.p != NULL)
		buf_clear_secret(&conn->kept);
}

static void handshake(struct conn *conn)
{
	struct err err;
	enum tls_result result = tls_handshake(conn->tls, &err);

	conn->tls_wants_write = result == TLS_WANT_WRITE;
	if (result == TLS_FAILED) {
		err_wrap(&err, "TLS handshake: ");
		over(conn, err.text);
		return;
	}
	if (result == TLS_WANT_CERTIFICATE) {
		conn->is_held = true;
		conn->events->on_wanted(conn->ctx, tls_wanted_host(conn->tls));
	}
	if (result != TLS_DONE)
		return;
	conn->is_secure = true;
	conn->stage = OPEN;
	/* The other side's first words may have come with the end of the handshake. */
	conn->has_more = tls_has_pending(conn->tls);
	conn->events->on_secure(conn->ctx);
}

static void begin_handshake(struct conn *conn)
{
	drop_input(conn);
	conn->is_renewed = false;
	conn->stage = HANDSHAKE;
	if (conn->server != NULL) {
		conn->tls = tls_accept(conn->server, conn->fd, conn->ask);
		tls_server_free(&conn->server);
		return;
	}
	conn->tls = tls_connect(conn->client, conn->fd, conn->host);
	mem_free(&conn->host);
	handshake(conn);
}

static void start_tls(struct conn *conn)
{
	must(conn->tls == NULL && (conn->stage == OPEN || conn->stage == CONNECTING));
	drop_input(conn);
	conn->clear_end = conn->out.n;
	if (conn->stage == OPEN)
		conn->stage = STARTING;
	schedule(conn);
}

void conn_start_tls_server(struct conn *conn, struct tls_server *server, enum tls_ask ask)
{
	conn->ask = ask;
	conn->server = tls_server_keep(server);
	start_tls(conn);
}

void conn_show(struct conn *conn, const struct tls_server *server)
{
	if (!conn->is_held || conn->stage != HANDSHAKE)
		return;
	tls_show(conn->tls, server);
	conn->is_held = false;
	conn->is_told = true;
	schedule(conn);
}

void conn_start_tls_client(struct conn *conn, struct tls_client *client, const char *host)
{
	conn->client = client;
	conn->host = mem_text(host);
	start_tls(conn);
}

bool conn_is_secure(const struct conn *conn)
{
	return conn->is_secure;
}

struct tls *conn_tls(const struct conn *conn)
{
	return conn->tls;
}

/* ---- entries: from the loop ---- */

static void want_events(struct conn *conn)
{
	unsigned want = 0;

	/* A pause is mostly over before more input comes: what is watched stays so until it does. */
	if (conn->is_paused && conn->stage == OPEN && !conn->is_eof && !conn->is_muted)
		want |= LOOP_READ;
	if (may_read(conn) || (conn->stage == HANDSHAKE && !conn->is_held) || conn->stage == LINGERING)
		want |= LOOP_READ;
	if (conn->out.n > 0 || conn->stage == CONNECTING || conn->tls_wants_write)
		want |= LOOP_WRITE;
	loop_fd_want(conn->watch, want);
	/* The turn was used up, or TLS holds bytes that no event will tell of: come back soon. */
	if (conn->has_more && may_read(conn))
		arm(conn, clock_mono(), 1);
}

static bool may_flush(const struct conn *conn)
{
	return !conn->is_freed &&
	       (conn->stage == OPEN || conn->stage == STARTING || conn->stage == FINISHING);
}

static void enter(struct conn *conn)
{
	conn->is_busy = true;
}

/* The end of every entry: what was written leaves, and an end that waited for it comes. */
static void leave(struct conn *conn)
{
	if (may_flush(conn))
		flush(conn);
	if (!conn->is_freed)
		linger(conn);
	/* The other side has closed its half, and all that it said is answered. */
	if (!conn->is_freed && conn->is_eof && conn->stage == OPEN && !conn->is_paused &&
	    !conn->is_renewed && conn->out.n == 0)
		over(conn, NULL);
	conn->is_busy = false;
	if (conn->is_freed || conn->stage == OVER)
		return;
	settle(conn);
	if ((conn->is_renewed && !conn->is_paused) || (conn->is_told && conn->stage == HANDSHAKE))
		schedule(conn);
	want_events(conn);
}

static void run_later(void *ctx)
{
	struct conn *conn = ctx;

	conn->is_due = false;
	if (conn->is_freed || conn->stage == OVER)
		return;
	enter(conn);
	if (conn->is_told && conn->stage == HANDSHAKE) {
		conn->is_told = false;
		handshake(conn);
	}
	pump_input(conn, conn->has_more || (conn->is_secure && tls_has_pending(conn->tls)));
	leave(conn);
}

static void try_next_address(struct conn *conn, const char *why);

static void finish_connecting(struct conn *conn)
{
	int error = 0;
	socklen_t n = sizeof(error);

	getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &n);
	if (error != 0) {
		try_next_address(conn, strerror(error));
		return;
	}
	conn->stage = conn->client != NULL ? STARTING : OPEN;
	if (conn->events->on_connected != NULL)
		conn->events->on_connected(conn->ctx);
}

static void on_socket(void *ctx, unsigned events)
{
	struct conn *conn = ctx;

	enter(conn);
	if (events & LOOP_WRITE)
		conn->tls_wants_write = false;
	switch (conn->stage) {
	case CONNECTING:
		finish_connecting(conn);
		break;
	case HANDSHAKE:
		handshake(conn);
		if (!conn->is_freed && conn->has_more)
			pump_input(conn, true);
		break;
	case LINGERING:
		drain_socket(conn);
		break;
	case OPEN:
		if (conn->is_paused && (events & LOOP_READ))
			conn->is_muted = true;
		pump_input(conn, true);
		break;
	case STARTING:
	case FINISHING:
	case OVER:
		break;
	}
	leave(conn);
}

static void on_timer(void *ctx)
{
	struct conn *conn = ctx;
	int64_t now = clock_mono();

	conn->armed_at = 0;
	enter(conn);
	if (conn->has_more)
		pump_input(conn, true);
	if (!conn->is_freed && conn->deadline_at != 0 && conn->deadline_at <= now) {
		conn->deadline_at = 0;
		if (conn->stage == FINISHING)
			over(conn, "it does not take our last words");
		else if (conn->stage == LINGERING)
			over(conn, NULL);
		else
			conn->events->on_deadline(conn->ctx);
	}
	leave(conn);
	if (!conn->is_freed && conn->deadline_at != 0)
		arm(conn, now, conn->deadline_at);
}

/* ---- making and ending ---- */

static void take_socket(struct conn *conn, int fd)
{
	int on = 1;

	conn->fd = fd;
	/* Without it a TLS 1.3 session loses about 40 ms (facts/clients.md). Not TCP in tests. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	conn->watch = loop_fd_new(conn->loop, fd, on_socket, conn);
}

static struct conn *make(struct loop *loop, size_t input_max, const struct conn_events *events,
			 void *ctx)
{
	struct conn *conn = mem_zero(sizeof(*conn));

	must(input_max > 0);
	conn->loop = loop;
	conn->events = events;
	conn->ctx = ctx;
	conn->input_max = input_max;
	conn->fd = -1;
	buf_init(&conn->kept, input_max);
	buf_init(&conn->out, OUT_MAX);
	conn->timer = loop_timer_new(loop, on_timer, conn);
	return conn;
}

struct conn *conn_new(struct loop *loop, int fd, size_t input_max, const struct conn_events *events,
		      void *ctx)
{
	struct conn *conn = make(loop, input_max, events, ctx);

	take_socket(conn, fd);
	conn->stage = OPEN;
	want_events(conn);
	return conn;
}

static bool has_another(const struct conn *conn)
{
	return conn->addresses != NULL && conn->next_address < conn->addresses->n;
}

/* Begins with the next address that a connection can be begun to; errno when there is none. */
static bool try_address(struct conn *conn)
{
	int error = EADDRNOTAVAIL;

	while (has_another(conn)) {
		const struct sockaddr_storage *a = &conn->addresses->address[conn->next_address++];
		int fd = socket(a->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		if (fd >= 0 && (connect(fd, (const struct sockaddr *)a, addr_size(a)) == 0 || errno == EINPROGRESS)) {
			take_socket(conn, fd);
			want_events(conn);
			return true;
		}
		error = errno;
		fd_close(&fd);
	}
	errno = error;
	return false;
}

static void try_next_address(struct conn *conn, const char *why)
{
	if (has_another(conn)) {
		loop_fd_want(conn->watch, 0);
		/* Its callback runs: it is freed with the connection, or when the next one fails. */
		loop_fd_free(&conn->old_watch);
		conn->old_watch = conn->watch;
		conn->watch = NULL;
		fd_close(&conn->fd);
		if (try_address(conn))
			return;
		why = strerror(errno);
		conn->watch = conn->old_watch;
		conn->old_watch = NULL;
	}
	over(conn, why);
}

struct conn *conn_open(struct loop *loop, const struct addr_list *addresses, size_t input_max, const struct conn_events *events,
		       void *ctx, struct err *err)
{
	struct conn *conn = make(loop, input_max, events, ctx);

	conn->stage = CONNECTING;
	conn->addresses = mem_zero(sizeof(*addresses));
	*conn->addresses = *addresses;
	if (!try_address(conn)) {
		err_set(err, "%s", strerror(errno));
		conn_free(&conn);
	}
	return conn;
}

struct conn *conn_connect(struct loop *loop, const char *host, uint16_t port, size_t input_max,
			  const struct conn_events *events, void *ctx, struct err *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *found;
	struct addr_list addresses;
	struct conn *conn;
	char service[8];
	int failed;

	snprintf(service, sizeof(service), "%u", port);
	failed = getaddrinfo(host, service, &hints, &found);
	if (failed != 0) {
		err_set(err, "%s: %s", host, gai_strerror(failed));
		return NULL;
	}
	addr_list_take(&addresses, found);
	freeaddrinfo(found);
	conn = conn_open(loop, &addresses, input_max, events, ctx, err);
	if (conn == NULL)
		err_wrap(err, "%s port %s: ", host, service);
	return conn;
}

bool conn_skip_address(struct conn *conn)
{
	if (conn->stage != CONNECTING || !has_another(conn))
		return false;
	try_next_address(conn, strerror(ETIMEDOUT));
	return true;
}

static void release(void *ctx)
{
	struct conn *conn = ctx;

	tls_free(&conn->tls);
	tls_server_free(&conn->server);
	free(conn->host);
	free(conn->addresses);
	loop_fd_free(&conn->watch);
	loop_fd_free(&conn->old_watch);
	loop_timer_free(&conn->timer);
	buf_clear_secret(&conn->kept);
	buf_clear_secret(&conn->out);
	free(conn);
}

void conn_free(struct conn **conn)
{
	struct conn *c = *conn;

	*conn = NULL;
	if (c == NULL || c->is_freed)
		return;
	c->is_freed = true;
	if (c->watch != NULL)
		loop_fd_want(c->watch, 0);
	loop_timer_stop(c->timer);
	fd_close(&c->fd);
	loop_later(c->loop, release, c);
}

/* ---- entries: from the owner ---- */

struct str conn_input(const struct conn *conn)
{
	return conn->view;
}

void conn_consume(struct conn *conn, size_t n)
{
	must(n <= conn->view.n);
	conn->view = str_from(conn->view, n);
}

void conn_write(struct conn *conn, struct str bytes)
{
	if (conn->stage >= FINISHING || conn->is_freed)
		return;
	conn->has_written = true;
	if (!buf_put_str(&conn->out, bytes))
		die("more than %d bytes wait for one connection", OUT_MAX);
	schedule(conn);
}

size_t conn_unsent(const struct conn *conn)
{
	return conn->out.n - conn->out_sent;
}

void conn_pause(struct conn *conn)
{
	conn->is_paused = true;
	if (!conn->is_busy && conn->stage != OVER)
		want_events(conn);
}

void conn_resume(struct conn *conn)
{
	if (!conn->is_paused)
		return;
	conn->is_paused = conn->is_muted = false;
	conn->is_renewed = true;
	schedule(conn);
}

void conn_set_deadline(struct conn *conn, int64_t microseconds)
{
	if (conn->stage < FINISHING)
		set_deadline(conn, microseconds);
}

void conn_finish(struct conn *conn)
{
	if (conn->stage >= FINISHING)
		return;
	if (conn->stage == STARTING)
		conn->out.n = conn->clear_end; /* the rest was meant for TLS */
	if (conn->stage == CONNECTING || conn->stage == HANDSHAKE) {
		/* There is nobody to say anything to. */
		buf_clear_secret(&conn->out);
		conn->out_sent = 0;
		conn->is_eof = true;
	}
	conn->stage = FINISHING;
	if (conn->is_secure)
		tls_gather(conn->tls); /* last words, close_notify and FIN: one packet */
	drop_input(conn);
	set_deadline(conn, FINISH_TIME);
	schedule(conn);
}
