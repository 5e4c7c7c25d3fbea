/* SPDX-License-Identifier: Apache-2.0
 *
 * The agent's conversation with qmgr: what it still holds first, then jobs in and outcomes out.
 */
#ifndef DELIVER_LINK_H
#define DELIVER_LINK_H

#include <stdbool.h>

#include "deliver/deliver_job.h"
#include "lib/ipc/ipc.h"

struct deliver_link;

/* The pool's on_outcome and ctx are set here. It and the journal in it live longer than the link. */
struct deliver_link *deliver_link_new(struct loop *loop, struct deliver_job_pool *pool);
void deliver_link_free(struct deliver_link **link);

/* qmgr is (again) there: tells it what runs, what came of the rest, and how many places there are. */
void deliver_link_connect(struct deliver_link *link, unsigned slot, int fd);
bool deliver_link_is_connected(const struct deliver_link *link);
/* qmgr has been away for longer than master takes to start it, or to make the connection anew. */
bool deliver_link_is_lost(const struct deliver_link *link, int64_t mono);
/* How many jobs at a time; 0: no more. Said to qmgr when it changes. */
void deliver_link_set_places(struct deliver_link *link, unsigned places);

#endif
