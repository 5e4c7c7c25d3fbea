/* SPDX-License-Identifier: Apache-2.0
 *
 * Amazon SES, API v2: SendEmail with the raw MIME (POST /v2/email/outbound-emails), signed with SigV4.
 *
 * Destination is the envelope and changes no header, so every recipient goes into ToAddresses.
 * FromEmailAddress would replace the From header and is left out. SES wants Bcc taken out by the sender, and
 * obeys headers of its own (X-SES-...), which a client of ours must not be able to set.
 * Facts from the service model in @aws-sdk/client-sesv2 and the SES developer guide.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "deliver/provider.h"
#include "deliver/provider_json.h"
#include "deliver/sigv4.h"
#include "lib/base/encode.h"
#include "lib/base/trouble.h"
#include "lib/settings/settings_provider.h"

enum {
	RECIPIENTS_MAX = 50,
	RAW_MAX = 40 << 20, /* "40 MB per message", counted after base64 */
	ANSWER_DEPTH = 8,
	WORDS_MAX = 400,
};

#define SES_PATH "/v2/email/outbound-emails"
#define SES_HOST_MAX 256

static bool check(const struct settings_provider *settings, struct err *err)
{
	const struct {
		const char *name, *value;
		bool is_needed;
	} keys[] = {
		{"access_key_id", settings->access_key_id, true},
		{"secret_access_key", settings->secret_access_key, true},
		{"session_token", settings->session_token, false},
		{"region", settings->region, true},
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		struct str value = str_of(keys[i].value);

		if (keys[i].is_needed && value.n == 0)
			return err_set(err, "providers.%s.%s: ses needs it", settings->key, keys[i].name);
		if (!str_is_printable(value) || str_find(value, ' ') < value.n)
			return err_set(err, "providers.%s.%s: it has a space or another character that none has",
				       settings->key, keys[i].name);
	}
	return true;
}

/* ---- the request ---- */

static bool refuse(struct provider_verdict *verdict, const char *status, const char *why)
{
	provider_verdict_set(verdict, IPC_OUTCOME_PERMANENT, 0, status, "not sent to SES: %s", why);
	return false;
}

static bool can_send(const struct ipc_message *message, struct provider_verdict *verdict)
{
	if (message->n_recipients > RECIPIENTS_MAX)
		return refuse(verdict, "5.5.3", "it has more than the 50 recipients that SES takes at a time");
	/* RFC 6531 addresses: SES has no SMTPUTF8; a domain can be given in its ASCII form (xn--). */
	if (!str_is_ascii(message->mail_from))
		return refuse(verdict, "5.6.7", "the sender's address is not ASCII, and SES takes no other");
	for (unsigned i = 0; i < message->n_recipients; i++)
		if (!str_is_ascii(message->recipients[i]))
			return refuse(verdict, "5.6.7", "a recipient's address is not ASCII, and SES takes no other");
	if (message->content.n / 3 * 4 > RAW_MAX)
		return refuse(verdict, "5.3.4", "it is larger than the 40 MB that SES takes");
	return true;
}

/* The first line of `rest`, with its end. */
static struct str first_line(struct str rest)
{
	return str_first(rest, str_find(rest, '\n') + 1);
}

static bool is_blank_line(struct str line)
{
	return line.n > 0 && (line.p[0] == '\n' || (line.n > 1 && line.p[0] == '\r' && line.p[1] == '\n'));
}

static bool is_stripped(struct str line)
{
	size_t colon = str_find(line, ':');
	struct str name = str_trim(str_first(line, colon));

	return colon < line.n && (str_ieq(name, STR("bcc")) || str_ieq(name, STR("resent-bcc")) ||
				  str_istarts(name, STR("x-ses-")));
}

/* The field that begins the text: its line and the folded ones after it (RFC 5322, 2.2.3). */
static size_t field_length(struct str text)
{
	size_t n = first_line(text).n;

	while (n < text.n && (text.p[n] == ' ' || text.p[n] == '\t'))
		n += first_line(str_from(text, n)).n;
	return n;
}

/* Copies the header section without what is stripped. Returns how much of the message it was. False when
 * nothing is to be stripped: nothing is copied then. */
static bool strip_headers(struct str content, struct buf *kept, size_t *length)
{
	size_t at = 0, n;
	bool is_changed = false;

	while (at < content.n && !is_blank_line(str_from(content, at))) {
		struct str rest = str_from(content, at);

		n = field_length(rest);
		is_changed |= is_stripped(first_line(rest));
		at += n;
	}
	*length = at;
	for (at = 0; is_changed && at < *length; at += n) {
		struct str rest = str_from(content, at);

		n = field_length(rest);
		if (!is_stripped(first_line(rest)))
			buf_put_str(kept, str_first(rest, n));
	}
	return is_changed;
}

