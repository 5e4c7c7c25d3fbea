/* SPDX-License-Identifier: Apache-2.0
 *
 * SendGrid's v3 Mail Send (POST /v3/mail/send). It takes no MIME, so the message is taken apart and told as
 * JSON. Its API has no envelope of its own (see provider_recipients.h); when no header names any recipient, each gets
 * a personalization (a copy) of its own, for one `to` is required and the others would see it.
 * Facts from SendGrid's OpenAPI description (twilio/sendgrid-oai, tsg_mail_v3) and its documentation of errors.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/provider.h"
#include "deliver/provider_json.h"
#include "deliver/provider_pieces.h"
#include "deliver/provider_recipients.h"
#include "deliver/provider_rules.h"
#include "lib/base/clock.h"
#include "lib/base/json_read.h"
#include "lib/base/mem.h"

enum {
	REPLY_TO_MAX = 1000,
	REQUEST_MAX = 30 << 20,	     /* "the total message size should not exceed 30 MB" */
	RATE_WAIT_MAX = 3600,	     /* seconds: X-RateLimit-Reset never says more in earnest */
};

/* ---- the request ---- */

static void put_address(struct buf *out, struct str email, struct str name)
{
	buf_put_text(out, "{\"email\":");
	provider_json_text(out, email);
	if (name.n > 0) {
		provider_json_member(out, "name");
		provider_json_text(out, name);
	}
	buf_put_char(out, '}');
}

/* "to":[...], without it when there is none of the kind. */
static void put_kind(struct buf *out, const struct provider_recipients *r, enum provider_recipients_kind kind, const char *name, bool *is_first)
{
	unsigned n = 0;

	for (unsigned i = 0; i < r->n_sorted; i++) {
		const struct provider_recipient *one = r->sorted[i];

		if (one->kind != kind)
			continue;
		if (n++ == 0)
			buf_printf(out, "%s\"%s\":[", *is_first ? "" : ",", name);
		else
			buf_put_char(out, ',');
		put_address(out, one->address, one->name);
	}
	if (n > 0) {
		buf_put_char(out, ']');
		*is_first = false;
	}
}

static void put_personalizations(struct buf *out, const struct provider_recipients *r)
{
	bool is_first = true;

	buf_put_text(out, "\"personalizations\":[");
	if (!r->is_blind) {
		buf_put_char(out, '{');
		put_kind(out, r, PROVIDER_TO, "to", &is_first);
		put_kind(out, r, PROVIDER_CC, "cc", &is_first);
		put_kind(out, r, PROVIDER_BCC, "bcc", &is_first);
		buf_put_text(out, "}]");
		return;
	}
	for (unsigned i = 0; i < r->n_sorted; i++) {
		buf_put_text(out, i == 0 ? "{\"to\":[" : ",{\"to\":[");
		put_address(out, r->sorted[i]->address, STR(""));
		buf_put_text(out, "]}");
	}
	buf_put_char(out, ']');
}

/* reply_to for one address, reply_to_list for several; each once. */
static void put_reply_to(struct buf *out, const struct mime_addresses *reply_to)
{
	unsigned n = reply_to->n < REPLY_TO_MAX ? reply_to->n : REPLY_TO_MAX, written = 0;

	if (n == 0)
		return;
	if (n == 1) {
		provider_json_member(out, "reply_to");
		put_address(out, reply_to->list[0].email, reply_to->list[0].name);
		return;
	}
	provider_json_member(out, "reply_to_list");
	buf_put_char(out, '[');
	for (unsigned i = 0; i < n; i++) {
		bool is_new = true;

		for (unsigned k = 0; k < i && is_new; k++)
			is_new = !str_ieq(reply_to->list[k].email, reply_to->list[i].email);
		if (!is_new)
			continue;
		if (written++ > 0)
			buf_put_char(out, ',');
		put_address(out, reply_to->list[i].email, reply_to->list[i].name);
	}
	buf_put_char(out, ']');
}

