/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of lib/aws/aws_credentials.c: conversations with every source of AWS credentials.
 */
#include "lib/aws/aws_credentials.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/settings/settings.h"
#include "tests/support/unit.h"

enum { TURNS = 9, SET = 6 };

/* 2026-11-22T06:00:00Z */
#define NOW (1795327200LL * 1000000)

#define HOUR_LATER "2026-11-22T07:00:00Z"
#define KEYS "{\"Code\":\"Success\",\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"SK\",\"Token\":\"TK\",\"Expiration\":\"" HOUR_LATER "\"}"
#define STS_GOOD "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">" \
	"<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>AK</AccessKeyId><SecretAccessKey>S/K+=</SecretAccessKey>" \
	"<SessionToken>TK==</SessionToken><Expiration>" HOUR_LATER "</Expiration></Credentials></AssumeRoleWithWebIdentityResult>" \
	"</AssumeRoleWithWebIdentityResponse>"
#define STS_BAD(code) "<ErrorResponse><Error><Type>Sender</Type><Code>" code "</Code><Message>no such thing</Message></Error></ErrorResponse>"

#define IMDS "http://169.254.169.254/latest/"
#define PUT_TOKEN "PUT " IMDS "api/token\nX-aws-ec2-metadata-token-ttl-seconds: 21600\nContent-Type:"
#define GET_ROLE "GET " IMDS "meta-data/iam/security-credentials/"
#define WITH_TOKEN "\nX-aws-ec2-metadata-token: tok"

/* What is asked, and what is answered: "read N" of a file, or the request with its headers. Status 0: no answer. */
struct turn {
	const char *ask;
	unsigned status;
	const char *answer;
};

struct conversation {
	const char *name;
	int source;
	struct {
		enum aws_variable variable;
		const char *value;
	} set[SET];
	unsigned files; /* bits of those that are there */
	struct turn turns[TURNS];
	const char *keys; /* "ID|SECRET|TOKEN", with " for ever" or nothing behind it; NULL: it fails: */
	const char *why;
	enum { NO_FAILURE, REFUSED, PASSING } failure;
};

#define GIVES(keys) keys, NULL, NO_FAILURE
#define X8 "xxxxxxxx"
#define X64 X8 X8 X8 X8 X8 X8 X8 X8
#define X128 X64 X64
#define X1024 X128 X128 X128 X128 X128 X128 X128 X128
#define V(name, value) {AWS_VARIABLE_##name, value}
#define CREDENTIALS (1U << AWS_FILE_CREDENTIALS)
#define CONFIG (1U << AWS_FILE_CONFIG)
#define IDENTITY (1U << AWS_FILE_WEB_IDENTITY)
#define CONTAINER (1U << AWS_FILE_CONTAINER_TOKEN)

