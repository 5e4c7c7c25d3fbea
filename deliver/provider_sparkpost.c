/* SPDX-License-Identifier: Apache-2.0
 *
 * SparkPost (POST /api/v1/transmissions): the MIME as a JSON string, the envelope's recipients beside it.
 *
 * A JSON string is text, so that the message is made ASCII first (mime_ascii.h). SparkPost reads header fields as a
 * template even when substitutions are off; so `{{` must not stand in them. Bcc is taken out, and X-MSYS-API, which would
 * be orders to SparkPost.
 * Facts from SparkPost/developers.sparkpost.com (content/api/transmissions.apib, introduction.apib) and
 * SparkPost/support-docs; that headers are always read as a template, from django-anymail.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/mime_ascii.h"
#include "deliver/mime_strip.h"
#include "deliver/provider.h"
#include "deliver/provider_json.h"
#include "deliver/provider_recipients.h"
#include "deliver/provider_rules.h"
#include "lib/base/json_read.h"
#include "lib/base/mem.h"

enum {
	CONTENT_MAX = 20 << 20,
	KEPT_MAX = IPC_RECIPIENTS_MAX * 1024,
};

/* ---- the request ---- */

/* Nothing of the content is to be touched: no tracking, no templates. What is sent by a gateway is no campaign. */
#define OPTIONS "{\"options\":{\"transactional\":true,\"open_tracking\":false,\"click_tracking\":false,\"perform_substitutions\":false}"

static void put_recipients(const struct ipc_message *message, struct provider_request *request)
{
	struct buf *out = &request->body;

	request->kept = BUF_MAX(KEPT_MAX);
	buf_put_text(out, ",\"recipients\":[");
	for (unsigned i = 0; i < message->n_recipients; i++) {
		buf_put_text(out, i == 0 ? "{\"address\":{\"email\":" : ",{\"address\":{\"email\":");
		provider_json_text(out, message->recipients[i]);
		buf_put_text(out, "}}");
		buf_put_str(&request->kept, message->recipients[i]);
		buf_put_char(&request->kept, '\n');
	}
	buf_put_char(out, ']');
}

static void put_body(const struct ipc_message *message, struct str content, struct provider_request *request)
{
	char id[UUID_TEXT], tenant[UUID_TEXT];

	buf_room(&request->body, content.n + content.n / 16 + message->n_recipients * 384UL + 1024);
	buf_put_text(&request->body, OPTIONS);
	/* It comes back with the events. */
	buf_printf(&request->body, ",\"metadata\":{\"smtp_proxy_id\":\"%s\",\"smtp_proxy_tenant\":\"%s\"}",
		   uuid_format(&message->id, id), uuid_format(&message->tenant, tenant));
	put_recipients(message, request);
	buf_put_text(&request->body, ",\"content\":{\"email_rfc822\":");
	provider_json_text(&request->body, content);
	buf_put_text(&request->body, "}}");
}

static bool put_message(const struct provider_call *call, struct provider_request *request, struct provider_verdict *verdict)
{
	static const char *const stripped[] = {"bcc", "resent-bcc", "x-msys-*", NULL};
	struct mime_ascii ascii = {.hidden = STR("{{")};
	struct mime_strip strip;
	bool ok;

	mime_strip(&strip, call->message->content, stripped);
	if (strip.names.n > 0)
		provider_request_note(call, request, "header fields taken out: %.*s", STR_ARG(buf_str(&strip.names)));
	ok = mime_ascii(&ascii, strip.header, strip.body);
	mime_strip_clear(&strip);
	if (ascii.changed.n > 0)
		provider_request_note(call, request, "encoded anew, for it must be ASCII and have no {{ in its header: %.*s",
				      STR_ARG(buf_str(&ascii.changed)));
	if (!ok)
		provider_unfit(verdict, "SparkPost", ascii.is_address ? "5.6.7" : "5.6.0", "%s", ascii.trouble);
	else if (ascii.out.n > CONTENT_MAX)
		ok = provider_unfit(verdict, "SparkPost", "5.3.4", "in ASCII it is larger than the 20 MB that it takes");
	else
		put_body(call->message, buf_str(&ascii.out), request);
	mime_ascii_clear(&ascii);
	return ok;
}

static bool build(const struct provider_call *call, struct provider_request *request, struct provider_verdict *verdict)
{
	*request = (struct provider_request){.method = "POST", .body = BUF_MAX(PROVIDER_REQUEST_MAX)};
	if (!provider_fits(call, "SparkPost", verdict))
		return false;
	if (!put_message(call, request, verdict)) {
		provider_request_clear(request);
		return false;
	}
	provider_request_note(call, request, "the envelope's sender is not passed on: bounces go to SparkPost");
	/* Of as many refused recipients as there are it is to say why. */
	request->url = provider_url(call->settings, "https://api.sparkpost.com", "/api/v1/transmissions?num_rcpt_errors=1000");
	provider_request_header(request, "Authorization: %s", call->settings->api_key);
	provider_request_header(request, "Content-Type: application/json");
	provider_request_header(request, "Accept: application/json");
	return true;
}

