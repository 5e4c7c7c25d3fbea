/* SPDX-License-Identifier: Apache-2.0
 *
 * What the unit tests of providers share: a call from a few texts, JSON looked at by path, tables of answers.
 */
#ifndef TESTS_SUPPORT_PROVIDER_UNIT_H
#define TESTS_SUPPORT_PROVIDER_UNIT_H

#include <json-c/json.h>
#include <stdlib.h>

#include "deliver/mime_message.h"
#include "deliver/provider.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "tests/support/unit.h"

enum { PROVIDER_UNIT_RECIPIENTS = 16, PROVIDER_UNIT_CHECKS = 32 };
#define PROVIDER_UNIT_ID "018f0000-0000-7000-8000-0000000000aa"
#define PROVIDER_UNIT_NOW 1600000000LL /* 2020-09-13T12:26:40Z */

/* The struct owns its texts as a rule; these are only lent. */
#define PROVIDER_UNIT_TEXT(text) ((char *)(uintptr_t)(text))

struct provider_unit {
	struct provider_request request;
	struct provider_verdict verdict;
	struct json_object *json; /* the body, when it is some */
	bool is_built;
};

/* Builds a request with notes. `recipients` ends with NULL. */
static inline void provider_unit_build_with(struct provider_unit *u, const struct settings_provider *settings, struct str token,
					    struct str content, const char *from, const char *const *recipients)
{
	struct str list[PROVIDER_UNIT_RECIPIENTS];
	struct ipc_message message = {.mail_from = str_of(from), .recipients = list, .content = content,
				      .size = (uint32_t)content.n};
	const struct provider_call call = {.settings = settings, .message = &message, .part = 3,
					   .now = PROVIDER_UNIT_NOW * CLOCK_SECOND, .wants_notes = true, .token = token};

	while (recipients[message.n_recipients] != NULL && message.n_recipients < PROVIDER_UNIT_RECIPIENTS) {
		list[message.n_recipients] = str_of(recipients[message.n_recipients]);
		message.n_recipients++;
	}
	UNIT_TRUE(uuid_parse(STR(PROVIDER_UNIT_ID), &message.id));
	UNIT_TRUE(uuid_parse(STR("018f0000-0000-7000-8000-0000000000bb"), &message.tenant));
	mime_message_prepare();
	*u = (struct provider_unit){.is_built = false};
	u->is_built = provider_of(settings->type)->build(&call, &u->request, &u->verdict);
}

static inline void provider_unit_build(struct provider_unit *u, const struct settings_provider *settings, struct str content,
				       const char *from, const char *const *recipients)
{
	provider_unit_build_with(u, settings, STR(""), content, from, recipients);
}

/* The body as JSON, which it must be, in valid UTF-8. */
static inline void provider_unit_parse(struct provider_unit *u)
{
	char *text = mem_copy(u->request.body.p, u->request.body.n);
	struct json_tokener *tokener = json_tokener_new_ex(32);

	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	u->json = json_tokener_parse_ex(tokener, text, (int)u->request.body.n + 1);
	UNIT_INT(json_tokener_get_error(tokener), json_tokener_success);
	UNIT_TRUE(str_is_utf8(buf_str(&u->request.body)));
	json_tokener_free(tokener);
	free(text);
}

static inline void provider_unit_clear(struct provider_unit *u)
{
	json_object_put(u->json);
	u->json = NULL;
	provider_request_clear(&u->request);
}

static inline const char *provider_unit_header(const struct provider_unit *u, const char *name)
{
	size_t n = strlen(name);

	for (unsigned i = 0; i < u->request.n_headers; i++)
		if (strncmp(u->request.headers[i], name, n) == 0 && u->request.headers[i][n] == ':')
			return u->request.headers[i] + n + 2;
	return "";
}

/* Do the notes say it? */
static inline bool provider_unit_notes(const struct provider_unit *u, const char *words)
{
	return memmem(u->request.notes.p, u->request.notes.n, words, strlen(words)) != NULL;
}

struct provider_unit_check {
	const char *path, *value; /* "attachments/0/content"; "...#" is a size; NULL: not there */
};

