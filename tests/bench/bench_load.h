/* SPDX-License-Identifier: Apache-2.0
 *
 * The load: many client sessions (client/client_session.h) on one loop, in one of four patterns.
 */
#ifndef TESTS_BENCH_BENCH_LOAD_H
#define TESTS_BENCH_BENCH_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "client/client_session.h"
#include "client/client_stats.h"
#include "tests/bench/bench_book.h"

enum bench_load_mode {
	BENCH_LOAD_KEPT, /* every session sends one message after the other */
	BENCH_LOAD_NEW,	 /* a new connection, handshake and AUTH for every message; `rate` bounds how many a second */
	BENCH_LOAD_RATE, /* open loop: a message is due every 1/rate seconds, whatever became of the
			    last */
	BENCH_LOAD_IDLE, /* log in and stay */
};

struct bench_load_options {
	enum bench_load_mode mode;
	struct client_session_server server;
	uint64_t sessions;
	uint64_t size;	     /* bytes of a message, about */
	double rate;	     /* messages a second */
	int64_t time;	     /* microseconds of load */
	uint64_t count;	     /* or so many messages; 0: no limit */
	bool has_attachment; /* the bulk is a base64 attachment instead of text */
};

struct bench_load_counts {
	uint64_t refused; /* messages answered with other than 2xx */
	uint64_t broken;  /* sessions that ended before their time */
	uint64_t unknown; /* of those, with a message sent and not answered */
	uint64_t late;	  /* open loop: messages that were due while no session was free */
	char first_failure[512];
	struct client_stats connect, tls, auth, lag; /* lag: due to begun, open loop */
	struct client_stats whole; /* NEW: from the beginning of the connection to the message's 250 */
};

struct bench_load_events {
	void (*on_begin)(
		void *ctx); /* all sessions are logged in (KEPT, RATE, IDLE), the load begins */
	void (*on_end)(void *ctx);	/* no more messages are begun, none is under way */
	void (*on_hopeless)(void *ctx); /* sessions cannot log in at all */
};

struct bench_load;

struct bench_load *bench_load_new(struct loop *loop, struct bench_book *book,
				  const struct bench_load_options *options,
				  const struct bench_load_events *events, void *ctx);
struct bench_load_counts *bench_load_counts(struct bench_load *load);
void bench_load_free(struct bench_load **load);

#endif
