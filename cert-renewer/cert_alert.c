/* SPDX-License-Identifier: Apache-2.0
 *
 * An event becomes one telling for each way that is set up, which is tried until it is told, or given up.
 */
#include "cert-renewer/cert_alert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cert-renewer/cert_run.h"
#include "lib/aws/aws_client.h"
#include "lib/base/clock.h"
#include "lib/base/date.h"
#include "lib/base/encode.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/service/metrics.h"

enum { TELLINGS_MAX = 64, TRIES = 3, EVENT_MAX = 64, CERTIFICATE_MAX = 128, TEXT_MAX = 1024, WHY_MAX = 512, BODY_MAX = 16384,
       SUBJECT_MAX = 100, REGION_MAX = 63, URL_MAX = 1025 };

#define CALL_TIMEOUT (15 * CLOCK_SECOND)

/* Before the second try, and before the third. */
static const int64_t waits[TRIES - 1] = {2 * CLOCK_SECOND, 10 * CLOCK_SECOND};

enum way { COMMAND, WEBHOOK, TOPIC, WAYS };

static const char *const way_names[WAYS] = {"alerts.command", "alerts.webhook", "alerts.sns_topic"};

struct telling {
	struct cert_alert *alert;
	struct telling *next;
	struct loop_timer *timer;
	enum way way;
	unsigned tries;
	char event[EVENT_MAX + 1], certificate[CERTIFICATE_MAX + 1], text[TEXT_MAX + 1];
	unsigned failures;
	int64_t not_after, at; /* seconds since 1970 */
	/* under way: */
	uint64_t run; /* 0: none */
	struct http_call *asking;
	struct buf body;
};

struct cert_alert {
	struct cert_alert_config config;
	char *host_name; /* a copy: the settings that it may be in go with a reload */
	struct aws_client *aws;
	struct telling *tellings; /* the oldest first */
	unsigned n_tellings;
	bool is_ending;
};

/* ---- a telling and its end ---- */

static const char *setting_of(const struct cert_alert *alert, enum way way)
{
	const struct settings *settings = alert->config.settings;

	switch (way) {
	case COMMAND:
		return settings->alerts.command;
	case WEBHOOK:
		return settings->alerts.webhook;
	case TOPIC:
	case WAYS:
		break;
	}
	return settings->alerts.sns_topic;
}

static void free_telling(void *ctx)
{
	struct telling *t = ctx;

	loop_timer_free(&t->timer);
	buf_clear(&t->body);
	free(t);
}

static void end(struct telling *t)
{
	struct telling **at = &t->alert->tellings;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	t->alert->n_tellings--;
	loop_later(t->alert->config.loop, free_telling, t); /* its timer may be the one that rings */
}

static void told(struct telling *t)
{
	metrics_add(METRIC_ALERTS_SENT, 1);
	log_info(NULL, "cert.alert.told", log_text("way", way_names[t->way]), log_text("about", t->event),
		 log_text("certificate", t->certificate));
	end(t);
}

static void failed(struct telling *t, const char *why)
{
	if (t->tries == TRIES) {
		metrics_add(METRIC_ALERTS_FAILED, 1);
		log_error(NULL, "cert.alert.lost", log_text("way", way_names[t->way]), log_text("about", t->event),
			  log_text("certificate", t->certificate), log_text("reason", why));
		end(t);
		return;
	}
	log_warn(NULL, "cert.alert.again", log_text("way", way_names[t->way]), log_text("about", t->event),
		 log_text("certificate", t->certificate), log_text("reason", why));
	loop_timer_set(t->timer, waits[t->tries - 1]);
}

/* ---- a program ---- */

static void on_run(void *ctx, bool ok, const char *output)
{
	struct telling *t = ctx;

	t->run = 0;
	if (ok)
		told(t);
	else
		failed(t, output[0] != '\0' ? output : "it did not end with 0");
}

static void run(struct telling *t)
{
	const struct str words[] = {str_of(t->event), str_of(t->certificate), str_of(t->text)};

	t->run = cert_run_start(IPC_PROGRAM_ALERT, words, 3, on_run, t);
}

/* ---- a webhook ---- */

/* The URL is a secret but for its host, which libcurl's words may name ("Could not resolve host: ..."). They have nothing of what follows
 * it today; this sees to it that it stays so. */
