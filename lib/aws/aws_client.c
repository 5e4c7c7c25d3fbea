/* SPDX-License-Identifier: Apache-2.0
 *
 * A call waits for keys, is sent, waits for its next try: what it does next, it does when its timer rings.
 */
#include "lib/aws/aws_client.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/aws/aws_credentials.h"
#include "lib/aws/aws_xml.h"
#include "lib/aws/sigv4.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/random.h"
#include "lib/base/trouble.h"

enum { HEADERS_MAX = 16, KEYS_MAX = 65536, FILE_MAX = 65536, BODY_MAX = 1 << 20, HEADER_MAX = 20000, WORDS_MAX = 200, STEPS_MAX = 64 };

#define CALL_TIMEOUT (30 * CLOCK_SECOND)
#define REFRESH_AHEAD (300 * CLOCK_SECOND)
/* Between a fetch of keys that failed and the next; less than the first wait below. */
#define FAILURE_KEPT (CLOCK_SECOND / 2)

/* Before the second try, the third, ...; the last one for all others. Up to half as much is added. */
static const int64_t waits[] = {CLOCK_SECOND, 4 * CLOCK_SECOND, 15 * CLOCK_SECOND};

struct fetch {
	bool is_running;
	char *region;
	struct aws_credentials steps;
	struct aws_credentials_request request;
	struct http_call *asking; /* NULL: nobody */
	unsigned n_steps;
};

struct aws_client {
	struct loop *loop;
	struct http_client *http;
	const struct aws_sources *sources;
	int source;
	char *region;
	struct buf keys;	/* as aws_credentials_keys() reads them; empty: there are none yet */
	uint64_t generation;	/* of the keys */
	bool was_replaced;	/* the settings are others than those that the fetch began with */
	int64_t refresh_at, expires_at, fetch_again_at; /* monotonic */
	char why[AWS_CREDENTIALS_WHY]; /* the last fetch failed */
	bool is_passing;
	struct fetch fetch;
	struct call *calls;
};

struct call {
	struct aws_client *client;
	struct call *next;
	struct loop_timer *timer;
	char *name, *service, *region, *method, *url;
	char *header[HEADERS_MAX]; /* its own first, then those of the signature */
	unsigned n_own, n_headers;
	struct buf body;
	unsigned tries, left;
	uint64_t generation; /* of the keys it was signed with */
	struct http_call *asking; /* NULL: nobody */
	bool is_waiting;     /* for keys */
	bool was_renewed;    /* its keys were refused as too old */
	aws_client_fn *fn;
	void *ctx;
};

static void attempt(void *ctx);

/* ---- the end of a call ---- */

static void clear_signature(struct call *call)
{
	while (call->n_headers > call->n_own)
		mem_free_secret(&call->header[--call->n_headers]);
}

static void free_call(void *ctx)
{
	struct call *call = ctx;

	call->n_own = 0;
	clear_signature(call);
	loop_timer_free(&call->timer);
	buf_clear_secret(&call->body);
	free(call->name);
	free(call->service);
	free(call->region);
	free(call->method);
	free(call->url);
	free(call);
}

static void finish(struct call *call, const struct aws_client_answer *answer)
{
	struct call **at = &call->client->calls;

	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	loop_later(call->client->loop, free_call, call); /* its timer may be the one that rings */
	call->fn(call->ctx, answer);
}

static void put_printable(struct buf *out, struct str words)
{
	words = str_first(words, WORDS_MAX);
	for (size_t i = 0; i < words.n; i++)
		buf_put_char(out, words.p[i] >= ' ' && words.p[i] <= '~' ? words.p[i] : '?');
}

static void fail(struct call *call, bool is_passing, struct aws_client_answer *answer)
{
	unsigned tried = call->tries - call->left, most = sizeof(waits) / sizeof(waits[0]);
	int64_t wait = waits[tried < most ? tried - 1 : most - 1];

	if (is_passing && call->left > 0) {
		log_info(NULL, "aws.call.again", log_text("service", call->name), log_text("reason", answer->why));
		loop_timer_set(call->timer, wait + (int64_t)random_below((uint64_t)wait / 2));
		return;
	}
	finish(call, answer);
}

/* ---- keys ---- */

static void forget_keys(struct aws_client *client)
{
	buf_clear_secret(&client->keys);
	client->fetch_again_at = 0;
}

static bool has_keys(const struct aws_client *client)
{
	return client->keys.n > 0 && clock_mono() < client->expires_at;
}

