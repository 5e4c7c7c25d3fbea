/* SPDX-License-Identifier: Apache-2.0
 *
 * SendGrid's v3 Mail Send (POST /v3/mail/send). It takes no MIME, so the message is taken apart and told as
 * JSON. Two things follow from its API having no envelope of its own:
 * - an address of To or Cc that is not among the envelope's recipients is left out, for naming it would
 *   send to it
 * - a recipient that stands in no header goes as bcc; when all are so, each gets a personalization (a copy)
 *   of its own, for one `to` is required and the others would see it
 * Facts from SendGrid's OpenAPI description (twilio/sendgrid-oai, tsg_mail_v3) and its documentation of errors.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/mime_message.h"
#include "deliver/provider.h"
#include "deliver/provider_json.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/settings/settings_provider.h"

enum {
	RECIPIENTS_MAX = 1000, /* to, cc and bcc of a request */
	REPLY_TO_MAX = 1000,
	REQUEST_MAX = 30 << 20,	     /* "the total message size should not exceed 30 MB" */
	RATE_WAIT_MAX = 3600,	     /* seconds: X-RateLimit-Reset never says more in earnest */
	ANSWER_DEPTH = 8,
};

/* ---- who receives it ---- */

enum kind { BCC, TO, CC };

struct recipient {
	struct str address; /* as in the envelope */
	struct str name;
	enum kind kind;
	bool is_repeated;   /* in the envelope: SendGrid wants each address once */
	unsigned order;	    /* in which the headers name them */
};

struct recipients {
	struct recipient list[RECIPIENTS_MAX];
	unsigned n;
	struct recipient *sorted[RECIPIENTS_MAX]; /* by address, without repeated ones */
	unsigned n_sorted;
};

/* ASCII letters without case, as SendGrid compares. */
static int compare_addresses(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int order = n > 0 ? strncasecmp(a.p, b.p, n) : 0;

	if (order != 0)
		return order;
	return a.n < b.n ? -1 : a.n > b.n;
}

static int compare_recipients(const void *a, const void *b)
{
	const struct recipient *const *x = a, *const *y = b;
	int order = compare_addresses((*x)->address, (*y)->address);

	/* The first of equal ones stays in front. */
	return order != 0 ? order : *x < *y ? -1 : 1;
}

static struct recipient *find_recipient(struct recipients *r, struct str address)
{
	unsigned low = 0, high = r->n_sorted;

