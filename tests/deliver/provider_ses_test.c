/* SPDX-License-Identifier: Apache-2.0
 *
 * SES: the request that is made of a message, and the meaning of every answer in SES's documents.
 */
#include <json-c/json.h>
#include <stdlib.h>

#include "deliver/provider.h"
#include "lib/base/encode.h"
#include "lib/base/mem.h"
#include "tests/support/unit.h"

/* 2015-08-30T12:36:00Z, as in AWS's test suite. */
enum { NOW_SECONDS = 1440938160 };
#define NOW (NOW_SECONDS * 1000000LL)

/* The struct owns its texts as a rule; these are only lent. */
#define TEXT(text) ((char *)(uintptr_t)(text))

static struct settings_provider settings_of(const char *endpoint, const char *token)
{
	return (struct settings_provider){.key = "p", .type = PROVIDER_SES, .endpoint = TEXT(endpoint),
		.api_key = TEXT(""), .region = TEXT("us-east-1"), .access_key_id = TEXT("AKIDEXAMPLE"),
		.secret_access_key = TEXT("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
		.session_token = TEXT(token), .configuration_set = TEXT("cs"), .directory = TEXT("")};
}

static struct ipc_message message_of(const char *content, const struct str *recipients, unsigned n)
{
	struct ipc_message message = {.mail_from = STR("a@example.com"), .recipients = recipients,
				      .n_recipients = n, .content = str_of(content)};

	UNIT_TRUE(uuid_parse(STR("0190a000-0000-7000-8000-000000000001"), &message.id));
	message.size = (uint32_t)message.content.n;
	return message;
}

static const struct str one[] = {{"b@example.com", 13}};

static struct json_object *member(struct json_object *object, const char *name)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(object, name, &value);
	return value;
}

/* The request's body as JSON; the caller puts it. */
static struct json_object *body_of(const struct provider_request *request)
{
	char *text = mem_copy(request->body.p, request->body.n);
	struct json_object *json = json_tokener_parse(text);

	free(text);
	return json;
}

/* The MIME that SES would be given for this content. The caller frees it. */
static char *raw_of(const char *content)
{
	struct settings_provider settings = settings_of("", "");
	struct ipc_message message = message_of(content, one, 1);
	struct provider_request request;
	struct provider_verdict verdict;
	struct json_object *json;
	struct buf raw = BUF_MAX(1 << 20);

	UNIT_TRUE(provider_ses.build(&(struct provider_call){.settings = &settings, .message = &message, .now = NOW}, &request, &verdict));
	json = body_of(&request);
	UNIT_TRUE(encode_from_base64(
		&raw, str_of(json_object_get_string(member(member(member(json, "Content"), "Raw"), "Data")))));
	json_object_put(json);
	provider_request_clear(&request);
	return buf_take_text(&raw);
}

static const char *header_of(const struct provider_request *request, const char *name)
{
	size_t n = strlen(name);

	for (unsigned i = 0; i < request->n_headers; i++)
		if (strncmp(request->headers[i], name, n) == 0 && request->headers[i][n] == ':')
			return request->headers[i] + n + 2;
	return "";
}

static void the_envelope_becomes_the_destination(void)
{
	static const struct str recipients[] = {{"b@example.com", 13}, {"\"q\\\"x\"@example.com", 18}};
	struct settings_provider settings = settings_of("", "");
	struct ipc_message message = message_of("From: a@x\r\nTo: z@x\r\n\r\nhi\r\n", recipients, 2);
	struct provider_request request;
	struct provider_verdict verdict;
	struct json_object *json, *to, *tag;

	UNIT_TRUE(provider_ses.build(&(struct provider_call){.settings = &settings, .message = &message, .now = NOW}, &request, &verdict));
	UNIT_TEXT(request.method, "POST");
	UNIT_TEXT(request.url, "https://email.us-east-1.amazonaws.com/v2/email/outbound-emails");
	UNIT_TEXT(header_of(&request, "Content-Type"), "application/json");
	UNIT_TEXT(header_of(&request, "X-Amz-Date"), "20150830T123600Z");
	UNIT_TEXT(header_of(&request, "X-Amz-Security-Token"), "");
	UNIT_TRUE(str_starts(str_of(header_of(&request, "Authorization")),
			     STR("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/ses/aws4_request, "
				 "SignedHeaders=content-type;host;x-amz-date, Signature=")));
	json = body_of(&request);
	UNIT_TRUE(json != NULL);
	to = member(member(json, "Destination"), "ToAddresses");
	UNIT_INT(json_object_array_length(to), 2);
	UNIT_TEXT(json_object_get_string(json_object_array_get_idx(to, 0)), "b@example.com");
	UNIT_TEXT(json_object_get_string(json_object_array_get_idx(to, 1)), "\"q\\\"x\"@example.com");
	UNIT_TRUE(member(json, "FromEmailAddress") == NULL);
	UNIT_TEXT(json_object_get_string(member(json, "ConfigurationSetName")), "cs");
	tag = json_object_array_get_idx(member(json, "EmailTags"), 0);
	UNIT_TEXT(json_object_get_string(member(tag, "Name")), "queue_id");
	UNIT_TEXT(json_object_get_string(member(tag, "Value")), "0190a000-0000-7000-8000-000000000001");
	json_object_put(json);
	provider_request_clear(&request);
}

