/* SPDX-License-Identifier: Apache-2.0
 *
 * The load generator. It shares the machine with what it measures, so a message costs it little:
 * the body is built and dot-stuffed once, only the two lines with the load id are new each time.
 * Called by bench_run.c.
 */
#include "tests/bench/bench_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "client/client_message.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/smtp/smtp_data.h"

enum {
	AT_ONCE = 50,	/* sessions that log in at the same time, before the load begins */
	RETRY = 100000, /* microseconds before a session that broke is made anew */
	HOPELESS = 20,	/* so many sessions that never got in, in a row */
	HEAD_SIZE = 160,
};

struct place {
	struct bench_load *load;
	struct client_session *session;
	struct loop_timer *retry;
	bool has_message, was_ready;
	size_t number;
	int64_t opened;
	struct client_session_mail mail;
	char head[HEAD_SIZE];
};

struct bench_load {
	struct loop *loop;
	struct bench_book *book;
	struct bench_load_options options;
	struct bench_load_events events;
	void *ctx;
	struct client_session_events session_events;
	struct bench_load_counts counts;
	struct place *place;
	struct place **idle; /* RATE: a stack */
	size_t n_idle, n_opened, n_ready, n_busy;
	uint64_t n_begun, n_hopeless;
	struct loop_timer *timer, *stop;
	struct buf body;
	struct str to;
	int64_t began;
	bool is_loading, is_over;
};

static void pump(void *ctx);
static void open_place(void *ctx);

/* ---- messages ---- */

static void build_body(struct bench_load *load)
{
	static const char line[] =
		"The quick brown fox jumps over the lazy dog, again and again and again.\n";
	static const char *to[] = {"Recipient <recipient@example.net>"};
	size_t n = (size_t)load->options.size;
	struct client_attachment attachment = {"report.bin", "application/octet-stream", {NULL, 0}};
	struct client_message m = {.from = "Sender <sender@example.com>",
				   .to = {to, 1},
				   .subject = "Load",
				   .id = "x@example.com",
				   .date = 1};
	struct buf text = BUF_MAX(n + 4096), message = BUF_MAX(2 * n + 65536);
	struct err err;
	char *copy;

	while (text.n + sizeof(line) < n * (load->options.has_attachment ? 3 : 4) / 4)
		buf_put_text(&text, line);
	if (!load->options.has_attachment)
		while (text.n + 400 < n)
			buf_put_char(&text, text.n % 76 == 75 ? '\n' : 'x');
	copy = buf_take_text(&text);
	m.text = copy;
	if (load->options.has_attachment) {
		attachment.bytes = str_of(copy);
		m.attachments = &attachment;
		m.n_attachments = 1;
		m.text = "See the attachment.";
	}
	if (!client_message_build(&m, &message, &err))
		die("%s", err.text);
	load->body = BUF_MAX(4 * n + 131072);
	/* Behind the two fields that each message gets for itself; its own Message-ID goes. */
	struct str rest = buf_str(&message), id = STR("Message-ID: <x@example.com>\r\n");
	const char *at = memmem(rest.p, rest.n, id.p, id.n);

	must(at != NULL);
	memmove((char *)at, at + id.n, rest.n - (size_t)(at - rest.p) - id.n);
	rest.n -= id.n;
	smtp_data_put(&load->body, rest);
	must(!load->body.is_full);
	buf_clear(&message);
	free(copy);
}

static void send_message(struct place *p)
{
	struct bench_load *load = p->load;
	static const char template[] = "X-Load-ID: rrrrrrrr-nnnnnnnn\r\nMessage-ID: "
				       "<rrrrrrrr-nnnnnnnn@bench.example.com>\r\n";
	enum { FIRST = 11, SECOND = FIRST + BENCH_BOOK_ID + 2 + 13 };

	memcpy(p->head, template, sizeof(template));
	p->number = bench_book_begin(load->book, p->head + FIRST, clock_mono());
	memcpy(p->head + SECOND, p->head + FIRST, BENCH_BOOK_ID);
	p->mail = (struct client_session_mail){
		.from = STR("sender@example.com"),
		.to = &load->to,
		.n_to = 1,
		.head = {p->head, sizeof(template) - 1},
		.body = buf_str(&load->body),
	};
	p->has_message = true;
	load->n_busy++;
	load->n_begun++;
	client_session_send(p->session, &p->mail);
}

