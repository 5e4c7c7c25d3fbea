/* SPDX-License-Identifier: Apache-2.0
 *
 * An expected failure, as one sentence for people: what failed, on what, and why. It is returned,
 * never logged where it arises; whoever decides what to do about it says so once.
 */
#ifndef LIB_BASE_ERR_H
#define LIB_BASE_ERR_H

#include <stdbool.h>

struct err {
	char text[512];
};

/* Both return false, so that a function can end with `return err_set(err, ...)`. err may be NULL. */
bool err_set(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Puts words in front of what is there: "cannot start: " before "no such file". */
bool err_wrap(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
