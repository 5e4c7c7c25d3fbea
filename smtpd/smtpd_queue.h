/* SPDX-License-Identifier: Apache-2.0
 *
 * Handing messages to qmgr. A message is kept until qmgr has said that it is stored, or what the provider said; when
 * qmgr dies meanwhile, the next one gets it again under the same id, and stores or sends it once.
 */
#ifndef SMTPD_SMTPD_QUEUE_H
#define SMTPD_SMTPD_QUEUE_H

#include "lib/ipc/ipc_body.h"
#include "lib/net/loop.h"

struct smtpd_queue;

typedef void smtpd_queue_fn(void *asker, const struct ipc_submit_result *result);

struct smtpd_queue *smtpd_queue_new(struct loop *loop, smtpd_queue_fn *on_answer);
/* *flag says from now on whether qmgr has said that too many messages wait. */
void smtpd_queue_show_full(struct smtpd_queue *queue, bool *flag);
void smtpd_queue_free(struct smtpd_queue **queue);
/* Takes over the socket to a (new) qmgr process. */
void smtpd_queue_connect(struct smtpd_queue *queue, unsigned slot, int fd);
/* on_answer(asker, ...) is called later: within `timeout` microseconds. fd is taken over: the content of a
 * message that is too large for the frame, or -1. False: it cannot be said in a frame, nothing was taken. */
bool smtpd_queue_submit(struct smtpd_queue *queue, const struct ipc_message *message, int fd, int64_t timeout,
			void *asker);
/* The asker is gone: its answer goes nowhere, and the message is not sent again. */
void smtpd_queue_forget(struct smtpd_queue *queue, const void *asker);

#endif
