/* SPDX-License-Identifier: Apache-2.0
 *
 * Resend: messages to JSON, looked at field by field, and the meaning of every answer in Resend's documents.
 */
#include "tests/support/provider_unit.h"

#define TEXT PROVIDER_UNIT_TEXT

static struct settings_provider row(void)
{
	return (struct settings_provider){.key = "rs", .type = PROVIDER_RESEND, .api_key = TEXT("re_1"), .endpoint = TEXT("")};
}

#define RELATED \
	"From: a@a\r\nTo: b@b\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n" \
	"--m\r\nContent-Type: multipart/related; boundary=r\r\n\r\n--r\r\nContent-Type: text/html\r\n\r\n<img src=\"cid:i1\">\r\n" \
	"--r\r\nContent-Type: image/png; name=i.png\r\nContent-ID: <i1>\r\nContent-Disposition: inline\r\n" \
	"Content-Transfer-Encoding: base64\r\n\r\niVBORw0K\r\n--r--\r\n"

static const struct {
	const char *name, *content, *recipients[6];
	const char *note; /* among the notes; NULL: whatever they are */
	struct provider_unit_check checks[PROVIDER_UNIT_CHECKS];
} cases[] = {
	{"a plain message",
	 "From: Ann Other <ann@a.example>\r\nTo: Bob <bob@b.example>\r\nSubject: Hello\r\nDate: now\r\nMessage-ID: <1@a>\r\n\r\nHi\r\n",
	 {"bob@b.example"}, "Date: not passed on\n",
	 {{"from", "Ann Other <ann@a.example>"}, {"to/#", "1"}, {"to/0", "Bob <bob@b.example>"}, {"cc", NULL}, {"bcc", NULL},
	  {"subject", "Hello"}, {"text", "Hi\r\n"}, {"html", NULL}, {"reply_to", NULL}, {"attachments", NULL},
	  {"headers/#", "1"}, {"headers/Message-ID", "<1@a>"}, {"tags/#", "2"}, {"tags/0/name", "smtp_proxy_id"},
	  {"tags/0/value", PROVIDER_UNIT_ID}, {"tags/1/name", "smtp_proxy_tenant"}}},
	{"who stands in no header is bcc, who is no recipient is not shown",
	 "From: a@a\r\nTo: x@x, b@b\r\nCc: c@c\r\nReply-To: r@r, S <s@s>\r\nSubject: s\r\n\r\n.", {"d@d", "c@c", "b@b"},
	 "To: x@x is not among the recipients, and is not shown",
	 {{"to/#", "1"}, {"to/0", "b@b"}, {"cc/#", "1"}, {"cc/0", "c@c"}, {"bcc/#", "1"}, {"bcc/0", "d@d"},
	  {"reply_to/#", "2"}, {"reply_to/1", "S <s@s>"}}},
	{"names that would need quotes",
	 "From: \"Doe, Jane (x)\" <a@a>\r\nTo: \"Last, First\" <b@b>, \"Fr\xc3\xa9" "d\" <c@c>, \"\xc3\xa9.\" <d@d>\r\n\r\n.", {"b@b", "c@c", "d@d"},
	 "From: the name is sent as Doe Jane x,",
	 {{"from", "Doe Jane x <a@a>"}, {"to/0", "=?utf-8?q?Last=2C_First?= <b@b>"}, {"to/1", "Fr\xc3\xa9" "d <c@c>"},
	  {"to/2", "=?utf-8?q?=C3=A9=2E?= <d@d>"}}},
	{"a long name that needs encoding is divided between characters",
	 "From: a@a\r\nTo: \"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9,\" <b@b>\r\n\r\n.", {"b@b"}, NULL,
	 {{"to/0", "=?utf-8?q?=C3=A9=C3=A9=C3=A9=C3=A9=C3=A9=C3=A9=C3=A9=C3=A9=C3=A9?= =?utf-8?q?=C3=A9=2C?= <b@b>"}}},
	{"html alone gets no text made of it", "From: a@a\r\nTo: b@b\r\nContent-Type: text/html\r\n\r\n<p>", {"b@b"}, NULL,
	 {{"html", "<p>"}, {"text", ""}}},
	{"nothing at all", "From: a@a\r\nTo: b@b\r\n\r\n", {"b@b"}, "Subject: it is empty, and one is required: (no subject) is sent",
	 {{"text", " "}, {"html", NULL}, {"subject", "(no subject)"}}},
	{"attachments and their types",
	 RELATED "--m\r\nContent-Type: application/x-zip-compressed; name=\"a.zip\"\r\n\r\nPK\r\n"
	 "--m\r\nContent-Type: application/pdf; name=\"x.odd\"\r\n\r\n%PDF\r\n--m\r\nContent-Type: application/pdf; name=plain\r\n\r\n%PDF\r\n"
	 "--m\r\nContent-Type: application/pdf\r\n\r\n\r\n--m--\r\n", {"b@b"},
	 "attachment a.zip: its type application/x-zip-compressed becomes application/zip,",
	 {{"html", "<img src=\"cid:i1\">"}, {"text", ""}, {"attachments/#", "5"}, {"attachments/0/filename", "i.png"},
	  {"attachments/0/content_type", "image/png"}, {"attachments/0/content_id", "i1"}, {"attachments/0/content", "iVBORw0K"},
	  {"attachments/1/filename", "a.zip"}, {"attachments/1/content_type", "application/zip"}, {"attachments/1/content_id", NULL},
	  {"attachments/2/filename", "x.odd"}, {"attachments/2/content_type", NULL}, {"attachments/3/filename", "plain"},
	  {"attachments/3/content_type", "application/pdf"}, {"attachments/4/filename", "attachment-5.pdf"},
	  {"attachments/4/content", "Cg=="}}},
	{"an invitation is attached",
	 "From: a@a\r\nTo: b@b\r\nContent-Type: multipart/alternative; boundary=x\r\n\r\n--x\r\n\r\nt\r\n"
	 "--x\r\nContent-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\n--x--\r\n", {"b@b"},
	 "text/calendar is attached, not a form of the text",
	 {{"text", "t"}, {"attachments/#", "1"}, {"attachments/0/filename", "attachment-1.ics"},
	  {"attachments/0/content_type", "text/calendar"}}},
	{"one recipient that no header names", "From: a@a\r\nTo: x@x\r\n\r\n.", {"b@b"}, NULL, {{"to/#", "1"}, {"to/0", "b@b"}, {"bcc", NULL}}},
	{"several that no header names are a batch", "From: a@a\r\nTo: undisclosed-recipients:;\r\nSubject: s\r\n\r\n.", {"d@d", "b@b", "D@d"}, NULL,
	 {{"#", "2"}, {"0/to/#", "1"}, {"0/to/0", "d@d"}, {"0/subject", "s"}, {"0/text", "."}, {"1/to/0", "b@b"}, {"1/tags/#", "2"},
	  {"1/bcc", NULL}}},
};

