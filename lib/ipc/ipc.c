/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames over socket pairs: the permission check, sending with a queue, receiving.
 * A packet is type (16 bits), zero (16), id (64), body.
 */
#include "lib/ipc/ipc.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"

enum {
	IPC_PACKET_MAX = IPC_HEAD + IPC_BODY_MAX,
	IPC_BACKLOG_MAX = 256 << 20, /* a peer that takes nothing for so long is broken */
	IPC_SOCKET_BUFFER = 4 << 20,
	IPC_FRAMES_A_TURN = 64, /* then other descriptors get their turn */
};

static const struct {
	const char *name;
	enum role from, to;
	size_t largest;
	int descriptors;
} types[IPC_COUNT] = {
	[IPC_NONE] = {"NONE", ROLE_COUNT, ROLE_COUNT, 0, 0},
#define IPC(name, from, to, largest, descriptors) \
	[IPC_##name] = {#name, ROLE_##from, ROLE_##to, largest, descriptors},
#include "lib/ipc/ipc.def"
#undef IPC
};

static const char *const role_names[ROLE_COUNT] = {
#define ROLE(constant, name) [ROLE_##constant] = name,
#include "lib/ipc/role.def"
#undef ROLE
};

/* A packet that the socket has not taken yet. */
struct waiting {
	struct waiting *next;
	size_t n;
	int fd;
	bool is_secret;
	char bytes[];
};

struct ipc_peer {
	int fd;
	enum role self, peer;
	unsigned slot;
	const struct ipc_events *events;
	void *ctx;
	struct loop *loop;
	struct loop_fd *watch;
	struct waiting *first, **last;
	size_t backlog;
	bool is_deaf; /* it is dead, and takes nothing more; what it had said is still read */
	bool is_closed, is_told, is_freed;
	const char *why;
};

const char *role_name(enum role role)
{
	must(role < ROLE_COUNT);
	return role_names[role];
}

const char *ipc_type_name(enum ipc_type type)
{
	must(type < IPC_COUNT);
	return types[type].name;
}

/* Passwords, keys, settings with both: no copy of them stays behind. */
static bool is_secret(enum ipc_type type)
{
	return type == IPC_AUTH || type == IPC_SETTINGS || type == IPC_IDENTITY || type == IPC_TICKET_KEYS;
}

void ipc_pair(int fds[2])
{
	int size = IPC_SOCKET_BUFFER;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		die("socketpair: %s", strerror(errno));
	/* Best effort: with the system's smaller limit more goes through the queue. */
	for (int i = 0; i < 2; i++)
		setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

static bool role_fits(enum role row, enum role actual)
{
	return row == actual || (row == ROLE_CHILD && actual != ROLE_MASTER);
}

static bool is_permitted(enum ipc_type type, enum role from, enum role to)
{
	return type > IPC_NONE && type < IPC_COUNT && role_fits(types[type].from, from) &&
	       role_fits(types[type].to, to);
}

bool ipc_parse(struct str packet, int descriptors, enum role from, enum role to,
	       struct ipc_frame *frame)
{
	struct reader r = reader_of(packet);
	enum ipc_type type = (enum ipc_type)reader_u16(&r);
	uint16_t zero = reader_u16(&r);
	uint64_t id = reader_u64(&r);

	if (r.is_bad || zero != 0 || !is_permitted(type, from, to) ||
	    r.n > types[type].largest || descriptors > types[type].descriptors)
		return false;
	frame->type = type;
	frame->id = id;
	frame->body = r;
	return true;
}

/* Receives one packet into `packet` (IPC_PACKET_MAX bytes). Returns its length, 0 at the end, -1 with
 * errno; *fd is the first descriptor or -1, *descriptors how many came (the others are closed). */
static ssize_t receive(int socket, char *packet, int *fd, int *descriptors)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct iovec iov = {packet, IPC_PACKET_MAX};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1,
			     .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
	ssize_t got = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);

	*fd = -1;
	*descriptors = 0;
	if (got < 0)
		return got;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c != NULL; c = CMSG_NXTHDR(&msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int one;

			memcpy(&one, CMSG_DATA(c) + i * sizeof(int), sizeof(one));
			if ((*descriptors)++ == 0)
				*fd = one;
			else
				close(one);
		}
	}
	if (got == 0) /* as at the end; but an empty packet may bring a descriptor */
		fd_close(fd);
	if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		fd_close(fd);
		errno = EMSGSIZE;
		return -1;
	}
	return got;
}

