/* SPDX-License-Identifier: Apache-2.0
 *
 * Postmark: the request that is made of a message, and the meaning of every answer in its documents.
 */
#include "tests/support/provider_unit.h"

#define TEXT PROVIDER_UNIT_TEXT

static struct settings_provider row(void)
{
	return (struct settings_provider){.key = "pm", .type = PROVIDER_POSTMARK, .api_key = TEXT("token-1"), .endpoint = TEXT(""),
					  .message_stream = TEXT("")};
}

#define PNG "Content-Type: image/png; name=a.png\r\nContent-ID: <i@x>\r\nContent-Transfer-Encoding: base64\r\n" \
	"Content-Disposition: inline\r\n\r\niVBORw==\r\n"

static void a_message_becomes_a_request(void)
{
	static const struct {
		const char *name, *content, *recipients[5];
		struct provider_unit_check checks[PROVIDER_UNIT_CHECKS];
	} cases[] = {
		{"plain", "From: \"Ann, \\\"A\\\"\" <a@a>\r\nTo: B <b@b>\r\nSubject: Hi\r\nMessage-ID: <1@a>\r\nX-Own: v\r\nX-PM-Tag: t\r\n"
		 "Reply-To: r@r, S <s@s>\r\n\r\nText\r\n", {"b@b"},
		 {{"From", "\"Ann, \\\"A\\\"\" <a@a>"}, {"To", "\"B\" <b@b>"}, {"Cc", NULL}, {"Bcc", NULL}, {"Subject", "Hi"},
		  {"TextBody", "Text\r\n"}, {"HtmlBody", NULL}, {"ReplyTo", "r@r, \"S\" <s@s>"}, {"Headers/#", "3"},
		  {"Headers/0/Name", "Message-ID"}, {"Headers/0/Value", "<1@a>"}, {"Headers/1/Name", "X-PM-KeepID"},
		  {"Headers/1/Value", "true"}, {"Headers/2/Name", "X-Own"}, {"Headers/2/Value", "v"}, {"Attachments", NULL},
		  {"Metadata/smtp_proxy_id", PROVIDER_UNIT_ID}, {"TrackOpens", "false"}, {"TrackLinks", "None"},
		  {"MessageStream", "outbound"}}},
		{"to, cc and bcc", "From: a@a\r\nTo: b@b, z@z\r\nCc: C <c@c>\r\n\r\n.", {"c@c", "d@d", "B@B", "e@e"},
		 {{"To", "B@B"}, {"Cc", "\"C\" <c@c>"}, {"Bcc", "d@d, e@e"}, {"Subject", "(no subject)"}}},
		{"all blind", "From: a@a\r\n\r\n.", {"c@c", "d@d"}, {{"To", NULL}, {"Cc", NULL}, {"Bcc", "c@c, d@d"}}},
		{"one blind", "From: a@a\r\n\r\n.", {"c@c"}, {{"To", "c@c"}, {"Cc", NULL}, {"Bcc", NULL}}},
		{"only cc", "From: a@a\r\nCc: c@c, d@d\r\n\r\n.", {"c@c", "d@d"}, {{"To", "c@c"}, {"Cc", "d@d"}, {"Bcc", NULL}}},
		{"nothing in it", "From: a@a\r\n\r\n", {"c@c"}, {{"TextBody", " "}, {"HtmlBody", NULL}}},
		{"an image within", "From: a@a\r\nContent-Type: multipart/related; boundary=x\r\n\r\n--x\r\nContent-Type: text/html\r\n\r\n"
		 "<img src=\"cid:i@x\">\r\n--x\r\n" PNG "--x--\r\n", {"c@c"},
		 {{"TextBody", NULL}, {"HtmlBody", "<img src=\"cid:i@x\">"}, {"Attachments/#", "1"}, {"Attachments/0/Name", "a.png"},
		  {"Attachments/0/Content", "iVBORw=="}, {"Attachments/0/ContentType", "image/png"},
		  {"Attachments/0/ContentID", "cid:i@x"}}},
		{"a calendar and a nameless file", "From: a@a\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n"
		 "Content-Type: multipart/alternative; boundary=x\r\n\r\n--x\r\n\r\nT\r\n--x\r\nContent-Type: text/calendar\r\n\r\nC\r\n"
		 "--x--\r\n--y\r\nContent-Type: application/octet-stream\r\n\r\n\r\n--y--\r\n", {"c@c"},
		 {{"TextBody", "T"}, {"Attachments/#", "2"}, {"Attachments/0/Name", "attachment-1.ics"},
		  {"Attachments/0/ContentType", "text/calendar"}, {"Attachments/0/ContentID", NULL},
		  {"Attachments/1/Name", "attachment-2.dat"}, {"Attachments/1/Content", "Cg=="}}},
	};
	const struct settings_provider settings = row();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct provider_unit u;

		provider_unit_build(&u, &settings, str_of(cases[i].content), "a@a", cases[i].recipients);
		UNIT_TRUE(u.is_built);
		provider_unit_parse(&u);
		provider_unit_checks(cases[i].name, u.json, cases[i].checks);
		provider_unit_clear(&u);
	}
}

