/* SPDX-License-Identifier: Apache-2.0
 *
 * From a job to its outcome. Called by deliver_link.c; the providers' files say what to send and what the
 * answers mean.
 */
#include "deliver/deliver_job.h"

#include <stdlib.h>
#include <string.h>

#include "deliver/deliver_credential.h"
#include "deliver/deliver_kept.h"
#include "deliver/provider.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/ipc/ipc.h"
#include "lib/service/metrics.h"

enum { NO_PLACE = -1 };

/* A token younger than this, with which only a sender was wrong, is not fetched anew. */
#define TOKEN_YOUNG (10 * CLOCK_SECOND)

/* A job under way: all that is needed after the message itself is gone. */
struct deliver_job {
	struct deliver_job_pool *pool;
	struct deliver_job *next, *prev;
	uint64_t number;
	struct ipc_attempt attempt;
	struct buf whom;	/* as in struct ipc_job */
	unsigned n_recipients;	/* of the call */
	char provider_key[SETTINGS_KEY];
	const struct provider *provider;
	int place; /* in the settings' list, for the metrics; or NO_PLACE */
	char session[IPC_SESSION_TEXT];
	char message[UUID_TEXT];
	int64_t started_at, started_mono;
	int64_t begin_before; /* as in struct ipc_job */
	struct provider_request request;
	struct settings_credential credential; /* its provider: the row of the settings, with the tenant's own on top */
	struct deliver_kept *kept; /* NULL: the message is not needed for longer */
	struct deliver_token_wait token;
	uint64_t token_generation;
	int64_t token_at;
	bool is_begun;	   /* in the journal */
	bool has_new_token; /* a second one: there is no third */
};

static int place_of(const struct settings *settings, struct str key)
{
	for (size_t i = 0; i < settings->n_provider; i++)
		if (str_eq(str_of(settings->provider[i].key), key))
			return (int)i;
	return NO_PLACE;
}

static void count_running(const struct deliver_job_pool *pool, int place)
{
	int64_t n = 0;

	if (place == NO_PLACE)
		return;
	for (const struct deliver_job *job = pool->running; job != NULL; job = job->next)
		n += job->place == place;
	metrics_set_at(METRIC_IN_FLIGHT, (unsigned)place, n);
}

static struct deliver_job *new_job(struct deliver_job_pool *pool, uint64_t number, const struct ipc_job *asked)
{
	struct deliver_job *job = mem_zero(sizeof(*job));

	job->pool = pool;
	job->number = number;
	job->attempt = (struct ipc_attempt){asked->message.id, asked->attempt, asked->part};
	job->whom = BUF_MAX(IPC_RECIPIENTS_MAX * sizeof(uint16_t));
	buf_put_str(&job->whom, asked->whom);
	job->n_recipients = asked->message.n_recipients;
	job->request.body = BUF_MAX(PROVIDER_REQUEST_MAX);
	job->place = NO_PLACE;
	/* Longer than any key: it is none of ours, and stays unnamed. */
	if (str_copy(asked->provider, job->provider_key, sizeof(job->provider_key)))
		job->place = place_of(pool->settings, asked->provider);
	str_copy(asked->message.session, job->session, sizeof(job->session));
	uuid_format(&asked->message.id, job->message);
	job->started_at = clock_wall();
	job->started_mono = clock_mono();
	job->begin_before = asked->begin_before;
	job->next = pool->running;
	if (job->next != NULL)
		job->next->prev = job;
	pool->running = job;
	pool->n_running++;
	count_running(pool, job->place);
	return job;
}

static void free_job(struct deliver_job *job)
{
	struct deliver_job_pool *pool = job->pool;

	if (job->prev != NULL)
		job->prev->next = job->next;
	else
		pool->running = job->next;
	if (job->next != NULL)
		job->next->prev = job->prev;
	pool->n_running--;
	count_running(pool, job->place);
	deliver_token_cancel(&job->token);
	deliver_kept_free(&job->kept);
	provider_request_clear(&job->request);
	settings_credential_clear(&job->credential);
	buf_clear(&job->whom);
	free(job);
}

