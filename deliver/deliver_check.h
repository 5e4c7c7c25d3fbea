/* SPDX-License-Identifier: Apache-2.0
 *
 * A call that sends no mail: is the provider there, does it take the credentials? Operators ask for it (smtp-proxyctl provider
 * test) with the words
 *	check KEY
 * and every agent answers for itself, with a JSON object.
 */
#ifndef DELIVER_DELIVER_CHECK_H
#define DELIVER_DELIVER_CHECK_H

#include "deliver/deliver_job.h"

typedef void deliver_check_fn(uint64_t id, struct str json);

/* Tells the answer once, now or within four seconds. */
void deliver_check_ask(struct deliver_job_pool *pool, uint64_t id, struct str words, deliver_check_fn *tell);

#endif