/* The message in base64. What is kept of the headers is filled up to whole groups of three with the body's
 * first octets, so that the body, which may be large, is not copied. */
static void put_raw(struct buf *out, struct str content)
{
	struct buf kept = BUF_MAX(PROVIDER_REQUEST_MAX);
	size_t body;

	buf_put_char(out, '"');
	if (strip_headers(content, &kept, &body)) {
		struct str rest = str_from(content, body);
		size_t fill = (3 - kept.n % 3) % 3;

		buf_put_str(&kept, str_first(rest, fill));
		encode_base64(out, buf_str(&kept));
		encode_base64(out, str_from(rest, fill));
	} else {
		encode_base64(out, content);
	}
	buf_put_char(out, '"');
	buf_clear_secret(&kept);
}

static void put_body(struct buf *out, const struct settings_provider *settings,
		     const struct ipc_message *message)
{
	char id[UUID_TEXT];

	buf_put_text(out, "{\"Destination\":{\"ToAddresses\":[");
	for (unsigned i = 0; i < message->n_recipients; i++) {
		if (i > 0)
			buf_put_char(out, ',');
		provider_json_text(out, message->recipients[i]);
	}
	buf_put_text(out, "]},\"Content\":{\"Raw\":{\"Data\":");
	put_raw(out, message->content);
	buf_put_text(out, "}},");
	if (settings->configuration_set[0] != '\0') {
		buf_put_text(out, "\"ConfigurationSetName\":");
		provider_json_text(out, str_of(settings->configuration_set));
		buf_put_char(out, ',');
	}
	/* It comes back in the events that SES sends. */
	buf_printf(out, "\"EmailTags\":[{\"Name\":\"queue_id\",\"Value\":\"%s\"}]}",
		   uuid_format(&message->id, id));
}

static char *request_url(const struct settings_provider *settings)
{
	bool is_china = str_starts(str_of(settings->region), STR("cn-"));
	char fallback[SES_HOST_MAX];

	snprintf(fallback, sizeof(fallback), "https://email.%s.amazonaws.com%s", settings->region,
		 is_china ? ".cn" : "");
	return provider_url(settings, fallback, SES_PATH);
}

/* What the HTTP client sends as Host: the port stands in it only when it is not the scheme's own. */
static void split_url(const char *url, struct str *host, struct str *path)
{
	struct str rest = str_of(url);
	bool is_https = str_starts(rest, STR("https://"));
	struct str own = is_https ? STR(":443") : STR(":80");

	rest = str_from(rest, is_https ? strlen("https://") : strlen("http://"));
	*host = str_first(rest, str_find(rest, '/'));
	*path = str_from(rest, host->n);
	if (str_ends(*host, own))
		*host = str_first(*host, host->n - own.n);
}

static void sign(struct provider_request *request, const struct settings_provider *settings, int64_t now)
{
	struct sigv4_pair headers[4] = {{STR("content-type"), STR("application/json")}};
	char hash[SIGV4_HASH], date[SIGV4_DATE];
	struct buf authorization = BUF_MAX(4096);
	struct sigv4_request signing = {
		.method = str_of(request->method), .headers = headers, .date = date,
		.region = str_of(settings->region), .service = STR("ses"),
		.access_key_id = str_of(settings->access_key_id),
		.secret_access_key = str_of(settings->secret_access_key)};

	sigv4_date(now, date);
	sigv4_hash(buf_str(&request->body), hash);
	signing.payload_hash = str_of(hash);
	headers[1].name = STR("host");
	split_url(request->url, &headers[1].value, &signing.path);
	headers[2] = (struct sigv4_pair){STR("x-amz-date"), str_of(date)};
	headers[3] = (struct sigv4_pair){STR("x-amz-security-token"), str_of(settings->session_token)};
	signing.n_headers = settings->session_token[0] != '\0' ? 4 : 3;
	must(sigv4_sign(&signing, &authorization));
	provider_request_header(request, "Content-Type: application/json");
	provider_request_header(request, "X-Amz-Date: %s", date);
	if (settings->session_token[0] != '\0')
		provider_request_header(request, "X-Amz-Security-Token: %s", settings->session_token);
	provider_request_header(request, "Authorization: %.*s", STR_ARG(buf_str(&authorization)));
	buf_clear_secret(&authorization);
}

