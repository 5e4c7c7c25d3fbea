/* SPDX-License-Identifier: Apache-2.0
 *
 * Hands messages that are due to workers that are free. A worker is a place for one session; it
 * connects when it gets its first message, and again when the server has closed the session
 * meanwhile. Called by client_main.c.
 */
#include "client/client_batch.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "client/client_mail.h"
#include "client/client_report.h"
#include "client/client_stats.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"

struct batch;

struct worker {
	struct batch *batch;
	struct client_session *session; /* NULL: not connected */
	struct client_mail mail;
	bool is_busy;	  /* has a message */
	bool was_ready;	  /* this session got as far as AUTH */
	bool is_used;	  /* this session has sent a message before */
	bool is_repeated; /* its message is on its second session */
};

struct batch {
	const struct client_options *options;
	struct client_session_events events;
	struct loop *loop;
	struct loop_timer *timer; /* the next message is due */
	struct worker *worker;
	struct worker **free; /* a stack: sessions that are warm are used first */
	size_t n_workers, n_free, n_sessions;
	uint64_t n_given, n_sent, n_failed;
	uint64_t n_failed_in_row;
	bool is_stopped; /* nothing more is begun */
	int64_t began, ended;
	int status; /* of the first failure */
	struct client_stats connect, tls, auth, message;
};

static void pump(void *ctx);

static FILE *progress_file(const struct batch *b)
{
	return b->options->is_json ? stderr : stdout;
}

static uint64_t n_answered(const struct batch *b)
{
	return b->n_sent + b->n_failed;
}

static void finish_when_done(struct batch *b)
{
	bool is_busy = false;

	if (!b->is_stopped && n_answered(b) < b->options->count)
		return;
	b->is_stopped = true;
	for (size_t i = 0; i < b->n_workers; i++)
		is_busy = is_busy || b->worker[i].is_busy;
	if (is_busy)
		return;
	if (b->ended == 0)
		b->ended = clock_mono();
	for (size_t i = 0; i < b->n_workers; i++)
		if (b->worker[i].session != NULL && client_session_is_ready(b->worker[i].session))
			client_session_quit(b->worker[i].session);
	if (b->n_sessions == 0)
		loop_stop(b->loop);
}

static void show_progress(struct batch *b)
{
	uint64_t count = b->options->count, step = count >= 10 ? count / 10 : 1;

	if (n_answered(b) % step != 0)
		return;
	fprintf(progress_file(b), "Sent %llu/%llu emails", (unsigned long long)b->n_sent,
		(unsigned long long)count);
	if (b->n_failed > 0)
		fprintf(progress_file(b), ", %llu failed", (unsigned long long)b->n_failed);
	fputc('\n', progress_file(b));
	fflush(progress_file(b));
}

static void give_back(struct worker *w)
{
	struct batch *b = w->batch;

	w->is_busy = w->is_repeated = false;
	b->free[b->n_free++] = w;
	show_progress(b);
	finish_when_done(b);
	if (!b->is_stopped)
		loop_timer_set(b->timer, 0); /* not from here: the session's callback still runs */
}

static void fail(struct worker *w, int status, const char *why)
{
	struct batch *b = w->batch;

	if (b->status == EX_OK)
		b->status = status;
	b->n_failed++;
	/* The first few say all; thousands of equal lines would not. */
	if (b->n_failed <= 5)
		client_report_error("%s%s", why,
				    b->n_failed == 5 ? "\n(further failures are only counted)"
						     : "");
}

static void connect_worker(struct worker *w)
{
	struct batch *b = w->batch;

	w->was_ready = w->is_used = false;
	b->n_sessions++;
	w->session = client_session_new(b->loop, &b->options->server, &b->events, w);
}