	while (low < high) {
		unsigned middle = (low + high) / 2;
		int order = compare_addresses(r->sorted[middle]->address, address);

		if (order == 0)
			return r->sorted[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static void sort_recipients(struct recipients *r)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < r->n; i++)
		r->sorted[i] = &r->list[i];
	qsort(r->sorted, r->n, sizeof(r->sorted[0]), compare_recipients);
	for (unsigned i = 0; i < r->n; i++) {
		if (kept > 0 && compare_addresses(r->sorted[kept - 1]->address, r->sorted[i]->address) == 0)
			r->sorted[i]->is_repeated = true;
		else
			r->sorted[kept++] = r->sorted[i];
	}
	r->n_sorted = kept;
}

static unsigned name_recipients(struct recipients *r, const struct mime_addresses *header, enum kind kind,
				unsigned order)
{
	for (unsigned i = 0; i < header->n; i++) {
		struct recipient *found = find_recipient(r, header->list[i].email);

		if (found == NULL || found->kind != BCC)
			continue;
		found->kind = kind;
		found->name = header->list[i].name;
		found->order = order++;
	}
	return order;
}

static int compare_order(const void *a, const void *b)
{
	const struct recipient *const *x = a, *const *y = b;

	return (*x)->order < (*y)->order ? -1 : (*x)->order > (*y)->order;
}

/* Who is to, cc and bcc; `sorted` is then in the order of the headers, the others behind. */
static void sort_out(struct recipients *r, const struct ipc_message *message, const struct mime_message *mime)
{
	unsigned order;

	r->n = message->n_recipients;
	for (unsigned i = 0; i < r->n; i++)
		r->list[i] = (struct recipient){.address = message->recipients[i]};
	sort_recipients(r);
	order = name_recipients(r, &mime->to, TO, 0);
	order = name_recipients(r, &mime->cc, CC, order);
	for (unsigned i = 0; i < r->n; i++)
		if (r->list[i].kind == BCC)
			r->list[i].order = order + i;
	qsort(r->sorted, r->n_sorted, sizeof(r->sorted[0]), compare_order);
	/* Only Cc names a recipient: one `to` is required, so the first of them is it. */
	if (r->sorted[0]->kind == CC)
		r->sorted[0]->kind = TO;
}

/* ---- the request ---- */

static void put_member(struct buf *out, const char *name)
{
	buf_put_char(out, ',');
	provider_json_text(out, str_of(name));
	buf_put_char(out, ':');
}

static void put_address(struct buf *out, struct str email, struct str name)
{
	buf_put_text(out, "{\"email\":");
	provider_json_text(out, email);
	if (name.n > 0) {
		put_member(out, "name");
		provider_json_text(out, name);
	}
	buf_put_char(out, '}');
}

/* "to":[...], without it when there is none of the kind. */
static void put_kind(struct buf *out, const struct recipients *r, enum kind kind, const char *name, bool *is_first)
{
	unsigned n = 0;

	for (unsigned i = 0; i < r->n_sorted; i++) {
		const struct recipient *one = r->sorted[i];

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

static void put_personalizations(struct buf *out, const struct recipients *r)
{
	bool is_first = true;

	buf_put_text(out, "\"personalizations\":[");
	if (r->sorted[0]->kind != BCC) {
		buf_put_char(out, '{');
		put_kind(out, r, TO, "to", &is_first);
		put_kind(out, r, CC, "cc", &is_first);
		put_kind(out, r, BCC, "bcc", &is_first);
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
		put_member(out, "reply_to");
		put_address(out, reply_to->list[0].email, reply_to->list[0].name);
		return;
	}
	put_member(out, "reply_to_list");
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
	put_member(out, "value");
	provider_json_text(out, value);
	buf_put_char(out, '}');
}

/* text/plain, text/html, others, in this order; none of them empty, and at least one. */
static void put_content(struct buf *out, const struct mime_message *mime)
{
	unsigned n = 0;

	put_member(out, "content");
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

/* A name is required: made from the type when the message gives none. */
static void put_file_name(struct buf *out, const struct mime_part *part, unsigned number)
{
	static const struct {
		const char *type, *extension;
	} known[] = {
		{"text/plain", "txt"}, {"text/html", "html"}, {"text/calendar", "ics"}, {"text/csv", "csv"},
		{"image/jpeg", "jpg"}, {"image/png", "png"}, {"image/gif", "gif"}, {"image/svg+xml", "svg"},
		{"application/pdf", "pdf"}, {"application/zip", "zip"}, {"message/rfc822", "eml"},
		{"application/pgp-signature", "asc"}, {"application/pkcs7-signature", "p7s"},
		{"application/json", "json"}, {"application/xml", "xml"},
	};
	const char *extension = "bin";
	char name[64];

	if (part->name.n > 0) {
		put_name(out, part->name);
		return;
	}
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (str_eq(part->type, str_of(known[i].type)))
			extension = known[i].extension;
	snprintf(name, sizeof(name), "attachment-%u.%s", number, extension);
	provider_json_text(out, str_of(name));
}

static void put_attachments(struct buf *out, const struct mime_message *mime)
{
	unsigned n = 0;

	for (unsigned i = 0; i < mime->n_parts; i++) {
		const struct mime_part *part = &mime->parts[i];

		if (part->role != MIME_INLINE && part->role != MIME_ATTACHMENT)
			continue;
		if (n++ == 0) {
			put_member(out, "attachments");
			buf_put_char(out, '[');
		} else {
			buf_put_char(out, ',');
		}
		buf_put_text(out, "{\"content\":");
		/* `content` must not be empty; an empty file is told as one line end. */
		provider_json_base64(out, part->body.n > 0 ? part->body : STR("\n"));
		put_member(out, "type");
		provider_json_text(out, part->type);
		put_member(out, "filename");
		put_file_name(out, part, n);
		put_member(out, "disposition");
		provider_json_text(out, part->role == MIME_INLINE ? STR("inline") : STR("attachment"));
		if (part->role == MIME_INLINE) {
			put_member(out, "content_id");
			put_name(out, part->content_id);
		}
		buf_put_char(out, '}');
	}
	if (n > 0)
		buf_put_char(out, ']');
}

/* Fields that SendGrid refuses (reserved), writes itself, or that mean nothing any more behind it.
 * X-SMTPAPI would be orders to SendGrid, among them other recipients than the envelope's. */
static bool is_dropped(struct str name)
{
	static const char *const names[] = {
		"x-sg-id", "x-sg-eid", "received", "dkim-signature", "to", "from", "subject", "reply-to", "cc", "bcc",
		"mime-version", "date", "return-path", "authentication-results", "received-spf",
		"delivered-to", "x-original-to", "x-smtpapi", "x-envelope-from", "x-envelope-to", "domainkey-signature",
	};
	static const char *const prefixes[] = {"content-", "resent-", "arc-"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (str_ieq(name, str_of(names[i])))
			return true;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (str_istarts(name, str_of(prefixes[i])))
			return !str_ieq(name, STR("content-language"));
	return false;
}

/* Fields of which a message has one (RFC 5322, 3.6): of repeated ones the first counts. */
static bool is_single(struct str name)
{
	static const char *const names[] = {"message-id", "in-reply-to", "sender", "references", "list-unsubscribe-post"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (str_ieq(name, str_of(names[i])))
			return true;
	return false;
}

/* The value; those of further fields of the name follow, with commas between. */
static void put_values(struct buf *out, const struct mime_message *mime, unsigned first)
{
	const struct mime_header *header = &mime->headers[first];
	struct buf all = BUF_MAX(1 << 20);

	buf_put_str(&all, header->value);
	for (unsigned i = first + 1; i < mime->n_headers && !is_single(header->name); i++) {
		if (!str_ieq(mime->headers[i].name, header->name))
			continue;
		buf_put_text(&all, ", ");
		buf_put_str(&all, mime->headers[i].value);
	}
	provider_json_text(out, buf_str(&all));
	buf_clear(&all);
}

static void put_headers(struct buf *out, const struct mime_message *mime)
{
	unsigned n = 0;

	for (unsigned i = 0; i < mime->n_headers; i++) {
		const struct mime_header *header = &mime->headers[i];
		bool is_new = !is_dropped(header->name) && header->value.n > 0;

		for (unsigned k = 0; k < i && is_new; k++)
			is_new = !str_ieq(mime->headers[k].name, header->name);
		if (!is_new)
			continue;
		if (n++ == 0) {
			put_member(out, "headers");
			buf_put_char(out, '{');
		} else {
			buf_put_char(out, ',');
		}
		provider_json_text(out, header->name);
		buf_put_char(out, ':');
		put_values(out, mime, i);
	}
	if (n > 0)
		buf_put_char(out, '}');
}

/* They come back with every event of the webhook: the surest way to find the message again. */
static void put_custom_args(struct buf *out, const struct ipc_message *message)
{
	char id[UUID_TEXT], tenant[UUID_TEXT];

	put_member(out, "custom_args");
	buf_printf(out, "{\"smtp_proxy_id\":\"%s\",\"smtp_proxy_tenant\":\"%s\"}", uuid_format(&message->id, id),
		   uuid_format(&message->tenant, tenant));
}

/* The account's defaults might rewrite links and add pixels or footers: what came in goes out. */
static void put_tracking(struct buf *out)
{
	put_member(out, "tracking_settings");
	buf_put_text(out, "{\"click_tracking\":{\"enable\":false,\"enable_text\":false},"
			  "\"open_tracking\":{\"enable\":false},\"subscription_tracking\":{\"enable\":false}}");
}

static void put_body(struct buf *out, const struct ipc_message *message, const struct mime_message *mime,
		     const struct recipients *recipients)
{
	struct mime_address from = {STR(""), message->mail_from};

	if (mime->from.n > 0)
		from = mime->from.list[0];
	buf_put_char(out, '{');
	put_personalizations(out, recipients);
	put_member(out, "from");
	put_address(out, from.email, from.name);
	put_reply_to(out, &mime->reply_to);
	put_member(out, "subject");
	provider_json_text(out, mime->subject.n > 0 ? mime->subject : STR("(no subject)"));
	put_content(out, mime);
	put_attachments(out, mime);
	put_headers(out, mime);
	put_custom_args(out, message);
	put_tracking(out);
	buf_put_char(out, '}');
}

static bool refuse(struct provider_verdict *verdict, const char *status, const char *reason)
{
	provider_verdict_set(verdict, IPC_OUTCOME_PERMANENT, 0, status, "not sent to SendGrid: %s", reason);
	return false;
}

/* RFC 6531 addresses: SendGrid takes the local part and the domain as ASCII only (the domain's form with xn-- is). */
static bool is_all_ascii(const struct ipc_message *message, const struct mime_message *mime,
			 struct provider_verdict *verdict)
{
	for (unsigned i = 0; i < message->n_recipients; i++)
		if (!str_is_ascii(message->recipients[i]))
			return refuse(verdict, "5.6.7",
				      "a recipient's address is not ASCII, and SendGrid takes no other");
	if (!str_is_ascii(mime->from.n > 0 ? mime->from.list[0].email : message->mail_from))
		return refuse(verdict, "5.6.7", "the sender's address is not ASCII, and SendGrid takes no other");
	return true;
}

static bool build_body(struct buf *out, const struct ipc_message *message, struct provider_verdict *verdict)
{
	struct recipients *recipients;
	struct mime_message mime;
	bool ok = false;

	if (message->n_recipients > RECIPIENTS_MAX)
		return refuse(verdict, "5.5.3", "it has more than 1000 recipients");
	recipients = mem_zero(sizeof(*recipients));
	/* Base64 makes it larger by a third: room for all at once saves copies of a large body. */
	buf_room(out, message->content.n + message->content.n / 16 + 4096);
	if (!mime_message_parse(&mime, message->content)) {
		refuse(verdict, "5.6.0", "it has too many header fields, or more than 1000 MIME parts");
	} else if (mime.from.n == 0 && message->mail_from.n == 0) {
		refuse(verdict, "5.6.0", "it has no sender, neither in From nor in the envelope");
	} else if (is_all_ascii(message, &mime, verdict)) {
		sort_out(recipients, message, &mime);
		put_body(out, message, &mime, recipients);
		ok = !out->is_full && out->n <= REQUEST_MAX;
		if (!ok)
			refuse(verdict, "5.3.4", "it is larger than the 30 MB that SendGrid takes");
	}
	mime_message_clear(&mime);
	free(recipients);
	return ok;
}

static bool build(const struct provider_call *call, struct provider_request *request, struct provider_verdict *verdict)
{
	*request = (struct provider_request){.method = "POST", .body = BUF_MAX(PROVIDER_REQUEST_MAX)};
	if (!build_body(&request->body, call->message, verdict)) {
		provider_request_clear(request);
		return false;
	}
	request->url = provider_url(call->settings, "https://api.sendgrid.com", "/v3/mail/send");
	provider_request_header(request, "Authorization: Bearer %s", call->settings->api_key);
	provider_request_header(request, "Content-Type: application/json");
	provider_request_header(request, "Accept: application/json");
	return true;
}

static bool check(const struct settings_provider *settings, struct err *err)
{
	struct str key = str_of(settings->api_key);

	if (key.n == 0)
		return err_set(err, "providers.%s.api_key: sendgrid needs it", settings->key);
	if (!str_is_printable(key) || str_find(key, ' ') < key.n)
		return err_set(err, "providers.%s.api_key: it has a space or another character that no key has",
			       settings->key);
	return true;
}

/* ---- the answer ---- */

/* What an HTTP status means, by SendGrid's documentation ("Errors", "Responses" of Mail Send). What is not
 * here is transient below 400 and from 500 on, else the provider's fault: never lost. */
static const struct meaning {
	unsigned status;
	enum ipc_outcome_class class;
	const char *code, *words;
} meanings[] = {
	{200, IPC_OUTCOME_SENT, "2.0.0", "valid, but not sent: the sandbox is on"},
	{202, IPC_OUTCOME_SENT, "2.0.0", "accepted"},
	{400, IPC_OUTCOME_PERMANENT, "5.6.0", "the request is not valid"},
	{401, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8", "the API key is missing or not valid"},
	{403, IPC_OUTCOME_PROVIDER_FAULT, "4.7.1", "the key or the sender may not do this"},
	{404, IPC_OUTCOME_PROVIDER_FAULT, "4.3.5", "there is no such address; is the endpoint right?"},
	{405, IPC_OUTCOME_PROVIDER_FAULT, "4.3.5", "the method is not allowed; is the endpoint right?"},
	{406, IPC_OUTCOME_PROVIDER_FAULT, "4.3.5", "the Accept header is missing"},
	{413, IPC_OUTCOME_PERMANENT, "5.3.4", "the message is too large"},
	{415, IPC_OUTCOME_PERMANENT, "5.6.0", "the content type or encoding is not supported"},
	{429, IPC_OUTCOME_TRANSIENT, "4.7.0", "too many requests"},
	{500, IPC_OUTCOME_TRANSIENT, "4.3.0", "an error at SendGrid"},
	{502, IPC_OUTCOME_TRANSIENT, "4.3.0", "an error at SendGrid's edge"},
	{503, IPC_OUTCOME_TRANSIENT, "4.3.2", "SendGrid is not available"},
	{504, IPC_OUTCOME_TRANSIENT, "4.3.0", "SendGrid's edge got no answer"},
};

static struct meaning meaning_of(unsigned status)
{
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (meanings[i].status == status)
			return meanings[i];
	if (status >= 400 && status < 500)
		return (struct meaning){status, IPC_OUTCOME_PROVIDER_FAULT, "4.3.0", "an unknown error"};
	return (struct meaning){status, IPC_OUTCOME_TRANSIENT, "4.3.0", "an answer that is not in SendGrid's documents"};
}

/* A member of an object as text, or NULL. */
static const char *text_member(struct json_object *object, const char *name)
{
	struct json_object *member;

	if (!json_object_is_type(object, json_type_object) || !json_object_object_get_ex(object, name, &member) ||
	    !json_object_is_type(member, json_type_string))
		return NULL;
	return json_object_get_string(member);
}

/* {"errors":[{"message":"...","field":"from"}]} as "from: ...; ..." */
static void put_errors(struct buf *out, struct str body)
{
	struct json_tokener *tokener = json_tokener_new_ex(ANSWER_DEPTH);
	struct json_object *answer, *errors;

	if (tokener == NULL)
		return;
	answer = json_tokener_parse_ex(tokener, body.p, (int)body.n);
	if (json_object_is_type(answer, json_type_object) && json_object_object_get_ex(answer, "errors", &errors) &&
	    json_object_is_type(errors, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(errors) && i < 5; i++) {
			struct json_object *one = json_object_array_get_idx(errors, i);
			const char *message = text_member(one, "message"), *field = text_member(one, "field");

			if (message == NULL)
				continue;
			buf_put_text(out, out->n > 0 ? "; " : "");
			buf_printf(out, "%.64s%s%.256s", field != NULL ? field : "", field != NULL ? ": " : "", message);
		}
	}
	json_object_put(answer);
	json_tokener_free(tokener);
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
	struct meaning meaning = meaning_of(answer->status);
	struct buf errors = BUF_MAX(4096);

	if (meaning.class != IPC_OUTCOME_SENT && answer->body.n > 0)
		put_errors(&errors, answer->body);
	buf_put_char(&errors, '\0');
	provider_verdict_set(verdict, meaning.class, answer->status, meaning.code, "%s",
			     errors.n > 1 ? errors.p : meaning.words);
	buf_clear(&errors);
	if (meaning.class == IPC_OUTCOME_SENT)
		str_copy(str_first(provider_answer_header(answer, "x-message-id"), sizeof(verdict->provider_id) - 1),
			 verdict->provider_id, sizeof(verdict->provider_id));
	if (meaning.class == IPC_OUTCOME_TRANSIENT)
		verdict->retry_after = wait_asked(answer);
}

const struct provider provider_sendgrid = {
	.type = "sendgrid",
	.check = check,
	.build = build,
	.classify = classify,
};