static const struct conversation conversations[] = {
	/* environment */
	{"env", AWS_ENVIRONMENT, {V(ACCESS_KEY_ID, "AK"), V(SECRET_ACCESS_KEY, "SK")}, 0, {{0}}, GIVES("AK|SK| for ever")},
	{"env with a token", AWS_ENVIRONMENT, {V(ACCESS_KEY_ID, "AK"), V(SECRET_ACCESS_KEY, "SK"), V(SESSION_TOKEN, "TK")}, 0, {{0}},
	 GIVES("AK|SK|TK for ever")},
	{"env and a profile", AWS_ENVIRONMENT, {V(ACCESS_KEY_ID, "AK"), V(SECRET_ACCESS_KEY, "SK"), V(PROFILE, "p")}, 0, {{0}},
	 GIVES("AK|SK| for ever")},
	{"env without", AWS_ENVIRONMENT, {{0}}, 0, {{0}}, NULL, "AWS_ACCESS_KEY_ID is not set", REFUSED},
	{"env half", AWS_ENVIRONMENT, {V(ACCESS_KEY_ID, "AK")}, 0, {{0}}, NULL, "no usable key", REFUSED},
	{"env with a line end", AWS_ENVIRONMENT, {V(ACCESS_KEY_ID, "AK"), V(SECRET_ACCESS_KEY, "S\r\nK")}, 0, {{0}}, NULL,
	 "no usable key", REFUSED},
	{"env with an id that is too long", AWS_ENVIRONMENT, {V(ACCESS_KEY_ID, X128 "x"), V(SECRET_ACCESS_KEY, "SK")}, 0, {{0}}, NULL,
	 "too long", REFUSED},
	{"env with a key that is too long", AWS_ENVIRONMENT, {V(ACCESS_KEY_ID, "AK"), V(SECRET_ACCESS_KEY, X1024 "x")}, 0, {{0}}, NULL,
	 "too long", REFUSED},
	{"env with long ones", AWS_ENVIRONMENT, {V(ACCESS_KEY_ID, X128), V(SECRET_ACCESS_KEY, X1024)}, 0, {{0}},
	 GIVES(X128 "|" X1024 "| for ever")},
	/* files */
	{"credentials", AWS_FILE, {{0}}, CREDENTIALS,
	 {{"read 0", 200, "[default]\naws_access_key_id = AK\naws_secret_access_key=SK # mine\n"}}, GIVES("AK|SK| for ever")},
	{"a profile of config", AWS_FILE, {V(PROFILE, "mail")}, CREDENTIALS | CONFIG,
	 {{"read 0", 200, "[default]\naws_access_key_id = no\naws_secret_access_key = no\n"},
	  {"read 1", 200, "[profile mail]\naws_access_key_id = AK\naws_secret_access_key=SK\naws_session_token=TK\n"}},
	 GIVES("AK|SK|TK for ever")},
	{"only config", AWS_FILE, {{0}}, CONFIG,
	 {{"read 0", 0, "no such file"}, {"read 1", 200, "[default]\naws_access_key_id = AK\naws_secret_access_key=SK\n"}},
	 GIVES("AK|SK| for ever")},
	{"no keys", AWS_FILE, {V(PROFILE, "q")}, CREDENTIALS, {{"read 0", 200, "[default]\n"}, {"read 1", 0, "no"}}, NULL,
	 "no keys for the profile: q", REFUSED},
	{"a role", AWS_FILE, {{0}}, CONFIG, {{"read 0", 0, "no"}, {"read 1", 200, "[default]\nrole_arn = arn:x\n"}}, NULL,
	 "does not do: role_arn", REFUSED},
	{"no files", AWS_FILE, {{0}}, 0, {{0}}, NULL, "no shared files", REFUSED},
	/* web identity */
	{"sts", AWS_WEB_IDENTITY, {V(ROLE_ARN, "arn:aws:iam::1:role/r")}, IDENTITY,
	 {{"read 2", 200, "ey.J\n"},
	  {"POST https://sts.eu-west-1.amazonaws.com/\nContent-Type: application/x-www-form-urlencoded\nAccept: text/xml\n"
	   "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&"
	   "RoleSessionName=smtp-proxy&WebIdentityToken=ey.J", 200, STS_GOOD}}, GIVES("AK|S/K+=|TK==")},
	{"sts elsewhere, busy", AWS_WEB_IDENTITY,
	 {V(ROLE_ARN, "r"), V(STS_ENDPOINT, "http://127.0.0.1:99"), V(ROLE_SESSION_NAME, "s s")}, IDENTITY,
	 {{"read 2", 200, "t"}, {"POST http://127.0.0.1:99*&RoleSessionName=s%20s&WebIdentityToken=t", 503, ""}, {"read 2", 200, "u"},
	  {"POST http://127.0.0.1:99*&WebIdentityToken=u", 200, STS_GOOD}}, GIVES("AK|S/K+=|TK==")},
	{"sts refuses", AWS_WEB_IDENTITY, {V(ROLE_ARN, "r")}, IDENTITY,
	 {{"read 2", 200, "t"}, {"POST https://sts*", 403, STS_BAD("AccessDenied")}}, NULL, "web identity: no such thing",
	 REFUSED},
	{"a filter before sts", AWS_WEB_IDENTITY, {V(ROLE_ARN, "r")}, IDENTITY,
	 {{"read 2", 200, "t"}, {"POST https://sts*", 403, "<html>"}}, NULL, "on the way to it", PASSING},
	{"sts away", AWS_WEB_IDENTITY, {V(ROLE_ARN, "r")}, IDENTITY,
	 {{"read 2", 200, "t"}, {"POST *", 0, "refused"}, {"read 2", 200, "t"}, {"POST *", 400, STS_BAD("IDPCommunicationError")},
	  {"read 2", 200, "t"}, {"POST *", 0, "refused"}}, NULL, "STS: refused", PASSING},
	{"sts nonsense", AWS_WEB_IDENTITY, {V(ROLE_ARN, "r")}, IDENTITY, {{"read 2", 200, "t"}, {"POST *", 200, "<html>ok</html>"}},
	 NULL, "cannot be understood", PASSING},
	{"sts expired", AWS_WEB_IDENTITY, {V(ROLE_ARN, "r")}, IDENTITY,
	 {{"read 2", 200, "t"}, {"POST *", 200, "<AccessKeyId>A</AccessKeyId><SecretAccessKey>S</SecretAccessKey><SessionToken>T"
	   "</SessionToken><Expiration>2026-11-22T05:59:59Z</Expiration>"}}, NULL, "expired", REFUSED},
	{"no token file", AWS_WEB_IDENTITY, {V(ROLE_ARN, "r")}, IDENTITY, {{"read 2", 0, "gone"}}, NULL, "identity token: gone",
	 REFUSED},
	{"an empty token", AWS_WEB_IDENTITY, {V(ROLE_ARN, "r")}, IDENTITY, {{"read 2", 200, "\n"}}, NULL, "no token in it",
	 REFUSED},
	{"sts over http", AWS_WEB_IDENTITY, {V(ROLE_ARN, "r"), V(STS_ENDPOINT, "http://sts.example/")}, IDENTITY,
	 {{"read 2", 200, "t"}}, NULL, "AWS_ENDPOINT_URL_STS", REFUSED},
	{"no role", AWS_WEB_IDENTITY, {{0}}, IDENTITY, {{0}}, NULL, "not both set", REFUSED},
	/* container */
	{"ecs", AWS_CONTAINER, {V(CONTAINER_RELATIVE_URI, "/v2/c/1"), V(CONTAINER_FULL_URI, "http://127.0.0.1/x")}, 0,
	 {{"GET http://169.254.170.2/v2/c/1\nAccept: application/json", 200, KEYS}}, GIVES("AK|SK|TK")},
	{"eks", AWS_CONTAINER, {V(CONTAINER_FULL_URI, "http://169.254.170.23/v1/credentials"), V(CONTAINER_TOKEN, "not this")}, CONTAINER,
	 {{"read 3", 200, "tok en\n"},
	  {"GET http://169.254.170.23/v1/credentials\nAccept: application/json\nAuthorization: tok en", 200, KEYS}}, GIVES("AK|SK|TK")},
	{"a token of the environment", AWS_CONTAINER, {V(CONTAINER_FULL_URI, "https://host.example/c?a=b"), V(CONTAINER_TOKEN, "tok")}, 0,
	 {{"GET https://host.example/c?a=b\nAccept: application/json\nAuthorization: tok", 200, KEYS}}, GIVES("AK|SK|TK")},
	{"ecs slow", AWS_CONTAINER, {V(CONTAINER_FULL_URI, "http://[::1]:8/c")}, 0,
	 {{"GET http://[::1]:8/c*", 0, "timed out"}, {"GET *", 500, ""}, {"GET *", 200, KEYS}}, GIVES("AK|SK|TK")},
	{"ecs away", AWS_CONTAINER, {V(CONTAINER_FULL_URI, "http://localhost/c")}, 0,
	 {{"GET *", 0, "timed out"}, {"GET *", 0, "timed out"}, {"GET *", 0, "timed out"}}, NULL, "credentials: timed out",
	 PASSING},
	{"ecs refuses", AWS_CONTAINER, {V(CONTAINER_FULL_URI, "http://localhost/c")}, 0,
	 {{"GET *", 403, "{\"Code\":\"AccessDenied\",\"Message\":\"m\"}"}}, NULL, "credentials: AccessDenied", REFUSED},
	{"ecs nonsense", AWS_CONTAINER, {V(CONTAINER_FULL_URI, "http://localhost/c")}, 0, {{"GET *", 200, "[1]"}}, NULL,
	 "no usable key", REFUSED},
	{"an unknown time", AWS_CONTAINER, {V(CONTAINER_FULL_URI, "http://localhost/c")}, 0,
	 {{"GET *", 200, "{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"s\",\"Expiration\":\"soon\"}"}}, NULL, "cannot be understood",
	 PASSING},
	{"http to others", AWS_CONTAINER, {V(CONTAINER_FULL_URI, "http://169.254.170.2.example/c")}, 0, {{0}}, NULL, "URI is not https",
	 REFUSED},
	{"http to others, by a name", AWS_CONTAINER, {V(CONTAINER_FULL_URI, "http://localhost@h/c")}, 0, {{0}}, NULL, "URI is not https",
	 REFUSED},
	{"ftp", AWS_CONTAINER, {V(CONTAINER_FULL_URI, "ftp://localhost/c")}, 0, {{0}}, NULL, "URI is not https", REFUSED},
	{"a header in the token", AWS_CONTAINER, {V(CONTAINER_FULL_URI, "http://localhost/c")}, CONTAINER, {{"read 3", 200, "a\r\nX: y"}},
	 NULL, "no header's value", REFUSED},
	{"no uri", AWS_CONTAINER, {{0}}, 0, {{0}}, NULL, "are not set", REFUSED},
	/* instance */
	{"imds", AWS_INSTANCE, {{0}}, 0,
	 {{PUT_TOKEN, 200, "tok"}, {GET_ROLE WITH_TOKEN, 200, "the-role\n"}, {GET_ROLE "the-role" WITH_TOKEN, 200, KEYS}}, GIVES("AK|SK|TK")},
	{"imds elsewhere", AWS_INSTANCE, {V(INSTANCE_ENDPOINT, "http://127.0.0.1:7/")}, 0,
	 {{"PUT http://127.0.0.1:7/latest/api/token*", 200, "tok"}, {"GET http://127.0.0.1:7/latest/meta-data/*", 200, "r"},
	  {"GET *security-credentials/r" WITH_TOKEN, 200, KEYS}}, GIVES("AK|SK|TK")},
	{"imds by IPv6", AWS_INSTANCE, {V(INSTANCE_ENDPOINT_MODE, "IPv6")}, 0,
	 {{"PUT http://[fd00:ec2::254]/latest/api/token*", 400, ""}}, NULL, "gave no token", REFUSED},
	{"imds version 1", AWS_INSTANCE, {{0}}, 0, {{"PUT *", 404, ""}, {GET_ROLE, 200, "r"}, {GET_ROLE "r", 200, KEYS}}, GIVES("AK|SK|TK")},
	{"version 1 when the token does not come", AWS_INSTANCE, {{0}}, 0,
	 {{"PUT *", 0, "timed out"}, {GET_ROLE, 200, "r"}, {GET_ROLE "r", 200, KEYS}}, GIVES("AK|SK|TK")},
	{"version 1 forbidden", AWS_INSTANCE, {V(INSTANCE_V1_DISABLED, "true")}, 0, {{"PUT *", 405, ""}}, NULL, "gave no token",
	 REFUSED},
	{"version 1 forbidden, none there", AWS_INSTANCE, {V(INSTANCE_V1_DISABLED, "true")}, 0, {{"PUT *", 0, "timed out"}}, NULL,
	 "metadata: timed out", PASSING},
	{"a token that went bad", AWS_INSTANCE, {{0}}, 0,
	 {{"PUT *", 200, "tok"}, {GET_ROLE WITH_TOKEN, 401, ""}, {"PUT *", 200, "tok"}, {GET_ROLE WITH_TOKEN, 200, "r"},
	  {"GET *", 200, KEYS}}, GIVES("AK|SK|TK")},
	{"no instance", AWS_INSTANCE, {{0}}, 0, {{"PUT *", 0, "no route"}, {GET_ROLE, 0, "no route"}}, NULL, "no route",
	 PASSING},
	{"imds in trouble", AWS_INSTANCE, {{0}}, 0, {{"PUT *", 500, ""}, {"PUT *", 500, ""}, {"PUT *", 500, ""}}, NULL, "in trouble",
	 PASSING},
	{"no role", AWS_INSTANCE, {{0}}, 0, {{"PUT *", 200, "tok"}, {"GET *", 404, ""}}, NULL, "has no role", REFUSED},
	{"a role that is a path", AWS_INSTANCE, {{0}}, 0, {{"PUT *", 200, "tok"}, {"GET *", 200, "../../x"}}, NULL, "name no role",
	 REFUSED},
	{"a token with a line end", AWS_INSTANCE, {{0}}, 0, {{"PUT *", 200, "a\r\nb: c"}}, NULL, "cannot be understood",
	 PASSING},
	{"not success", AWS_INSTANCE, {{0}}, 0,
	 {{"PUT *", 200, "tok"}, {"GET *", 200, "r"}, {"GET *", 200, "{\"Code\":\"AssumeRoleUnauthorizedAccess\"}"}}, NULL,
	 "AssumeRoleUnauthorizedAccess", REFUSED},
	{"imds over http to others", AWS_INSTANCE, {V(INSTANCE_ENDPOINT, "http://10.0.0.1")}, 0, {{0}}, NULL,
	 "AWS_EC2_METADATA_SERVICE_ENDPOINT", REFUSED},
	{"imds disabled", AWS_INSTANCE, {V(INSTANCE_DISABLED, "true")}, 0, {{0}}, NULL, "DISABLED is set", REFUSED},
	/* default */
	{"env first", AWS_DEFAULT, {V(ACCESS_KEY_ID, "AK"), V(SECRET_ACCESS_KEY, "SK")}, CREDENTIALS, {{0}}, GIVES("AK|SK| for ever")},
	{"a profile before env", AWS_DEFAULT, {V(ACCESS_KEY_ID, "no"), V(SECRET_ACCESS_KEY, "no"), V(PROFILE, "p")}, CREDENTIALS,
	 {{"read 0", 200, "[p]\naws_access_key_id=AK\naws_secret_access_key=SK"}}, GIVES("AK|SK| for ever")},
	{"files without keys are passed over", AWS_DEFAULT, {V(CONTAINER_RELATIVE_URI, "c")}, CONFIG,
	 {{"read 0", 0, ""}, {"read 1", 200, "[default]\nregion = x\n"}, {"GET http://169.254.170.2/c*", 200, KEYS}}, GIVES("AK|SK|TK")},
	{"web identity before container", AWS_DEFAULT, {V(CONTAINER_RELATIVE_URI, "/c"), V(ROLE_ARN, "r")}, IDENTITY,
	 {{"read 2", 200, "t"}, {"POST *", 200, STS_GOOD}}, GIVES("AK|S/K+=|TK==")},
	{"what is set up and fails is not passed over", AWS_DEFAULT, {V(CONTAINER_RELATIVE_URI, "/c")}, 0, {{"GET *", 404, "{}"}}, NULL,
	 "the container's credentials", REFUSED},
	{"instance last", AWS_DEFAULT, {{0}}, 0, {{PUT_TOKEN, 200, "tok"}, {"GET *", 200, "r"}, {"GET *", 200, KEYS}}, GIVES("AK|SK|TK")},
	{"nothing", AWS_DEFAULT, {V(INSTANCE_DISABLED, "1")}, 0, {{0}}, NULL, "none of their sources", REFUSED},
};

