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

#include "deliver/mime_strip.h"
#include "deliver/provider.h"
#include "deliver/provider_aws.h"
#include "deliver/provider_json.h"
#include "deliver/provider_rules.h"
#include "lib/aws/aws_credentials.h"
#include "lib/aws/sigv4.h"
#include "lib/base/encode.h"
#include "lib/base/json_read.h"
#include "lib/base/trouble.h"
#include "lib/settings/settings_provider.h"

#define SES_PATH "/v2/email/outbound-emails"
#define SES_HOST_MAX 256

/* ---- the request ---- */

/* The message in base64. What is kept of the headers is filled up to whole groups of three with the body's
 * first octets, so that the body, which may be large, is not copied. */
static void put_raw(struct buf *out, const struct provider_call *call, struct provider_request *request)
{
	/* SES refuses a message with two of what there may be one of ("Header fields" of its developer guide). */
	static const char *const stripped[] = {
		"bcc", "resent-bcc", "x-ses-*", "from!", "to!", "cc!", "reply-to!", "subject!", "date!", "message-id!", "sender!",
		"references!", "in-reply-to!", "mime-version!", "content-type!", "content-transfer-encoding!",
		"content-disposition!", "list-unsubscribe!", "list-unsubscribe-post!", "return-path!", NULL};
	struct mime_strip strip;

	mime_strip(&strip, call->message->content, stripped);
	buf_put_char(out, '"');
	if (strip.names.n > 0) {
		size_t fill = (3 - strip.kept.n % 3) % 3;

		provider_request_note(call, request, "header fields taken out: %.*s", STR_ARG(buf_str(&strip.names)));
		buf_put_str(&strip.kept, str_first(strip.body, fill));
		encode_base64(out, buf_str(&strip.kept));
		encode_base64(out, str_from(strip.body, fill));
	} else {
		encode_base64(out, call->message->content);
	}
	buf_put_char(out, '"');
	mime_strip_clear(&strip);
}