static void messages_become_json(void)
{
	const struct settings_provider settings = row();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct provider_unit u;

		provider_unit_build(&u, &settings, str_of(cases[i].content), "sender@s", cases[i].recipients);
		UNIT_TRUE(u.is_built);
		provider_unit_parse(&u);
		provider_unit_checks(cases[i].name, u.json, cases[i].checks);
		if (cases[i].note != NULL && !provider_unit_notes(&u, cases[i].note))
			printf("\n%s: notes: %.*s", cases[i].name, STR_ARG(buf_str(&u.request.notes)));
		UNIT_TRUE(cases[i].note == NULL || provider_unit_notes(&u, cases[i].note));
		provider_unit_clear(&u);
	}
}

static char *key_of(const char *content, const char *const *recipients)
{
	const struct settings_provider settings = row();
	struct provider_unit u;
	char *key;

	provider_unit_build(&u, &settings, str_of(content), "a@a", recipients);
	UNIT_TRUE(u.is_built);
	key = mem_text(provider_unit_header(&u, "Idempotency-Key"));
	provider_unit_clear(&u);
	return key;
}

static void the_same_attempt_has_the_same_key(void)
{
	const char *const two[] = {"b@b", "c@c", NULL}, *const one[] = {"b@b", NULL}, *const none_in_header[] = {"x@x", NULL};
	char *first = key_of("From: a@a\r\nTo: b@b\r\n\r\n.", two), *second = key_of("From: a@a\r\nTo: b@b\r\n\r\n.", two);
	char *fewer = key_of("From: a@a\r\nTo: b@b\r\n\r\n.", one), *other = key_of("From: a@a\r\nTo: b@b\r\n\r\n.", none_in_header);

	UNIT_TEXT(first, "smtp-proxy/" PROVIDER_UNIT_ID "/3/cba5d1db238259f648033a19189a8ca5");
	UNIT_TEXT(second, first);
	UNIT_TRUE(strcmp(first, fewer) != 0 && strcmp(fewer, other) != 0);
	free(first);
	free(second);
	free(fewer);
	free(other);
}

