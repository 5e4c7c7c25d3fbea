/* SPDX-License-Identifier: Apache-2.0
 *
 * Message octets. Pure; whole lines are copied at once.
 */
#include "lib/smtp/smtp_data.h"

static void emit(struct smtp_data *data, struct buf *out, struct str s)
{
	data->size += s.n;
	if (out != NULL)
		buf_put_str(out, s);
}

/* Whole good lines at the start of a line, as many as there are, in as few copies as dots permit. */
static void take_lines(struct smtp_data *data, struct str *input, struct buf *out)
{
	struct str run = *input;
	size_t n = 0;

	while (n < input->n && input->p[n] != '.') {
		struct str rest = str_from(*input, n);
		size_t lf = str_find(rest, '\n');

		if (lf == rest.n || lf == 0 || str_find(str_first(rest, lf), '\r') != lf - 1)
			break;
		n += lf + 1;
	}
	emit(data, out, str_first(run, n));
	*input = str_from(*input, n);
}

/* Bytes of a line up to its next CR or LF. */
static void take_text(struct smtp_data *data, struct str *input, struct buf *out)
{
	size_t n = str_find(str_first(*input, str_find(*input, '\n')), '\r');

	emit(data, out, str_first(*input, n));
	*input = str_from(*input, n);
	if (n > 0)
		data->state = SMTP_DATA_TEXT;
}

/* A byte after a CR that was held back. */
static void after_cr(struct smtp_data *data, char c, struct buf *out)
{
	if (c == '\n') {
		emit(data, out, STR("\r\n"));
		data->state = SMTP_DATA_LINE_START;
		return;
	}
	emit(data, out, STR(" "));
	data->has_bare = true;
	data->state = c == '\r' ? SMTP_DATA_CR : SMTP_DATA_TEXT;
	if (c != '\r')
		emit(data, out, str_bytes(&c, 1));
}

static void in_line(struct smtp_data *data, char c, struct buf *out)
{
	data->state = SMTP_DATA_TEXT;
	if (c == '\r') {
		data->state = SMTP_DATA_CR;
	} else if (c == '\n') {
		emit(data, out, STR("\r\n"));
		data->has_bare = true;
	} else {
		emit(data, out, str_bytes(&c, 1));
	}
}

static void take_byte(struct smtp_data *data, char c, struct buf *out)
{
	switch (data->state) {
	case SMTP_DATA_LINE_START:
		if (c == '.')
			data->state = SMTP_DATA_DOT;
		else
			in_line(data, c, out);
		break;
	case SMTP_DATA_DOT:
		if (c == '\r')
			data->state = SMTP_DATA_DOT_CR;
		else
			in_line(data, c, out); /* the dot goes */
		break;
	case SMTP_DATA_DOT_CR:
		if (c == '\n')
			data->state = SMTP_DATA_END;
		else
			after_cr(data, c, out);
		break;
	case SMTP_DATA_CR:
		after_cr(data, c, out);
		break;
	case SMTP_DATA_TEXT:
		in_line(data, c, out);
		break;
	case SMTP_DATA_END:
		break;
	}
}

bool smtp_data_take(struct smtp_data *data, struct str *input, struct buf *out)
{
	while (input->n > 0 && data->state != SMTP_DATA_END) {
		if (data->state == SMTP_DATA_LINE_START)
			take_lines(data, input, out);
		else if (data->state == SMTP_DATA_TEXT)
			take_text(data, input, out);
		if (input->n == 0)
			break;
		take_byte(data, input->p[0], out);
		*input = str_from(*input, 1);
	}
	return data->state == SMTP_DATA_END;
}

void smtp_data_take_chunk(struct smtp_data *data, struct str octets, struct buf *out)
{
	while (octets.n > 0) {
		char c;

		if (data->state != SMTP_DATA_CR)
			take_text(data, &octets, out);
		if (octets.n == 0)
			break;
		c = octets.p[0];
		octets = str_from(octets, 1);
		if (data->state == SMTP_DATA_CR)
			after_cr(data, c, out);
		else
			in_line(data, c, out);
		if (c == '\n')
			data->state = SMTP_DATA_LINE_START;
	}
}

void smtp_data_end(struct smtp_data *data, struct buf *out)
{
	data->has_bare |= data->state == SMTP_DATA_CR;
	if (data->state != SMTP_DATA_LINE_START)
		emit(data, out, STR("\r\n"));
	data->state = SMTP_DATA_END;
}

void smtp_data_put_piece(struct smtp_data_put *put, struct buf *out, struct str piece)
{
	while (piece.n > 0) {
		size_t lf = str_find(piece, '\n');
		struct str part = str_first(piece, lf);
		bool is_line = lf < piece.n;

		piece = str_from(piece, lf + 1);
		if (part.n > 0 && put->has_cr) {
			buf_put_char(out, '\r');
			put->is_in_line = true;
		}
		put->has_cr = part.n > 0 ? part.p[part.n - 1] == '\r' : put->has_cr;
		if (part.n > 0 && put->has_cr)
			part.n--;
		if (part.n > 0 && !put->is_in_line && part.p[0] == '.')
			buf_put_char(out, '.');
		put->is_in_line |= part.n > 0;
		buf_put_str(out, part);
		if (is_line) {
			buf_put_str(out, STR("\r\n"));
			*put = (struct smtp_data_put){0};
		}
	}
}

void smtp_data_put_end(struct smtp_data_put *put, struct buf *out)
{
	if (put->is_in_line || put->has_cr)
		buf_put_str(out, STR("\r\n"));
	buf_put_str(out, STR(".\r\n"));
}

void smtp_data_put(struct buf *out, struct str message)
{
	struct smtp_data_put put = {0};

	smtp_data_put_piece(&put, out, message);
	smtp_data_put_end(&put, out);
}
