/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of lib/aws/aws_keeper.c: this program is the container's metadata. More of it is tested with lib/aws/aws_client.c.
 */
#include "lib/aws/aws_keeper.h"

#include "lib/base/mem.h"
#include "tests/support/http_fixture.h"

#define KEYS(id) "{\"AccessKeyId\":\"" id "\",\"SecretAccessKey\":\"SK\",\"Expiration\":\"2099-01-01T00:00:00Z\"}"

struct scene {
	struct loop *loop;
	struct http_client *http;
	struct http_fixture metadata;
	struct aws_sources sources;
	struct settings *settings;
	struct aws_keeper *keeper;
	char source[128];
	unsigned n_ends;
};

static void on_end(void *ctx)
{
	struct scene *s = ctx;

	s->n_ends++;
}

static void begin(struct scene *s, int source)
{
	*s = (struct scene){.loop = loop_new(), .settings = settings_new()};
	s->http = http_client_new(s->loop, &(struct http_client_config){.connect_timeout = 5 * CLOCK_SECOND, .max_connections = 4});
	http_fixture_start(&s->metadata, s->loop);
	snprintf(s->source, sizeof(s->source), "%s/keys", s->metadata.url);
	s->sources.variable[AWS_VARIABLE_CONTAINER_FULL_URI] = s->source;
	s->sources.variable[AWS_VARIABLE_ACCESS_KEY_ID] = "ENV";
	s->sources.variable[AWS_VARIABLE_SECRET_ACCESS_KEY] = "SK";
	s->settings->aws.credentials = source;
	s->keeper = aws_keeper_new(&(struct aws_keeper_config){.http = s->http, .sources = &s->sources, .on_end = on_end, .ctx = s},
				   s->settings);
}

static void end(struct scene *s)
{
	aws_keeper_free(&s->keeper);
	UNIT_INT(http_client_count(s->http), 0);
	http_client_free(&s->http);
	http_fixture_stop(&s->metadata);
	settings_free(&s->settings);
	loop_free(&s->loop);
}

static void expect_keys(struct scene *s, const char *id)
{
	struct aws_keeper_answer answer;

	UNIT_INT(aws_keeper_get(s->keeper, &answer), AWS_KEEPER_HAS);
	UNIT_STR(answer.keys.access_key_id, id);
	UNIT_STR(answer.keys.secret_access_key, "SK");
}

static void what_needs_no_answer_is_there_at_once(void)
{
	struct aws_keeper_answer answer;
	struct scene s;

	begin(&s, AWS_ENVIRONMENT);
	expect_keys(&s, "ENV");
	UNIT_INT(aws_keeper_get(s.keeper, &answer), AWS_KEEPER_HAS);
	UNIT_TRUE(aws_keeper_refuse(s.keeper, answer.generation));
	expect_keys(&s, "ENV");
	UNIT_INT(s.n_ends, 2);
	s.sources.variable[AWS_VARIABLE_ACCESS_KEY_ID] = NULL;
	aws_keeper_use_settings(s.keeper, s.settings);
	UNIT_INT(aws_keeper_get(s.keeper, &answer), AWS_KEEPER_FAILED);
	UNIT_TEXT(answer.why, "no AWS credentials: AWS_ACCESS_KEY_ID is not set");
	UNIT_TRUE(!answer.is_passing);
	end(&s);
}

static void a_failure_is_not_repeated_at_once(void)
{
	struct aws_keeper_answer answer;
	struct scene s;

	begin(&s, AWS_CONTAINER);
	http_fixture_says(&s.metadata, 403, NULL, "{\"Code\":\"no\\u00e9\\n\"}");
	UNIT_INT(aws_keeper_get(s.keeper, &answer), AWS_KEEPER_WAIT);
	UNIT_INT(aws_keeper_get(s.keeper, &answer), AWS_KEEPER_WAIT);
	HTTP_FIXTURE_UNTIL(s.loop, s.n_ends == 1);
	for (unsigned i = 0; i < 3; i++) {
		UNIT_INT(aws_keeper_get(s.keeper, &answer), AWS_KEEPER_FAILED);
		UNIT_TEXT(answer.why, "no AWS credentials: the container's credentials: no???");
	}
	UNIT_INT(s.metadata.n_requests, 1);
	end(&s);
}

static void keys_of_former_settings_are_nobodys(void)
{
	struct aws_keeper_answer answer;
	struct scene s;

	begin(&s, AWS_CONTAINER);
	http_fixture_says(&s.metadata, 200, NULL, KEYS("FORMER"));
	http_fixture_says(&s.metadata, 200, NULL, KEYS("NEW"));
	UNIT_INT(aws_keeper_get(s.keeper, &answer), AWS_KEEPER_WAIT);
	aws_keeper_use_settings(s.keeper, s.settings);
	HTTP_FIXTURE_UNTIL(s.loop, s.n_ends == 1);
	UNIT_INT(aws_keeper_get(s.keeper, &answer), AWS_KEEPER_WAIT);
	HTTP_FIXTURE_UNTIL(s.loop, s.n_ends == 2);
	expect_keys(&s, "NEW");
	/* Those of an older generation may be refused as often as anybody likes. */
	UNIT_INT(aws_keeper_get(s.keeper, &answer), AWS_KEEPER_HAS);
	UNIT_TRUE(aws_keeper_refuse(s.keeper, answer.generation - 1));
	expect_keys(&s, "NEW");
	UNIT_INT(s.metadata.n_requests, 2);
	s.settings->aws.credentials = AWS_SETTINGS;
	aws_keeper_use_settings(s.keeper, s.settings);
	UNIT_INT(aws_keeper_get(s.keeper, &answer), AWS_KEEPER_FAILED);
	UNIT_TEXT(answer.why, "aws.access_key_id and aws.secret_access_key are not set");
	UNIT_TRUE(!aws_keeper_refuse(s.keeper, answer.generation));
	end(&s);
}

static void the_end_may_come_during_a_fetch(void)
{
	struct aws_keeper_answer answer;
	struct scene s;

	begin(&s, AWS_CONTAINER);
	http_fixture_says(&s.metadata, 200, NULL, KEYS("AK"));
	UNIT_INT(aws_keeper_get(s.keeper, &answer), AWS_KEEPER_WAIT);
	end(&s);
	UNIT_INT(s.n_ends, 0);
}

UNIT_TESTS({"what needs no answer is there at once", what_needs_no_answer_is_there_at_once},
	   {"a failure is not repeated at once", a_failure_is_not_repeated_at_once},
	   {"keys of former settings are nobody's", keys_of_former_settings_are_nobodys},
	   {"the end may come during a fetch", the_end_may_come_during_a_fetch})
