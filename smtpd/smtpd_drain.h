/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of a worker's service: sessions between messages are sent away, those inside one may finish it, and after
 * some time (smtpd.drain_time, or in an upgrade smtpd.upgrade_time) what is left is cut.
 */
#ifndef SMTPD_SMTPD_DRAIN_H
#define SMTPD_SMTPD_DRAIN_H

#include "smtpd/smtpd_worker.h"

/* The listeners are closed. worker->on_empty() is called when no session is left, perhaps before this returns. */
void smtpd_drain_begin(struct smtpd_worker *worker, int64_t time);
/* A session has ended. */
void smtpd_drain_look(struct smtpd_worker *worker);

#endif
