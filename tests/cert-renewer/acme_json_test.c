/* SPDX-License-Identifier: Apache-2.0 */
#include "cert-renewer/acme_json.h"

#include <stdlib.h>

#include "tests/support/unit.h"

static void urls_are_checked(void)
{
	static const struct {
		const char *url;
		bool is_good, is_good_here;
	} cases[] = {
		{"https://ca.example/acme/1?x=y&z", true, true},
		{"https://ca.example:14000", true, true},
		{"https://localhost:14000/dir", true, true},
		{"http://127.0.0.1:14000/dir", false, true},
		{"http://ca.example/dir", false, false},
		{"https://user:word@ca.example/", false, false},
		{"https://ca.example/#x", false, false},
		{"https://ca.example/a b", false, false},
		{"https://ca.example/\x01", false, false},
		{"https:///x", false, false},
		{"https://?x", false, false},
		{"https://ca.example:99999/", false, false},
		{"ftp://ca.example/", false, false},
		{"/acme/1", false, false},
		{"", false, false},
	};
	char *longest = malloc(ACME_URL_MAX + 1);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		UNIT_INT(acme_json_check_url(str_of(cases[i].url), false) == NULL, cases[i].is_good);
		UNIT_INT(acme_json_check_url(str_of(cases[i].url), true) == NULL, cases[i].is_good_here);
	}
	memset(longest, 'a', ACME_URL_MAX + 1);
	memcpy(longest, "https://a/", 10);
	UNIT_TRUE(acme_json_check_url(str_bytes(longest, ACME_URL_MAX - 1), false) == NULL);
	UNIT_TRUE(acme_json_check_url(str_bytes(longest, ACME_URL_MAX), false) != NULL);
	free(longest);
}

static void words_are_made_fit_for_a_line(void)
{
	static const struct {
		const char *text, *words;
		size_t size;
	} cases[] = {
		{"plain words", "plain words", 64},
		{"two\r\n\tlines\x7f ", "two lines  ", 64},
		{"\n x", " x", 64},
		{"caf\xc3\xa9", "caf\xc3\xa9", 64},
		{"caf\xc3\xa9", "caf", 5},
		{"caf\xe9", "caf?", 64},
		{"12345", "1234", 5},
	};
	char out[64];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		acme_json_words(str_of(cases[i].text), out, cases[i].size);
		UNIT_TEXT(out, cases[i].words);
	}
}

#define NEEDED "\"newNonce\":\"https://ca/n\",\"newAccount\":\"https://ca/a\",\"newOrder\":\"https://ca/o\""

static void a_directory_is_read(void)
{
	static const struct {
		const char *body, *error, *revoke, *terms, *profiles;
		bool wants_binding;
	} cases[] = {
		{"{" NEEDED "}", "", "", "", "", false},
		{"{" NEEDED ",\"revokeCert\":\"https://ca/r\",\"random\":\"https://x\",\"meta\":{\"termsOfService\":\"https://ca/t\","
		 "\"externalAccountRequired\":true,\"profiles\":{\"classic\":\"x\",\"two words\":\"\",\"tlsserver\":1}}}",
		 "", "https://ca/r", "https://ca/t", "classic tlsserver ", true},
		{"{" NEEDED ",\"meta\":{\"termsOfService\":7,\"externalAccountRequired\":false,\"profiles\":[]}}", "", "", "", "", false},
		{"{" NEEDED ",\"revokeCert\":\"http://ca/r\"}",
		 "the \"revokeCert\" of the answer is no URL to use: http is not encrypted", "", "", "", false},
		{"{" NEEDED ",\"keyChange\":1}", "the answer has no \"keyChange\"", "", "", "", false},
		{"{\"newNonce\":\"https://ca/n\"}", "the answer has no \"newAccount\"", "", "", "", false},
		{"{" NEEDED, "the answer is no JSON object (or is broken off)", "", "", "", false},
		{"[]", "the answer is no JSON object (or is broken off)", "", "", "", false},
		{"{\"a\":\"\xff\"}", "the answer is no JSON object (or is broken off)", "", "", "", false},
		{"<html>", "the answer is no JSON object (or is broken off)", "", "", "", false},
		{"", "the answer is no JSON object (or is broken off)", "", "", "", false},
	};
	struct acme_json_directory *seen = malloc(sizeof(*seen));

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err err = {""};

		UNIT_INT(acme_json_directory(str_of(cases[i].body), false, seen, &err), cases[i].error[0] == '\0');
		UNIT_TEXT(err.text, cases[i].error);
		if (err.text[0] != '\0')
			continue;
		UNIT_TEXT(seen->new_nonce, "https://ca/n");
		UNIT_TEXT(seen->new_account, "https://ca/a");
		UNIT_TEXT(seen->new_order, "https://ca/o");
		UNIT_TEXT(seen->revoke, cases[i].revoke);
		UNIT_TEXT(seen->terms, cases[i].terms);
		UNIT_TEXT(seen->profiles, cases[i].profiles);
		UNIT_INT(seen->wants_binding, cases[i].wants_binding);
	}
	free(seen);
}

