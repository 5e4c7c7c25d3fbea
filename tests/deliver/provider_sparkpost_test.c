/* SPDX-License-Identifier: Apache-2.0
 *
 * SparkPost: the transmission that is made of a message, and the meaning of every answer in SparkPost's documents.
 */
#include "tests/support/provider_unit.h"

#define TEXT PROVIDER_UNIT_TEXT

static struct settings_provider row(void)
{
	return (struct settings_provider){.key = "sp", .type = PROVIDER_SPARKPOST, .api_key = TEXT("abc"), .endpoint = TEXT("")};
}

static const struct {
	const char *name, *content, *recipients[4], *note;
	struct provider_unit_check checks[PROVIDER_UNIT_CHECKS];
} cases[] = {
	{"a message as it is, its envelope beside it", "From: a@a\r\nTo: z@z\r\n\r\nHi \"{{there}}\"\r\n", {"b@b", "\"q\\\"\"@c"},
	 "the envelope's sender is not passed on",
	 {{"content/email_rfc822", "From: a@a\r\nTo: z@z\r\n\r\nHi \"{{there}}\"\r\n"}, {"content/#", "1"}, {"recipients/#", "2"},
	  {"recipients/0/address/email", "b@b"}, {"recipients/1/address/email", "\"q\\\"\"@c"},
	  {"options/transactional", "true"}, {"options/open_tracking", "false"}, {"options/click_tracking", "false"},
	  {"options/perform_substitutions", "false"}, {"metadata/smtp_proxy_id", PROVIDER_UNIT_ID},
	  {"metadata/smtp_proxy_tenant", "018f0000-0000-7000-8000-0000000000bb"}}},
	{"Bcc and orders are taken out", "From: a@a\r\nBcc: x@x\r\nX-MSYS-API: {\"options\":{}}\r\n\r\n.", {"b@b"},
	 "header fields taken out: Bcc, X-MSYS-API\n", {{"content/email_rfc822", "From: a@a\r\n\r\n."}}},
	{"it is made ASCII, and no template", "From: a@a\r\nSubject: {{x}}\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n\xe9 is Latin 1",
	 {"b@b"}, "encoded anew, for it must be ASCII and have no {{ in its header: text/plain, Subject\n",
	 {{"content/email_rfc822", "From: a@a\r\nSubject: =?utf-8?q?=7B=7Bx=7D=7D?=\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n"
	   "Content-Transfer-Encoding: quoted-printable\r\n\r\n=E9 is Latin 1"}}},
};

static void a_message_becomes_a_transmission(void)
{
	const struct settings_provider settings = row();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct provider_unit u;

		provider_unit_build(&u, &settings, str_of(cases[i].content), "a@a", cases[i].recipients);
		UNIT_TRUE(u.is_built);
		provider_unit_parse(&u);
		provider_unit_checks(cases[i].name, u.json, cases[i].checks);
		if (!provider_unit_notes(&u, cases[i].note))
			printf("\n%s: notes: %.*s", cases[i].name, STR_ARG(buf_str(&u.request.notes)));
		UNIT_TRUE(provider_unit_notes(&u, cases[i].note));
		provider_unit_clear(&u);
	}
}

static void the_request_is_addressed_and_authorized(void)
{
	struct settings_provider settings = row();
	const char *const to[] = {"b@b", "c@c", NULL};
	struct provider_unit u;

	provider_unit_build(&u, &settings, STR("From: a@a\r\n\r\n."), "a@a", to);
	UNIT_TEXT(u.request.url, "https://api.sparkpost.com/api/v1/transmissions?num_rcpt_errors=1000");
	UNIT_TEXT(u.request.method, "POST");
	UNIT_TEXT(provider_unit_header(&u, "Authorization"), "abc");
	UNIT_TEXT(provider_unit_header(&u, "Content-Type"), "application/json");
	UNIT_STR(buf_str(&u.request.kept), "b@b\nc@c\n");
	provider_unit_clear(&u);
	settings.endpoint = TEXT("https://api.eu.sparkpost.com");
	provider_unit_build(&u, &settings, STR("From: a@a\r\n\r\n."), "a@a", to);
	UNIT_TEXT(u.request.url, "https://api.eu.sparkpost.com/api/v1/transmissions?num_rcpt_errors=1000");
	provider_unit_clear(&u);
}

