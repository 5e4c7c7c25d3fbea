/* SPDX-License-Identifier: Apache-2.0
 *
 * By json-c.
 */
#include "lib/base/json_read.h"

#include <json-c/json.h>

#include "lib/base/mem.h"

enum { DEPTH = 8 };

struct json_object *json_read(struct str body)
{
	struct json_tokener *tokener = body.n > 0 && body.n < INT32_MAX ? json_tokener_new_ex(DEPTH) : NULL;
	struct json_object *read;

	if (tokener == NULL)
		return NULL;
	read = json_tokener_parse_ex(tokener, body.p, (int)body.n);
	json_tokener_free(tokener);
	return read;
}

/* As deep as json_read() reads. */
static void wipe(struct json_object *value)
{
	if (json_object_is_type(value, json_type_string)) {
		mem_wipe((char *)(uintptr_t)json_object_get_string(value), (size_t)json_object_get_string_len(value));
	} else if (json_object_is_type(value, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(value); i++)
			wipe(json_object_array_get_idx(value, i));
	} else if (json_object_is_type(value, json_type_object)) {
		json_object_object_foreach(value, name, member)
		{
			(void)name;
			wipe(member);
		}
	}
}

void json_read_end_secret(struct json_object *object)
{
	wipe(object);
	json_object_put(object);
}

struct json_object *json_read_member(struct json_object *object, const char *name)
{
	struct json_object *member;

	if (!json_object_is_type(object, json_type_object) || !json_object_object_get_ex(object, name, &member))
		return NULL;
	return member;
}

struct str json_read_text(struct json_object *object, const char *name)
{
	struct json_object *member = json_read_member(object, name);

	if (!json_object_is_type(member, json_type_string))
		return STR("");
	return str_bytes(json_object_get_string(member), (size_t)json_object_get_string_len(member));
}

int64_t json_read_number(struct json_object *object, const char *name, int64_t none)
{
	struct json_object *member = json_read_member(object, name);

	return json_object_is_type(member, json_type_int) ? json_object_get_int64(member) : none;
}
