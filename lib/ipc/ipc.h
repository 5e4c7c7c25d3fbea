/* SPDX-License-Identifier: Apache-2.0
 *
 * Talk between our processes: frames over a SOCK_SEQPACKET UNIX socket pair, so that one packet is one
 * frame and a descriptor belongs to its frame. What may be said is in ipc.def; a peer that says
 * anything else is cut off.
 */
#ifndef LIB_IPC_IPC_H
#define LIB_IPC_IPC_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/net/loop.h"

enum role {
#define ROLE(constant, name) ROLE_##constant,
#include "lib/ipc/role.def"
#undef ROLE
	ROLE_COUNT,
	ROLE_CHILD = ROLE_COUNT /* in ipc.def: any role but MASTER */
};

enum ipc_type {
	IPC_NONE,
#define IPC(name, from, to, largest, descriptors) IPC_##name,
#include "lib/ipc/ipc.def"
#undef IPC
	IPC_COUNT
};

enum { IPC_BODY_MAX = 196608, IPC_HEAD = 12 };

struct ipc_frame {
	enum ipc_type type;
	uint64_t id;	    /* the asker's number; an answer repeats it */
	struct reader body; /* borrowed for the callback */
	int fd;		    /* -1, or a descriptor: set it to -1 to keep it, else it is closed */
};

struct ipc_peer;

struct ipc_events {
	/* A permitted frame. False: it made no sense, the peer is cut off. */
	bool (*on_frame)(void *ctx, struct ipc_peer *peer, struct ipc_frame *frame);
	/* The peer is gone (`why` says how; NULL for a plain end). Called once; the callee may call
	 * ipc_peer_free() in it. */
	void (*on_close)(void *ctx, struct ipc_peer *peer, const char *why);
};

const char *role_name(enum role role);
const char *ipc_type_name(enum ipc_type type);

/* Both ends of a new connection, close-on-exec and non-blocking. */
void ipc_pair(int fds[2]);

/* Takes over fd, whose other end is process `slot` of role `peer`; `self` is who we are. `events` and
 * ctx are borrowed for the life of the peer. */
struct ipc_peer *ipc_peer_new(struct loop *loop, int fd, enum role self, enum role peer,
			      unsigned slot, const struct ipc_events *events, void *ctx);
void ipc_peer_free(struct ipc_peer **peer);
/* Takes now what the other side has sent, down to its end: before a connection is replaced by another. */
void ipc_peer_read(struct ipc_peer *peer);
unsigned ipc_peer_slot(const struct ipc_peer *peer);

/* Sends a frame; fd (or -1) stays the caller's. What the socket does not take now is kept and sent
 * later, in order. False when the connection is gone: on_close has been, or will be, called. Sending
 * what ipc.def does not permit is a bug. */
bool ipc_send(struct ipc_peer *peer, enum ipc_type type, uint64_t id, struct str body, int fd);
/* Bytes that wait to be sent; SIZE_MAX when the connection is gone, and they with it. */
size_t ipc_backlog(const struct ipc_peer *peer);

/* Reads one frame from a blocking descriptor: for a child's first words with master, before its loop
 * turns. The body is put into `body`. False at the end or on a frame that is not permitted. */
bool ipc_read(int fd, enum role self, enum role peer, struct ipc_frame *frame, struct buf *body);

/* Checks a packet's head against ipc.def and sets type, id and body. Pure: what the fuzzer drives. */
bool ipc_parse(struct str packet, int descriptors, enum role from, enum role to,
	       struct ipc_frame *frame);

#endif
