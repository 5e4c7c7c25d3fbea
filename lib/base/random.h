/* SPDX-License-Identifier: Apache-2.0
 *
 * Random bytes of the kernel's, good enough for keys. Small requests come from a pool, so that an id
 * does not cost a system call.
 */
#ifndef LIB_BASE_RANDOM_H
#define LIB_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

void random_fill(void *out, size_t n);
/* Evenly from [0, below); below > 0. */
uint64_t random_below(uint64_t below);

#endif
