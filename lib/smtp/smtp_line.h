/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes to command lines. Only CRLF ends a line. A bare CR or LF makes the line bad, and all up to the
 * next CRLF goes with it: taking it for an end would let a value with a newline smuggle a command in.
 */
#ifndef LIB_SMTP_SMTP_LINE_H
#define LIB_SMTP_SMTP_LINE_H

#include <stdbool.h>

#include "lib/base/str.h"

enum {
	SMTP_LINE_MAX = 2048,	    /* RFC 5321, 4.5.3.1.4 asks for 512 and more with extensions */
	SMTP_LINE_AUTH_MAX = 12288, /* RFC 4954, 4 */
};

enum smtp_line_result {
	SMTP_LINE_MORE, /* no whole line yet */
	SMTP_LINE_OK,
	SMTP_LINE_BARE, /* a bare CR or LF: to be said once, the rest of the line is skipped */
	SMTP_LINE_LONG, /* longer than `max`: likewise */
};

/* Start with a zeroed one. */
struct smtp_line {
	bool is_skipping;
};

/* Throws away what is left of a line that was refused, so that *input begins with a line. False: its end has not come. */
bool smtp_line_begin(struct smtp_line *state, struct str *input);
/* Takes the next line off the front of *input; *line is it without its CRLF, borrowed. `max` counts the
 * CRLF too. */
enum smtp_line_result smtp_line_take(struct smtp_line *state, struct str *input, size_t max, struct str *line);

#endif