static void problems_are_read(void)
{
	static const struct {
		const char *body, *type, *text, *instance;
	} cases[] = {
		/* RFC 8555, 6.7.1 */
		{"{\"type\":\"urn:ietf:params:acme:error:malformed\",\"detail\":\"Some of the identifiers requested were rejected\","
		 "\"subproblems\":[{\"type\":\"urn:ietf:params:acme:error:malformed\",\"detail\":\"Invalid underscore in DNS name \\\"_example.org\\\"\","
		 "\"identifier\":{\"type\":\"dns\",\"value\":\"_example.org\"}},{\"type\":\"urn:ietf:params:acme:error:rejectedIdentifier\","
		 "\"detail\":\"This CA will not issue for \\\"example.net\\\"\",\"identifier\":{\"type\":\"dns\",\"value\":\"example.net\"}}]}",
		 "malformed",
		 "Some of the identifiers requested were rejected; _example.org: Invalid underscore in DNS name \"_example.org\"; "
		 "example.net: This CA will not issue for \"example.net\"",
		 ""},
		/* 7.3.3 */
		{"{\"type\":\"urn:ietf:params:acme:error:userActionRequired\",\"detail\":\"Terms of service have changed\","
		 "\"instance\":\"https://example.com/acme/agreement/?token=W8Ih3PswD-8\"}",
		 "userActionRequired", "Terms of service have changed", "https://example.com/acme/agreement/?token=W8Ih3PswD-8"},
		{"{\"type\":\"about:blank\",\"detail\":\"two\\nlines\"}", "", "two lines", ""},
		{"{\"type\":\"urn:ietf:params:acme:error:bad nonce\"}", "", "", ""},
		{"{\"type\":\"urn:ietf:params:acme:error:"
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}",
		 "", "", ""},
		{"{\"detail\":7,\"subproblems\":[1,{},{\"detail\":\"a\"},[],{\"detail\":\"b\"}]}", "", "a; and 1 more", ""},
		{"{\"type\":7}", "", "", ""},
		{"nonsense", "", "", ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct acme_json_problem seen;

		acme_json_problem(str_of(cases[i].body), &seen);
		UNIT_TEXT(seen.type, cases[i].type);
		UNIT_TEXT(seen.text, cases[i].text);
		UNIT_TEXT(seen.instance, cases[i].instance);
	}
}

