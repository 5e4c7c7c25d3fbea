/* SPDX-License-Identifier: Apache-2.0
 *
 * must() and die(): the last words of a process. They go through the log, so that an operator finds
 * them where everything else is.
 */
#include "lib/base/trouble.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "lib/base/log.h"

noreturn void trouble_bug(const char *file, int line, const char *what)
{
	log_error(NULL, "process.bug", log_text("file", file), log_int("line", line),
		  log_text("must", what));
	abort();
}

__attribute__((format(printf, 2, 0))) static noreturn void trouble_end(int status, const char *format, va_list args)
{
	char text[1024];

	vsnprintf(text, sizeof(text), format, args);
	log_error(NULL, "process.died", log_text("reason", text));
	exit(status);
}

noreturn void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	trouble_end(EX_OSERR, format, args);
}

noreturn void die_with(int status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	trouble_end(status, format, args);
}
