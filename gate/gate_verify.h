/* SPDX-License-Identifier: Apache-2.0
 *
 * Verifies passwords beside the loop. A hash takes some 20 ms of processor time on purpose; on the
 * loop, every login would wait for the ones before it.
 */
#ifndef GATE_GATE_VERIFY_H
#define GATE_GATE_VERIFY_H

#include "gate/gate_attempt.h"
#include "lib/net/loop.h"

struct gate_verify;
/* On the loop: attempt->is_right and ->took are set. */
typedef void gate_verify_fn(void *ctx, struct gate_attempt *attempt);

struct gate_verify *gate_verify_new(struct loop *loop, unsigned threads, gate_verify_fn *fn,
				    void *ctx);
/* Waits for the threads; what is not verified yet is not called back. */
void gate_verify_free(struct gate_verify **verify);

/* Verifies the attempt's password against its hash; the attempt must live until the callback, which
 * comes always. */
void gate_verify_start(struct gate_verify *verify, struct gate_attempt *attempt);

#endif