static void put_one_content(struct buf *out, unsigned *n, struct str type, struct str value)
{
	buf_put_text(out, (*n)++ == 0 ? "{\"type\":" : ",{\"type\":");
	provider_json_text(out, type);
	provider_json_member(out, "value");
	provider_json_text(out, value);
	buf_put_char(out, '}');
}

/* text/plain, text/html, others, in this order; none of them empty, and at least one. */
static void put_content(struct buf *out, const struct mime_message *mime)
{
	unsigned n = 0;

	provider_json_member(out, "content");
	buf_put_char(out, '[');
	for (enum mime_role role = MIME_TEXT; role <= MIME_ALTERNATIVE; role++)
		for (unsigned i = 0; i < mime->n_parts; i++)
			if (mime->parts[i].role == role && mime->parts[i].body.n > 0)
				put_one_content(out, &n, mime->parts[i].type, mime->parts[i].body);
	if (n == 0)
		put_one_content(out, &n, STR("text/plain"), STR(" "));
	buf_put_char(out, ']');
}

/* Without what SendGrid refuses in a file name or content id: line ends, and by its words ; and ,. */
static void put_name(struct buf *out, struct str name)
{
	char *copy = mem_copy(name.p, name.n);

	for (size_t i = 0; i < name.n; i++)
		if (copy[i] == '\r' || copy[i] == '\n' || copy[i] == ';' || copy[i] == ',')
			copy[i] = '_';
	provider_json_text(out, str_bytes(copy, name.n));
	free(copy);
}

/* A name is required. */
static void put_file_name(struct buf *out, const struct mime_part *part, unsigned number)
{
	struct buf name = BUF_MAX(65536);

	provider_pieces_file_name(part, number, &name);
	put_name(out, buf_str(&name));
	buf_clear(&name);
}

static void put_attachments(struct buf *out, const struct mime_message *mime)
{
	unsigned n = 0;

	for (unsigned i = 0; i < mime->n_parts; i++) {
		const struct mime_part *part = &mime->parts[i];

		if (!provider_pieces_is_file(part))
			continue;
		if (n++ == 0) {
			provider_json_member(out, "attachments");
			buf_put_char(out, '[');
		} else {
			buf_put_char(out, ',');
		}
		buf_put_text(out, "{\"content\":");
		provider_json_base64(out, provider_pieces_bytes(part));
		provider_json_member(out, "type");
		provider_json_text(out, part->type);
		provider_json_member(out, "filename");
		put_file_name(out, part, n);
		provider_json_member(out, "disposition");
		provider_json_text(out, part->role == MIME_INLINE ? STR("inline") : STR("attachment"));
		if (part->role == MIME_INLINE) {
			provider_json_member(out, "content_id");
			put_name(out, part->content_id);
		}
		buf_put_char(out, '}');
	}
	if (n > 0)
		buf_put_char(out, ']');
}

/* And what else SendGrid has reserved. */
static bool is_dropped(struct str name)
{
	return provider_pieces_is_dropped(name) || str_ieq(name, STR("x-sg-id")) || str_ieq(name, STR("x-sg-eid"));
}

/* They come back with every event of the webhook: the surest way to find the message again. */
static void put_custom_args(struct buf *out, const struct ipc_message *message)
{
	char id[UUID_TEXT], tenant[UUID_TEXT];

	provider_json_member(out, "custom_args");
	buf_printf(out, "{\"smtp_proxy_id\":\"%s\",\"smtp_proxy_tenant\":\"%s\"}", uuid_format(&message->id, id),
		   uuid_format(&message->tenant, tenant));
}

/* The account's defaults might rewrite links and add pixels or footers: what came in goes out. */
static void put_tracking(struct buf *out)
{
	provider_json_member(out, "tracking_settings");
	buf_put_text(out, "{\"click_tracking\":{\"enable\":false,\"enable_text\":false},"
			  "\"open_tracking\":{\"enable\":false},\"subscription_tracking\":{\"enable\":false}}");
}