static void take_keys(struct aws_client *client, struct buf *keys, int64_t expires_at)
{
	int64_t now = clock_mono(), life = expires_at == INT64_MAX ? INT64_MAX : expires_at - clock_wall();

	buf_clear_secret(&client->keys);
	client->keys = *keys;
	*keys = BUF_MAX(KEYS_MAX);
	client->generation++;
	client->refresh_at = client->expires_at = INT64_MAX;
	if (life != INT64_MAX) {
		client->expires_at = now + life;
		client->refresh_at = now + (life > 2 * REFRESH_AHEAD ? life - REFRESH_AHEAD : life / 2);
	}
}

static void end_fetch(struct aws_client *client, bool is_done)
{
	struct fetch *f = &client->fetch;

	f->is_running = false;
	if (client->was_replaced) {
		/* These would be somebody else's. */
	} else if (is_done) {
		take_keys(client, &f->steps.keys, f->steps.expires_at);
		log_info(NULL, "aws.keys.fetched", log_int("lasts_s", client->expires_at == INT64_MAX ? -1
									: (client->expires_at - clock_mono()) / CLOCK_SECOND));
	} else {
		client->fetch_again_at = clock_mono() + FAILURE_KEPT;
		client->is_passing = f->steps.is_passing;
		must(str_copy(str_of(f->steps.why), client->why, sizeof(client->why)));
		log_warn(NULL, "aws.keys.not_fetched", log_text("reason", client->why), log_bool("has_others", has_keys(client)));
	}
	buf_clear_secret(&f->steps.work);
	buf_clear_secret(&f->steps.keys);
	aws_credentials_request_clear(&f->request);
	mem_free(&f->region);
	for (struct call *call = client->calls; call != NULL; call = call->next)
		if (call->is_waiting)
			loop_timer_set(call->timer, 0);
}

static void step(struct aws_client *client, const struct aws_credentials_answer *given);

static void on_fetched(void *ctx, const struct http_answer *answer)
{
	struct aws_client *client = ctx;
	struct aws_credentials_answer given = {answer->status, answer->body};

	client->fetch.asking = NULL;
	if (answer->result != HTTP_ANSWERED || !answer->is_complete)
		given = (struct aws_credentials_answer){.body = str_of(answer->error)};
	step(client, &given);
	if (answer->body.n > 0)
		mem_wipe((void *)(uintptr_t)answer->body.p, answer->body.n); /* there may be keys in it */
}

static void ask_source(struct aws_client *client)
{
	const struct aws_credentials_request *asked = &client->fetch.request;
	const struct http_request request = {
		.method = asked->method,
		.url = asked->url,
		.headers = (const char *const *)asked->headers,
		.n_headers = asked->n_headers,
		.body = buf_str(&asked->body),
		.timeout = asked->timeout > 0 ? asked->timeout : CALL_TIMEOUT,
	};

	client->fetch.asking = http_client_start(client->http, &request, on_fetched, client);
}

static void read_source(struct aws_client *client)
{
	struct aws_credentials_answer answer = {.status = 200};
	struct buf content = BUF_MAX(FILE_MAX);
	struct err err = {.text = ""};

	if (aws_sources_read(client->sources, client->fetch.steps.file, &content, &err))
		answer.body = buf_str(&content);
	else
		answer = (struct aws_credentials_answer){.body = str_of(err.text)};
	step(client, &answer);
	buf_clear_secret(&content);
}

static void step(struct aws_client *client, const struct aws_credentials_answer *given)
{
	struct fetch *f = &client->fetch;
	enum aws_credentials_step next;

	aws_credentials_request_clear(&f->request);
	f->steps.now = clock_wall();
	must(f->n_steps++ < STEPS_MAX);
	next = aws_credentials_step(&f->steps, given, &f->request);
	if (next == AWS_CREDENTIALS_ASK)
		ask_source(client);
	else if (next == AWS_CREDENTIALS_READ)
		read_source(client);
	else
		end_fetch(client, next == AWS_CREDENTIALS_DONE);
}

static void start_fetch(struct aws_client *client)
{
	struct fetch *f = &client->fetch;

	*f = (struct fetch){.is_running = true, .region = mem_text(client->region), .request.body = BUF_MAX(KEYS_MAX)};
	f->steps = (struct aws_credentials){.source = client->source, .region = f->region, .sources = client->sources,
					    .work = BUF_MAX(KEYS_MAX), .keys = BUF_MAX(KEYS_MAX), .expires_at = INT64_MAX};
	client->was_replaced = false;
	step(client, NULL);
}

