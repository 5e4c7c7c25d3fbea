/* SPDX-License-Identifier: Apache-2.0
 *
 * MAY_RECEIVE: does a tenant suppress this recipient, or its domain? What the database says is good for some seconds.
 */
#ifndef GATE_GATE_RECIPIENT_H
#define GATE_GATE_RECIPIENT_H

#include "gate/gate_peer.h"

struct gate_recipients;

struct gate_recipients *gate_recipients_new(struct gate *gate);
void gate_recipients_free(struct gate_recipients **recipients);
/* Answers MAY_RECEIVE_RESULT, now or later. */
void gate_recipient_may_receive(struct gate_peer *peer, uint64_t id, const struct ipc_may_receive *question);

#endif
