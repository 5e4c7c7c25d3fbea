/* SPDX-License-Identifier: Apache-2.0
 *
 * An entry for each provider's settings (with the credential in them), so that a changed key is another entry. One fetch
 * at a time an entry. Nobody waits longer than one fetch may take; what failed is remembered for a short while, so that
 * many jobs do not knock at the same door. Called by deliver_job.c.
 */
#include "deliver/deliver_token.h"

#include <stdlib.h>

#include "lib/aws/aws_sources.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/settings/settings_provider.h"

enum { ENTRIES_MAX = 1024, STEPS_MAX = 64, TOKEN_MAX = 1 << 20, FILE_MAX = 65536 };

#define KEPT_UNUSED (3600 * CLOCK_SECOND)
#define REFRESH_AHEAD (300 * CLOCK_SECOND)
/* Between a fetch that failed and the next. */
#define FAILURE_KEPT (5 * CLOCK_SECOND)

struct deliver_token_cache {
	struct http_client *http;
	const struct aws_sources *aws;
	struct deliver_token_entry *entries;
	unsigned n_entries;
	uint64_t generations;
};

struct deliver_token_entry {
	struct deliver_token_cache *cache;
	struct deliver_token_entry *next;
	struct settings_provider *settings; /* a copy: the fetch may outlive a reload */
	struct deliver_token_wait *waiting, *answering;
	struct buf token;
	uint64_t generation;		 /* 0: there was no token yet */
	uint64_t refused;		 /* the last one that the provider did not take */
	int64_t refresh_at, expires_at;	 /* monotonic, as all here */
	int64_t fetched_at, used_at, fetch_again_at; /* not before, when the last fetch failed */
	struct provider_verdict failure;
	/* the fetch under way: */
	bool is_fetching;
	struct provider_fetch fetch;
	struct provider_request request;
	unsigned steps;
	int64_t fetch_began, fetch_until;
};

static void step(struct deliver_token_entry *e, const struct provider_answer *given);

/* ---- entries ---- */

static void clear_fetch(struct deliver_token_entry *e)
{
	buf_clear_secret(&e->fetch.work);
	buf_clear_secret(&e->fetch.token);
	provider_verdict_clear(&e->fetch.verdict);
	provider_request_clear(&e->request);
}

static void free_entry(struct deliver_token_entry **at)
{
	struct deliver_token_entry *e = *at;

	*at = e->next;
	e->cache->n_entries--;
	clear_fetch(e);
	buf_clear_secret(&e->token);
	settings_provider_free(&e->settings);
	free(e);
}

/* Those whose settings are gone, or whose tenants have sent nothing for long; and when there are too many, the one that
 * was not used for longest. */
static void drop_old(struct deliver_token_cache *cache, int64_t now)
{
	struct deliver_token_entry **at = &cache->entries, **oldest = NULL;

	while (*at != NULL) {
		bool is_busy = (*at)->is_fetching || (*at)->answering != NULL;

		if (!is_busy && now - (*at)->used_at > KEPT_UNUSED) {
			oldest = NULL;
			free_entry(at);
			continue;
		}
		if (!is_busy && (oldest == NULL || (*at)->used_at < (*oldest)->used_at))
			oldest = at;
		at = &(*at)->next;
	}
	if (oldest != NULL && cache->n_entries >= ENTRIES_MAX)
		free_entry(oldest);
}

static struct deliver_token_entry *entry_of(struct deliver_token_cache *cache, const struct settings_provider *settings)
{
	struct deliver_token_entry *e;

	for (e = cache->entries; e != NULL; e = e->next)
		if (settings_provider_same(e->settings, settings))
			return e;
	drop_old(cache, clock_mono());
	e = mem_zero(sizeof(*e));
	e->cache = cache;
	e->settings = settings_provider_copy(settings);
	e->token = BUF_MAX(TOKEN_MAX);
	e->request.body = BUF_MAX(PROVIDER_REQUEST_MAX);
	e->next = cache->entries;
	cache->entries = e;
	cache->n_entries++;
	return e;
}

static bool is_good(const struct deliver_token_entry *e, uint64_t stale, int64_t now)
{
	return e->generation != 0 && e->generation != stale && e->generation != e->refused && now < e->expires_at;
}

/* ---- the end of a fetch ---- */