/* ---- a try ---- */

static void add_header(struct call *call, const char *name, struct str value)
{
	struct buf text = BUF_MAX(HEADER_MAX);

	must(call->n_headers < HEADERS_MAX);
	buf_put_text(&text, name);
	buf_put_text(&text, ": ");
	must(buf_put_str(&text, value));
	call->header[call->n_headers++] = buf_take_text(&text);
}

static void sign(struct call *call)
{
	struct sigv4_pair pairs[HEADERS_MAX + 1];
	char date[SIGV4_DATE], hash[SIGV4_HASH];
	struct buf authorization = BUF_MAX(HEADER_MAX);
	struct sigv4_request signing = {.method = str_of(call->method), .headers = pairs, .date = date,
					.region = str_of(call->region), .service = str_of(call->service)};
	struct aws_credentials_keys keys;
	struct str host;

	must(aws_credentials_keys(buf_str(&call->client->keys), &keys));
	signing.access_key_id = keys.access_key_id;
	signing.secret_access_key = keys.secret_access_key;
	sigv4_split_url(call->url, &host, &signing.path);
	sigv4_date(clock_wall(), date);
	sigv4_hash(buf_str(&call->body), hash);
	signing.payload_hash = str_of(hash);
	clear_signature(call);
	add_header(call, "x-amz-date", str_of(date));
	if (str_eq(signing.service, STR("s3")))
		add_header(call, "x-amz-content-sha256", str_of(hash));
	if (keys.session_token.n > 0)
		add_header(call, "x-amz-security-token", keys.session_token);
	pairs[signing.n_headers++] = (struct sigv4_pair){STR("host"), host};
	for (unsigned i = 0; i < call->n_headers; i++) {
		struct str line = str_of(call->header[i]), name = str_first(line, str_find(line, ':'));

		pairs[signing.n_headers++] = (struct sigv4_pair){name, str_trim(str_from(line, name.n + 1))};
	}
	must(sigv4_sign(&signing, &authorization));
	add_header(call, "Authorization", buf_str(&authorization));
	buf_clear_secret(&authorization);
	call->generation = call->client->generation;
}

/* That AWS may say otherwise soon. */
static bool is_passing(unsigned status, struct str code)
{
	static const char *const codes[] = {"RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "Throttled",
					    "InternalError", "InternalFailure", "OperationAborted", "ServiceUnavailable"};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (str_eq(code, str_of(codes[i])))
			return true;
	return status >= 500 || status == 429 || status == 408;
}

/* Fetched ones may have expired, or been exchanged, since. */
static bool are_keys_old(struct str code)
{
	static const char *const codes[] = {"ExpiredToken", "ExpiredTokenException", "InvalidToken", "InvalidAccessKeyId",
					    "InvalidClientTokenId", "UnrecognizedClientException"};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (str_eq(code, str_of(codes[i])))
			return true;
	return false;
}

static void refused(struct call *call, const struct http_answer *http)
{
	struct aws_client *client = call->client;
	struct aws_client_answer answer = {.status = http->status, .body = http->body, .code = STR(""), .http = http};
	struct buf why = BUF_MAX(AWS_CLIENT_WHY);
	struct str message = STR("");

	aws_xml_element(http->body, "Code", &answer.code);
	aws_xml_element(http->body, "Message", &message);
	if (are_keys_old(answer.code) && client->source != AWS_SETTINGS && !call->was_renewed) {
		call->was_renewed = true;
		call->left++;
		if (call->generation == client->generation)
			forget_keys(client);
		loop_timer_set(call->timer, 0);
		return;
	}
	buf_printf(&why, "%s answered %u", call->name, http->status);
	if (answer.code.n > 0) {
		buf_put_char(&why, ' ');
		put_printable(&why, answer.code);
	}
	if (message.n > 0) {
		buf_put_text(&why, ": ");
		/* The canonical request of a refused signature may follow, and in it the session token. */
		put_printable(&why, str_eq(answer.code, STR("SignatureDoesNotMatch")) ? STR("is the secret access key right?") : message);
	}
	buf_put_char(&why, '\0');
	answer.why = why.p;
	fail(call, is_passing(http->status, answer.code), &answer);
	buf_clear(&why);
}

