/* SPDX-License-Identifier: Apache-2.0
 *
 * MAY_SEND and NOT_SENT: how many mails an address, a user and a tenant send.
 */
#ifndef GATE_GATE_MAIL_H
#define GATE_GATE_MAIL_H

#include "gate/gate_peer.h"

/* Answers MAY_SEND_RESULT, now or later. */
void gate_mail_may_send(struct gate_peer *peer, uint64_t id, const struct ipc_may_send *mail);
void gate_mail_not_sent(struct gate_peer *peer, const struct ipc_may_send *mail);

#endif