static void the_request_is_addressed_and_authorized(void)
{
	const struct settings_provider settings = row();
	const char *const one[] = {"b@b", NULL}, *const two[] = {"b@b", "c@c", NULL};
	struct provider_unit u;

	provider_unit_build(&u, &settings, STR("From: a@a\r\n\r\n."), "a@a", one);
	UNIT_TEXT(u.request.url, "https://api.resend.com/emails");
	UNIT_TEXT(u.request.method, "POST");
	UNIT_TEXT(provider_unit_header(&u, "Authorization"), "Bearer re_1");
	UNIT_TEXT(provider_unit_header(&u, "User-Agent"), "smtp-proxy");
	UNIT_TEXT(provider_unit_header(&u, "x-batch-validation"), "");
	UNIT_INT(u.request.kept.n, 0);
	provider_unit_clear(&u);
	provider_unit_build(&u, &settings, STR("From: a@a\r\n\r\n."), "a@a", two);
	UNIT_TEXT(u.request.url, "https://api.resend.com/emails/batch");
	UNIT_TEXT(provider_unit_header(&u, "x-batch-validation"), "permissive");
	UNIT_STR(buf_str(&u.request.kept), "0 1 ");
	provider_unit_clear(&u);
}

static void what_resend_cannot_take_is_unfit(void)
{
	static const struct {
		const char *content, *recipients[4], *status, *reason;
	} rows[] = {
		{RELATED "--m--\r\n", {"x@x", "y@y"}, "5.5.3", NULL},
		{"From: a@a\r\n\r\n.", {"\xc3\xa9@b"}, "5.6.7", "not sent to Resend: a recipient's address is not ASCII, and it takes no other"},
		{"From: \xc3\xa9@b\r\n\r\n.", {"b@b"}, "5.6.7", "not sent to Resend: the sender's address is not ASCII, and it takes no other"},
		{"From: a@a\r\nContent-Type: multipart/signed; boundary=x; protocol=\"application/pgp-signature\"\r\n\r\n--x\r\n\r\nt\r\n--x--\r\n",
		 {"b@b"}, "5.6.1", NULL},
		{"From: a@a\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\nContent-Type: multipart/encrypted; boundary=x\r\n\r\n"
		 "--x\r\n\r\nt\r\n--x--\r\n--y--\r\n", {"b@b"}, "5.6.1", NULL},
		{"From: a@a\r\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\nxx", {"b@b"}, "5.6.1", NULL},
	};
	const struct settings_provider settings = row();

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct provider_unit u;

		provider_unit_build(&u, &settings, str_of(rows[i].content), "a@a", rows[i].recipients);
		UNIT_TRUE(!u.is_built);
		UNIT_INT(u.verdict.class, IPC_OUTCOME_UNFIT);
		UNIT_TEXT(u.verdict.status, rows[i].status);
		if (rows[i].reason != NULL)
			UNIT_TEXT(u.verdict.reason, rows[i].reason);
		UNIT_TRUE(u.request.body.p == NULL);
	}
}

static const char *const retry[] = {"retry-after", "2", "ratelimit-limit", "2", NULL};

#define SAYS(name) "{\"statusCode\":400,\"name\":\"" name "\",\"message\":\"why\"}"
#define M IPC_OUTCOME_PERMANENT, IPC_ABOUT_NOTHING
#define P IPC_OUTCOME_PROVIDER_FAULT
#define T IPC_OUTCOME_TRANSIENT
#define U IPC_OUTCOME_UNKNOWN, IPC_ABOUT_PROVIDER

