/* SPDX-License-Identifier: Apache-2.0
 *
 * The last failed logins of each address, for whoever asks why it is banned. For so many addresses at most; of some at
 * random the one with the fewest goes, so that a flood of new addresses does not wipe out the record of one that was
 * banned. Pure but for memory.
 */
#ifndef GATE_GATE_FAILURES_H
#define GATE_GATE_FAILURES_H

#include <stddef.h>
#include <stdint.h>

enum { GATE_FAILURES_KEPT = 8, GATE_FAILURE_TEXT = 64 };

struct gate_failure {
	int64_t at; /* wall clock */
	char client[GATE_FAILURE_TEXT];
	char user[GATE_FAILURE_TEXT]; /* "": the name is no user's */
	char why[GATE_FAILURE_TEXT];
};

struct gate_failures;

struct gate_failures *gate_failures_new(size_t most);
void gate_failures_free(struct gate_failures **failures);

/* `address` as network_key() names it. */
void gate_failures_add(struct gate_failures *failures, const char *address, const struct gate_failure *failure);
/* The last ones, the oldest first, into out[GATE_FAILURES_KEPT]; returns how many. */
size_t gate_failures_list(const struct gate_failures *failures, const char *address, struct gate_failure *out);
void gate_failures_forget(struct gate_failures *failures, const char *address);

#endif
