/* SPDX-License-Identifier: Apache-2.0
 *
 * Postmark (POST /email). It takes no MIME and has no envelope (see provider_recipients.h); To may be missing when there
 * is a Bcc, so recipients whom no header names stay blind to one another in one call. Other forms of the text
 * (text/calendar) become attachments.
 * Facts from ActiveCampaign/postmark.js, Postmark's developer documentation and django-anymail.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "deliver/provider.h"
#include "deliver/provider_json.h"
#include "deliver/provider_pieces.h"
#include "deliver/provider_recipients.h"
#include "deliver/provider_rules.h"
#include "lib/base/json_read.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"

enum {
	REQUEST_MAX = 10 << 20, /* "10 MB including attachments", as they are sent */
	TEXT_MAX = 5 << 20,	/* of TextBody, and of HtmlBody */
	LIST_MAX = 1 << 20,
};

/* ---- addresses ---- */

/* "Name" <address>; the name in quotes (RFC 5322, 3.2.4), for any character may be in it. */
static void put_mailbox(struct buf *out, struct str email, struct str name)
{
	if (name.n == 0) {
		buf_put_str(out, email);
		return;
	}
	buf_put_char(out, '"');
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] == '"' || name.p[i] == '\\')
			buf_put_char(out, '\\');
		buf_put_char(out, (unsigned char)name.p[i] < ' ' ? ' ' : name.p[i]);
	}
	buf_put_text(out, "\" <");
	buf_put_str(out, email);
	buf_put_char(out, '>');
}

/* ,"To":"a, b"; nothing when there is none. */
static void put_list(struct buf *out, const char *name, const struct buf *list)
{
	if (list->n == 0)
		return;
	provider_json_member(out, name);
	provider_json_text(out, buf_str(list));
}

static void put_recipients(struct buf *out, const struct provider_recipients *r)
{
	static const struct {
		enum provider_recipients_kind kind;
		const char *name;
	} kinds[] = {{PROVIDER_TO, "To"}, {PROVIDER_CC, "Cc"}, {PROVIDER_BCC, "Bcc"}};
	bool is_alone = r->n_sorted == 1; /* there is nobody to be blind to */

	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		struct buf list = BUF_MAX(LIST_MAX);

		for (unsigned i = 0; i < r->n_sorted; i++) {
			if (r->sorted[i]->kind != kinds[k].kind)
				continue;
			if (list.n > 0)
				buf_put_text(&list, ", ");
			put_mailbox(&list, r->sorted[i]->address, r->sorted[i]->name);
		}
		put_list(out, is_alone ? "To" : kinds[k].name, &list);
		buf_clear(&list);
	}
}

static void put_reply_to(struct buf *out, const struct mime_addresses *reply_to)
{
	struct buf list = BUF_MAX(LIST_MAX);

	for (unsigned i = 0; i < reply_to->n; i++) {
		if (list.n > 0)
			buf_put_text(&list, ", ");
		put_mailbox(&list, reply_to->list[i].email, reply_to->list[i].name);
	}
	put_list(out, "ReplyTo", &list);
	buf_clear(&list);
}

/* ---- the request ---- */

static const struct mime_part *body_of(const struct mime_message *mime, enum mime_role role)
{
	for (unsigned i = 0; i < mime->n_parts; i++)
		if (mime->parts[i].role == role && mime->parts[i].body.n > 0)
			return &mime->parts[i];
	return NULL;
}

/* One of them is required. */
static void put_texts(struct buf *out, const struct mime_message *mime)
{
	const struct mime_part *text = body_of(mime, MIME_TEXT), *html = body_of(mime, MIME_HTML);

	if (text != NULL || html == NULL) {
		provider_json_member(out, "TextBody");
		provider_json_text(out, text != NULL ? text->body : STR(" "));
	}
	if (html != NULL) {
		provider_json_member(out, "HtmlBody");
		provider_json_text(out, html->body);
	}
}

static bool is_attached(const struct mime_part *part)
{
	return part->role >= MIME_ALTERNATIVE;
}

