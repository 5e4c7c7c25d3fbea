/* SPDX-License-Identifier: Apache-2.0
 *
 * What an outcome says of each recipient: taken, refused for good, or left to be tried again; nothing of one whom its call did
 * not carry. Pure.
 */
#ifndef QMGR_QMGR_FATE_H
#define QMGR_QMGR_FATE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/ipc/ipc_body.h"

struct qmgr_message;

enum qmgr_fate { QMGR_FATE_SENT, QMGR_FATE_FAILED, QMGR_FATE_LEFT, QMGR_FATE_ABSENT, QMGR_FATES };

/* Recipients of one fate, for one reason. */
struct qmgr_fate_group {
	struct qmgr_fate_group *next;
	enum qmgr_fate fate;
	uint32_t code;
	struct buf words;      /* status and reason, as Postgres takes them */
	size_t status_n;
	struct buf recipients; /* an array literal */
};

/* What else is to be told of recipients who are SENT: that the next one has them, to a sender who asked for that (NOTIFY=SUCCESS);
 * that they come back later. */
enum qmgr_fate_note_kind { QMGR_FATE_RELAYED, QMGR_FATE_BOUNCES, QMGR_FATE_NOTES };

struct qmgr_fate_note {
	uint16_t *list; /* indices in the message */
	unsigned n;
	uint32_t code;
	struct buf words; /* as in a group */
	size_t status_n;
};

struct qmgr_fates {
	struct qmgr_fate_group *groups, **last; /* first the call's own, if anybody shared its fate */
	unsigned n[QMGR_FATES];			/* recipients */
	uint16_t *list[QMGR_FATES];		/* their indices in the message, ascending; of those SENT there is none */
	struct qmgr_fate_note note[QMGR_FATE_NOTES];
	bool is_own_left; /* the call's class decides over those who are left; else they are TRANSIENT */
};

/* Begins *f: recipients[n] are the part's, as they are now; `dsn` as in ipc_message, of the whole message, when its sender is to be
 * told of RELAYED. */
void qmgr_fate_sort(struct qmgr_fates *f, const struct qmgr_message *m, const struct str *recipients, unsigned n,
		    const struct ipc_outcome *o, struct str dsn);
/* Those who are left have failed. */
void qmgr_fate_give_up(struct qmgr_fates *f);
/* Without the provider's words, which something in them keeps from being written. */
void qmgr_fate_blank(struct qmgr_fates *f);
/* All of the part's recipients. */
unsigned qmgr_fate_count(const struct qmgr_fates *f);
/* Those who stay in the row into list[IPC_RECIPIENTS_MAX], ascending; how many. */
unsigned qmgr_fate_stay(const struct qmgr_fates *f, uint16_t *list);
/* The first group of this fate, or NULL. */
const struct qmgr_fate_group *qmgr_fate_first(const struct qmgr_fates *f, enum qmgr_fate fate);
struct str qmgr_fate_status(const struct qmgr_fate_group *g);
struct str qmgr_fate_reason(const struct qmgr_fate_group *g);
struct str qmgr_fate_recipients(const struct qmgr_fate_group *g);
void qmgr_fate_clear(struct qmgr_fates *f);

#endif