/* ---- the course of a run ---- */

static bool may_begin(const struct bench_load *load)
{
	return load->is_loading && !load->is_over &&
	       (load->options.count == 0 || load->n_begun < load->options.count);
}

static void check_end(struct bench_load *load)
{
	if (!load->is_loading || load->n_busy > 0 || may_begin(load))
		return;
	load->is_loading = false;
	load->is_over = true;
	loop_timer_stop(load->stop);
	load->events.on_end(load->ctx);
}

static void on_stop(void *ctx)
{
	struct bench_load *load = ctx;

	load->is_over = true;
	check_end(load);
}

static void note_failure(struct bench_load *load, const char *text)
{
	if (load->counts.first_failure[0] == '\0')
		snprintf(load->counts.first_failure, sizeof(load->counts.first_failure), "%.500s",
			 text);
}

static void begin(struct bench_load *load)
{
	load->is_loading = true;
	load->began = clock_mono();
	load->events.on_begin(load->ctx);
	if (load->options.mode == BENCH_LOAD_IDLE)
		return;
	if (load->options.time > 0)
		loop_timer_set(load->stop, load->options.time);
	if (load->options.mode == BENCH_LOAD_RATE)
		loop_timer_set(load->timer, 0);
	else if (load->options.mode == BENCH_LOAD_KEPT)
		for (size_t i = 0; i < load->options.sessions; i++)
			if (load->place[i].session != NULL &&
			    client_session_is_ready(load->place[i].session) && may_begin(load))
				send_message(&load->place[i]);
}

/* Before the load begins only so many sessions log in at once: passwords and handshakes are slow.
 */
static void open_more(struct bench_load *load)
{
	size_t at_once = load->options.mode == BENCH_LOAD_NEW ? load->options.sessions : AT_ONCE;

	while (load->n_opened < load->options.sessions && load->n_opened < load->n_ready + at_once)
		open_place(&load->place[load->n_opened++]);
}

/* The next thing for a session that is logged in and has no message. */
static void go_on(struct place *p)
{
	struct bench_load *load = p->load;

	if (!load->is_loading || load->options.mode == BENCH_LOAD_IDLE)
		return;
	if (load->options.mode == BENCH_LOAD_RATE) {
		load->idle[load->n_idle++] = p;
		/* Something may be overdue. */
		if (load->n_idle == 1)
			loop_timer_set(load->timer, 0);
	} else if (may_begin(load)) {
		send_message(p);
	}
}

static void on_ready(void *ctx, struct client_session *session)
{
	struct place *p = ctx;
	struct bench_load *load = p->load;
	const struct client_session_times *t = client_session_times(session);

	client_stats_add(&load->counts.connect, t->connect);
	client_stats_add(&load->counts.tls, t->tls);
	client_stats_add(&load->counts.auth, t->auth);
	load->n_hopeless = 0;
	p->was_ready = true;
	load->n_ready++;
	if (load->is_loading || load->is_over) {
		go_on(p);
		return;
	}
	if (load->options.mode == BENCH_LOAD_RATE)
		load->idle[load->n_idle++] = p;
	open_more(load);
	if (load->n_ready == load->options.sessions)
		begin(load);
}

static void settle(struct place *p)
{
	p->has_message = false;
	p->load->n_busy--;
}

static void on_result(void *ctx, struct client_session *session,
		      const struct client_session_result *r)
{
	struct place *p = ctx;
	struct bench_load *load = p->load;
	char why[300];

	settle(p);
	if (r->is_accepted) {
		bench_book_accept(load->book, p->number, r->ended);
		if (load->options.mode == BENCH_LOAD_NEW)
			client_stats_add(&load->counts.whole, r->ended - p->opened);
	} else {
		load->counts.refused++;
		snprintf(why, sizeof(why), "%s refused: %.*s", r->command, STR_ARG(r->reply));
		note_failure(load, why);
	}
	if (load->options.mode == BENCH_LOAD_NEW)
		client_session_quit(session);
	else
		go_on(p);
	check_end(load);
}

static void drop_idle(struct bench_load *load, const struct place *p)
{
	for (size_t i = 0; i < load->n_idle; i++)
		if (load->idle[i] == p)
			load->idle[i] = load->idle[--load->n_idle];
}