/* Sends one packet. True when the socket took it; else errno. */
static bool transmit(int socket, const char *packet, size_t n, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {(char *)(uintptr_t)packet, n};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t sent;

	if (fd >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		memset(&control, 0, sizeof(control));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	}
	do {
		sent = sendmsg(socket, &msg, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	return sent >= 0;
}

static void release(void *ctx)
{
	struct ipc_peer *peer = ctx;

	free(peer);
}

static void drop_one(struct waiting *w)
{
	fd_close(&w->fd);
	if (w->is_secret)
		mem_wipe(w->bytes, w->n);
	free(w);
}

static void drop_waiting(struct ipc_peer *peer)
{
	while (peer->first != NULL) {
		struct waiting *w = peer->first;

		peer->first = w->next;
		drop_one(w);
	}
	peer->last = &peer->first;
	peer->backlog = 0;
}

void ipc_peer_free(struct ipc_peer **peer)
{
	struct ipc_peer *p = *peer;

	*peer = NULL;
	if (p == NULL || p->is_freed)
		return;
	p->is_freed = true;
	p->is_closed = true;
	loop_fd_free(&p->watch);
	fd_close(&p->fd);
	drop_waiting(p);
	loop_later(p->loop, release, p);
}

static void tell_closed(void *ctx)
{
	struct ipc_peer *peer = ctx;

	if (peer->is_freed || peer->is_told)
		return;
	peer->is_told = true;
	peer->events->on_close(peer->ctx, peer, peer->why);
}

/* Ends the connection; the owner hears of it at the end of the turn, never inside its own call. */
static void cut(struct ipc_peer *peer, const char *why)
{
	if (peer->is_closed)
		return;
	peer->is_closed = true;
	peer->why = why;
	loop_fd_want(peer->watch, 0);
	drop_waiting(peer);
	loop_later(peer->loop, tell_closed, peer);
}

/* Nothing more can be sent. A peer that died may have said something that was not read yet, and that nobody will say
 * again: reading comes to its end. */
static void stop_sending(struct ipc_peer *peer)
{
	if (errno != EPIPE && errno != ECONNRESET) {
		cut(peer, strerror(errno));
		return;
	}
	peer->is_deaf = true;
	drop_waiting(peer);
	loop_fd_want(peer->watch, LOOP_READ);
}

static void flush_waiting(struct ipc_peer *peer)
{
	while (peer->first != NULL) {
		struct waiting *w = peer->first;

		if (!transmit(peer->fd, w->bytes, w->n, w->fd)) {
			if (errno != EAGAIN)
				stop_sending(peer);
			return;
		}
		peer->first = w->next;
		if (peer->first == NULL)
			peer->last = &peer->first;
		peer->backlog -= w->n;
		drop_one(w);
	}
	loop_fd_want(peer->watch, LOOP_READ);
}

static void read_frames(struct ipc_peer *peer, int most)
{
	static char packet[IPC_PACKET_MAX];

	for (int i = 0; i < most && !peer->is_closed; i++) {
		struct ipc_frame frame = {.fd = -1};
		int descriptors;
		ssize_t got = receive(peer->fd, packet, &frame.fd, &descriptors);

		/* Said once when it died with something unread; what it had sent comes after that. */
		if (got < 0 && errno == ECONNRESET)
			continue;
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (got <= 0) {
			cut(peer, got == 0 ? NULL : strerror(errno));
			return;
		}
		if (!ipc_parse(str_bytes(packet, (size_t)got), descriptors, peer->peer, peer->self,
			       &frame) ||
		    !peer->events->on_frame(peer->ctx, peer, &frame)) {
			log_error(NULL, "ipc.breach", log_text("peer", role_name(peer->peer)),
				  log_uint("slot", peer->slot),
				  log_text("type", frame.type < IPC_COUNT ? ipc_type_name(frame.type)
									  : "?"),
				  log_int("bytes", got));
			cut(peer, "it broke the protocol");
		}
		if (is_secret(frame.type))
			mem_wipe(packet, (size_t)got);
		fd_close(&frame.fd);
	}
}

static void on_socket(void *ctx, unsigned events)
{
	struct ipc_peer *peer = ctx;

	if (events & LOOP_WRITE)
		flush_waiting(peer);
	if ((events & LOOP_READ) && !peer->is_closed)
		read_frames(peer, IPC_FRAMES_A_TURN);
}

struct ipc_peer *ipc_peer_new(struct loop *loop, int fd, enum role self, enum role peer,
			      unsigned slot, const struct ipc_events *events, void *ctx)
{
	struct ipc_peer *p = mem_zero(sizeof(*p));

	p->fd = fd;
	p->self = self;
	p->peer = peer;
	p->slot = slot;
	p->events = events;
	p->ctx = ctx;
	p->loop = loop;
	p->last = &p->first;
	fd_set_nonblocking(fd);
	p->watch = loop_fd_new(loop, fd, on_socket, p);
	loop_fd_want(p->watch, LOOP_READ);
	return p;
}

void ipc_peer_read(struct ipc_peer *peer)
{
	if (!peer->is_closed)
		read_frames(peer, INT_MAX);
}

unsigned ipc_peer_slot(const struct ipc_peer *peer)
{
	return peer->slot;
}

size_t ipc_backlog(const struct ipc_peer *peer)
{
	return peer->is_closed || peer->is_deaf ? SIZE_MAX : peer->backlog;
}

static void keep_waiting(struct ipc_peer *peer, const char *packet, size_t n, int fd, bool is_secret)
{
	struct waiting *w = mem_grow(NULL, sizeof(*w) + n);

	w->next = NULL;
	w->n = n;
	w->fd = -1;
	w->is_secret = is_secret;
	if (fd >= 0) {
		w->fd = dup(fd);
		if (w->fd < 0)
			die("dup: %s", strerror(errno));
		fd_set_cloexec(w->fd, true);
	}
	memcpy(w->bytes, packet, n);
	*peer->last = w;
	peer->last = &w->next;
	peer->backlog += n;
	loop_fd_want(peer->watch, LOOP_READ | LOOP_WRITE);
}

static bool send_packet(struct ipc_peer *peer, const struct buf *packet, int fd, bool is_secret)
{
	if (peer->first == NULL) {
		if (transmit(peer->fd, packet->p, packet->n, fd))
			return true;
		if (errno != EAGAIN) {
			stop_sending(peer);
			return false;
		}
	}
	if (peer->backlog + packet->n > IPC_BACKLOG_MAX) {
		cut(peer, "it takes nothing");
		return false;
	}
	keep_waiting(peer, packet->p, packet->n, fd, is_secret);
	return true;
}

bool ipc_send(struct ipc_peer *peer, enum ipc_type type, uint64_t id, struct str body, int fd)
{
	static char bytes[IPC_PACKET_MAX];
	struct buf packet = {.p = bytes, .size = sizeof(bytes), .max = sizeof(bytes)};
	bool ok;

	must(is_permitted(type, peer->self, peer->peer));
	must(body.n <= types[type].largest);
	must(fd < 0 || types[type].descriptors > 0);
	if (peer->is_closed || peer->is_deaf)
		return false;
	buf_put_u16(&packet, (uint16_t)type);
	buf_put_u16(&packet, 0);
	buf_put_u64(&packet, id);
	buf_put_str(&packet, body);
	ok = send_packet(peer, &packet, fd, is_secret(type));
	if (is_secret(type))
		mem_wipe(bytes, packet.n);
	return ok;
}

bool ipc_read(int fd, enum role self, enum role peer, struct ipc_frame *frame, struct buf *body)
{
	char *packet = mem_grow(NULL, IPC_PACKET_MAX);
	int descriptors;
	ssize_t got;
	bool ok;

	do {
		got = receive(fd, packet, &frame->fd, &descriptors);
	} while (got < 0 && errno == EINTR);
	ok = got > 0 && ipc_parse(str_bytes(packet, (size_t)got), descriptors, peer, self, frame);
	if (ok) {
		buf_reset(body);
		ok = buf_put(body, frame->body.p, frame->body.n);
		frame->body = reader_of(buf_str(body));
	}
	if (!ok)
		fd_close(&frame->fd);
	mem_wipe(packet, IPC_PACKET_MAX); /* settings hold secrets */
	free(packet);
	return ok;
}