/* Postmark refuses *.bin, which a nameless file would be called. */
static void put_file_name(struct buf *out, const struct mime_part *part, unsigned number)
{
	struct buf name = BUF_MAX(65536);

	provider_pieces_file_name(part, number, &name);
	if (part->name.n == 0 && str_ends(buf_str(&name), STR(".bin"))) {
		name.n -= 3;
		buf_put_text(&name, "dat");
	}
	provider_json_text(out, buf_str(&name));
	buf_clear(&name);
}

static void put_content_id(struct buf *out, struct str content_id)
{
	struct buf id = BUF_MAX(65536);

	buf_put_text(&id, "cid:");
	buf_put_str(&id, content_id);
	provider_json_member(out, "ContentID");
	provider_json_text(out, buf_str(&id));
	buf_clear(&id);
}

static void put_attachments(struct buf *out, const struct mime_message *mime)
{
	unsigned n = 0;

	for (unsigned i = 0; i < mime->n_parts; i++) {
		const struct mime_part *part = &mime->parts[i];

		if (!is_attached(part))
			continue;
		if (n++ == 0)
			provider_json_member(out, "Attachments");
		buf_put_text(out, n == 1 ? "[{\"Name\":" : ",{\"Name\":");
		put_file_name(out, part, n);
		provider_json_member(out, "Content");
		/* It must not be empty; an empty file is told as one line end. */
		provider_json_base64(out, part->body.n > 0 ? part->body : STR("\n"));
		provider_json_member(out, "ContentType");
		provider_json_text(out, part->type);
		if (part->role == MIME_INLINE)
			put_content_id(out, part->content_id);
		buf_put_char(out, '}');
	}
	if (n > 0)
		buf_put_char(out, ']');
}

/* X-PM-...: orders to Postmark (stream, tag, tracking), not the client's to give. */
static bool is_dropped(struct str name)
{
	return provider_pieces_is_dropped(name) || str_istarts(name, STR("x-pm-"));
}

static void put_header(struct buf *out, unsigned *n, struct str name, struct str value)
{
	if (*n == 0)
		provider_json_member(out, "Headers");
	buf_put_text(out, (*n)++ == 0 ? "[{\"Name\":" : ",{\"Name\":");
	provider_json_text(out, name);
	provider_json_member(out, "Value");
	provider_json_text(out, value);
	buf_put_char(out, '}');
}

static void put_headers(struct buf *out, const struct mime_message *mime)
{
	struct provider_pieces_field field = {0};
	unsigned n = 0;

	while (provider_pieces_next_field(mime, is_dropped, &field)) {
		put_header(out, &n, field.name, buf_str(&field.value));
		/* Else Postmark writes one of its own, and replies are to nothing. */
		if (str_ieq(field.name, STR("message-id")))
			put_header(out, &n, STR("X-PM-KeepID"), STR("true"));
	}
	if (n > 0)
		buf_put_char(out, ']');
}

static void put_body(const struct provider_call *call, const struct provider_pieces *pieces,
		     const struct provider_recipients *recipients, struct buf *out)
{
	const char *stream = call->settings->message_stream;
	char id[UUID_TEXT], tenant[UUID_TEXT];
	struct buf from = BUF_MAX(LIST_MAX);

	put_mailbox(&from, pieces->from.email, pieces->from.name);
	buf_put_text(out, "{\"From\":");
	provider_json_text(out, buf_str(&from));
	buf_clear(&from);
	put_recipients(out, recipients);
	put_reply_to(out, &pieces->mime.reply_to);
	provider_json_member(out, "Subject");
	provider_json_text(out, pieces->subject);
	put_texts(out, &pieces->mime);
	put_attachments(out, &pieces->mime);
	put_headers(out, &pieces->mime);
	/* It comes back with every event of the webhooks. */
	buf_printf(out, ",\"Metadata\":{\"smtp_proxy_id\":\"%s\",\"smtp_proxy_tenant\":\"%s\"}",
		   uuid_format(&call->message->id, id), uuid_format(&call->message->tenant, tenant));
	/* The server's defaults might rewrite links and add pixels: what came in goes out. */
	buf_put_text(out, ",\"TrackOpens\":false,\"TrackLinks\":\"None\",\"MessageStream\":");
	provider_json_text(out, str_of(stream[0] != '\0' ? stream : "outbound"));
	buf_put_char(out, '}');
}

