/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of lib/aws/aws_client.c: this program is the service, and the container's metadata that has the keys.
 */
#include "lib/aws/aws_client.h"

#include "lib/aws/sigv4.h"
#include "lib/base/date.h"
#include "lib/base/mem.h"
#include "tests/support/http_fixture.h"

#define KEYS_FOR(id, expires) "{\"AccessKeyId\":\"" id "\",\"SecretAccessKey\":\"SK\",\"Token\":\"TK\",\"Expiration\":\"" expires "\"}"
#define FOR_LONG "2099-01-01T00:00:00Z"
#define ERROR(code, message) "<?xml version=\"1.0\"?><Error><Code>" code "</Code><Message>" message "</Message></Error>"

struct outcome {
	unsigned n;
	bool ok;
	unsigned status;
	char body[256], code[64], why[AWS_CLIENT_WHY];
};

struct scene {
	struct loop *loop;
	struct http_client *http;
	struct http_fixture service, metadata;
	struct aws_sources sources;
	struct settings *settings;
	struct aws_client *client;
	char source[128];
	struct outcome outcome;
};

static void begin(struct scene *s, int source)
{
	*s = (struct scene){.loop = loop_new()};
	s->http = http_client_new(s->loop, &(struct http_client_config){.connect_timeout = 5 * CLOCK_SECOND, .max_connections = 4});
	http_fixture_start(&s->service, s->loop);
	http_fixture_start(&s->metadata, s->loop);
	snprintf(s->source, sizeof(s->source), "%s/keys", s->metadata.url);
	s->sources.variable[AWS_VARIABLE_CONTAINER_FULL_URI] = s->source;
	s->settings = settings_new();
	s->settings->aws.credentials = source;
	s->client = aws_client_new(s->loop, s->http, &s->sources, s->settings);
}

static void end(struct scene *s)
{
	aws_client_free(&s->client);
	http_client_free(&s->http);
	http_fixture_stop(&s->service);
	http_fixture_stop(&s->metadata);
	loop_turn(s->loop, 0);
	settings_free(&s->settings);
	loop_free(&s->loop);
}

static void on_answer(void *ctx, const struct aws_client_answer *answer)
{
	struct outcome *o = ctx;

	o->n++;
	o->ok = answer->ok;
	o->status = answer->status;
	UNIT_TRUE(str_copy(answer->body, o->body, sizeof(o->body)));
	UNIT_TRUE(str_copy(answer->code, o->code, sizeof(o->code)));
	UNIT_TRUE(str_copy(str_of(answer->why), o->why, sizeof(o->why)));
	UNIT_TRUE(str_is_printable(str_of(o->why)));
}

static void ask(struct scene *s, unsigned tries)
{
	static const char *const headers[] = {"content-type: text/plain"};
	char url[128];
	const struct aws_client_request request = {.name = "S3", .service = "s3", .region = "eu-west-1", .method = "PUT", .url = url,
						   .headers = headers, .n_headers = 1, .body = STR("words"), .tries = tries};

	snprintf(url, sizeof(url), "%s/a/b%%24", s->service.url);
	aws_client_start(s->client, &request, on_answer, &s->outcome);
}

static void ask_and_wait(struct scene *s, unsigned tries)
{
	s->outcome = (struct outcome){0};
	ask(s, tries);
	UNIT_INT(s->outcome.n, 0);
	HTTP_FIXTURE_UNTIL(s->loop, s->outcome.n == 1);
}