static void the_request_is_addressed_and_authorized(void)
{
	const char *const to[] = {"b@b", NULL};
	struct settings_provider settings = row();
	struct provider_unit u;

	settings.message_stream = TEXT("news");
	provider_unit_build(&u, &settings, STR("From: a@a\r\nTo: q@q\r\nX-PM-Tag: t\r\n\r\n."), "a@a", to);
	UNIT_TEXT(u.request.url, "https://api.postmarkapp.com/email");
	UNIT_TEXT(u.request.method, "POST");
	UNIT_TEXT(provider_unit_header(&u, "X-Postmark-Server-Token"), "token-1");
	UNIT_TEXT(provider_unit_header(&u, "Content-Type"), "application/json");
	UNIT_STR(buf_str(&u.request.kept), "b@b\n");
	UNIT_TRUE(provider_unit_notes(&u, "X-PM-Tag: not passed on"));
	UNIT_TRUE(provider_unit_notes(&u, "q@q is not among the recipients"));
	provider_unit_parse(&u);
	provider_unit_checks("stream", u.json, (struct provider_unit_check[]){{"MessageStream", "news"}, {NULL, NULL}});
	provider_unit_clear(&u);
}

static void what_it_does_not_carry_is_unfit(void)
{
	static const struct {
		const char *head, *recipients[3], *status;
		size_t body;
	} cases[] = {
		{"From: a@a\r\n\r\n", {"b@b"}, "5.3.4", (5 << 20) + 1},
		{"From: a@a\r\nContent-Type: application/pdf\r\n\r\n", {"b@b"}, "5.3.4", 8 << 20},
		{"From: a@a\r\n\r\n", {"b@b"}, "5.3.4", 11 << 20},
		{"From: a@a\r\nContent-Disposition: attachment; filename=x.EXE\r\n\r\n.", {"b@b"}, "5.6.1", 1},
		{"From: a@a\r\n\r\n", {"b@b", "\xc3\xa9@c"}, "5.6.7", 1},
		{"From: a@a\r\nContent-Type: multipart/signed; protocol=\"application/pgp-signature\"; boundary=x\r\n\r\n--x\r\n\r\nT\r\n--x\r\n"
		 "Content-Type: application/pgp-signature\r\n\r\nS\r\n--x--\r\n", {"b@b"}, "5.6.1", 1},
	};
	const struct settings_provider settings = row();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf content = BUF_MAX(32 << 20);
		struct provider_unit u;

		buf_put_text(&content, cases[i].head);
		memset(buf_room(&content, cases[i].body), 'x', cases[i].body);
		buf_added(&content, cases[i].body);
		provider_unit_build(&u, &settings, buf_str(&content), "a@a", cases[i].recipients);
		UNIT_TRUE(!u.is_built);
		UNIT_INT(u.verdict.class, IPC_OUTCOME_UNFIT);
		UNIT_TEXT(u.verdict.status, cases[i].status);
		buf_clear(&content);
		provider_unit_clear(&u);
	}
}

#define GOOD(message) "{\"To\":\"x\",\"SubmittedAt\":\"2026-11-22T06:00:00Z\",\"MessageID\":\"id-1\",\"ErrorCode\":0,\"Message\":\"" message "\"}"
#define BAD(code, message) "{\"ErrorCode\":" #code ",\"Message\":\"" message "\"}"

static const char *const retry_after[] = {"Retry-After", "7", NULL};

