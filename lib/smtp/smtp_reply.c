/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing and reading replies. Pure.
 */
#include "lib/smtp/smtp_reply.h"

#include "lib/base/trouble.h"

static const struct {
	const char *token, *status, *text, *prose;
	unsigned code;
} replies[SMTP_REPLY_COUNT] = {
#define REPLY(token, code, status, text, prose) [SMTP_REPLY_##token] = {#token, status, text, prose, code},
#include "lib/smtp/smtp_replies.def"
#undef REPLY
};

void smtp_reply_put(struct buf *out, enum smtp_reply reply, struct str argument)
{
	struct str text;
	size_t at;

	must(reply > SMTP_REPLY_NONE && reply < SMTP_REPLY_COUNT);
	buf_put_char(out, (char)('0' + replies[reply].code / 100));
	buf_put_char(out, (char)('0' + replies[reply].code / 10 % 10));
	buf_put_char(out, (char)('0' + replies[reply].code % 10));
	buf_put_char(out, ' ');
	if (replies[reply].status[0] != '\0') {
		buf_put_text(out, replies[reply].status);
		buf_put_char(out, ' ');
	}
	text = str_of(replies[reply].text);
	at = str_find(text, '%');
	buf_put_str(out, str_first(text, at));
	if (at < text.n) {
		buf_put_str(out, argument);
		buf_put_str(out, str_from(text, at + 1));
	}
	buf_put_str(out, STR("\r\n"));
}

void smtp_reply_put_line(struct buf *out, unsigned code, bool is_last, struct str text)
{
	buf_printf(out, "%03u%c", code, is_last ? ' ' : '-');
	buf_put_str(out, text);
	buf_put_str(out, STR("\r\n"));
}

unsigned smtp_reply_code(enum smtp_reply reply)
{
	must(reply < SMTP_REPLY_COUNT);
	return replies[reply].code;
}

const char *smtp_reply_token(enum smtp_reply reply)
{
	must(reply < SMTP_REPLY_COUNT);
	return replies[reply].token;
}

const char *smtp_reply_status(enum smtp_reply reply)
{
	must(reply < SMTP_REPLY_COUNT);
	return replies[reply].status;
}

const char *smtp_reply_text(enum smtp_reply reply)
{
	must(reply < SMTP_REPLY_COUNT);
	return replies[reply].text;
}

const char *smtp_reply_prose(enum smtp_reply reply)
{
	must(reply < SMTP_REPLY_COUNT);
	return replies[reply].prose;
}

enum smtp_reply smtp_reply_find(struct str token)
{
	enum smtp_reply reply = SMTP_REPLY_COUNT;

	while (--reply > SMTP_REPLY_NONE && !str_ieq(token, str_of(replies[reply].token)))
		continue;
	return reply;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "x.y.z " at the front of a text; else empty. */
static struct str find_status(struct str text, unsigned code)
{
	struct str status = str_first(text, str_find(text, ' '));
	struct str rest = status, part;
	unsigned parts = 0;
	uint64_t value;

	if (status.n == 0 || status.p[0] != (char)('0' + code / 100))
		return str_first(text, 0);
	while (str_next(&rest, '.', &part)) {
		if (!str_u64(part, 0, 999, &value))
			return str_first(text, 0);
		parts++;
	}
	return parts == 3 ? status : str_first(text, 0);
}

/* One line off the front of *input, without its end. False: it is not whole. */
static bool take_line(struct str *input, struct str *line)
{
	size_t lf = str_find(*input, '\n');

	if (lf == input->n)
		return false;
	*line = str_first(*input, lf);
	if (line->n > 0 && line->p[line->n - 1] == '\r')
		line->n--;
	*input = str_from(*input, lf + 1);
	return true;
}

static bool parse_line(struct str line, unsigned *code, bool *is_last, struct str *text)
{
	if (line.n < 3 || line.p[0] < '2' || line.p[0] > '5' || !is_digit(line.p[1]) ||
	    !is_digit(line.p[2]) || (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-'))
		return false;
	*code = (unsigned)(line.p[0] - '0') * 100 + (unsigned)(line.p[1] - '0') * 10 +
		(unsigned)(line.p[2] - '0');
	*is_last = line.n == 3 || line.p[3] == ' ';
	*text = str_from(line, 4);
	return true;
}

enum smtp_reply_result smtp_reply_take(struct str *input, struct smtp_answer *answer)
{
	struct str rest = *input, line;
	unsigned code = 0, lines = 0;
	bool is_last = false;

	while (!is_last) {
		if (!take_line(&rest, &line))
			return input->n >= SMTP_ANSWER_MAX ? SMTP_REPLY_MALFORMED : SMTP_REPLY_MORE;
		if (!parse_line(line, &code, &is_last, &answer->text))
			return SMTP_REPLY_MALFORMED;
		if (lines++ == 0)
			answer->code = code;
		else if (code != answer->code)
			return SMTP_REPLY_MALFORMED;
	}
	answer->lines = str_first(*input, input->n - rest.n);
	answer->status = find_status(answer->text, code);
	*input = rest;
	return SMTP_REPLY_OK_ANSWER;
}

bool smtp_reply_next_line(struct str *lines, struct str *text)
{
	struct str line;
	unsigned code;
	bool is_last;

	return take_line(lines, &line) && parse_line(line, &code, &is_last, text);
}
