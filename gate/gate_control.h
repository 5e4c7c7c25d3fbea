/* SPDX-License-Identifier: Apache-2.0
 *
 * What an operator asks and tells gate (smtp-proxyctl ban): a line of words in, a JSON object out.
 *	ban list
 *	ban why ADDRESS
 *	ban lift ADDRESS
 *	ban add ADDRESS SECONDS WHO [REASON ...]	0 seconds: limits.ban_time
 */
#ifndef GATE_GATE_CONTROL_H
#define GATE_GATE_CONTROL_H

#include "gate/gate.h"

/* Borrowed for the call. */
typedef void gate_control_fn(void *ctx, struct str json);

/* Answers once, now or later. */
void gate_control_ask(struct gate *gate, struct str words, gate_control_fn *fn, void *ctx);

#endif
