/* SPDX-License-Identifier: Apache-2.0
 *
 * Parts of messages: which recipients a part has, what its JOB says, and making several parts of one when its recipients do not
 * go by one call (sql/0005_parts.sql says how parts are numbered).
 */
#ifndef QMGR_QMGR_PART_H
#define QMGR_QMGR_PART_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/ipc/ipc_body.h"

struct pg_params;
struct qmgr;
struct qmgr_body;
struct qmgr_message;
struct qmgr_part_split;

struct qmgr_part_splits {
	struct qmgr_part_split *first, *last; /* under way, and behind them such as wait for that */
	unsigned n_running;
};

/* Lists of recipients, as indices into the message's, ascending: as Postgres writes and reads a smallint[] ("{0,3}"). */
void qmgr_part_put_list(struct buf *out, const uint16_t *list, unsigned n);
/* ... as a parameter of a statement, or an element of one; NULL: null, for all recipients. */
void qmgr_part_put_param(struct pg_params *p, const uint16_t *list, unsigned n);
/* Into list[IPC_RECIPIENTS_MAX]. 0: empty, or not such a list. */
unsigned qmgr_part_get_list(struct str text, uint16_t *list);

/* As struct ipc_job has it. */
void qmgr_part_put_whom(struct buf *out, const struct qmgr_message *m);
/* Its recipients; n 0: all of the message's. */
void qmgr_part_set(struct qmgr_message *m, const uint16_t *list, unsigned n);
/* The index in the message of the part's recipient i. */
unsigned qmgr_part_index(const struct qmgr_message *m, unsigned i);
/* The message in `body`, with the part's recipients only (none: they are not the message's). Its delivery status parameters are in `dsn` when they had to be
 * counted anew (NULL: nobody wants them). recipients[IPC_RECIPIENTS_MAX] is the caller's. */
struct ipc_message qmgr_part_read(const struct qmgr_message *m, const struct qmgr_body *body, struct str *recipients,
				  struct buf *dsn);
/* ipc_message.dsn for these recipients. Pure. */
void qmgr_part_dsn(struct buf *out, struct str dsn, const uint16_t *list, unsigned n);

/* Makes parts of a message of the queue that is not with an agent: its recipient i (of n, all of the part's) goes into part
 * group[i]. Nothing of it is sent before that is committed; then its parts are scheduled. False: they are all of one group. */
bool qmgr_part_split(struct qmgr *q, struct qmgr_message *m, const unsigned *group, unsigned n);
/* So many recipients in each, in their order. */
bool qmgr_part_split_evenly(struct qmgr *q, struct qmgr_message *m, unsigned n, unsigned each);
void qmgr_part_clear(struct qmgr *q);

#endif
