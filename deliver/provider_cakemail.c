/* SPDX-License-Identifier: Apache-2.0
 *
 * Cakemail's Email API (POST /v2/emails): one recipient a call, told in pieces. Two things are fetched first
 * (provider.h, struct provider_fetch): a token for user and password, unless there is an API key; and the account's
 * senders, for From is not free text but the id of one of them.
 *
 * Attachments are of nine kinds only; a message with another is unfit. What is shown within the HTML becomes an
 * attachment. Each copy shows its own recipient and nobody else.
 * Facts from Cakemail's OpenAPI description (@cakemail-org/cakemail-sdk, src/generated) and cakemail/docs-content.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "deliver/provider.h"
#include "deliver/provider_json.h"
#include "deliver/provider_pieces.h"
#include "deliver/provider_rules.h"
#include "lib/base/clock.h"
#include "lib/base/encode.h"
#include "lib/base/json_read.h"

#define ENDPOINT "https://api.cakemail.dev"

enum {
	PER_PAGE = 50,	 /* the API's own default */
	PAGES_MAX = 40,
	TRIES = 3,
	HEADER_MAX = 15000,
	LIFE_LEAST = 60, /* seconds: of a token whose life is not said, or nonsense */
	LIFE_MOST = 86400,
	SENDERS_LIFE = 3600, /* with an API key: then the senders are looked up again */
};

/* URL of the API, for the sub-account. */
static char *url_of(const struct settings_provider *settings, const char *path, const char *query)
{
	struct buf all = BUF_MAX(512);
	char *url;

	buf_printf(&all, "%s%s%s", path, query[0] != '\0' ? "?" : "", query);
	if (settings->account_id > 0)
		buf_printf(&all, "%saccount_id=%lld", query[0] != '\0' ? "&" : "?", (long long)settings->account_id);
	buf_put_char(&all, '\0');
	url = provider_url(settings, ENDPOINT, all.p);
	buf_clear(&all);
	return url;
}

/* ---- what is fetched first ----
 *
 * The token is given to build() as lines: the bearer token; then for each sender + (confirmed) or -, its id, a tab,
 * its address. */

enum step { START, TOKEN, SENDERS };

static bool is_token(struct str text)
{
	return text.n > 0 && text.n < HEADER_MAX && str_is_printable(text) && str_find(text, ' ') == text.n;
}

/* {"detail":[{"msg":"..."}]} or {"detail":"..."}: the first message. */
static struct str says_of(struct json_object *body)
{
	struct json_object *detail = json_read_member(body, "detail");

	if (json_object_is_type(detail, json_type_array) && json_object_array_length(detail) > 0)
		return json_read_text(json_object_array_get_idx(detail, 0), "msg");
	return json_read_text(body, "detail");
}

static enum provider_step fail(struct provider_fetch *fetch, const struct provider_answer *answer, const char *what, struct str why)
{
	/* A refusal that does not say why comes from a proxy or filter on the way, which does not know the credential. */
	bool is_wordless = answer->status >= 400 && why.n == 0;
	bool is_passing = answer->status == 0 || answer->status == 429 || answer->status >= 500 || is_wordless;
	bool is_refused = answer->status >= 400 && !is_passing;

	if (answer->status == 0)
		why = answer->body;
	provider_verdict_set(&fetch->verdict, is_passing ? IPC_OUTCOME_TRANSIENT : IPC_OUTCOME_PROVIDER_FAULT, answer->status,
			     is_passing ? "4.4.1" : "4.7.8", "Cakemail: %s%s%.*s", what, why.n > 0 ? ": " : "",
			     STR_ARG(str_first(why, 300)));
	fetch->verdict.about = is_refused ? IPC_ABOUT_CREDENTIAL : answer->status == 429 ? IPC_ABOUT_THROTTLE : IPC_ABOUT_PROVIDER;
	if (answer->status == 429)
		fetch->verdict.retry_after = provider_answer_retry_after(answer);
	return PROVIDER_STEP_FAILED;
}