/* `pattern` may have one * in it, for anything. */
static bool fits(struct str text, struct str pattern)
{
	size_t star = str_find(pattern, '*');

	if (star == pattern.n)
		return str_eq(text, pattern);
	return text.n + 1 >= pattern.n && str_starts(text, str_first(pattern, star)) && str_ends(text, str_from(pattern, star + 1));
}

static void put_asked(const struct aws_credentials *c, enum aws_credentials_step next, const struct aws_credentials_request *request,
		      struct buf *out)
{
	if (next == AWS_CREDENTIALS_READ) {
		buf_printf(out, "read %u", c->file);
		return;
	}
	buf_printf(out, "%s %s", request->method, request->url);
	for (unsigned i = 0; i < request->n_headers; i++)
		buf_printf(out, "\n%s", request->headers[i]);
	if (request->body.n > 0) {
		buf_put_char(out, '\n');
		buf_put_str(out, buf_str(&request->body));
	}
	UNIT_TRUE(strncmp(request->url, "https://sts", 11) == 0 || strcmp(request->method, "POST") == 0 || request->timeout == 1000000);
}

static void check_end(const struct conversation *conversation, const struct aws_credentials *c, enum aws_credentials_step next)
{
	struct aws_credentials_keys keys;
	char found[2048];

	UNIT_INT(next, conversation->keys != NULL ? AWS_CREDENTIALS_DONE : AWS_CREDENTIALS_FAILED);
	if (next == AWS_CREDENTIALS_FAILED) {
		UNIT_INT(c->is_passing ? PASSING : REFUSED, conversation->failure);
		if (conversation->why == NULL || strstr(c->why, conversation->why) == NULL)
			UNIT_TEXT(c->why, conversation->why);
		return;
	}
	UNIT_TRUE(aws_credentials_keys(buf_str(&c->keys), &keys));
	snprintf(found, sizeof(found), "%.*s|%.*s|%.*s%s", STR_ARG(keys.access_key_id), STR_ARG(keys.secret_access_key),
		 STR_ARG(keys.session_token), c->expires_at == INT64_MAX ? " for ever" : "");
	UNIT_TEXT(found, conversation->keys);
	UNIT_TRUE(c->expires_at == INT64_MAX || c->expires_at == NOW + 3600LL * 1000000);
}

