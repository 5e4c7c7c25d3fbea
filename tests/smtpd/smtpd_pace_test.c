/* SPDX-License-Identifier: Apache-2.0 */
#include "smtpd/smtpd_pace.h"

#include "lib/base/clock.h"
#include "tests/support/unit.h"

#define S CLOCK_SECOND
#define LONG (1000000 * S)

/* command_timeout 300 s, data_timeout 180 s, session_time 1000 s, min_rate 1000 a second; the session began at 1 s. */
static const struct row {
	const char *what;
	bool has_mail, is_receiving;
	int64_t drain_at, idle_at, window_at;
	uint64_t octets;
	int64_t now;
	enum smtpd_pace_verdict verdict;
	int64_t next; /* after a good verdict */
} rows[] = {
	{"all is well", false, false, 0, 301 * S, 0, 0, 300 * S, SMTPD_PACE_GOOD, 301 * S},
	{"nothing was said", false, false, 0, 301 * S, 0, 0, 301 * S, SMTPD_PACE_IDLE, 0},
	{"nothing was said of a message", true, true, 0, 181 * S, 150 * S, 1 << 30, 181 * S, SMTPD_PACE_IDLE, 0},
	{"a window is not over", true, true, 0, LONG, 100 * S, 0, 160 * S - 1, SMTPD_PACE_GOOD, 160 * S},
	{"just fast enough: the next window", true, true, 0, LONG, 100 * S, 60000, 160 * S, SMTPD_PACE_GOOD, 220 * S},
	{"just too slow", true, true, 0, LONG, 100 * S, 59999, 160 * S, SMTPD_PACE_SLOW, 0},
	{"a window looked at late is judged by its length", true, true, 0, LONG, 100 * S, 60000, 161 * S, SMTPD_PACE_SLOW, 0},
	{"the session had its time", false, false, 0, LONG, 0, 0, 1001 * S, SMTPD_PACE_TOO_LONG, 0},
	{"not yet", false, false, 0, LONG, 0, 0, 1001 * S - 1, SMTPD_PACE_GOOD, 1001 * S},
	{"an envelope is open", true, false, 0, LONG, 0, 0, 1001 * S, SMTPD_PACE_GOOD, 1301 * S},
	{"for too long", true, false, 0, LONG, 0, 0, 1301 * S, SMTPD_PACE_TOO_LONG, 0},
	{"a message is coming", true, true, 0, LONG, 1250 * S, 0, 1301 * S, SMTPD_PACE_GOOD, 1310 * S},
	{"the service ends", false, false, 50 * S, LONG, 0, 0, 49 * S, SMTPD_PACE_GOOD, 50 * S},
	{"now", false, false, 50 * S, LONG, 0, 0, 50 * S, SMTPD_PACE_DRAINED, 0},
	{"but not for one with a message", true, true, 50 * S, 70 * S, 0, 0, 50 * S, SMTPD_PACE_GOOD, 70 * S},
};

static struct settings *make_settings(void)
{
	struct settings *s = settings_new();

	s->smtpd.command_timeout = 300 * S;
	s->smtpd.data_timeout = 180 * S;
	s->smtpd.session_time = 1000 * S;
	s->smtpd.min_rate = 1000;
	return s;
}

static void a_session_is_judged_by_its_times(void)
{
	struct settings *settings = make_settings();

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		struct smtpd_pace pace = {1 * S, r->idle_at, r->window_at, r->octets};
		struct smtpd_pace_session session = {r->has_mail, r->is_receiving, r->drain_at};
		enum smtpd_pace_verdict verdict = smtpd_pace_judge(&pace, settings, &session, r->now);

		if (verdict != r->verdict)
			printf("\n%s", r->what);
		UNIT_INT(verdict, r->verdict);
		if (r->verdict == SMTPD_PACE_GOOD)
			UNIT_INT(smtpd_pace_next(&pace, settings, &session), r->next);
	}
	settings_free(&settings);
}

static void progress_restarts_the_wait(void)
{
	struct settings *settings = make_settings();
	struct smtpd_pace pace = {.began_at = 1 * S};

	smtpd_pace_restart(&pace, settings, false, 10 * S);
	UNIT_INT(pace.idle_at, 310 * S);
	smtpd_pace_restart(&pace, settings, true, 10 * S);
	UNIT_INT(pace.idle_at, 190 * S);
	settings_free(&settings);
}

/* A minute, or the time for which a message may stand still. */
static void the_window_begins_with_the_message(void)
{
	struct settings *settings = make_settings();
	struct smtpd_pace pace = {.began_at = 1 * S, .idle_at = LONG};
	struct smtpd_pace_session session = {true, true, 0};

	smtpd_pace_count(&pace, 10, 20 * S);
	smtpd_pace_count(&pace, 10, 30 * S);
	UNIT_INT(pace.octets, 20);
	UNIT_INT(smtpd_pace_next(&pace, settings, &session), 80 * S);
	settings->smtpd.data_timeout = 5 * S;
	UNIT_INT(smtpd_pace_next(&pace, settings, &session), 25 * S);
	settings->smtpd.min_rate = 0;
	UNIT_INT(smtpd_pace_next(&pace, settings, &session), LONG);
	settings->smtpd.min_rate = 1LL << 30;
	UNIT_INT(smtpd_pace_judge(&pace, settings, &session, LONG - 1), SMTPD_PACE_SLOW);
	smtpd_pace_stop_counting(&pace);
	session.is_receiving = false;
	UNIT_INT(smtpd_pace_judge(&pace, settings, &session, 80 * S), SMTPD_PACE_GOOD);
	smtpd_pace_count(&pace, 1, 90 * S);
	UNIT_INT(pace.octets, 1);
	settings_free(&settings);
}

UNIT_TESTS({"a session is judged by its times", a_session_is_judged_by_its_times},
	   {"progress restarts the wait", progress_restarts_the_wait},
	   {"the window begins with the message", the_window_begins_with_the_message})