static enum provider_step ask_token(struct provider_fetch *fetch, struct provider_request *request)
{
	struct str user = str_of(fetch->settings->user), password = str_of(fetch->settings->password);

	/* Room for all of it: what grows leaves copies behind. */
	buf_room(&request->body, 64 + 3 * (user.n + password.n));
	buf_put_text(&request->body, "grant_type=password&username=");
	encode_percent(&request->body, user, "");
	buf_put_text(&request->body, "&password=");
	encode_percent(&request->body, password, "");
	request->method = "POST";
	request->url = provider_url(fetch->settings, ENDPOINT, "/token");
	provider_request_header(request, "Content-Type: application/x-www-form-urlencoded");
	provider_request_header(request, "Accept: application/json");
	fetch->step = TOKEN;
	return PROVIDER_STEP_ASK;
}

/* `source` counts the pages. */
static enum provider_step ask_senders(struct provider_fetch *fetch, struct provider_request *request)
{
	struct str token = str_first(buf_str(&fetch->token), str_find(buf_str(&fetch->token), '\n'));
	char query[64];

	snprintf(query, sizeof(query), "page=%u&per_page=%u", fetch->source + 1, (unsigned)PER_PAGE);
	request->method = "GET";
	request->url = url_of(fetch->settings, "/brands/default/senders", query);
	provider_request_header(request, "Authorization: Bearer %.*s", STR_ARG(token));
	provider_request_header(request, "Accept: application/json");
	fetch->step = SENDERS;
	return PROVIDER_STEP_ASK;
}

static enum provider_step have_token(struct provider_fetch *fetch, struct str token, int64_t life, struct provider_request *request)
{
	buf_room(&fetch->token, HEADER_MAX);
	buf_put_str(&fetch->token, token);
	buf_put_char(&fetch->token, '\n');
	fetch->expires_at = fetch->now + life * CLOCK_SECOND;
	return ask_senders(fetch, request);
}

static enum provider_step take_token(struct provider_fetch *fetch, const struct provider_answer *answer, struct json_object *body,
				     struct provider_request *request)
{
	struct str token = json_read_text(body, "access_token");
	int64_t life = json_read_number(body, "expires_in", LIFE_LEAST);

	if (json_read_member(body, "challenge") != NULL)
		return fail(fetch, &(struct provider_answer){.status = 403}, "it gives no token for user and password",
			    STR("the user has a second factor, which a gateway cannot give"));
	if (answer->status != 200 && answer->status != 201)
		return fail(fetch, answer, "it gives no token for user and password", says_of(body));
	if (!is_token(token))
		return fail(fetch, answer, "its answer has no token in it", STR(""));
	return have_token(fetch, token, life < 1 || life > LIFE_MOST ? LIFE_LEAST : life, request);
}

static void put_sender(struct buf *out, struct json_object *sender)
{
	struct str id = json_read_text(sender, "id"), email = json_read_text(sender, "email");
	struct json_object *confirmed = json_read_member(sender, "confirmed");

	if (id.n == 0 || email.n == 0 || !str_is_printable(id) || !str_is_printable(email))
		return;
	buf_put_char(out, json_object_is_type(confirmed, json_type_boolean) && json_object_get_boolean(confirmed) ? '+' : '-');
	buf_put_str(out, id);
	buf_put_char(out, '\t');
	buf_put_str(out, email);
	buf_put_char(out, '\n');
}

static enum provider_step take_senders(struct provider_fetch *fetch, const struct provider_answer *answer, struct json_object *body,
				       struct provider_request *request)
{
	struct json_object *data = json_read_member(body, "data");
	size_t n;

	if (answer->status != 200)
		return fail(fetch, answer, "it does not tell the account's senders", says_of(body));
	if (!json_object_is_type(data, json_type_array))
		return fail(fetch, answer, "its list of senders cannot be understood", STR(""));
	n = json_object_array_length(data);
	for (size_t i = 0; i < n; i++)
		put_sender(&fetch->token, json_object_array_get_idx(data, i));
	if (n < PER_PAGE || ++fetch->source >= PAGES_MAX || fetch->token.is_full)
		return PROVIDER_STEP_DONE;
	return ask_senders(fetch, request);
}