static void hold(const struct conversation *conversation)
{
	char name[] = "there";
	struct aws_sources sources = {0};
	struct aws_credentials c = {.source = conversation->source, .region = "eu-west-1", .sources = &sources, .now = NOW,
				    .work = BUF_MAX(4096), .keys = BUF_MAX(4096), .expires_at = INT64_MAX};
	struct aws_credentials_request request = {.body = BUF_MAX(65536)};
	const struct aws_credentials_answer *answer = NULL;
	struct aws_credentials_answer given;
	enum aws_credentials_step next;
	unsigned turn = 0;

	for (unsigned i = 0; i < SET; i++)
		if (conversation->set[i].value != NULL)
			sources.variable[conversation->set[i].variable] = conversation->set[i].value;
	for (unsigned i = 0; i < AWS_FILES; i++)
		if (conversation->files & 1U << i)
			sources.file[i].name = name;
	for (;;) {
		struct buf asked = BUF_MAX(65536);

		next = aws_credentials_step(&c, answer, &request);
		if (next == AWS_CREDENTIALS_DONE || next == AWS_CREDENTIALS_FAILED)
			break;
		put_asked(&c, next, &request, &asked);
		if (turn == TURNS || conversation->turns[turn].ask == NULL ||
		    !fits(buf_str(&asked), str_of(conversation->turns[turn].ask))) {
			printf("\n%s, turn %u:", conversation->name, turn);
			UNIT_STR(buf_str(&asked), turn == TURNS ? NULL : conversation->turns[turn].ask);
			buf_clear(&asked);
			break;
		}
		buf_clear(&asked);
		given = (struct aws_credentials_answer){conversation->turns[turn].status, str_of(conversation->turns[turn].answer)};
		answer = &given;
		aws_credentials_request_clear(&request);
		turn++;
	}
	if (turn < TURNS && conversation->turns[turn].ask != NULL)
		printf("\n%s: turn %u did not come\n", conversation->name, turn);
	UNIT_TRUE(turn == TURNS || conversation->turns[turn].ask == NULL);
	check_end(conversation, &c, next);
	aws_credentials_request_clear(&request);
	buf_clear(&c.work);
	buf_clear(&c.keys);
}

static void every_source_is_asked_as_it_wants(void)
{
	for (size_t i = 0; i < sizeof(conversations) / sizeof(conversations[0]); i++)
		hold(&conversations[i]);
}

static void without_what_was_taken_at_the_start_it_says_so(void)
{
	struct aws_credentials c = {.source = AWS_DEFAULT, .now = NOW};
	struct aws_credentials_request request = {0};

	UNIT_INT(aws_credentials_step(&c, NULL, &request), AWS_CREDENTIALS_FAILED);
	UNIT_TRUE(strstr(c.why, "started again") != NULL);
}

UNIT_TESTS({"every source is asked as it wants", every_source_is_asked_as_it_wants},
	   {"without what was taken at the start it says so", without_what_was_taken_at_the_start_it_says_so})