static void on_ready(void *ctx, struct client_session *session)
{
	struct worker *w = ctx;
	struct batch *b = w->batch;
	const struct client_session_times *t = client_session_times(session);

	w->was_ready = true;
	client_stats_add(&b->connect, t->connect);
	if (b->options->server.mode != CLIENT_SESSION_CLEAR)
		client_stats_add(&b->tls, t->tls);
	if (b->options->server.user != NULL)
		client_stats_add(&b->auth, t->auth);
	client_session_send(session, &w->mail.mail);
}

static void on_result(void *ctx, struct client_session *session,
		      const struct client_session_result *r)
{
	struct worker *w = ctx;
	struct batch *b = w->batch;
	char why[600];

	w->is_used = true;
	if (r->is_accepted) {
		b->n_sent++;
		b->n_failed_in_row = 0;
		client_stats_add(&b->message, r->ended - r->began);
	} else {
		snprintf(why, sizeof(why), "%s refused: %.*s", r->command, STR_ARG(r->reply));
		fail(w, client_report_status(r->code), why);
	}
	if (b->options->is_per_connection)
		client_session_quit(session); /* free again when it has ended */
	else
		give_back(w);
}

/* A session that stood idle may be closed just when its next message was begun: that message gets
 * one more chance, unless the server may have taken it. */
static bool repeat(struct worker *w, const struct client_session_failure *failure)
{
	if (!w->is_used || w->is_repeated || failure->is_unknown || w->batch->is_stopped)
		return false;
	w->is_repeated = true;
	connect_worker(w);
	return true;
}

static void on_end(void *ctx, struct client_session *session,
		   const struct client_session_failure *failure)
{
	struct worker *w = ctx;
	struct batch *b = w->batch;
	bool was_busy = w->is_busy;
	uint64_t failures = b->n_workers > 3 ? b->n_workers : 3;

	(void)session;
	client_session_free(&w->session);
	b->n_sessions--;
	if (failure != NULL && was_busy && !(b->options->is_per_connection && w->is_used)) {
		if (repeat(w, failure))
			return;
		fail(w, failure->status, failure->text);
		/* A wrong password or certificate will not get better, nor will a server that is
		 * not there. */
		if ((!w->was_ready &&
		     (failure->status == EX_NOPERM || failure->status == EX_PROTOCOL)) ||
		    ++b->n_failed_in_row >= failures)
			b->is_stopped = true;
	}
	if (was_busy)
		give_back(w);
	else
		finish_when_done(b);
}

static void give(struct batch *b, struct worker *w)
{
	struct err err;

	b->n_given++;
	w->is_busy = true;
	if (!client_mail_make(&w->mail, b->options, b->n_given, &err)) {
		fail(w, EX_USAGE, err.text);
		b->is_stopped = true;
		give_back(w);
	} else if (w->session != NULL) {
		client_session_send(w->session, &w->mail.mail);
	} else {
		connect_worker(w);
	}
}

/* How many messages should have been begun by now. */
static uint64_t n_due(const struct batch *b, int64_t now)
{
	double due;

	if (b->options->rate <= 0)
		return b->options->count;
	due = 1 + (double)(now - b->began) / CLOCK_SECOND * b->options->rate;
	return due < (double)b->options->count ? (uint64_t)due : b->options->count;
}

static void pump(void *ctx)
{
	struct batch *b = ctx;
	int64_t now = clock_mono(), next;

	while (!b->is_stopped && b->n_free > 0 && b->n_given < n_due(b, now))
		give(b, b->free[--b->n_free]);
	if (b->is_stopped || b->n_given >= b->options->count || b->n_free == 0 ||
	    b->options->rate <= 0)
		return;
	next = b->began + (int64_t)((double)b->n_given / b->options->rate * CLOCK_SECOND);
	loop_timer_set(b->timer, next > now ? next - now : 0);
}

static void on_interrupt(void *ctx)
{
	struct batch *b = ctx;

	if (b->is_stopped)
		loop_stop(b->loop); /* the second time: do not even wait for answers */
	b->is_stopped = true;
	b->status = b->status != EX_OK ? b->status : EX_TEMPFAIL;
	finish_when_done(b);
}

