/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of deliver/provider_sendgrid.c: messages to JSON, looked at field by field, and answers to verdicts.
 */
#include <json-c/json.h>
#include <stdlib.h>

#include "deliver/mime_message.h"
#include "deliver/provider.h"
#include "lib/base/clock.h"
#include "lib/base/encode.h"
#include "lib/base/mem.h"
#include "tests/support/unit.h"

enum { CHECKS = 24, RECIPIENTS = 8 };

static char api_key[] = "SG.abc.def";
static char no_endpoint[] = "";

static struct settings_provider row(void)
{
	return (struct settings_provider){.key = "sg", .type = PROVIDER_SENDGRID, .api_key = api_key,
					  .endpoint = no_endpoint};
}

static bool build(struct str content, const char *from, const struct str *recipients, unsigned n,
		  struct provider_request *request, struct provider_verdict *verdict)
{
	const struct settings_provider settings = row();
	struct ipc_message message = {
		.mail_from = str_of(from),
		.recipients = recipients,
		.n_recipients = n,
		.content = content,
		.size = (uint32_t)content.n,
	};

	mime_message_prepare();
	UNIT_TRUE(uuid_parse(STR("018f0000-0000-7000-8000-0000000000aa"), &message.id));
	UNIT_TRUE(uuid_parse(STR("018f0000-0000-7000-8000-0000000000bb"), &message.tenant));
	*request = (struct provider_request){0};
	return provider_of(PROVIDER_SENDGRID)->build(&(struct provider_call){.settings = &settings, .message = &message, .now = 0}, request, verdict);
}

/* What stands at "attachments/0/content"; NULL when there is nothing. "...#" is an array's or object's size. */
static struct json_object *at(struct json_object *root, const char *path, struct json_object **size)
{
	struct str rest = str_of(path), name;

	while (root != NULL && str_next(&rest, '/', &name)) {
		char key[64];
		uint64_t i;

		if (str_eq(name, STR("#"))) {
			*size = json_object_new_int(json_object_is_type(root, json_type_array)
							    ? (int)json_object_array_length(root)
							    : json_object_object_length(root));
			return *size;
		}
		str_copy(name, key, sizeof(key));
		if (json_object_is_type(root, json_type_array))
			root = str_u64(name, 0, 10000, &i) ? json_object_array_get_idx(root, i) : NULL;
		else if (!json_object_is_type(root, json_type_object) || !json_object_object_get_ex(root, key, &root))
			root = NULL;
	}
	return root;
}

static struct json_object *parse(const struct provider_request *request)
{
	char *text = mem_copy(request->body.p, request->body.n);
	struct json_tokener *tokener = json_tokener_new_ex(32);
	struct json_object *root;

	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	root = json_tokener_parse_ex(tokener, text, (int)request->body.n + 1);
	if (json_tokener_get_error(tokener) != json_tokener_success)
		printf("\n%s in %s\n", json_tokener_error_desc(json_tokener_get_error(tokener)), text);
	UNIT_INT(json_tokener_get_error(tokener), json_tokener_success);
	UNIT_TRUE(str_is_utf8(buf_str(&request->body)));
	json_tokener_free(tokener);
	free(text);
	return root;
}

struct check {
	const char *path, *value; /* NULL: not there */
};

static void check_all(const char *name, struct json_object *root, const struct check *checks, unsigned n)
{
	for (unsigned i = 0; i < n && checks[i].path != NULL; i++) {
		struct json_object *size = NULL, *found = at(root, checks[i].path, &size);
		const char *actual = found == NULL ? "(nothing)" : json_object_get_string(found);
		const char *expected = checks[i].value == NULL ? "(nothing)" : checks[i].value;

		if (strcmp(actual, expected) != 0)
			printf("\n%s: %s:", name, checks[i].path);
		UNIT_TEXT(actual, expected);
		json_object_put(size);
	}
}

