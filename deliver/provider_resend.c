/* SPDX-License-Identifier: Apache-2.0
 *
 * Resend (POST /emails). It takes no MIME, so the message is taken apart and told as JSON. Its API has no envelope of
 * its own (see provider_recipients.h); when no header names any recipient, each gets a message of its own in one call
 * (POST /emails/batch), for one `to` is required and the others would see it. A batch takes no attachments: then it is
 * refused as having too many recipients (5.5.3), upon which qmgr gives each a call of its own.
 *
 * It is the one provider with an idempotency key: a request that is repeated within 24 hours is obeyed once. The key
 * is made of all that is the same in every attempt: message, part, and the recipients, who may be fewer later.
 * Facts from resend/resend-openapi, resend.com/docs (errors, batch sending, idempotency keys), npm resend; its troubles
 * with display names and with attachments' types from django-anymail.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "deliver/mime_words.h"
#include "deliver/provider.h"
#include "deliver/provider_json.h"
#include "deliver/provider_pieces.h"
#include "deliver/provider_recipients.h"
#include "deliver/provider_rules.h"
#include "lib/aws/sigv4.h"
#include "lib/base/json_read.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"

enum {
	REQUEST_MAX = 40 << 20, /* "40 MB per email, after Base64 encoding of the attachments" */
	KEY_HASH = 32,		/* digits of it in the idempotency key */
	KEPT_MAX = 16384,
};

/* ---- addresses ---- */

static bool is_special(char c)
{
	return strchr("()<>[]:;@\\,.\"", c) != NULL;
}

/* A name that would have to stand in quotes, which Resend does not understand. */
static bool needs_quotes(struct str name)
{
	for (size_t i = 0; i < name.n; i++)
		if (is_special(name.p[i]))
			return true;
	return false;
}

/* "Name <address>" as a JSON string. */
static void put_address(struct buf *out, struct str email, struct str name)
{
	struct buf text = BUF_MAX(1 << 20);

	if (needs_quotes(name))
		mime_words_put(&text, name, " ");
	else
		buf_put_str(&text, name);
	if (name.n > 0)
		buf_put_text(&text, " <");
	buf_put_str(&text, email);
	if (name.n > 0)
		buf_put_char(&text, '>');
	provider_json_text(out, buf_str(&text));
	buf_clear(&text);
}

/* In `from` no encoded word is taken either ("security_error"): the name goes without those characters. */
static void put_from(struct buf *out, const struct provider_call *call, const struct mime_address *from,
		     struct provider_request *request)
{
	char *name = mem_copy(from->name.p, from->name.n);
	size_t n = 0;

	for (size_t i = 0; i < from->name.n; i++)
		if (!is_special(from->name.p[i]))
			name[n++] = from->name.p[i];
	if (n < from->name.n)
		provider_request_note(call, request, "From: the name is sent as %.*s, without characters that Resend refuses",
				      (int)n, name);
	put_address(out, from->email, str_trim(str_bytes(name, n)));
	free(name);
}

static void put_kind(struct buf *out, const struct provider_recipients *r, enum provider_recipients_kind kind, const char *name)
{
	unsigned n = 0;

	for (unsigned i = 0; i < r->n_sorted; i++) {
		if (r->sorted[i]->kind != kind)
			continue;
		if (n++ == 0) {
			provider_json_member(out, name);
			buf_put_char(out, '[');
		} else {
			buf_put_char(out, ',');
		}
		put_address(out, r->sorted[i]->address, r->sorted[i]->name);
	}
	if (n > 0)
		buf_put_char(out, ']');
}

static void put_reply_to(struct buf *out, const struct mime_addresses *reply_to)
{
	for (unsigned i = 0; i < reply_to->n; i++) {
		if (i == 0)
			provider_json_member(out, "reply_to");
		buf_put_char(out, i == 0 ? '[' : ',');
		put_address(out, reply_to->list[i].email, reply_to->list[i].name);
	}
	if (reply_to->n > 0)
		buf_put_char(out, ']');
}

/* ---- texts and attachments ---- */

static struct str body_of(const struct mime_message *mime, enum mime_role role)
{
	for (unsigned i = 0; i < mime->n_parts; i++)
		if (mime->parts[i].role == role)
			return mime->parts[i].body;
	return STR("");
}