static void orders_are_read(void)
{
	static const struct {
		const char *body, *error;
		int status;
		unsigned n;
		const char *certificate, *problem;
	} cases[] = {
		{"{\"status\":\"pending\",\"authorizations\":[\"https://ca/1\",\"https://ca/2\"],\"finalize\":\"https://ca/f\"}", "",
		 ACME_JSON_PENDING, 2, "", ""},
		{"{\"status\":\"valid\",\"authorizations\":[\"https://ca/1\"],\"finalize\":\"https://ca/f\",\"certificate\":\"https://ca/c\"}", "",
		 ACME_JSON_VALID, 1, "https://ca/c", ""},
		{"{\"status\":\"invalid\",\"authorizations\":[\"https://ca/1\"],\"finalize\":\"https://ca/f\","
		 "\"error\":{\"detail\":\"no\",\"type\":\"urn:ietf:params:acme:error:caa\"}}",
		 "", ACME_JSON_INVALID, 1, "", "caa"},
		{"{\"status\":\"valid\",\"authorizations\":[\"https://ca/1\"],\"finalize\":\"https://ca/f\"}",
		 "the answer has no \"certificate\"", 0, 0, "", ""},
		{"{\"status\":\"done\\n\",\"authorizations\":[\"https://ca/1\"],\"finalize\":\"https://ca/f\"}",
		 "the answer has the status \"done \", which is none", 0, 0, "", ""},
		{"{\"status\":\"pending\",\"authorizations\":[],\"finalize\":\"https://ca/f\"}", "the order has no authorizations", 0, 0, "", ""},
		{"{\"status\":\"pending\",\"authorizations\":{},\"finalize\":\"https://ca/f\"}", "the order has no authorizations", 0, 0, "", ""},
		{"{\"status\":\"pending\",\"authorizations\":[\"https://ca/1\",7],\"finalize\":\"https://ca/f\"}",
		 "the order has an authorization that is no URL to use", 0, 0, "", ""},
		{"{\"status\":\"pending\",\"authorizations\":[\"https://ca/1\"]}", "the answer has no \"finalize\"", 0, 0, "", ""},
		{"7", "the answer is no JSON object (or is broken off)", 0, 0, "", ""},
	};
	struct acme_json_order *seen = malloc(sizeof(*seen));

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err err = {""};

		UNIT_INT(acme_json_order(str_of(cases[i].body), false, seen, &err), cases[i].error[0] == '\0');
		UNIT_TEXT(err.text, cases[i].error);
		if (err.text[0] == '\0') {
			UNIT_INT(seen->status, cases[i].status);
			UNIT_INT(seen->n_authorizations, cases[i].n);
			UNIT_TEXT(seen->authorizations[0], "https://ca/1");
			UNIT_TEXT(seen->certificate, cases[i].certificate);
			UNIT_TEXT(seen->problem.type, cases[i].problem);
		}
		acme_json_order_clear(seen);
	}
	free(seen);
}

static void an_order_has_no_more_names_than_we_ask_for(void)
{
	struct acme_json_order *seen = malloc(sizeof(*seen));

	for (unsigned n = ACME_NAMES_MAX; n <= ACME_NAMES_MAX + 1; n++) {
		struct buf body = BUF_MAX(65536);
		struct err err = {""};

		buf_put_text(&body, "{\"status\":\"pending\",\"finalize\":\"https://ca/f\",\"authorizations\":[");
		for (unsigned i = 0; i < n; i++)
			buf_printf(&body, "%s\"https://ca/%u\"", i > 0 ? "," : "", i);
		buf_put_text(&body, "]}");
		UNIT_INT(acme_json_order(buf_str(&body), false, seen, &err), n == ACME_NAMES_MAX);
		acme_json_order_clear(seen);
		buf_clear(&body);
	}
	free(seen);
}

#define CHALLENGE(type, token) "{\"type\":\"" type "\",\"url\":\"https://ca/" type "\",\"status\":\"pending\",\"token\":\"" token "\"}"
#define FOR(name) "{\"status\":\"pending\",\"identifier\":{\"type\":\"dns\",\"value\":\"" name "\"}"