static const struct {
	const char *name, *content;
	const char *recipients[RECIPIENTS];
	struct check checks[CHECKS];
} cases[] = {
	{"a plain message",
	 "From: Ann Other <ann@a.example>\r\nTo: Bob <bob@b.example>\r\nSubject: Hello\r\nDate: now\r\n"
	 "MIME-Version: 1.0\r\nMessage-ID: <1@a>\r\nReceived: by us\r\n\r\nHi\r\nthere\r\n",
	 {"bob@b.example"},
	 {{"personalizations/#", "1"}, {"personalizations/0/to/#", "1"},
	  {"personalizations/0/to/0/email", "bob@b.example"}, {"personalizations/0/to/0/name", "Bob"},
	  {"personalizations/0/cc", NULL}, {"personalizations/0/bcc", NULL}, {"from/email", "ann@a.example"},
	  {"from/name", "Ann Other"}, {"subject", "Hello"}, {"content/#", "1"}, {"content/0/type", "text/plain"},
	  {"content/0/value", "Hi\r\nthere\r\n"}, {"attachments", NULL}, {"reply_to", NULL},
	  {"headers/#", "1"}, {"headers/Message-ID", "<1@a>"},
	  {"custom_args/smtp_proxy_id", "018f0000-0000-7000-8000-0000000000aa"},
	  {"custom_args/smtp_proxy_tenant", "018f0000-0000-7000-8000-0000000000bb"},
	  {"tracking_settings/click_tracking/enable", "false"},
	  {"tracking_settings/click_tracking/enable_text", "false"},
	  {"tracking_settings/open_tracking/enable", "false"},
	  {"tracking_settings/subscription_tracking/enable", "false"}}},
	{"header addresses outside the envelope are left out, envelope-only ones are bcc",
	 "From: a@a\r\nTo: x@x, B@b, y@y\r\nCc: \"C, see\" <c@c>, z@z\r\nBcc: secret@s\r\n\r\n.",
	 {"b@B", "c@c", "secret@s", "d@d"},
	 {{"personalizations/#", "1"}, {"personalizations/0/to/#", "1"}, {"personalizations/0/to/0/email", "b@B"},
	  {"personalizations/0/cc/#", "1"}, {"personalizations/0/cc/0/email", "c@c"},
	  {"personalizations/0/cc/0/name", "C, see"}, {"personalizations/0/bcc/#", "2"},
	  {"personalizations/0/bcc/0/email", "secret@s"}, {"personalizations/0/bcc/1/email", "d@d"},
	  {"headers", NULL}}},
	{"an address is told once, and To wins over Cc",
	 "From: a@a\r\nTo: b@b, B@B\r\nCc: b@b, c@c\r\n\r\n.",
	 {"b@b", "B@b", "c@c", "b@b"},
	 {{"personalizations/0/to/#", "1"}, {"personalizations/0/cc/#", "1"},
	  {"personalizations/0/cc/0/email", "c@c"}, {"personalizations/0/bcc", NULL}}},
	{"the order of the headers is kept",
	 "From: a@a\r\nTo: z@z, m@m, b@b\r\n\r\n.",
	 {"b@b", "m@m", "z@z"},
	 {{"personalizations/0/to/0/email", "z@z"}, {"personalizations/0/to/1/email", "m@m"},
	  {"personalizations/0/to/2/email", "b@b"}}},
	{"recipients that no header names get a copy each",
	 "From: a@a\r\nTo: undisclosed-recipients:;\r\n\r\n.",
	 {"b@b", "c@c", "B@b"},
	 {{"personalizations/#", "2"}, {"personalizations/0/to/#", "1"}, {"personalizations/0/to/0/email", "b@b"},
	  {"personalizations/0/bcc", NULL}, {"personalizations/1/to/#", "1"},
	  {"personalizations/1/to/0/email", "c@c"}}},
	{"with only Cc in the envelope its first address is the one in to",
	 "From: a@a\r\nTo: x@x\r\nCc: c@c, d@d\r\n\r\n.",
	 {"b@b", "d@d", "c@c"},
	 {{"personalizations/#", "1"}, {"personalizations/0/to/#", "1"}, {"personalizations/0/to/0/email", "c@c"},
	  {"personalizations/0/cc/#", "1"}, {"personalizations/0/cc/0/email", "d@d"},
	  {"personalizations/0/bcc/0/email", "b@b"}}},
	{"groups give their members", "From: a@a\r\nTo: team: b@b, C <c@c>;, d@d\r\n\r\n.",
	 {"b@b", "c@c", "d@d"}, {{"personalizations/0/to/#", "3"}, {"personalizations/0/to/1/name", "C"}}},
	{"repeated and folded To fields are one list", "From: a@a\r\nTo: b@b,\r\n c@c\r\nTO: d@d\r\n\r\n.",
	 {"b@b", "c@c", "d@d"}, {{"personalizations/0/to/#", "3"}, {"personalizations/0/bcc", NULL}}},
	{"without From the envelope's sender is it", "To: b@b\r\n\r\n.", {"b@b"}, {{"from/email", "sender@s"}}},
	{"of several authors the first is it", "From: a@a, A Two <a2@a>\r\nTo: b@b\r\n\r\n.", {"b@b"},
	 {{"from/email", "a@a"}, {"from/name", NULL}}},
	{"one Reply-To", "From: a@a\r\nTo: b@b\r\nReply-To: R <r@r>\r\n\r\n.", {"b@b"},
	 {{"reply_to/email", "r@r"}, {"reply_to/name", "R"}, {"reply_to_list", NULL}, {"headers", NULL}}},
	{"several Reply-To, each once", "From: a@a\r\nTo: b@b\r\nReply-To: r@r, s@s, R@r\r\n\r\n.", {"b@b"},
	 {{"reply_to", NULL}, {"reply_to_list/#", "2"}, {"reply_to_list/1/email", "s@s"}}},
	{"encoded words are decoded",
	 "From: =?iso-8859-1?q?Jos=E9?= <a@a>\r\nTo: =?utf-8?b?w5xtaXQ=?= <b@b>\r\n"
	 "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n =?koi8-r?b?0NLJ18XU?=\r\n\r\n.",
	 {"b@b"},
	 {{"from/name", "Jos\xc3\xa9"}, {"personalizations/0/to/0/name", "\xc3\x9cmit"},
	  {"subject", "Gr\xc3\xbc\xc3\x9f" "e\xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82"}}},
	{"raw 8-bit headers are read as UTF-8, else as Latin 1",
	 "From: Jos\xe9 <a@a>\r\nTo: \xc3\x9cmit <b@b>\r\nSubject: caf\xe9\r\nX-City: Z\xc3\xbcrich\r\n\r\n.",
	 {"b@b"},
	 {{"from/name", "Jos\xc3\xa9"}, {"personalizations/0/to/0/name", "\xc3\x9cmit"}, {"subject", "caf\xc3\xa9"},
	  {"headers/X-City", "=?UTF-8?b?WsO8cmljaA==?="}}},
	{"an empty subject and an empty body get stand-ins", "From: a@a\r\nTo: b@b\r\nSubject: \r\n\r\n", {"b@b"},
	 {{"subject", "(no subject)"}, {"content/#", "1"}, {"content/0/type", "text/plain"},
	  {"content/0/value", " "}}},
	{"text, html and others come in this order",
	 "From: a@a\r\nTo: b@b\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=x\r\n\r\n"
	 "--x\r\nContent-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\n--x\r\n"
	 "Content-Type: text/html; charset=utf-8\r\n\r\n<p>\xc3\xa9</p>\r\n--x\r\n\r\nplain\r\n--x--\r\n",
	 {"b@b"},
	 {{"content/#", "3"}, {"content/0/type", "text/plain"}, {"content/0/value", "plain"},
	  {"content/1/type", "text/html"}, {"content/1/value", "<p>\xc3\xa9</p>"},
	  {"content/2/type", "text/calendar"}, {"attachments", NULL}}},
	{"an empty text beside html is left out",
	 "From: a@a\r\nTo: b@b\r\nContent-Type: multipart/alternative; boundary=x\r\n\r\n"
	 "--x\r\n\r\n\r\n--x\r\nContent-Type: text/html\r\n\r\n<p>\r\n--x--\r\n",
	 {"b@b"}, {{"content/#", "1"}, {"content/0/type", "text/html"}}},
	{"attachments, inline images, nested multiparts",
	 "From: a@a\r\nTo: b@b\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n"
	 "--m\r\nContent-Type: multipart/related; boundary=r\r\n\r\n"
	 "--r\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n"
	 "--a\r\nContent-Type: text/plain\r\n\r\nt\r\n--a\r\nContent-Type: text/html\r\n\r\n<img src=\"cid:i1\">\r\n"
	 "--a--\r\n--r\r\nContent-Type: image/png; name=i.png\r\nContent-ID: <i1>\r\nContent-Disposition: inline\r\n"
	 "Content-Transfer-Encoding: base64\r\n\r\niVBORw0K\r\n--r--\r\n"
	 "--m\r\nContent-Type: application/pdf; name=\"x.pdf\"\r\n"
	 "Content-Disposition: attachment; filename=\"a;b,c.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERg==\r\n"
	 "--m\r\nContent-Type: application/octet-stream\r\n\r\nraw\r\n--m--\r\n",
	 {"b@b"},
	 {{"content/#", "2"}, {"attachments/#", "3"}, {"attachments/0/type", "image/png"},
	  {"attachments/0/disposition", "inline"}, {"attachments/0/content_id", "i1"},
	  {"attachments/0/filename", "i.png"}, {"attachments/0/content", "iVBORw0K"},
	  {"attachments/1/type", "application/pdf"}, {"attachments/1/disposition", "attachment"},
	  {"attachments/1/content_id", NULL}, {"attachments/1/filename", "a_b_c.pdf"},
	  {"attachments/1/content", "JVBERg=="}, {"attachments/2/filename", "attachment-3.bin"},
	  {"attachments/2/content", "cmF3"}}},
	{"other headers are passed, repeated ones joined",
	 "From: a@a\r\nTo: b@b\r\nList-Unsubscribe: <https://u.example/1>,\r\n\t<mailto:u@u>\r\n"
	 "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nX-Tag: one\r\nx-tag: two\r\nIn-Reply-To: <1@a>\r\n"
	 "In-Reply-To: <2@a>\r\nX-Empty:\r\nX-SMTPAPI: {\"to\":[\"e@e\"]}\r\nDKIM-Signature: v=1\r\n"
	 "Resent-To: e@e\r\nContent-Language: de\r\nContent-Type: text/plain\r\nReturn-Path: <a@a>\r\n\r\n.",
	 {"b@b"},
	 {{"headers/#", "5"}, {"headers/List-Unsubscribe", "<https://u.example/1>, <mailto:u@u>"},
	  {"headers/List-Unsubscribe-Post", "List-Unsubscribe=One-Click"}, {"headers/X-Tag", "one, two"},
	  {"headers/In-Reply-To", "<1@a>"}, {"headers/Content-Language", "de"}}},
	{"quotes and control characters are escaped",
	 "From: a@a\r\nTo: b@b\r\nSubject: \"\\ \x01\x7f\r\n\r\na\"\\\x01\x7f\tz\r\n",
	 {"b@b"}, {{"subject", "\"\\"}, {"content/0/value", "a\"\\\x01\x7f\tz\r\n"}}},
};

