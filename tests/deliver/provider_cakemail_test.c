/* SPDX-License-Identifier: Apache-2.0
 *
 * Cakemail: what is fetched first, the request that is made of a message, and the meaning of every answer.
 */
#include "tests/support/provider_unit.h"

#define TEXT PROVIDER_UNIT_TEXT

enum { TURNS = 6 };

static struct settings_provider row(void)
{
	return (struct settings_provider){.key = "ck", .type = PROVIDER_CAKEMAIL, .api_key = TEXT(""), .user = TEXT("u+1@x"),
					  .password = TEXT("p&w"), .endpoint = TEXT(""), .list_id = 7};
}

#define API "https://api.cakemail.dev"
#define ASK_TOKEN "POST " API "/token\nContent-Type: application/x-www-form-urlencoded\nAccept: application/json\n" \
	"grant_type=password&username=u%2B1%40x&password=p%26w"
#define ASK_SENDERS(n, token) "GET " API "/brands/default/senders?page=" n "&per_page=50\nAuthorization: Bearer " token "\nAccept: application/json"
#define GIVE_TOKEN "{\"access_token\":\"tok\",\"token_type\":\"bearer\",\"expires_in\":900,\"refresh_token\":\"r\",\"accounts\":[1]}"
#define SENDER(id, email, confirmed) "{\"id\":\"" id "\",\"name\":\"N\",\"email\":\"" email "\",\"confirmed\":" confirmed "}"
#define GIVE_SENDERS "{\"pagination\":{\"page\":1},\"data\":[" SENDER("s1", "a@a", "true") "," SENDER("s2", "b@b", "false") "," \
	SENDER("s\\n3", "c@c", "true") ",7]}"

struct turn {
	const char *ask;
	unsigned status;
	const char *answer;
};

static void check_fetch(const char *name, const struct settings_provider *settings, const struct turn *turns, const char *token,
			int64_t life, const char *why, enum ipc_about about)
{
	struct provider_fetch fetch = {.settings = settings, .now = 1000000, .work = BUF_MAX(65536), .token = BUF_MAX(65536),
				       .expires_at = INT64_MAX};
	struct provider_request request = {.body = BUF_MAX(65536)};
	const struct provider_answer *answer = NULL;
	struct provider_answer given;
	enum provider_step next;
	unsigned turn = 0;

	while ((next = provider_cakemail.fetch(&fetch, answer, &request)) == PROVIDER_STEP_ASK && turn < TURNS && turns[turn].ask != NULL) {
		struct buf asked = BUF_MAX(65536);

		buf_printf(&asked, "%s %s", request.method, request.url);
		for (unsigned i = 0; i < request.n_headers; i++)
			buf_printf(&asked, "\n%s", request.headers[i]);
		if (request.body.n > 0)
			buf_printf(&asked, "\n%.*s", STR_ARG(buf_str(&request.body)));
		UNIT_STR(buf_str(&asked), turns[turn].ask);
		buf_clear(&asked);
		given = (struct provider_answer){.status = turns[turn].status, .body = str_of(turns[turn].answer)};
		answer = &given;
		provider_request_clear(&request);
		turn++;
	}
	if (next != (token != NULL ? PROVIDER_STEP_DONE : PROVIDER_STEP_FAILED) || (turn < TURNS && turns[turn].ask != NULL))
		printf("\n%s, turn %u:", name, turn);
	UNIT_INT(next, token != NULL ? PROVIDER_STEP_DONE : PROVIDER_STEP_FAILED);
	UNIT_TRUE(turn == TURNS || turns[turn].ask == NULL);
	if (token != NULL) {
		UNIT_STR(buf_str(&fetch.token), token);
		UNIT_INT(fetch.expires_at, 1000000 + life * 1000000);
	} else {
		UNIT_INT(fetch.verdict.about, about);
		UNIT_INT(fetch.verdict.class, about == IPC_ABOUT_CREDENTIAL || fetch.verdict.code < 300
						      ? (fetch.verdict.code == 0 ? IPC_OUTCOME_TRANSIENT : IPC_OUTCOME_PROVIDER_FAULT)
						      : IPC_OUTCOME_TRANSIENT);
		if (strstr(fetch.verdict.reason, why) == NULL)
			UNIT_TEXT(fetch.verdict.reason, why);
	}
	provider_request_clear(&request);
	buf_clear(&fetch.work);
	buf_clear(&fetch.token);
}

