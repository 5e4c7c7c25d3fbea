/* SPDX-License-Identifier: Apache-2.0
 *
 * What is fetched before a request can be built, from hosts and files that say anything: Cakemail's token and senders, every
 * source of AWS credentials. The input is which of them (an octet), then answers: a status (16 bits; files have 200) and
 * the body up to a NUL. Each step must be one that can be taken, and there is an end.
 */
#include <stdint.h>

#include "deliver/provider_aws.h"
#include "lib/aws/aws_credentials.h"
#include "lib/aws/aws_ini.h"
#include "lib/aws/aws_xml.h"
#include "lib/base/trouble.h"

enum { STEPS_MAX = 64 };

static void check_request(const struct provider_request *request)
{
	must(request->url != NULL && request->method != NULL && str_is_printable(str_of(request->url)));
	must(str_find(str_of(request->url), ' ') == strlen(request->url));
	for (unsigned i = 0; i < request->n_headers; i++)
		must(str_find(str_of(request->headers[i]), '\n') == strlen(request->headers[i]) &&
		     str_find(str_of(request->headers[i]), '\r') == strlen(request->headers[i]));
}

static void check_end(const struct provider *provider, const struct provider_fetch *fetch, enum provider_step next)
{
	struct aws_credentials_keys keys;

	if (next == PROVIDER_STEP_FAILED) {
		must(fetch->verdict.reason[0] != '\0' && str_is_utf8(str_of(fetch->verdict.reason)));
		must(fetch->verdict.class == IPC_OUTCOME_TRANSIENT || fetch->verdict.class == IPC_OUTCOME_PROVIDER_FAULT);
		return;
	}
	must(fetch->expires_at > fetch->now && fetch->token.n > 0);
	if (provider != &provider_ses)
		return;
	must(aws_credentials_keys(buf_str(&fetch->token), &keys));
	must(str_is_printable(keys.access_key_id) && str_is_printable(keys.secret_access_key) && str_is_printable(keys.session_token));
}

static void hold(const struct provider *provider, const struct provider_fetch *begin, struct str rest)
{
	struct provider_request request = {.body = BUF_MAX(PROVIDER_REQUEST_MAX)};
	struct provider_fetch fetch = *begin;
	const struct provider_answer *answer = NULL;
	struct provider_answer given;
	enum provider_step next;
	unsigned steps = 0;

	while ((next = provider->fetch(&fetch, answer, &request)) == PROVIDER_STEP_ASK || next == PROVIDER_STEP_READ) {
		struct str body = STR("");
		unsigned status = 0;

		must(steps++ < STEPS_MAX);
		if (next == PROVIDER_STEP_ASK)
			check_request(&request);
		else
			must(fetch.source < AWS_FILES);
		if (rest.n >= 2) {
			status = ((unsigned char)rest.p[0] * 256U + (unsigned char)rest.p[1]) % 600;
			rest = str_from(rest, 2);
			body = str_first(rest, str_find(rest, '\0'));
			rest = str_from(rest, body.n + 1);
		}
		given = (struct provider_answer){.status = status, .body = body, .now = fetch.now};
		answer = &given;
		provider_request_clear(&request);
	}
	check_end(provider, &fetch, next);
	provider_request_clear(&request);
	buf_clear(&fetch.work);
	buf_clear(&fetch.token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char region[] = "eu-west-1", text[] = "t", empty[] = "";
	struct settings_provider settings = {.key = "p", .region = region, .endpoint = empty, .api_key = empty, .user = text,
					     .password = text};
	struct aws_sources aws = {.variable = {[AWS_VARIABLE_ROLE_ARN] = "r", [AWS_VARIABLE_CONTAINER_RELATIVE_URI] = "/c"}};
	const struct provider_fetch fetch = {.settings = &settings, .aws = &aws, .now = 1795327200000000, .work = BUF_MAX(1 << 20),
					     .token = BUF_MAX(1 << 20), .expires_at = INT64_MAX};
	struct str rest, value;

	if (size < 1)
		return 0;
	rest = str_bytes(data + 1, size - 1);
	aws_ini_find(rest, STR("default"), "aws_access_key_id", &value);
	aws_ini_find(rest, STR("profile a b"), "role_arn", &value);
	aws_xml_element(rest, "Code", &value);
	for (unsigned i = 0; i < AWS_FILES; i++)
		aws.file[i].name = text;
	if (data[0] % 8 < 2) {
		settings.type = PROVIDER_CAKEMAIL;
		settings.api_key = data[0] % 8 == 0 ? empty : text;
		hold(&provider_cakemail, &fetch, rest);
	} else {
		settings.type = PROVIDER_SES;
		settings.aws_credentials = data[0] % 8 - 1; /* environment to default */
		hold(&provider_ses, &fetch, rest);
	}
	return 0;
}