static void put_body(struct buf *out, const struct ipc_message *message, const struct provider_pieces *pieces,
		     const struct provider_recipients *recipients)
{
	const struct mime_message *mime = &pieces->mime;

	buf_put_char(out, '{');
	put_personalizations(out, recipients);
	provider_json_member(out, "from");
	put_address(out, pieces->from.email, pieces->from.name);
	put_reply_to(out, &mime->reply_to);
	provider_json_member(out, "subject");
	provider_json_text(out, pieces->subject);
	put_content(out, mime);
	put_attachments(out, mime);
	provider_pieces_put_headers(out, mime, is_dropped);
	put_custom_args(out, message);
	put_tracking(out);
	buf_put_char(out, '}');
}

static void note_losses(const struct provider_call *call, const struct mime_message *mime, struct provider_request *request)
{
	for (unsigned i = 0; i < mime->n_parts; i++)
		if (provider_pieces_is_file(&mime->parts[i]) && !str_is_ascii(mime->parts[i].name))
			provider_request_note(call, request, "attachment %.*s: SendGrid garbles names that are not ASCII",
					      STR_ARG(mime->parts[i].name));
	if (mime->reply_to.n > REPLY_TO_MAX)
		provider_request_note(call, request, "Reply-To: only the first %d addresses are shown", REPLY_TO_MAX);
}

static bool build_body(const struct provider_call *call, struct provider_request *request, struct provider_verdict *verdict)
{
	struct buf *out = &request->body;
	struct provider_recipients *recipients;
	struct provider_pieces pieces;
	bool ok = provider_pieces_take(&pieces, call, "SendGrid", request, verdict);

	if (ok) {
		/* Base64 makes it larger by a third: room for all at once saves copies of a large body. */
		buf_room(out, call->message->content.n + call->message->content.n / 16 + 4096);
		recipients = provider_recipients_new(call, &pieces.mime, request);
		put_body(out, call->message, &pieces, recipients);
		note_losses(call, &pieces.mime, request);
		free(recipients);
		ok = !out->is_full && out->n <= REQUEST_MAX;
		if (!ok)
			provider_unfit(verdict, "SendGrid", "5.3.4", "it is larger than the 30 MB that it takes");
	}
	provider_pieces_clear(&pieces);
	return ok;
}

static bool build(const struct provider_call *call, struct provider_request *request, struct provider_verdict *verdict)
{
	*request = (struct provider_request){.method = "POST", .body = BUF_MAX(PROVIDER_REQUEST_MAX)};
	if (!build_body(call, request, verdict)) {
		provider_request_clear(request);
		return false;
	}
	request->url = provider_url(call->settings, "https://api.sendgrid.com", "/v3/mail/send");
	provider_request_header(request, "Authorization: Bearer %s", call->settings->api_key);
	provider_request_header(request, "Content-Type: application/json");
	provider_request_header(request, "Accept: application/json");
	return true;
}

static bool build_check(const struct provider_call *call, struct provider_request *request, struct provider_verdict *verdict)
{
	(void)verdict;
	*request = (struct provider_request){.method = "GET"};
	request->url = provider_url(call->settings, "https://api.sendgrid.com", "/v3/scopes");
	provider_request_header(request, "Authorization: Bearer %s", call->settings->api_key);
	provider_request_header(request, "Accept: application/json");
	return true;
}

/* A key that may not send mail shows in its scopes. */
static bool classify_check(const struct provider_answer *answer, struct provider_verdict *verdict)
{
	struct json_object *body, *scopes;
	bool may_send = false;

	if (answer->status != 200)
		return false;
	body = json_read(answer->body);
	scopes = json_read_member(body, "scopes");
	for (size_t i = 0; json_object_is_type(scopes, json_type_array) && i < json_object_array_length(scopes); i++) {
		const char *scope = json_object_get_string(json_object_array_get_idx(scopes, i));

		may_send = may_send || (scope != NULL && strcmp(scope, "mail.send") == 0);
	}
	json_object_put(body);
	if (may_send)
		return false;
	provider_verdict_set(verdict, IPC_OUTCOME_PROVIDER_FAULT, answer->status, "4.7.8", "the key lacks the scope mail.send");
	return true;
}

