/* SPDX-License-Identifier: Apache-2.0
 *
 * Mailgun: the MIME as it is (POST /v3/DOMAIN/messages.mime), in a form (multipart/form-data) with the envelope's
 * recipients beside it.
 *
 * `to` is the envelope and changes no header. Mailgun leaves Bcc in, and obeys header fields of its own (X-Mailgun-...),
 * which a client of ours must not be able to set: both are taken out. The envelope's sender is not told: bounces go to
 * Mailgun, which has a return path of its own at the domain.
 * Facts from mailgun/documentation (api-intro, api-sending, user_manual) and mailgun/mailgun-go.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/mime_strip.h"
#include "deliver/provider.h"
#include "deliver/provider_rules.h"
#include "lib/base/encode.h"
#include "lib/base/json_read.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"

enum { BOUNDARY = UUID_TEXT + 32, WORDS_MAX = 200 };

/* ---- the request ---- */

/* A text that stands nowhere in the message, which its sender cannot foresee either (RFC 2046, 5.1.1). */
static void make_boundary(const struct ipc_message *message, char out[BOUNDARY])
{
	char id[UUID_TEXT];

	uuid_format(&message->id, id);
	for (unsigned n = 0;; n++) {
		snprintf(out, BOUNDARY, "smtp-proxy-%s-%u", id, n);
		if (message->content.n == 0 || memmem(message->content.p, message->content.n, out, strlen(out)) == NULL)
			return;
	}
}

static void put_field(struct buf *out, const char *boundary, const char *name, struct str value)
{
	buf_printf(out, "--%s\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n", boundary, name);
	buf_put_str(out, value);
	buf_put_text(out, "\r\n");
}

static void put_message(const struct provider_call *call, const char *boundary, struct provider_request *request)
{
	static const char *const stripped[] = {"bcc", "resent-bcc", "x-mailgun-*", NULL};
	struct buf *out = &request->body;
	struct mime_strip strip;

	mime_strip(&strip, call->message->content, stripped);
	if (strip.names.n > 0)
		provider_request_note(call, request, "header fields taken out: %.*s", STR_ARG(buf_str(&strip.names)));
	buf_printf(out, "--%s\r\nContent-Disposition: form-data; name=\"message\"; filename=\"message.mime\"\r\n"
			"Content-Type: application/octet-stream\r\n\r\n", boundary);
	buf_put_str(out, strip.header);
	buf_put_str(out, strip.body);
	buf_printf(out, "\r\n--%s--\r\n", boundary);
	mime_strip_clear(&strip);
}

static void put_authorization(const struct provider_call *call, struct provider_request *request)
{
	struct buf plain = BUF_MAX(8192), encoded = BUF_MAX(16000);

	/* Room for all of it: what grows leaves copies behind. */
	buf_room(&plain, 8191);
	buf_room(&encoded, 15999);
	buf_printf(&plain, "api:%s", call->settings->api_key);
	encode_base64(&encoded, buf_str(&plain));
	provider_request_header(request, "Authorization: Basic %.*s", STR_ARG(buf_str(&encoded)));
	buf_clear_secret(&plain);
	buf_clear_secret(&encoded);
}

static char *request_url(const struct settings_provider *settings, const char *what)
{
	char path[512];

	must((size_t)snprintf(path, sizeof(path), "/v3/%s/%s", settings->domain, what) < sizeof(path));
	return provider_url(settings, "https://api.mailgun.net", path);
}

