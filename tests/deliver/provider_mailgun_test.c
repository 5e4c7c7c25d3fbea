/* SPDX-License-Identifier: Apache-2.0
 *
 * Mailgun: the form that is made of a message, and the meaning of every answer in Mailgun's documents.
 */
#include "tests/support/provider_unit.h"

#include "lib/base/encode.h"

#define TEXT PROVIDER_UNIT_TEXT

static struct settings_provider row(void)
{
	return (struct settings_provider){.key = "mg", .type = PROVIDER_MAILGUN, .api_key = TEXT("key-1"), .endpoint = TEXT(""),
					  .domain = TEXT("mg.example.com")};
}

#define BOUNDARY "smtp-proxy-" PROVIDER_UNIT_ID
#define FIELD(b, name, value) "--" b "\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" value "\r\n"
#define FORM(b, to, message) \
	to FIELD(b, "o:tracking", "no") FIELD(b, "v:smtp_proxy_id", PROVIDER_UNIT_ID) \
	"--" b "\r\nContent-Disposition: form-data; name=\"message\"; filename=\"message.mime\"\r\n" \
	"Content-Type: application/octet-stream\r\n\r\n" message "\r\n--" b "--\r\n"

static void a_message_becomes_a_form(void)
{
	static const struct {
		const char *content, *recipients[4], *body;
	} cases[] = {
		{"From: a@a\r\nTo: z@z\r\n\r\nHi\r\n", {"b@b"},
		 FORM(BOUNDARY "-0", FIELD(BOUNDARY "-0", "to", "b@b"), "From: a@a\r\nTo: z@z\r\n\r\nHi\r\n")},
		{"From: a@a\r\n\r\n\xff\x00", {"b@b", "\"x, y\"@c", "\xc3\xa9@d"},
		 FORM(BOUNDARY "-0", FIELD(BOUNDARY "-0", "to", "b@b") FIELD(BOUNDARY "-0", "to", "\"x, y\"@c")
		      FIELD(BOUNDARY "-0", "to", "\xc3\xa9@d"), "From: a@a\r\n\r\n\xff")},
		{"From: a@a\r\nBcc: q@q,\r\n r@r\r\nX-Mailgun-Variables: {}\r\nx-mailgun-drop-message: yes\r\nX-Mail: m\r\n\r\nBcc: stays",
		 {"b@b"}, FORM(BOUNDARY "-0", FIELD(BOUNDARY "-0", "to", "b@b"), "From: a@a\r\nX-Mail: m\r\n\r\nBcc: stays")},
		/* Who knows the boundary can put it into a message, but not into the form. */
		{"From: a@a\r\n\r\n--" BOUNDARY "-0--", {"b@b"},
		 FORM(BOUNDARY "-1", FIELD(BOUNDARY "-1", "to", "b@b"), "From: a@a\r\n\r\n--" BOUNDARY "-0--")},
		{"", {"b@b"}, FORM(BOUNDARY "-0", FIELD(BOUNDARY "-0", "to", "b@b"), "")},
	};
	const struct settings_provider settings = row();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct provider_unit u;

		provider_unit_build(&u, &settings, str_of(cases[i].content), "a@a", cases[i].recipients);
		UNIT_TRUE(u.is_built);
		UNIT_STR(buf_str(&u.request.body), cases[i].body);
		provider_unit_clear(&u);
	}
}

static void the_request_is_addressed_and_authorized(void)
{
	static const struct {
		const char *endpoint, *url;
	} urls[] = {
		{"", "https://api.mailgun.net/v3/mg.example.com/messages.mime"},
		{"https://api.eu.mailgun.net/", "https://api.eu.mailgun.net/v3/mg.example.com/messages.mime"},
	};
	const char *const to[] = {"b@b", NULL};

	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		struct settings_provider settings = row();
		struct provider_unit u;

		settings.endpoint = TEXT(urls[i].endpoint);
		provider_unit_build(&u, &settings, STR("From: a@a\r\nBcc: c@c\r\n\r\n."), "a@a", to);
		UNIT_TEXT(u.request.url, urls[i].url);
		UNIT_TEXT(u.request.method, "POST");
		UNIT_TEXT(provider_unit_header(&u, "Authorization"), "Basic YXBpOmtleS0x");
		UNIT_TEXT(provider_unit_header(&u, "Content-Type"), "multipart/form-data; boundary=" BOUNDARY "-0");
		UNIT_TRUE(provider_unit_notes(&u, "header fields taken out: Bcc\n"));
		UNIT_TRUE(provider_unit_notes(&u, "the envelope's sender is not passed on"));
		provider_unit_clear(&u);
	}
}

