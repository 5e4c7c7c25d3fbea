/* SPDX-License-Identifier: Apache-2.0
 *
 * The messages that this process has in hand: those that are due soon, are being sent, or whose outcome
 * is not recorded yet. Everything else is in the table only. What is in here is never loaded a second
 * time, so nothing is sent twice at a time.
 */
#ifndef QMGR_QMGR_MESSAGE_H
#define QMGR_QMGR_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/uuid.h"
#include "lib/ipc/ipc_body.h"
#include "qmgr/qmgr_route.h"
#include "qmgr/qmgr_schedule.h"

struct qmgr;
struct qmgr_call;
struct qmgr_job;
struct qmgr_outcome;
struct qmgr_tenant;

/* What is not in the queue is in no shard. */
enum { QMGR_SHARDS = 64, QMGR_NO_SHARD = QMGR_SHARDS };

enum qmgr_state {
	QMGR_SCHEDULED,	/* in the schedule: waits for its time or its turn */
	QMGR_TAKEN,	/* has a job: its body is being read, or it is with an agent */
	QMGR_RECORDING,	/* its outcome is known and not yet committed, or (with a call) to be remembered */
	QMGR_GONE,	/* done, but a scan that runs may still show its row */
};

/* What SUBMIT said, as bytes (ipc_put_message); a large message's content is a sealed file beside it. */
struct qmgr_body {
	unsigned holders; /* parts in memory that have it */
	size_t n;
	size_t file_size;
	int fd; /* -1: the content is in the bytes */
	char bytes[];
};

/* A part of a message, mostly all of it. */
struct qmgr_message {
	struct uuid id;
	struct qmgr_message *hash_next;
	struct qmgr_message *next, *previous; /* of its shard */
	struct qmgr_tenant *tenant; /* NULL: known only from an agent, its row was not seen yet */
	struct qmgr_body *body;	    /* NULL: in the table only */
	struct qmgr_job *job;	    /* when TAKEN */
	struct qmgr_outcome *outcome; /* that is being recorded; NULL: none, or not by us alone (qmgr_direct.c) */
	struct qmgr_call *call;	    /* NULL, or it is sent in a direct mode: the body is there (qmgr_direct.c) */
	struct qmgr_schedule_item item;
	struct qmgr_route_memory route;
	uint16_t *recipients;	   /* indices in the message, ascending; NULL: all */
	char *pinned;		   /* the provider whose last answer is unknown: no other may have it; NULL: any may */
	int64_t queued_at;
	uint32_t attempts, faults; /* recorded or, without a tenant, presumed */
	uint32_t seen;		   /* by which scan */
	uint16_t part, n_recipients; /* its number; how many, when there is a list */
	uint8_t state;
	uint8_t shard;
};

struct qmgr_messages {
	struct qmgr_message **table;
	size_t table_size, n;
	struct qmgr_message *shard[QMGR_SHARDS + 1];
	unsigned n_shard[QMGR_SHARDS + 1];
	int64_t body_bytes;
	unsigned n_files, max_files;
	struct qmgr_message *gone;
};

void qmgr_message_init(struct qmgr *q);
void qmgr_message_clear(struct qmgr *q);

/* Those in memory that are in the queue. */
size_t qmgr_message_queued(const struct qmgr *q);
struct qmgr_message *qmgr_message_find(struct qmgr *q, const struct uuid *id, unsigned part);
/* A new entry, which must not be there yet; in state RECORDING until somebody says otherwise. */
struct qmgr_message *qmgr_message_add(struct qmgr *q, const struct uuid *id, unsigned part, unsigned shard,
				      struct qmgr_tenant *tenant);
/* The row showed that it belongs to another shard, or whose it is. */
void qmgr_message_place(struct qmgr *q, struct qmgr_message *m, unsigned shard,
			struct qmgr_tenant *tenant);
/* To this provider and no other; an empty text: to any. */
void qmgr_message_pin(struct qmgr_message *m, struct str provider);
/* Puts it into the schedule. */
void qmgr_message_schedule(struct qmgr *q, struct qmgr_message *m, int64_t due, int64_t now);
/* Forgets it: frees the entry, or keeps its id as GONE while a scan of its shard runs. */
void qmgr_message_drop(struct qmgr *q, struct qmgr_message *m);
/* An agent has word of one that is GONE, perhaps only because its shard was lost: back to state RECORDING. */
void qmgr_message_revive(struct qmgr *q, struct qmgr_message *m);
/* The scan is over. */
void qmgr_message_free_gone(struct qmgr *q);

/* `fd` is taken over. Bytes are copied. */
struct qmgr_body *qmgr_message_body_new(struct str bytes, int fd, size_t file_size);
void qmgr_message_body_free(struct qmgr_body **body);
/* The memory that it takes. */
int64_t qmgr_message_body_weight(const struct qmgr_body *body);
/* The struct behind the bytes; recipients[IPC_RECIPIENTS_MAX] is the caller's. */
struct ipc_message qmgr_message_body_read(const struct qmgr_body *body, struct str *recipients);
/* Gives a message its body (*body becomes NULL). */
void qmgr_message_keep_body(struct qmgr *q, struct qmgr_message *m, struct qmgr_body **body);
void qmgr_message_lose_body(struct qmgr *q, struct qmgr_message *m);
/* Another part of the same message, which has no body yet, has the same one, if there is one. */
void qmgr_message_share_body(const struct qmgr_message *m, struct qmgr_message *part);
/* Another body of this size may be kept in memory. */
bool qmgr_message_has_room(const struct qmgr *q, const struct qmgr_body *body);

#endif
