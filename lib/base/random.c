/* SPDX-License-Identifier: Apache-2.0
 *
 * Randomness from getrandom(2).
 */
#include "lib/base/random.h"

#include <string.h>
#include <sys/random.h>
#include <sys/types.h>

#include "lib/base/mem.h"
#include "lib/base/trouble.h"

static struct {
	unsigned char bytes[512];
	size_t left;
} pool;

static void from_kernel(void *out, size_t n)
{
	unsigned char *to = out;

	while (n > 0) {
		ssize_t got = getrandom(to, n, 0);

		if (got < 0)
			die("getrandom failed");
		to += got;
		n -= (size_t)got;
	}
}

void random_fill(void *out, size_t n)
{
	if (n > sizeof(pool.bytes) / 4) {
		from_kernel(out, n);
		return;
	}
	if (pool.left < n) {
		from_kernel(pool.bytes, sizeof(pool.bytes));
		pool.left = sizeof(pool.bytes);
	}
	pool.left -= n;
	memcpy(out, pool.bytes + pool.left, n);
	mem_wipe(pool.bytes + pool.left, n);
}

uint64_t random_below(uint64_t below)
{
	uint64_t v, limit;

	must(below > 0);
	/* Values past the last full multiple of `below` would favour the small ones: drawn again. */
	limit = UINT64_MAX - UINT64_MAX % below;
	do {
		random_fill(&v, sizeof(v));
	} while (v >= limit);
	return v % below;
}