static void what_sparkpost_cannot_take_is_unfit(void)
{
	static const struct {
		const char *content, *recipients[3], *status, *reason;
	} rows[] = {
		{"From: a@a\r\n\r\n.", {"\xc3\xa9@b"}, "5.6.7", "not sent to SparkPost: a recipient's address is not ASCII, and it takes no other"},
		{"From: \xc3\xa9@a\r\n\r\n.", {"b@b"}, "5.6.7", "not sent to SparkPost: From has an address that is not ASCII"},
		{"From: {{a}}@a\r\n\r\n.", {"b@b"}, "5.6.0", "not sent to SparkPost: From has an address in which nothing can be encoded"},
	};
	const struct settings_provider settings = row();
	const char *const to[] = {"b@b", NULL};
	struct buf large = BUF_MAX(64 << 20);
	struct provider_unit u;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		provider_unit_build(&u, &settings, str_of(rows[i].content), "a@a", rows[i].recipients);
		UNIT_TRUE(!u.is_built);
		UNIT_INT(u.verdict.class, IPC_OUTCOME_UNFIT);
		UNIT_TEXT(u.verdict.status, rows[i].status);
		UNIT_TEXT(u.verdict.reason, rows[i].reason);
	}
	/* It is too large only when it is encoded. */
	buf_put_text(&large, "From: a@a\r\nMIME-Version: 1.0\r\nContent-Type: application/x\r\n\r\n");
	while (large.n < 16 << 20)
		buf_put_text(&large, "\xff A line of a message that is too large for this provider, when it is encoded.\r\n");
	provider_unit_build(&u, &settings, buf_str(&large), "a@a", to);
	UNIT_TRUE(!u.is_built);
	UNIT_TEXT(u.verdict.status, "5.3.4");
	buf_clear(&large);
}

#define ERROR(code) "{\"errors\":[{\"message\":\"what\",\"description\":\"why\",\"code\":\"" code "\"}]}"
#define M IPC_OUTCOME_PERMANENT, IPC_ABOUT_NOTHING
#define P IPC_OUTCOME_PROVIDER_FAULT
#define T IPC_OUTCOME_TRANSIENT
#define U IPC_OUTCOME_UNKNOWN, IPC_ABOUT_PROVIDER
#define RESULTS(accepted, rejected, errors) \
	"{\"errors\":[{\"message\":\"transmission created, but with validation errors\",\"code\":\"2000\"}],\"results\":{\"id\":\"11\"," \
	"\"total_accepted_recipients\":" accepted ",\"total_rejected_recipients\":" rejected ",\"rcpt_to_errors\":" errors "}}"