static void the_signature_covers_what_is_sent(void)
{
	static const struct {
		const char *endpoint, *token, *url, *signature;
	} cases[] = {
		/* Computed with Python's hmac and hashlib from the request as it is sent. */
		{"", "", "https://email.us-east-1.amazonaws.com/v2/email/outbound-emails",
		 "6bbd5568f790468e6012c369831f03e265b53e299deac1ab03c93928c7167247"},
		{"", "AQoEXAMPLETOKEN==", "https://email.us-east-1.amazonaws.com/v2/email/outbound-emails",
		 "cd72d4e18bd4faa5b2ef8673cec62064256f9079283ce1737ecca0479b176a1e"},
		{"http://127.0.0.1:8025", "", "http://127.0.0.1:8025/v2/email/outbound-emails",
		 "8594986c1dacd2d147de4d2e6f22b2183e800f21e48a80ef2b0ddffbb1b58d6d"},
		{"https://ses.example:443/base/", "", "https://ses.example:443/base/v2/email/outbound-emails",
		 "df26a23e237440774b92ffaaff172eb960495c5ff54273cdc8c80240bb109d1e"},
		{"http://[::1]:80", "", "http://[::1]:80/v2/email/outbound-emails",
		 "0f710d61156b92d98e10ebde3a1379fe8af3dc31db6af175edbc854f44241cd6"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct settings_provider settings = settings_of(cases[i].endpoint, cases[i].token);
		struct ipc_message message = message_of("From: a@x\r\n\r\nhi\r\n", one, 1);
		struct provider_request request;
		struct provider_verdict verdict;
		const char *authorization;

		UNIT_TRUE(provider_ses.build(&(struct provider_call){.settings = &settings, .message = &message, .now = NOW}, &request, &verdict));
		UNIT_TEXT(request.url, cases[i].url);
		UNIT_TEXT(header_of(&request, "X-Amz-Security-Token"), cases[i].token);
		authorization = header_of(&request, "Authorization");
		UNIT_TEXT(strstr(authorization, "Signature=") + strlen("Signature="), cases[i].signature);
		provider_request_clear(&request);
	}
}

static void bcc_and_control_headers_are_stripped(void)
{
	static const struct {
		const char *content, *raw;
	} cases[] = {
		{"From: a\r\n\r\nbody", "From: a\r\n\r\nbody"},
		{"Bcc: x@y\r\nFrom: a\r\n\r\nbody", "From: a\r\n\r\nbody"},
		{"From: a\r\nBCC: x@y,\r\n\tz@y\r\n  more\r\nTo: b\r\n\r\nBcc: stays\r\n", "From: a\r\nTo: b\r\n\r\nBcc: stays\r\n"},
		{"From: a\r\nbcc:x\r\n\r\n", "From: a\r\n\r\n"},
		{"From: a\r\nBcc : x\r\n\r\n1", "From: a\r\n\r\n1"},
		{"From: a\r\nX-SES-Configuration-Set: mine\r\nx-ses-message-tags: a=b,\r\n c=d\r\n\r\n12", "From: a\r\n\r\n12"},
		{"X-SES-SOURCE-ARN: a\r\nX-SES-FROM-ARN: a\r\nX-SES-RETURN-PATH-ARN: a\r\nFrom: a\r\n\r\n123", "From: a\r\n\r\n123"},
		{"From: a\r\nResent-Bcc: q\r\nBccs: stays\r\nX-SESS: stays\r\n\r\n1234", "From: a\r\nBccs: stays\r\nX-SESS: stays\r\n\r\n1234"},
		{"From: a\r\nSubject: x\r\n bcc: folded\r\n\r\nb", "From: a\r\nSubject: x\r\n bcc: folded\r\n\r\nb"},
		{"Bcc: only", ""},
		{"Bcc: only\r\n", ""},
		{"\r\nBcc: in the body\r\n", "\r\nBcc: in the body\r\n"},
		{"Subject: a\r\nX: 1\r\nsubject: b\r\n c\r\nX: 2\r\n\r\nz", "Subject: a\r\nX: 1\r\nX: 2\r\n\r\nz"},
		{"From: a\r\nBcc: x\r\nno colon here\r\n\r\nz", "From: a\r\nno colon here\r\n\r\nz"},
		{"", ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *raw = raw_of(cases[i].content);

		UNIT_TEXT(raw, cases[i].raw);
		free(raw);
	}
}

static void a_body_of_any_length_survives_the_stripping(void)
{
	for (size_t n = 0; n < 12; n++) {
		char content[200], expected[200], *raw;

		snprintf(content, sizeof(content), "Bcc: x\r\nSubject: %.*s\r\n\r\n%.*s", (int)(n % 4), "abcd", (int)n,
			 "0123456789abc");
		snprintf(expected, sizeof(expected), "%s", content + 8);
		raw = raw_of(content);
		UNIT_TEXT(raw, expected);
		free(raw);
	}
}

static void what_ses_cannot_take_is_refused_with_the_reason(void)
{
	static const struct str utf8[] = {{"b@example.com", 13}, {"\xc3\xa9@example.com", 14}};
	struct settings_provider settings = settings_of("", "");
	struct str many[51];
	struct ipc_message message;
	struct provider_request request;
	struct provider_verdict verdict;
	char *large = mem_zero((40 << 20) + 1);

	for (unsigned i = 0; i < 51; i++)
		many[i] = one[0];
	message = message_of("From: a\r\n\r\n", many, 50);
	UNIT_TRUE(provider_ses.build(&(struct provider_call){.settings = &settings, .message = &message, .now = NOW}, &request, &verdict));
	provider_request_clear(&request);
	message.n_recipients = 51;
	UNIT_TRUE(!provider_ses.build(&(struct provider_call){.settings = &settings, .message = &message, .now = NOW}, &request, &verdict));
	UNIT_INT(verdict.class, IPC_OUTCOME_UNFIT);
	UNIT_TEXT(verdict.status, "5.5.3");
	UNIT_TEXT(verdict.reason, "not sent to SES: it has more than the 50 recipients that it takes at a time");

	message = message_of("From: a\r\n\r\n", utf8, 2);
	UNIT_TRUE(!provider_ses.build(&(struct provider_call){.settings = &settings, .message = &message, .now = NOW}, &request, &verdict));
	UNIT_INT(verdict.class, IPC_OUTCOME_UNFIT);
	UNIT_TEXT(verdict.status, "5.6.7");
	message = message_of("From: a\r\n\r\n", one, 1);
	message.mail_from = STR("\xc3\xa9@example.com");
	UNIT_TRUE(!provider_ses.build(&(struct provider_call){.settings = &settings, .message = &message, .now = NOW}, &request, &verdict));
	UNIT_TEXT(verdict.status, "5.6.7");

	memset(large, 'x', 40 << 20);
	message = message_of(large, one, 1);
	UNIT_TRUE(!provider_ses.build(&(struct provider_call){.settings = &settings, .message = &message, .now = NOW}, &request, &verdict));
	UNIT_INT(verdict.class, IPC_OUTCOME_UNFIT);
	UNIT_TEXT(verdict.status, "5.3.4");
	free(large);
}

static void the_longest_keys_can_be_signed_with(void)
{
	static char id[129], secret[1025], token[15001], region[64];
	struct settings_provider settings = settings_of("", "");
	struct ipc_message message = message_of("From: a@a\r\n\r\n.", one, 1);
	struct provider_request request;
	struct provider_verdict verdict;

	memset(id, 'i', sizeof(id) - 1);
	memset(secret, 's', sizeof(secret) - 1);
	memset(token, 't', sizeof(token) - 1);
	memset(region, 'r', sizeof(region) - 1);
	settings.access_key_id = id;
	settings.secret_access_key = secret;
	settings.session_token = token;
	settings.region = region;
	UNIT_TRUE(provider_ses.build(&(struct provider_call){.settings = &settings, .message = &message, .now = NOW}, &request, &verdict));
	UNIT_INT(request.n_headers, 4);
	provider_request_clear(&request);
}

static void chinese_regions_have_their_own_domain(void)
{
	struct settings_provider settings = settings_of("", "");
	struct ipc_message message = message_of("From: a\r\n\r\n", one, 1);
	struct provider_request request;
	struct provider_verdict verdict;

	settings.region = TEXT("cn-north-1");
	UNIT_TRUE(provider_ses.build(&(struct provider_call){.settings = &settings, .message = &message, .now = NOW}, &request, &verdict));
	UNIT_TEXT(request.url, "https://email.cn-north-1.amazonaws.com.cn/v2/email/outbound-emails");
	provider_request_clear(&request);
}

/* ---- answers ---- */

static struct str header(const void *ctx, const char *name)
{
	return str_ieq(str_of(name), STR("x-amzn-ErrorType")) ? str_of(ctx) : STR("");
}

static struct provider_verdict answered(unsigned status, const char *type, const char *body)
{
	struct provider_answer answer = {
		.status = status, .body = str_of(body), .header = header, .header_ctx = type};
	struct provider_verdict verdict;

	provider_ses.classify(&answer, &verdict);
	return verdict;
}

#define M IPC_OUTCOME_PERMANENT
#define P IPC_OUTCOME_PROVIDER_FAULT
#define T IPC_OUTCOME_TRANSIENT
#define U IPC_OUTCOME_UNKNOWN
#define F IPC_OUTCOME_UNFIT

static void every_documented_error_has_its_class(void)
{
	static const struct {
		unsigned status;
		const char *type, *message;
		enum ipc_outcome_class class;
		enum ipc_about about;
	} cases[] = {
		{400, "BadRequestException", "bad", M, IPC_ABOUT_NOTHING},
		{400, "MessageRejected", "Invalid content", M, IPC_ABOUT_NOTHING},
		{400, "MessageRejected", "Email address is not verified. The following identities failed: x", P, IPC_ABOUT_SENDER},
		{400, "MailFromDomainNotVerifiedException", "", P, IPC_ABOUT_SENDER},
		{400, "AccountSuspendedException", "", P, IPC_ABOUT_CREDENTIAL},
		{400, "SendingPausedException", "", P, IPC_ABOUT_CREDENTIAL},
		{400, "LimitExceededException", "", P, IPC_ABOUT_THROTTLE},
		{404, "NotFoundException", "Configuration set <cs> does not exist.", P, IPC_ABOUT_PROVIDER},
		{409, "ConflictException", "", T, IPC_ABOUT_PROVIDER},
		{429, "TooManyRequestsException", "", T, IPC_ABOUT_THROTTLE},
		{400, "ThrottlingException", "Maximum sending rate exceeded.", T, IPC_ABOUT_THROTTLE},
		{429, "ThrottlingException", "Maximum sending rate exceeded.", T, IPC_ABOUT_THROTTLE},
		{400, "Throttling", "Maximum sending rate exceeded.", T, IPC_ABOUT_THROTTLE},
		{400, "ThrottlingException", "Daily message quota exceeded.", P, IPC_ABOUT_THROTTLE},
		{429, "Throttling", "Daily message quota exceeded.", P, IPC_ABOUT_THROTTLE},
		{403, "AccessDeniedException", "", P, IPC_ABOUT_CREDENTIAL},
		{400, "UnrecognizedClientException", "", P, IPC_ABOUT_CREDENTIAL},
		{403, "InvalidClientTokenId", "", P, IPC_ABOUT_CREDENTIAL},
		{403, "SignatureDoesNotMatch", "", P, IPC_ABOUT_CREDENTIAL},
		{403, "InvalidSignatureException", "", P, IPC_ABOUT_CREDENTIAL},
		{403, "ExpiredTokenException", "", P, IPC_ABOUT_CREDENTIAL},
		{400, "ExpiredToken", "", P, IPC_ABOUT_CREDENTIAL},
		{400, "IncompleteSignature", "", P, IPC_ABOUT_CREDENTIAL},
		{403, "MissingAuthenticationToken", "", P, IPC_ABOUT_CREDENTIAL},
		{400, "RequestExpired", "", P, IPC_ABOUT_CREDENTIAL},
		{403, "RequestTimeTooSkewed", "", P, IPC_ABOUT_CREDENTIAL},
		{500, "InternalServiceErrorException", "", T, IPC_ABOUT_PROVIDER},
		{500, "InternalFailure", "", T, IPC_ABOUT_PROVIDER},
		{503, "ServiceUnavailable", "", T, IPC_ABOUT_PROVIDER},
		/* Not SES's own words. */
		{400, "", "", P, IPC_ABOUT_PROVIDER},
		{403, "", "", P, IPC_ABOUT_PROVIDER},
		{404, "", "", P, IPC_ABOUT_PROVIDER},
		{301, "", "", P, IPC_ABOUT_PROVIDER},
		{418, "SomethingNewException", "", P, IPC_ABOUT_PROVIDER},
		{413, "", "", F, IPC_ABOUT_NOTHING},
		{429, "", "", T, IPC_ABOUT_THROTTLE},
		{500, "", "", T, IPC_ABOUT_PROVIDER},
		{502, "", "", U, IPC_ABOUT_PROVIDER},
		{503, "", "", T, IPC_ABOUT_PROVIDER},
		{504, "", "", U, IPC_ABOUT_PROVIDER},
		{0, "", "", P, IPC_ABOUT_PROVIDER},
		{99999, "", "", P, IPC_ABOUT_PROVIDER},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char body[300], type[200];
		struct provider_verdict in_header, in_body;

		snprintf(type, sizeof(type), "%s:http://internal.amazon.com/coral/com.amazonaws.ses/", cases[i].type);
		snprintf(body, sizeof(body), "{\"message\":\"%s\"}", cases[i].message);
		in_header = answered(cases[i].status, type, body);
		snprintf(body, sizeof(body), "{\"__type\":\"com.amazonaws.ses#%s\",\"Message\":\"%s\"}", cases[i].type,
			 cases[i].message);
		in_body = answered(cases[i].status, "", body);
		if (in_header.class != cases[i].class)
			printf("\n%u %s:", cases[i].status, cases[i].type);
		UNIT_INT(in_header.class, cases[i].class);
		UNIT_INT(in_body.class, cases[i].class);
		UNIT_INT(in_header.about, cases[i].about);
		UNIT_INT(in_header.code, cases[i].status);
		UNIT_INT(in_header.status[0], cases[i].class == M || cases[i].class == F ? '5' : '4');
		UNIT_TRUE(in_header.reason[0] != '\0');
		UNIT_TEXT(in_header.provider_id, "");
	}
}

static void the_reason_is_in_the_providers_words(void)
{
	UNIT_TEXT(answered(400, "MessageRejected", "{\"message\":\"Invalid\\ncontent\"}").reason,
		  "MessageRejected: Invalid content");
	UNIT_TEXT(answered(400, "", "{\"code\":\"BadRequestException\",\"message\":\"no\"}").reason,
		  "BadRequestException: no");
	UNIT_TEXT(answered(418, "NewException", "{\"message\":\"hm\"}").reason,
		  "not an answer of SES's; is the endpoint right?: NewException: hm");
}

static void the_reason_never_has_the_session_token(void)
{
	struct provider_verdict verdict =
		answered(403, "SignatureDoesNotMatch",
			 "{\"message\":\"The signatures differ.\\n\\nThe Canonical String for this request should have been"
			 "\\n'POST\\nx-amz-security-token:SECRET\\n'\"}");

	UNIT_INT(verdict.class, P);
	UNIT_TRUE(strstr(verdict.reason, "The signatures differ.") != NULL);
	UNIT_TRUE(strstr(verdict.reason, "SECRET") == NULL);
}

static void an_accepted_message_has_its_id(void)
{
	struct provider_verdict verdict = answered(200, "", "{\"MessageId\":\"0100018e-1\"}");

	UNIT_INT(verdict.class, IPC_OUTCOME_SENT);
	UNIT_TEXT(verdict.provider_id, "0100018e-1");
	UNIT_TEXT(verdict.status, "2.0.0");
}

static void success_without_an_id_is_not_known_to_be_one(void)
{
	static const char *const bodies[] = {
		"", "{", "[]", "null", "{\"MessageId\":7}", "{\"MessageId\":\"\"}", "<html>", "{\"MessageId\":\"a\\u0000b\"}",
		"[[[[[[[[[[[[[[[[[[[[{\"MessageId\":\"x\"}]]]]]]]]]]]]]]]]]]]]", "{\"MessageId\":\"\\n\"}",
	};

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		UNIT_INT(answered(200, "", bodies[i]).class, U);
}

UNIT_TESTS({"the envelope becomes the destination", the_envelope_becomes_the_destination},
	   {"the signature covers what is sent", the_signature_covers_what_is_sent},
	   {"Bcc and control headers are stripped, the body is not touched", bcc_and_control_headers_are_stripped},
	   {"a body of any length survives the stripping", a_body_of_any_length_survives_the_stripping},
	   {"what SES cannot take is refused with the reason", what_ses_cannot_take_is_refused_with_the_reason},
	   {"the longest keys can be signed with", the_longest_keys_can_be_signed_with},
	   {"Chinese regions have their own domain", chinese_regions_have_their_own_domain},
	   {"every documented error has its class", every_documented_error_has_its_class},
	   {"the reason is in the provider's words", the_reason_is_in_the_providers_words},
	   {"the reason never has the session token", the_reason_never_has_the_session_token},
	   {"an accepted message has its id", an_accepted_message_has_its_id},
	   {"success without an id is not known to be one", success_without_an_id_is_not_known_to_be_one})
