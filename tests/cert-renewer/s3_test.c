/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of cert-renewer/s3.c: this program is the store. (That its requests are signed as they must be is tested with
 * lib/aws/aws_client.c.)
 */
#include "cert-renewer/s3.h"

#include "lib/base/mem.h"
#include "tests/support/http_fixture.h"

static void put_text(char **setting, const char *text)
{
	free(*setting);
	*setting = mem_text(text);
}

static void files_are_where_the_settings_say(void)
{
	static const struct {
		const char *backup, *endpoint, *region, *url;
	} cases[] = {
		{"s3://certs-1", "", "eu-west-1", "https://certs-1.s3.eu-west-1.amazonaws.com/smtp.example.com/tls.pem"},
		{"s3://certs-1/", "", "cn-north-1", "https://certs-1.s3.cn-north-1.amazonaws.com.cn/smtp.example.com/tls.pem"},
		{"s3://certs.example.com/a_b/c/", "", "us-east-1",
		 "https://s3.us-east-1.amazonaws.com/certs.example.com/a_b/c/smtp.example.com/tls.pem"},
		{"s3://certs/d", "https://store.example:9000/base/", "us-east-1",
		 "https://store.example:9000/base/certs/d/smtp.example.com/tls.pem"},
		{"s3://certs", "http://127.0.0.1:9000", "us-east-1", "http://127.0.0.1:9000/certs/smtp.example.com/tls.pem"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct settings *settings = settings_new();
		struct buf url = BUF_MAX(1024);

		put_text(&settings->acme.backup_s3, cases[i].backup);
		put_text(&settings->aws.s3_endpoint, cases[i].endpoint);
		put_text(&settings->aws.region, cases[i].region);
		s3_url(settings, STR("smtp.example.com"), STR("tls.pem"), &url);
		UNIT_STR(buf_str(&url), cases[i].url);
		buf_clear(&url);
		settings_free(&settings);
	}
}

/* ---- calls ---- */

struct scene {
	struct loop *loop;
	struct http_client *http;
	struct http_fixture store;
	struct settings *settings;
	struct aws_client *client;
	char url[128];
	unsigned n;
	bool ok, is_there;
	struct buf bytes;
	char why[AWS_CLIENT_WHY];
};

static void begin(struct scene *s)
{
	*s = (struct scene){.loop = loop_new(), .settings = settings_new(), .bytes = BUF_MAX(1 << 20)};
	s->http = http_client_new(s->loop, &(struct http_client_config){.connect_timeout = 5 * CLOCK_SECOND, .max_connections = 4});
	http_fixture_start(&s->store, s->loop);
	snprintf(s->url, sizeof(s->url), "%s/certs/n/tls.pem", s->store.url);
	s->settings->aws.credentials = AWS_SETTINGS;
	put_text(&s->settings->aws.access_key_id, "AK");
	put_text(&s->settings->aws.secret_access_key, "secret");
	s->client = aws_client_new(s->loop, s->http, NULL, s->settings);
}

static void end(struct scene *s)
{
	aws_client_free(&s->client);
	http_client_free(&s->http);
	http_fixture_stop(&s->store);
	loop_turn(s->loop, 0);
	settings_free(&s->settings);
	buf_clear(&s->bytes);
	loop_free(&s->loop);
}

static void on_answer(void *ctx, const struct s3_answer *answer)
{
	struct scene *s = ctx;

	s->n++;
	s->ok = answer->ok;
	s->is_there = answer->is_there;
	buf_reset(&s->bytes);
	buf_put_str(&s->bytes, answer->bytes);
	UNIT_TRUE(str_copy(str_of(answer->why), s->why, sizeof(s->why)));
}

static void get(struct scene *s)
{
	s->n = 0;
	s3_get(s->client, s->settings, str_of(s->url), on_answer, s);
	UNIT_INT(s->n, 0);
	HTTP_FIXTURE_UNTIL(s->loop, s->n == 1);
}

static void what_is_put_is_sealed_as_the_settings_say(void)
{
	static const struct {
		int encryption;
		const char *key, *said, *said_key;
	} cases[] = {
		{S3_ENCRYPTION_AES256, "", "AES256", ""},
		{S3_ENCRYPTION_KMS, "", "aws:kms", ""},
		{S3_ENCRYPTION_KMS, "arn:aws:kms:x:1:key/2", "aws:kms", "arn:aws:kms:x:1:key/2"},
		{S3_ENCRYPTION_NONE, "arn:aws:kms:x:1:key/2", "", ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scene s;

		begin(&s);
		s.settings->aws.s3_encryption = cases[i].encryption;
		put_text(&s.settings->aws.s3_kms_key, cases[i].key);
		http_fixture_says(&s.store, 200, NULL, "");
		s3_put(s.client, s.settings, str_of(s.url), STR("key and chain"), on_answer, &s);
		HTTP_FIXTURE_UNTIL(s.loop, s.n == 1);
		UNIT_TRUE(s.ok && s.is_there);
		UNIT_STR(http_fixture_asked(&s.store, 0), "PUT /certs/n/tls.pem");
		UNIT_STR(http_fixture_body(&s.store, 0), "key and chain");
		UNIT_STR(http_fixture_header(&s.store, 0, "x-amz-server-side-encryption"), cases[i].said);
		UNIT_STR(http_fixture_header(&s.store, 0, "x-amz-server-side-encryption-aws-kms-key-id"), cases[i].said_key);
		end(&s);
	}
}

static void what_is_got_is_there_or_not_or_unknown(void)
{
	static const struct {
		unsigned status;
		const char *headers, *body;
		bool ok, is_there;
		const char *why;
	} cases[] = {
		{200, NULL, "the file", true, true, ""},
		{404, NULL, "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>", true, false, ""},
		{404, NULL, "", true, false, ""},
		{404, NULL, "<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>", false, false,
		 "S3 answered 404 NoSuchBucket: The specified bucket does not exist"},
		{403, NULL, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>", false, false,
		 "S3 answered 403 AccessDenied: Access Denied (or the file is not there: S3 says so only to who has s3:ListBucket)"},
		{403, NULL, "<Error><Code>InvalidObjectState</Code></Error>", false, false, "S3 answered 403 InvalidObjectState"},
		{301, "x-amz-bucket-region: eu-central-1\r\n", "<Error><Code>PermanentRedirect</Code></Error>", false, false,
		 "the bucket is in another region: aws.region should be eu-central-1"},
		{400, "x-amz-bucket-region: eu-central-1\r\n", "<Error><Code>AuthorizationHeaderMalformed</Code></Error>", false, false,
		 "the bucket is in another region: aws.region should be eu-central-1"},
		{400, "x-amz-bucket-region: us-east-1\r\n", "<Error><Code>InvalidRequest</Code></Error>", false, false,
		 "S3 answered 400 InvalidRequest"},
		{301, "x-amz-bucket-region: \"<evil>\"\r\n", "", false, false, "S3 answered 301"},
	};
	struct scene s;

	begin(&s);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		http_fixture_reset(&s.store);
		http_fixture_says(&s.store, cases[i].status, cases[i].headers, cases[i].body);
		get(&s);
		UNIT_INT(s.ok, cases[i].ok);
		UNIT_INT(s.is_there, cases[i].is_there);
		UNIT_TEXT(s.why, cases[i].why);
		if (s.is_there)
			UNIT_STR(buf_str(&s.bytes), cases[i].body);
	}
	end(&s);
}

static void what_is_too_large_is_not_taken(void)
{
	char *large = mem_zero(S3_FILE_MAX + 2);
	struct scene s;

	memset(large, 'a', S3_FILE_MAX + 1);
	begin(&s);
	http_fixture_says(&s.store, 200, NULL, large);
	get(&s);
	UNIT_TEXT(s.why, "the file in S3 is too large");
	http_fixture_reset(&s.store);
	large[S3_FILE_MAX] = '\0';
	http_fixture_says(&s.store, 200, NULL, large);
	get(&s);
	UNIT_TRUE(s.is_there && s.bytes.n == S3_FILE_MAX);
	end(&s);
	free(large);
}

UNIT_TESTS({"files are where the settings say", files_are_where_the_settings_say},
	   {"what is put is sealed as the settings say", what_is_put_is_sealed_as_the_settings_say},
	   {"what is got is there, or not, or unknown", what_is_got_is_there_or_not_or_unknown},
	   {"what is too large is not taken", what_is_too_large_is_not_taken})