static void messages_become_json(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct str recipients[RECIPIENTS];
		struct provider_request request;
		struct provider_verdict verdict;
		struct json_object *root;
		unsigned n = 0;

		while (n < RECIPIENTS && cases[i].recipients[n] != NULL) {
			recipients[n] = str_of(cases[i].recipients[n]);
			n++;
		}
		UNIT_TRUE(build(str_of(cases[i].content), "sender@s", recipients, n, &request, &verdict));
		root = parse(&request);
		check_all(cases[i].name, root, cases[i].checks, CHECKS);
		json_object_put(root);
		provider_request_clear(&request);
	}
}

static void the_request_is_addressed_and_authorized(void)
{
	static const struct {
		const char *endpoint, *url;
	} urls[] = {
		{"", "https://api.sendgrid.com/v3/mail/send"},
		{"https://api.eu.sendgrid.com", "https://api.eu.sendgrid.com/v3/mail/send"},
		{"http://127.0.0.1:8025/", "http://127.0.0.1:8025/v3/mail/send"},
	};
	const struct str to = STR("b@b");

	mime_message_prepare();
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		struct settings_provider settings = row();
		const struct ipc_message message = {.mail_from = STR("a@a"), .recipients = &to, .n_recipients = 1,
						    .content = STR("To: b@b\r\n\r\n.")};
		struct provider_request request;
		struct provider_verdict verdict;

		settings.endpoint = mem_text(urls[i].endpoint);
		UNIT_TRUE(provider_of(PROVIDER_SENDGRID)->build(&(struct provider_call){.settings = &settings, .message = &message, .now = 0}, &request, &verdict));
		UNIT_TEXT(request.url, urls[i].url);
		UNIT_TEXT(request.method, "POST");
		UNIT_INT(request.n_headers, 3);
		UNIT_TEXT(request.headers[0], "Authorization: Bearer SG.abc.def");
		UNIT_TEXT(request.headers[1], "Content-Type: application/json");
		UNIT_TEXT(request.headers[2], "Accept: application/json");
		provider_request_clear(&request);
		UNIT_INT(request.n_headers, 0);
		free(settings.endpoint);
	}
}