static const struct provider_unit_answer answers[] = {
	{"accepted", 200, retry, "{\"id\":\"49a3999c\"}", "", IPC_OUTCOME_SENT, IPC_ABOUT_NOTHING, 0, "49a3999c", "2.0.0", "accepted"},
	{"no id", 200, NULL, "{}", "", U, 0, "", "4.4.0", "the answer has no message id"},
	{"not JSON", 200, NULL, "<html>", "", U, 0, "", "4.4.0", NULL},
	{"odd 2xx", 202, NULL, "{\"id\":\"x\"}", "", U, 0, "", "4.4.0", NULL},
	{"bad key of ours", 400, NULL, SAYS("invalid_idempotency_key"), "", M, 0, "", "5.6.0", "invalid_idempotency_key: why"},
	{"not valid", 400, NULL, SAYS("validation_error"), "", M, 0, "", "5.6.0", NULL},
	{"no key", 401, NULL, SAYS("missing_api_key"), "", P, IPC_ABOUT_CREDENTIAL, 0, "", "4.7.8", NULL},
	{"restricted key", 401, NULL, SAYS("restricted_api_key"), "", P, IPC_ABOUT_CREDENTIAL, 0, "", "4.7.8", NULL},
	{"bad key", 403, NULL, SAYS("invalid_api_key"), "", P, IPC_ABOUT_CREDENTIAL, 0, "", "4.7.8", NULL},
	{"a filter", 403, NULL, "<html>blocked</html>", "", P, IPC_ABOUT_PROVIDER, 0, "", "4.7.1", NULL},
	{"a proxy", 401, NULL, "", "", P, IPC_ABOUT_PROVIDER, 0, "", "4.7.1", NULL},
	{"another refusal", 403, NULL, SAYS("something_new"), "", P, IPC_ABOUT_PROVIDER, 0, "", "4.7.1", "something_new: why"},
	{"sender not verified", 403, NULL, SAYS("validation_error"), "", P, IPC_ABOUT_SENDER, 0, "", "4.7.1", NULL},
	{"sender not verified, other words", 403, NULL, "{\"message\":\"The x.example domain is not verified.\"}", "", P, IPC_ABOUT_SENDER, 0, "", "4.7.1", NULL},
	{"sender not valid", 403, NULL, SAYS("invalid_from_address"), "", P, IPC_ABOUT_SENDER, 0, "", "4.7.1", NULL},
	{"wrong path", 404, NULL, SAYS("not_found"), "", P, IPC_ABOUT_PROVIDER, 0, "", "4.3.5", NULL},
	{"wrong method", 405, NULL, SAYS("method_not_allowed"), "", P, IPC_ABOUT_PROVIDER, 0, "", "4.3.5", NULL},
	{"timed out", 408, NULL, "", "", T, IPC_ABOUT_PROVIDER, 0, "", "4.4.2", NULL},
	{"in progress", 409, NULL, SAYS("concurrent_idempotent_requests"), "", T, IPC_ABOUT_PROVIDER, 0, "", "4.3.0", NULL},
	{"another request", 409, NULL, SAYS("invalid_idempotent_request"), "", M, 0, "", "5.3.0", NULL},
	{"too large", 413, NULL, "", "", IPC_OUTCOME_UNFIT, IPC_ABOUT_NOTHING, 0, "", "5.3.4", NULL},
	{"attachment", 422, NULL, SAYS("invalid_attachment"), "", M, 0, "", "5.6.0", NULL},
	{"sender", 422, NULL, SAYS("invalid_from_address"), "", M, 0, "", "5.1.7", NULL},
	{"field missing", 422, NULL, SAYS("missing_required_field"), "", M, 0, "", "5.6.0", NULL},
	{"too fast", 429, retry, SAYS("rate_limit_exceeded"), "", T, IPC_ABOUT_THROTTLE, 2, "", "4.7.0", NULL},
	{"too fast, no words", 429, NULL, "", "", T, IPC_ABOUT_THROTTLE, 0, "", "4.7.0", "too many requests"},
	{"day's quota", 429, retry, SAYS("daily_quota_exceeded"), "", P, IPC_ABOUT_THROTTLE, 2, "", "4.7.0", NULL},
	{"month's quota", 429, NULL, SAYS("monthly_quota_exceeded"), "", P, IPC_ABOUT_THROTTLE, 0, "", "4.7.0", NULL},
	{"security", 451, NULL, SAYS("security_error"), "", M, 0, "", "5.7.1", NULL},
	{"broken", 500, NULL, SAYS("application_error"), "", T, IPC_ABOUT_PROVIDER, 0, "", "4.3.0", NULL},
	{"edge", 502, NULL, "<html>", "", U, 0, "", "4.4.0", NULL},
	{"slow", 504, NULL, "", "", U, 0, "", "4.4.1", NULL},
	{"a redirection", 301, NULL, "", "", P, IPC_ABOUT_PROVIDER, 0, "", "4.3.5", NULL},
	{"nonsense", 0, NULL, "", "", P, IPC_ABOUT_PROVIDER, 0, "", "4.3.5", "not an answer of Resend's; is the endpoint right?"},
	{"batch", 200, NULL, "{\"data\":[{\"id\":\"x1\"},{\"id\":\"x2\"}]}", "0 4 ", IPC_OUTCOME_SENT, IPC_ABOUT_NOTHING, 0, "x1", "2.0.0", NULL},
	{"batch, all refused", 200, NULL, "{\"data\":[],\"errors\":[{\"index\":0,\"message\":\"no\"},{\"index\":1,\"message\":\"no\"}]}", "0 4 ",
	 M, 0, "", "5.1.3", "no recipient was taken: no"},
	{"batch, nobody knows who", 200, NULL, "{\"data\":[{\"id\":\"x1\"}],\"errors\":[{\"message\":\"no\"}]}", "0 4 ", U, 0, "", "4.4.0", NULL},
	{"batch, more than there are", 200, NULL, "{\"data\":[{\"id\":\"x1\"}],\"errors\":[{\"index\":2}]}", "0 4 ", U, 0, "", "4.4.0", NULL},
	{"batch, the same twice", 200, NULL, "{\"data\":[{\"id\":\"x1\"}],\"errors\":[{\"index\":1},{\"index\":1}]}", "0 4 ", U, 0, "", "4.4.0", NULL},
	{"batch, empty", 200, NULL, "{}", "0 4 ", U, 0, "", "4.4.0", NULL},
};

