/* SPDX-License-Identifier: Apache-2.0
 *
 * One client: its connection joined to its dialogue (smtpd_proto.c), with deadlines, questions to gate and qmgr,
 * and its lines in the log.
 */
#ifndef SMTPD_SMTPD_SESSION_H
#define SMTPD_SMTPD_SESSION_H

#include "smtpd/smtpd_worker.h"

/* Begins a session with one who was let in; takes over the socket. */
void smtpd_session_start(struct smtpd_worker *worker, const struct smtpd_guest *guest);
/* What the worker's gate and queue call. */
void smtpd_session_authenticated(void *session, const struct ipc_auth_result *result);
void smtpd_session_may_send(void *session, const struct ipc_may_send_result *result, bool is_counted);
void smtpd_session_may_receive(void *session, enum ipc_may_receive_verdict verdict);
void smtpd_session_submitted(void *session, const struct ipc_submit_result *result);
/* Tells a new gate who is in; `worker` is a struct smtpd_worker. */
void smtpd_session_tell_gate(void *worker);
/* The worker drains: a session ends after its next reply, or with its message. */
void smtpd_session_drain_all(struct smtpd_worker *worker);
/* Ends every session with a last word, but those that wait for gate's or the queue's answer. */
void smtpd_session_end_all(struct smtpd_worker *worker);
/* Ends every session at once. */
void smtpd_session_free_all(struct smtpd_worker *worker);

#endif