static bool build(const struct provider_call *call, struct provider_request *request, struct provider_verdict *verdict)
{
	const struct ipc_message *message = call->message;

	*request = (struct provider_request){.method = "POST", .body = BUF_MAX(PROVIDER_REQUEST_MAX)};
	if (!can_send(message, verdict))
		return false;
	/* Room for all at once: base64 is larger by a third. */
	buf_room(&request->body, message->content.n / 3 * 4 + message->n_recipients * 320UL + 1024);
	put_body(&request->body, call->settings, message);
	if (request->body.is_full) {
		provider_request_clear(request);
		return refuse(verdict, "5.3.4", "its request would be larger than can be sent");
	}
	request->url = request_url(call->settings);
	sign(request, call->settings, call->now);
	return true;
}

/* ---- the answer ---- */

/* The errors of SendEmail (service model: the modelled ones with their HTTP status; the AWS General
 * Reference, "Common errors": the others). The name decides, not the status, for throttling comes with 400
 * and with 429. The first row that fits counts. A limit of the account is nobody's message's fault: as a
 * provider fault it is tried again for as long as the message may wait, whatever number of attempts. */
static const struct rule {
	const char *error, *words; /* words: in the message, any case; NULL: whatever it says */
	enum ipc_outcome_class class;
	const char *status;
} rules[] = {
	{"MessageRejected", "not verified", IPC_OUTCOME_PROVIDER_FAULT, "4.7.1"},
	{"MessageRejected", NULL, IPC_OUTCOME_PERMANENT, "5.6.0"},
	{"BadRequestException", NULL, IPC_OUTCOME_PERMANENT, "5.6.0"},
	{"MailFromDomainNotVerifiedException", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.1"},
	{"AccountSuspendedException", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.1"},
	{"SendingPausedException", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.1"},
	{"LimitExceededException", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.0"},
	{"NotFoundException", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.3.5"},
	{"ConflictException", NULL, IPC_OUTCOME_TRANSIENT, "4.3.0"},
	{"TooManyRequestsException", NULL, IPC_OUTCOME_TRANSIENT, "4.7.0"},
	{"ThrottlingException", "daily message quota", IPC_OUTCOME_PROVIDER_FAULT, "4.7.0"},
	{"ThrottlingException", NULL, IPC_OUTCOME_TRANSIENT, "4.7.0"},
	{"Throttling", "daily message quota", IPC_OUTCOME_PROVIDER_FAULT, "4.7.0"},
	{"Throttling", NULL, IPC_OUTCOME_TRANSIENT, "4.7.0"},
	{"AccessDeniedException", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8"},
	{"AccessDenied", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8"},
	{"UnrecognizedClientException", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8"},
	{"InvalidClientTokenId", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8"},
	{"SignatureDoesNotMatch", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8"},
	{"InvalidSignatureException", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8"},
	{"ExpiredTokenException", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8"},
	{"ExpiredToken", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8"},
	{"IncompleteSignature", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8"},
	{"IncompleteSignatureException", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8"},
	{"MissingAuthenticationToken", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8"},
	{"MissingAuthenticationTokenException", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8"},
	{"RequestExpired", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8"},
	{"RequestTimeTooSkewed", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8"},
	{"InternalServiceErrorException", NULL, IPC_OUTCOME_TRANSIENT, "4.3.0"},
	{"InternalFailure", NULL, IPC_OUTCOME_TRANSIENT, "4.3.0"},
	{"ServiceUnavailable", NULL, IPC_OUTCOME_TRANSIENT, "4.3.2"},
	{"ServiceUnavailableException", NULL, IPC_OUTCOME_TRANSIENT, "4.3.2"},
};

/* Answers without a name that is known: not from SES itself but from something before it. 502 and 504 say
 * that the request went on and no answer came, so it may have been obeyed. */
static const struct {
	unsigned from, to;
	enum ipc_outcome_class class;
	const char *status, *words;
} statuses[] = {
	{408, 408, IPC_OUTCOME_TRANSIENT, "4.4.2", "it waited in vain for the request"},
	{413, 413, IPC_OUTCOME_PERMANENT, "5.3.4", "the message is too large"},
	{429, 429, IPC_OUTCOME_TRANSIENT, "4.7.0", "too many requests"},
	{502, 502, IPC_OUTCOME_UNKNOWN, "4.4.0", "a gateway got no good answer"},
	{504, 504, IPC_OUTCOME_UNKNOWN, "4.4.1", "a gateway got no answer"},
	{500, 599, IPC_OUTCOME_TRANSIENT, "4.3.0", "an error at SES"},
	{0, 999, IPC_OUTCOME_PROVIDER_FAULT, "4.3.5", "not an answer of SES's; is the endpoint right?"},
};

/* Where the words first stand, in any case, or text.n. */
static size_t find(struct str text, struct str words)
{
	for (size_t i = 0; i + words.n <= text.n; i++)
		if (str_istarts(str_from(text, i), words))
			return i;
	return text.n;
}

/* A member of an object as text, or "". */
static struct str text_member(struct json_object *object, const char *name)
{
	struct json_object *member;

	if (!json_object_is_type(object, json_type_object) ||
	    !json_object_object_get_ex(object, name, &member) ||
	    !json_object_is_type(member, json_type_string))
		return STR("");
	return str_bytes(json_object_get_string(member), (size_t)json_object_get_string_len(member));
}

/* The error's name: "x-amzn-ErrorType: Name:http://..." or in the body "com.amazon...#Name". */
static struct str error_name(const struct provider_answer *answer, struct json_object *body)
{
	struct str name = str_trim(provider_answer_header(answer, "x-amzn-errortype"));

	if (name.n == 0)
		name = text_member(body, "__type");
	if (name.n == 0)
		name = text_member(body, "code");
	name = str_first(name, str_find(name, ':'));
	if (str_find(name, '#') < name.n)
		name = str_from(name, str_find(name, '#') + 1);
	return name;
}

static void classify_error(const struct provider_answer *answer, struct json_object *body,
			   struct provider_verdict *verdict)
{
	struct str name = error_name(answer, body), says = text_member(body, "message");

	if (says.n == 0)
		says = text_member(body, "Message");
	/* The canonical request of a refused signature may follow, and in it the session token. */
	says = str_first(says, find(says, STR("canonical")));
	says = str_first(says, WORDS_MAX);
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		const struct rule *r = &rules[i];

		if (!str_eq(name, str_of(r->error)) || (r->words != NULL && find(says, str_of(r->words)) == says.n))
			continue;
		provider_verdict_set(verdict, r->class, answer->status, r->status, "%s: %.*s", r->error,
				     STR_ARG(says));
		return;
	}
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		if (answer->status < statuses[i].from || answer->status > statuses[i].to)
			continue;
		provider_verdict_set(verdict, statuses[i].class, answer->status, statuses[i].status,
				     "%s%s%.*s%s%.*s", statuses[i].words, name.n > 0 ? ": " : "",
				     STR_ARG(str_first(name, 64)), says.n > 0 ? ": " : "", STR_ARG(says));
		return;
	}
	provider_verdict_set(verdict, IPC_OUTCOME_PROVIDER_FAULT, answer->status, "4.3.5", "an impossible status");
}

/* SES takes a message with 200 and its id. A 200 without one is no answer of SES's that is known: the
 * message may have been taken. */
static void classify_success(const struct provider_answer *answer, struct json_object *body,
			     struct provider_verdict *verdict)
{
	struct str id = text_member(body, "MessageId");

	if (id.n == 0 || id.n >= sizeof(verdict->provider_id) || !str_is_printable(id)) {
		provider_verdict_set(verdict, IPC_OUTCOME_UNKNOWN, answer->status, "4.4.0",
				     "the answer has no message id");
		return;
	}
	provider_verdict_set(verdict, IPC_OUTCOME_SENT, answer->status, "2.0.0", "accepted");
	must(str_copy(id, verdict->provider_id, sizeof(verdict->provider_id)));
}

static void classify(const struct provider_answer *answer, struct provider_verdict *verdict)
{
	struct json_tokener *tokener = json_tokener_new_ex(ANSWER_DEPTH);
	struct json_object *body = NULL;

	if (tokener != NULL && answer->body.n > 0)
		body = json_tokener_parse_ex(tokener, answer->body.p, (int)answer->body.n);
	if (answer->status == 200)
		classify_success(answer, body, verdict);
	else
		classify_error(answer, body, verdict);
	if (verdict->class == IPC_OUTCOME_TRANSIENT)
		verdict->retry_after = provider_answer_retry_after(answer);
	json_object_put(body);
	if (tokener != NULL)
		json_tokener_free(tokener);
}

const struct provider provider_ses = {
	.type = "ses",
	.check = check,
	.build = build,
	.classify = classify,
};
