/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of cert-renewer/cert_alert.c: this program is master, the webhook's host, and SNS.
 */
#include "cert-renewer/cert_alert.h"

#include <fcntl.h>
#include <unistd.h>

#include "cert-renewer/cert_run.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "tests/support/http_fixture.h"

#define TOPIC "arn:aws:sns:eu-west-1:123456789012:ops"

struct scene {
	struct loop *loop;
	struct http_client *http;
	struct http_fixture hook, sns;
	struct settings *settings;
	struct cert_alert *alert;
};

static void put_text(char **setting, const char *text)
{
	free(*setting);
	*setting = mem_text(text);
}

static void begin(struct scene *s)
{
	char url[128];

	*s = (struct scene){.loop = loop_new(), .settings = settings_new()};
	s->http = http_client_new(s->loop, &(struct http_client_config){.connect_timeout = 5 * CLOCK_SECOND, .max_connections = 4});
	http_fixture_start(&s->hook, s->loop);
	http_fixture_start(&s->sns, s->loop);
	s->settings->aws.credentials = AWS_SETTINGS;
	put_text(&s->settings->aws.access_key_id, "AK");
	put_text(&s->settings->aws.secret_access_key, "secret");
	put_text(&s->settings->aws.sns_endpoint, s->sns.url);
	snprintf(url, sizeof(url), "%s/hook?key=very-secret", s->hook.url);
	put_text(&s->settings->alerts.webhook, url);
	put_text(&s->settings->alerts.sns_topic, TOPIC);
	s->alert = cert_alert_new(
		&(struct cert_alert_config){.loop = s->loop, .http = s->http, .settings = s->settings, .host_name = "mx1.example.com"});
}

static void end(struct scene *s)
{
	cert_alert_free(&s->alert);
	http_client_free(&s->http);
	http_fixture_stop(&s->hook);
	http_fixture_stop(&s->sns);
	loop_turn(s->loop, 0);
	settings_free(&s->settings);
	loop_free(&s->loop);
}

static void tell(struct scene *s, const char *text)
{
	cert_alert_tell(s->alert, &(struct cert_alert_event){.event = "certificate.renewal_failed", .certificate = STR("smtp"),
							     .text = str_of(text), .failures = 3, .not_after = 1795327820});
}

/* All that can come has come. */
static void settle(struct scene *s)
{
	HTTP_FIXTURE_UNTIL(s->loop, http_client_count(s->http) == 0);
	loop_turn(s->loop, CLOCK_SECOND / 20);
	HTTP_FIXTURE_UNTIL(s->loop, http_client_count(s->http) == 0);
}

/* The body without its time. */
static void check_posted(const struct http_fixture *hook, unsigned i, const char *text)
{
	struct str body = http_fixture_body(hook, i);
	struct buf expected = BUF_MAX(4096);
	uint64_t at;

	buf_printf(&expected,
		   "{\"event\":\"certificate.renewal_failed\",\"certificate\":\"smtp\",\"text\":\"%s\",\"failures\":3,\"not_after\":1795327820,"
		   "\"host\":\"mx1.example.com\",\"at\":",
		   text);
	UNIT_TRUE(buf_put_char(&expected, '\0'));
	UNIT_STR(str_first(body, expected.n - 1), expected.p);
	body = str_from(body, expected.n - 1);
	UNIT_TRUE(str_ends(body, STR("}")) && str_u64(str_first(body, body.n - 1), 1700000000, 4000000000, &at));
	UNIT_STR(http_fixture_header(hook, i, "content-type"), "application/json");
	UNIT_STR(http_fixture_asked(hook, i), "POST /hook?key=very-secret");
	buf_clear(&expected);
}

static void every_way_is_told(void)
{
	struct scene s;

	begin(&s);
	http_fixture_says(&s.hook, 204, NULL, "");
	http_fixture_says(&s.sns, 200, NULL, "<PublishResponse/>");
	tell(&s, "no \"way\"\nto \xc3\xa9");
	HTTP_FIXTURE_UNTIL(s.loop, s.hook.n_requests == 1 && s.sns.n_requests == 1);
	settle(&s);
	check_posted(&s.hook, 0, "no \\\"way\\\" to \xc3\xa9");
	UNIT_STR(http_fixture_asked(&s.sns, 0), "POST /");
	UNIT_STR(http_fixture_header(&s.sns, 0, "content-type"), "application/x-www-form-urlencoded");
	UNIT_STR(http_fixture_body(&s.sns, 0),
		 "Action=Publish&Version=2010-03-31&TopicArn=arn%3Aaws%3Asns%3Aeu-west-1%3A123456789012%3Aops"
		 "&Subject=smtp-proxy%20on%20mx1.example.com%3A%20certificate.renewal_failed%20smtp"
		 "&Message=no%20%22way%22%20to%20%C3%A9%0A%0AEvent%3A%20certificate.renewal_failed%0ACertificate%3A%20smtp%0A"
		 "Host%3A%20mx1.example.com%0AFailures%20in%20a%20row%3A%203%0A"
		 "The%20certificate%20in%20use%20is%20good%20until%3A%202026-11-22T06%3A10%3A20Z%0A");
	UNIT_INT(s.hook.n_requests + s.sns.n_requests, 2);
	end(&s);
}