/* NEW: how long until this place's next connection is due. */
static int64_t until_next(const struct place *p)
{
	const struct bench_load_options *o = &p->load->options;
	int64_t wait = o->rate > 0 ? (int64_t)((double)o->sessions / o->rate * CLOCK_SECOND) : 0;

	wait -= clock_mono() - p->opened;
	return wait > 0 ? wait : 0;
}

static void on_end(void *ctx, struct client_session *session,
		   const struct client_session_failure *failure)
{
	struct place *p = ctx;
	struct bench_load *load = p->load;

	(void)session;
	client_session_free(&p->session);
	drop_idle(load, p);
	load->n_ready -= p->was_ready;
	p->was_ready = false;
	if (failure == NULL) { /* QUIT: a new connection for the next message */
		if (may_begin(load))
			loop_timer_set(p->retry, until_next(p));
		return;
	}
	note_failure(load, failure->text);
	load->counts.broken++;
	if (p->has_message) {
		load->counts.unknown += failure->is_unknown;
		settle(p);
	}
	if (++load->n_hopeless > HOPELESS + load->options.sessions) {
		load->events.on_hopeless(load->ctx);
		return;
	}
	if (!load->is_over)
		loop_timer_set(p->retry, RETRY);
	check_end(load);
}

static void open_place(void *ctx)
{
	struct place *p = ctx;
	struct bench_load *load = p->load;

	if (load->options.mode == BENCH_LOAD_NEW && !may_begin(load))
		return;
	p->opened = clock_mono();
	p->session =
		client_session_new(load->loop, &load->options.server, &load->session_events, p);
}

/* RATE: begins what is due. */
static void pump(void *ctx)
{
	struct bench_load *load = ctx;
	int64_t now = clock_mono(), due;

	while (may_begin(load)) {
		due = load->began +
		      (int64_t)((double)load->n_begun / load->options.rate * CLOCK_SECOND);
		if (due > now) {
			loop_timer_set(load->timer, due - now);
			return;
		}
		if (load->n_idle == 0) {
			load->counts.late++;
			return; /* go_on() comes back */
		}
		client_stats_add(&load->counts.lag, now - due);
		send_message(load->idle[--load->n_idle]);
	}
	check_end(load);
}

struct bench_load *bench_load_new(struct loop *loop, struct bench_book *book,
				  const struct bench_load_options *options,
				  const struct bench_load_events *events, void *ctx)
{
	struct bench_load *load = mem_zero(sizeof(*load));

	load->loop = loop;
	load->book = book;
	load->options = *options;
	load->events = *events;
	load->ctx = ctx;
	load->session_events = (struct client_session_events){
		.on_ready = on_ready, .on_result = on_result, .on_end = on_end};
	load->to = STR("recipient@example.net");
	load->timer = loop_timer_new(loop, pump, load);
	load->stop = loop_timer_new(loop, on_stop, load);
	load->place = mem_array(options->sessions, sizeof(*load->place));
	load->idle = mem_array(options->sessions, sizeof(struct place *));
	for (size_t i = 0; i < options->sessions; i++) {
		load->place[i].load = load;
		load->place[i].retry = loop_timer_new(loop, open_place, &load->place[i]);
	}
	build_body(load);
	if (options->mode == BENCH_LOAD_NEW)
		begin(load);
	open_more(load);
	return load;
}

struct bench_load_counts *bench_load_counts(struct bench_load *load)
{
	return &load->counts;
}

void bench_load_free(struct bench_load **load)
{
	struct bench_load *l = *load;

	for (size_t i = 0; i < l->options.sessions; i++) {
		client_session_free(&l->place[i].session);
		loop_timer_free(&l->place[i].retry);
	}
	loop_turn(l->loop, 0);
	loop_timer_free(&l->timer);
	loop_timer_free(&l->stop);
	client_stats_clear(&l->counts.connect);
	client_stats_clear(&l->counts.tls);
	client_stats_clear(&l->counts.auth);
	client_stats_clear(&l->counts.lag);
	client_stats_clear(&l->counts.whole);
	buf_clear(&l->body);
	free(l->place);
	free(l->idle);
	mem_free(load);
}
