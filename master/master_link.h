/* SPDX-License-Identifier: Apache-2.0
 *
 * Who talks to whom: a socket pair for each two children that have business with each other, made when one of
 * them starts, and made again when both live and it was cut (a breach of the protocol, no memory or descriptors).
 */
#ifndef MASTER_MASTER_LINK_H
#define MASTER_MASTER_LINK_H

#include "lib/base/clock.h"
#include "master/master_children.h"

/* One link is made at most so often: two that cannot agree must not eat the machine. */
#define MASTER_LINK_EVERY (1 * CLOCK_SECOND)
/* A link that was cut because the other side dies is made by its restart; we hear of its death in this time. */
#define MASTER_LINK_SETTLE (100 * CLOCK_MS)

struct master_links;

/* For these children, whose roles and slots are set. They are borrowed. */
struct master_links *master_link_new(struct loop *loop, struct master_child *child, size_t n);
void master_link_free(struct master_links **links);
/* A fresh link between a child that was just started and each that runs and has business with it. */
void master_link_introduce(struct master_links *links, const struct master_child *child);
/* `child` said PEER_LOST. False: it names one that it has no business with. */
bool master_link_lost(struct master_links *links, const struct master_child *child, struct reader *body);
/* How long to wait from now before a link that was made at made_at is made again. */
int64_t master_link_delay(int64_t made_at, int64_t now);

#endif