static void print_row(const char *name, struct client_stats *stats)
{
	struct client_stats_summary s = client_stats_summarize(stats);

	if (s.n > 0)
		printf("%-12s %8zu %9.1f %9.1f %9.1f %9.1f %9.1f %9.1f\n", name, s.n, s.mean, s.p50,
		       s.p90, s.p95, s.p99, s.max);
}

static void print_text(struct batch *b, double seconds)
{
	printf("\n%llu sent, %llu failed of %llu in %.1f s: %.1f emails/s\n",
	       (unsigned long long)b->n_sent, (unsigned long long)b->n_failed,
	       (unsigned long long)b->options->count, seconds,
	       seconds > 0 ? (double)b->n_sent / seconds : 0);
	printf("%-12s %8s %9s %9s %9s %9s %9s %9s\n", "ms", "n", "mean", "p50", "p90", "p95", "p99",
	       "max");
	print_row("connect", &b->connect);
	print_row("TLS", &b->tls);
	print_row("AUTH", &b->auth);
	print_row("MAIL to 250", &b->message);
}

static void print_json(struct batch *b, double seconds)
{
	struct client_stats *stats[] = {&b->connect, &b->tls, &b->auth, &b->message};
	static const char *const names[] = {"connect_ms", "tls_ms", "auth_ms", "message_ms"};
	struct buf out = BUF_MAX(16384);

	buf_printf(&out,
		   "{\"count\":%llu,\"sent\":%llu,\"failed\":%llu,\"seconds\":%.3f,\"rate\":%.3f",
		   (unsigned long long)b->options->count, (unsigned long long)b->n_sent,
		   (unsigned long long)b->n_failed, seconds,
		   seconds > 0 ? (double)b->n_sent / seconds : 0);
	for (unsigned i = 0; i < 4; i++) {
		struct client_stats_summary s = client_stats_summarize(stats[i]);

		buf_printf(&out, ",\"%s\":", names[i]);
		client_report_json_stats(&out, &s);
	}
	buf_printf(&out, ",\"status\":%d}\n", b->status);
	fwrite(out.p, 1, out.n, stdout);
	buf_clear(&out);
}

static void clear(struct batch *b)
{
	for (size_t i = 0; i < b->n_workers; i++) {
		client_session_free(&b->worker[i].session);
		client_mail_clear(&b->worker[i].mail);
	}
	loop_turn(b->loop, 0); /* sessions are freed at the end of a turn */
	loop_timer_free(&b->timer);
	loop_free(&b->loop);
	free(b->worker);
	free(b->free);
	client_stats_clear(&b->connect);
	client_stats_clear(&b->tls);
	client_stats_clear(&b->auth);
	client_stats_clear(&b->message);
}

int client_batch_run(const struct client_options *options)
{
	struct batch b = {
		.options = options,
		.events = {.on_ready = on_ready,
			   .on_result = on_result,
			   .on_end = on_end,
			   .on_line = options->is_verbose ? client_report_line : NULL},
		.n_workers = options->connections < options->count ? options->connections
								   : options->count,
	};
	double seconds;

	b.loop = loop_new();
	b.timer = loop_timer_new(b.loop, pump, &b);
	b.worker = mem_array(b.n_workers, sizeof(*b.worker));
	b.free = mem_array(b.n_workers, sizeof(*b.free));
	for (size_t i = b.n_workers; i-- > 0;) {
		b.worker[i].batch = &b;
		b.free[b.n_free++] = &b.worker[i];
	}
	loop_on_signal(b.loop, SIGINT, on_interrupt, &b);
	b.began = clock_mono();
	loop_timer_set(b.timer, 0);
	loop_run(b.loop);
	seconds = (double)((b.ended > 0 ? b.ended : clock_mono()) - b.began) / CLOCK_SECOND;
	if (options->is_json)
		print_json(&b, seconds);
	else
		print_text(&b, seconds);
	clear(&b);
	return b.status;
}
