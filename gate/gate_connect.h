/* SPDX-License-Identifier: Apache-2.0
 *
 * CONNECT and DISCONNECT: how many connections there are, and from whom none is taken.
 */
#ifndef GATE_GATE_CONNECT_H
#define GATE_GATE_CONNECT_H

#include "gate/gate_peer.h"

/* Answers CONNECT_RESULT, now or later; nothing for one that was inside already. */
void gate_connect(struct gate_peer *peer, uint64_t id, const struct ipc_connect *connect);
void gate_connect_end(struct gate_peer *peer, const struct ipc_connect *connect);
/* The peer is lost, and all that it had. */
void gate_connect_end_all(struct gate_peer *peer);

#endif
