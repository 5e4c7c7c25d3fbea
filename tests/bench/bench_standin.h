/* SPDX-License-Identifier: Apache-2.0
 *
 * A stand-in for SendGrid's v3 API: takes POST /v3/mail/send over kept HTTP/1.1 connections, checks
 * the key, notes the message's load id in the book, answers 202. Lives on the load generator's
 * loop, so that both ends of a message are timed by one clock.
 */
#ifndef TESTS_BENCH_BENCH_STANDIN_H
#define TESTS_BENCH_BENCH_STANDIN_H

#include <stdint.h>

#include "lib/net/loop.h"
#include "tests/bench/bench_book.h"

struct bench_standin_options {
	int listen_fd;	     /* a listening socket, taken over */
	const char *api_key; /* what must stand behind "Bearer " */
	int64_t latency;     /* microseconds before each answer */
	uint64_t fail_every; /* every so manyth request: 503; 0 never */
	uint64_t drop_every; /* read, then the connection is closed without an answer */
};

struct bench_standin_counts {
	uint64_t connections, requests, accepted, failed, dropped;
	uint64_t bad_key, bad_request, without_id;
	uint64_t bytes;
};

struct bench_standin;

struct bench_standin *bench_standin_new(struct loop *loop, struct bench_book *book,
					const struct bench_standin_options *options);
const struct bench_standin_counts *bench_standin_counts(const struct bench_standin *standin);
void bench_standin_free(struct bench_standin **standin);

#endif