static void answer(struct deliver_token_entry *e, struct deliver_token_wait *wait)
{
	bool is_there = is_good(e, wait->stale, clock_mono());

	wait->entry = NULL;
	wait->fn(wait->ctx, &(struct deliver_token){is_there, is_there ? buf_str(&e->token) : STR(""), e->generation, e->fetched_at,
						    is_there ? NULL : &e->failure});
}

/* Those who wait now. They may ask again, of this entry too, and a fetch of files ends at once. The entry stays: it is the
 * one that was used last. */
static void answer_all(struct deliver_token_entry *e)
{
	struct deliver_token_wait **end = &e->answering, *wait;

	while (*end != NULL)
		end = &(*end)->next;
	*end = e->waiting;
	e->waiting = NULL;
	while ((wait = e->answering) != NULL) {
		e->answering = wait->next;
		answer(e, wait);
	}
}

static void take_token(struct deliver_token_entry *e, int64_t now)
{
	int64_t life = e->fetch.expires_at == INT64_MAX ? INT64_MAX : e->fetch.expires_at - clock_wall();

	buf_clear_secret(&e->token);
	e->token = e->fetch.token;
	e->fetch.token = BUF_MAX(TOKEN_MAX);
	e->generation = ++e->cache->generations;
	e->fetched_at = now;
	e->fetch_again_at = 0;
	e->expires_at = e->refresh_at = INT64_MAX;
	if (life != INT64_MAX) {
		e->expires_at = now + life;
		/* One that is short-lived is not renewed all the time. */
		e->refresh_at = now + (life > 2 * REFRESH_AHEAD ? life - REFRESH_AHEAD : life / 2);
	}
	log_info(NULL, "deliver.token.fetched", log_text("provider", e->settings->key),
		 log_int("lasts_s", life == INT64_MAX ? -1 : life / CLOCK_SECOND), log_ms("took_ms", now - e->fetch_began));
}

static void take_failure(struct deliver_token_entry *e, int64_t now)
{
	bool is_good_still = is_good(e, 0, now);

	e->failure = e->fetch.verdict;
	e->fetch.verdict = (struct provider_verdict){0};
	e->fetch_again_at = now + FAILURE_KEPT;
	/* At its end the next one tries at once. */
	if (is_good_still && e->expires_at < e->fetch_again_at)
		e->fetch_again_at = e->expires_at;
	if (is_good_still)
		log_warn(NULL, "deliver.token.not_renewed", log_text("provider", e->settings->key),
			 log_text("reason", e->failure.reason), log_int("lasts_s", (e->expires_at - now) / CLOCK_SECOND));
	else
		log_error(NULL, "deliver.token.not_fetched", log_text("provider", e->settings->key),
			  log_text("reason", e->failure.reason));
}

static void end_fetch(struct deliver_token_entry *e, bool is_done)
{
	int64_t now = clock_mono();

	e->is_fetching = false;
	if (is_done)
		take_token(e, now);
	else
		take_failure(e, now);
	clear_fetch(e);
	answer_all(e);
}

/* ---- its steps ---- */

static struct str header_of(const void *ctx, const char *name)
{
	return http_client_header(ctx, name);
}

static void on_answer(void *ctx, const struct http_answer *answer)
{
	struct deliver_token_entry *e = ctx;
	struct provider_answer given = {.status = answer->status, .body = answer->body, .header = header_of,
					.header_ctx = answer, .now = clock_wall()};

	if (answer->result != HTTP_ANSWERED || !answer->is_complete)
		given = (struct provider_answer){.body = str_of(answer->error), .now = clock_wall()};
	step(e, &given);
	if (answer->body.n > 0)
		mem_wipe((void *)(uintptr_t)answer->body.p, answer->body.n); /* there may be keys in it */
}

static void ask(struct deliver_token_entry *e)
{
	int64_t left = e->fetch_until - clock_mono(), most = e->request.timeout > 0 ? e->request.timeout : left;
	const struct http_request request = {
		.method = e->request.method,
		.url = e->request.url,
		.headers = (const char *const *)e->request.headers,
		.n_headers = e->request.n_headers,
		.body = buf_str(&e->request.body),
		.timeout = left < most ? left : most,
	};

	http_client_start(e->cache->http, &request, on_answer, e);
}

