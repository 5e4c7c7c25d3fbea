/* SPDX-License-Identifier: Apache-2.0
 *
 * Growing bytes with a maximum given at birth, and a reader for bytes that came from elsewhere.
 * Integers are big-endian; a blob is a 32-bit length and its bytes.
 *
 * Neither needs a check after every call: a buf that would outgrow its maximum keeps `is_full` set
 * and takes nothing more, a reader that ran past its end keeps `is_bad` set and gives zeroes. Check
 * once, at the end.
 */
#ifndef LIB_BASE_BUF_H
#define LIB_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/str.h"

struct buf {
	char *p;
	size_t n;    /* bytes in it */
	size_t size; /* bytes allocated */
	size_t max;
	bool is_full;
};

#define BUF_MAX(maximum) ((struct buf){.max = (maximum)})

void buf_init(struct buf *b, size_t max);
/* Frees the bytes; the buf can be used again. */
void buf_clear(struct buf *b);
/* As buf_clear(), for secrets: wipes what is in it first. */
void buf_clear_secret(struct buf *b);
/* Empties it and keeps the memory. */
void buf_reset(struct buf *b);
struct str buf_str(const struct buf *b);

/* Each returns false, and sets is_full, when the maximum would be passed. */
bool buf_put(struct buf *b, const void *bytes, size_t n);
bool buf_put_str(struct buf *b, struct str s);
bool buf_put_text(struct buf *b, const char *text);
bool buf_put_char(struct buf *b, char c);
bool buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool buf_vprintf(struct buf *b, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));
bool buf_put_u8(struct buf *b, uint8_t v);
bool buf_put_u16(struct buf *b, uint16_t v);
bool buf_put_u32(struct buf *b, uint32_t v);
bool buf_put_u64(struct buf *b, uint64_t v);
bool buf_put_blob(struct buf *b, struct str s);

/* Room for n more bytes, at the end, to be written by the caller and then counted in with
 * buf_added(); NULL when the maximum forbids it. */
char *buf_room(struct buf *b, size_t n);
void buf_added(struct buf *b, size_t n);
/* Takes n bytes off the front. */
void buf_consume(struct buf *b, size_t n);
/* The bytes as a NUL-terminated C string that the caller frees; the buf is empty afterwards. */
char *buf_take_text(struct buf *b);

struct reader {
	const char *p;
	size_t n; /* bytes left */
	bool is_bad;
};

struct reader reader_of(struct str s);
uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
/* n bytes, borrowed from what the reader reads. */
struct str reader_bytes(struct reader *r, size_t n);
struct str reader_blob(struct reader *r);
/* A blob as a NUL-terminated copy into `out`; too long, or with a NUL in it, is bad. */
void reader_text(struct reader *r, char *out, size_t size);
/* Nothing was missing and nothing is left over. */
bool reader_is_done(const struct reader *r);

#endif
