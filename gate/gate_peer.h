/* SPDX-License-Identifier: Apache-2.0
 *
 * A smtpd that asks: the connections it was allowed, by address, and the identities it was told of.
 */
#ifndef GATE_GATE_PEER_H
#define GATE_GATE_PEER_H

#include "gate/gate.h"
#include "gate/gate_identity.h"
#include "gate/gate_table.h"

/* Connections of one address. Those of limits.allow are counted apart (the entry's kind): they took no level. */
enum { GATE_PEER_LIMITED, GATE_PEER_ALLOWED };
struct gate_inside {
	struct gate_entry entry;
	int64_t n;
};

/* Somebody who logged in there. */
struct gate_told {
	struct gate_entry entry;
	struct gate_identity *identity;
	int64_t generation;		/* of changes, when it was asked last */
	bool is_asking;
};

struct gate_peer {
	struct gate_peer *next;
	struct gate *gate;
	struct ipc_peer *ipc; /* NULL: it is gone, and only still held */
	unsigned refs;
	struct gate_table *connections, *identities;
	/* Connections that it brought from an earlier gate and whose identity was not asked for yet. */
	int64_t inherited;
};

/* Puts it into the gate's list; the caller sets ipc. */
struct gate_peer *gate_peer_new(struct gate *gate);
/* It is gone: out of the list, its tables with it. It lives on while it is held. */
void gate_peer_drop(struct gate_peer *peer);
/* For whoever waits for an answer meanwhile. */
struct gate_peer *gate_peer_hold(struct gate_peer *peer);
void gate_peer_release(struct gate_peer *peer);

/* The one told with these ids, or NULL. */
struct gate_told *gate_peer_find(struct gate_peer *peer, const struct uuid *tenant, const struct uuid *user);
/* Remembers it, in place of an older one with the same ids. */
void gate_peer_tell(struct gate_peer *peer, struct gate_identity *identity);

/* A verdict of one octet; nothing when the peer is gone. */
void gate_peer_answer(struct gate_peer *peer, enum ipc_type type, uint64_t id, unsigned verdict);

#endif
