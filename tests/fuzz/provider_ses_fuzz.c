/* SPDX-License-Identifier: Apache-2.0
 *
 * Drives what SES's answers and a client's message go through: a NUL parts the answer's error header, its
 * body and the message.
 */
#include "deliver/provider.h"
#include "lib/base/trouble.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct str header(const void *ctx, const char *name)
{
	return str_ieq(str_of(name), STR("x-amzn-errortype")) ? *(const struct str *)ctx : STR("");
}

static void build(struct str content)
{
	static char empty[] = "", region[] = "us-east-1", key[] = "AKIDEXAMPLE", secret[] = "secret";
	const struct settings_provider settings = {.key = "p", .type = PROVIDER_SES, .endpoint = empty, .api_key = empty,
		.region = region, .access_key_id = key, .secret_access_key = secret, .session_token = empty,
		.configuration_set = empty, .directory = empty};
	const struct str recipient = str_first(content, 64);
	const struct ipc_message message = {
		.mail_from = STR("a@example.com"), .recipients = &recipient, .n_recipients = 1, .content = content};
	struct provider_request request;
	struct provider_verdict verdict;

	if (!provider_ses.build(&(struct provider_call){.settings = &settings, .message = &message, .now = 1440938160000000}, &request,
				&verdict)) {
		must(verdict.class == IPC_OUTCOME_UNFIT);
		return;
	}
	must(str_is_utf8(buf_str(&request.body)) && !request.body.is_full);
	provider_request_clear(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = str_bytes(data, size), type = STR(""), body = STR("");
	struct provider_answer answer = {.header = header, .header_ctx = &type};
	struct provider_verdict verdict;

	if (!str_next(&rest, '\0', &type) || !str_next(&rest, '\0', &body))
		return 0;
	answer.body = body;
	for (unsigned status = 200; status < 600; status += 100) {
		answer.status = status;
		provider_ses.classify(&answer, &verdict);
		must(verdict.class < IPC_OUTCOME_CLASSES && verdict.reason[0] != '\0' &&
		     str_is_utf8(str_of(verdict.reason)));
		must(status == 200 || verdict.class != IPC_OUTCOME_SENT);
	}
	if (rest.p != NULL)
		build(rest);
	return 0;
}
