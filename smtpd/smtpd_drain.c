/* SPDX-License-Identifier: Apache-2.0
 *
 * Draining.
 */
#include "smtpd/smtpd_drain.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "smtpd/smtpd_arrival.h"
#include "smtpd/smtpd_session.h"

enum {
	UNASKED = 10 * CLOCK_SECOND, /* a session that says nothing is waited for so long, or a tenth of the time */
	LAST_WORDS = 2 * CLOCK_SECOND, /* for a 421 to leave */
};

void smtpd_drain_look(struct smtpd_worker *worker)
{
	if (!worker->is_draining || worker->n_sessions > 0)
		return;
	loop_timer_stop(worker->drain_timer);
	if (!worker->is_cut)
		log_info(NULL, "smtpd.drain.done", log_text("text", "Connection draining complete"));
	worker->on_empty(worker->ctx);
}

static void on_time(void *ctx)
{
	struct smtpd_worker *worker = ctx;

	if (worker->is_cut) {
		smtpd_session_free_all(worker);
		return;
	}
	worker->is_cut = true;
	log_warn(NULL, "smtpd.drain.cut", log_text("text", "Connection draining timed out"),
		 log_uint("sessions", worker->n_sessions));
	loop_timer_set(worker->drain_timer, LAST_WORDS);
	smtpd_session_end_all(worker);
}

void smtpd_drain_begin(struct smtpd_worker *worker, int64_t time)
{
	log_info(NULL, "smtpd.drain.begun", log_text("text", "Entering connection draining mode"),
		 log_uint("sessions", worker->n_sessions));
	worker->is_draining = true;
	/* In an upgrade, which has little time, new clients wait for it to end. */
	worker->drain_idle_at = clock_mono() + (time / 10 < UNASKED ? time / 10 : UNASKED);
	worker->drain_timer = loop_timer_new(worker->loop, on_time, worker);
	loop_timer_set(worker->drain_timer, time);
	smtpd_arrival_refuse_all(worker);
	smtpd_session_drain_all(worker);
	smtpd_drain_look(worker);
}