static bool tells_the_secret(const char *words, const char *url)
{
	struct str rest = str_of(url);
	char part[URL_MAX];

	rest = str_from(rest, str_find(rest, ':') + 3);
	rest = str_from(rest, strcspn(rest.p, "/?"));
	while (rest.n > 0) {
		size_t n = strcspn(rest.p, "/?&=");

		if (n > 0 && (!str_copy(str_first(rest, n), part, sizeof(part)) || strstr(words, part) != NULL))
			return true;
		rest = str_from(rest, n + 1);
	}
	return false;
}

static void on_answer(void *ctx, const struct http_answer *answer)
{
	struct telling *t = ctx;
	char why[WHY_MAX];

	t->asking = NULL;
	if (answer->result == HTTP_ANSWERED && answer->status >= 200 && answer->status <= 299) {
		told(t);
		return;
	}
	if (answer->result == HTTP_ANSWERED)
		snprintf(why, sizeof(why), "it answered %u", answer->status);
	else if (tells_the_secret(answer->error, setting_of(t->alert, WEBHOOK)))
		snprintf(why, sizeof(why), "it does not answer");
	else
		snprintf(why, sizeof(why), "it does not answer: %s", answer->error);
	failed(t, why);
}

static void post(struct telling *t)
{
	static const char *const headers[] = {"Content-Type: application/json"};
	struct http_request request = {.method = "POST", .url = setting_of(t->alert, WEBHOOK), .headers = headers, .n_headers = 1, .timeout = CALL_TIMEOUT};

	buf_reset(&t->body);
	json_begin(&t->body, NULL, '{');
	json_put_text(&t->body, "event", str_of(t->event));
	json_put_text(&t->body, "certificate", str_of(t->certificate));
	json_put_text(&t->body, "text", str_of(t->text));
	json_put_int(&t->body, "failures", t->failures);
	json_put_int(&t->body, "not_after", t->not_after);
	json_put_text(&t->body, "host", str_of(t->alert->host_name));
	json_put_int(&t->body, "at", t->at);
	must(buf_put_char(&t->body, '}'));
	request.body = buf_str(&t->body);
	t->asking = http_client_start(t->alert->config.http, &request, on_answer, t);
}

/* ---- an SNS topic ---- */

static void on_published(void *ctx, const struct aws_client_answer *answer)
{
	struct telling *t = ctx;

	if (t->alert->is_ending)
		return;
	if (answer->ok)
		told(t);
	else
		failed(t, answer->why);
}

/* Of arn:aws:sns:REGION:ACCOUNT:NAME. */
static void take_region(struct str topic, char region[REGION_MAX + 1])
{
	struct str part = STR("");

	for (unsigned i = 0; i < 4; i++)
		must(str_next(&topic, ':', &part));
	must(str_copy(part, region, REGION_MAX + 1));
}

static void put_field(struct buf *form, const char *name, struct str value)
{
	buf_printf(form, "&%s=", name);
	encode_percent(form, value, "-._~");
}

/* SNS wants ASCII, and at most so much. */
static void put_subject(struct buf *form, const struct telling *t)
{
	struct buf subject = BUF_MAX(1024);

	buf_printf(&subject, "smtp-proxy on %s: %s %s", t->alert->host_name, t->event, t->certificate);
	for (size_t i = 0; i < subject.n; i++)
		if (subject.p[i] < ' ' || subject.p[i] > '~')
			subject.p[i] = '?';
	put_field(form, "Subject", str_first(buf_str(&subject), SUBJECT_MAX));
	buf_clear(&subject);
}

static void put_message(struct buf *form, const struct telling *t)
{
	struct buf message = BUF_MAX(4 * TEXT_MAX);
	char until[DATE_RFC3339] = "none";

	if (t->not_after > 0)
		date_put_rfc3339(t->not_after, until);
	buf_printf(&message, "%s\n\nEvent: %s\nCertificate: %s\nHost: %s\nFailures in a row: %u\nThe certificate in use is good until: %s\n",
		   t->text, t->event, t->certificate, t->alert->host_name, t->failures, until);
	put_field(form, "Message", buf_str(&message));
	buf_clear(&message);
}

