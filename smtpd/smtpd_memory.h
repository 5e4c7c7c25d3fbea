/* SPDX-License-Identifier: Apache-2.0
 *
 * What all messages of a worker that are being received take together (settings smtpd.memory, smtpd.spill). When
 * memory is three quarters full, larger messages go to files; the last quarter is for small ones and for headers,
 * which are put in order in memory. A message counts until its client is answered.
 */
#ifndef SMTPD_SMTPD_MEMORY_H
#define SMTPD_SMTPD_MEMORY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct smtpd_memory {
	uint64_t memory, spill;	      /* the budgets */
	uint64_t in_memory, in_files; /* now */
	uint64_t in_handover; /* copied from files for qmgr: for these there is as much memory again */
	int directory;	      /* where the files are made; -1: nowhere */
};

/* What one message has of it; a zeroed one has nothing, and no budget. */
struct smtpd_memory_share {
	struct smtpd_memory *of;
	uint64_t memory, file, handover;
};

/* Opens (and makes, for this user) the directory for the files in state_dir; what fails is logged, and then there
 * are no files. */
void smtpd_memory_open(struct smtpd_memory *m, const char *state_dir, uid_t user, gid_t group);

/* The message has so much now. */
void smtpd_memory_hold(struct smtpd_memory_share *share, uint64_t memory, uint64_t file, uint64_t handover);

/* The budget is used up. */
bool smtpd_memory_is_full(const struct smtpd_memory_share *share);
/* The message should go to a file. */
bool smtpd_memory_must_spill(const struct smtpd_memory_share *share);
/* May the message write n octets to its file? */
bool smtpd_memory_may_write(const struct smtpd_memory_share *share, uint64_t n);
/* May the message be copied from its file into memory, to be handed over? */
bool smtpd_memory_may_hand_over(const struct smtpd_memory_share *share);
/* Is there room for another message of this size, if none of the others grows? */
bool smtpd_memory_has_room(const struct smtpd_memory *m, uint64_t size);

#endif
