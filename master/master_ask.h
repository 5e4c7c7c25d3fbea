/* SPDX-License-Identifier: Apache-2.0
 *
 * An operator's question to the children ("ban list"): who is asked, and their answers gathered. What they
 * answer is not looked into: it is passed on as one JSON string each.
 */
#ifndef MASTER_MASTER_ASK_H
#define MASTER_MASTER_ASK_H

#include "lib/base/buf.h"
#include "lib/ipc/ipc.h"
#include "master/master.h"

enum {
	MASTER_ASK_LINE = 1000,		     /* octets of a question: an ASK frame of ipc.def has room for it */
	MASTER_ASK_ANSWERS = 4 * 1024 * 1024, /* of all answers together; one that is too much counts as none */
};

struct master_ask;
struct master_child;

/* Asks the children that the line's first word concerns. on_done is called once, later: when all have answered or
 * ended, or when their time is over. NULL: the word concerns nobody. */
struct master_ask *master_ask_new(struct master *master, struct str line, void (*on_done)(void *ctx),
				  void *ctx);
void master_ask_free(struct master_ask **ask);
/* {"answers":[{"role":"gate","slot":0,"answer":"..."},...]}; null for a child that did not answer. */
void master_ask_render(const struct master_ask *ask, struct buf *out);

/* A child said TELL: what belongs to no question (any more) is dropped. */
void master_ask_tell(struct master *master, const struct master_child *child, const struct ipc_frame *frame);
/* A child has ended: it will not answer. */
void master_ask_gone(struct master *master, const struct master_child *child);

#endif