/* ---- the answer ---- */

/* What an HTTP status means, by SendGrid's documentation ("Errors", "Responses" of Mail Send). 502 and 504 come from
 * its edge: the request went on and no answer came, so it may have been obeyed. */
static const struct provider_rule rules[] = {
	{200, 200, NULL, NULL, IPC_OUTCOME_SENT, "2.0.0", "valid, but not sent: the sandbox is on", IPC_ABOUT_NOTHING},
	{202, 202, NULL, NULL, IPC_OUTCOME_SENT, "2.0.0", "accepted", IPC_ABOUT_NOTHING},
	{400, 400, "from", NULL, IPC_OUTCOME_PERMANENT, "5.1.7", "the sender is not valid", IPC_ABOUT_NOTHING},
	{400, 400, "from.email", NULL, IPC_OUTCOME_PERMANENT, "5.1.7", "the sender is not valid", IPC_ABOUT_NOTHING},
	{400, 400, NULL, "invalid recipient", IPC_OUTCOME_PERMANENT, "5.1.3", "a recipient is not valid", IPC_ABOUT_NOTHING},
	{400, 400, NULL, NULL, IPC_OUTCOME_PERMANENT, "5.6.0", "the request is not valid", IPC_ABOUT_NOTHING},
	{401, 401, NULL, NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8", "the API key is missing or not valid", IPC_ABOUT_NOTHING},
	{403, 403, "from", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.1", "the sender is not verified", IPC_ABOUT_SENDER},
	{403, 403, "from.email", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.1", "the sender is not verified", IPC_ABOUT_SENDER},
	{403, 403, NULL, "sender identity", IPC_OUTCOME_PROVIDER_FAULT, "4.7.1", "the sender is not verified", IPC_ABOUT_SENDER},
	{403, 403, NULL, NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.1", "the key or the sender may not do this", IPC_ABOUT_NOTHING},
	{404, 404, NULL, NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.3.5", "there is no such address; is the endpoint right?", IPC_ABOUT_NOTHING},
	{405, 405, NULL, NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.3.5", "the method is not allowed; is the endpoint right?", IPC_ABOUT_NOTHING},
	{406, 406, NULL, NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.3.5", "the Accept header is missing", IPC_ABOUT_NOTHING},
	{413, 413, NULL, NULL, IPC_OUTCOME_UNFIT, "5.3.4", "the message is too large", IPC_ABOUT_NOTHING},
	{415, 415, NULL, NULL, IPC_OUTCOME_PERMANENT, "5.6.0", "the content type or encoding is not supported", IPC_ABOUT_NOTHING},
	{429, 429, NULL, NULL, IPC_OUTCOME_TRANSIENT, "4.7.0", "too many requests", IPC_ABOUT_NOTHING},
	{500, 500, NULL, NULL, IPC_OUTCOME_TRANSIENT, "4.3.0", "an error at SendGrid", IPC_ABOUT_NOTHING},
	{502, 502, NULL, NULL, IPC_OUTCOME_UNKNOWN, "4.4.0", "SendGrid's edge got no good answer", IPC_ABOUT_NOTHING},
	{503, 503, NULL, NULL, IPC_OUTCOME_TRANSIENT, "4.3.2", "SendGrid is not available", IPC_ABOUT_NOTHING},
	{504, 504, NULL, NULL, IPC_OUTCOME_UNKNOWN, "4.4.1", "SendGrid's edge got no answer", IPC_ABOUT_NOTHING},
	{201, 299, NULL, NULL, IPC_OUTCOME_UNKNOWN, "4.4.0", "an answer that is not in SendGrid's documents", IPC_ABOUT_NOTHING},
	{400, 499, NULL, NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.3.0", "an unknown error", IPC_ABOUT_NOTHING},
	{0, 999, NULL, NULL, IPC_OUTCOME_TRANSIENT, "4.3.0", "an answer that is not in SendGrid's documents", IPC_ABOUT_NOTHING},
};

/* {"errors":[{"message":"...","field":"from"}]} as "from: ...; ..."; *field is the first one's. */
static void put_errors(struct buf *out, struct json_object *body, struct str *field)
{
	struct json_object *errors = json_read_member(body, "errors");

	if (!json_object_is_type(errors, json_type_array))
		return;
	for (size_t i = 0; i < json_object_array_length(errors) && i < 5; i++) {
		struct json_object *one = json_object_array_get_idx(errors, i);
		struct str message = str_first(json_read_text(one, "message"), 256);
		struct str where = str_first(json_read_text(one, "field"), 64);

		if (message.n == 0)
			continue;
		if (out->n == 0)
			*field = where;
		else
			buf_printf(out, "; %.*s%s", STR_ARG(where), where.n > 0 ? ": " : "");
		buf_put_str(out, message);
	}
}

/* "personalizations.0.to", "personalizations.12.cc.0.email": the number is not the rules' to know. */
static bool is_recipient(struct str field)
{
	static const struct str before = STR("personalizations.");
	struct str rest = str_from(field, before.n);
	size_t digits = 0;

	while (digits < rest.n && rest.p[digits] >= '0' && rest.p[digits] <= '9')
		digits++;
	rest = str_from(rest, digits);
	return str_starts(field, before) && (str_starts(rest, STR(".to")) || str_starts(rest, STR(".cc")) || str_starts(rest, STR(".bcc")));
}

/* Seconds to wait: Retry-After, which is not documented but may come from the edge; for the rate limit
 * X-RateLimit-Reset, the second since 1970 (it stands in every answer, but only matters there). */
static uint32_t wait_asked(const struct provider_answer *answer)
{
	uint32_t asked = provider_answer_retry_after(answer);
	uint64_t reset = 0, now = (uint64_t)(answer->now / CLOCK_SECOND);

	if (asked > 0 || answer->status != 429 ||
	    !str_u64(provider_answer_header(answer, "x-ratelimit-reset"), 1, UINT32_MAX, &reset))
		return asked;
	if (reset <= now)
		return 1;
	return reset - now > RATE_WAIT_MAX ? RATE_WAIT_MAX : (uint32_t)(reset - now);
}

static void classify(const struct provider_answer *answer, struct provider_verdict *verdict)
{
	struct json_object *body = json_read(answer->body);
	struct buf errors = BUF_MAX(4096);
	struct str field = STR("");

	if (answer->status >= 300)
		put_errors(&errors, body, &field);
	provider_rules_judge(rules, sizeof(rules) / sizeof(rules[0]), answer, field, buf_str(&errors), verdict);
	if (answer->status == 400 && is_recipient(field))
		str_copy(STR("5.1.3"), verdict->status, sizeof(verdict->status));
	buf_clear(&errors);
	json_object_put(body);
	if (verdict->class == IPC_OUTCOME_SENT)
		str_copy(str_first(provider_answer_header(answer, "x-message-id"), sizeof(verdict->provider_id) - 1),
			 verdict->provider_id, sizeof(verdict->provider_id));
	if (verdict->class == IPC_OUTCOME_TRANSIENT)
		verdict->retry_after = wait_asked(answer);
	verdict->rate = provider_answer_rate(answer, "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", true);
}

const struct provider provider_sendgrid = {
	.type = "sendgrid",
	.build = build,
	.classify = classify,
	.build_check = build_check,
	.classify_check = classify_check,
};