static void put_body(const struct provider_call *call, struct provider_request *request)
{
	const struct settings_provider *settings = call->settings;
	const struct ipc_message *message = call->message;
	struct buf *out = &request->body;
	char id[UUID_TEXT];

	buf_put_text(out, "{\"Destination\":{\"ToAddresses\":[");
	for (unsigned i = 0; i < message->n_recipients; i++) {
		if (i > 0)
			buf_put_char(out, ',');
		provider_json_text(out, message->recipients[i]);
	}
	buf_put_text(out, "]},\"Content\":{\"Raw\":{\"Data\":");
	put_raw(out, call, request);
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

static char *request_url(const struct settings_provider *settings, const char *path)
{
	bool is_china = str_starts(str_of(settings->region), STR("cn-"));
	char fallback[SES_HOST_MAX];

	snprintf(fallback, sizeof(fallback), "https://email.%s.amazonaws.com%s", settings->region,
		 is_china ? ".cn" : "");
	return provider_url(settings, fallback, path);
}

/* From the settings, or what was fetched. */
static struct aws_credentials_keys keys_of(const struct provider_call *call)
{
	const struct settings_provider *settings = call->settings;
	struct aws_credentials_keys keys = {str_of(settings->access_key_id), str_of(settings->secret_access_key),
					    str_of(settings->session_token)};

	if (provider_aws_wants_token(settings) && !aws_credentials_keys(call->token, &keys))
		keys = (struct aws_credentials_keys){STR("AKID"), STR(""), STR("")}; /* only shown (smtp-proxyctl explain) */
	return keys;
}

static void sign(struct provider_request *request, const struct provider_call *call)
{
	const struct settings_provider *settings = call->settings;
	const struct aws_credentials_keys keys = keys_of(call);
	struct sigv4_pair headers[4] = {{STR("content-type"), STR("application/json")}};
	char hash[SIGV4_HASH], date[SIGV4_DATE];
	struct buf authorization = BUF_MAX(4096);
	struct sigv4_request signing = {
		.method = str_of(request->method), .headers = headers, .date = date,
		.region = str_of(settings->region), .service = STR("ses"),
		.access_key_id = keys.access_key_id,
		.secret_access_key = keys.secret_access_key};

	sigv4_date(call->now, date);
	sigv4_hash(buf_str(&request->body), hash);
	signing.payload_hash = str_of(hash);
	headers[1].name = STR("host");
	sigv4_split_url(request->url, &headers[1].value, &signing.path);
	headers[2] = (struct sigv4_pair){STR("x-amz-date"), str_of(date)};
	headers[3] = (struct sigv4_pair){STR("x-amz-security-token"), keys.session_token};
	signing.n_headers = keys.session_token.n > 0 ? 4 : 3;
	must(sigv4_sign(&signing, &authorization));
	provider_request_header(request, "Content-Type: application/json");
	provider_request_header(request, "X-Amz-Date: %s", date);
	if (keys.session_token.n > 0)
		provider_request_header(request, "X-Amz-Security-Token: %.*s", STR_ARG(keys.session_token));
	provider_request_header(request, "Authorization: %.*s", STR_ARG(buf_str(&authorization)));
	buf_clear_secret(&authorization);
}

static bool build(const struct provider_call *call, struct provider_request *request, struct provider_verdict *verdict)
{
	const struct ipc_message *message = call->message;

	*request = (struct provider_request){.method = "POST", .body = BUF_MAX(PROVIDER_REQUEST_MAX)};
	if (!provider_fits(call, "SES", verdict))
		return false;
	/* RFC 6531 addresses: SES has no SMTPUTF8; a domain can be given in its ASCII form (xn--). */
	if (!str_is_ascii(message->mail_from))
		return provider_unfit(verdict, "SES", "5.6.7", "the sender's address is not ASCII, and it takes no other");
	/* Room for all at once: base64 is larger by a third. */
	buf_room(&request->body, message->content.n / 3 * 4 + message->n_recipients * 320UL + 1024);
	put_body(call, request);
	if (request->body.is_full) {
		provider_request_clear(request);
		return provider_unfit(verdict, "SES", "5.3.4", "its request would be larger than can be sent");
	}
	request->url = request_url(call->settings, SES_PATH);
	sign(request, call);
	return true;
}

static bool build_check(const struct provider_call *call, struct provider_request *request, struct provider_verdict *verdict)
{
	(void)verdict;
	*request = (struct provider_request){.method = "GET"};
	request->url = request_url(call->settings, "/v2/email/account");
	sign(request, call);
	return true;
}

/* ---- the answer ---- */

/* The errors of SendEmail (service model: the modelled ones with their HTTP status; the AWS General
 * Reference, "Common errors": the others). The name decides, not the status, for throttling comes with 400
 * and with 429. The first row that fits counts. A limit of the account is nobody's message's fault: as a
 * provider fault it is tried again for as long as the message may wait, whatever number of attempts. */
static const struct provider_rule rules[] = {
	{0, 999, "MessageRejected", "not verified", IPC_OUTCOME_PROVIDER_FAULT, "4.7.1", "refused", IPC_ABOUT_SENDER},
	{0, 999, "MessageRejected", NULL, IPC_OUTCOME_PERMANENT, "5.6.0", "refused", IPC_ABOUT_NOTHING},
	{0, 999, "BadRequestException", NULL, IPC_OUTCOME_PERMANENT, "5.6.0", "refused", IPC_ABOUT_NOTHING},
	{0, 999, "MailFromDomainNotVerifiedException", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.1", "refused", IPC_ABOUT_SENDER},
	{0, 999, "AccountSuspendedException", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.1", "refused", IPC_ABOUT_CREDENTIAL},
	{0, 999, "SendingPausedException", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.1", "refused", IPC_ABOUT_CREDENTIAL},
	{0, 999, "LimitExceededException", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.0", "refused", IPC_ABOUT_THROTTLE},
	{0, 999, "NotFoundException", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.3.5", "refused", IPC_ABOUT_NOTHING},
	{0, 999, "ConflictException", NULL, IPC_OUTCOME_TRANSIENT, "4.3.0", "refused", IPC_ABOUT_NOTHING},
	{0, 999, "TooManyRequestsException", NULL, IPC_OUTCOME_TRANSIENT, "4.7.0", "refused", IPC_ABOUT_THROTTLE},
	{0, 999, "ThrottlingException", "daily message quota", IPC_OUTCOME_PROVIDER_FAULT, "4.7.0", "refused", IPC_ABOUT_THROTTLE},
	{0, 999, "ThrottlingException", NULL, IPC_OUTCOME_TRANSIENT, "4.7.0", "refused", IPC_ABOUT_THROTTLE},
	{0, 999, "Throttling", "daily message quota", IPC_OUTCOME_PROVIDER_FAULT, "4.7.0", "refused", IPC_ABOUT_THROTTLE},
	{0, 999, "Throttling", NULL, IPC_OUTCOME_TRANSIENT, "4.7.0", "refused", IPC_ABOUT_THROTTLE},
	/* "... is not authorized to perform ses:SendEmail on resource .../identity/X": a policy that limits From. */
	{0, 999, "AccessDeniedException", "identity/", IPC_OUTCOME_PROVIDER_FAULT, "4.7.1", "refused", IPC_ABOUT_SENDER},
	{0, 999, "AccessDenied", "identity/", IPC_OUTCOME_PROVIDER_FAULT, "4.7.1", "refused", IPC_ABOUT_SENDER},
	{0, 999, "AccessDeniedException", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8", "refused", IPC_ABOUT_CREDENTIAL},
	{0, 999, "AccessDenied", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8", "refused", IPC_ABOUT_CREDENTIAL},
	{0, 999, "UnrecognizedClientException", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8", "refused", IPC_ABOUT_CREDENTIAL},
	{0, 999, "InvalidClientTokenId", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8", "refused", IPC_ABOUT_CREDENTIAL},
	{0, 999, "SignatureDoesNotMatch", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8", "refused", IPC_ABOUT_CREDENTIAL},
	{0, 999, "InvalidSignatureException", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8", "refused", IPC_ABOUT_CREDENTIAL},
	{0, 999, "ExpiredTokenException", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8", "refused", IPC_ABOUT_CREDENTIAL},
	{0, 999, "ExpiredToken", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8", "refused", IPC_ABOUT_CREDENTIAL},
	{0, 999, "IncompleteSignature", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8", "refused", IPC_ABOUT_CREDENTIAL},
	{0, 999, "IncompleteSignatureException", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8", "refused", IPC_ABOUT_CREDENTIAL},
	{0, 999, "MissingAuthenticationToken", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8", "refused", IPC_ABOUT_CREDENTIAL},
	{0, 999, "MissingAuthenticationTokenException", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8", "refused", IPC_ABOUT_CREDENTIAL},
	{0, 999, "RequestExpired", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8", "refused", IPC_ABOUT_CREDENTIAL},
	{0, 999, "RequestTimeTooSkewed", NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.7.8", "refused", IPC_ABOUT_CREDENTIAL},
	{0, 999, "InternalServiceErrorException", NULL, IPC_OUTCOME_TRANSIENT, "4.3.0", "refused", IPC_ABOUT_NOTHING},
	{0, 999, "InternalFailure", NULL, IPC_OUTCOME_TRANSIENT, "4.3.0", "refused", IPC_ABOUT_NOTHING},
	{0, 999, "ServiceUnavailable", NULL, IPC_OUTCOME_TRANSIENT, "4.3.2", "refused", IPC_ABOUT_NOTHING},
	{0, 999, "ServiceUnavailableException", NULL, IPC_OUTCOME_TRANSIENT, "4.3.2", "refused", IPC_ABOUT_NOTHING},
	/* Answers without a name that is known: not from SES itself but from something before it. 502 and 504 say
	 * that the request went on and no answer came, so it may have been obeyed. */
	{408, 408, NULL, NULL, IPC_OUTCOME_TRANSIENT, "4.4.2", "it waited in vain for the request", IPC_ABOUT_NOTHING},
	{413, 413, NULL, NULL, IPC_OUTCOME_UNFIT, "5.3.4", "the message is too large", IPC_ABOUT_NOTHING},
	{429, 429, NULL, NULL, IPC_OUTCOME_TRANSIENT, "4.7.0", "too many requests", IPC_ABOUT_NOTHING},
	{502, 502, NULL, NULL, IPC_OUTCOME_UNKNOWN, "4.4.0", "a gateway got no good answer", IPC_ABOUT_NOTHING},
	{504, 504, NULL, NULL, IPC_OUTCOME_UNKNOWN, "4.4.1", "a gateway got no answer", IPC_ABOUT_NOTHING},
	{500, 599, NULL, NULL, IPC_OUTCOME_TRANSIENT, "4.3.0", "an error at SES", IPC_ABOUT_NOTHING},
	{0, 999, NULL, NULL, IPC_OUTCOME_PROVIDER_FAULT, "4.3.5", "not an answer of SES's; is the endpoint right?", IPC_ABOUT_NOTHING},
};

/* Where the words first stand, in any case, or text.n. */
static size_t find(struct str text, struct str words)
{
	for (size_t i = 0; i + words.n <= text.n; i++)
		if (str_istarts(str_from(text, i), words))
			return i;
	return text.n;
}

/* The error's name: "x-amzn-ErrorType: Name:http://..." or in the body "com.amazon...#Name". */
static struct str error_name(const struct provider_answer *answer, struct json_object *body)
{
	struct str name = str_trim(provider_answer_header(answer, "x-amzn-errortype"));

	if (name.n == 0)
		name = json_read_text(body, "__type");
	if (name.n == 0)
		name = json_read_text(body, "code");
	name = str_first(name, str_find(name, ':'));
	if (str_find(name, '#') < name.n)
		name = str_from(name, str_find(name, '#') + 1);
	return name;
}

/* Fetched ones may have expired, or been exchanged, since. */
static bool are_keys_old(struct str error)
{
	return str_starts(error, STR("ExpiredToken")) || str_eq(error, STR("UnrecognizedClientException")) ||
	       str_eq(error, STR("InvalidClientTokenId"));
}

static void classify_error(const struct provider_answer *answer, struct json_object *body,
			   struct provider_verdict *verdict)
{
	struct str name = error_name(answer, body), says = json_read_text(body, "message");

	if (says.n == 0)
		says = json_read_text(body, "Message");
	/* The canonical request of a refused signature may follow, and in it the session token. */
	says = str_first(says, find(says, STR("canonical")));
	provider_rules_judge(rules, sizeof(rules) / sizeof(rules[0]), answer, name, says, verdict);
	verdict->is_token_stale = are_keys_old(name);
}

/* SES takes a message with 200 and its id. A 200 without one is no answer of SES's that is known: the
 * message may have been taken. */
static void classify_success(const struct provider_answer *answer, struct json_object *body,
			     struct provider_verdict *verdict)
{
	struct str id = json_read_text(body, "MessageId");

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
	struct json_object *body = json_read(answer->body);

	if (answer->status == 200)
		classify_success(answer, body, verdict);
	else
		classify_error(answer, body, verdict);
	json_object_put(body);
}

/* Sending may be switched off for the account though the key is good. */
static bool classify_check(const struct provider_answer *answer, struct provider_verdict *verdict)
{
	struct json_object *body, *enabled;
	bool is_off;

	if (answer->status != 200)
		return false;
	body = json_read(answer->body);
	enabled = json_read_member(body, "SendingEnabled");
	is_off = json_object_is_type(enabled, json_type_boolean) && !json_object_get_boolean(enabled);
	json_object_put(body);
	if (is_off)
		provider_verdict_set(verdict, IPC_OUTCOME_PROVIDER_FAULT, answer->status, "4.7.1", "sending is switched off for the account");
	return is_off;
}

const struct provider provider_ses = {
	.type = "ses",
	.build = build,
	.classify = classify,
	.build_check = build_check,
	.classify_check = classify_check,
	.wants_token = provider_aws_wants_token,
	.fetch = provider_aws_fetch,
};
