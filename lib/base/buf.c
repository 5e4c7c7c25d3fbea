/* SPDX-License-Identifier: Apache-2.0
 *
 * Bounded growing bytes and the bounded reader. Pure but for memory.
 */
#include "lib/base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/trouble.h"

enum { BUF_SMALLEST = 64 };

void buf_init(struct buf *b, size_t max)
{
	*b = BUF_MAX(max);
}

void buf_clear(struct buf *b)
{
	free(b->p);
	*b = BUF_MAX(b->max);
}

void buf_clear_secret(struct buf *b)
{
	if (b->p != NULL)
		mem_wipe(b->p, b->size);
	buf_clear(b);
}

void buf_reset(struct buf *b)
{
	b->n = 0;
	b->is_full = false;
}

struct str buf_str(const struct buf *b)
{
	return (struct str){b->p, b->n};
}

char *buf_room(struct buf *b, size_t n)
{
	size_t size;

	if (b->is_full || n > b->max || b->n > b->max - n) {
		b->is_full = true;
		return NULL;
	}
	if (b->n + n > b->size || b->p == NULL) {
		size = b->size < BUF_SMALLEST ? BUF_SMALLEST : b->size;
		while (size < b->n + n)
			size *= 2;
		if (size > b->max)
			size = b->max;
		b->p = mem_grow(b->p, size);
		b->size = size;
	}
	return b->p + b->n;
}

void buf_added(struct buf *b, size_t n)
{
	must(n <= b->size - b->n);
	b->n += n;
}

bool buf_put(struct buf *b, const void *bytes, size_t n)
{
	char *room;

	if (n == 0)
		return !b->is_full;
	room = buf_room(b, n);
	if (room == NULL)
		return false;
	memcpy(room, bytes, n);
	b->n += n;
	return true;
}

bool buf_put_str(struct buf *b, struct str s)
{
	return buf_put(b, s.p, s.n);
}

bool buf_put_text(struct buf *b, const char *text)
{
	return buf_put(b, text, strlen(text));
}

bool buf_put_char(struct buf *b, char c)
{
	return buf_put(b, &c, 1);
}

bool buf_vprintf(struct buf *b, const char *format, va_list args)
{
	va_list again;
	char small[256], *large;
	int n;
	bool ok;

	va_copy(again, args);
	n = vsnprintf(small, sizeof(small), format, args);
	must(n >= 0);
	if ((size_t)n < sizeof(small)) {
		ok = buf_put(b, small, (size_t)n);
	} else {
		large = mem_grow(NULL, (size_t)n + 1);
		vsnprintf(large, (size_t)n + 1, format, again);
		ok = buf_put(b, large, (size_t)n);
		free(large);
	}
	va_end(again);
	return ok;
}

bool buf_printf(struct buf *b, const char *format, ...)
{
	va_list args;
	bool ok;

	va_start(args, format);
	ok = buf_vprintf(b, format, args);
	va_end(args);
	return ok;
}

bool buf_put_u8(struct buf *b, uint8_t v)
{
	return buf_put(b, &v, 1);
}

static bool put_big_endian(struct buf *b, uint64_t v, size_t bytes)
{
	unsigned char out[8];

	for (size_t i = 0; i < bytes; i++)
		out[i] = (unsigned char)(v >> (8 * (bytes - 1 - i)));
	return buf_put(b, out, bytes);
}

bool buf_put_u16(struct buf *b, uint16_t v)
{
	return put_big_endian(b, v, 2);
}

bool buf_put_u32(struct buf *b, uint32_t v)
{
	return put_big_endian(b, v, 4);
}

bool buf_put_u64(struct buf *b, uint64_t v)
{
	return put_big_endian(b, v, 8);
}

bool buf_put_blob(struct buf *b, struct str s)
{
	if (s.n > UINT32_MAX) {
		b->is_full = true;
		return false;
	}
	return buf_put_u32(b, (uint32_t)s.n) && buf_put_str(b, s);
}

void buf_consume(struct buf *b, size_t n)
{
	must(n <= b->n);
	b->n -= n;
	if (b->n > 0)
		memmove(b->p, b->p + n, b->n);
}

char *buf_take_text(struct buf *b)
{
	char *text = mem_copy(b->p, b->n);

	buf_clear(b);
	return text;
}

struct reader reader_of(struct str s)
{
	return (struct reader){s.p, s.n, false};
}

struct str reader_bytes(struct reader *r, size_t n)
{
	struct str s;

	if (r->is_bad || n > r->n) {
		r->is_bad = true;
		return (struct str){NULL, 0};
	}
	s = str_bytes(r->p, n);
	if (n > 0)
		r->p += n;
	r->n -= n;
	return s;
}

static uint64_t read_big_endian(struct reader *r, size_t bytes)
{
	struct str s = reader_bytes(r, bytes);
	uint64_t v = 0;

	for (size_t i = 0; i < s.n; i++)
		v = v << 8 | (unsigned char)s.p[i];
	return v;
}

uint8_t reader_u8(struct reader *r)
{
	return (uint8_t)read_big_endian(r, 1);
}

uint16_t reader_u16(struct reader *r)
{
	return (uint16_t)read_big_endian(r, 2);
}

uint32_t reader_u32(struct reader *r)
{
	return (uint32_t)read_big_endian(r, 4);
}

uint64_t reader_u64(struct reader *r)
{
	return read_big_endian(r, 8);
}

struct str reader_blob(struct reader *r)
{
	return reader_bytes(r, reader_u32(r));
}

void reader_text(struct reader *r, char *out, size_t size)
{
	if (!str_copy(reader_blob(r), out, size))
		r->is_bad = true;
}

bool reader_is_done(const struct reader *r)
{
	return !r->is_bad && r->n == 0;
}
