/* SPDX-License-Identifier: Apache-2.0
 *
 * One table for writing and reading. The file is our own, but a disk or a hand may have changed it.
 */
#include "cert-renewer/cert_state.h"

#include <json-c/json.h>
#include <stddef.h>

#include "lib/base/json.h"

enum { NESTED_MAX = 3 };
enum kind { TIME, FLAG, TEXT };

static const struct row {
	const char *name;
	enum kind kind;
	size_t offset, size;
} rows[] = {
#define ROW(kind, field) {#field, kind, offsetof(struct cert_state, field), sizeof(((struct cert_state *)0)->field)}
	ROW(TIME, failures),	   ROW(TIME, last_success), ROW(TIME, last_error_at), ROW(TIME, next_try),
	ROW(TIME, begun_at),	   ROW(TEXT, begun_with),
	ROW(TIME, refused_until),  ROW(TEXT, refused_by),   ROW(TEXT, last_error),   ROW(FLAG, is_told),	      ROW(FLAG, is_limit_told),
	ROW(FLAG, is_asked_for),   ROW(TEXT, revoked),	    ROW(TEXT, backed_up),     ROW(TEXT, profile),
	ROW(TEXT, profile_of),	   ROW(TEXT, window_of),    ROW(TIME, window_start),  ROW(TIME, window_end),
	ROW(TIME, window_at),	   ROW(TIME, window_ask_at), ROW(TIME, ocsp_refresh_at), ROW(TIME, ocsp_until),
#undef ROW
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

void cert_state_put(const struct cert_state *state, struct buf *out)
{
	json_begin(out, NULL, '{');
	for (size_t i = 0; i < ROWS; i++) {
		const char *at = (const char *)state + rows[i].offset;

		if (rows[i].kind == TIME)
			json_put_int(out, rows[i].name, *(const int64_t *)(const void *)at);
		else if (rows[i].kind == FLAG)
			json_put_bool(out, rows[i].name, *(const bool *)(const void *)at);
		else
			json_put_text(out, rows[i].name, str_of(at));
	}
	buf_put_text(out, "}\n");
}

static struct json_object *parse(struct str json, struct err *err)
{
	struct json_tokener *tokener = json_tokener_new_ex(NESTED_MAX);
	struct json_object *o = NULL;

	if (tokener != NULL && json.n > 0 && json.n <= CERT_STATE_MAX) {
		json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_ALLOW_TRAILING_CHARS);
		o = json_tokener_parse_ex(tokener, json.p, (int)json.n);
	}
	if (!json_object_is_type(o, json_type_object)) {
		err_set(err, "it is no JSON object of at most %d bytes", CERT_STATE_MAX);
		json_object_put(o);
		o = NULL;
	}
	if (tokener != NULL)
		json_tokener_free(tokener);
	return o;
}

static bool take(const struct row *row, struct json_object *value, struct cert_state *state)
{
	char *at = (char *)state + row->offset;

	switch (row->kind) {
	case TIME:
		if (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) < 0)
			return false;
		*(int64_t *)(void *)at = json_object_get_int64(value);
		return true;
	case FLAG:
		*(bool *)(void *)at = json_object_get_boolean(value);
		return json_object_is_type(value, json_type_boolean);
	case TEXT:
		return json_object_is_type(value, json_type_string) &&
		       str_copy(str_bytes(json_object_get_string(value), (size_t)json_object_get_string_len(value)), at, row->size);
	}
	return false;
}

bool cert_state_read(struct str json, struct cert_state *state, struct err *err)
{
	struct json_object *o = parse(json, err), *value;
	bool ok = o != NULL;

	*state = (struct cert_state){.failures = 0};
	for (size_t i = 0; ok && i < ROWS; i++)
		if (json_object_object_get_ex(o, rows[i].name, &value) && !take(&rows[i], value, state))
			ok = err_set(err, "its member %s is not as it must be", rows[i].name);
	json_object_put(o);
	if (!ok)
		*state = (struct cert_state){.failures = 0};
	return ok;
}
