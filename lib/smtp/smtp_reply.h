/* SPDX-License-Identifier: Apache-2.0
 *
 * Replies: ours from smtp_replies.def to bytes, and for clients those of a server from bytes.
 */
#ifndef LIB_SMTP_SMTP_REPLY_H
#define LIB_SMTP_SMTP_REPLY_H

#include <stdbool.h>

#include "lib/base/buf.h"

enum smtp_reply {
#define REPLY(token, code, status, text, prose) SMTP_REPLY_##token,
#include "lib/smtp/smtp_replies.def"
#undef REPLY
	SMTP_REPLY_COUNT
};

/* Appends the reply, with its CRLF; `argument` stands where its text has a `%`. */
void smtp_reply_put(struct buf *out, enum smtp_reply reply, struct str argument);
/* Appends one line of a reply of several: "250-text", or "250 text" for the last. */
void smtp_reply_put_line(struct buf *out, unsigned code, bool is_last, struct str text);
unsigned smtp_reply_code(enum smtp_reply reply);
/* Its name in smtp_replies.def: for the log. */
const char *smtp_reply_token(enum smtp_reply reply);
/* Its enhanced code, or the empty string; its text, with its `%`; and what operators should know of it. */
const char *smtp_reply_status(enum smtp_reply reply);
const char *smtp_reply_text(enum smtp_reply reply);
const char *smtp_reply_prose(enum smtp_reply reply);
/* The reply with this token, in any case; SMTP_REPLY_NONE when there is none. */
enum smtp_reply smtp_reply_find(struct str token);

/* A server's reply, as a client reads it. Borrowed from the input. */
struct smtp_answer {
	unsigned code;	   /* 200 to 599 */
	struct str lines;  /* all lines, as they came */
	struct str text;   /* of the last line, after the code */
	struct str status; /* its enhanced code ("2.0.0"), empty when it has none */
};

enum smtp_reply_result { SMTP_REPLY_MORE, SMTP_REPLY_OK_ANSWER, SMTP_REPLY_MALFORMED };

enum { SMTP_ANSWER_MAX = 16384 };

/* Takes a whole reply off the front of *input. Tolerates a bare LF as the end of a line. */
enum smtp_reply_result smtp_reply_take(struct str *input, struct smtp_answer *answer);
/* The text of the next line of answer.lines: begin with a copy of it. */
bool smtp_reply_next_line(struct str *lines, struct str *text);

#endif