static bool is_trouble(const struct provider_answer *answer)
{
	return answer->status == 0 || answer->status >= 500;
}

static bool wants_token(const struct settings_provider *settings)
{
	(void)settings;
	return true;
}

static enum provider_step fetch(struct provider_fetch *f, const struct provider_answer *answer, struct provider_request *request)
{
	struct str key = str_of(f->settings->api_key);
	enum provider_step next;
	struct json_object *body;

	if (f->step == START && key.n > 0)
		return have_token(f, key, SENDERS_LIFE, request);
	if (f->step == START)
		return ask_token(f, request);
	/* Nothing of it has an effect: it can be asked again. */
	if (is_trouble(answer) && ++f->tries < TRIES)
		return f->step == TOKEN ? ask_token(f, request) : ask_senders(f, request);
	body = json_read(answer->body);
	next = f->step == TOKEN ? take_token(f, answer, body, request) : take_senders(f, answer, body, request);
	json_read_end_secret(body);
	return next;
}

/* ---- the request ---- */

/* The id of a confirmed sender with this address. *is_known: there is one, confirmed or not. */
static struct str sender_of(struct str token, struct str email, bool *is_known)
{
	struct str line, found = STR("");

	*is_known = false;
	str_next(&token, '\n', &line);
	while (str_next(&token, '\n', &line)) {
		size_t tab = str_find(line, '\t');

		if (tab == line.n || !str_ieq(str_from(line, tab + 1), email))
			continue;
		*is_known = true;
		if (line.p[0] == '+' && found.n == 0)
			found = str_from(str_first(line, tab), 1);
	}
	return found;
}

/* The API's own word for a kind of attachment, or NULL: it takes none of that kind. */
static const char *kind_of(const struct mime_part *part)
{
	static const struct {
		const char *type, *kind;
	} kinds[] = {
		{"text/csv", "csv"}, {"application/csv", "csv"}, {"application/msword", "doc"},
		{"application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"},
		{"text/calendar", "calendar"}, {"application/ics", "calendar"}, {"image/jpeg", "jpeg"}, {"image/jpg", "jpeg"},
		{"application/pdf", "pdf"}, {"image/png", "png"}, {"application/vnd.ms-excel", "xls"},
		{"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"},
	};
	/* Of unknown kind: its name tells. */
	const char *by_name = str_eq(part->type, STR("application/octet-stream")) ? provider_pieces_type(part->name) : NULL;
	struct str type = by_name != NULL ? str_of(by_name) : part->type;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (str_eq(type, str_of(kinds[i].type)))
			return kinds[i].kind;
	return NULL;
}

static bool is_attached(const struct mime_part *part)
{
	return part->role >= MIME_ALTERNATIVE;
}

static void put_attachments(struct buf *out, const struct mime_message *mime)
{
	unsigned n = 0;

	for (unsigned i = 0; i < mime->n_parts; i++) {
		const struct mime_part *part = &mime->parts[i];
		struct buf name = BUF_MAX(65536);

		if (!is_attached(part))
			continue;
		if (n++ == 0)
			provider_json_member(out, "attachment");
		buf_put_text(out, n == 1 ? "[{\"filename\":" : ",{\"filename\":");
		provider_pieces_file_name(part, n, &name);
		provider_json_text(out, buf_str(&name));
		buf_clear(&name);
		buf_printf(out, ",\"type\":\"%s\",\"content\":", kind_of(part));
		provider_json_base64(out, provider_pieces_bytes(part));
		buf_put_char(out, '}');
	}
	if (n > 0)
		buf_put_char(out, ']');
}

