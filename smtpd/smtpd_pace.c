/* SPDX-License-Identifier: Apache-2.0
 *
 * A session's times. Pure.
 */
#include "smtpd/smtpd_pace.h"

#include "lib/base/clock.h"

enum { WINDOW = 60 * CLOCK_SECOND };

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Over so long a time the rate is an average. */
static int64_t window(const struct settings *settings)
{
	return least(WINDOW, settings->smtpd.data_timeout);
}

/* A session that has had its time ends between two messages. One that holds an envelope open, without a message, does
 * not get round it. */
static int64_t end_of_session(const struct smtpd_pace *pace, const struct settings *settings,
			      const struct smtpd_pace_session *session)
{
	int64_t at = pace->began_at + settings->smtpd.session_time;

	if (session->is_receiving)
		return INT64_MAX;
	return session->has_mail ? at + settings->smtpd.command_timeout : at;
}

static int64_t end_of_window(const struct smtpd_pace *pace, const struct settings *settings)
{
	return pace->window_at != 0 && settings->smtpd.min_rate > 0 ? pace->window_at + window(settings) : INT64_MAX;
}

static int64_t end_of_drain(const struct smtpd_pace_session *session)
{
	return session->drain_at != 0 && !session->has_mail ? session->drain_at : INT64_MAX;
}

void smtpd_pace_restart(struct smtpd_pace *pace, const struct settings *settings, bool is_receiving, int64_t now)
{
	pace->idle_at = now + (is_receiving ? settings->smtpd.data_timeout : settings->smtpd.command_timeout);
}

void smtpd_pace_count(struct smtpd_pace *pace, uint64_t octets, int64_t now)
{
	if (pace->window_at == 0) {
		pace->window_at = now;
		pace->octets = 0;
	}
	pace->octets += octets;
}

void smtpd_pace_stop_counting(struct smtpd_pace *pace)
{
	pace->window_at = 0;
}

enum smtpd_pace_verdict smtpd_pace_judge(struct smtpd_pace *pace, const struct settings *settings,
					 const struct smtpd_pace_session *session, int64_t now)
{
	if (pace->idle_at <= now)
		return SMTPD_PACE_IDLE;
	if (end_of_drain(session) <= now)
		return SMTPD_PACE_DRAINED;
	if (end_of_session(pace, settings, session) <= now)
		return SMTPD_PACE_TOO_LONG;
	if (end_of_window(pace, settings) <= now) {
		/* In double: a rate of gigabytes times microseconds is more than 64 bits hold. */
		double due = (double)settings->smtpd.min_rate * (double)(now - pace->window_at) / (double)CLOCK_SECOND;

		if ((double)pace->octets < due)
			return SMTPD_PACE_SLOW;
		pace->window_at = now;
		pace->octets = 0;
	}
	return SMTPD_PACE_GOOD;
}

int64_t smtpd_pace_next(const struct smtpd_pace *pace, const struct settings *settings,
			const struct smtpd_pace_session *session)
{
	int64_t next = least(pace->idle_at, end_of_session(pace, settings, session));

	next = least(next, end_of_window(pace, settings));
	return least(next, end_of_drain(session));
}
