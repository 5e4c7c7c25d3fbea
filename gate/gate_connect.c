/* SPDX-License-Identifier: Apache-2.0
 *
 * The host's connections are a number of our own; those of an address are a level in the store, which other hosts may
 * share. A connection takes its place among the host's before the store answers, so that no more come in than may.
 */
#include "gate/gate_connect.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/service/metrics.h"

struct connecting {
	struct gate_peer *peer;
	uint64_t id;
	struct gate_address address;
};

static struct gate_take take_of(const char *key, int64_t limit)
{
	struct gate_take take = {.limit = limit > 0 ? limit : INT64_MAX};

	snprintf(take.key, sizeof(take.key), "connections:%.*s", NETWORK_KEY, key);
	return take;
}

static void enter(struct gate_peer *peer, const struct gate_address *address)
{
	int64_t kind = address->is_allowed ? GATE_PEER_ALLOWED : GATE_PEER_LIMITED;
	struct gate_inside *inside = gate_table_find(peer->connections, address->key, kind);

	if (inside == NULL)
		inside = gate_table_add(peer->connections, address->key, kind);
	if (inside != NULL)
		inside->n++;
}

/* Ends it. */
static void answer(struct connecting *c, enum ipc_connect_verdict verdict)
{
	static const char *const why[] = {[IPC_CONNECT_FULL] = "the host's connections",
					  [IPC_CONNECT_TOO_MANY] = "the address's connections",
					  [IPC_CONNECT_BANNED] = "banned"};
	struct gate *gate = c->peer->gate;

	if (verdict == IPC_CONNECT_OK) {
		enter(c->peer, &c->address);
	} else {
		metrics_add(METRIC_LIMITED, 1);
		log_debug(NULL, "gate.connection.refused", log_text("client", c->address.key),
			  log_text("why", why[verdict]));
		if (verdict != IPC_CONNECT_FULL)
			gate->connections--;
	}
	gate_peer_answer(c->peer, IPC_CONNECT_RESULT, c->id, verdict);
	gate_peer_release(c->peer);
	free(c);
}

static void on_taken(void *ctx, int full)
{
	struct connecting *c = ctx;
	struct gate_take take = take_of(c->address.key, 0);

	if (c->peer->ipc != NULL) {
		answer(c, full == GATE_STORE_NONE ? IPC_CONNECT_OK : IPC_CONNECT_TOO_MANY);
		return;
	}
	/* It went while it waited. */
	if (full == GATE_STORE_NONE)
		gate_store_give(c->peer->gate->store, &take, 1);
	c->peer->gate->connections--;
	gate_peer_release(c->peer);
	free(c);
}

static void on_ban(void *ctx, const struct gate_ban *ban)
{
	struct connecting *c = ctx;
	struct gate *gate = c->peer->gate;
	struct gate_take take;

	if (ban != NULL) {
		answer(c, IPC_CONNECT_BANNED);
		return;
	}
	take = take_of(c->address.key, gate->settings->limits.connections_per_address);
	gate_store_take(gate->store, &take, 1, on_taken, c);
}

static void take_in(struct gate_peer *peer, const struct gate_address *address)
{
	struct gate_take take = take_of(address->key, 0);

	peer->gate->connections++;
	peer->inherited++;
	enter(peer, address);
	if (!address->is_allowed)
		gate_store_count(peer->gate->store, &take, 1);
}

void gate_connect(struct gate_peer *peer, uint64_t id, const struct ipc_connect *connect)
{
	struct gate *gate = peer->gate;
	struct gate_address address = gate_address(gate, connect->client);
	struct connecting *c;

	if (connect->is_inside) {
		take_in(peer, &address);
		return;
	}
	c = mem_zero(sizeof(*c));
	*c = (struct connecting){gate_peer_hold(peer), id, address};
	if (gate->connections >= gate->settings->limits.connections) {
		answer(c, IPC_CONNECT_FULL);
		return;
	}
	gate->connections++;
	if (address.is_allowed)
		answer(c, IPC_CONNECT_OK);
	else
		gate_store_find_ban(gate->store, address.key, on_ban, c);
}

static void end(struct gate_peer *peer, struct gate_inside *inside, int64_t n)
{
	struct gate_take take = take_of(inside->entry.key, 0);

	peer->gate->connections -= n;
	inside->n -= n;
	if (inside->entry.kind == GATE_PEER_LIMITED)
		for (int64_t i = 0; i < n; i++)
			gate_store_give(peer->gate->store, &take, 1);
	if (inside->n == 0)
		gate_table_remove(peer->connections, inside);
}

void gate_connect_end(struct gate_peer *peer, const struct ipc_connect *connect)
{
	struct gate_address address = gate_address(peer->gate, connect->client);
	struct gate_inside *inside = gate_table_find(peer->connections, address.key, GATE_PEER_LIMITED);

	/* limits.allow may have changed meanwhile. */
	if (inside == NULL || address.is_allowed) {
		struct gate_inside *other = gate_table_find(peer->connections, address.key, GATE_PEER_ALLOWED);

		inside = other != NULL ? other : inside;
	}
	if (inside != NULL)
		end(peer, inside, 1);
}

static void end_one_address(void *ctx, void *entry)
{
	struct gate_inside *inside = entry;

	end(ctx, inside, inside->n);
}

void gate_connect_end_all(struct gate_peer *peer)
{
	gate_table_walk(peer->connections, end_one_address, peer);
}
