/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of deliver/provider_aws.c: what the steps of lib/aws/aws_credentials.c, which have tests of their own, mean to a provider.
 */
#include "deliver/provider_aws.h"

#include <string.h>

#include "lib/aws/aws_credentials.h"
#include "tests/support/unit.h"

/* 2026-11-22T06:00:00Z */
#define NOW (1795327200LL * 1000000)

/* One source, to its end; `statuses` are those of the answers in turn, the last one for all others. */
static enum provider_step fetch_all(struct provider_fetch *fetch, const unsigned *statuses, const char *body)
{
	struct provider_request request = {.body = BUF_MAX(PROVIDER_REQUEST_MAX)};
	struct provider_answer given = {.body = str_of(body), .now = NOW};
	const struct provider_answer *answer = NULL;
	enum provider_step next;

	while ((next = provider_aws_fetch(fetch, answer, &request)) == PROVIDER_STEP_ASK || next == PROVIDER_STEP_READ) {
		if (next == PROVIDER_STEP_ASK) {
			UNIT_TEXT(request.url, "http://127.0.0.1/c");
			UNIT_INT(request.n_headers, 2);
			UNIT_TEXT(request.headers[1], "Authorization: the file");
			UNIT_INT(request.timeout, 1000000);
			given.status = *statuses;
			given.body = str_of(body);
			statuses += statuses[1] != 0;
		} else {
			UNIT_INT(fetch->source, AWS_FILE_CONTAINER_TOKEN);
			given.status = 200;
			given.body = STR("the file\n");
		}
		answer = &given;
		provider_request_clear(&request);
	}
	provider_request_clear(&request);
	return next;
}

static void steps_and_failures_are_told_as_a_provider_tells_them(void)
{
	static const struct {
		unsigned statuses[3];
		const char *body;
		enum ipc_outcome_class class;
		enum ipc_about about;
		uint32_t code;
		const char *status;
	} cases[] = {
		{{503, 200, 0}, "{\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"SK\",\"Expiration\":\"2026-11-22T07:00:00Z\"}",
		 IPC_OUTCOME_SENT, IPC_ABOUT_NOTHING, 0, NULL},
		{{403, 0, 0}, "{}", IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_CREDENTIAL, 403, "4.7.8"},
		{{503, 0, 0}, "{}", IPC_OUTCOME_TRANSIENT, IPC_ABOUT_PROVIDER, 503, "4.4.1"},
	};
	char name[] = "there", region[] = "eu-west-1";
	const struct settings_provider settings = {.key = "p", .aws_credentials = AWS_CONTAINER, .region = region};
	struct aws_sources sources = {.variable = {[AWS_VARIABLE_CONTAINER_FULL_URI] = "http://127.0.0.1/c"}};

	sources.file[AWS_FILE_CONTAINER_TOKEN].name = name;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct provider_fetch fetch = {.settings = &settings, .aws = &sources, .now = NOW, .work = BUF_MAX(4096),
					       .token = BUF_MAX(4096), .expires_at = INT64_MAX};
		enum provider_step end = fetch_all(&fetch, cases[i].statuses, cases[i].body);
		struct aws_credentials_keys keys;

		UNIT_INT(end, cases[i].status == NULL ? PROVIDER_STEP_DONE : PROVIDER_STEP_FAILED);
		if (end == PROVIDER_STEP_DONE) {
			UNIT_TRUE(aws_credentials_keys(buf_str(&fetch.token), &keys));
			UNIT_STR(keys.access_key_id, "AK");
			UNIT_INT(fetch.expires_at, NOW + 3600LL * 1000000);
		} else {
			UNIT_INT(fetch.verdict.class, cases[i].class);
			UNIT_INT(fetch.verdict.about, cases[i].about);
			UNIT_INT(fetch.verdict.code, cases[i].code);
			UNIT_TEXT(fetch.verdict.status, cases[i].status);
			UNIT_TRUE(strstr(fetch.verdict.reason, "no AWS credentials: the container's") != NULL);
		}
		buf_clear(&fetch.work);
		buf_clear(&fetch.token);
	}
}

UNIT_TESTS({"steps and failures are told as a provider tells them", steps_and_failures_are_told_as_a_provider_tells_them})
