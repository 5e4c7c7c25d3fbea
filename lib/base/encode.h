/* SPDX-License-Identifier: Apache-2.0
 *
 * Base64 and base64url (RFC 4648, sections 4 and 5), hexadecimal, and percent-encoding (RFC 3986, 2.1).
 */
#ifndef LIB_BASE_ENCODE_H
#define LIB_BASE_ENCODE_H

#include <stdbool.h>

#include "lib/base/buf.h"

/* With padding, without line breaks. False when `out` is full. */
bool encode_base64(struct buf *out, struct str bytes);
/* Strict: full groups, padding where due, no white space. False when it is not that, or out is full. */
bool encode_from_base64(struct buf *out, struct str text);
/* As the two above, with the digits - and _ and without padding (RFC 7515, 2). */
bool encode_base64url(struct buf *out, struct str bytes);
bool encode_from_base64url(struct buf *out, struct str text);
/* Lower case. */
bool encode_hex(struct buf *out, struct str bytes);
/* Letters, digits and the characters of `kept` as they are, all else as %XX in upper case. False when `out` is full. */
bool encode_percent(struct buf *out, struct str bytes, const char *kept);
/* The digit's value, in either case; -1: it is none. */
int encode_hex_digit(char c);

#endif