/* Postmark's list ("forbidden file types"): code 411 otherwise. */
static bool is_forbidden_file(struct str name)
{
	static const char *const extensions[] = {
		".vbs", ".exe", ".bin", ".bat", ".chm", ".com", ".cpl", ".crt", ".hlp", ".hta", ".inf", ".ins", ".isp", ".jse", ".lnk",
		".mdb", ".pcd", ".pif", ".reg", ".scr", ".sct", ".shs", ".vbe", ".vba", ".wsf", ".wsh", ".wsl", ".msc", ".msi", ".msp",
		".mst",
	};

	for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++) {
		struct str extension = str_of(extensions[i]);

		if (name.n >= extension.n && str_ieq(str_from(name, name.n - extension.n), extension))
			return true;
	}
	return false;
}

static bool fits(const struct mime_message *mime, struct provider_verdict *verdict)
{
	for (unsigned i = 0; i < mime->n_parts; i++) {
		const struct mime_part *part = &mime->parts[i];

		if (is_attached(part) && is_forbidden_file(part->name))
			return provider_unfit(verdict, "Postmark", "5.6.1", "it has an attachment of a kind that it forbids: %.*s",
					      STR_ARG(part->name));
		if (!is_attached(part) && part->body.n > TEXT_MAX)
			return provider_unfit(verdict, "Postmark", "5.3.4", "its text is larger than the 5 MB that it takes");
	}
	return true;
}

static void note_losses(const struct provider_call *call, const struct mime_message *mime, struct provider_request *request)
{
	for (unsigned i = 0; i < mime->n_parts; i++)
		if (mime->parts[i].role == MIME_ALTERNATIVE)
			provider_request_note(call, request, "%.*s: it becomes an attachment", STR_ARG(mime->parts[i].type));
	if (body_of(mime, MIME_TEXT) == NULL && body_of(mime, MIME_HTML) == NULL)
		provider_request_note(call, request, "it has no text, and one is required: a blank is sent");
	for (unsigned i = 0; i < mime->n_headers; i++)
		if (str_istarts(mime->headers[i].name, STR("x-pm-")))
			provider_request_note(call, request, "%.*s: not passed on", STR_ARG(mime->headers[i].name));
}

/* Whom a refusal names is told by their addresses: each on a line. */
static void keep_recipients(const struct ipc_message *message, struct buf *kept)
{
	*kept = BUF_MAX(LIST_MAX);
	for (unsigned i = 0; i < message->n_recipients; i++) {
		buf_put_str(kept, message->recipients[i]);
		buf_put_char(kept, '\n');
	}
}