/* What stands there; NULL when there is nothing. */
static inline struct json_object *provider_unit_at(struct json_object *root, const char *path, struct json_object **size)
{
	struct str rest = str_of(path), name;

	while (root != NULL && str_next(&rest, '/', &name)) {
		char key[64];
		uint64_t i;

		if (str_eq(name, STR("#"))) {
			*size = json_object_new_int(json_object_is_type(root, json_type_array)
							    ? (int)json_object_array_length(root)
							    : json_object_object_length(root));
			return *size;
		}
		str_copy(name, key, sizeof(key));
		if (json_object_is_type(root, json_type_array))
			root = str_u64(name, 0, 10000, &i) ? json_object_array_get_idx(root, i) : NULL;
		else if (!json_object_is_type(root, json_type_object) || !json_object_object_get_ex(root, key, &root))
			root = NULL;
	}
	return root;
}

static inline void provider_unit_checks(const char *name, struct json_object *root, const struct provider_unit_check *checks)
{
	for (unsigned i = 0; i < PROVIDER_UNIT_CHECKS && checks[i].path != NULL; i++) {
		struct json_object *size = NULL, *found = provider_unit_at(root, checks[i].path, &size);
		const char *actual = found == NULL ? "(nothing)" : json_object_get_string(found);
		const char *expected = checks[i].value == NULL ? "(nothing)" : checks[i].value;

		if (strcmp(actual, expected) != 0)
			printf("\n%s: %s:", name, checks[i].path);
		UNIT_TEXT(actual, expected);
		json_object_put(size);
	}
}

/* An answer and its meaning. */
struct provider_unit_answer {
	const char *name;
	unsigned status;
	const char *const *headers; /* names and values by turns, NULL at the end; or NULL */
	const char *body, *kept;
	enum ipc_outcome_class class;
	enum ipc_about about;
	uint32_t retry_after;
	const char *provider_id, *enhanced;
	const char *reason; /* NULL: whatever it is */
};

static inline struct str provider_unit_answer_header(const void *ctx, const char *name)
{
	const char *const *headers = ctx;

	for (; headers != NULL && headers[0] != NULL; headers += 2)
		if (str_ieq(str_of(headers[0]), str_of(name)))
			return str_of(headers[1]);
	return STR("");
}

/* The caller clears the verdict. */
static inline void provider_unit_classify(int type, const struct provider_unit_answer *a, struct provider_verdict *verdict)
{
	const struct provider_answer answer = {.status = a->status, .body = str_of(a->body),
					       .header = provider_unit_answer_header, .header_ctx = a->headers,
					       .now = PROVIDER_UNIT_NOW * CLOCK_SECOND, .kept = str_of(a->kept)};

	provider_of(type)->classify(&answer, verdict);
}

/* What a check's answer means: its class, or -1 when classify_check() leaves it to others. */
static inline int provider_unit_check_class(int type, unsigned status, const char *body)
{
	const struct provider_answer answer = {.status = status, .body = str_of(body), .header = NULL};
	struct provider_verdict verdict;

	return provider_of(type)->classify_check(&answer, &verdict) ? (int)verdict.class : -1;
}

static inline void provider_unit_answers(int type, const struct provider_unit_answer *answers, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct provider_unit_answer *a = &answers[i];
		struct provider_verdict verdict;

		provider_unit_classify(type, a, &verdict);
		if (verdict.class != a->class || verdict.about != a->about)
			printf("\n%s:", a->name);
		UNIT_INT(verdict.class, a->class);
		UNIT_INT(verdict.about, a->about);
		UNIT_INT(verdict.code, a->status);
		UNIT_INT(verdict.retry_after, a->retry_after);
		UNIT_TEXT(verdict.provider_id, a->provider_id == NULL ? "" : a->provider_id);
		UNIT_TEXT(verdict.status, a->enhanced);
		if (a->reason != NULL)
			UNIT_TEXT(verdict.reason, a->reason);
		UNIT_TRUE(verdict.reason[0] != '\0');
		provider_verdict_clear(&verdict);
	}
}

#endif