static void token_and_senders_are_fetched(void)
{
	static const struct {
		const char *name, *api_key;
		struct turn turns[TURNS + 1];
		const char *token;
		int64_t life;
		const char *why;
		enum ipc_about about;
	} cases[] = {
		{"password", "", {{ASK_TOKEN, 200, GIVE_TOKEN}, {ASK_SENDERS("1", "tok"), 200, GIVE_SENDERS}},
		 "tok\n+s1\ta@a\n-s2\tb@b\n", 900, NULL, 0},
		{"key", "K", {{ASK_SENDERS("1", "K"), 200, GIVE_SENDERS}}, "K\n+s1\ta@a\n-s2\tb@b\n", 3600, NULL, 0},
		{"no life", "", {{ASK_TOKEN, 200, "{\"access_token\":\"tok\"}"}, {ASK_SENDERS("1", "tok"), 200, "{\"data\":[]}"}}, "tok\n", 60,
		 NULL, 0},
		{"in trouble for a while", "", {{ASK_TOKEN, 500, ""}, {ASK_TOKEN, 0, "reset"}, {ASK_TOKEN, 200, GIVE_TOKEN},
		 {ASK_SENDERS("1", "tok"), 200, "{\"data\":[]}"}}, "tok\n", 900, NULL, 0},
		{"in trouble", "", {{ASK_TOKEN, 500, ""}, {ASK_TOKEN, 503, ""}, {ASK_TOKEN, 500, "{\"detail\":[{\"msg\":\"m\"}]}"}}, NULL, 0,
		 "no token for user and password: m", IPC_ABOUT_PROVIDER},
		{"away", "", {{ASK_TOKEN, 0, "no"}, {ASK_TOKEN, 0, "no"}, {ASK_TOKEN, 0, "no route"}}, NULL, 0, "no route", IPC_ABOUT_PROVIDER},
		{"wrong password", "", {{ASK_TOKEN, 401, "{\"detail\":[{\"msg\":\"Incorrect\"}]}"}}, NULL, 0, "password: Incorrect",
		 IPC_ABOUT_CREDENTIAL},
		{"a form it does not like", "", {{ASK_TOKEN, 422, "{\"detail\":\"x\"}"}}, NULL, 0, "password: x", IPC_ABOUT_CREDENTIAL},
		{"a second factor", "", {{ASK_TOKEN, 401, "{\"challenge\":\"c\"}"}}, NULL, 0, "second factor", IPC_ABOUT_CREDENTIAL},
		{"a second factor with 200", "", {{ASK_TOKEN, 200, "{\"challenge\":\"c\",\"access_token\":\"t\"}"}}, NULL, 0, "second factor",
		 IPC_ABOUT_CREDENTIAL},
		{"throttled", "", {{ASK_TOKEN, 429, ""}}, NULL, 0, "no token", IPC_ABOUT_THROTTLE},
		{"no token in it", "", {{ASK_TOKEN, 200, "{\"access_token\":\"a b\"}"}}, NULL, 0, "no token in it", IPC_ABOUT_PROVIDER},
		{"a bad key", "K", {{ASK_SENDERS("1", "K"), 401, "{\"detail\":[{\"msg\":\"m\"}]}"}}, NULL, 0, "senders: m", IPC_ABOUT_CREDENTIAL},
		{"a filter", "", {{ASK_TOKEN, 403, "<html>"}}, NULL, 0, "no token", IPC_ABOUT_PROVIDER},
		{"a filter before the senders", "K", {{ASK_SENDERS("1", "K"), 403, "<html>"}}, NULL, 0, "senders", IPC_ABOUT_PROVIDER},
		{"no list", "K", {{ASK_SENDERS("1", "K"), 200, "{\"data\":{}}"}}, NULL, 0, "cannot be understood", IPC_ABOUT_PROVIDER},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct settings_provider settings = row();

		settings.api_key = TEXT(cases[i].api_key);
		check_fetch(cases[i].name, &settings, cases[i].turns, cases[i].token, cases[i].life, cases[i].why, cases[i].about);
	}
}