static void put_content(struct buf *out, const struct provider_pieces *pieces)
{
	static const struct {
		enum mime_role role;
		const char *name;
	} texts[] = {{MIME_HTML, "html"}, {MIME_TEXT, "text"}};
	const struct mime_message *mime = &pieces->mime;
	unsigned n = 0;

	provider_json_member(out, "content");
	buf_put_text(out, "{\"type\":\"transactional\",\"encoding\":\"utf-8\",\"subject\":");
	provider_json_text(out, pieces->subject);
	for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]); k++)
		for (unsigned i = 0; i < mime->n_parts; i++) {
			if (mime->parts[i].role != texts[k].role || mime->parts[i].body.n == 0)
				continue;
			provider_json_member(out, texts[k].name);
			provider_json_text(out, mime->parts[i].body);
			n++;
		}
	if (n == 0)
		buf_put_text(out, ",\"text\":\" \"");
	buf_put_char(out, '}');
}

/* Reply-To has no member of its own, and is passed on as it is. */
static bool is_dropped(struct str name)
{
	return provider_pieces_is_dropped(name) && !str_ieq(name, STR("reply-to"));
}

static void put_headers(struct buf *out, const struct mime_message *mime)
{
	struct provider_pieces_field field = {0};
	unsigned n = 0;

	while (provider_pieces_next_field(mime, is_dropped, &field)) {
		if (n++ == 0)
			provider_json_member(out, "additional_headers");
		buf_put_text(out, n == 1 ? "[{\"name\":" : ",{\"name\":");
		provider_json_text(out, field.name);
		provider_json_member(out, "value");
		provider_json_text(out, buf_str(&field.value));
		buf_put_char(out, '}');
	}
	if (n > 0)
		buf_put_char(out, ']');
}

static void put_body(const struct provider_call *call, const struct provider_pieces *pieces, struct str sender, struct buf *out)
{
	buf_put_text(out, "{\"sender\":{\"id\":");
	provider_json_text(out, sender);
	if (pieces->from.name.n > 0) {
		provider_json_member(out, "name");
		provider_json_text(out, pieces->from.name);
	}
	buf_put_text(out, "},\"email\":");
	provider_json_text(out, call->message->recipients[0]);
	if (call->settings->list_id > 0)
		buf_printf(out, ",\"list_id\":%lld", (long long)call->settings->list_id);
	else
		buf_put_text(out, ",\"without_list_management\":true");
	put_content(out, pieces);
	put_attachments(out, &pieces->mime);
	put_headers(out, &pieces->mime);
	/* The account's defaults might rewrite links and add pixels: what came in goes out. */
	buf_put_text(out, ",\"tracking\":{\"opens\":false,\"clicks_html\":false,\"clicks_text\":false}}");
}

static bool fits(const struct mime_message *mime, struct provider_verdict *verdict)
{
	for (unsigned i = 0; i < mime->n_parts; i++)
		if (is_attached(&mime->parts[i]) && kind_of(&mime->parts[i]) == NULL)
			return provider_unfit(verdict, "Cakemail", "5.6.1",
					      "it has a part of type %.*s, and it takes only csv, doc, docx, calendar, jpeg, pdf, png, "
					      "xls and xlsx", STR_ARG(mime->parts[i].type));
	return true;
}

static void note_losses(const struct provider_call *call, const struct mime_message *mime, struct provider_request *request)
{
	for (unsigned i = 0; i < mime->n_parts; i++) {
		const struct mime_part *part = &mime->parts[i];

		if (part->role == MIME_INLINE)
			provider_request_note(call, request, "image %.*s: it becomes an attachment, and the HTML does not show it",
					      STR_ARG(part->name));
		else if (part->role == MIME_ALTERNATIVE)
			provider_request_note(call, request, "%.*s: it becomes an attachment", STR_ARG(part->type));
	}
	provider_request_note(call, request, "To, Cc: each copy shows its own recipient only");
}

/* From must be one of the account's senders. An address that is not there may have been added since. */
static bool find_sender(const struct provider_call *call, struct str email, struct str *sender, struct provider_verdict *verdict)
{
	bool is_known;

	*sender = sender_of(call->token, email, &is_known);
	if (sender->n > 0)
		return true;
	if (call->token.n == 0 && call->wants_notes) {
		*sender = STR("(looked up at Cakemail)");
		return true;
	}
	provider_unfit(verdict, "Cakemail", "5.7.1", is_known ? "its author %.*s is a sender that is not confirmed there"
							       : "its author %.*s is none of the account's senders there", STR_ARG(email));
	verdict->about = IPC_ABOUT_SENDER;
	verdict->is_token_stale = true;
	return false;
}