static void what_sendgrid_cannot_take_is_unfit(void)
{
	struct str recipients[1001];
	struct provider_request request;
	struct provider_verdict verdict;
	struct buf large = BUF_MAX(64 << 20);

	for (unsigned i = 0; i < 1001; i++)
		recipients[i] = STR("b@b");
	UNIT_TRUE(build(STR("From: a@a\r\n\r\n."), "a@a", recipients, 1000, &request, &verdict));
	provider_request_clear(&request);
	UNIT_TRUE(!build(STR("From: a@a\r\n\r\n."), "a@a", recipients, 1001, &request, &verdict));
	UNIT_INT(verdict.class, IPC_OUTCOME_UNFIT);
	UNIT_TEXT(verdict.status, "5.5.3");
	UNIT_TRUE(!build(STR("To: b@b\r\n\r\n."), "", recipients, 1, &request, &verdict));
	UNIT_INT(verdict.class, IPC_OUTCOME_UNFIT);
	UNIT_TEXT(verdict.status, "5.6.0");
	buf_put_text(&large, "From: a@a\r\n\r\n");
	while (large.n < (31 << 20))
		buf_put_text(&large, "A line of a message that is too large for this provider.\r\n");
	UNIT_TRUE(!build(buf_str(&large), "a@a", recipients, 1, &request, &verdict));
	UNIT_INT(verdict.class, IPC_OUTCOME_UNFIT);
	UNIT_TEXT(verdict.status, "5.3.4");
	UNIT_TRUE(request.body.p == NULL);
	buf_clear(&large);
}

