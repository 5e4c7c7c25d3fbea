/* SPDX-License-Identifier: Apache-2.0
 *
 * The header of a message, field by field (RFC 5322, 2.2), and the parameters in a field (RFC 2045, 5.1; 2231).
 * Everything is borrowed from the input.
 */
#ifndef LIB_SMTP_SMTP_HEADER_H
#define LIB_SMTP_SMTP_HEADER_H

#include <stdbool.h>

#include "lib/base/str.h"

struct smtp_header_field {
	struct str whole; /* with the lines folded to it and their ends */
	struct str name;  /* empty: this is no field */
	struct str body;  /* behind the colon, still folded */
};

/* The name of the field that a line begins; empty when it begins none. Blanks before the colon are tolerated. */
struct str smtp_header_name(struct str line);
/* Takes the next field off the front of *header. False: there is none left. */
bool smtp_header_next(struct str *header, struct smtp_header_field *field);

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