static bool build_body(const struct provider_call *call, struct provider_request *request, struct provider_verdict *verdict)
{
	struct provider_pieces pieces;
	struct str sender;
	bool ok = provider_pieces_take(&pieces, call, "Cakemail", request, verdict) && fits(&pieces.mime, verdict) &&
		  find_sender(call, pieces.from.email, &sender, verdict);

	if (ok) {
		/* Base64 makes it larger by a third: room for all at once saves copies of a large body. */
		buf_room(&request->body, call->message->content.n + call->message->content.n / 16 + 4096);
		put_body(call, &pieces, sender, &request->body);
		note_losses(call, &pieces.mime, request);
		ok = !request->body.is_full;
		if (!ok)
			provider_unfit(verdict, "Cakemail", "5.3.4", "its request would be larger than can be sent");
	}
	provider_pieces_clear(&pieces);
	return ok;
}

static bool build(const struct provider_call *call, struct provider_request *request, struct provider_verdict *verdict)
{
	struct str token = str_first(call->token, str_find(call->token, '\n'));

	*request = (struct provider_request){.method = "POST", .body = BUF_MAX(PROVIDER_REQUEST_MAX)};
	if (!build_body(call, request, verdict)) {
		provider_request_clear(request);
		return false;
	}
	request->url = url_of(call->settings, "/v2/emails", "");
	provider_request_header(request, "Authorization: Bearer %.*s", STR_ARG(token));
	provider_request_header(request, "Content-Type: application/json");
	provider_request_header(request, "Accept: application/json");
	return true;
}

static bool build_check(const struct provider_call *call, struct provider_request *request, struct provider_verdict *verdict)
{
	struct str token = str_first(call->token, str_find(call->token, '\n'));

	(void)verdict;
	*request = (struct provider_request){.method = "GET"};
	request->url = url_of(call->settings, "/accounts/self", "");
	provider_request_header(request, "Authorization: Bearer %.*s", STR_ARG(token));
	provider_request_header(request, "Accept: application/json");
	return true;
}

/* ---- the answer ---- */

/* By HTTP status; the name is the member of the request that it complains of ({"detail":[{"loc":["body","sender"]}]}).
 * Of a 408 it is not said whether the request had been obeyed. */