static void a_thousand_recipients_are_told(void)
{
	static char addresses[1000][32];
	struct str recipients[1000];
	struct buf content = BUF_MAX(1 << 20);
	struct provider_request request;
	struct provider_verdict verdict;
	const struct check checks[] = {{"personalizations/#", "1"}, {"personalizations/0/to/#", "500"},
				       {"personalizations/0/bcc/#", "500"},
				       {"personalizations/0/to/499/email", "user499@example.com"}};
	struct json_object *root;

	buf_put_text(&content, "From: a@a\r\nTo: ");
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(addresses[i], sizeof(addresses[i]), "user%u@example.com", i);
		recipients[i] = str_of(addresses[i]);
		if (i < 500)
			buf_printf(&content, "%s%s", i == 0 ? "" : ",\r\n ", addresses[i]);
	}
	buf_put_text(&content, "\r\n\r\nhi");
	UNIT_TRUE(build(buf_str(&content), "a@a", recipients, 1000, &request, &verdict));
	root = parse(&request);
	check_all("1000", root, checks, 4);
	json_object_put(root);
	provider_request_clear(&request);
	buf_clear(&content);
}

/* ---- answers ---- */

static struct str header_of(const void *ctx, const char *name)
{
	const char *const *headers = ctx;

	for (; headers != NULL && headers[0] != NULL; headers += 2)
		if (str_ieq(str_of(headers[0]), str_of(name)))
			return str_of(headers[1]);
	return STR("");
}

static const char *const id[] = {"X-Message-Id", "LRzXl_NHStOGhQ4kofSm_A", NULL};
static const char *const retry[] = {"Retry-After", "17", "X-RateLimit-Reset", "1600000099", NULL};
static const char *const reset[] = {"x-ratelimit-reset", "1600000042", NULL};
static const char *const past[] = {"x-ratelimit-reset", "1500000000", NULL};
static const char *const far[] = {"x-ratelimit-reset", "1700000000", NULL};
static const char *const dated[] = {"retry-after", "Sun, 13 Sep 2020 12:27:10 GMT", NULL};
static const char *const junk[] = {"retry-after", "Fri, 31 Dec 1999 25:59:59 GMT", "x-ratelimit-reset", "-1", NULL};

