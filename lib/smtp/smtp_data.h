/* SPDX-License-Identifier: Apache-2.0
 *
 * A message on the wire: dot-stuffing both ways and the end of the data (RFC 5321, 4.5.2). Only CRLF.CRLF ends
 * it. A bare LF becomes CRLF and a bare CR a space, and has_bare tells that there was one; neither makes the
 * dot behind it special.
 */
#ifndef LIB_SMTP_SMTP_DATA_H
#define LIB_SMTP_SMTP_DATA_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"

enum smtp_data_state {
	SMTP_DATA_LINE_START, /* at the beginning, and after CRLF */
	SMTP_DATA_DOT,	      /* after CRLF and a dot */
	SMTP_DATA_DOT_CR,
	SMTP_DATA_TEXT,
	SMTP_DATA_CR, /* in a line, after a CR that is not passed on yet */
	SMTP_DATA_END,
};

/* Start with a zeroed one. */
struct smtp_data {
	enum smtp_data_state state;
	bool has_bare;
	uint64_t size; /* octets of the message so far */
};

/* Takes bytes off the front of *input, up to the end of the data or of the input, and appends the message to
 * `out` (NULL: it is only counted). True when the end has come. `out` must have room for 2 * input->n + 2 more
 * bytes: when it is full, bytes are lost and its is_full says so. */
bool smtp_data_take(struct smtp_data *data, struct str *input, struct buf *out);

/* The octets of a BDAT chunk, all of them: the same newlines, but a dot means nothing. `out` as above. */
void smtp_data_take_chunk(struct smtp_data *data, struct str octets, struct buf *out);
/* After the last chunk: an unfinished line is ended. `out` needs room for two bytes. */
void smtp_data_end(struct smtp_data *data, struct buf *out);

/* For clients: the message dot-stuffed, every line ended by CRLF, then the end of the data. */
void smtp_data_put(struct buf *out, struct str message);

/* The same a piece at a time, wherever the message is cut: start with a zeroed one. A piece grows to twice its size and two
 * octets more at most. */
struct smtp_data_put {
	bool is_in_line;
	bool has_cr; /* at the end of the piece before: not written yet */
};

void smtp_data_put_piece(struct smtp_data_put *put, struct buf *out, struct str piece);
void smtp_data_put_end(struct smtp_data_put *put, struct buf *out);

#endif