static void log_outcome(const struct deliver_job *job, const struct ipc_outcome *o, int64_t took)
{
	const struct log_context ctx = {.session = job->session, .message = job->message};

	log_info(&ctx, "deliver.call.end", log_str("provider", o->provider), log_uint("attempt", o->attempt.attempt & ~(uint32_t)IPC_ATTEMPT_DIRECT),
		 log_text("outcome", ipc_outcome_class_name(o->class)), log_uint("code", o->code),
		 log_str("status", o->status), log_str("provider_id", o->provider_id), log_str("reason", o->reason),
		 log_ms("took_ms", took));
}

/* The verdict counts the call's recipients, an outcome the message's. What one address got instead of them says nothing of
 * any one of them. */
static void put_refusals(const struct deliver_job *job, struct str refusals, struct buf *out)
{
	struct str whom = buf_str(&job->whom);
	struct reader r = reader_of(refusals);
	struct ipc_refusal f;

	if (whom.n > 0 && ipc_whom_count(whom) != job->n_recipients)
		return;
	while (ipc_get_refusal(&r, &f)) {
		must(f.recipient < job->n_recipients);
		if (whom.n > 0)
			f.recipient = ipc_whom_at(whom, f.recipient);
		ipc_put_refusal(out, &f);
	}
}

/* The end of every job: journal, log, report. */
static void finish(struct deliver_job *job, struct provider_verdict *verdict)
{
	struct deliver_job_pool *pool = job->pool;
	int64_t took = clock_mono() - job->started_mono;
	const struct deliver_journal_entry *entry;
	struct buf refusals = BUF_MAX(IPC_BODY_MAX);
	struct ipc_outcome outcome = {
		.attempt = job->attempt,
		.whom = buf_str(&job->whom),
		.class = verdict->class,
		.provider = str_of(job->provider_key),
		.provider_id = str_of(verdict->provider_id),
		.code = verdict->code,
		.status = str_of(verdict->status),
		.reason = str_of(verdict->reason),
		.retry_after = verdict->retry_after,
		.about = verdict->about,
		.rate = verdict->rate,
		.is_dsn_passed = verdict->is_dsn_passed,
		.started_at = job->started_at,
		.answered_at = clock_wall(),
	};
	struct err err;

	put_refusals(job, buf_str(&verdict->refusals), &refusals);
	outcome.refusals = buf_str(&refusals);
	if (!deliver_journal_outcome(pool->journal, &outcome, &err))
		log_error(&(struct log_context){.message = job->message}, "deliver.outcome.not_written",
			  log_text("reason", err.text));
	log_outcome(job, &outcome, took);
	if (job->place != NO_PLACE)
		metrics_time_at(METRIC_CALL_TIMES, (unsigned)job->place, took);
	entry = deliver_journal_find(pool->journal, &job->attempt);
	pool->on_outcome(pool->ctx, job->number, entry->outcome);
	buf_clear(&refusals);
	provider_verdict_clear(verdict);
	free_job(job);
}

static void get_token(struct deliver_job *job, uint64_t stale);

/* The token was not good: with another the call is made once anew. False: the verdict stands. */
static bool try_another_token(struct deliver_job *job, struct provider_verdict *verdict)
{
	bool is_refused = verdict->about == IPC_ABOUT_CREDENTIAL;

	if (!verdict->is_token_stale || job->kept == NULL)
		return false;
	if (is_refused)
		deliver_token_refuse(job->pool->tokens, job->token_generation);
	if (job->has_new_token || (!is_refused && clock_mono() - job->token_at < TOKEN_YOUNG))
		return false;
	provider_verdict_clear(verdict);
	provider_request_clear(&job->request);
	job->has_new_token = true;
	get_token(job, job->token_generation);
	return true;
}

static struct str header_of(const void *ctx, const char *name)
{
	return http_client_header(ctx, name);
}

static void judge_answer(const struct deliver_job *job, const struct http_answer *answer,
			 struct provider_verdict *verdict)
{
	const struct provider_answer given = {answer->status, answer->body, header_of, answer, clock_wall(), buf_str(&job->request.kept)};
	bool is_success = answer->status >= 200 && answer->status < 300;

