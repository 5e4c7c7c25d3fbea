/* SPDX-License-Identifier: Apache-2.0
 *
 * The ledger of a run. Written by bench_load.c (begun, accepted) and bench_standin.c (answered),
 * read by bench_run.c.
 */
#include "tests/bench/bench_book.h"

#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/base/random.h"

static void put_hex(char *out, uint32_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 4)
		out[i] = "0123456789abcdef"[v & 15];
}

static bool get_hex(struct str s, uint32_t *v)
{
	*v = 0;
	for (size_t i = 0; i < s.n; i++) {
		const char *digit = memchr("0123456789abcdef", s.p[i], 16);

		if (digit == NULL)
			return false;
		*v = *v << 4 | (uint32_t)(digit - "0123456789abcdef");
	}
	return s.n == 8;
}

void bench_book_open(struct bench_book *book)
{
	*book = (struct bench_book){0};
	random_fill(&book->run, sizeof(book->run));
}

size_t bench_book_begin(struct bench_book *book, char *id, int64_t now)
{
	size_t number = book->n++;

	if (book->n > book->size) {
		book->size = book->size ? 2 * book->size : 65536;
		book->entry = mem_grow(book->entry, book->size * sizeof(*book->entry));
	}
	book->entry[number] = (struct bench_entry){.began = now};
	put_hex(id, book->run);
	id[8] = '-';
	put_hex(id + 9, (uint32_t)number);
	return number;
}

void bench_book_accept(struct bench_book *book, size_t number, int64_t now)
{
	struct bench_entry *e = &book->entry[number];

	e->accepted = now;
	book->last_accepted = now;
	book->n_accepted++;
	book->n_delivered += e->answered != 0; /* the provider may be faster than the 250 */
}

void bench_book_answer(struct bench_book *book, struct str id, bool is_dropped, int64_t now)
{
	struct bench_entry *e;
	uint32_t run, number;

	if (id.n != BENCH_BOOK_ID || id.p[8] != '-' || !get_hex(str_first(id, 8), &run) ||
	    !get_hex(str_from(id, 9), &number) || run != book->run || number >= book->n) {
		book->n_strangers++;
		return;
	}
	e = &book->entry[number];
	if (is_dropped) {
		e->is_dropped = true;
		return;
	}
	if (e->n_answered++ > 0)
		return;
	e->answered = now;
	book->last_answered = now;
	book->n_delivered += e->accepted != 0;
}

bool bench_book_is_settled(const struct bench_book *book)
{
	return book->n_delivered == book->n_accepted;
}

struct bench_book_result bench_book_close(const struct bench_book *book,
					  struct client_stats *to_250,
					  struct client_stats *to_answer)
{
	struct bench_book_result r = {.begun = book->n};

	for (size_t i = 0; i < book->n; i++) {
		const struct bench_entry *e = &book->entry[i];

		r.accepted += e->accepted != 0;
		r.delivered += e->accepted != 0 && e->answered != 0;
		r.lost += e->accepted != 0 && e->answered == 0;
		r.unaccepted += e->accepted == 0 && e->answered != 0;
		r.duplicates += e->n_answered > 1 ? e->n_answered - 1 : 0;
		r.dropped += e->is_dropped;
		if (e->accepted != 0)
			client_stats_add(to_250, e->accepted - e->began);
		if (e->answered != 0)
			client_stats_add(to_answer, e->answered - e->began);
	}
	return r;
}

void bench_book_clear(struct bench_book *book)
{
	mem_free(&book->entry);
}