static const struct provider_unit_answer answers[] = {
	{"accepted", 200, NULL, "{\"results\":{\"id\":\"11668787484950529\",\"total_accepted_recipients\":2,\"total_rejected_recipients\":0}}",
	 "b@b\nc@c\n", IPC_OUTCOME_SENT, IPC_ABOUT_NOTHING, 0, "11668787484950529", "2.0.0", "accepted"},
	{"no id", 200, NULL, "{\"results\":{}}", "b@b\n", U, 0, "", "4.4.0", "the answer has no message id"},
	{"not JSON", 200, NULL, "<html>", "b@b\n", U, 0, "", "4.4.0", NULL},
	{"odd 2xx", 202, NULL, "", "", U, 0, "", "4.4.0", NULL},
	{"all refused", 200, NULL, RESULTS("0", "1", "[{\"message\":\"what\",\"code\":\"1400\"}]"), "b@b\n", M, 0, "", "5.1.3", "no recipient was taken: what"},
	{"some refused, who is not said", 200, NULL, RESULTS("1", "1", "[{\"message\":\"required field is missing\",\"code\":\"1400\"}]"),
	 "b@b\nc@c\n", M, 0, "", "5.1.3", "1 recipients were taken and 1 refused, and SparkPost does not say which: required field is missing"},
	{"some refused, no errors", 200, NULL, RESULTS("1", "1", "{}"), "b@b\nc@c\n", M, 0, "", "5.1.3", NULL},
	{"some refused, one of two is named", 200, NULL, RESULTS("1", "2", "[{\"message\":\"b@b\"},{\"message\":\"x\"}]"), "b@b\nc@c\nd@d\n", M, 0, "", "5.1.3", NULL},
	{"sender not verified", 400, NULL, ERROR("7001"), "", P, IPC_ABOUT_SENDER, 0, "", "4.7.1", "7001: what: why"},
	{"no DKIM key", 400, NULL, ERROR("1100"), "", P, IPC_ABOUT_SENDER, 0, "", "4.7.1", NULL},
	{"sender not verified, other code", 400, NULL, "{\"errors\":[{\"message\":\"Invalid domain\",\"description\":\"Unconfigured Sending Domain <x>\"}]}",
	 "", P, IPC_ABOUT_SENDER, 0, "", "4.7.1", "Invalid domain: Unconfigured Sending Domain <x>"},
	{"no recipient is valid", 400, NULL, ERROR("5002"), "", M, 0, "", "5.1.3", NULL},
	{"not valid", 400, NULL, ERROR("1300"), "", M, 0, "", "5.6.0", NULL},
	{"not valid, no words", 400, NULL, "{\"errors\":[]}", "", M, 0, "", "5.6.0", "the request is not valid"},
	{"bad key", 401, NULL, "{\"errors\":[{\"message\":\"Unauthorized.\"}]}", "", P, IPC_ABOUT_CREDENTIAL, 0, "", "4.7.8", "Unauthorized."},
	{"a filter", 403, NULL, "<html>", "", P, IPC_ABOUT_PROVIDER, 0, "", "4.7.1", NULL},
	{"not allowed", 403, NULL, "{\"errors\":[{\"message\":\"Forbidden.\"}]}", "", P, IPC_ABOUT_CREDENTIAL, 0, "", "4.7.1", NULL},
	{"wrong path", 404, NULL, "", "", P, IPC_ABOUT_PROVIDER, 0, "", "4.3.5", NULL},
	{"wrong method", 405, NULL, "", "", P, IPC_ABOUT_PROVIDER, 0, "", "4.3.5", NULL},
	{"timed out", 408, NULL, "", "", T, IPC_ABOUT_PROVIDER, 0, "", "4.4.2", NULL},
	{"conflict", 409, NULL, ERROR("1602"), "", T, IPC_ABOUT_PROVIDER, 0, "", "4.3.0", NULL},
	{"too large", 413, NULL, "", "", IPC_OUTCOME_UNFIT, IPC_ABOUT_NOTHING, 0, "", "5.3.4", NULL},
	{"type", 415, NULL, "", "", P, IPC_ABOUT_PROVIDER, 0, "", "4.3.5", NULL},
	{"limit", 420, NULL, "{\"errors\":[{\"message\":\"Exceed Sending Limit (hourly)\",\"code\":\"2101\"}]}", "", P, IPC_ABOUT_THROTTLE, 0, "", "4.7.0", NULL},
	{"field missing", 422, NULL, ERROR("1400"), "", M, 0, "", "5.6.0", NULL},
	{"too fast", 429, NULL, "{\"errors\":[{\"message\":\"Too many requests\"}]}", "", T, IPC_ABOUT_THROTTLE, 0, "", "4.7.0", "Too many requests"},
	{"broken", 500, NULL, "", "", T, IPC_ABOUT_PROVIDER, 0, "", "4.3.0", NULL},
	{"edge", 502, NULL, "", "", U, 0, "", "4.4.0", NULL},
	{"away", 503, NULL, "", "", T, IPC_ABOUT_PROVIDER, 0, "", "4.3.0", NULL},
	{"slow", 504, NULL, "", "", U, 0, "", "4.4.1", NULL},
	{"a redirection", 301, NULL, "", "", P, IPC_ABOUT_PROVIDER, 0, "", "4.3.5", NULL},
	{"nonsense", 12345, NULL, "", "", P, IPC_ABOUT_PROVIDER, 0, "", "4.3.5", "not an answer of SparkPost's; is the endpoint right?"},
};