	/* A refusal of which the words are missing could be of any kind, but it was one: again, later. */
	if (!answer->is_complete && !is_success)
		provider_verdict_set(verdict, IPC_OUTCOME_TRANSIENT, answer->status, "4.4.2",
				     "the provider's answer broke off: %s", answer->error);
	else
		job->provider->classify(&given, verdict);
}

static void on_answer(void *ctx, const struct http_answer *answer)
{
	struct deliver_job *job = ctx;
	struct provider_verdict verdict;

	switch (answer->result) {
	case HTTP_ANSWERED:
		judge_answer(job, answer, &verdict);
		break;
	case HTTP_NOT_SENT:
		provider_verdict_set(&verdict, IPC_OUTCOME_TRANSIENT, 0, "4.4.1", "cannot reach the provider: %s",
				     answer->error);
		if (answer->is_late)
			verdict.about = IPC_ABOUT_NOTHING;
		break;
	case HTTP_UNKNOWN:
		provider_verdict_set(&verdict, IPC_OUTCOME_UNKNOWN, 0, "4.4.2",
				     "the request was sent, no answer came: %s", answer->error);
		break;
	default:
		trouble_bug(__FILE__, __LINE__, "a result of http_client");
	}
	if (!try_another_token(job, &verdict))
		finish(job, &verdict);
}

static int directory_of(const struct deliver_job_pool *pool, const struct settings_provider *row)
{
	for (unsigned i = 0; i < pool->n_directories; i++)
		if (strcmp(pool->directories[i].path, row->directory) == 0)
			return pool->directories[i].fd;
	return -1;
}

/* The record of the start is on its way to the disk before a request is on its way out. */
static bool note_start(struct deliver_job *job, struct provider_verdict *verdict)
{
	struct err err;

	if (job->is_begun ||
	    deliver_journal_start(job->pool->journal, &job->attempt, buf_str(&job->whom), str_of(job->provider_key),
				  job->started_at, &err)) {
		job->is_begun = true;
		return true;
	}
	provider_verdict_set(verdict, IPC_OUTCOME_PROVIDER_FAULT, 0, "4.3.0", "%s", err.text);
	return false;
}

static void send_request(struct deliver_job *job)
{
	const struct http_request request = {
		.method = job->request.method,
		.url = job->request.url,
		.headers = (const char *const *)job->request.headers,
		.n_headers = job->request.n_headers,
		.body = buf_str(&job->request.body),
		.timeout = job->request.timeout > 0 ? job->request.timeout : job->pool->settings->deliver.call_timeout,
		.begin_before = job->begin_before,
	};

	http_client_start(job->pool->http, &request, on_answer, job);
}

static void on_verdict(void *ctx, struct provider_verdict *verdict)
{
	finish(ctx, verdict);
}

/* By a provider that makes its calls itself. */
static void send_call(struct deliver_job *job, const struct provider_call *call)
{
	const struct provider_means means = {
		.smtp = job->pool->smtp,
		.timeout = job->pool->settings->deliver.call_timeout,
		.begin_before = job->begin_before,
	};

	job->provider->send(&means, call, on_verdict, job);
}

/* The provider's settings, as this tenant has them now: a job that waited may find others. False: it cannot go this way,
 * *verdict says why. */
static bool take_settings(struct deliver_job *job, const struct ipc_job *asked, struct provider_verdict *verdict)
{
	const struct deliver_job_pool *pool = job->pool;
	const struct settings_provider *row = job->place == NO_PLACE ? NULL : &pool->settings->provider[job->place];
	struct err err;

	settings_credential_clear(&job->credential);
	/* After a reload the key may stand for another kind. */
	if (row == NULL || (job->provider != NULL && job->provider != &provider_sandbox && job->provider != provider_of(row->type))) {
		provider_verdict_set(verdict, IPC_OUTCOME_PROVIDER_FAULT, 0, "4.3.5",
				     "there is no provider \"%.*s\" in the settings", STR_ARG(asked->provider));
		return false;
	}
	job->provider = asked->is_test ? &provider_sandbox : provider_of(row->type);
	job->credential.provider = *row;
	if (asked->credential.n == 0 || deliver_credential_open(pool->settings, row, asked, &job->credential, &err))
		return true;
	provider_verdict_set(verdict, IPC_OUTCOME_PROVIDER_FAULT, 0, "4.7.8", "%s", err.text);
	verdict->about = IPC_ABOUT_CREDENTIAL;
	return false;
}

