/* SPDX-License-Identifier: Apache-2.0
 *
 * Header fields in ASCII, and without a text that must not stand in them.
 */
#ifndef DELIVER_MIME_ASCII_FIELD_H
#define DELIVER_MIME_ASCII_FIELD_H

#include "lib/base/buf.h"

enum mime_ascii_field_result {
	MIME_ASCII_FIELD_OK,
	MIME_ASCII_FIELD_ADDRESS, /* it has an address in which nothing can be encoded */
	MIME_ASCII_FIELD_FIXED,	  /* it has a text in which nothing can be encoded */
};

/* Is there something in the text to be encoded: octets that are not ASCII, NUL, or `hidden`? */
bool mime_ascii_field_needs(struct str text, struct str hidden);
/* Writes the field (`name: value`, folded, with its line end). `value` is as on the wire and needs it. */
enum mime_ascii_field_result mime_ascii_field(struct str name, struct str value, struct str hidden, struct buf *out);

#endif
