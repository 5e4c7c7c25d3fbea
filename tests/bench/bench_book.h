/* SPDX-License-Identifier: Apache-2.0
 *
 * What became of every message of a run: when it was begun, accepted, and answered by the provider;
 * one clock, one process. A message is known by its load id, "RRRRRRRR-NNNNNNNN": the run and a
 * number.
 */
#ifndef TESTS_BENCH_BENCH_BOOK_H
#define TESTS_BENCH_BENCH_BOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/client_stats.h"
#include "lib/base/str.h"

enum { BENCH_BOOK_ID = 17 };

struct bench_entry {
	int64_t began, accepted, answered; /* clock_mono(); 0: not yet */
	uint32_t n_answered;		   /* by the provider with 202 */
	bool is_dropped; /* the provider read it and gave no answer (--drop-every) */
};

struct bench_book {
	uint32_t run;
	struct bench_entry *entry;
	size_t n, size;
	uint64_t n_accepted, n_delivered; /* of those accepted; each once */
	uint64_t n_strangers;		  /* ids of no message of this run */
	int64_t last_accepted, last_answered;
};

struct bench_book_result {
	uint64_t begun, accepted,
		delivered;   /* delivered: accepted ones that the provider answered */
	uint64_t lost;	     /* accepted and not delivered */
	uint64_t duplicates; /* answers beyond the first for a message */
	uint64_t unaccepted; /* delivered without a 250: the session broke after DATA */
	uint64_t dropped;
};

void bench_book_open(struct bench_book *book);
/* A new message: its number, and its id as text (16 characters and a hyphen, no NUL) into id. */
size_t bench_book_begin(struct bench_book *book, char *id, int64_t now);
void bench_book_accept(struct bench_book *book, size_t number, int64_t now);
/* The provider has answered (or, is_dropped, read and not answered) the message with this id. */
void bench_book_answer(struct bench_book *book, struct str id, bool is_dropped, int64_t now);
bool bench_book_is_settled(const struct bench_book *book);
struct bench_book_result bench_book_close(const struct bench_book *book,
					  struct client_stats *to_250,
					  struct client_stats *to_answer);
void bench_book_clear(struct bench_book *book);

#endif