static void publish(struct telling *t)
{
	static const char *const headers[] = {"content-type: application/x-www-form-urlencoded"};
	const char *topic = setting_of(t->alert, TOPIC), *endpoint = t->alert->config.settings->aws.sns_endpoint;
	struct buf url = BUF_MAX(2048), form = BUF_MAX(BODY_MAX);
	char region[REGION_MAX + 1];
	struct aws_client_request request = {.name = "SNS", .service = "sns", .region = region, .method = "POST", .headers = headers,
					     .n_headers = 1, .tries = 1};

	take_region(str_of(topic), region);
	if (endpoint[0] != '\0')
		buf_printf(&url, "%s%s", endpoint, str_ends(str_of(endpoint), STR("/")) ? "" : "/");
	else
		buf_printf(&url, "https://sns.%s%s/", region, aws_client_domain(region));
	must(buf_put_char(&url, '\0'));
	buf_put_text(&form, "Action=Publish&Version=2010-03-31");
	put_field(&form, "TopicArn", str_of(topic));
	put_subject(&form, t);
	put_message(&form, t);
	must(!form.is_full);
	request.url = url.p;
	request.body = buf_str(&form);
	aws_client_start(t->alert->aws, &request, on_published, t);
	buf_clear(&url);
	buf_clear(&form);
}

/* ---- for others ---- */

static void attempt(void *ctx)
{
	struct telling *t = ctx;

	/* Nobody is to be told this way any more. */
	if (setting_of(t->alert, t->way)[0] == '\0') {
		end(t);
		return;
	}
	t->tries++;
	if (t->way == COMMAND)
		run(t);
	else if (t->way == WEBHOOK)
		post(t);
	else
		publish(t);
}

/* In one line, and in UTF-8 that is not cut within a character. */
static void take_text(struct str from, char *out, size_t size)
{
	bool is_utf8 = str_is_utf8(from);
	size_t n = from.n < size ? from.n : size - 1;

	while (is_utf8 && n < from.n && ((unsigned char)from.p[n] & 0xc0) == 0x80)
		n--;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)from.p[i];

		out[i] = c < ' ' || c == 0x7f ? ' ' : c >= 0x80 && !is_utf8 ? '?' : (char)c;
	}
	out[n] = '\0';
}

static void add(struct cert_alert *alert, enum way way, const struct cert_alert_event *event)
{
	struct telling *t, **at = &alert->tellings;

	if (alert->n_tellings == TELLINGS_MAX) {
		metrics_add(METRIC_ALERTS_FAILED, 1);
		log_error(NULL, "cert.alert.dropped", log_text("way", way_names[way]), log_text("about", event->event),
			  log_str("certificate", event->certificate));
		return;
	}
	t = mem_zero(sizeof(*t));
	*t = (struct telling){.alert = alert, .way = way, .failures = event->failures, .not_after = event->not_after,
			      .at = clock_wall() / CLOCK_SECOND, .body = BUF_MAX(BODY_MAX)};
	take_text(str_of(event->event), t->event, sizeof(t->event));
	take_text(event->certificate, t->certificate, sizeof(t->certificate));
	take_text(event->text, t->text, sizeof(t->text));
	t->timer = loop_timer_new(alert->config.loop, attempt, t);
	loop_timer_set(t->timer, 0);
	while (*at != NULL)
		at = &(*at)->next;
	*at = t;
	alert->n_tellings++;
}

void cert_alert_tell(struct cert_alert *alert, const struct cert_alert_event *event)
{
	for (enum way way = COMMAND; way < WAYS; way++)
		if (setting_of(alert, way)[0] != '\0')
			add(alert, way, event);
}

struct cert_alert *cert_alert_new(const struct cert_alert_config *config)
{
	struct cert_alert *alert = mem_zero(sizeof(*alert));

	alert->config = *config;
	alert->host_name = mem_text(config->host_name);
	alert->aws = aws_client_new(config->loop, config->http, config->aws, config->settings);
	return alert;
}

void cert_alert_use_settings(struct cert_alert *alert, const struct settings *settings)
{
	alert->config.settings = settings;
	aws_client_use_settings(alert->aws, settings);
}

void cert_alert_free(struct cert_alert **alert)
{
	struct cert_alert *a = *alert;

	if (a == NULL)
		return;
	a->is_ending = true;
	aws_client_free(&a->aws);
	while (a->tellings != NULL) {
		struct telling *t = a->tellings;

		a->tellings = t->next;
		http_client_cancel(&t->asking);
		if (t->run != 0)
			cert_run_forget(t->run);
		free_telling(t);
	}
	free(a->host_name);
	mem_free(alert);
}