static void every_answer_has_its_meaning(void)
{
	static const struct provider_unit_answer answers[] = {
		{"taken", 200, NULL, GOOD("OK"), "", IPC_OUTCOME_SENT, IPC_ABOUT_NOTHING, 0, "id-1", "2.0.0", "accepted"},
		{"delayed", 200, NULL, GOOD("Message OK, but delivery may be delayed"), "", IPC_OUTCOME_SENT, IPC_ABOUT_NOTHING, 0, "id-1",
		 "2.0.0", NULL},
		{"no id", 200, NULL, BAD(0, "OK"), "", IPC_OUTCOME_SENT, IPC_ABOUT_NOTHING, 0, "", "2.0.0", "accepted"},
		{"not Postmark", 200, NULL, "<html>", "", IPC_OUTCOME_UNKNOWN, IPC_ABOUT_PROVIDER, 0, "", "4.4.0", NULL},
		{"a code with 200", 200, NULL, BAD(300, "x"), "", IPC_OUTCOME_UNKNOWN, IPC_ABOUT_PROVIDER, 0, "", "4.4.0", NULL},
		{"token", 401, NULL, BAD(10, "No Account or Server API tokens were supplied"), "", IPC_OUTCOME_PROVIDER_FAULT,
		 IPC_ABOUT_CREDENTIAL, 0, "", "4.7.8", NULL},
		{"token, another status", 422, NULL, BAD(10, "Bad token"), "", IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_CREDENTIAL, 0, "", "4.7.8", NULL},
		{"invalid", 422, NULL, BAD(300, "Invalid 'From' address: 'b@b'."), "b@b\nc@c\n", IPC_OUTCOME_PERMANENT, IPC_ABOUT_NOTHING, 0, "",
		 "5.6.0", "300: Invalid 'From' address: 'b@b'."},
		{"invalid recipient", 422, NULL, BAD(300, "Invalid 'To' address: 'b@b'."), "b@b\n", IPC_OUTCOME_PERMANENT, IPC_ABOUT_NOTHING, 0,
		 "", "5.1.3", NULL},
		{"unknown sender", 422, NULL, BAD(400, "x"), "", IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_SENDER, 0, "", "4.7.1", NULL},
		{"unconfirmed sender", 422, NULL, BAD(401, "x"), "", IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_SENDER, 0, "", "4.7.1", NULL},
		{"JSON", 422, NULL, BAD(402, "x"), "", IPC_OUTCOME_PERMANENT, IPC_ABOUT_NOTHING, 0, "", "5.6.0", NULL},
		{"credit", 422, NULL, BAD(405, "x"), "", IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_CREDENTIAL, 0, "", "4.7.1", NULL},
		{"inactive", 422, NULL, BAD(406, "Found inactive addresses: b@b, c@c. They"), "B@b\nc@c\n", IPC_OUTCOME_PERMANENT, IPC_ABOUT_NOTHING,
		 0, "", "5.1.1", NULL},
		{"inactive, unnamed", 422, NULL, BAD(406, "Inactive"), "b@b\nc@c\n", IPC_OUTCOME_PERMANENT, IPC_ABOUT_NOTHING, 0, "", "5.1.1",
		 "406: Inactive"},
		{"file type", 422, NULL, BAD(411, "x"), "", IPC_OUTCOME_UNFIT, IPC_ABOUT_NOTHING, 0, "", "5.6.1", NULL},
		{"pending", 422, NULL, BAD(412, "x"), "", IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_CREDENTIAL, 0, "", "4.7.1", NULL},
		{"may not send", 422, NULL, BAD(413, "x"), "", IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_CREDENTIAL, 0, "", "4.7.1", NULL},
		{"stream", 422, NULL, BAD(1235, "The Message Stream 'x' was not found"), "", IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_PROVIDER, 0, "",
		 "4.3.5", NULL},
		{"other", 422, NULL, BAD(999, "x"), "", IPC_OUTCOME_PERMANENT, IPC_ABOUT_NOTHING, 0, "", "5.6.0", NULL},
		{"a filter", 403, NULL, "<html>", "", IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_PROVIDER, 0, "", "4.7.1", NULL},
		{"a proxy", 401, NULL, "<html>", "", IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_PROVIDER, 0, "", "4.7.1", NULL},
		{"path", 404, NULL, "", "", IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_PROVIDER, 0, "", "4.3.5", NULL},
		{"large", 413, NULL, "", "", IPC_OUTCOME_UNFIT, IPC_ABOUT_NOTHING, 0, "", "5.3.4", NULL},
		{"throttled", 429, retry_after, "", "", IPC_OUTCOME_TRANSIENT, IPC_ABOUT_THROTTLE, 7, "",
		 "4.7.0", NULL},
		{"maintenance", 503, NULL, BAD(100, "Maintenance"), "", IPC_OUTCOME_TRANSIENT, IPC_ABOUT_PROVIDER, 0, "", "4.3.2", NULL},
		{"error", 500, NULL, "", "", IPC_OUTCOME_TRANSIENT, IPC_ABOUT_PROVIDER, 0, "", "4.3.0", NULL},
		{"gateway", 502, NULL, "", "", IPC_OUTCOME_UNKNOWN, IPC_ABOUT_PROVIDER, 0, "", "4.4.0", NULL},
		{"gateway timeout", 504, NULL, "", "", IPC_OUTCOME_UNKNOWN, IPC_ABOUT_PROVIDER, 0, "", "4.4.1", NULL},
		{"teapot", 418, NULL, "", "", IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_PROVIDER, 0, "", "4.3.0", NULL},
		{"redirect", 302, NULL, "", "", IPC_OUTCOME_TRANSIENT, IPC_ABOUT_PROVIDER, 0, "", "4.3.0", NULL},
	};

	provider_unit_answers(PROVIDER_POSTMARK, answers, sizeof(answers) / sizeof(answers[0]));
}