static const struct {
	const char *name;
	unsigned status;
	const char *const *headers;
	const char *body;
	enum ipc_outcome_class class;
	uint32_t retry_after;
	const char *provider_id, *enhanced, *reason;
} answers[] = {
	{"accepted", 202, id, "", IPC_OUTCOME_SENT, 0, "LRzXl_NHStOGhQ4kofSm_A", "2.0.0", "accepted"},
	{"accepted without an id", 202, NULL, "junk", IPC_OUTCOME_SENT, 0, "", "2.0.0", "accepted"},
	{"sandbox", 200, id, "", IPC_OUTCOME_SENT, 0, "LRzXl_NHStOGhQ4kofSm_A", "2.0.0", NULL},
	{"not valid", 400, NULL,
	 "{\"errors\":[{\"message\":\"Does not contain a valid address.\",\"field\":\"personalizations.0.to\","
	 "\"help\":null},{\"message\":\"second\",\"field\":null}],\"id\":\"x\"}",
	 IPC_OUTCOME_PERMANENT, 0, "", "5.1.3", "personalizations.0.to: Does not contain a valid address.; second"},
	{"not valid, a recipient", 400, NULL, "{\"errors\":[{\"message\":\"no\",\"field\":\"personalizations.12.bcc.3.email\"}]}",
	 IPC_OUTCOME_PERMANENT, 0, "", "5.1.3", NULL},
	{"not valid, only words", 400, NULL, "{\"errors\":[{\"message\":\"invalid recipient\"}]}", IPC_OUTCOME_PERMANENT, 0, "",
	 "5.1.3", "invalid recipient"},
	{"not valid, of a recipient", 400, NULL, "{\"errors\":[{\"message\":\"no\",\"field\":\"personalizations.0.subject\"}]}",
	 IPC_OUTCOME_PERMANENT, 0, "", "5.6.0", NULL},
	{"not valid, its sender", 400, NULL, "{\"errors\":[{\"message\":\"no\",\"field\":\"from.email\"}]}",
	 IPC_OUTCOME_PERMANENT, 0, "", "5.1.7", NULL},
	{"not valid, where answers go", 400, NULL,
	 "{\"errors\":[{\"message\":\"Does not contain a valid address.\",\"field\":\"reply_to.email\"}]}",
	 IPC_OUTCOME_PERMANENT, 0, "", "5.6.0", NULL},
	{"not valid, no JSON", 400, NULL, "<html>", IPC_OUTCOME_PERMANENT, 0, "", "5.6.0", "the request is not valid"},
	{"not valid, other JSON", 400, NULL, "{\"errors\":{\"message\":[1]}}", IPC_OUTCOME_PERMANENT, 0, "", "5.6.0",
	 "the request is not valid"},
	{"not valid, odd members", 400, NULL, "{\"errors\":[1,null,[],{\"message\":5},{\"message\":\"m\\u0000\\n\"}]}",
	 IPC_OUTCOME_PERMANENT, 0, "", "5.6.0", "m"},
	{"not valid, broken off", 400, NULL, "{\"errors\":[{\"message\":\"Bad", IPC_OUTCOME_PERMANENT, 0, "", "5.6.0",
	 "the request is not valid"},
	{"not valid, deep", 400, NULL, "[[[[[[[[[[[[[[[[[[[[", IPC_OUTCOME_PERMANENT, 0, "", "5.6.0", NULL},
	{"bad key", 401, NULL, "{\"errors\":[{\"field\":null,\"message\":\"authorization required\"}]}",
	 IPC_OUTCOME_PROVIDER_FAULT, 0, "", "4.7.8", "authorization required"},
	{"sender not verified", 403, NULL, "{\"errors\":[{\"message\":\"not verified\",\"field\":\"from\"}]}",
	 IPC_OUTCOME_PROVIDER_FAULT, 0, "", "4.7.1", "from: not verified"},
	{"wrong path", 404, NULL, "", IPC_OUTCOME_PROVIDER_FAULT, 0, "", "4.3.5", NULL},
	{"wrong method", 405, NULL, "", IPC_OUTCOME_PROVIDER_FAULT, 0, "", "4.3.5", NULL},
	{"no Accept", 406, NULL, "", IPC_OUTCOME_PROVIDER_FAULT, 0, "", "4.3.5", NULL},
	{"too large", 413, NULL, "", IPC_OUTCOME_UNFIT, 0, "", "5.3.4", NULL},
	{"wrong encoding", 415, NULL, "", IPC_OUTCOME_PERMANENT, 0, "", "5.6.0", NULL},
	{"unknown refusal", 451, NULL, "", IPC_OUTCOME_PROVIDER_FAULT, 0, "", "4.3.0", NULL},
	{"too fast, Retry-After wins", 429, retry, "{\"errors\":[{\"field\":null,\"message\":\"too many requests\"}]}",
	 IPC_OUTCOME_TRANSIENT, 17, "", "4.7.0", "too many requests"},
	{"too fast, reset", 429, reset, "", IPC_OUTCOME_TRANSIENT, 42, "", "4.7.0", NULL},
	{"too fast, reset in the past", 429, past, "", IPC_OUTCOME_TRANSIENT, 1, "", "4.7.0", NULL},
	{"too fast, reset far away", 429, far, "", IPC_OUTCOME_TRANSIENT, 3600, "", "4.7.0", NULL},
	{"too fast, a date", 429, dated, "", IPC_OUTCOME_TRANSIENT, 30, "", "4.7.0", NULL},
	{"too fast, junk", 429, junk, "", IPC_OUTCOME_TRANSIENT, 0, "", "4.7.0", NULL},
	{"broken", 500, reset, "", IPC_OUTCOME_TRANSIENT, 0, "", "4.3.0", NULL},
	{"edge", 502, NULL, "<html>", IPC_OUTCOME_UNKNOWN, 0, "", "4.4.0", NULL},
	{"away", 503, retry, "", IPC_OUTCOME_TRANSIENT, 17, "", "4.3.2", NULL},
	{"slow", 504, NULL, "", IPC_OUTCOME_UNKNOWN, 0, "", "4.4.1", NULL},
	{"odd 2xx", 204, NULL, "", IPC_OUTCOME_UNKNOWN, 0, "", "4.4.0", NULL},
	{"a redirection", 302, NULL, "", IPC_OUTCOME_TRANSIENT, 0, "", "4.3.0", NULL},
	{"nonsense", 999, NULL, "", IPC_OUTCOME_TRANSIENT, 0, "", "4.3.0", NULL},
};

