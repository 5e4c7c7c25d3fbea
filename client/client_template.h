/* SPDX-License-Identifier: Apache-2.0
 *
 * Texts that differ from message to message: {n}, {count}, {time}, {random} in a subject, a body or
 * an address. Pure. Used by test-client batch.
 */
#ifndef CLIENT_CLIENT_TEMPLATE_H
#define CLIENT_CLIENT_TEMPLATE_H

#include <stdint.h>

#include "lib/base/buf.h"

struct client_template_values {
	uint64_t n, count;
	int64_t time;	 /* seconds since 1970, written as 2026-01-31T12:00:00Z */
	uint64_t random; /* written as 16 hexadecimal digits */
};

/* Appends the text with the words in braces replaced; other braces stay as they are. */
void client_template_fill(struct str text, const struct client_template_values *values,
			  struct buf *out);

#endif