static bool build(const struct provider_call *call, struct provider_request *request, struct provider_verdict *verdict)
{
	const struct ipc_message *message = call->message;
	char boundary[BOUNDARY], id[UUID_TEXT];

	*request = (struct provider_request){.method = "POST", .body = BUF_MAX(PROVIDER_REQUEST_MAX)};
	if (!provider_fits(call, "Mailgun", verdict))
		return false;
	make_boundary(message, boundary);
	buf_room(&request->body, message->content.n + message->n_recipients * 512UL + 4096);
	for (unsigned i = 0; i < message->n_recipients; i++)
		put_field(&request->body, boundary, "to", message->recipients[i]);
	/* The domain's defaults might rewrite links and add pixels: what came in goes out. */
	put_field(&request->body, boundary, "o:tracking", STR("no"));
	/* It comes back with the events. Recipients can see it (X-Mailgun-Variables): only the id, which says nothing to them. */
	put_field(&request->body, boundary, "v:smtp_proxy_id", str_of(uuid_format(&message->id, id)));
	put_message(call, boundary, request);
	must(!request->body.is_full);
	provider_request_note(call, request, "the envelope's sender is not passed on: bounces go to Mailgun's own address at %s",
			      call->settings->domain);
	request->url = request_url(call->settings, "messages.mime");
	put_authorization(call, request);
	provider_request_header(request, "Content-Type: multipart/form-data; boundary=%s", boundary);
	provider_request_header(request, "Accept: application/json");
	return true;
}

/* ---- the answer ---- */

/* Mailgun's "Status codes" and the texts of its errors (api-intro, user_manual). 502 and 504 come from its edge: the
 * request went on and no answer came, so it may have been obeyed. */