static bool build_body(const struct provider_call *call, struct provider_request *request, struct provider_verdict *verdict)
{
	struct buf *out = &request->body;
	struct provider_recipients *recipients;
	struct provider_pieces pieces;
	bool ok = provider_pieces_take(&pieces, call, "Postmark", request, verdict) && fits(&pieces.mime, verdict);

	if (ok) {
		/* Base64 makes it larger by a third: room for all at once saves copies of a large body. */
		buf_room(out, call->message->content.n + call->message->content.n / 16 + 4096);
		recipients = provider_recipients_new(call, &pieces.mime, request);
		put_body(call, &pieces, recipients, out);
		note_losses(call, &pieces.mime, request);
		keep_recipients(call->message, &request->kept);
		free(recipients);
		ok = !out->is_full && out->n <= REQUEST_MAX;
		if (!ok)
			provider_unfit(verdict, "Postmark", "5.3.4", "it is larger than the 10 MB that it takes");
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
	request->url = provider_url(call->settings, "https://api.postmarkapp.com", "/email");
	provider_request_header(request, "X-Postmark-Server-Token: %s", call->settings->api_key);
	provider_request_header(request, "Content-Type: application/json");
	provider_request_header(request, "Accept: application/json");
	return true;
}

/* ---- the answer ---- */

/* By the ErrorCode ("API error codes"); "" is an answer without one, which comes from something before the API: 502 and
 * 504 say that the request went on, so it may have been obeyed. */
static const struct provider_rule rules[] = {
	{401, 401, NULL, NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8", "the server token is missing or not valid", IPC_ABOUT_NOTHING},
	{0, 999, "10", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8", "the server token is missing or not valid", IPC_ABOUT_CREDENTIAL},
	{0, 999, "100", NULL, IPC_OUTCOME_TRANSIENT, "4.3.2", "maintenance", IPC_ABOUT_NOTHING},
	{422, 422, "300", NULL, IPC_OUTCOME_PERMANENT, "5.6.0", "the request is not valid", IPC_ABOUT_NOTHING},
	{422, 422, "400", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.1", "the sender is not known", IPC_ABOUT_SENDER},
	{422, 422, "401", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.1", "the sender is not confirmed", IPC_ABOUT_SENDER},
	{422, 422, "405", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.1", "out of credit", IPC_ABOUT_CREDENTIAL},
	{422, 422, "406", NULL, IPC_OUTCOME_PERMANENT, "5.1.1", "the recipients are inactive", IPC_ABOUT_NOTHING},
	{422, 422, "411", NULL, IPC_OUTCOME_UNFIT, "5.6.1", "an attachment of a kind that it forbids", IPC_ABOUT_NOTHING},
	{422, 422, "412", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.1", "the account is not approved yet", IPC_ABOUT_CREDENTIAL},
	{422, 422, "413", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.1", "the account may not send", IPC_ABOUT_CREDENTIAL},
	{422, 422, NULL, "message stream", IPC_OUTCOME_PROVIDER_FAULT, "4.3.5", "the message stream is not right", IPC_ABOUT_NOTHING},
	{422, 422, NULL, NULL, IPC_OUTCOME_PERMANENT, "5.6.0", "the request is not valid", IPC_ABOUT_NOTHING},
	{404, 404, NULL, NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.3.5", "there is no such address; is the endpoint right?", IPC_ABOUT_NOTHING},
	{408, 408, NULL, NULL, IPC_OUTCOME_TRANSIENT, "4.4.2", "it waited in vain for the request", IPC_ABOUT_NOTHING},
	{413, 413, NULL, NULL, IPC_OUTCOME_UNFIT, "5.3.4", "the message is too large", IPC_ABOUT_NOTHING},
	{415, 415, NULL, NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.3.5", "the content type is not supported", IPC_ABOUT_NOTHING},
	{429, 429, NULL, NULL, IPC_OUTCOME_TRANSIENT, "4.7.0", "too many requests", IPC_ABOUT_NOTHING},
	{400, 499, NULL, NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.3.0", "an unknown error", IPC_ABOUT_NOTHING},
	{502, 502, NULL, NULL, IPC_OUTCOME_UNKNOWN, "4.4.0", "a gateway got no good answer", IPC_ABOUT_NOTHING},
	{504, 504, NULL, NULL, IPC_OUTCOME_UNKNOWN, "4.4.1", "a gateway got no answer", IPC_ABOUT_NOTHING},
	{500, 599, NULL, NULL, IPC_OUTCOME_TRANSIENT, "4.3.0", "an error at Postmark", IPC_ABOUT_NOTHING},
	{200, 299, NULL, NULL, IPC_OUTCOME_UNKNOWN, "4.4.0", "an answer that is not in Postmark's documents", IPC_ABOUT_NOTHING},
	{0, 999, NULL, NULL, IPC_OUTCOME_TRANSIENT, "4.3.0", "an answer that is not in Postmark's documents", IPC_ABOUT_NOTHING},
};

/* What stands behind the words, or nothing. */
static struct str behind(struct str text, struct str words)
{
	for (size_t i = 0; i + words.n <= text.n; i++)
		if (str_istarts(str_from(text, i), words))
			return str_from(text, i + words.n);
	return STR("");
}

/* Those of the call's recipients whom the text names fared otherwise. Returns how many; *n is that of all. */
static unsigned refuse_named(const struct provider_answer *answer, struct str text, const char *status, const char *why,
			     bool is_counted_only, unsigned *n, struct provider_verdict *verdict)
{
	struct str rest = answer->kept, address;
	unsigned found = 0;

	*n = 0;
	while (rest.n > 0 && str_next(&rest, '\n', &address)) {
		if (provider_recipients_is_named(text, address)) {
			found++;
			if (!is_counted_only)
				provider_verdict_refuse(verdict, *n, IPC_OUTCOME_PERMANENT, answer->status, status, "%s", why);
		}
		(*n)++;
	}
	return found;
}

/* One recipient is to blame, and Postmark refuses the call for all: the others go again without. */
static void spare_others(const struct provider_answer *answer, struct str text, const char *status, const char *why,
			 struct provider_verdict *verdict)
{
	unsigned n, found = refuse_named(answer, text, status, why, true, &n, verdict);

	if (found == 0)
		return;
	if (found == n) {
		must(str_copy(str_of(status), verdict->status, sizeof(verdict->status)));
		return;
	}
	provider_verdict_set(verdict, IPC_OUTCOME_TRANSIENT, answer->status, "4.5.0", "it refused other recipients: %.*s",
			     STR_ARG(str_first(text, 300)));
	verdict->about = IPC_ABOUT_NOTHING;
	refuse_named(answer, text, status, why, false, &n, verdict);
}

/* ErrorCode 0 is success; some recipients may have been left out: "... will not deliver to these inactive addresses: ..." */
static void classify_success(const struct provider_answer *answer, struct json_object *body, struct str says,
			     struct provider_verdict *verdict)
{
	struct str id = json_read_text(body, "MessageID");
	unsigned n;

	provider_verdict_set(verdict, IPC_OUTCOME_SENT, answer->status, "2.0.0", "%s",
			     says.n > 0 && !str_eq(says, STR("OK")) ? "accepted, but not for all" : "accepted");
	if (str_is_printable(id))
		str_copy(id, verdict->provider_id, sizeof(verdict->provider_id));
	refuse_named(answer, behind(says, STR("inactive addresses")), "5.1.1", "Postmark holds the address for inactive (it bounced "
		     "or complained)", false, &n, verdict);
}

static void classify(const struct provider_answer *answer, struct provider_verdict *verdict)
{
	struct json_object *body = json_read(answer->body);
	struct str says = json_read_text(body, "Message");
	int64_t number = json_read_number(body, "ErrorCode", -1);
	char code[24] = "";

	if (number >= 0)
		snprintf(code, sizeof(code), "%lld", (long long)number);
	if (answer->status == 200 && number == 0) {
		classify_success(answer, body, says, verdict);
	} else {
		provider_rules_judge(rules, sizeof(rules) / sizeof(rules[0]), answer, str_of(code), says, verdict);
		if (number == 406)
			spare_others(answer, says, "5.1.1", "Postmark holds the address for inactive (it bounced or complained)", verdict);
		else if (number == 300 && behind(says, STR("'From'")).n == 0)
			spare_others(answer, says, "5.1.3", "Postmark does not take the address", verdict);
	}
	json_object_put(body);
}

static bool build_check(const struct provider_call *call, struct provider_request *request, struct provider_verdict *verdict)
{
	(void)verdict;
	*request = (struct provider_request){.method = "GET"};
	request->url = provider_url(call->settings, "https://api.postmarkapp.com", "/server");
	provider_request_header(request, "X-Postmark-Server-Token: %s", call->settings->api_key);
	provider_request_header(request, "Accept: application/json");
	return true;
}

const struct provider provider_postmark = {
	.type = "postmark",
	.build = build,
	.classify = classify,
	.build_check = build_check,
};