static const struct provider_rule rules[] = {
	{400, 422, "sender", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.1", "the sender is not good", IPC_ABOUT_SENDER},
	{400, 422, "list_id", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.3.5", "the list is not good", IPC_ABOUT_PROVIDER},
	{400, 422, "account_id", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.3.5", "the account is not good", IPC_ABOUT_CREDENTIAL},
	{400, 400, "email", NULL, IPC_OUTCOME_PERMANENT, "5.1.3", "the recipient's address is not good", IPC_ABOUT_NOTHING},
	{422, 422, "email", NULL, IPC_OUTCOME_PERMANENT, "5.1.3", "the recipient's address is not good", IPC_ABOUT_NOTHING},
	{422, 422, "attachment", NULL, IPC_OUTCOME_UNFIT, "5.6.1", "an attachment is not good", IPC_ABOUT_NOTHING},
	{400, 400, NULL, NULL, IPC_OUTCOME_PERMANENT, "5.6.0", "the request is not valid", IPC_ABOUT_NOTHING},
	{401, 401, NULL, NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8", "the token is not valid", IPC_ABOUT_NOTHING},
	{403, 403, NULL, NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.1", "the user may not do this", IPC_ABOUT_NOTHING},
	{404, 404, NULL, NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.3.5", "there is no such address; is the endpoint right?", IPC_ABOUT_NOTHING},
	{408, 408, NULL, NULL, IPC_OUTCOME_UNKNOWN, "4.4.2", "it gave up waiting", IPC_ABOUT_NOTHING},
	{413, 413, NULL, NULL, IPC_OUTCOME_UNFIT, "5.3.4", "the message is too large", IPC_ABOUT_NOTHING},
	{422, 422, NULL, NULL, IPC_OUTCOME_PERMANENT, "5.6.0", "the request is not valid", IPC_ABOUT_NOTHING},
	{429, 429, NULL, NULL, IPC_OUTCOME_TRANSIENT, "4.7.0", "too many requests", IPC_ABOUT_NOTHING},
	{400, 499, NULL, NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.3.0", "an unknown error", IPC_ABOUT_NOTHING},
	{502, 502, NULL, NULL, IPC_OUTCOME_UNKNOWN, "4.4.0", "a gateway got no good answer", IPC_ABOUT_NOTHING},
	{504, 504, NULL, NULL, IPC_OUTCOME_UNKNOWN, "4.4.1", "a gateway got no answer", IPC_ABOUT_NOTHING},
	{500, 599, NULL, NULL, IPC_OUTCOME_TRANSIENT, "4.3.0", "an error at Cakemail", IPC_ABOUT_NOTHING},
	{200, 299, NULL, NULL, IPC_OUTCOME_UNKNOWN, "4.4.0", "an answer that is not in Cakemail's documents", IPC_ABOUT_NOTHING},
	{0, 999, NULL, NULL, IPC_OUTCOME_TRANSIENT, "4.3.0", "an answer that is not in Cakemail's documents", IPC_ABOUT_NOTHING},
};

/* The member of the request that the first complaint is of: "loc":["body","sender","id"]. */
static struct str member_of(struct json_object *body)
{
	struct json_object *detail = json_read_member(body, "detail"), *loc, *name;

	if (!json_object_is_type(detail, json_type_array) || json_object_array_length(detail) == 0)
		return STR("");
	loc = json_read_member(json_object_array_get_idx(detail, 0), "loc");
	if (!json_object_is_type(loc, json_type_array) || json_object_array_length(loc) < 2)
		return STR("");
	name = json_object_array_get_idx(loc, 1);
	return json_object_is_type(name, json_type_string) ? str_of(json_object_get_string(name)) : STR("");
}

/* 2xx: taken, unless its status says that it was refused all the same. False: it is no answer that is known. */
static bool classify_success(const struct provider_answer *answer, struct json_object *body, struct provider_verdict *verdict)
{
	struct json_object *data = json_read_member(body, "data");
	struct str id = json_read_text(data, "id"), status = json_read_text(data, "status");

	if (str_eq(status, STR("rejected"))) {
		provider_verdict_set(verdict, IPC_OUTCOME_PERMANENT, answer->status, "5.7.1",
				     "Cakemail rejected it; its log says why (email %.*s)", STR_ARG(str_first(id, 64)));
	} else if (str_eq(status, STR("error"))) {
		provider_verdict_set(verdict, IPC_OUTCOME_TRANSIENT, answer->status, "4.3.0",
				     "an error at Cakemail; its log says why (email %.*s)", STR_ARG(str_first(id, 64)));
	} else if (id.n > 0 && str_is_printable(id)) {
		provider_verdict_set(verdict, IPC_OUTCOME_SENT, answer->status, "2.0.0", "accepted");
		str_copy(id, verdict->provider_id, sizeof(verdict->provider_id));
	} else {
		return false;
	}
	return true;
}

static void classify(const struct provider_answer *answer, struct provider_verdict *verdict)
{
	struct json_object *body = json_read(answer->body);
	bool is_success = answer->status >= 200 && answer->status <= 202;

	if (!is_success || !classify_success(answer, body, verdict)) {
		provider_rules_judge(rules, sizeof(rules) / sizeof(rules[0]), answer, member_of(body), says_of(body), verdict);
		/* The token may have been ended, a sender made anew. */
		verdict->is_token_stale = answer->status == 401 || verdict->about == IPC_ABOUT_SENDER;
	}
	json_object_put(body);
}

const struct provider provider_cakemail = {
	.type = "cakemail",
	.build = build,
	.classify = classify,
	.build_check = build_check,
	.wants_token = wants_token,
	.fetch = fetch,
};