static void answers_are_classified(void)
{
	provider_unit_answers(PROVIDER_RESEND, answers, sizeof(answers) / sizeof(answers[0]));
}

static void the_refused_of_a_batch_are_named(void)
{
	static const char *const headers[] = {"ratelimit-limit", "10", "ratelimit-remaining", "7", "ratelimit-reset", "1", NULL};
	const struct provider_unit_answer answer = {
		"batch", 200, headers, "{\"data\":[{\"id\":\"x1\"}],\"errors\":[{\"index\":0,\"message\":\"bad\\none\"},{\"index\":2}]}",
		"1 4 9 ", 0, 0, 0, NULL, NULL, NULL};
	struct provider_verdict verdict;
	struct ipc_refusal refusal;
	struct reader r;

	provider_unit_classify(PROVIDER_RESEND, &answer, &verdict);
	UNIT_INT(verdict.class, IPC_OUTCOME_SENT);
	UNIT_INT(verdict.rate.limit, 10);
	UNIT_INT(verdict.rate.left, 7);
	UNIT_INT(verdict.rate.reset, 1);
	r = reader_of(buf_str(&verdict.refusals));
	UNIT_TRUE(ipc_get_refusal(&r, &refusal));
	UNIT_INT(refusal.recipient, 1);
	UNIT_INT(refusal.class, IPC_OUTCOME_PERMANENT);
	UNIT_STR(refusal.reason, "bad one");
	UNIT_TRUE(ipc_get_refusal(&r, &refusal));
	UNIT_INT(refusal.recipient, 9);
	UNIT_TRUE(!ipc_get_refusal(&r, &refusal));
	provider_verdict_clear(&verdict);
}

UNIT_TESTS({"messages become JSON", messages_become_json},
	   {"the same attempt has the same key", the_same_attempt_has_the_same_key},
	   {"the request is addressed and authorized", the_request_is_addressed_and_authorized},
	   {"what Resend cannot take is unfit", what_resend_cannot_take_is_unfit},
	   {"answers are classified", answers_are_classified},
	   {"the refused of a batch are named", the_refused_of_a_batch_are_named})
