/* SPDX-License-Identifier: Apache-2.0
 *
 * A call waits for keys, is sent, waits for its next try: what it does next, it does when its timer rings.
 */
#include "lib/aws/aws_client.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/aws/aws_keeper.h"
#include "lib/aws/aws_xml.h"
#include "lib/aws/sigv4.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/random.h"
#include "lib/base/trouble.h"

enum { HEADERS_MAX = 16, BODY_MAX = 1 << 20, HEADER_MAX = 20000, WORDS_MAX = 200 };

#define CALL_TIMEOUT (30 * CLOCK_SECOND)

/* Before the second try, the third, ...; the last one for all others. Up to half as much is added. (The keeper fetches anew after less.) */
static const int64_t waits[] = {CLOCK_SECOND, 4 * CLOCK_SECOND, 15 * CLOCK_SECOND};

struct aws_client {
	struct loop *loop;
	struct http_client *http;
	struct aws_keeper *keeper;
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

static void sign(struct call *call, const struct aws_credentials_keys *keys)
{
	struct sigv4_pair pairs[HEADERS_MAX + 1];
	char date[SIGV4_DATE], hash[SIGV4_HASH];
	struct buf authorization = BUF_MAX(HEADER_MAX);
	struct sigv4_request signing = {.method = str_of(call->method), .headers = pairs, .date = date,
					.region = str_of(call->region), .service = str_of(call->service),
					.access_key_id = keys->access_key_id, .secret_access_key = keys->secret_access_key};
	struct str host;

	sigv4_split_url(call->url, &host, &signing.path);
	sigv4_date(clock_wall(), date);
	sigv4_hash(buf_str(&call->body), hash);
	signing.payload_hash = str_of(hash);
	clear_signature(call);
	add_header(call, "x-amz-date", str_of(date));
	if (str_eq(signing.service, STR("s3")))
		add_header(call, "x-amz-content-sha256", str_of(hash));
	if (keys->session_token.n > 0)
		add_header(call, "x-amz-security-token", keys->session_token);
	pairs[signing.n_headers++] = (struct sigv4_pair){STR("host"), host};
	for (unsigned i = 0; i < call->n_headers; i++) {
		struct str line = str_of(call->header[i]), name = str_first(line, str_find(line, ':'));

		pairs[signing.n_headers++] = (struct sigv4_pair){name, str_trim(str_from(line, name.n + 1))};
	}
	must(sigv4_sign(&signing, &authorization));
	add_header(call, "Authorization", buf_str(&authorization));
	buf_clear_secret(&authorization);
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
	struct aws_client_answer answer = {.status = http->status, .body = http->body, .code = STR(""), .http = http};
	struct buf why = BUF_MAX(AWS_CLIENT_WHY);
	struct str message = STR("");

	aws_xml_element(http->body, "Code", &answer.code);
	aws_xml_element(http->body, "Message", &message);
	if (are_keys_old(answer.code) && !call->was_renewed && aws_keeper_refuse(call->client->keeper, call->generation)) {
		call->was_renewed = true;
		call->left++;
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
	if (http->body.n > 0)
		mem_wipe((void *)(uintptr_t)http->body.p, http->body.n); /* there may be a key in it */
}

static void attempt(void *ctx)
{
	struct call *call = ctx;
	struct http_request request = {.method = call->method, .url = call->url, .body = buf_str(&call->body), .timeout = CALL_TIMEOUT};
	struct aws_keeper_answer keys;
	enum aws_keeper_verdict verdict = aws_keeper_get(call->client->keeper, &keys);

	call->is_waiting = verdict == AWS_KEEPER_WAIT;
	if (call->is_waiting)
		return;
	call->left--;
	if (verdict == AWS_KEEPER_FAILED) {
		fail(call, keys.is_passing, &(struct aws_client_answer){.code = STR(""), .why = keys.why});
		return;
	}
	sign(call, &keys.keys);
	call->generation = keys.generation;
	request.headers = (const char *const *)call->header;
	request.n_headers = call->n_headers;
	call->asking = http_client_start(call->client->http, &request, on_answer, call);
}

/* There are keys now, or there are none to be had. */
static void on_keys(void *ctx)
{
	const struct aws_client *client = ctx;

	for (struct call *call = client->calls; call != NULL; call = call->next)
		if (call->is_waiting)
			loop_timer_set(call->timer, 0);
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
	aws_keeper_use_settings(client->keeper, settings);
}

struct aws_client *aws_client_new(struct loop *loop, struct http_client *http, const struct aws_sources *sources,
				  const struct settings *settings)
{
	struct aws_client *client = mem_zero(sizeof(*client));
	const struct aws_keeper_config keeper = {.http = http, .sources = sources, .on_end = on_keys, .ctx = client};

	*client = (struct aws_client){.loop = loop, .http = http};
	client->keeper = aws_keeper_new(&keeper, settings);
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
	aws_keeper_free(&c->keeper);
	mem_free(client);
}
