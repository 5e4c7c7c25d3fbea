/* SPDX-License-Identifier: Apache-2.0
 *
 * One client: its connection joined to its dialogue (smtpd_proto.c), with deadlines, questions to gate and qmgr,
 * and its lines in the log. And what all sessions of this worker have in common.
 */
#ifndef SMTPD_SMTPD_SESSION_H
#define SMTPD_SMTPD_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/net/loop.h"
#include "lib/net/tls.h"
#include "lib/settings/settings.h"
#include "smtpd/smtpd_gate.h"
#include "smtpd/smtpd_proto.h"
#include "smtpd/smtpd_queue.h"

struct smtpd_session;

struct smtpd_worker {
	struct loop *loop;
	const struct settings *settings;
	struct smtpd_rules rules;
	struct tls_server *tls; /* NULL: there is no certificate (yet) */
	struct smtpd_gate *gate;
	struct smtpd_queue *queue;
	struct smtpd_session *sessions;
	size_t n_sessions;
	bool is_draining;
	/* The last session of a draining worker has ended. */
	void (*on_empty)(void *ctx);
	void *ctx;
};

/* Begins a session on an accepted socket, which it takes over. `client` is the other side's address,
 * `listener` the index in the settings of the one that it came by. */
void smtpd_session_start(struct smtpd_worker *worker, int fd, const char *client, unsigned listener);
/* What the worker's gate and queue call. */
void smtpd_session_authenticated(void *session, const struct ipc_auth_result *result);
void smtpd_session_submitted(void *session, const struct ipc_submit_result *result);
/* Ends every session as soon as no message is under way in it. */
void smtpd_session_drain_all(struct smtpd_worker *worker);
/* Ends every session at once; for the end of a process. */
void smtpd_session_free_all(struct smtpd_worker *worker);

#endif