static void senders_are_read_page_by_page(void)
{
	struct buf page = BUF_MAX(65536), token = BUF_MAX(65536);
	struct settings_provider settings = row();
	struct turn turns[TURNS] = {
		{ASK_SENDERS("1", "K"), 200, NULL},
		{"GET " API "/brands/default/senders?page=2&per_page=50\nAuthorization: Bearer K\nAccept: application/json", 200,
		 "{\"data\":[" SENDER("z", "z@z", "true") "]}"}};

	buf_put_text(&page, "{\"data\":[");
	buf_put_text(&token, "K\n");
	for (unsigned i = 0; i < 50; i++) {
		buf_printf(&page, "%s{\"id\":\"i%u\",\"email\":\"%u@a\",\"confirmed\":true}", i > 0 ? "," : "", i, i);
		buf_printf(&token, "+i%u\t%u@a\n", i, i);
	}
	buf_put_text(&page, "]}");
	buf_put_text(&token, "+z\tz@z\n");
	buf_put(&page, "", 1);
	buf_put(&token, "", 1);
	turns[0].answer = page.p;
	settings.api_key = TEXT("K");
	check_fetch("pages", &settings, turns, token.p, 3600, NULL, IPC_ABOUT_NOTHING);
	buf_clear(&page);
	buf_clear(&token);
}

#define KNOWN STR("tok\n-s0\ta@a\n+s1\ta@a\n-s2\tb@b\n")
#define PART(type, body) "--x\r\nContent-Type: " type "\r\n\r\n" body "\r\n"

static void a_message_becomes_a_request(void)
{
	static const struct {
		const char *name, *content;
		struct provider_unit_check checks[PROVIDER_UNIT_CHECKS];
	} cases[] = {
		{"plain", "From: Ann <A@a>\r\nTo: q@q\r\nSubject: Hi\r\nMessage-ID: <1@a>\r\nReply-To: R <r@r>\r\nX-Own: v\r\n\r\nText\r\n",
		 {{"sender/id", "s1"}, {"sender/name", "Ann"}, {"email", "q@q"}, {"list_id", "7"}, {"without_list_management", NULL},
		  {"content/type", "transactional"}, {"content/encoding", "utf-8"}, {"content/subject", "Hi"}, {"content/text", "Text\r\n"},
		  {"content/html", NULL}, {"tracking/opens", "false"}, {"tracking/clicks_html", "false"}, {"tracking/clicks_text", "false"},
		  {"additional_headers/#", "3"}, {"additional_headers/0/name", "Message-ID"}, {"additional_headers/1/name", "Reply-To"},
		  {"additional_headers/1/value", "R <r@r>"}, {"additional_headers/2/value", "v"}, {"attachment", NULL}}},
		{"nothing in it", "From: a@a\r\n\r\n", {{"content/text", " "}, {"content/subject", "(no subject)"}, {"sender/name", NULL}}},
		{"files", "From: a@a\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n" PART("text/html", "<p>") PART("application/pdf; name=a.pdf", "P")
		 PART("image/jpeg", "J") PART("text/csv", "c") PART("application/octet-stream; name=b.XLSX", "X") "--x--\r\n",
		 {{"content/html", "<p>"}, {"content/text", NULL}, {"attachment/#", "4"}, {"attachment/0/filename", "a.pdf"},
		  {"attachment/0/type", "pdf"}, {"attachment/0/content", "UA=="}, {"attachment/1/type", "jpeg"},
		  {"attachment/1/filename", "attachment-2.jpg"}, {"attachment/2/type", "csv"}, {"attachment/3/type", "xlsx"}}},
		{"a calendar", "From: a@a\r\nContent-Type: multipart/alternative; boundary=x\r\n\r\n" PART("text/plain", "T") PART("text/calendar", "C")
		 "--x--\r\n", {{"content/text", "T"}, {"attachment/#", "1"}, {"attachment/0/type", "calendar"}}},
	};
	static const char *const to[] = {"q@q", NULL};
	const struct settings_provider settings = row();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct provider_unit u;

		provider_unit_build_with(&u, &settings, KNOWN, str_of(cases[i].content), "a@a", to);
		UNIT_TRUE(u.is_built);
		provider_unit_parse(&u);
		provider_unit_checks(cases[i].name, u.json, cases[i].checks);
		provider_unit_clear(&u);
	}
}

