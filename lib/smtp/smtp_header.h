/* SPDX-License-Identifier: Apache-2.0
 *
 * The header of a message, field by field (RFC 5322, 2.2), and the parameters in a field (RFC 2045, 5.1; 2231).
 * Everything is borrowed from the input.
 *
 * Blanks before the colon belong to no name, and may be folded: RFC 5322 (4.5.8) knows the ones, RFC 822 (3.1.1, unfold
 * before all else) the others. Whoever asks what a message is, or takes something out of it, has to see what
 * the most lenient reader behind us may see; so this is the only place that tells where a field's name ends.
 */
#ifndef LIB_SMTP_SMTP_HEADER_H
#define LIB_SMTP_SMTP_HEADER_H

#include <stdbool.h>

#include "lib/base/str.h"

struct smtp_header_field {
	struct str whole; /* with the lines folded to it and their ends */
	struct str name;  /* empty: this is no field */
	struct str label; /* what stands before the first colon, whatever it is; empty: there is no colon */
	struct str body;  /* behind the colon, still folded */
};

/* The name of the field that a line begins, or that a whole field has; empty when there is none. */
struct str smtp_header_name(struct str text);
/* The line has a name and no colon yet: the next line, folded to it, may begin with one. */
bool smtp_header_is_begun(struct str line);
/* Takes the next field off the front of *header. False: there is none left, *header is empty or begins with the empty line. */
bool smtp_header_next(struct str *header, struct smtp_header_field *field);
/* May somebody take it for the field `name` (is_prefix: for one whose name begins so), also if he has to pass over octets
 * that no name has? For what must not leave. */
bool smtp_header_is(const struct smtp_header_field *field, struct str name, bool is_prefix);

/* Takes blanks and comments, which nest, off the front of a field's body. False: a comment is not closed, and so goes
 * to the end. */
bool smtp_header_skip_comments(struct str *body);

/* A value in a field, without comments, quotes and blanks around it; what is longer is cut. */
enum { SMTP_HEADER_VALUE = 1024 };
struct smtp_header_value {
	char p[SMTP_HEADER_VALUE];
	size_t n;
};

/* Takes the value before the first parameter off the front of a field's body: "text/plain". */
void smtp_header_take_value(struct str *body, struct smtp_header_value *value);
/* Takes the next parameter. False: there is none left. */
bool smtp_header_take_parameter(struct str *body, struct str *name, struct smtp_header_value *value);

#endif
