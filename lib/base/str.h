/* SPDX-License-Identifier: Apache-2.0
 *
 * Borrowed text: a pointer and a length. It owns nothing, may hold any byte (NUL too) and is passed
 * by value. All input is looked at through this type.
 */
#ifndef LIB_BASE_STR_H
#define LIB_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
	const char *p;
	size_t n;
};

/* A string literal as a str. */
#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
/* For printf's "%.*s". */
#define STR_ARG(s) (int)(s).n, (s).p ? (s).p : ""

/* A C string as a str; NULL gives the empty one. */
struct str str_of(const char *text);
struct str str_bytes(const void *p, size_t n);

bool str_eq(struct str a, struct str b);
/* ASCII letters compare without case; other bytes as they are. */
bool str_ieq(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_istarts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);

/* Where `c` first stands, or s.n. */
size_t str_find(struct str s, char c);
/* Without the blanks (space and tab) at both ends. */
struct str str_trim(struct str s);
/* The same, and without line ends there: of a field that may be folded (RFC 5322, 2.2.3). */
struct str str_trim_folded(struct str s);
/* From byte `from` on; past the end gives the empty string. */
struct str str_from(struct str s, size_t from);
/* The first n bytes; all of it when it is shorter. */
struct str str_first(struct str s, size_t n);
/* Takes what stands before `separator` off the front of *rest (and the separator itself), into
 * *part. False when *rest was already used up (its p is NULL). */
bool str_next(struct str *rest, char separator, struct str *part);

/* Decimal digits only, within [min, max]. False leaves *value alone. */
bool str_u64(struct str s, uint64_t min, uint64_t max, uint64_t *value);

/* Only printable ASCII and space. */
bool str_is_printable(struct str s);
/* Well-formed UTF-8 (RFC 3629: shortest form, no surrogates). */
bool str_is_utf8(struct str s);
/* All bytes below 0x80. */
bool str_is_ascii(struct str s);

/* A NUL-terminated copy that the caller frees. */
char *str_dup(struct str s);
/* Copies into `out` (of `size` bytes), NUL-terminated; false when it did not fit or held a NUL, and
 * out is then the empty string. */
bool str_copy(struct str s, char *out, size_t size);

#endif