static void answers_are_classified(void)
{
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		const struct provider_answer answer = {.status = answers[i].status, .body = str_of(answers[i].body), .header = header_of,
						       .header_ctx = answers[i].headers, .now = 1600000000 * CLOCK_SECOND};
		struct provider_verdict verdict;

		provider_of(PROVIDER_SENDGRID)->classify(&answer, &verdict);
		if (verdict.class != answers[i].class)
			printf("\n%s:", answers[i].name);
		UNIT_INT(verdict.class, answers[i].class);
		UNIT_INT(verdict.code, answers[i].status);
		UNIT_INT(verdict.retry_after, answers[i].retry_after);
		UNIT_TEXT(verdict.provider_id, answers[i].provider_id);
		UNIT_TEXT(verdict.status, answers[i].enhanced);
		if (answers[i].reason != NULL)
			UNIT_TEXT(verdict.reason, answers[i].reason);
		UNIT_TRUE(verdict.reason[0] != '\0');
	}
}

static const char *const rate[] = {"X-RateLimit-Limit", "600", "X-RateLimit-Remaining", "599", "X-RateLimit-Reset", "1600000042", NULL};
static const char *const half_a_rate[] = {"X-RateLimit-Limit", "600", "X-RateLimit-Reset", "1600000042", NULL};

