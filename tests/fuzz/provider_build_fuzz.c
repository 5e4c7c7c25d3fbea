/* SPDX-License-Identifier: Apache-2.0
 *
 * Hostile messages through the providers that are spoken to by HTTP. The input is the message. What comes out must be
 * well formed, and what is made ASCII must stay as it is when that is done again.
 */
#include <json-c/json.h>
#include <stdint.h>
#include <stdlib.h>

#include "deliver/mime_ascii.h"
#include "deliver/mime_message.h"
#include "deliver/mime_strip.h"
#include "deliver/provider.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"

static void check_json(struct str body)
{
	struct json_tokener *tokener = json_tokener_new_ex(16);
	char *text = mem_copy(body.p, body.n);

	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	json_object_put(json_tokener_parse_ex(tokener, text, (int)body.n + 1));
	must(json_tokener_get_error(tokener) == json_tokener_success);
	json_tokener_free(tokener);
	free(text);
}

static void build(int type, struct str content)
{
	static char text[] = "k", empty[] = "", domain[] = "mg.example.com", region[] = "us-east-1";
	const struct settings_provider settings = {.key = "p", .type = type, .endpoint = empty, .api_key = text, .domain = domain,
		.region = region, .access_key_id = text, .secret_access_key = text, .session_token = empty, .configuration_set = empty,
		.message_stream = empty, .user = empty, .password = empty, .host = empty, .directory = empty};
	const struct str recipients[] = {STR("b@b"), STR("c@c"), STR("d@d")};
	const struct ipc_message message = {.mail_from = STR("a@a"), .recipients = recipients, .n_recipients = type == PROVIDER_CAKEMAIL ? 1 : 3,
					    .size = (uint32_t)content.n, .content = content};
	const struct provider_call call = {.settings = &settings, .message = &message, .wants_notes = true};
	struct provider_request request;
	struct provider_verdict verdict;

	if (!provider_of(type)->build(&call, &request, &verdict)) {
		must(verdict.class == IPC_OUTCOME_UNFIT && verdict.reason[0] != '\0');
		return;
	}
	must(!request.body.is_full && str_is_utf8(buf_str(&request.notes)));
	for (unsigned i = 0; i < request.n_headers; i++)
		must(str_find(str_of(request.headers[i]), '\n') == strlen(request.headers[i]));
	if (type == PROVIDER_MAILGUN)
		must(str_starts(buf_str(&request.body), STR("--smtp-proxy-")) && str_ends(buf_str(&request.body), STR("--\r\n")));
	else
		check_json(buf_str(&request.body));
	provider_request_clear(&request);
}

static bool make_ascii(struct str content, struct mime_ascii *ascii)
{
	static const char *const none[] = {NULL};
	struct mime_strip strip;
	bool ok;

	*ascii = (struct mime_ascii){.hidden = STR("{{")};
	mime_strip(&strip, content, none);
	ok = mime_ascii(ascii, strip.header, strip.body);
	mime_strip_clear(&strip);
	return ok;
}

static void check_ascii(struct str content)
{
	struct mime_ascii once, twice;

	if (make_ascii(content, &once)) {
		struct str out = buf_str(&once.out);

		must(str_is_ascii(out) && (out.n == 0 || memchr(out.p, '\0', out.n) == NULL));
		must(make_ascii(out, &twice) && str_eq(buf_str(&twice.out), out));
		mime_ascii_clear(&twice);
	} else {
		must(once.trouble[0] != '\0');
	}
	mime_ascii_clear(&once);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int types[] = {PROVIDER_MAILGUN, PROVIDER_RESEND, PROVIDER_SPARKPOST, PROVIDER_POSTMARK, PROVIDER_CAKEMAIL};

	mime_message_prepare();
	check_ascii(str_bytes(data, size));
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		build(types[i], str_bytes(data, size));
	return 0;
}