static bool build_check(const struct provider_call *call, struct provider_request *request, struct provider_verdict *verdict)
{
	(void)verdict;
	*request = (struct provider_request){.method = "GET"};
	request->url = provider_url(call->settings, "https://api.sparkpost.com", "/api/v1/account");
	provider_request_header(request, "Authorization: %s", call->settings->api_key);
	provider_request_header(request, "Accept: application/json");
	return true;
}

/* A key that may only send may not see the account, and is good. */
static bool classify_check(const struct provider_answer *answer, struct provider_verdict *verdict)
{
	struct json_object *body = json_read(answer->body);
	bool is_its_own = json_object_is_type(json_read_member(body, "errors"), json_type_array);

	json_object_put(body);
	if (answer->status != 403 || !is_its_own)
		return false;
	provider_verdict_set(verdict, IPC_OUTCOME_SENT, answer->status, "2.0.0", "it answers, and takes the key");
	return true;
}

/* ---- the answer ---- */

/* SparkPost's introduction ("Errors") and the transmissions' "Response codes"; the codes in the body where they are told
 * apart. A sending limit is nobody's message's fault: as a provider fault it is tried again for as long as the message
 * may wait. 502 and 504 come from its edge: no answer came from behind it. */
static const struct provider_rule rules[] = {
	{200, 200, NULL, NULL, IPC_OUTCOME_SENT, "2.0.0", "accepted", IPC_ABOUT_NOTHING},
	{201, 299, NULL, NULL, IPC_OUTCOME_UNKNOWN, "4.4.0", "an answer that is not in SparkPost's documents", IPC_ABOUT_NOTHING},
	{400, 400, "7001", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.1", "the sender's domain is not verified", IPC_ABOUT_SENDER},
	{400, 400, "1100", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.1", "the sender's domain has no DKIM key", IPC_ABOUT_SENDER},
	{400, 400, NULL, "sending domain", IPC_OUTCOME_PROVIDER_FAULT, "4.7.1", "the sender's domain is not verified", IPC_ABOUT_SENDER},
	{400, 400, "5002", NULL, IPC_OUTCOME_PERMANENT, "5.1.3", "no recipient is valid", IPC_ABOUT_NOTHING},
	{400, 400, NULL, NULL, IPC_OUTCOME_PERMANENT, "5.6.0", "the request is not valid", IPC_ABOUT_NOTHING},
	{401, 401, NULL, NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8", "the API key is not valid", IPC_ABOUT_NOTHING},
	{403, 403, NULL, NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.1", "the key or the account may not do this", IPC_ABOUT_NOTHING},
	{404, 405, NULL, NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.3.5", "there is no such address; is the endpoint right?", IPC_ABOUT_NOTHING},
	{408, 408, NULL, NULL, IPC_OUTCOME_TRANSIENT, "4.4.2", "it waited in vain for the request", IPC_ABOUT_NOTHING},
	{409, 409, NULL, NULL, IPC_OUTCOME_TRANSIENT, "4.3.0", "a conflict", IPC_ABOUT_NOTHING},
	{413, 413, NULL, NULL, IPC_OUTCOME_UNFIT, "5.3.4", "the message is too large", IPC_ABOUT_NOTHING},
	{415, 415, NULL, NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.3.5", "the content type is not supported", IPC_ABOUT_NOTHING},
	{420, 420, NULL, NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.0", "a sending limit is reached", IPC_ABOUT_THROTTLE},
	{422, 422, NULL, NULL, IPC_OUTCOME_PERMANENT, "5.6.0", "the request is not valid", IPC_ABOUT_NOTHING},
	{429, 429, NULL, NULL, IPC_OUTCOME_TRANSIENT, "4.7.0", "too many requests", IPC_ABOUT_NOTHING},
	{502, 502, NULL, NULL, IPC_OUTCOME_UNKNOWN, "4.4.0", "SparkPost's edge got no good answer", IPC_ABOUT_NOTHING},
	{504, 504, NULL, NULL, IPC_OUTCOME_UNKNOWN, "4.4.1", "SparkPost's edge got no answer", IPC_ABOUT_NOTHING},
	{500, 599, NULL, NULL, IPC_OUTCOME_TRANSIENT, "4.3.0", "an error at SparkPost", IPC_ABOUT_NOTHING},
	{0, 999, NULL, NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.3.5", "not an answer of SparkPost's; is the endpoint right?", IPC_ABOUT_NOTHING},
};

/* {"message":"...","description":"..."} as "message: description" */
static void put_error(struct buf *out, struct json_object *error)
{
	struct str message = str_first(json_read_text(error, "message"), 128);
	struct str description = str_first(json_read_text(error, "description"), 256);

	buf_put_str(out, message);
	if (message.n > 0 && description.n > 0)
		buf_put_text(out, ": ");
	buf_put_str(out, description);
}

/* In the whole of it: what put_error() cuts could end in another's address. */
static bool is_named(struct json_object *error, struct str address)
{
	return provider_recipients_is_named(json_read_text(error, "message"), address) ||
	       provider_recipients_is_named(json_read_text(error, "description"), address);
}

/* Which recipients the errors name (SparkPost does not say so in a field of its own): error[i] is the number of the
 * error that names recipient i, from 1, or 0. Returns how many are named. */
static unsigned find_named(struct json_object *errors, struct str kept, unsigned error[IPC_RECIPIENTS_MAX])
{
	size_t n_errors = json_object_is_type(errors, json_type_array) ? json_object_array_length(errors) : 0;
	unsigned named = 0;

	for (size_t e = 0; e < n_errors && e < IPC_RECIPIENTS_MAX; e++) {
		struct str rest = kept, address;

		for (unsigned i = 0; i < IPC_RECIPIENTS_MAX && str_next(&rest, '\n', &address); i++)
			if (error[i] == 0 && is_named(json_object_array_get_idx(errors, e), address)) {
				error[i] = (unsigned)e + 1;
				named++;
				break;
			}
	}
	return named;
}

/* Some were taken, some were not. When it is not said who, the message must not be sent again (nobody is to get it
 * twice), nor count as sent (nobody is to be forgotten): a dead letter, for people to decide. */
static void take_partial(struct json_object *errors, struct str kept, int64_t rejected, int64_t accepted,
			 struct provider_verdict *verdict)
{
	unsigned *error = mem_array(IPC_RECIPIENTS_MAX, sizeof(*error));
	struct buf says = BUF_MAX(1024);

	if (find_named(errors, kept, error) == (uint64_t)rejected) {
		for (unsigned i = 0; i < IPC_RECIPIENTS_MAX; i++) {
			if (error[i] == 0)
				continue;
			buf_reset(&says);
			put_error(&says, json_object_array_get_idx(errors, error[i] - 1));
			provider_verdict_refuse(verdict, i, IPC_OUTCOME_PERMANENT, verdict->code, "5.1.3", "%.*s",
						STR_ARG(buf_str(&says)));
		}
	} else {
		put_error(&says, json_object_is_type(errors, json_type_array) ? json_object_array_get_idx(errors, 0) : NULL);
		provider_verdict_set(verdict, IPC_OUTCOME_PERMANENT, verdict->code, "5.1.3",
				     "%lld recipients were taken and %lld refused, and SparkPost does not say which: %.*s",
				     (long long)accepted, (long long)rejected, STR_ARG(buf_str(&says)));
	}
	free(error);
	buf_clear(&says);
}

static void take_results(struct json_object *body, struct str kept, struct provider_verdict *verdict)
{
	struct json_object *results = json_read_member(body, "results"), *errors = json_read_member(results, "rcpt_to_errors");
	struct str id = json_read_text(results, "id");
	int64_t accepted = json_read_number(results, "total_accepted_recipients", -1);
	int64_t rejected = json_read_number(results, "total_rejected_recipients", 0);
	struct buf says = BUF_MAX(1024);

	if (accepted == 0 && rejected > 0) {
		put_error(&says, json_object_is_type(errors, json_type_array) ? json_object_array_get_idx(errors, 0) : NULL);
		provider_verdict_set(verdict, IPC_OUTCOME_PERMANENT, verdict->code, "5.1.3", "no recipient was taken: %.*s",
				     STR_ARG(buf_str(&says)));
		buf_clear(&says);
		return;
	}
	/* A 200 without an id is no answer of SparkPost's that is known: the message may have been taken. */
	if (id.n == 0 || !str_is_printable(id) || !str_copy(id, verdict->provider_id, sizeof(verdict->provider_id)))
		provider_verdict_set(verdict, IPC_OUTCOME_UNKNOWN, verdict->code, "4.4.0", "the answer has no message id");
	else if (rejected > 0)
		take_partial(errors, kept, rejected, accepted, verdict);
}

static void classify(const struct provider_answer *answer, struct provider_verdict *verdict)
{
	struct json_object *body = json_read(answer->body), *errors = json_read_member(body, "errors"), *first = NULL;
	struct buf says = BUF_MAX(1024);

	if (answer->status != 200 && json_object_is_type(errors, json_type_array) && json_object_array_length(errors) > 0)
		first = json_object_array_get_idx(errors, 0);
	put_error(&says, first);
	provider_rules_judge(rules, sizeof(rules) / sizeof(rules[0]), answer, json_read_text(first, "code"), buf_str(&says),
			     verdict);
	if (verdict->class == IPC_OUTCOME_SENT)
		take_results(body, answer->kept, verdict);
	buf_clear(&says);
	json_object_put(body);
}

const struct provider provider_sparkpost = {
	.type = "sparkpost",
	.build = build,
	.classify = classify,
	.build_check = build_check,
	.classify_check = classify_check,
};
