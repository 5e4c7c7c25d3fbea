/* SPDX-License-Identifier: Apache-2.0
 *
 * What systemd wants to hear (sd_notify(3)), said by hand: a datagram to $NOTIFY_SOCKET. Without that
 * variable nothing is said.
 */
#ifndef MASTER_MASTER_NOTIFY_H
#define MASTER_MASTER_NOTIFY_H

#include <stdint.h>

#include "lib/base/str.h"
#include "lib/net/loop.h"

void master_notify_ready(void);
void master_notify_reloading(void);
void master_notify_stopping(void);
/* A line for people, in the status of the unit; empty: none. */
void master_notify_status(struct str text);
/* systemd keeps a copy of the descriptor for the next process of this unit, until it is told to forget all of that
 * name. */
void master_notify_store(int fd, const char *name);
void master_notify_unstore(const char *name);
/* Pats the watchdog at half of $WATCHDOG_USEC, when that is set for this process, until master_notify_end(), which
 * comes before the end of the loop. */
void master_notify_watchdog(struct loop *loop);
void master_notify_end(void);

/* Pure: what the watchdog's two variables ask for; microseconds between two pats, 0 for none. Either may be
 * NULL. `pid` is ours. */
int64_t master_notify_interval(const char *usec, const char *watchdog_pid, int64_t pid);

#endif
