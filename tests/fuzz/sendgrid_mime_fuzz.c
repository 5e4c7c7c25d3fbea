/* SPDX-License-Identifier: Apache-2.0
 *
 * Hostile messages through deliver/mime_message.c and deliver/provider_sendgrid.c. The input is the
 * message. What comes out must be strict JSON in UTF-8, have the three envelope recipients in it once each,
 * and at least one content that is not empty.
 */
#include <json-c/json.h>
#include <stdint.h>
#include <stdlib.h>

#include "deliver/mime_message.h"
#include "deliver/provider.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"

static struct json_object *member(struct json_object *object, const char *name)
{
	struct json_object *found = NULL;

	must(json_object_is_type(object, json_type_object));
	json_object_object_get_ex(object, name, &found);
	return found;
}

static size_t count_recipients(struct json_object *root)
{
	static const char *const kinds[] = {"to", "cc", "bcc"};
	struct json_object *list = member(root, "personalizations");
	size_t n = 0;

	must(json_object_is_type(list, json_type_array) && json_object_array_length(list) > 0);
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *one = json_object_array_get_idx(list, i);

		must(member(one, "to") != NULL);
		for (size_t k = 0; k < 3; k++)
			if (member(one, kinds[k]) != NULL)
				n += json_object_array_length(member(one, kinds[k]));
	}
	return n;
}

static void check_body(struct str body)
{
	struct json_tokener *tokener = json_tokener_new_ex(16);
	char *text = mem_copy(body.p, body.n);
	struct json_object *root, *content;

	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	root = json_tokener_parse_ex(tokener, text, (int)body.n + 1);
	must(json_tokener_get_error(tokener) == json_tokener_success);
	must(count_recipients(root) == 3);
	content = member(root, "content");
	must(json_object_array_length(content) > 0);
	for (size_t i = 0; i < json_object_array_length(content); i++) {
		struct json_object *value = member(json_object_array_get_idx(content, i), "value");

		must(json_object_get_string_len(value) > 0);
	}
	must(json_object_get_string_len(member(root, "subject")) > 0);
	json_object_put(root);
	json_tokener_free(tokener);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char key[] = "SG.k", endpoint[] = "";
	const struct settings_provider settings = {.key = "sg", .type = PROVIDER_SENDGRID, .api_key = key,
						   .endpoint = endpoint};
	const struct str recipients[] = {STR("b@b"), STR("c@c"), STR("d@d")};
	const struct ipc_message message = {.mail_from = STR("a@a"), .recipients = recipients, .n_recipients = 3,
					    .size = (uint32_t)size, .content = str_bytes(data, size)};
	struct provider_request request = {0};
	struct provider_verdict verdict;

	mime_message_prepare();
	if (provider_of(PROVIDER_SENDGRID)->build(&(struct provider_call){.settings = &settings, .message = &message, .now = 0}, &request, &verdict)) {
		check_body(buf_str(&request.body));
		provider_request_clear(&request);
	} else {
		must(verdict.class == IPC_OUTCOME_UNFIT);
	}
	return 0;
}