static void what_is_too_large_is_unfit(void)
{
	const struct settings_provider settings = row();
	const char *const to[] = {"b@b", NULL};
	struct buf large = BUF_MAX(64 << 20);
	struct provider_unit u;

	buf_put_text(&large, "From: a@a\r\n\r\n");
	while (large.n <= 25 << 20)
		buf_put_text(&large, "A line of a message that is too large for this provider, and that is all that it is.\r\n");
	provider_unit_build(&u, &settings, buf_str(&large), "a@a", to);
	UNIT_TRUE(!u.is_built);
	UNIT_INT(u.verdict.class, IPC_OUTCOME_UNFIT);
	UNIT_TEXT(u.verdict.status, "5.3.4");
	UNIT_TEXT(u.verdict.reason, "not sent to Mailgun: it is larger than the 26214400 octets that it takes");
	provider_unit_build(&u, &settings, str_first(buf_str(&large), 25 << 20), "a@a", to);
	UNIT_TRUE(u.is_built);
	provider_unit_clear(&u);
	buf_clear(&large);
}

static const char *const retry[] = {"Retry-After", "17", NULL};

#define LIMIT "Domain X is not allowed to send: request limit exceeded, try again after "

static const struct provider_unit_answer answers[] = {
	{"accepted", 200, NULL, "{\"id\":\"<2011.1@samples.mailgun.org>\",\"message\":\"Queued. Thank you.\"}", "",
	 IPC_OUTCOME_SENT, IPC_ABOUT_NOTHING, 0, "2011.1@samples.mailgun.org", "2.0.0", "Queued. Thank you."},
	{"accepted, bare id", 200, NULL, "{\"id\":\"x@y\"}", "", IPC_OUTCOME_SENT, IPC_ABOUT_NOTHING, 0, "x@y", "2.0.0", "accepted"},
	{"no id", 200, NULL, "{\"id\":7}", "", IPC_OUTCOME_UNKNOWN, IPC_ABOUT_PROVIDER, 0, "", "4.4.0", "the answer has no message id"},
	{"empty id", 200, NULL, "{\"id\":\"<>\"}", "", IPC_OUTCOME_UNKNOWN, IPC_ABOUT_PROVIDER, 0, "", "4.4.0", NULL},
	{"control characters in the id", 200, NULL, "{\"id\":\"<a\\nb>\"}", "", IPC_OUTCOME_UNKNOWN, IPC_ABOUT_PROVIDER, 0, "", "4.4.0", NULL},
	{"not JSON", 200, NULL, "<html>", "", IPC_OUTCOME_UNKNOWN, IPC_ABOUT_PROVIDER, 0, "", "4.4.0", NULL},
	{"odd 2xx", 202, NULL, "", "", IPC_OUTCOME_UNKNOWN, IPC_ABOUT_PROVIDER, 0, "", "4.4.0", NULL},
	{"bad parameter", 400, NULL, "{\"message\":\"missing parameter\"}", "", IPC_OUTCOME_PERMANENT, IPC_ABOUT_NOTHING, 0, "", "5.6.0", "missing parameter"},
	{"bad recipient", 400, NULL, "{\"message\":\"'to' parameter is not a valid address. please check documentation\"}", "",
	 IPC_OUTCOME_PERMANENT, IPC_ABOUT_NOTHING, 0, "", "5.1.3", NULL},
	{"bad sender", 400, NULL, "{\"message\":\"'from' parameter is not a valid address\"}", "", IPC_OUTCOME_PERMANENT,
	 IPC_ABOUT_NOTHING, 0, "", "5.1.7", NULL},
	{"a domain that is not allowed", 400, NULL, "{\"message\":\"Domain X is not allowed to send: Please activate your account.\"}", "",
	 IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_CREDENTIAL, 0, "", "4.7.1", NULL},
	{"bad key", 401, NULL, "Forbidden\n", "", IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_CREDENTIAL, 0, "", "4.7.8", "Forbidden"},
	{"unpaid", 402, NULL, "", "", IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_CREDENTIAL, 0, "", "4.7.0", NULL},
	{"not allowed", 403, NULL, "{\"message\":\"IP cannot be used\"}", "", IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_CREDENTIAL, 0, "", "4.7.1", NULL},
	{"too many at once", 403, NULL, "{\"message\":\"not allowed to send large batches yet\"}", "", IPC_OUTCOME_PROVIDER_FAULT,
	 IPC_ABOUT_THROTTLE, 0, "", "4.7.0", NULL},
	{"a filter", 403, NULL, "error code: 1020", "", IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_PROVIDER, 0, "", "4.7.1", NULL},
	{"a proxy", 401, NULL, "<html>Forbidden</html>", "", IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_PROVIDER, 0, "", "4.7.1", NULL},
	{"unknown domain", 404, NULL, "{\"message\":\"Domain not found\"}", "", IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_PROVIDER, 0, "", "4.3.5", "Domain not found"},
	{"html is not shown", 404, NULL, "<html>", "", IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_PROVIDER, 0, "", "4.3.5",
	 "no such domain; is it of another region (endpoint)?"},
	{"timed out", 408, NULL, "", "", IPC_OUTCOME_TRANSIENT, IPC_ABOUT_PROVIDER, 0, "", "4.4.2", NULL},
	{"too large", 413, NULL, "", "", IPC_OUTCOME_UNFIT, IPC_ABOUT_NOTHING, 0, "", "5.3.4", NULL},
	{"too fast, until", 429, NULL, "{\"message\":\"" LIMIT "Sun, 13 Sep 2020 12:27:10 UTC\"}", "", IPC_OUTCOME_TRANSIENT,
	 IPC_ABOUT_THROTTLE, 30, "", "4.7.0", LIMIT "Sun, 13 Sep 2020 12:27:10 UTC"},
	{"too fast, until long ago", 429, NULL, "{\"message\":\"" LIMIT "Mon, 20 Dec 2010 20:33:21 UTC\"}", "", IPC_OUTCOME_TRANSIENT,
	 IPC_ABOUT_THROTTLE, 1, "", "4.7.0", NULL},
	{"too fast, until some day", 429, NULL, "{\"message\":\"" LIMIT "Mon, 20 Dec 2021 20:33:21 UTC\"}", "", IPC_OUTCOME_TRANSIENT,
	 IPC_ABOUT_THROTTLE, 86400, "", "4.7.0", NULL},
	{"too fast, until nonsense", 429, NULL, "{\"message\":\"" LIMIT "tomorrow\"}", "", IPC_OUTCOME_TRANSIENT, IPC_ABOUT_THROTTLE, 0, "", "4.7.0", NULL},
	{"too fast, Retry-After wins", 429, retry, "{\"message\":\"" LIMIT "Sun, 13 Sep 2020 12:27:10 UTC\"}", "", IPC_OUTCOME_TRANSIENT,
	 IPC_ABOUT_THROTTLE, 17, "", "4.7.0", NULL},
	{"broken", 500, NULL, "", "", IPC_OUTCOME_TRANSIENT, IPC_ABOUT_PROVIDER, 0, "", "4.3.0", "an error at Mailgun"},
	{"edge", 502, NULL, "<html>", "", IPC_OUTCOME_UNKNOWN, IPC_ABOUT_PROVIDER, 0, "", "4.4.0", NULL},
	{"away", 503, retry, "", "", IPC_OUTCOME_TRANSIENT, IPC_ABOUT_PROVIDER, 17, "", "4.3.0", NULL},
	{"slow", 504, NULL, "", "", IPC_OUTCOME_UNKNOWN, IPC_ABOUT_PROVIDER, 0, "", "4.4.1", NULL},
	{"a redirection", 302, NULL, "", "", IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_PROVIDER, 0, "", "4.3.5", NULL},
	{"nonsense", 99999, NULL, "", "", IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_PROVIDER, 0, "", "4.3.5",
	 "not an answer of Mailgun's; is the endpoint right?"},
};

static void answers_are_classified(void)
{
	provider_unit_answers(PROVIDER_MAILGUN, answers, sizeof(answers) / sizeof(answers[0]));
}

static void checks_show_whether_the_key_is_good(void)
{
	UNIT_INT(provider_unit_check_class(PROVIDER_MAILGUN, 400, "{\"message\":\"from parameter is missing\"}"), IPC_OUTCOME_SENT);
	UNIT_INT(provider_unit_check_class(PROVIDER_MAILGUN, 400, "{\"message\":\"Domain X is not allowed to send\"}"),
		 IPC_OUTCOME_PROVIDER_FAULT);
	UNIT_INT(provider_unit_check_class(PROVIDER_MAILGUN, 401, "Forbidden"), -1);
}

UNIT_TESTS({"checks show whether the key is good", checks_show_whether_the_key_is_good},
	   {"a message becomes a form", a_message_becomes_a_form},
	   {"the request is addressed and authorized", the_request_is_addressed_and_authorized},
	   {"what is too large is unfit", what_is_too_large_is_unfit},
	   {"answers are classified", answers_are_classified})
