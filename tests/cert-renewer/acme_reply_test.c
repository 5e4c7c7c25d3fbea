/* SPDX-License-Identifier: Apache-2.0 */
#include "cert-renewer/acme_reply.h"

#include "lib/base/clock.h"
#include "tests/support/unit.h"

#define PROBLEM "application/problem+json"
#define TYPE(name) "{\"type\":\"urn:ietf:params:acme:error:" name "\",\"detail\":\"D\"}"

static const int64_t now = 784111740 * CLOCK_SECOND; /* 1994-11-06 08:49:00 */

static void answers_are_judged(void)
{
	static const struct {
		struct acme_reply reply;
		const char *why, *problem; /* why "": good */
		int64_t wait;		   /* seconds */
		bool is_ours;
	} cases[] = {
		{{.status = 200, .is_complete = true, .type = STR("application/json; charset=utf-8")}, "", "", 0, false},
		{{.status = 201, .is_complete = true, .type = STR("application/json")}, "", "", 0, false},
		{{.status = 200, .is_complete = true, .type = STR("text/html\n")}, "the answer is \"text/html \" instead of application/json", "",
		 0, false},
		{{.status = 200, .is_complete = true}, "the answer is \"\" instead of application/json", "", 0, false},
		{{.status = 200, .is_complete = false, .error = STR("it was reset"), .type = STR("application/json")},
		 "the answer (status 200) breaks off: it was reset", "", 0, false},
		{{.status = 200, .is_cut = true, .type = STR("application/json")}, "the answer (status 200) is larger than 65536 octets", "", 0,
		 false},
		{{.status = 302, .is_complete = true, .location = STR("https://other/")},
		 "the answer is a redirect (status 302) to \"https://other/\", which is not followed", "", 0, false},
		{{.status = 500, .is_complete = true, .type = STR("text/html"), .body = STR("<html>")},
		 "the answer has the status 500, and is text/html", "", 0, false},
		{{.status = 503, .is_complete = true, .retry_after = STR("120")}, "the answer has the status 503", "", 120, false},
		{{.status = 429, .is_complete = true, .retry_after = STR("Sun, 06 Nov 1994 08:50:00 GMT")}, "the answer has the status 429", "",
		 60, false},
		{{.status = 429, .is_complete = true, .retry_after = STR("99999999999")}, "the answer has the status 429", "", 30 * 86400, false},
		{{.status = 400, .is_complete = true, .type = STR(PROBLEM), .body = STR(TYPE("malformed")), .retry_after = STR("7")},
		 "the authority says: D (malformed, status 400)", "malformed", 0, false},
		{{.status = 400, .is_complete = true, .type = STR(PROBLEM), .body = STR(TYPE("rateLimited")), .retry_after = STR("3600")},
		 "the authority says: D (rateLimited, status 400)", "rateLimited", 3600, false},
		{{.status = 429, .is_complete = true, .type = STR(PROBLEM), .body = STR(TYPE("rateLimited"))},
		 "the authority says: D (rateLimited, status 429)", "rateLimited", 0, false},
		{{.status = 400, .is_complete = true, .type = STR(PROBLEM), .body = STR(TYPE("rejectedIdentifier"))},
		 "the authority says: D (rejectedIdentifier, status 400)", "rejectedIdentifier", 0, true},
		{{.status = 403, .is_complete = true, .type = STR(PROBLEM), .body = STR(TYPE("userActionRequired")),
		  .links = {STR("<https://ca/dir>;rel=\"index\""), STR("<https://ca/terms>;rel=\"terms-of-service\"")}, .n_links = 2},
		 "the authority says: https://ca/terms: D (userActionRequired, status 403)", "userActionRequired", 0, true},
		{{.status = 400, .is_complete = true, .type = STR(PROBLEM), .body = STR("{\"type\":")},
		 "the authority says: nothing more (no known problem, status 400)", "", 0, false},
		/* said to be a problem, by one that it is none of */
		{{.status = 200, .is_complete = true, .type = STR(PROBLEM), .body = STR(TYPE("malformed"))},
		 "the answer is \"" PROBLEM "\" instead of application/json", "", 0, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct acme_failure failure = {.why = ""};

		UNIT_INT(acme_reply_judge(&cases[i].reply, "application/json", now, &failure), cases[i].why[0] == '\0');
		if (cases[i].why[0] == '\0')
			continue;
		UNIT_TEXT(failure.why, cases[i].why);
		UNIT_TEXT(failure.problem, cases[i].problem);
		UNIT_INT(failure.not_before, cases[i].wait > 0 ? now + cases[i].wait * CLOCK_SECOND : 0);
		UNIT_INT(failure.is_ours, cases[i].is_ours);
	}
}

static void nonces_have_their_alphabet(void)
{
	char longest[ACME_REPLY_NONCE];

	memset(longest, 'a', sizeof(longest));
	UNIT_TRUE(acme_reply_is_nonce(STR("aZ09-_")));
	UNIT_TRUE(!acme_reply_is_nonce(STR("")));
	UNIT_TRUE(!acme_reply_is_nonce(STR("a=")));
	UNIT_TRUE(!acme_reply_is_nonce(STR("a b")));
	UNIT_TRUE(!acme_reply_is_nonce(STR("a\"")));
	UNIT_TRUE(acme_reply_is_nonce(str_bytes(longest, sizeof(longest) - 1)));
	UNIT_TRUE(!acme_reply_is_nonce(str_bytes(longest, sizeof(longest))));
}

static void links_are_found_in_all_fields(void)
{
	static const struct acme_reply reply = {
		.links = {STR("<a>;rel=alternate, <b>;rel=up"), STR("<c>"), STR("<d>;rel=alternate")}, .n_links = 3};
	struct str url;

	UNIT_TRUE(acme_reply_link(&reply, "alternate", 0, &url));
	UNIT_STR(url, "a");
	UNIT_TRUE(acme_reply_link(&reply, "alternate", 1, &url));
	UNIT_STR(url, "d");
	UNIT_TRUE(!acme_reply_link(&reply, "alternate", 2, &url));
}

static void a_clock_that_may_be_wrong_is_spoken_of(void)
{
	static const struct {
		const char *why;
		int64_t ahead;
		const char *said;
	} cases[] = {
		{"no answer: refused", 299, "no answer: refused"},
		{"no answer: refused", 3600, "no answer: refused; this host's clock is 60 minutes ahead of the authority's"},
		{"no answer: refused", -86400, "no answer: refused; this host's clock is 1440 minutes behind the authority's"},
		{"the certificate has expired", 0,
		 "the certificate has expired; or this host's clock is wrong: it says 1994-11-06T08:49:00Z"},
		{"certificate is not yet valid", 0,
		 "certificate is not yet valid; or this host's clock is wrong: it says 1994-11-06T08:49:00Z"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct acme_failure failure;

		acme_reply_fail(&failure, "%s", cases[i].why);
		acme_reply_add_clock(&failure, cases[i].ahead, now);
		UNIT_TEXT(failure.why, cases[i].said);
	}
}

static void sentences_are_cut_before_their_end_is(void)
{
	char text[2 * ACME_WHY];
	struct acme_failure failure;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	acme_reply_fail(&failure, "%s", text);
	acme_reply_add_step(&failure, "ordering");
	acme_reply_add_clock(&failure, 600, now);
	UNIT_INT(strlen(failure.why), ACME_WHY - 1);
	UNIT_TRUE(str_starts(str_of(failure.why), STR("ordering: xxx")));
	UNIT_TRUE(str_ends(str_of(failure.why), STR("xxx; this host's clock is 10 minutes ahead of the authority's")));
}

UNIT_TESTS({"answers are judged", answers_are_judged}, {"nonces have their alphabet", nonces_have_their_alphabet},
	   {"links are found in all fields", links_are_found_in_all_fields},
	   {"a clock that may be wrong is spoken of", a_clock_that_may_be_wrong_is_spoken_of},
	   {"sentences are cut before their end is", sentences_are_cut_before_their_end_is})