/* Who signed the i-th request; and its signature is what it should be. */
static void check_signed(const struct scene *s, unsigned i, const char *id, const char *secret, const char *token)
{
	const struct http_fixture *f = &s->service;
	struct str date = http_fixture_header(f, i, "x-amz-date"), hash = http_fixture_header(f, i, "x-amz-content-sha256");
	const struct sigv4_pair headers[] = {{STR("content-type"), STR("text/plain")},
					     {STR("host"), str_from(str_of(f->url), strlen("http://"))},
					     {STR("x-amz-content-sha256"), hash},
					     {STR("x-amz-date"), date},
					     {STR("x-amz-security-token"), str_of(token)}};
	char stamp[SIGV4_DATE] = "", right[SIGV4_HASH];
	const struct sigv4_request request = {.method = STR("PUT"), .path = STR("/a/b%24"), .headers = headers,
					      .n_headers = token != NULL ? 5 : 4, .payload_hash = hash, .date = stamp,
					      .region = STR("eu-west-1"), .service = STR("s3"), .access_key_id = str_of(id),
					      .secret_access_key = str_of(secret)};
	struct buf expected = BUF_MAX(4096);

	UNIT_TRUE(str_copy(date, stamp, sizeof(stamp)));
	sigv4_hash(STR("words"), right);
	UNIT_STR(hash, right);
	UNIT_TRUE(sigv4_sign(&request, &expected));
	UNIT_TRUE(buf_put_char(&expected, '\0'));
	UNIT_STR(http_fixture_header(f, i, "authorization"), expected.p);
	UNIT_STR(http_fixture_header(f, i, "x-amz-security-token"), token);
	UNIT_STR(http_fixture_asked(f, i), "PUT /a/b%24");
	UNIT_STR(http_fixture_body(f, i), "words");
	buf_clear(&expected);
}

static void put_text(char **setting, const char *text)
{
	free(*setting);
	*setting = mem_text(text);
}

static void keys_of_the_settings_sign(void)
{
	struct scene s;

	begin(&s, AWS_SETTINGS);
	ask_and_wait(&s, 1);
	UNIT_TEXT(s.outcome.why, "aws.access_key_id and aws.secret_access_key are not set");
	put_text(&s.settings->aws.access_key_id, "AK");
	put_text(&s.settings->aws.secret_access_key, "secret");
	aws_client_use_settings(s.client, s.settings);
	http_fixture_says(&s.service, 200, NULL, "taken");
	ask_and_wait(&s, 1);
	UNIT_TRUE(s.outcome.ok);
	UNIT_TEXT(s.outcome.body, "taken");
	check_signed(&s, 0, "AK", "secret", NULL);
	put_text(&s.settings->aws.session_token, "session");
	aws_client_use_settings(s.client, s.settings);
	ask_and_wait(&s, 1);
	check_signed(&s, 1, "AK", "secret", "session");
	UNIT_INT(s.metadata.n_requests, 0);
	end(&s);
}

static void keys_are_fetched_once_and_again_when_they_are_refused(void)
{
	struct scene s;

	begin(&s, AWS_CONTAINER);
	http_fixture_says(&s.metadata, 200, NULL, KEYS_FOR("FIRST", FOR_LONG));
	http_fixture_says(&s.metadata, 200, NULL, KEYS_FOR("SECOND", FOR_LONG));
	http_fixture_says(&s.service, 200, NULL, "");
	/* Two who want them at the same time wait for one fetch. */
	ask(&s, 1);
	ask(&s, 1);
	HTTP_FIXTURE_UNTIL(s.loop, s.outcome.n == 2);
	ask_and_wait(&s, 1);
	UNIT_INT(s.metadata.n_requests, 1);
	for (unsigned i = 0; i < 3; i++)
		check_signed(&s, i, "FIRST", "SK", "TK");
	http_fixture_reset(&s.service);
	http_fixture_says(&s.service, 400, NULL, ERROR("ExpiredToken", "The provided token has expired."));
	http_fixture_says(&s.service, 200, NULL, "");
	ask_and_wait(&s, 1);
	UNIT_TRUE(s.outcome.ok);
	UNIT_INT(s.metadata.n_requests, 2);
	check_signed(&s, 1, "SECOND", "SK", "TK");
	/* But not for ever. */
	http_fixture_reset(&s.service);
	http_fixture_says(&s.service, 400, NULL, ERROR("ExpiredToken", "The provided token has expired."));
	ask_and_wait(&s, 1);
	UNIT_TEXT(s.outcome.why, "S3 answered 400 ExpiredToken: The provided token has expired.");
	UNIT_INT(s.service.n_requests, 2);
	end(&s);
}