static const struct provider_rule rules[] = {
	{200, 200, NULL, NULL, IPC_OUTCOME_SENT, "2.0.0", "accepted", IPC_ABOUT_NOTHING},
	{201, 299, NULL, NULL, IPC_OUTCOME_UNKNOWN, "4.4.0", "an answer that is not in Mailgun's documents", IPC_ABOUT_NOTHING},
	/* The domain of the settings: no message will go. */
	{400, 400, NULL, "not allowed to send", IPC_OUTCOME_PROVIDER_FAULT, "4.7.1", "the domain may not send", IPC_ABOUT_CREDENTIAL},
	{400, 400, NULL, "'to' parameter", IPC_OUTCOME_PERMANENT, "5.1.3", "a recipient is not valid", IPC_ABOUT_NOTHING},
	{400, 400, NULL, "'from' parameter", IPC_OUTCOME_PERMANENT, "5.1.7", "the sender is not valid", IPC_ABOUT_NOTHING},
	{400, 400, NULL, NULL, IPC_OUTCOME_PERMANENT, "5.6.0", "the request is not valid", IPC_ABOUT_NOTHING},
	{401, 401, NULL, NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8", "the API key is not valid", IPC_ABOUT_NOTHING},
	{402, 402, NULL, NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.0", "the account may not send now", IPC_ABOUT_CREDENTIAL},
	/* A new account; the next message may have fewer recipients. */
	{403, 403, NULL, "large batches", IPC_OUTCOME_PROVIDER_FAULT, "4.7.0", "the account may not send to so many yet", IPC_ABOUT_THROTTLE},
	{403, 403, NULL, NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.1", "the key or the account may not do this", IPC_ABOUT_NOTHING},
	{404, 404, NULL, NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.3.5", "no such domain; is it of another region (endpoint)?", IPC_ABOUT_NOTHING},
	{408, 408, NULL, NULL, IPC_OUTCOME_TRANSIENT, "4.4.2", "it waited in vain for the request", IPC_ABOUT_NOTHING},
	{413, 413, NULL, NULL, IPC_OUTCOME_UNFIT, "5.3.4", "the message is too large", IPC_ABOUT_NOTHING},
	{429, 429, NULL, NULL, IPC_OUTCOME_TRANSIENT, "4.7.0", "too many requests", IPC_ABOUT_NOTHING},
	{502, 502, NULL, NULL, IPC_OUTCOME_UNKNOWN, "4.4.0", "Mailgun's edge got no good answer", IPC_ABOUT_NOTHING},
	{504, 504, NULL, NULL, IPC_OUTCOME_UNKNOWN, "4.4.1", "Mailgun's edge got no answer", IPC_ABOUT_NOTHING},
	{500, 599, NULL, NULL, IPC_OUTCOME_TRANSIENT, "4.3.0", "an error at Mailgun", IPC_ABOUT_NOTHING},
	{0, 999, NULL, NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.3.5", "not an answer of Mailgun's; is the endpoint right?", IPC_ABOUT_NOTHING},
};

/* `message`, or the whole body where it is a few plain words. A refusal in plain words is Mailgun's own only as "Forbidden":
 * a proxy on the way may speak so too. */
static struct str words_of(const struct provider_answer *answer, struct json_object *body)
{
	bool is_refusal = answer->status == 401 || answer->status == 403;
	struct str text = str_trim(answer->body);

	while (text.n > 0 && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == '\r'))
		text.n--;
	if (body == NULL && text.n <= WORDS_MAX && str_is_printable(text) && str_find(text, '<') == text.n &&
	    (!is_refusal || str_ieq(text, STR("Forbidden"))))
		return text;
	return json_read_text(body, "message");
}

/* "Domain X is not allowed to send: request limit exceeded, try again after Mon, 20 Dec 2021 20:33:21 UTC" */
static uint32_t wait_asked(const struct provider_answer *answer, struct str says)
{
	static const char mark[] = "try again after ";
	const char *found = says.n == 0 ? NULL : memmem(says.p, says.n, mark, sizeof(mark) - 1);

	if (found == NULL)
		return 0;
	return provider_answer_until(answer, str_trim(str_from(says, (size_t)(found - says.p) + sizeof(mark) - 1)));
}

/* The id without its < and >, as the events have it. */
static void take_id(struct json_object *body, struct provider_verdict *verdict)
{
	struct str id = str_trim(json_read_text(body, "id"));

	if (id.n >= 2 && id.p[0] == '<' && id.p[id.n - 1] == '>')
		id = str_bytes(id.p + 1, id.n - 2);
	/* A 200 without one is no answer of Mailgun's that is known: the message may have been taken. */
	if (id.n == 0 || !str_is_printable(id) || !str_copy(id, verdict->provider_id, sizeof(verdict->provider_id)))
		provider_verdict_set(verdict, IPC_OUTCOME_UNKNOWN, verdict->code, "4.4.0", "the answer has no message id");
}

static void classify(const struct provider_answer *answer, struct provider_verdict *verdict)
{
	struct json_object *body = json_read(answer->body);
	struct str says = words_of(answer, body);

	provider_rules_judge(rules, sizeof(rules) / sizeof(rules[0]), answer, STR(""), says, verdict);
	if (verdict->class == IPC_OUTCOME_SENT)
		take_id(body, verdict);
	if (verdict->about == IPC_ABOUT_THROTTLE && verdict->retry_after == 0)
		verdict->retry_after = wait_asked(answer, says);
	json_object_put(body);
}

/* A message without anything: what is missing is said only to who may send. It works with keys that may do nothing else. */
static bool build_check(const struct provider_call *call, struct provider_request *request, struct provider_verdict *verdict)
{
	(void)verdict;
	*request = (struct provider_request){.method = "POST"};
	request->url = request_url(call->settings, "messages");
	put_authorization(call, request);
	return true;
}

static bool classify_check(const struct provider_answer *answer, struct provider_verdict *verdict)
{
	if (answer->status != 400)
		return false;
	/* The domain may not send: that comes with 400 too. */
	classify(answer, verdict);
	if (verdict->class != IPC_OUTCOME_PERMANENT)
		return true;
	provider_verdict_set(verdict, IPC_OUTCOME_SENT, answer->status, "2.0.0", "it answers, and takes the key");
	return true;
}

const struct provider provider_mailgun = {
	.type = "mailgun",
	.build = build,
	.classify = classify,
	.build_check = build_check,
	.classify_check = classify_check,
};