static void the_request_is_addressed_and_authorized(void)
{
	static const char content[] = "From: a@a\r\nContent-Type: multipart/related; boundary=x\r\n\r\n" PART("text/html", "<img src=\"cid:i\">")
		"--x\r\nContent-Type: image/png; name=i.png\r\nContent-ID: <i>\r\n\r\nP\r\n--x--\r\n";
	static const char *const to[] = {"q@q", NULL};
	struct settings_provider settings = row();
	struct provider_unit u;

	settings.account_id = 42;
	settings.list_id = 0;
	provider_unit_build_with(&u, &settings, KNOWN, str_of(content), "a@a", to);
	UNIT_TEXT(u.request.method, "POST");
	UNIT_TEXT(u.request.url, API "/v2/emails?account_id=42");
	UNIT_TEXT(provider_unit_header(&u, "Authorization"), "Bearer tok");
	UNIT_TRUE(provider_unit_notes(&u, "image i.png: it becomes an attachment"));
	UNIT_TRUE(provider_unit_notes(&u, "each copy shows its own recipient"));
	provider_unit_parse(&u);
	provider_unit_checks("list", u.json, (struct provider_unit_check[]){{"list_id", NULL}, {"without_list_management", "true"},
									   {"attachment/0/type", "png"}, {NULL, NULL}});
	provider_unit_clear(&u);
	/* To be shown only, without a token. */
	provider_unit_build(&u, &settings, STR("From: a@a\r\n\r\n."), "a@a", to);
	UNIT_TRUE(u.is_built);
	provider_unit_clear(&u);
}

static void what_it_does_not_carry_is_unfit(void)
{
	static const struct {
		const char *content, *recipients[3], *status;
		bool is_token_stale;
	} cases[] = {
		{"From: a@a\r\n\r\n.", {"q@q", "r@r"}, "5.5.3", false},
		{"From: a@a\r\n\r\n.", {"\xc3\xa9@q"}, "5.6.7", false},
		{"From: b@b\r\n\r\n.", {"q@q"}, "5.7.1", true},
		{"From: z@z\r\n\r\n.", {"q@q"}, "5.7.1", true},
		{"From: a@a\r\nContent-Type: application/zip\r\n\r\n.", {"q@q"}, "5.6.1", false},
		{"From: a@a\r\nContent-Type: application/octet-stream\r\n\r\n.", {"q@q"}, "5.6.1", false},
		{"From: a@a\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n" PART("text/plain", "T") PART("message/rfc822", "From: q@q\r\n\r\n.")
		 "--x--\r\n", {"q@q"}, "5.6.1", false},
		{"From: a@a\r\nContent-Type: multipart/alternative; boundary=x\r\n\r\n" PART("text/plain", "T") PART("text/x-amp-html", "A")
		 "--x--\r\n", {"q@q"}, "5.6.1", false},
	};
	const struct settings_provider settings = row();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct provider_unit u;

		provider_unit_build_with(&u, &settings, KNOWN, str_of(cases[i].content), "a@a", cases[i].recipients);
		UNIT_TRUE(!u.is_built);
		UNIT_INT(u.verdict.class, IPC_OUTCOME_UNFIT);
		UNIT_TEXT(u.verdict.status, cases[i].status);
		UNIT_INT(u.verdict.is_token_stale, cases[i].is_token_stale);
		UNIT_INT(u.verdict.about, cases[i].is_token_stale ? IPC_ABOUT_SENDER : IPC_ABOUT_NOTHING);
		provider_unit_clear(&u);
	}
}

#define DATA(status) "{\"email\":\"q@q\",\"object\":\"email\",\"submitted\":true,\"data\":{\"id\":\"id-1\",\"status\":\"" status "\"}}"
#define DETAIL(member, msg) "{\"detail\":[{\"loc\":[\"body\",\"" member "\",\"x\"],\"msg\":\"" msg "\",\"type\":\"t\"}]}"

static const char *const retry_after[] = {"Retry-After", "7", NULL};