static void answers_are_classified(void)
{
	provider_unit_answers(PROVIDER_SPARKPOST, answers, sizeof(answers) / sizeof(answers[0]));
}

/* Each address is a piece of the next. */
static void an_address_within_another_is_not_named(void)
{
	const struct provider_unit_answer answer = {
		"partial", 200, NULL,
		RESULTS("3", "1", "[{\"message\":\"<xa@d.example.com>: no\"}]"),
		"a@d.example\na@d.example.com\nxa@d.example\nxa@d.example.com\n", 0, 0, 0, NULL, NULL, NULL};
	struct provider_verdict verdict;
	struct ipc_refusal refusal;
	struct reader r;

	provider_unit_classify(PROVIDER_SPARKPOST, &answer, &verdict);
	UNIT_INT(verdict.class, IPC_OUTCOME_SENT);
	r = reader_of(buf_str(&verdict.refusals));
	UNIT_TRUE(ipc_get_refusal(&r, &refusal));
	UNIT_INT(refusal.recipient, 3);
	UNIT_TRUE(!ipc_get_refusal(&r, &refusal));
	provider_verdict_clear(&verdict);
}

static void the_refused_are_those_it_names(void)
{
	const struct provider_unit_answer answer = {
		"partial", 200, NULL,
		RESULTS("1", "2", "[{\"message\":\"bad\",\"description\":\"D@d is not valid\"},{\"message\":\"b@b: no\"}]"),
		"b@b\nc@c\nd@d\n", 0, 0, 0, NULL, NULL, NULL};
	struct provider_verdict verdict;
	struct ipc_refusal refusal;
	struct reader r;

	provider_unit_classify(PROVIDER_SPARKPOST, &answer, &verdict);
	UNIT_INT(verdict.class, IPC_OUTCOME_SENT);
	UNIT_TEXT(verdict.provider_id, "11");
	r = reader_of(buf_str(&verdict.refusals));
	UNIT_TRUE(ipc_get_refusal(&r, &refusal));
	UNIT_INT(refusal.recipient, 0);
	UNIT_STR(refusal.reason, "b@b: no");
	UNIT_TRUE(ipc_get_refusal(&r, &refusal));
	UNIT_INT(refusal.recipient, 2);
	UNIT_INT(refusal.class, IPC_OUTCOME_PERMANENT);
	UNIT_STR(refusal.reason, "bad: D@d is not valid");
	UNIT_TRUE(!ipc_get_refusal(&r, &refusal));
	provider_verdict_clear(&verdict);
}

static void checks_show_whether_the_key_is_good(void)
{
	UNIT_INT(provider_unit_check_class(PROVIDER_SPARKPOST, 403, ERROR("0")), IPC_OUTCOME_SENT);
	UNIT_INT(provider_unit_check_class(PROVIDER_SPARKPOST, 403, "<html>"), -1);
	UNIT_INT(provider_unit_check_class(PROVIDER_SPARKPOST, 401, ERROR("0")), -1);
	UNIT_INT(provider_unit_check_class(PROVIDER_SPARKPOST, 200, "{}"), -1);
}

UNIT_TESTS({"checks show whether the key is good", checks_show_whether_the_key_is_good},
	   {"a message becomes a transmission", a_message_becomes_a_transmission},
	   {"the request is addressed and authorized", the_request_is_addressed_and_authorized},
	   {"what SparkPost cannot take is unfit", what_sparkpost_cannot_take_is_unfit},
	   {"answers are classified", answers_are_classified},
	   {"the refused are those it names", the_refused_are_those_it_names},
	   {"an address within another is not named", an_address_within_another_is_not_named})
