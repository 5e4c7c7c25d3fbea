/* SPDX-License-Identifier: Apache-2.0
 *
 * What came of a session, for the metrics and its lines in the log.
 */
#ifndef SMTPD_SMTPD_TALLY_H
#define SMTPD_SMTPD_TALLY_H

#include "smtpd/smtpd_worker.h"

struct smtpd_tally {
	int64_t submitted_at; /* the message that waits for the queue (monotonic) */
	uint64_t bytes;
	unsigned messages, refused;
	enum smtpd_state stage; /* how far it came: the dialogue's state before it was closed */
};

/* The dialogue has got on. */
void smtpd_tally_look(struct smtpd_tally *tally, const struct smtpd_proto *proto);
/* The message under way was taken; `earlier` is the id of the one that it repeats, or zeroes. */
void smtpd_tally_accepted(struct smtpd_tally *tally, const struct smtpd_guest *guest, const struct smtpd_proto *proto,
			  const struct uuid *earlier);
/* The session's line. */
void smtpd_tally_end(const struct smtpd_tally *tally, struct smtpd_worker *worker, const struct smtpd_guest *guest,
		     const struct smtpd_proto *proto, int64_t took, const char *why);

#endif
