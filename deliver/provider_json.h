/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes the strings of a JSON request straight into its body, so that a large attachment is copied once.
 * The brackets and commas around them are the provider file's own words.
 */
#ifndef DELIVER_PROVIDER_JSON_H
#define DELIVER_PROVIDER_JSON_H

#include "lib/base/buf.h"

/* The text in quotes, escaped. Always valid UTF-8: other bytes, and NUL, become U+FFFD. */
void provider_json_text(struct buf *out, struct str text);
/* The bytes in base64, in quotes. */
void provider_json_base64(struct buf *out, struct str bytes);
/* ,"name": */
void provider_json_member(struct buf *out, const char *name);

#endif