static void what_an_answer_says_of_the_provider_is_read(void)
{
	static const struct {
		unsigned status;
		const char *const *headers;
		const char *body;
		enum ipc_about about;
		struct ipc_rate rate;
	} rows[] = {
		{202, rate, "", IPC_ABOUT_NOTHING, {600, 599, 42}},
		{429, rate, "", IPC_ABOUT_THROTTLE, {600, 599, 42}},
		{202, half_a_rate, "", IPC_ABOUT_NOTHING, {0, 0, 0}},
		{401, NULL, "", IPC_ABOUT_PROVIDER, {0, 0, 0}},
		{403, NULL, "<html>blocked</html>", IPC_ABOUT_PROVIDER, {0, 0, 0}},
		{401, NULL, "{\"errors\":[{\"message\":\"authorization required\"}]}", IPC_ABOUT_CREDENTIAL, {0, 0, 0}},
		{403, NULL, "{\"errors\":[{\"message\":\"access forbidden\"}]}", IPC_ABOUT_CREDENTIAL, {0, 0, 0}},
		{403, NULL, "{\"errors\":[{\"message\":\"no\",\"field\":\"from\"}]}", IPC_ABOUT_SENDER, {0, 0, 0}},
		{403, NULL, "{\"errors\":[{\"message\":\"The from address does not match a verified Sender Identity.\"}]}",
		 IPC_ABOUT_SENDER, {0, 0, 0}},
		{500, NULL, "", IPC_ABOUT_PROVIDER, {0, 0, 0}},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct provider_answer answer = {.status = rows[i].status, .body = str_of(rows[i].body), .header = header_of,
						       .header_ctx = rows[i].headers, .now = 1600000000 * CLOCK_SECOND};
		struct provider_verdict verdict;

		provider_of(PROVIDER_SENDGRID)->classify(&answer, &verdict);
		UNIT_INT(verdict.about, rows[i].about);
		UNIT_INT(verdict.rate.limit, rows[i].rate.limit);
		UNIT_INT(verdict.rate.left, rows[i].rate.left);
		UNIT_INT(verdict.rate.reset, rows[i].rate.reset);
	}
}

static void addresses_that_are_not_ascii_are_refused_with_the_reason(void)
{
	static const struct {
		const char *content, *from, *recipient;
		const char *reason; /* NULL: it is sent */
	} rows[] = {
		{"From: a@a\r\n\r\n.", "a@a", "b@b", NULL},
		{"From: a@a\r\n\r\n.", "\xc3\xa9@a", "b@b", NULL}, /* the envelope's is not used */
		{"From: a@a\r\n\r\n.", "a@a", "\xc3\xa9@b", "not sent to SendGrid: a recipient's address is not ASCII, and it takes no other"},
		{"From: a@a\r\n\r\n.", "a@a", "b@\xc3\xa9.example", "not sent to SendGrid: a recipient's address is not ASCII, and it takes no other"},
		{"From: \xc3\xa9@a\r\n\r\n.", "a@a", "b@b", "not sent to SendGrid: the sender's address is not ASCII, and it takes no other"},
		{"Subject: x\r\n\r\n.", "\xc3\xa9@a", "b@b", "not sent to SendGrid: the sender's address is not ASCII, and it takes no other"},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct str recipients[] = {STR("x@x"), str_of(rows[i].recipient)};
		struct provider_request request;
		struct provider_verdict verdict = {0};
		bool is_built = build(str_of(rows[i].content), rows[i].from, recipients, 2, &request, &verdict);

		UNIT_INT(is_built, rows[i].reason == NULL);
		if (is_built) {
			provider_request_clear(&request);
			continue;
		}
		UNIT_INT(verdict.class, IPC_OUTCOME_UNFIT);
		UNIT_TEXT(verdict.status, "5.6.7");
		UNIT_TEXT(verdict.reason, rows[i].reason);
	}
}

UNIT_TESTS({"addresses that are not ASCII are refused with the reason",
	    addresses_that_are_not_ascii_are_refused_with_the_reason},
	   {"messages become JSON", messages_become_json},
	   {"the request is addressed and authorized", the_request_is_addressed_and_authorized},
	   {"what SendGrid cannot take is unfit", what_sendgrid_cannot_take_is_unfit},
	   {"a thousand recipients are told", a_thousand_recipients_are_told},
	   {"answers are classified", answers_are_classified},
	   {"what an answer says of the provider is read", what_an_answer_says_of_the_provider_is_read})