/* Without a text Resend makes one of the HTML; an empty one says that none is wanted. */
static void put_texts(struct buf *out, const struct mime_message *mime)
{
	struct str text = body_of(mime, MIME_TEXT), html = body_of(mime, MIME_HTML);

	if (html.n > 0) {
		provider_json_member(out, "html");
		provider_json_text(out, html);
	}
	provider_json_member(out, "text");
	provider_json_text(out, html.n == 0 && text.n == 0 ? STR(" ") : text);
}

/* A message whose attachment has an extension of another type than the one it says is dropped without a word. The
 * extension counts, for it is what the reader sees; where we do not know it, Resend takes its own from it. */
static void put_type(struct buf *out, const struct provider_call *call, const struct mime_part *part, struct str name,
		     struct provider_request *request)
{
	const char *type = provider_pieces_type(name);

	if (str_find(name, '.') == name.n) {
		provider_json_member(out, "content_type");
		provider_json_text(out, part->type);
		return;
	}
	if (type == NULL || !str_eq(part->type, str_of(type)))
		provider_request_note(call, request, "attachment %.*s: its type %.*s becomes %s, for Resend drops messages where "
				      "type and extension differ", STR_ARG(name), STR_ARG(part->type),
				      type != NULL ? type : "what Resend takes from its name");
	if (type == NULL)
		return;
	provider_json_member(out, "content_type");
	provider_json_text(out, str_of(type));
}

/* Resend knows no other forms of the text than html: a calendar's event is attached. */
static bool is_file(const struct mime_part *part)
{
	return provider_pieces_is_file(part) || part->role == MIME_ALTERNATIVE;
}

static void put_attachments(struct buf *out, const struct provider_call *call, const struct mime_message *mime,
			    struct provider_request *request)
{
	unsigned n = 0;

	for (unsigned i = 0; i < mime->n_parts; i++) {
		const struct mime_part *part = &mime->parts[i];
		struct buf name = BUF_MAX(65536);

		if (!is_file(part))
			continue;
		if (n++ == 0)
			provider_json_member(out, "attachments");
		buf_put_text(out, n == 1 ? "[{\"content\":" : ",{\"content\":");
		provider_json_base64(out, provider_pieces_bytes(part));
		provider_pieces_file_name(part, n, &name);
		provider_json_member(out, "filename");
		provider_json_text(out, buf_str(&name));
		put_type(out, call, part, buf_str(&name), request);
		if (part->role == MIME_INLINE) {
			provider_json_member(out, "content_id");
			provider_json_text(out, part->content_id);
		}
		if (part->role == MIME_ALTERNATIVE)
			provider_request_note(call, request, "%.*s is attached, not a form of the text", STR_ARG(part->type));
		buf_put_char(out, '}');
		buf_clear(&name);
	}
	if (n > 0)
		buf_put_char(out, ']');
}

/* ---- the request ---- */

/* All of a message but its recipients, from the comma on. */
static void put_rest(struct buf *out, const struct provider_call *call, const struct provider_pieces *pieces,
		     struct provider_request *request)
{
	char id[UUID_TEXT], tenant[UUID_TEXT];

	put_reply_to(out, &pieces->mime.reply_to);
	provider_json_member(out, "subject");
	provider_json_text(out, pieces->subject);
	put_texts(out, &pieces->mime);
	provider_pieces_put_headers(out, &pieces->mime, provider_pieces_is_dropped);
	put_attachments(out, call, &pieces->mime, request);
	/* They come back with the events. */
	provider_json_member(out, "tags");
	buf_printf(out, "[{\"name\":\"smtp_proxy_id\",\"value\":\"%s\"},{\"name\":\"smtp_proxy_tenant\",\"value\":\"%s\"}]",
		   uuid_format(&call->message->id, id), uuid_format(&call->message->tenant, tenant));
}

static bool has_files(const struct mime_message *mime)
{
	for (unsigned i = 0; i < mime->n_parts; i++)
		if (is_file(&mime->parts[i]))
			return true;
	return false;
}

/* A message of its own for each. What is kept is which recipient each is of. */
static void put_batch(struct provider_request *request, const struct provider_recipients *r, struct str from, struct str rest)
{
	struct buf *out = &request->body;

	request->kept = BUF_MAX(KEPT_MAX);
	for (unsigned i = 0; i < r->n_sorted; i++) {
		buf_put_text(out, i == 0 ? "[{\"from\":" : ",{\"from\":");
		buf_put_str(out, from);
		buf_put_text(out, ",\"to\":[");
		provider_json_text(out, r->sorted[i]->address);
		buf_put_char(out, ']');
		buf_put_str(out, rest);
		buf_put_char(out, '}');
		buf_printf(&request->kept, "%u ", r->sorted[i]->index);
	}
	buf_put_char(out, ']');
}

