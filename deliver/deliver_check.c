/* SPDX-License-Identifier: Apache-2.0
 *
 * Nothing of it reaches the journal or qmgr: a check decides nothing.
 */
#include "deliver/deliver_check.h"

#include <stdlib.h>
#include <string.h>

#include "deliver/provider.h"
#include "lib/base/clock.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"

/* master waits five seconds for all answers. */
#define PATIENCE (4 * CLOCK_SECOND)

struct check {
	struct deliver_job_pool *pool;
	uint64_t id;
	deliver_check_fn *tell;
	char key[SETTINGS_KEY];
	const struct provider *provider;
	struct provider_request request;
	struct deliver_token_wait token;
	int64_t began_at; /* monotonic */
};

static const struct settings_provider *row_of(const struct check *c)
{
	const struct settings *s = c->pool->settings;

	for (size_t i = 0; i < s->n_provider; i++)
		if (strcmp(s->provider[i].key, c->key) == 0)
			return &s->provider[i];
	return NULL;
}

static void finish(struct check *c, struct provider_verdict *verdict)
{
	int64_t took = clock_mono() - c->began_at;
	struct buf json = BUF_MAX(8192);

	log_info(NULL, "deliver.check.end", log_text("provider", c->key), log_bool("is_good", verdict->class == IPC_OUTCOME_SENT),
		 log_uint("code", verdict->code), log_text("reason", verdict->reason), log_ms("took_ms", took));
	json_begin(&json, NULL, '{');
	json_put_bool(&json, "is_good", verdict->class == IPC_OUTCOME_SENT);
	json_put_int(&json, "code", verdict->code);
	json_put_text(&json, "reason", str_of(verdict->reason));
	json_put_int(&json, "took", took);
	buf_put_char(&json, '}');
	c->tell(c->id, buf_str(&json));
	buf_clear(&json);
	provider_verdict_clear(verdict);
	provider_request_clear(&c->request);
	deliver_token_cancel(&c->token);
	free(c);
}

static void fail(struct check *c, const char *status, const char *why)
{
	struct provider_verdict verdict;

	provider_verdict_set(&verdict, IPC_OUTCOME_TRANSIENT, 0, status, "%s", why);
	finish(c, &verdict);
}

static struct str header_of(const void *ctx, const char *name)
{
	return http_client_header(ctx, name);
}

static void on_answer(void *ctx, const struct http_answer *answer)
{
	struct check *c = ctx;
	const struct provider_answer given = {answer->status, answer->body, header_of, answer, clock_wall(),
					      buf_str(&c->request.kept)};
	struct provider_verdict verdict;

	if (answer->result != HTTP_ANSWERED) {
		fail(c, "4.4.1", answer->error);
		return;
	}
	if (c->provider->classify_check == NULL || !c->provider->classify_check(&given, &verdict)) {
		if (answer->status >= 200 && answer->status < 300)
			provider_verdict_set(&verdict, IPC_OUTCOME_SENT, answer->status, "2.0.0", "it answers, and takes the key");
		else
			c->provider->classify(&given, &verdict);
	}
	finish(c, &verdict);
}

static void on_verdict(void *ctx, struct provider_verdict *verdict)
{
	finish(ctx, verdict);
}

static int64_t timeout_of(const struct check *c)
{
	int64_t usual = c->pool->settings->deliver.call_timeout;

	return usual < PATIENCE ? usual : PATIENCE;
}

static void begin(struct check *c, const struct settings_provider *row, struct str token)
{
	const struct provider_call call = {.settings = row, .now = clock_wall(), .token = token};
	const struct provider_means means = {.smtp = c->pool->smtp, .timeout = timeout_of(c)};
	struct provider_verdict verdict;
	struct http_request request;

	if (c->provider->send_check != NULL) {
		c->provider->send_check(&means, &call, on_verdict, c);
		return;
	}
	if (!c->provider->build_check(&call, &c->request, &verdict)) {
		finish(c, &verdict);
		return;
	}
	request = (struct http_request){
		.method = c->request.method,
		.url = c->request.url,
		.headers = (const char *const *)c->request.headers,
		.n_headers = c->request.n_headers,
		.body = buf_str(&c->request.body),
		.timeout = timeout_of(c),
	};
	http_client_start(c->pool->http, &request, on_answer, c);
}

static void on_token(void *ctx, const struct deliver_token *token)
{
	struct check *c = ctx;
	const struct settings_provider *row = row_of(c);
	struct provider_verdict verdict;

	if (!token->is_there) {
		verdict = *token->failure;
		finish(c, &verdict);
	} else if (row == NULL || provider_of(row->type) != c->provider) {
		fail(c, "4.3.5", "the settings have changed");
	} else {
		begin(c, row, token->text);
	}
}

static void check_row(struct check *c, const struct settings_provider *row)
{
	struct provider_verdict verdict;

	c->provider = provider_of(row->type);
	if (c->provider->build_check == NULL && c->provider->send_check == NULL) {
		provider_verdict_set(&verdict, IPC_OUTCOME_SENT, 0, "", "its settings are complete; this kind has nothing to ask");
		finish(c, &verdict);
	} else if (c->provider->wants_token != NULL && c->provider->wants_token(row)) {
		c->token.fn = on_token;
		c->token.ctx = c;
		deliver_token_get(c->pool->tokens, row, 0, timeout_of(c), &c->token);
	} else {
		begin(c, row, STR(""));
	}
}

void deliver_check_ask(struct deliver_job_pool *pool, uint64_t id, struct str words, deliver_check_fn *tell)
{
	struct check *c = mem_zero(sizeof(*c));
	const struct settings_provider *row;
	struct str verb = STR("");

	c->pool = pool;
	c->id = id;
	c->tell = tell;
	c->began_at = clock_mono();
	str_next(&words, ' ', &verb);
	if (!str_eq(verb, STR("check")) || !str_copy(words, c->key, sizeof(c->key)) || (row = row_of(c)) == NULL)
		fail(c, "4.3.5", "there is no such provider in the settings of the running service");
	else
		check_row(c, row);
}
