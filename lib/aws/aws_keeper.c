/* SPDX-License-Identifier: Apache-2.0
 *
 * See aws_keeper.h.
 */
#include "lib/aws/aws_keeper.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"

enum { KEYS_MAX = 65536, FILE_MAX = 65536, STEPS_MAX = 64 };

#define FETCH_TIMEOUT (30 * CLOCK_SECOND)
#define REFRESH_AHEAD (300 * CLOCK_SECOND)
/* Between a fetch that failed and the next. */
#define FAILURE_KEPT (CLOCK_SECOND / 2)

struct fetch {
	bool is_running;
	char *region;
	struct aws_credentials steps;
	struct aws_credentials_request request;
	struct http_call *asking; /* NULL: nobody */
	unsigned n_steps;
};

struct aws_keeper {
	struct aws_keeper_config config;
	int source;
	char *region;
	struct buf keys;     /* as aws_credentials_keys() reads them; empty: there are none yet */
	uint64_t generation; /* of the keys */
	bool was_replaced;   /* the settings are others than those that the fetch began with */
	int64_t refresh_at, expires_at, fetch_again_at; /* monotonic */
	char why[AWS_CREDENTIALS_WHY]; /* there are none */
	bool is_passing;
	struct fetch fetch;
};

/* ---- keeping ---- */

static void forget_keys(struct aws_keeper *k)
{
	buf_clear_secret(&k->keys);
	k->fetch_again_at = 0;
}

static bool has_keys(const struct aws_keeper *k)
{
	return k->keys.n > 0 && clock_mono() < k->expires_at;
}

static void take_keys(struct aws_keeper *k, struct buf *keys, int64_t expires_at)
{
	int64_t now = clock_mono(), life = expires_at == INT64_MAX ? INT64_MAX : expires_at - clock_wall();

	buf_clear_secret(&k->keys);
	k->keys = *keys;
	*keys = BUF_MAX(KEYS_MAX);
	k->generation++;
	k->refresh_at = k->expires_at = INT64_MAX;
	if (life != INT64_MAX) {
		k->expires_at = now + life;
		k->refresh_at = now + (life > 2 * REFRESH_AHEAD ? life - REFRESH_AHEAD : life / 2);
	}
}

/* ---- fetching ---- */

