/* SPDX-License-Identifier: Apache-2.0
 *
 * The metrics: one shared memory segment that master makes; each process adds to its own part, without
 * locks, and api sums the parts up. The parts outlive their process: a restarted child goes on counting
 * where the dead one stopped (gauges of a dead child are zeroed by master).
 */
#ifndef LIB_SERVICE_METRICS_H
#define LIB_SERVICE_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/settings/settings.h"

enum metric {
#define METRIC(constant, kind, name, label, prose) METRIC_##constant,
#include "lib/service/metrics.def"
#undef METRIC
	METRIC_COUNT
};

enum { METRICS_PARTS = 512, METRICS_LABELS = 64 };

/* master: makes the segment (a memfd) and takes part 0 of it. */
int metrics_create(void);
/* A child: maps what master gave it and takes its part. Before this, and in programs that never call it,
 * counting goes nowhere. */
void metrics_open(int fd, unsigned part);
/* Provider i and certificate i of these settings are counted under their keys, wherever they stood in earlier settings. master
 * names them first, with every new settings; then each child (service_main() does it). */
void metrics_name_keys(const struct settings *settings);
/* master: the gauges of a part whose process died go to zero. */
void metrics_clear_gauges(unsigned part);

void metrics_add(enum metric metric, uint64_t n);
void metrics_add_at(enum metric metric, unsigned label, uint64_t n);
void metrics_set(enum metric metric, int64_t value);
void metrics_set_at(enum metric metric, unsigned label, int64_t value);
void metrics_time(enum metric metric, int64_t microseconds);
void metrics_time_at(enum metric metric, unsigned label, int64_t microseconds);
/* The label of a series between two providers of the settings. */
static inline unsigned metrics_pair(unsigned from, unsigned to)
{
	return from * METRICS_LABELS + to;
}

/* The sum over all parts of a counter or gauge. */
int64_t metrics_sum(enum metric metric, unsigned label);

/* Prometheus' text form (version 0.0.4) of everything; every series is there, also at zero, with the labels
 * of the providers and certificates that were named and the roles; but of pairs those that were counted, and a gauge only of what
 * the settings still name. */
void metrics_render(struct buf *out);

#endif
