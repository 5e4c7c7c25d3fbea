/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory that is there or the process is not: no caller checks for NULL.
 */
#ifndef LIB_BASE_MEM_H
#define LIB_BASE_MEM_H

#include <stddef.h>

/* Zeroed memory; the caller frees it with free() or mem_free(). Never NULL. */
void *mem_zero(size_t size);
/* Zeroed memory for `count` things of `size` bytes; dies when the product overflows. */
void *mem_array(size_t count, size_t size);
/* As realloc(), never NULL. */
void *mem_grow(void *old, size_t size);
/* A copy of n bytes with a NUL behind them. */
char *mem_copy(const void *bytes, size_t n);
/* A copy of a C string; NULL gives NULL. */
char *mem_text(const char *text);

/* Frees *p and sets it to NULL. */
#define mem_free(p) (free(*(p)), (void)(*(p) = NULL))

/* Overwrites a secret; the compiler may not leave it out. */
void mem_wipe(void *secret, size_t n);
/* Wipes and frees a secret C string, sets it to NULL. */
void mem_free_secret(char **secret);

#endif
