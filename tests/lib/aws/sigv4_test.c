/* SPDX-License-Identifier: Apache-2.0
 *
 * The signer against vectors: AWS's Signature Version 4 test suite (with its names), the examples of the
 * IAM and S3 user guides, and two for SES that were computed with another implementation.
 */
#include "lib/aws/sigv4.h"

#include "tests/support/unit.h"

#define SUITE_SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define S3_SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define SUITE_DATE "20150830T123600Z"
#define S3_DATE "20130524T000000Z"
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define HOST {STR("Host"), STR("example.amazonaws.com")}
#define NO_QUERY {{STR(""), STR("")}}
#define DATED {STR("X-Amz-Date"), STR(SUITE_DATE)}
#define SES_BODY "{\"Content\":{\"Raw\":{\"Data\":\"RnJvbTogYUBleGFtcGxlLmNvbQ0KDQpoaQ==\"}}," \
		 "\"Destination\":{\"ToAddresses\":[\"b@example.com\"]}}"

static const struct vector {
	const char *name, *method, *path, *service, *date, *access_key, *secret;
	struct sigv4_pair query[4], headers[6];
	size_t n_query, n_headers;
	const char *body; /* NULL: empty */
	const char *signed_headers, *signature;
} vectors[] = {
	{"get-vanilla", "GET", "/", "service", SUITE_DATE, "AKIDEXAMPLE", SUITE_SECRET, NO_QUERY, {HOST, DATED}, 0, 2,
	 NULL, "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
	{"get-vanilla, no path", "GET", "", "service", SUITE_DATE, "AKIDEXAMPLE", SUITE_SECRET, NO_QUERY, {DATED, HOST},
	 0, 2, NULL, "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
	{"get-relative-relative", "GET", "/example1/example2/../..", "service", SUITE_DATE, "AKIDEXAMPLE",
	 SUITE_SECRET, NO_QUERY, {HOST, DATED}, 0, 2, NULL, "host;x-amz-date",
	 "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
	{"get-slash-dot-slash", "GET", "/./", "service", SUITE_DATE, "AKIDEXAMPLE", SUITE_SECRET, NO_QUERY,
	 {HOST, DATED}, 0, 2, NULL, "host;x-amz-date",
	 "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
	{"get-slash", "GET", "//", "service", SUITE_DATE, "AKIDEXAMPLE", SUITE_SECRET, NO_QUERY, {HOST, DATED}, 0, 2,
	 NULL, "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
	{"get-space", "GET", "/example space/", "service", SUITE_DATE, "AKIDEXAMPLE", SUITE_SECRET, NO_QUERY,
	 {HOST, DATED}, 0, 2, NULL, "host;x-amz-date",
	 "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
	{"get-utf8", "GET", "/\xe1\x88\xb4", "service", SUITE_DATE, "AKIDEXAMPLE", SUITE_SECRET, NO_QUERY,
	 {HOST, DATED}, 0, 2, NULL, "host;x-amz-date",
	 "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
	{"get-vanilla-query-order-key-case", "GET", "/", "service", SUITE_DATE, "AKIDEXAMPLE", SUITE_SECRET,
	 {{STR("Param2"), STR("value2")}, {STR("Param1"), STR("value1")}}, {HOST, DATED}, 2, 2, NULL,
	 "host;x-amz-date", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
	{"get-header-key-duplicate", "GET", "/", "service", SUITE_DATE, "AKIDEXAMPLE", SUITE_SECRET, NO_QUERY,
	 {HOST, {STR("My-Header1"), STR("value2")}, {STR("My-Header1"), STR("value2")},
	  {STR("My-Header1"), STR("value1")}, DATED}, 0, 5, NULL, "host;my-header1;x-amz-date",
	 "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
	{"get-header-value-trim", "GET", "/", "service", SUITE_DATE, "AKIDEXAMPLE", SUITE_SECRET, NO_QUERY,
	 {HOST, {STR("My-Header1"), STR(" value1")}, {STR("My-Header2"), STR(" \"a   b   c\"")}, DATED}, 0, 4, NULL,
	 "host;my-header1;my-header2;x-amz-date",
	 "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
	{"post-vanilla, with headers that are not signed", "POST", "/", "service", SUITE_DATE, "AKIDEXAMPLE",
	 SUITE_SECRET, NO_QUERY,
	 {HOST, DATED, {STR("User-Agent"), STR("x")}, {STR("Expect"), STR("100-continue")},
	  {STR("Proxy-Thing"), STR("y")}}, 0, 5, NULL, "host;x-amz-date",
	 "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
	{"IAM ListUsers", "GET", "/", "iam", SUITE_DATE, "AKIDEXAMPLE", SUITE_SECRET,
	 {{STR("Version"), STR("2010-05-08")}, {STR("Action"), STR("ListUsers")}},
	 {{STR("host"), STR("iam.amazonaws.com")},
	  {STR("content-type"), STR("application/x-www-form-urlencoded; charset=utf-8")}, DATED}, 2, 3, NULL,
	 "content-type;host;x-amz-date", "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"},
	{"S3 GET object", "GET", "/test.txt", "s3", S3_DATE, "AKIAIOSFODNN7EXAMPLE", S3_SECRET, NO_QUERY,
	 {{STR("host"), STR("examplebucket.s3.amazonaws.com")}, {STR("range"), STR("bytes=0-9")},
	  {STR("x-amz-content-sha256"), STR(EMPTY)}, {STR("x-amz-date"), STR(S3_DATE)}}, 0, 4, NULL,
	 "host;range;x-amz-content-sha256;x-amz-date",
	 "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
	{"S3 PUT object", "PUT", "/test%24file.text", "s3", S3_DATE, "AKIAIOSFODNN7EXAMPLE", S3_SECRET, NO_QUERY,
	 {{STR("date"), STR("Fri, 24 May 2013 00:00:00 GMT")}, {STR("host"), STR("examplebucket.s3.amazonaws.com")},
	  {STR("x-amz-content-sha256"), STR("44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072")},
	  {STR("x-amz-date"), STR(S3_DATE)}, {STR("x-amz-storage-class"), STR("REDUCED_REDUNDANCY")}}, 0, 5,
	 "Welcome to Amazon S3.", "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
	 "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
	{"SES SendEmail", "POST", "/v2/email/outbound-emails", "ses", SUITE_DATE, "AKIDEXAMPLE", SUITE_SECRET,
	 NO_QUERY, {{STR("host"), STR("email.us-east-1.amazonaws.com")}, {STR("content-type"), STR("application/json")},
	 DATED}, 0, 3, SES_BODY, "content-type;host;x-amz-date",
	 "332881b78df425b216d957c348437e93324380140e7a746b716d884367716634"},
	{"SES SendEmail with a session token", "POST", "/v2/email/outbound-emails", "ses", SUITE_DATE, "AKIDEXAMPLE",
	 SUITE_SECRET, NO_QUERY,
	 {{STR("host"), STR("email.us-east-1.amazonaws.com")}, {STR("content-type"), STR("application/json")}, DATED,
	  {STR("x-amz-security-token"), STR("AQoEXAMPLETOKEN==")}}, 0, 4, SES_BODY,
	 "content-type;host;x-amz-date;x-amz-security-token",
	 "42957f569bb99c5e7a97c75320c36b9c7d9672d2258fc2646b8306d23a532747"},
};

static struct sigv4_request request_of(const struct vector *v, char hash[SIGV4_HASH])
{
	sigv4_hash(str_of(v->body), hash);
	return (struct sigv4_request){
		.method = str_of(v->method), .path = str_of(v->path), .query = v->query, .n_query = v->n_query,
		.headers = v->headers, .n_headers = v->n_headers, .payload_hash = str_of(hash), .date = v->date,
		.region = STR("us-east-1"), .service = str_of(v->service),
		.access_key_id = str_of(v->access_key), .secret_access_key = str_of(v->secret)};
}

static void published_vectors_are_met(void)
{
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		const struct vector *v = &vectors[i];
		char hash[SIGV4_HASH];
		struct sigv4_request request = request_of(v, hash);
		struct buf out = BUF_MAX(4096), expected = BUF_MAX(4096);

		buf_printf(&expected,
			   "AWS4-HMAC-SHA256 Credential=%s/%.8s/us-east-1/%s/aws4_request, SignedHeaders=%s, Signature=%s",
			   v->access_key, v->date, v->service, v->signed_headers, v->signature);
		UNIT_TRUE(sigv4_sign(&request, &out));
		if (!str_eq(buf_str(&out), buf_str(&expected)))
			printf("\n%s:", v->name);
		UNIT_TRUE(str_eq(buf_str(&out), buf_str(&expected)));
		buf_clear(&out);
		buf_clear(&expected);
	}
}

static void expect_line(const struct sigv4_request *request, unsigned line, const char *expected)
{
	struct buf out = BUF_MAX(65536);
	struct str rest, got = STR("");

	UNIT_TRUE(sigv4_canonical(request, &out));
	rest = buf_str(&out);
	for (unsigned i = 0; i <= line; i++)
		UNIT_TRUE(str_next(&rest, '\n', &got));
	UNIT_STR(got, expected);
	buf_clear(&out);
}

static void paths_are_made_canonical(void)
{
	static const struct {
		const char *service, *path, *canonical;
	} cases[] = {
		{"ses", "/a%20b/c", "/a%2520b/c"}, {"ses", "/a//b/./c/../d/", "/a/b/d/"}, {"ses", "/../..", "/"},
		{"ses", "/a/..", "/"},		   {"ses", "/-_.~", "/-_.~"},		  {"ses", "", "/"},
		{"s3", "/a//b/./c/../d/", "/a//b/./c/../d/"}, {"s3", "/test%24file", "/test%24file"}, {"s3", "", "/"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sigv4_request request = {.method = STR("GET"), .path = str_of(cases[i].path),
						.service = str_of(cases[i].service)};

		expect_line(&request, 1, cases[i].canonical);
	}
}

static void queries_are_encoded_and_sorted(void)
{
	const struct sigv4_pair pairs[] = {
		{STR("b"), STR("2")},	 {STR("b"), STR("10")}, {STR("a b"), STR("x=y&z/+")}, {STR("A"), STR("")},
		{STR("a"), STR("~-_.")}, {STR("{"), STR("%41")}, {STR("\xc3\xa9"), STR("u")},
	};
	struct sigv4_request request = {.method = STR("GET"), .path = STR("/"), .service = STR("x"), .query = pairs,
					.n_query = sizeof(pairs) / sizeof(pairs[0])};

	expect_line(&request, 2, "%7B=%2541&%C3%A9=u&A=&a=~-_.&a%20b=x%3Dy%26z%2F%2B&b=10&b=2");
}

static void headers_are_trimmed_and_sorted_by_name(void)
{
	const struct sigv4_pair pairs[] = {
		{STR("X-B-Long"), STR("1")}, {STR("x-b"), STR("  a \t  b\t")}, {STR("HOST"), STR("h")},
		{STR("X-A"), STR("")},	     {STR("Authorization"), STR("never")},
	};
	struct sigv4_request request = {.method = STR("GET"), .path = STR("/"), .service = STR("x"), .headers = pairs,
					.n_headers = sizeof(pairs) / sizeof(pairs[0])};

	expect_line(&request, 3, "host:h");
	expect_line(&request, 4, "x-a:");
	expect_line(&request, 5, "x-b:a b");
	expect_line(&request, 6, "x-b-long:1");
	expect_line(&request, 7, "");
	expect_line(&request, 8, "host;x-a;x-b;x-b-long");
}

static void too_much_is_refused(void)
{
	struct sigv4_pair pairs[SIGV4_PAIRS_MAX + 1];
	struct sigv4_request request = {.method = STR("GET"), .headers = pairs, .date = SUITE_DATE};
	struct buf out = BUF_MAX(1 << 20), small = BUF_MAX(20);

	for (size_t i = 0; i < SIGV4_PAIRS_MAX + 1; i++)
		pairs[i] = (struct sigv4_pair){STR("x"), STR("y")};
	request.n_headers = SIGV4_PAIRS_MAX;
	UNIT_TRUE(sigv4_sign(&request, &out));
	UNIT_TRUE(!sigv4_sign(&request, &small));
	request.n_headers = SIGV4_PAIRS_MAX + 1;
	UNIT_TRUE(!sigv4_sign(&request, &out));
	request.n_headers = 0;
	request.query = pairs;
	request.n_query = SIGV4_PAIRS_MAX + 1;
	UNIT_TRUE(!sigv4_sign(&request, &out));
	buf_clear(&out);
	buf_clear(&small);
}

static void dates_and_hashes_have_their_form(void)
{
	char date[SIGV4_DATE], hash[SIGV4_HASH];

	sigv4_date(1440938160999999, date);
	UNIT_TEXT(date, SUITE_DATE);
	sigv4_date(0, date);
	UNIT_TEXT(date, "19700101T000000Z");
	sigv4_hash(STR(""), hash);
	UNIT_TEXT(hash, EMPTY);
	sigv4_hash((struct str){NULL, 0}, hash);
	UNIT_TEXT(hash, EMPTY);
}

static void urls_are_split_as_they_are_sent(void)
{
	static const struct {
		const char *url, *host, *path;
	} cases[] = {
		{"https://h.example/a/b", "h.example", "/a/b"},
		{"https://h.example", "h.example", ""},
		{"https://h.example:443/", "h.example", "/"},
		{"https://h.example:80/", "h.example:80", "/"},
		{"http://127.0.0.1:80/a:80", "127.0.0.1", "/a:80"},
		{"http://[::1]:8080/", "[::1]:8080", "/"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct str host, path;

		sigv4_split_url(cases[i].url, &host, &path);
		UNIT_STR(host, cases[i].host);
		UNIT_STR(path, cases[i].path);
	}
}

UNIT_TESTS({"URLs are split as they are sent", urls_are_split_as_they_are_sent},
	   {"published vectors are met", published_vectors_are_met},
	   {"paths are made canonical", paths_are_made_canonical},
	   {"queries are encoded and sorted", queries_are_encoded_and_sorted},
	   {"headers are trimmed and sorted by name", headers_are_trimmed_and_sorted_by_name},
	   {"too much is refused", too_much_is_refused},
	   {"dates and hashes have their form", dates_and_hashes_have_their_form})