static void recipients_that_are_named_fare_otherwise(void)
{
	static const struct {
		struct provider_unit_answer answer;
		const char *refused; /* indices */
	} cases[] = {
		{{"inactive", 200, NULL, GOOD("Message OK, but will not deliver to these inactive addresses: c@c, d@d."), "b@b\nC@c\nd@d\nc@c\nc@cc\n",
		  IPC_OUTCOME_SENT, 0, 0, "id-1", "2.0.0", NULL}, "123"},
		{{"a piece of another", 200, NULL, GOOD("will not deliver to these inactive addresses: xc@c, c@c.org"), "c@c\n", IPC_OUTCOME_SENT, 0, 0,
		  "id-1", "2.0.0", NULL}, ""},
		{{"named before", 200, NULL, GOOD("c@c: OK"), "c@c\n", IPC_OUTCOME_SENT, 0, 0, "id-1", "2.0.0", NULL}, ""},
		{{"one invalid", 422, NULL, BAD(300, "Invalid 'To' address: 'c@c'."), "b@b\nc@c\n", IPC_OUTCOME_TRANSIENT, 0, 0, "", "4.5.0", NULL}, "1"},
		{{"some inactive", 422, NULL, BAD(406, "Found inactive addresses: c@c."), "b@b\nc@c\n", IPC_OUTCOME_TRANSIENT, 0, 0, "", "4.5.0", NULL},
		 "1"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct provider_verdict verdict;
		struct ipc_refusal refusal;
		struct reader r;
		char found[16] = "";

		provider_unit_classify(PROVIDER_POSTMARK, &cases[i].answer, &verdict);
		UNIT_INT(verdict.class, cases[i].answer.class);
		UNIT_INT(verdict.about, IPC_ABOUT_NOTHING);
		r = reader_of(buf_str(&verdict.refusals));
		while (ipc_get_refusal(&r, &refusal)) {
			UNIT_INT(refusal.class, IPC_OUTCOME_PERMANENT);
			snprintf(found + strlen(found), sizeof(found) - strlen(found), "%u", refusal.recipient);
		}
		UNIT_TEXT(found, cases[i].refused);
		provider_verdict_clear(&verdict);
	}
}

UNIT_TESTS({"a message becomes a request", a_message_becomes_a_request},
	   {"the request is addressed and authorized", the_request_is_addressed_and_authorized},
	   {"what it does not carry is unfit", what_it_does_not_carry_is_unfit},
	   {"every answer has its meaning", every_answer_has_its_meaning},
	   {"recipients that are named fare otherwise", recipients_that_are_named_fare_otherwise})