static void begin(struct deliver_job *job, const struct ipc_job *asked, struct str token)
{
	const struct settings_provider *row = &job->credential.provider;
	const struct provider_call call = {.settings = row, .message = &asked->message, .part = asked->part, .now = clock_wall(),
					   .token = token, .is_tenants_server = settings_credential_has_server(&job->credential)};
	struct provider_verdict verdict;

	if (job->provider->build != NULL && !job->provider->build(&call, &job->request, &verdict)) {
		if (!try_another_token(job, &verdict))
			finish(job, &verdict);
	} else if (!note_start(job, &verdict)) {
		finish(job, &verdict);
	} else if (job->provider->deliver != NULL) {
		job->provider->deliver(row, directory_of(job->pool, row), &asked->message, &verdict);
		finish(job, &verdict);
	} else if (job->provider->send != NULL) {
		send_call(job, &call);
	} else {
		send_request(job);
	}
}

static void on_token(void *ctx, const struct deliver_token *token)
{
	struct deliver_job *job = ctx;
	const struct ipc_job *asked = deliver_kept_job(job->kept);
	struct provider_verdict verdict;

	if (!token->is_there) {
		verdict = *token->failure;
		finish(job, &verdict);
	} else if (!take_settings(job, asked, &verdict)) {
		finish(job, &verdict);
	} else {
		job->token_generation = token->generation;
		job->token_at = token->fetched_at;
		begin(job, asked, token->text);
	}
}

/* `stale` is that of the token which was not good; 0: any is. */
static void get_token(struct deliver_job *job, uint64_t stale)
{
	struct deliver_job_pool *pool = job->pool;
	struct provider_verdict verdict;

	job->token.fn = on_token;
	job->token.ctx = job;
	if (take_settings(job, deliver_kept_job(job->kept), &verdict))
		deliver_token_get(pool->tokens, &job->credential.provider, stale, pool->settings->deliver.call_timeout, &job->token);
	else
		finish(job, &verdict);
}

static void wait_for_token(struct deliver_job *job, const struct ipc_job *asked, int file)
{
	struct provider_verdict verdict;

	job->kept = deliver_kept_new(asked, file);
	if (job->kept != NULL) {
		get_token(job, 0);
		return;
	}
	provider_verdict_set(&verdict, IPC_OUTCOME_TRANSIENT, 0, "4.3.0", "there is no memory for the message");
	verdict.about = IPC_ABOUT_NOTHING;
	finish(job, &verdict);
}

void deliver_job_start(struct deliver_job_pool *pool, uint64_t number, const struct ipc_job *asked, int file)
{
	struct deliver_job *job = new_job(pool, number, asked);
	struct provider_verdict verdict;

	if (!take_settings(job, asked, &verdict))
		finish(job, &verdict);
	else if (job->provider->wants_token != NULL && job->provider->wants_token(&job->credential.provider))
		wait_for_token(job, asked, file);
	else
		begin(job, asked, STR(""));
}

void deliver_job_forget(struct deliver_job_pool *pool)
{
	struct deliver_job *next;

	for (struct deliver_job *job = pool->running; job != NULL; job = next) {
		next = job->next;
		if (!job->is_begun)
			free_job(job);
	}
}

void deliver_job_reload(struct deliver_job_pool *pool)
{
	for (struct deliver_job *job = pool->running; job != NULL; job = job->next)
		job->place = place_of(pool->settings, str_of(job->provider_key));
	for (size_t i = 0; i < pool->settings->n_provider; i++)
		count_running(pool, (int)i);
}

void deliver_job_abandon(struct deliver_job_pool *pool)
{
	while (pool->running != NULL)
		free_job(pool->running);
}