static void read_source(struct deliver_token_entry *e)
{
	struct provider_answer answer = {.status = 200, .now = clock_wall()};
	struct buf content = BUF_MAX(FILE_MAX);
	struct err err = {.text = ""};

	if (e->cache->aws != NULL && aws_sources_read(e->cache->aws, e->fetch.source, &content, &err)) {
		answer.body = buf_str(&content);
	} else {
		answer.status = 0;
		answer.body = str_of(err.text);
	}
	step(e, &answer);
	buf_clear_secret(&content);
}

static void step(struct deliver_token_entry *e, const struct provider_answer *given)
{
	const struct provider *provider = provider_of(e->settings->type);
	bool is_late = clock_mono() + CLOCK_MS >= e->fetch_until;
	enum provider_step next;

	provider_request_clear(&e->request);
	e->fetch.now = clock_wall();
	must(e->steps++ < STEPS_MAX);
	next = provider->fetch(&e->fetch, given, &e->request);
	if (next == PROVIDER_STEP_ASK && is_late) {
		provider_verdict_set(&e->fetch.verdict, IPC_OUTCOME_TRANSIENT, 0, "4.4.1",
				     "it took too long to fetch what %s needs first", provider->type);
		next = PROVIDER_STEP_FAILED;
	}
	switch (next) {
	case PROVIDER_STEP_ASK:
		ask(e);
		break;
	case PROVIDER_STEP_READ:
		read_source(e);
		break;
	case PROVIDER_STEP_DONE:
	case PROVIDER_STEP_FAILED:
		end_fetch(e, next == PROVIDER_STEP_DONE);
		break;
	}
}

static void start_fetch(struct deliver_token_entry *e, int64_t timeout)
{
	e->is_fetching = true;
	e->fetch = (struct provider_fetch){.settings = e->settings, .aws = e->cache->aws, .work = BUF_MAX(TOKEN_MAX),
					   .token = BUF_MAX(TOKEN_MAX), .expires_at = INT64_MAX};
	e->steps = 0;
	e->fetch_began = clock_mono();
	e->fetch_until = e->fetch_began + timeout;
	step(e, NULL);
}

/* ---- for jobs ---- */

void deliver_token_get(struct deliver_token_cache *cache, const struct settings_provider *settings, uint64_t stale,
		       int64_t timeout, struct deliver_token_wait *wait)
{
	struct deliver_token_entry *e = entry_of(cache, settings);
	int64_t now = clock_mono();
	bool is_there = is_good(e, stale, now), may_fetch = !e->is_fetching && now >= e->fetch_again_at;

	must(wait->entry == NULL);
	e->used_at = now;
	wait->stale = stale;
	if (is_there && may_fetch && now >= e->refresh_at)
		start_fetch(e, timeout);
	if (is_there || (!e->is_fetching && !may_fetch)) {
		answer(e, wait);
		return;
	}
	wait->entry = e;
	wait->next = e->waiting;
	e->waiting = wait;
	if (may_fetch)
		start_fetch(e, timeout);
}

void deliver_token_refuse(struct deliver_token_cache *cache, uint64_t generation)
{
	/* They are numbered over all entries. */
	for (struct deliver_token_entry *e = cache->entries; e != NULL; e = e->next)
		if (e->generation == generation)
			e->refused = generation;
}

void deliver_token_cancel(struct deliver_token_wait *wait)
{
	struct deliver_token_wait **at;

	if (wait->entry == NULL)
		return;
	at = &wait->entry->waiting;
	while (*at != NULL && *at != wait)
		at = &(*at)->next;
	if (*at == NULL)
		at = &wait->entry->answering;
	while (*at != wait)
		at = &(*at)->next;
	*at = wait->next;
	wait->entry = NULL;
}

struct deliver_token_cache *deliver_token_cache_new(struct http_client *http, const struct aws_sources *aws)
{
	struct deliver_token_cache *cache = mem_zero(sizeof(*cache));

	cache->http = http;
	cache->aws = aws;
	return cache;
}

void deliver_token_cache_free(struct deliver_token_cache **cache)
{
	struct deliver_token_cache *c = *cache;

	if (c == NULL)
		return;
	while (c->entries != NULL) {
		while (c->entries->waiting != NULL)
			deliver_token_cancel(c->entries->waiting);
		free_entry(&c->entries);
	}
	mem_free(cache);
}
