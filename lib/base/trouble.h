/* SPDX-License-Identifier: Apache-2.0
 *
 * The two kinds of trouble that end a process: our own bug, and a broken machine. Expected failures
 * are returned (lib/base/err.h); the client's mistakes are replies.
 */
#ifndef LIB_BASE_TROUBLE_H
#define LIB_BASE_TROUBLE_H

#include <stdnoreturn.h>

/* A statement that holds unless we have a bug. Always compiled in; logs file:line and aborts, and
 * master starts the process again. */
#define must(cond) \
	((cond) ? (void)0 : trouble_bug(__FILE__, __LINE__, #cond))

noreturn void trouble_bug(const char *file, int line, const char *what);

/* The machine is broken (no memory, fork fails, a directory is gone): says why and exits with
 * EX_OSERR; master starts the process again with a growing delay. */
noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* As die(), with the exit status given (sysexits.h), for a program's main(). */
noreturn void die_with(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
