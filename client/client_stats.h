/* SPDX-License-Identifier: Apache-2.0
 *
 * Durations, and what share of them was below what: p50, p90, p95, p99, max. Keeps every sample, so
 * that the figures are exact. Used by test-client batch and by the load generator of tests/bench.
 */
#ifndef CLIENT_CLIENT_STATS_H
#define CLIENT_CLIENT_STATS_H

#include <stddef.h>
#include <stdint.h>

struct client_stats {
	int64_t *sample; /* microseconds */
	size_t n, size;
};

struct client_stats_summary {
	size_t n;
	double mean, p50, p90, p95, p99, max; /* milliseconds */
};

void client_stats_add(struct client_stats *stats, int64_t microseconds);
/* Sorts the samples. All zero when there are none. The percentiles are samples that occurred: the
 * smallest one that at least so many per cent of all do not exceed (nearest rank). */
struct client_stats_summary client_stats_summarize(struct client_stats *stats);
void client_stats_clear(struct client_stats *stats);

#endif