/* The words of whoever refused are in it. */
static void take_why(struct aws_keeper *k, const char *why)
{
	must(str_copy(str_of(why), k->why, sizeof(k->why)));
	for (char *c = k->why; *c != '\0'; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

static void end_fetch(struct aws_keeper *k, bool is_done)
{
	struct fetch *f = &k->fetch;

	f->is_running = false;
	if (k->was_replaced) {
		/* These would be somebody else's. */
	} else if (is_done) {
		take_keys(k, &f->steps.keys, f->steps.expires_at);
		log_info(NULL, "aws.keys.fetched", log_int("lasts_s", k->expires_at == INT64_MAX ? -1
									: (k->expires_at - clock_mono()) / CLOCK_SECOND));
	} else {
		k->fetch_again_at = clock_mono() + FAILURE_KEPT;
		k->is_passing = f->steps.is_passing;
		take_why(k, f->steps.why);
		log_warn(NULL, "aws.keys.not_fetched", log_text("reason", k->why), log_bool("has_others", has_keys(k)));
	}
	buf_clear_secret(&f->steps.work);
	buf_clear_secret(&f->steps.keys);
	aws_credentials_request_clear(&f->request);
	mem_free(&f->region);
	k->config.on_end(k->config.ctx);
}

static void step(struct aws_keeper *k, const struct aws_credentials_answer *given);

static void on_fetched(void *ctx, const struct http_answer *answer)
{
	struct aws_keeper *k = ctx;
	struct aws_credentials_answer given = {answer->status, answer->body};

	k->fetch.asking = NULL;
	if (answer->result != HTTP_ANSWERED || !answer->is_complete)
		given = (struct aws_credentials_answer){.body = str_of(answer->error)};
	step(k, &given);
	if (answer->body.n > 0)
		mem_wipe((void *)(uintptr_t)answer->body.p, answer->body.n); /* there may be keys in it */
}

static void ask_source(struct aws_keeper *k)
{
	const struct aws_credentials_request *asked = &k->fetch.request;
	const struct http_request request = {
		.method = asked->method,
		.url = asked->url,
		.headers = (const char *const *)asked->headers,
		.n_headers = asked->n_headers,
		.body = buf_str(&asked->body),
		.timeout = asked->timeout > 0 ? asked->timeout : FETCH_TIMEOUT,
	};

	k->fetch.asking = http_client_start(k->config.http, &request, on_fetched, k);
}

static void read_source(struct aws_keeper *k)
{
	struct aws_credentials_answer answer = {.status = 200};
	struct buf content = BUF_MAX(FILE_MAX);
	struct err err = {.text = ""};

	if (aws_sources_read(k->config.sources, k->fetch.steps.file, &content, &err))
		answer.body = buf_str(&content);
	else
		answer = (struct aws_credentials_answer){.body = str_of(err.text)};
	step(k, &answer);
	buf_clear_secret(&content);
}

static void step(struct aws_keeper *k, const struct aws_credentials_answer *given)
{
	struct fetch *f = &k->fetch;
	enum aws_credentials_step next;

	aws_credentials_request_clear(&f->request);
	f->steps.now = clock_wall();
	must(f->n_steps++ < STEPS_MAX);
	next = aws_credentials_step(&f->steps, given, &f->request);
	if (next == AWS_CREDENTIALS_ASK)
		ask_source(k);
	else if (next == AWS_CREDENTIALS_READ)
		read_source(k);
	else
		end_fetch(k, next == AWS_CREDENTIALS_DONE);
}

static void start_fetch(struct aws_keeper *k)
{
	struct fetch *f = &k->fetch;

	*f = (struct fetch){.is_running = true, .region = mem_text(k->region), .request.body = BUF_MAX(KEYS_MAX)};
	f->steps = (struct aws_credentials){.source = k->source, .region = f->region, .sources = k->config.sources,
					    .work = BUF_MAX(KEYS_MAX), .keys = BUF_MAX(KEYS_MAX), .expires_at = INT64_MAX};
	k->was_replaced = false;
	step(k, NULL);
}

/* ---- for others ---- */

enum aws_keeper_verdict aws_keeper_get(struct aws_keeper *k, struct aws_keeper_answer *answer)
{
	bool is_due = !has_keys(k) || clock_mono() >= k->refresh_at;

	*answer = (struct aws_keeper_answer){0};
	if (k->source != AWS_SETTINGS && is_due && !k->fetch.is_running && clock_mono() >= k->fetch_again_at)
		start_fetch(k);
	if (has_keys(k)) {
		must(aws_credentials_keys(buf_str(&k->keys), &answer->keys));
		answer->generation = k->generation;
		return AWS_KEEPER_HAS;
	}
	if (k->fetch.is_running)
		return AWS_KEEPER_WAIT;
	answer->why = k->why;
	answer->is_passing = k->is_passing;
	return AWS_KEEPER_FAILED;
}

bool aws_keeper_refuse(struct aws_keeper *k, uint64_t generation)
{
	if (k->source == AWS_SETTINGS)
		return false;
	if (generation == k->generation)
		forget_keys(k);
	return true;
}

void aws_keeper_use_settings(struct aws_keeper *k, const struct settings *settings)
{
	struct buf *keys = &k->keys;

	forget_keys(k);
	k->was_replaced = true;
	k->source = settings->aws.credentials;
	free(k->region);
	k->region = mem_text(settings->aws.region);
	k->generation++;
	k->expires_at = k->refresh_at = INT64_MAX;
	if (k->source != AWS_SETTINGS)
		return;
	k->is_passing = false;
	take_why(k, "aws.access_key_id and aws.secret_access_key are not set");
	if (settings->aws.access_key_id[0] == '\0' || settings->aws.secret_access_key[0] == '\0')
		return;
	must(buf_room(keys, strlen(settings->aws.access_key_id) + strlen(settings->aws.secret_access_key) +
				    strlen(settings->aws.session_token) + 2) != NULL);
	buf_put_text(keys, settings->aws.access_key_id);
	buf_put_char(keys, '\n');
	buf_put_text(keys, settings->aws.secret_access_key);
	buf_put_char(keys, '\n');
	buf_put_text(keys, settings->aws.session_token);
}

struct aws_keeper *aws_keeper_new(const struct aws_keeper_config *config, const struct settings *settings)
{
	struct aws_keeper *k = mem_zero(sizeof(*k));

	*k = (struct aws_keeper){.config = *config, .keys = BUF_MAX(KEYS_MAX)};
	aws_keeper_use_settings(k, settings);
	return k;
}

void aws_keeper_free(struct aws_keeper **keeper)
{
	struct aws_keeper *k = *keeper;

	if (k == NULL)
		return;
	http_client_cancel(&k->fetch.asking);
	buf_clear_secret(&k->fetch.steps.work);
	buf_clear_secret(&k->fetch.steps.keys);
	aws_credentials_request_clear(&k->fetch.request);
	free(k->fetch.region);
	buf_clear_secret(&k->keys);
	free(k->region);
	mem_free(keeper);
}