static void put_single(struct buf *out, const struct provider_recipients *r, struct str from, struct str rest)
{
	buf_put_text(out, "{\"from\":");
	buf_put_str(out, from);
	if (r->is_blind) {
		provider_json_member(out, "to");
		buf_put_char(out, '[');
		provider_json_text(out, r->sorted[0]->address);
		buf_put_char(out, ']');
	} else {
		put_kind(out, r, PROVIDER_TO, "to");
		put_kind(out, r, PROVIDER_CC, "cc");
		put_kind(out, r, PROVIDER_BCC, "bcc");
	}
	buf_put_str(out, rest);
	buf_put_char(out, '}');
}

static bool put_body(const struct provider_call *call, const struct provider_pieces *pieces, const struct provider_recipients *r,
		     struct provider_request *request, struct provider_verdict *verdict)
{
	struct buf from = BUF_MAX(1 << 20), rest = BUF_MAX(PROVIDER_REQUEST_MAX);
	bool is_batch = r->is_blind && r->n_sorted > 1, ok = true;

	if (is_batch && has_files(&pieces->mime))
		return provider_unfit(verdict, "Resend", "5.5.3",
				      "none of its %u recipients stands in To or Cc, so that each needs a message of its own, and "
				      "Resend takes no attachments with several", r->n_sorted);
	buf_room(&rest, call->message->content.n + call->message->content.n / 16 + 4096);
	put_from(&from, call, &pieces->from, request);
	put_rest(&rest, call, pieces, request);
	if (rest.is_full || rest.n > REQUEST_MAX)
		ok = provider_unfit(verdict, "Resend", "5.3.4", "it is larger than the 40 MB that it takes");
	else if (is_batch)
		put_batch(request, r, buf_str(&from), buf_str(&rest));
	else
		put_single(&request->body, r, buf_str(&from), buf_str(&rest));
	if (ok && request->body.is_full)
		ok = provider_unfit(verdict, "Resend", "5.5.3", "none of its %u recipients stands in To or Cc, and with a message "
				    "for each the request is too large", r->n_sorted);
	buf_clear(&from);
	buf_clear(&rest);
	return ok;
}

static void put_key(const struct provider_call *call, struct provider_request *request)
{
	struct buf recipients = BUF_MAX(IPC_RECIPIENTS_MAX * 512);
	char hash[SIGV4_HASH], id[UUID_TEXT];

	for (unsigned i = 0; i < call->message->n_recipients; i++) {
		buf_put_str(&recipients, call->message->recipients[i]);
		buf_put_char(&recipients, '\n');
	}
	sigv4_hash(buf_str(&recipients), hash);
	buf_clear(&recipients);
	provider_request_header(request, "Idempotency-Key: smtp-proxy/%s/%u/%.*s", uuid_format(&call->message->id, id),
				call->part, KEY_HASH, hash);
}

static bool build(const struct provider_call *call, struct provider_request *request, struct provider_verdict *verdict)
{
	struct provider_recipients *recipients = NULL;
	struct provider_pieces pieces;
	bool ok;

	*request = (struct provider_request){.method = "POST", .body = BUF_MAX(PROVIDER_REQUEST_MAX)};
	ok = provider_pieces_take(&pieces, call, "Resend", request, verdict);
	if (ok) {
		recipients = provider_recipients_new(call, &pieces.mime, request);
		ok = put_body(call, &pieces, recipients, request, verdict);
	}
	free(recipients);
	provider_pieces_clear(&pieces);
	if (!ok) {
		provider_request_clear(request);
		return false;
	}
	request->url = provider_url(call->settings, "https://api.resend.com", request->kept.n > 0 ? "/emails/batch" : "/emails");
	provider_request_header(request, "Authorization: Bearer %s", call->settings->api_key);
	provider_request_header(request, "Content-Type: application/json");
	provider_request_header(request, "Accept: application/json");
	/* Its edge refuses requests without one. */
	provider_request_header(request, "User-Agent: smtp-proxy");
	/* A bad address of a batch is refused alone. */
	if (request->kept.n > 0)
		provider_request_header(request, "x-batch-validation: permissive");
	put_key(call, request);
	return true;
}

