/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines. Pure.
 */
#include "lib/smtp/smtp_line.h"

/* Throws away up to and including the next CRLF. False: it has not come yet. */
static bool skip(struct str *input)
{
	size_t at = 0;

	while (at < input->n) {
		size_t lf = at + str_find(str_from(*input, at), '\n');

		if (lf >= input->n)
			break;
		if (lf > 0 && input->p[lf - 1] == '\r') {
			*input = str_from(*input, lf + 1);
			return true;
		}
		at = lf + 1;
	}
	/* A CR at the end may be the first half of a CRLF. */
	*input = str_from(*input, input->n > 0 && input->p[input->n - 1] == '\r' ? input->n - 1 : input->n);
	return false;
}

static enum smtp_line_result refuse(struct smtp_line *state, struct str *input, enum smtp_line_result why)
{
	state->is_skipping = !skip(input);
	return why;
}

bool smtp_line_begin(struct smtp_line *state, struct str *input)
{
	if (state->is_skipping)
		state->is_skipping = !skip(input);
	return !state->is_skipping;
}

enum smtp_line_result smtp_line_take(struct smtp_line *state, struct str *input, size_t max, struct str *line)
{
	size_t lf, cr;

	if (!smtp_line_begin(state, input))
		return SMTP_LINE_MORE;
	lf = str_find(str_first(*input, max), '\n');
	cr = str_find(str_first(*input, lf), '\r');
	if (lf < input->n && lf < max && cr + 1 == lf) {
		*line = str_first(*input, cr);
		*input = str_from(*input, lf + 1);
		return SMTP_LINE_OK;
	}
	if ((lf < input->n && lf < max) || cr + 1 < (input->n < max ? input->n : max))
		return refuse(state, input, SMTP_LINE_BARE);
	return input->n >= max ? refuse(state, input, SMTP_LINE_LONG) : SMTP_LINE_MORE;
}
