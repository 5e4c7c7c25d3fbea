/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of lib/base/json_read.c; more of it is tested with the answers of the providers.
 */
#include "lib/base/json_read.h"

#include <json-c/json.h>
#include <string.h>

#include "tests/support/unit.h"

static void what_is_not_there_is_empty(void)
{
	struct json_object *read = json_read(STR("{\"text\":\"t\",\"number\":7,\"none\":null}"));

	UNIT_STR(json_read_text(read, "text"), "t");
	UNIT_STR(json_read_text(read, "number"), "");
	UNIT_STR(json_read_text(read, "other"), "");
	UNIT_STR(json_read_text(NULL, "text"), "");
	UNIT_INT(json_read_number(read, "number", -1), 7);
	UNIT_INT(json_read_number(read, "text", -1), -1);
	UNIT_TRUE(json_read_member(read, "none") == NULL);
	json_object_put(read);
	UNIT_TRUE(json_read(STR("")) == NULL);
	UNIT_TRUE(json_read(STR("{\"a\":")) == NULL);
	UNIT_TRUE(json_read(STR("[[[[[[[[[[]]]]]]]]]]")) == NULL);
}

static void what_is_secret_is_wiped_at_the_end(void)
{
	struct json_object *read = json_read(STR("{\"n\":1,\"a\":[null,{\"token\":\"secret\"}],\"none\":null}"));
	struct json_object *inner = json_object_array_get_idx(json_read_member(read, "a"), 1), *token;

	/* Kept, so that there is something to look at. */
	token = json_object_get(json_read_member(inner, "token"));
	UNIT_TEXT(json_object_get_string(token), "secret");
	json_read_end_secret(read);
	UNIT_INT(json_object_get_string_len(token), 6);
	UNIT_TRUE(memcmp(json_object_get_string(token), "\0\0\0\0\0", 6) == 0);
	json_object_put(token);
	json_read_end_secret(NULL);
}

UNIT_TESTS({"what is not there is empty", what_is_not_there_is_empty},
	   {"what is secret is wiped at the end", what_is_secret_is_wiped_at_the_end})