static void keys_are_renewed_ahead_while_the_old_ones_serve(void)
{
	struct scene s;
	char near[128], soon[DATE_RFC3339];

	date_put_rfc3339(clock_wall() / CLOCK_SECOND + 4, soon);
	snprintf(near, sizeof(near), "{\"AccessKeyId\":\"NEAR\",\"SecretAccessKey\":\"SK\",\"Token\":\"TK\",\"Expiration\":\"%s\"}", soon);
	begin(&s, AWS_CONTAINER);
	http_fixture_says(&s.metadata, 200, NULL, near);
	http_fixture_says(&s.metadata, 403, NULL, "{}");
	http_fixture_says(&s.metadata, 200, NULL, KEYS_FOR("NEXT", FOR_LONG));
	http_fixture_says(&s.service, 200, NULL, "");
	ask_and_wait(&s, 1);
	/* Past half of their life they are asked for anew, and a refusal harms nobody yet. */
	while (s.metadata.n_requests < 3) {
		s.outcome.n = 0;
		ask_and_wait(&s, 1);
		UNIT_TRUE(s.outcome.ok);
		loop_turn(s.loop, CLOCK_SECOND / 20);
	}
	check_signed(&s, 0, "NEAR", "SK", "TK");
	end(&s);
}

static void what_passes_is_tried_again(void)
{
	static const struct {
		struct http_fixture_answer first;
		unsigned requests; /* of two that there may be */
		const char *why;   /* in the end; "": it was taken */
	} cases[] = {
		{{503, NULL, ERROR("SlowDown", "Please reduce your request rate.")}, 2, ""},
		{{400, NULL, ERROR("RequestTimeout", "Your socket connection ...")}, 2, ""},
		{{500, NULL, "<html>"}, 2, ""},
		{{0, NULL, ""}, 2, ""},
		{{403, NULL, ERROR("AccessDenied", "Access Denied")}, 1, "S3 answered 403 AccessDenied: Access Denied"},
		{{403, NULL, ERROR("SignatureDoesNotMatch", "PUT\n/ the canonical request")}, 1,
		 "S3 answered 403 SignatureDoesNotMatch: is the secret access key right?"},
		{{403, NULL, "<html>"}, 1, "S3 answered 403"},
		{{418, NULL, ERROR("Odd\x01\xff", "a\r\nb")}, 1, "S3 answered 418 Odd??: a??b"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scene s;

		begin(&s, AWS_CONTAINER);
		http_fixture_says(&s.metadata, 200, NULL, KEYS_FOR("AK", FOR_LONG));
		http_fixture_says(&s.service, cases[i].first.status, NULL, cases[i].first.body);
		http_fixture_says(&s.service, 200, NULL, "");
		ask_and_wait(&s, 2);
		UNIT_TEXT(s.outcome.why, cases[i].why);
		UNIT_INT(s.outcome.ok, cases[i].why[0] == '\0');
		UNIT_INT(s.service.n_requests, cases[i].requests);
		end(&s);
	}
}

static void without_keys_it_says_why(void)
{
	struct scene s;

	begin(&s, AWS_CONTAINER);
	http_fixture_says(&s.metadata, 403, NULL, "{\"Code\":\"AccessDenied\"}");
	ask_and_wait(&s, 3);
	UNIT_TEXT(s.outcome.why, "no AWS credentials: the container's credentials: AccessDenied");
	UNIT_INT(s.metadata.n_requests, 1);
	UNIT_INT(s.service.n_requests, 0);
	end(&s);
}

static void the_end_is_told_to_those_who_wait(void)
{
	struct scene s;

	begin(&s, AWS_CONTAINER);
	http_fixture_says(&s.metadata, 200, NULL, KEYS_FOR("AK", FOR_LONG));
	ask(&s, 1);
	HTTP_FIXTURE_UNTIL(s.loop, http_client_count(s.http) == 1);
	aws_client_free(&s.client);
	UNIT_INT(s.outcome.n, 1);
	UNIT_TRUE(!s.outcome.ok);
	UNIT_INT(http_client_count(s.http), 0);
	end(&s);
}

UNIT_TESTS({"keys of the settings sign", keys_of_the_settings_sign},
	   {"keys are fetched once, and again when they are refused", keys_are_fetched_once_and_again_when_they_are_refused},
	   {"keys are renewed ahead while the old ones serve", keys_are_renewed_ahead_while_the_old_ones_serve},
	   {"what passes is tried again", what_passes_is_tried_again},
	   {"without keys it says why", without_keys_it_says_why},
	   {"the end is told to those who wait", the_end_is_told_to_those_who_wait})
