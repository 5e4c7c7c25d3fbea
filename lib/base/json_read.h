/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading JSON that comes from elsewhere: the answers of providers and clouds. Pure.
 */
#ifndef LIB_BASE_JSON_READ_H
#define LIB_BASE_JSON_READ_H

#include <stdint.h>

#include "lib/base/str.h"

struct json_object;
/* An answer's body, or NULL when it is no JSON or nested too deep. json_object_put() frees it. */
struct json_object *json_read(struct str body);
/* Ends one that has keys or a token in it: its texts are wiped. */
void json_read_end_secret(struct json_object *object);
/* A member of an object (which may be NULL or anything): NULL when it is not there; as text, or ""; as a number, or `none`. */
struct json_object *json_read_member(struct json_object *object, const char *name);
struct str json_read_text(struct json_object *object, const char *name);
int64_t json_read_number(struct json_object *object, const char *name, int64_t none);

#endif
