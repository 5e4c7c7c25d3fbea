/* SPDX-License-Identifier: Apache-2.0
 *
 * How long a session may take: for the next command, for a message, in all. Pure.
 */
#ifndef SMTPD_SMTPD_PACE_H
#define SMTPD_SMTPD_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/settings/settings.h"

/* Times are monotonic; 0 is none. */
struct smtpd_pace {
	int64_t began_at;  /* the session */
	int64_t idle_at;   /* by when the client has to say something */
	int64_t window_at; /* when the rate of a message that is coming was last looked at */
	uint64_t octets;   /* of the message since then */
};

/* What of the session matters here. */
struct smtpd_pace_session {
	bool has_mail;	   /* a transaction is open */
	bool is_receiving; /* octets of a message are coming */
	int64_t drain_at;  /* when a session without a transaction ends, since the service does */
};

enum smtpd_pace_verdict {
	SMTPD_PACE_GOOD,
	SMTPD_PACE_IDLE,
	SMTPD_PACE_SLOW,     /* smtpd.min_rate */
	SMTPD_PACE_TOO_LONG, /* smtpd.session_time */
	SMTPD_PACE_DRAINED,
};

/* The client has got on: a whole command, octets of a message, a handshake. Part of a command is nothing. */
void smtpd_pace_restart(struct smtpd_pace *pace, const struct settings *settings, bool is_receiving, int64_t now);
/* So many octets of a message came; the first ones of it begin its first window. */
void smtpd_pace_count(struct smtpd_pace *pace, uint64_t octets, int64_t now);
/* No message is coming (any more). */
void smtpd_pace_stop_counting(struct smtpd_pace *pace);
/* Whether it is too late for something. */
enum smtpd_pace_verdict smtpd_pace_judge(struct smtpd_pace *pace, const struct settings *settings,
					 const struct smtpd_pace_session *session, int64_t now);
/* When to judge again. */
int64_t smtpd_pace_next(const struct smtpd_pace *pace, const struct settings *settings,
			const struct smtpd_pace_session *session);

#endif