static void every_answer_has_its_meaning(void)
{
	static const struct provider_unit_answer answers[] = {
		{"taken", 201, NULL, DATA("queued"), "", IPC_OUTCOME_SENT, IPC_ABOUT_NOTHING, 0, "id-1", "2.0.0", "accepted"},
		{"taken with 200", 200, NULL, DATA("queued"), "", IPC_OUTCOME_SENT, IPC_ABOUT_NOTHING, 0, "id-1", "2.0.0", "accepted"},
		{"rejected", 201, NULL, DATA("rejected"), "", IPC_OUTCOME_PERMANENT, IPC_ABOUT_NOTHING, 0, "", "5.7.1", NULL},
		{"error", 201, NULL, DATA("error"), "", IPC_OUTCOME_TRANSIENT, IPC_ABOUT_PROVIDER, 0, "", "4.3.0", NULL},
		{"no id", 201, NULL, "{}", "", IPC_OUTCOME_UNKNOWN, IPC_ABOUT_PROVIDER, 0, "", "4.4.0", NULL},
		{"not Cakemail", 200, NULL, "<html>", "", IPC_OUTCOME_UNKNOWN, IPC_ABOUT_PROVIDER, 0, "", "4.4.0", NULL},
		{"204", 204, NULL, "", "", IPC_OUTCOME_UNKNOWN, IPC_ABOUT_PROVIDER, 0, "", "4.4.0", NULL},
		{"invalid", 400, NULL, DETAIL("content", "m"), "", IPC_OUTCOME_PERMANENT, IPC_ABOUT_NOTHING, 0, "", "5.6.0", "content: m"},
		{"sender", 422, NULL, DETAIL("sender", "m"), "", IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_SENDER, 0, "", "4.7.1", "sender: m"},
		{"list", 422, NULL, DETAIL("list_id", "m"), "", IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_PROVIDER, 0, "", "4.3.5", NULL},
		{"recipient", 422, NULL, DETAIL("email", "m"), "", IPC_OUTCOME_PERMANENT, IPC_ABOUT_NOTHING, 0, "", "5.1.3", NULL},
		{"attachment", 422, NULL, DETAIL("attachment", "m"), "", IPC_OUTCOME_UNFIT, IPC_ABOUT_NOTHING, 0, "", "5.6.1", NULL},
		{"validation", 422, NULL, "{\"detail\":\"m\"}", "", IPC_OUTCOME_PERMANENT, IPC_ABOUT_NOTHING, 0, "", "5.6.0", "m"},
		{"token", 401, NULL, "{\"detail\":[{\"msg\":\"m\"}]}", "", IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_CREDENTIAL, 0, "", "4.7.8", "m"},
		{"forbidden", 403, NULL, "{\"detail\":\"m\"}", "", IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_CREDENTIAL, 0, "", "4.7.1", NULL},
		{"a filter", 403, NULL, "<html>", "", IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_PROVIDER, 0, "", "4.7.1", NULL},
		{"path", 404, NULL, "", "", IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_PROVIDER, 0, "", "4.3.5", NULL},
		{"timeout", 408, NULL, "", "", IPC_OUTCOME_UNKNOWN, IPC_ABOUT_PROVIDER, 0, "", "4.4.2", NULL},
		{"large", 413, NULL, "", "", IPC_OUTCOME_UNFIT, IPC_ABOUT_NOTHING, 0, "", "5.3.4", NULL},
		{"throttled", 429, retry_after, "", "", IPC_OUTCOME_TRANSIENT, IPC_ABOUT_THROTTLE, 7, "", "4.7.0", NULL},
		{"teapot", 418, NULL, "", "", IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_PROVIDER, 0, "", "4.3.0", NULL},
		{"trouble", 500, NULL, "{\"detail\":[{\"msg\":\"m\"}]}", "", IPC_OUTCOME_TRANSIENT, IPC_ABOUT_PROVIDER, 0, "", "4.3.0", "m"},
		{"gateway", 502, NULL, "", "", IPC_OUTCOME_UNKNOWN, IPC_ABOUT_PROVIDER, 0, "", "4.4.0", NULL},
		{"gateway timeout", 504, NULL, "", "", IPC_OUTCOME_UNKNOWN, IPC_ABOUT_PROVIDER, 0, "", "4.4.1", NULL},
		{"redirect", 302, NULL, "", "", IPC_OUTCOME_TRANSIENT, IPC_ABOUT_PROVIDER, 0, "", "4.3.0", NULL},
	};

	provider_unit_answers(PROVIDER_CAKEMAIL, answers, sizeof(answers) / sizeof(answers[0]));
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct provider_verdict verdict;

		provider_unit_classify(PROVIDER_CAKEMAIL, &answers[i], &verdict);
		UNIT_INT(verdict.is_token_stale, answers[i].status == 401 || answers[i].about == IPC_ABOUT_SENDER);
		provider_verdict_clear(&verdict);
	}
}

UNIT_TESTS({"token and senders are fetched", token_and_senders_are_fetched},
	   {"senders are read page by page", senders_are_read_page_by_page},
	   {"a message becomes a request", a_message_becomes_a_request},
	   {"the request is addressed and authorized", the_request_is_addressed_and_authorized},
	   {"what it does not carry is unfit", what_it_does_not_carry_is_unfit},
	   {"every answer has its meaning", every_answer_has_its_meaning})
