/* SPDX-License-Identifier: Apache-2.0
 *
 * Spans of the clock: what is counted in one begins anew with the next, at the same moment on every host.
 */
#ifndef GATE_GATE_SPAN_H
#define GATE_GATE_SPAN_H

#include <stdint.h>

/* When the span ends that it is at `now` (wall clock, UTC). `span` as in struct gate_take, not 0. */
int64_t gate_span_end(int64_t span, int64_t now);

#endif
