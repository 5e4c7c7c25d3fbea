/* SPDX-License-Identifier: Apache-2.0
 *
 * A ring for each address.
 */
#include "gate/gate_failures.h"

#include <stdlib.h>

#include "gate/gate_table.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"

enum { SAMPLE = 8 };

struct record {
	struct gate_entry entry;
	uint64_t n; /* ever */
	struct gate_failure last[GATE_FAILURES_KEPT];
};

struct gate_failures {
	struct gate_table *table;
};

struct gate_failures *gate_failures_new(size_t most)
{
	struct gate_failures *f = mem_zero(sizeof(*f));

	f->table = gate_table_new(sizeof(struct record), most);
	return f;
}

void gate_failures_free(struct gate_failures **failures)
{
	if (*failures == NULL)
		return;
	gate_table_free(&(*failures)->table);
	mem_free(failures);
}

static void make_room(struct gate_failures *f)
{
	void *some[SAMPLE];
	size_t n = gate_table_sample(f->table, some, SAMPLE);
	struct record *least = n > 0 ? some[0] : NULL;

	for (size_t i = 1; i < n; i++) {
		struct record *r = some[i];

		if (r->n < least->n || (r->n == least->n && r->last[0].at < least->last[0].at))
			least = r;
	}
	if (least != NULL)
		gate_table_remove(f->table, least);
}

void gate_failures_add(struct gate_failures *failures, const char *address, const struct gate_failure *failure)
{
	struct record *r = gate_table_find(failures->table, address, 0);

	if (r == NULL)
		r = gate_table_add(failures->table, address, 0);
	if (r == NULL) {
		make_room(failures);
		r = gate_table_add(failures->table, address, 0);
	}
	must(r != NULL);
	r->last[r->n++ % GATE_FAILURES_KEPT] = *failure;
}

size_t gate_failures_list(const struct gate_failures *failures, const char *address, struct gate_failure *out)
{
	const struct record *r = gate_table_find(failures->table, address, 0);
	size_t n;

	if (r == NULL)
		return 0;
	n = r->n < GATE_FAILURES_KEPT ? (size_t)r->n : GATE_FAILURES_KEPT;
	for (size_t i = 0; i < n; i++)
		out[i] = r->last[(r->n - n + i) % GATE_FAILURES_KEPT];
	return n;
}

void gate_failures_forget(struct gate_failures *failures, const char *address)
{
	struct record *r = gate_table_find(failures->table, address, 0);

	if (r != NULL)
		gate_table_remove(failures->table, r);
}
