/* SPDX-License-Identifier: Apache-2.0
 *
 * What a step says in the terms of provider.h.
 */
#include "deliver/provider_aws.h"

#include "lib/aws/aws_credentials.h"
#include "lib/base/trouble.h"

bool provider_aws_wants_token(const struct settings_provider *settings)
{
	return settings->aws_credentials != AWS_SETTINGS;
}

/* A refusal is the operator's or the account's: nobody's message is to blame. */
static void set_verdict(const struct aws_credentials *c, struct provider_verdict *verdict)
{
	if (c->is_passing) {
		provider_verdict_set(verdict, IPC_OUTCOME_TRANSIENT, c->status, "4.4.1", "%s", c->why);
		verdict->about = IPC_ABOUT_PROVIDER;
	} else {
		provider_verdict_set(verdict, IPC_OUTCOME_PROVIDER_FAULT, c->status, "4.7.8", "%s", c->why);
		verdict->about = IPC_ABOUT_CREDENTIAL;
	}
}

static void move_request(struct aws_credentials_request *from, struct provider_request *to)
{
	must(from->n_headers <= PROVIDER_HEADERS_MAX);
	to->method = from->method;
	to->url = from->url;
	for (unsigned i = 0; i < from->n_headers; i++)
		to->headers[i] = from->headers[i];
	to->n_headers = from->n_headers;
	to->body = from->body;
	to->timeout = from->timeout;
}

enum provider_step provider_aws_fetch(struct provider_fetch *fetch, const struct provider_answer *answer,
				      struct provider_request *request)
{
	struct aws_credentials c = {
		.source = fetch->settings->aws_credentials,
		.region = fetch->settings->region,
		.sources = fetch->aws,
		.now = fetch->now,
		.step = fetch->step,
		.tries = fetch->tries,
		.file = (enum aws_file)fetch->source,
		.work = fetch->work,
		.keys = fetch->token,
		.expires_at = fetch->expires_at,
	};
	struct aws_credentials_answer given = {0};
	struct aws_credentials_request asked = {.body = request->body};
	enum aws_credentials_step next;

	if (answer != NULL)
		given = (struct aws_credentials_answer){answer->status, answer->body};
	next = aws_credentials_step(&c, answer != NULL ? &given : NULL, &asked);
	fetch->step = c.step;
	fetch->tries = c.tries;
	fetch->source = c.file;
	fetch->work = c.work;
	fetch->token = c.keys;
	fetch->expires_at = c.expires_at;
	move_request(&asked, request);
	switch (next) {
	case AWS_CREDENTIALS_ASK:
		return PROVIDER_STEP_ASK;
	case AWS_CREDENTIALS_READ:
		return PROVIDER_STEP_READ;
	case AWS_CREDENTIALS_DONE:
		return PROVIDER_STEP_DONE;
	case AWS_CREDENTIALS_FAILED:
		break;
	}
	set_verdict(&c, &fetch->verdict);
	return PROVIDER_STEP_FAILED;
}
