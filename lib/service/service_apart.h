/* SPDX-License-Identifier: Apache-2.0
 *
 * A computation over bytes that are not to be trusted, in a process of its own that has no rights: what they do there to who parses them,
 * they can do to nobody else. The caller waits for it, some seconds at most. For master, and for tools that root runs.
 */
#ifndef LIB_SERVICE_SERVICE_APART_H
#define LIB_SERVICE_SERVICE_APART_H

#include <stddef.h>
#include <sys/types.h>

#include "lib/base/err.h"
#include "lib/settings/settings.h"

/* In the new process: fills `result`, which is zeroed. */
typedef void service_apart_fn(const void *ctx, void *result);

/* fn's result is copied out as it is: `size` octets that are not to be trusted either. The other process forgets the secrets of the settings
 * first. False: it ended before it had a result, or took longer than `longest` microseconds. */
bool service_apart_run(service_apart_fn *fn, const void *ctx, const struct settings *settings, int64_t longest, void *result, size_t size,
		      struct err *err);

/* In a new process: it dies with its parent, and signals are as at the beginning of a program. */
void service_apart_reset(pid_t parent);

#endif
