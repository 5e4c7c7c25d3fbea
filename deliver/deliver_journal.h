/* SPDX-License-Identifier: Apache-2.0
 *
 * What this agent must not forget when it dies: which calls it has begun, and what came of them, until
 * qmgr has committed that. A call is in the journal before its request leaves, an outcome before it is
 * reported; so after a crash of anything but the disk no answered call is repeated, and one that was not
 * answered is known to be unknown.
 */
#ifndef DELIVER_JOURNAL_H
#define DELIVER_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/err.h"
#include "lib/ipc/ipc_body.h"

enum {
	DELIVER_JOURNAL_FILES = 2,
	DELIVER_JOURNAL_SLOTS = 64,
	DELIVER_JOURNAL_SIZE = 4 << 20, /* then what is still needed moves into the other file */
};

struct deliver_journal;

struct deliver_journal_entry {
	struct ipc_attempt attempt;
	bool is_done;	    /* there is an outcome: */
	struct str outcome; /* the body of the OUTCOME frame */
};

typedef void deliver_journal_fn(void *ctx, const struct deliver_journal_entry *entry);

/* Opens (makes) both files of a slot below state_dir/journal, as `user` and `group` own them, and locks
 * them. For prepare(): paths are not seen any more later. */
bool deliver_journal_open(const char *state_dir, unsigned slot, uid_t user, gid_t group,
			  int files[DELIVER_JOURNAL_FILES], struct err *err);
/* There is something in the journal of this slot. */
bool deliver_journal_is_left(const char *state_dir, unsigned slot);
/* Takes over the open files and reads them: what was begun and not finished becomes an outcome `unknown`. */
struct deliver_journal *deliver_journal_new(const int files[DELIVER_JOURNAL_FILES]);
void deliver_journal_free(struct deliver_journal **journal);
/* Moves what another slot's journal holds into this one, and empties and frees it: a host that has fewer agents
 * than before still has to tell what those did. False: the disk does not allow it; then it is in both. */
bool deliver_journal_adopt(struct deliver_journal *journal, struct deliver_journal **left, struct err *err);

/* A call is about to be made. False: it could not be written, so the call must not be made. `whom` as in struct ipc_job. */
bool deliver_journal_start(struct deliver_journal *journal, const struct ipc_attempt *attempt, struct str whom,
			   struct str provider, int64_t started_at, struct err *err);
/* What came of it (begun or not). False: it is kept in memory only, for the disk took nothing. */
bool deliver_journal_outcome(struct deliver_journal *journal, const struct ipc_outcome *outcome, struct err *err);
/* qmgr has committed it. An attempt that is not there is no mistake: it was said twice. */
void deliver_journal_strike(struct deliver_journal *journal, const struct ipc_attempt *attempt);

/* NULL when it is not there. */
const struct deliver_journal_entry *deliver_journal_find(const struct deliver_journal *journal,
							 const struct ipc_attempt *attempt);
/* All of them; fn changes nothing. */
void deliver_journal_each(const struct deliver_journal *journal, deliver_journal_fn *fn, void *ctx);
/* How many are there, and how many of them are done. */
unsigned deliver_journal_count(const struct deliver_journal *journal);
unsigned deliver_journal_count_done(const struct deliver_journal *journal);

/* Once a second: makes durable what has been waiting for qmgr for more than a second. */
void deliver_journal_tick(struct deliver_journal *journal, int64_t mono);

#endif