static void a_way_that_fails_is_tried_again_and_keeps_no_other(void)
{
	struct scene s;

	begin(&s);
	http_fixture_says(&s.hook, 200, NULL, "");
	http_fixture_says(&s.sns, 403, NULL, "<ErrorResponse><Error><Code>AuthorizationError</Code></Error></ErrorResponse>");
	http_fixture_says(&s.sns, 0, NULL, "");
	http_fixture_says(&s.sns, 503, NULL, "");
	tell(&s, "text");
	HTTP_FIXTURE_UNTIL(s.loop, s.hook.n_requests == 1 && s.sns.n_requests == 1);
	settle(&s);
	UNIT_INT(s.hook.n_requests, 1);
	HTTP_FIXTURE_UNTIL(s.loop, s.sns.n_requests == 3);
	settle(&s);
	/* And then it is given up. */
	for (unsigned i = 0; i < 5; i++)
		loop_turn(s.loop, CLOCK_SECOND / 10);
	UNIT_INT(s.sns.n_requests, 3);
	UNIT_INT(s.hook.n_requests, 1);
	end(&s);
}

/* What is logged until the first try has failed. The caller's to free. */
static char *logged_of(struct scene *s, const char *url)
{
	int saved = dup(STDOUT_FILENO), pipe_ends[2];
	char *line = mem_zero(65536);

	UNIT_INT(pipe2(pipe_ends, O_CLOEXEC), 0);
	put_text(&s->settings->alerts.webhook, url);
	put_text(&s->settings->alerts.sns_topic, "");
	fflush(stdout);
	dup2(pipe_ends[1], STDOUT_FILENO);
	tell(s, "text");
	loop_turn(s->loop, CLOCK_SECOND / 20);
	settle(s);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	close(pipe_ends[1]);
	UNIT_TRUE(read(pipe_ends[0], line, 65535) > 0);
	close(pipe_ends[0]);
	return line;
}

static void of_the_webhook_only_its_host_is_said(void)
{
	static const struct {
		const char *end, *said, *secret;
		unsigned status; /* of the answer; 0: the connection is closed, 1: nobody listens */
	} cases[] = {
		{"/T0K3N/B?key=very-secret", "it answered 403", "T0K3N", 403},
		{"/T0K3N/B?key=very-secret", "it answered 301", "very-secret", 301},
		{"/T0K3N/B?key=very-secret", "it does not answer: ", "T0K3N", 0},
		{"/T0K3N/B?key=very-secret", "it does not answer: Failed to connect to 127.0.0.1", "T0K3N", 1},
		{"?key=very-secret", "it does not answer: Failed to connect to 127.0.0.1", "very-secret", 1},
		/* Words of libcurl's. */
		{"/connect", "it does not answer", "connect", 1},
		{"/a?key=server", "it does not answer", "server", 1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scene s;
		char url[256];
		char *line;

		begin(&s);
		if (cases[i].status != 1)
			http_fixture_says(&s.hook, cases[i].status, NULL, "");
		snprintf(url, sizeof(url), "%s%s", cases[i].status == 1 ? "http://127.0.0.1:1" : s.hook.url, cases[i].end);
		line = logged_of(&s, url);
		UNIT_TRUE(strstr(line, "cert.alert.again") != NULL && strstr(line, cases[i].said) != NULL);
		if (strstr(line, cases[i].said) == NULL || strstr(line, cases[i].secret) != NULL)
			UNIT_TEXT(line, cases[i].said);
		free(line);
		end(&s);
	}
}

/* How the run with this number ended, as master tells it. */
static bool end_run(uint64_t number, bool ok)
{
	struct buf body = BUF_MAX(8192);
	struct ipc_frame frame = {.type = IPC_RUN_RESULT, .id = number, .fd = -1};
	bool taken;

	ipc_put_run_result(&body, &(struct ipc_run_result){.is_done = ok, .output = STR("no such host\n")});
	frame.body = reader_of(buf_str(&body));
	taken = cert_run_take(&frame);
	buf_clear(&body);
	return taken;
}

static void a_program_is_run_until_it_ends_well(void)
{
	struct scene s;
	uint64_t before = cert_run_start(IPC_PROGRAM_ALERT, NULL, 0, NULL, NULL);

	begin(&s);
	put_text(&s.settings->alerts.webhook, "");
	put_text(&s.settings->alerts.sns_topic, "");
	put_text(&s.settings->alerts.command, "/bin/tell");
	tell(&s, "text");
	loop_turn(s.loop, CLOCK_SECOND / 20);
	UNIT_TRUE(end_run(before + 1, false));
	/* The second begins after a while, under a number of its own. */
	for (int64_t until = clock_mono() + 3 * CLOCK_SECOND; clock_mono() < until;)
		loop_turn(s.loop, CLOCK_SECOND);
	UNIT_TRUE(end_run(before + 2, true));
	loop_turn(s.loop, CLOCK_SECOND / 20);
	UNIT_INT(cert_run_start(IPC_PROGRAM_ALERT, NULL, 0, NULL, NULL), before + 3);
	end(&s);
}

static void there_is_an_end_to_what_waits(void)
{
	struct scene s;
	uint64_t before = cert_run_start(IPC_PROGRAM_ALERT, NULL, 0, NULL, NULL);

	begin(&s);
	put_text(&s.settings->alerts.webhook, "");
	put_text(&s.settings->alerts.sns_topic, "");
	put_text(&s.settings->alerts.command, "/bin/tell");
	for (unsigned i = 0; i < 100; i++)
		tell(&s, "text");
	/* Each that is taken has its run. */
	loop_turn(s.loop, CLOCK_SECOND / 20);
	UNIT_INT(cert_run_start(IPC_PROGRAM_ALERT, NULL, 0, NULL, NULL), before + 65);
	end(&s);
}

UNIT_TESTS({"every way is told", every_way_is_told},
	   {"a way that fails is tried again and keeps no other", a_way_that_fails_is_tried_again_and_keeps_no_other},
	   {"of the webhook only its host is said", of_the_webhook_only_its_host_is_said},
	   {"a program is run until it ends well", a_program_is_run_until_it_ends_well},
	   {"there is an end to what waits", there_is_an_end_to_what_waits})
