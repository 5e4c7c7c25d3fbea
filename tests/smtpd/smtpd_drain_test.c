/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of the service, with sessions in every state.
 */
#include "smtpd/smtpd_drain.h"

#include "tests/smtpd/world.h"

static void stop_draining(void)
{
	worker.is_draining = worker.is_cut = false;
	worker.drain_idle_at = 0;
	loop_timer_free(&worker.drain_timer);
	empties = 0;
	forget_counts();
}

static void draining_ends_the_idle_and_lets_a_message_finish(void)
{
	struct client talking, idle, busy, shaking, asked;

	connect_client(&talking, false);
	hear(&talking, GREETING);
	connect_client(&idle, false);
	hear(&idle, GREETING);
	log_in(&busy);
	say(&busy, ENVELOPE "x: y\r\n");
	hear(&busy, ENVELOPE_ANSWER);
	connect_client(&shaking, false);
	hear(&shaking, GREETING);
	say(&shaking, "STARTTLS\r\n");
	hear(&shaking, "220 2.0.0 Ready to start TLS\r\n");
	peers.is_gate_mute = true;
	connect_client(&asked, false);
	settle();
	UNIT_INT(worker.n_arrivals, 1);
	peers.is_gate_mute = false;
	smtpd_drain_begin(&worker, 300 * CLOCK_SECOND);
	hear_the_end(&asked, SHUTDOWN);
	UNIT_TRUE(until(&shaking.ends, 1));
	UNIT_INT(talking.heard.n, 0);
	say(&talking, "NOOP\r\n");
	hear_the_end(&talking, "250 2.0.0 Ok\r\n" SHUTDOWN);
	UNIT_INT(idle.heard.n, 0);
	worker.drain_idle_at = clock_mono() + 20 * CLOCK_MS; /* not to wait for ten seconds */
	smtpd_session_drain_all(&worker);
	hear_the_end(&idle, SHUTDOWN);
	UNIT_INT(empties, 0);
	say(&busy, "\r\nbody\r\n.\r\n");
	hear_queued(&busy);
	hear_the_end(&busy, SHUTDOWN);
	UNIT_TRUE(until(&empties, 1));
	buf_clear(&shaking.heard);
	stop_draining();
}

static void draining_cuts_what_does_not_end(void)
{
	struct client busy;

	log_in(&busy);
	say(&busy, ENVELOPE "x: y\r\n");
	hear(&busy, ENVELOPE_ANSWER);
	smtpd_drain_begin(&worker, 50 * CLOCK_MS);
	hear_the_end(&busy, SHUTDOWN);
	UNIT_TRUE(until(&empties, 1));
	stop_draining();
	/* One that waits for the queue hears nothing that may be wrong. */
	log_in(&busy);
	peers.is_qmgr_mute = true;
	say(&busy, ENVELOPE "x: y\r\n\r\n.\r\n");
	hear(&busy, ENVELOPE_ANSWER);
	UNIT_TRUE(until(&peers.submitted, peers.heard + 1));
	smtpd_drain_begin(&worker, 50 * CLOCK_MS);
	UNIT_TRUE(until(&empties, 1));
	peers.is_qmgr_mute = false;
	peers.heard = peers.submitted;
	UNIT_INT(worker.n_sessions, 0);
	hear_the_end(&busy, "");
	stop_draining();
}

UNIT_TESTS({"start", start_all},
	   {"draining ends the idle and lets a message finish", draining_ends_the_idle_and_lets_a_message_finish},
	   {"draining cuts what does not end", draining_cuts_what_does_not_end},
	   {"stop", stop_all})