static void on_answer(void *ctx, const struct http_answer *http)
{
	struct call *call = ctx;
	struct aws_client_answer answer = {.code = STR("")};
	char why[AWS_CLIENT_WHY];

	call->asking = NULL;
	if (http->result != HTTP_ANSWERED || !http->is_complete) {
		snprintf(why, sizeof(why), "%s does not answer: %s", call->name, http->error);
		answer.why = why;
		fail(call, true, &answer);
	} else if (http->status < 200 || http->status > 299) {
		refused(call, http);
	} else {
		answer = (struct aws_client_answer){.ok = true, .status = http->status, .body = http->body, .code = STR(""),
						    .why = "", .http = http};
		finish(call, &answer);
	}
}

static void attempt(void *ctx)
{
	struct call *call = ctx;
	struct aws_client *client = call->client;
	struct http_request request = {.method = call->method, .url = call->url, .body = buf_str(&call->body), .timeout = CALL_TIMEOUT};
	bool has = has_keys(client), may_fetch = client->source != AWS_SETTINGS && clock_mono() >= client->fetch_again_at;

	call->is_waiting = !has && (may_fetch || client->fetch.is_running);
	if (may_fetch && !client->fetch.is_running && (!has || clock_mono() >= client->refresh_at))
		start_fetch(client);
	if (call->is_waiting)
		return;
	call->left--;
	if (!has) {
		fail(call, client->is_passing, &(struct aws_client_answer){.code = STR(""), .why = client->why});
		return;
	}
	sign(call);
	request.headers = (const char *const *)call->header;
	request.n_headers = call->n_headers;
	call->asking = http_client_start(client->http, &request, on_answer, call);
}

/* ---- for others ---- */

const char *aws_client_domain(const char *region)
{
	return str_starts(str_of(region), STR("cn-")) ? ".amazonaws.com.cn" : ".amazonaws.com";
}

void aws_client_start(struct aws_client *client, const struct aws_client_request *request, aws_client_fn *fn, void *ctx)
{
	struct call *call = mem_zero(sizeof(*call));

	*call = (struct call){.client = client, .next = client->calls, .name = mem_text(request->name),
			      .service = mem_text(request->service), .region = mem_text(request->region),
			      .method = mem_text(request->method), .url = mem_text(request->url), .body = BUF_MAX(BODY_MAX),
			      .tries = request->tries, .left = request->tries, .fn = fn, .ctx = ctx};
	must(request->n_headers + 4 <= HEADERS_MAX && request->tries > 0);
	for (unsigned i = 0; i < request->n_headers; i++)
		call->header[i] = mem_text(request->headers[i]);
	call->n_own = call->n_headers = request->n_headers;
	if (request->body.n > 0)
		must(buf_room(&call->body, request->body.n) != NULL && buf_put_str(&call->body, request->body));
	client->calls = call;
	call->timer = loop_timer_new(client->loop, attempt, call);
	loop_timer_set(call->timer, 0);
}

void aws_client_use_settings(struct aws_client *client, const struct settings *settings)
{
	struct buf *keys = &client->keys;

	forget_keys(client);
	client->was_replaced = true;
	client->source = settings->aws.credentials;
	free(client->region);
	client->region = mem_text(settings->aws.region);
	client->generation++;
	client->expires_at = client->refresh_at = INT64_MAX;
	if (client->source != AWS_SETTINGS)
		return;
	client->is_passing = false;
	must(str_copy(STR("aws.access_key_id and aws.secret_access_key are not set"), client->why, sizeof(client->why)));
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

struct aws_client *aws_client_new(struct loop *loop, struct http_client *http, const struct aws_sources *sources,
				  const struct settings *settings)
{
	struct aws_client *client = mem_zero(sizeof(*client));

	*client = (struct aws_client){.loop = loop, .http = http, .sources = sources, .keys = BUF_MAX(KEYS_MAX)};
	aws_client_use_settings(client, settings);
	return client;
}

void aws_client_free(struct aws_client **client)
{
	struct aws_client *c = *client;

	if (c == NULL)
		return;
	while (c->calls != NULL) {
		struct call *call = c->calls;

		c->calls = call->next;
		http_client_cancel(&call->asking);
		call->fn(call->ctx, &(struct aws_client_answer){.code = STR(""), .why = "it was ended"});
		free_call(call);
	}
	if (c->fetch.is_running) {
		http_client_cancel(&c->fetch.asking);
		buf_clear_secret(&c->fetch.steps.work);
		buf_clear_secret(&c->fetch.steps.keys);
		aws_credentials_request_clear(&c->fetch.request);
		free(c->fetch.region);
	}
	buf_clear_secret(&c->keys);
	free(c->region);
	mem_free(client);
}