/* ---- the answer ---- */

/* Resend's documentation ("Errors"). With the idempotency key nothing of it would be obeyed twice; but what may have been
 * taken (502, 504) stays unknown, so that it is not given to another provider. */
static const struct provider_rule rules[] = {
	{200, 200, NULL, NULL, IPC_OUTCOME_SENT, "2.0.0", "accepted", IPC_ABOUT_NOTHING},
	{201, 299, NULL, NULL, IPC_OUTCOME_UNKNOWN, "4.4.0", "an answer that is not in Resend's documents", IPC_ABOUT_NOTHING},
	{400, 400, NULL, NULL, IPC_OUTCOME_PERMANENT, "5.6.0", "the request is not valid", IPC_ABOUT_NOTHING},
	{401, 401, NULL, NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8", "the API key is missing or may not do this", IPC_ABOUT_NOTHING},
	{403, 403, "validation_error", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.1", "the sender's domain is not verified", IPC_ABOUT_SENDER},
	{403, 403, "invalid_from_address", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.1", "the sender is not valid", IPC_ABOUT_SENDER},
	{403, 403, NULL, "not verified", IPC_OUTCOME_PROVIDER_FAULT, "4.7.1", "the sender's domain is not verified", IPC_ABOUT_SENDER},
	{403, 403, "invalid_api_key", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8", "the API key is not valid", IPC_ABOUT_CREDENTIAL},
	{403, 403, "restricted_api_key", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8", "the API key may not do this", IPC_ABOUT_CREDENTIAL},
	{403, 403, NULL, NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.1", "it may not be done", IPC_ABOUT_PROVIDER},
	{404, 405, NULL, NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.3.5", "there is no such address; is the endpoint right?", IPC_ABOUT_NOTHING},
	{408, 408, NULL, NULL, IPC_OUTCOME_TRANSIENT, "4.4.2", "it waited in vain for the request", IPC_ABOUT_NOTHING},
	/* An earlier attempt was another request (the settings, or this program, have changed since), and it was taken. */
	{409, 409, "invalid_idempotent_request", NULL, IPC_OUTCOME_PERMANENT, "5.3.0",
	 "an earlier attempt, which was taken, was another request", IPC_ABOUT_NOTHING},
	{409, 409, NULL, NULL, IPC_OUTCOME_TRANSIENT, "4.3.0", "an earlier attempt is still being worked on", IPC_ABOUT_NOTHING},
	{413, 413, NULL, NULL, IPC_OUTCOME_UNFIT, "5.3.4", "the message is too large", IPC_ABOUT_NOTHING},
	{422, 422, "invalid_from_address", NULL, IPC_OUTCOME_PERMANENT, "5.1.7", "the sender is not valid", IPC_ABOUT_NOTHING},
	{422, 422, NULL, NULL, IPC_OUTCOME_PERMANENT, "5.6.0", "the request is not valid", IPC_ABOUT_NOTHING},
	{429, 429, "daily_quota_exceeded", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.0", "the day's quota is used up", IPC_ABOUT_THROTTLE},
	{429, 429, "monthly_quota_exceeded", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.0", "the month's quota is used up", IPC_ABOUT_THROTTLE},
	{429, 429, NULL, NULL, IPC_OUTCOME_TRANSIENT, "4.7.0", "too many requests", IPC_ABOUT_NOTHING},
	{451, 451, NULL, NULL, IPC_OUTCOME_PERMANENT, "5.7.1", "refused for reasons of security", IPC_ABOUT_NOTHING},
	{502, 502, NULL, NULL, IPC_OUTCOME_UNKNOWN, "4.4.0", "Resend's edge got no good answer", IPC_ABOUT_NOTHING},
	{504, 504, NULL, NULL, IPC_OUTCOME_UNKNOWN, "4.4.1", "Resend's edge got no answer", IPC_ABOUT_NOTHING},
	{500, 599, NULL, NULL, IPC_OUTCOME_TRANSIENT, "4.3.0", "an error at Resend", IPC_ABOUT_NOTHING},
	{0, 999, NULL, NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.3.5", "not an answer of Resend's; is the endpoint right?", IPC_ABOUT_NOTHING},
};

/* A 200 without an id is no answer of Resend's that is known: the message may have been taken. */
static void take_id(struct json_object *taken, struct provider_verdict *verdict)
{
	struct str id = json_read_text(taken, "id");

	if (id.n == 0 || !str_is_printable(id) || !str_copy(id, verdict->provider_id, sizeof(verdict->provider_id)))
		provider_verdict_set(verdict, IPC_OUTCOME_UNKNOWN, verdict->code, "4.4.0", "the answer has no message id");
}

/* Which recipient the message of this number in the batch is of; false when there is none. */
static bool recipient_of(struct str kept, uint64_t number, uint64_t *recipient)
{
	struct str word;

	for (uint64_t i = 0; str_next(&kept, ' ', &word); i++)
		if (i == number)
			return str_u64(word, 0, IPC_RECIPIENTS_MAX - 1, recipient);
	return false;
}

/* {"data":[{"id":"..."}],"errors":[{"index":1,"message":"..."}]}: the refused ones by their places. */
static void take_batch(struct json_object *body, struct str kept, struct provider_verdict *verdict)
{
	struct json_object *data = json_read_member(body, "data"), *errors = json_read_member(body, "errors");
	size_t n_data = json_object_is_type(data, json_type_array) ? json_object_array_length(data) : 0;
	size_t n_errors = json_object_is_type(errors, json_type_array) ? json_object_array_length(errors) : 0;
	uint64_t recipient, before = 0;

	if (n_data == 0 && n_errors > 0) {
		struct str says = json_read_text(json_object_array_get_idx(errors, 0), "message");

		provider_verdict_set(verdict, IPC_OUTCOME_PERMANENT, verdict->code, "5.1.3", "no recipient was taken: %.*s",
				     STR_ARG(str_first(says, 256)));
		return;
	}
	take_id(n_data > 0 ? json_object_array_get_idx(data, 0) : NULL, verdict);
	for (size_t i = 0; i < n_errors && verdict->class == IPC_OUTCOME_SENT; i++) {
		struct json_object *one = json_object_array_get_idx(errors, i);
		int64_t index = json_read_number(one, "index", -1);

		if (index < 0 || !recipient_of(kept, (uint64_t)index, &recipient) || (before > 0 && recipient < before)) {
			provider_verdict_clear(verdict);
			provider_verdict_set(verdict, IPC_OUTCOME_UNKNOWN, verdict->code, "4.4.0",
					     "the answer does not say whom it is about");
			return;
		}
		before = recipient + 1;
		provider_verdict_refuse(verdict, (unsigned)recipient, IPC_OUTCOME_PERMANENT, verdict->code, "5.1.3", "%.*s",
					STR_ARG(str_first(json_read_text(one, "message"), 128)));
	}
}

static void classify(const struct provider_answer *answer, struct provider_verdict *verdict)
{
	struct json_object *body = json_read(answer->body);

	provider_rules_judge(rules, sizeof(rules) / sizeof(rules[0]), answer, json_read_text(body, "name"),
			     json_read_text(body, "message"), verdict);
	if (verdict->class == IPC_OUTCOME_SENT) {
		if (answer->kept.n > 0)
			take_batch(body, answer->kept, verdict);
		else
			take_id(body, verdict);
	}
	json_object_put(body);
	verdict->rate = provider_answer_rate(answer, "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", false);
}

static bool build_check(const struct provider_call *call, struct provider_request *request, struct provider_verdict *verdict)
{
	(void)verdict;
	*request = (struct provider_request){.method = "GET"};
	request->url = provider_url(call->settings, "https://api.resend.com", "/domains");
	provider_request_header(request, "Authorization: Bearer %s", call->settings->api_key);
	provider_request_header(request, "User-Agent: smtp-proxy");
	return true;
}

/* A key that may only send is good. */
static bool classify_check(const struct provider_answer *answer, struct provider_verdict *verdict)
{
	struct json_object *body = json_read(answer->body);
	bool is_sending_only = answer->status == 401 && str_eq(json_read_text(body, "name"), STR("restricted_api_key"));

	json_object_put(body);
	if (is_sending_only)
		provider_verdict_set(verdict, IPC_OUTCOME_SENT, answer->status, "2.0.0", "it answers, and takes the key for sending");
	return is_sending_only;
}

const struct provider provider_resend = {
	.type = "resend",
	.build = build,
	.classify = classify,
	.build_check = build_check,
	.classify_check = classify_check,
};
