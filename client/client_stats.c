/* SPDX-License-Identifier: Apache-2.0
 *
 * Percentiles of durations. Called by client_batch.c and tests/bench.
 */
#include "client/client_stats.h"

#include <stdlib.h>

#include "lib/base/mem.h"

void client_stats_add(struct client_stats *stats, int64_t microseconds)
{
	if (stats->n == stats->size) {
		stats->size = stats->size ? 2 * stats->size : 1024;
		stats->sample = mem_grow(stats->sample, stats->size * sizeof(*stats->sample));
	}
	stats->sample[stats->n++] = microseconds;
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static double rank(const struct client_stats *stats, unsigned percent)
{
	size_t at = (stats->n * percent + 99) / 100;

	return (double)stats->sample[at > 0 ? at - 1 : 0] / 1000;
}

struct client_stats_summary client_stats_summarize(struct client_stats *stats)
{
	struct client_stats_summary s = {.n = stats->n};
	double sum = 0;

	if (stats->n == 0)
		return s;
	qsort(stats->sample, stats->n, sizeof(*stats->sample), by_size);
	for (size_t i = 0; i < stats->n; i++)
		sum += (double)stats->sample[i];
	s.mean = sum / (double)stats->n / 1000;
	s.p50 = rank(stats, 50);
	s.p90 = rank(stats, 90);
	s.p95 = rank(stats, 95);
	s.p99 = rank(stats, 99);
	s.max = rank(stats, 100);
	return s;
}

void client_stats_clear(struct client_stats *stats)
{
	mem_free(&stats->sample);
	stats->n = stats->size = 0;
}