static void authorizations_are_read(void)
{
	static const struct {
		const char *body, *error, *token, *offered, *problem;
		bool is_wildcard;
	} cases[] = {
		{FOR("a.example") ",\"challenges\":[" CHALLENGE("dns-01", "t1") "," CHALLENGE("http-01", "t_2-") "]}", "", "t_2-",
		 "dns-01, http-01", "", false},
		{FOR("a.example") ",\"wildcard\":true,\"challenges\":[" CHALLENGE("dns-01", "t1") ",{},7]}", "", "", "dns-01", "", true},
		{FOR("a.example") "}", "", "", "", "", false},
		{FOR("a.example") ",\"challenges\":[{\"type\":\"http-01\",\"url\":\"https://ca/\",\"status\":\"invalid\",\"token\":\"t\","
				  "\"error\":{\"detail\":\"404\"}}]}",
		 "", "t", "http-01", "404", false},
		{FOR("a.example") ",\"challenges\":[" CHALLENGE("http-01", "../x") "]}",
		 "the challenge has no token, or one with characters that are not allowed", "", "", "", false},
		{FOR("a.example") ",\"challenges\":[" CHALLENGE("http-01", "") "]}",
		 "the challenge has no token, or one with characters that are not allowed", "", "", "", false},
		/* what is wrong with a challenge that nobody wants does not matter */
		{FOR("a.example") ",\"challenges\":[" CHALLENGE("dns-02", "../x") "]}", "", "", "dns-02", "", false},
		{FOR("a.example") ",\"challenges\":[{\"type\":\"http-01\",\"url\":\"x\",\"status\":\"pending\",\"token\":\"t\"}]}",
		 "the \"url\" of the answer is no URL to use: it is not an https:// URL", "", "", "", false},
		{"{\"status\":\"pending\",\"identifier\":{\"type\":\"ip\",\"value\":\"192.0.2.1\"}}", "the authorization is not for a DNS name",
		 "", "", "", false},
		{"{\"status\":\"pending\"}", "the authorization is not for a DNS name", "", "", "", false},
		{"{}", "the answer has the status \"\", which is none", "", "", "", false},
	};
	struct acme_json_authorization *seen = malloc(sizeof(*seen));

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err err = {""};

		UNIT_INT(acme_json_authorization(str_of(cases[i].body), false, "http-01", seen, &err), cases[i].error[0] == '\0');
		UNIT_TEXT(err.text, cases[i].error);
		if (err.text[0] != '\0')
			continue;
		UNIT_TEXT(seen->name, "a.example");
		UNIT_TEXT(seen->token, cases[i].token);
		UNIT_INT(seen->has_challenge, cases[i].token[0] != '\0');
		UNIT_TEXT(seen->offered, cases[i].offered);
		UNIT_TEXT(seen->problem.text, cases[i].problem);
		UNIT_INT(seen->is_wildcard, cases[i].is_wildcard);
	}
	free(seen);
}

static void renewal_information_is_read(void)
{
	static const struct {
		const char *body, *error;
		int64_t start, end;
		const char *explanation;
	} cases[] = {
		/* RFC 9773, 4.2 */
		{"{\"suggestedWindow\":{\"start\":\"2025-01-02T04:00:00Z\",\"end\":\"2025-01-03T04:00:00Z\"},"
		 "\"explanationURL\":\"https://acme.example.com/docs/ari\"}",
		 "", 1735790400000000, 1735876800000000, "https://acme.example.com/docs/ari"},
		{"{\"suggestedWindow\":{\"start\":\"2025-01-02T04:00:00Z\",\"end\":\"2025-01-02T04:00:00Z\"},\"explanationURL\":\"a\\nb\"}", "",
		 1735790400000000, 1735790400000000, ""},
		{"{\"suggestedWindow\":{\"start\":\"2025-01-02T04:00:00Z\",\"end\":\"2025-01-01T04:00:00Z\"}}",
		 "the suggested window ends before it begins", 0, 0, ""},
		{"{\"suggestedWindow\":{\"start\":\"soon\",\"end\":\"2025-01-01T04:00:00Z\"}}",
		 "the answer has no \"suggestedWindow\" with two times", 0, 0, ""},
		{"{\"suggestedWindow\":[]}", "the answer has no \"suggestedWindow\" with two times", 0, 0, ""},
		{"null", "the answer is no JSON object (or is broken off)", 0, 0, ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct acme_window seen = {0};
		struct err err = {""};

		UNIT_INT(acme_json_window(str_of(cases[i].body), &seen, &err), cases[i].error[0] == '\0');
		UNIT_TEXT(err.text, cases[i].error);
		if (err.text[0] != '\0')
			continue;
		UNIT_INT(seen.start, cases[i].start);
		UNIT_INT(seen.end, cases[i].end);
		UNIT_TEXT(seen.explanation, cases[i].explanation);
	}
}

UNIT_TESTS({"URLs are checked", urls_are_checked}, {"words are made fit for a line", words_are_made_fit_for_a_line},
	   {"a directory is read", a_directory_is_read}, {"problems are read", problems_are_read}, {"orders are read", orders_are_read},
	   {"an order has no more names than we ask for", an_order_has_no_more_names_than_we_ask_for},
	   {"authorizations are read", authorizations_are_read}, {"renewal information is read", renewal_information_is_read})
