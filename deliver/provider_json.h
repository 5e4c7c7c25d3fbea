/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes the strings of a JSON request straight into its body, so that a large attachment is copied once.
 * The brackets and commas around them are the provider file's own words. And reads answers.
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

struct json_object;
/* An answer's body, or NULL when it is no JSON or nested too deep. json_object_put() frees it. */
struct json_object *provider_json_read(struct str body);
/* Ends one that has keys or a token in it: its texts are wiped. */
void provider_json_put_secret(struct json_object *object);
/* A member of an object (which may be NULL or anything): NULL when it is not there; as text, or ""; as a number, or `none`. */
struct json_object *provider_json_get(struct json_object *object, const char *name);
struct str provider_json_get_text(struct json_object *object, const char *name);
int64_t provider_json_get_number(struct json_object *object, const char *name, int64_t none);

#endif
