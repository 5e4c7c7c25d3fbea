/* SPDX-License-Identifier: Apache-2.0
 *
 * Both tables are bounded by what is outside: the connections of a host, the users there are.
 */
#include "gate/gate_peer.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/mem.h"

enum { MOST_ADDRESSES = 1 << 20, MOST_IDENTITIES = 1 << 20, IDS_TEXT = 2 * UUID_TEXT };

struct gate_peer *gate_peer_new(struct gate *gate)
{
	struct gate_peer *peer = mem_zero(sizeof(*peer));

	peer->gate = gate;
	peer->refs = 1;
	peer->connections = gate_table_new(sizeof(struct gate_inside), MOST_ADDRESSES);
	peer->identities = gate_table_new(sizeof(struct gate_told), MOST_IDENTITIES);
	peer->next = gate->peers;
	gate->peers = peer;
	return peer;
}

static void forget_identity(void *ctx, void *entry)
{
	struct gate_told *told = entry;

	(void)ctx;
	gate_identity_release(&told->identity);
}

void gate_peer_drop(struct gate_peer *peer)
{
	struct gate_peer **at = &peer->gate->peers;

	while (*at != peer)
		at = &(*at)->next;
	*at = peer->next;
	gate_table_free(&peer->connections);
	gate_table_walk(peer->identities, forget_identity, NULL);
	gate_table_free(&peer->identities);
	ipc_peer_free(&peer->ipc);
	gate_peer_release(peer);
}

struct gate_peer *gate_peer_hold(struct gate_peer *peer)
{
	peer->refs++;
	return peer;
}

void gate_peer_release(struct gate_peer *peer)
{
	if (--peer->refs == 0)
		free(peer);
}

static void name_ids(const struct uuid *tenant, const struct uuid *user, char out[IDS_TEXT])
{
	uuid_format(tenant, out);
	out[UUID_TEXT - 1] = '/';
	uuid_format(user, out + UUID_TEXT);
}

struct gate_told *gate_peer_find(struct gate_peer *peer, const struct uuid *tenant, const struct uuid *user)
{
	char ids[IDS_TEXT];

	name_ids(tenant, user, ids);
	return gate_table_find(peer->identities, ids, 0);
}

void gate_peer_tell(struct gate_peer *peer, struct gate_identity *identity)
{
	char ids[IDS_TEXT];
	struct gate_told *told;

	name_ids(&identity->tenant, &identity->user, ids);
	told = gate_table_find(peer->identities, ids, 0);
	if (told == NULL)
		told = gate_table_add(peer->identities, ids, 0);
	if (told == NULL)
		return;
	gate_identity_hold(identity);
	gate_identity_release(&told->identity);
	told->identity = identity;
	told->generation = identity->generation;
}

void gate_peer_answer(struct gate_peer *peer, enum ipc_type type, uint64_t id, unsigned verdict)
{
	struct buf body = BUF_MAX(16);

	if (peer->ipc == NULL)
		return;
	ipc_put_verdict(&body, verdict);
	ipc_send(peer->ipc, type, id, buf_str(&body), -1);
	buf_clear(&body);
}
