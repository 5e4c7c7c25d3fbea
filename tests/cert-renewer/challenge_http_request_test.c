/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests, as authorities and strangers write them.
 */
#include "cert-renewer/challenge_http_request.h"

#include "lib/base/buf.h"
#include "tests/support/unit.h"

#define PATH "/.well-known/acme-challenge/"
#define TOKEN "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0"
#define HOST "Host: example.com\r\n"

static void whole_requests_have_a_verdict(void)
{
	static const struct {
		const char *input;
		unsigned status; /* 0: TOKEN is wanted */
		bool is_head;
	} cases[] = {
		/* RFC 8555, 8.3 */
		{"GET " PATH TOKEN " HTTP/1.1\r\n" HOST "\r\n", 0, false},
		{"GET " PATH TOKEN " HTTP/1.1\r\nhost:example.com\r\nUser-Agent: x\t/1 \xe4\r\nAccept:\r\n\r\n", 0, false},
		{"HEAD " PATH TOKEN " HTTP/1.1\r\n" HOST "\r\n", 0, true},
		{"GET " PATH TOKEN " HTTP/1.0\r\n\r\n", 0, false},
		{"GET " PATH TOKEN " HTTP/1.0\n\n", 0, false},
		{"\r\nGET " PATH TOKEN " HTTP/1.1\r\n" HOST "\r\nGET / HTTP/1.1\r\n", 0, false},
		{"GET " PATH TOKEN "?a=b HTTP/1.1\r\n" HOST "\r\n", 0, false},
		/* RFC 9112, 3.2.2 */
		{"GET http://example.com" PATH TOKEN " HTTP/1.1\r\n" HOST "\r\n", 0, false},
		{"GET HTTPS://example.com:80" PATH TOKEN "? HTTP/1.1\r\n" HOST "\r\n", 0, false},
		{"GET / HTTP/1.1\r\n" HOST "\r\n", 404, false},
		{"GET " PATH " HTTP/1.1\r\n" HOST "\r\n", 404, false},
		{"GET " PATH TOKEN "/ HTTP/1.1\r\n" HOST "\r\n", 404, false},
		{"GET " PATH "../../etc/passwd HTTP/1.1\r\n" HOST "\r\n", 404, false},
		{"GET " PATH "%2e HTTP/1.1\r\n" HOST "\r\n", 404, false},
		{"GET /.well-known/acme-challeng" TOKEN " HTTP/1.1\r\n" HOST "\r\n", 404, false},
		{"HEAD /favicon.ico HTTP/1.1\r\n" HOST "\r\n", 404, true},
		{"POST " PATH TOKEN " HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", 405, false},
		{"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 405, false},
		{"get " PATH TOKEN " HTTP/1.1\r\n" HOST "\r\n", 405, false},
		{"GET http://example.com HTTP/1.1\r\n" HOST "\r\n", 400, false},
		{"GET example.com" PATH TOKEN " HTTP/1.1\r\n" HOST "\r\n", 400, false},
		{"GET " PATH TOKEN "\r\n", 400, false},
		{"GET " PATH TOKEN " HTTP/2.0\r\n", 400, false},
		{"GET " PATH TOKEN " HTTP/1.1 \r\n", 400, false},
		{"GET  " PATH TOKEN " HTTP/1.1\r\n", 400, false},
		{" GET " PATH TOKEN " HTTP/1.1\r\n", 400, false},
		{"G@T " PATH TOKEN " HTTP/1.1\r\n", 400, false},
		{"\x16\x03\x01\x02\n", 400, false},
		/* RFC 9112, 3.2: one Host */
		{"GET " PATH TOKEN " HTTP/1.1\r\n\r\n", 400, false},
		{"GET " PATH TOKEN " HTTP/1.1\r\n" HOST HOST "\r\n", 400, false},
		{"GET " PATH TOKEN " HTTP/1.0\r\n" HOST HOST "\r\n", 400, false},
		/* 5.1, 5.2 */
		{"GET " PATH TOKEN " HTTP/1.1\r\nHost : example.com\r\n", 400, false},
		{"GET " PATH TOKEN " HTTP/1.1\r\n" HOST " continued\r\n", 400, false},
		{"GET " PATH TOKEN " HTTP/1.1\r\n" HOST "no colon\r\n", 400, false},
		{"GET " PATH TOKEN " HTTP/1.1\r\n" HOST "colon\r\n", 400, false},
		{"GET " PATH TOKEN " HTTP/1.1\r\n" HOST ": no name\r\n", 400, false},
		{"GET " PATH TOKEN " HTTP/1.1\r\n" HOST "A: \r b\r\n", 400, false},
	};
	struct challenge_http_request r;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool is_whole = challenge_http_request_read(str_of(cases[i].input), &r);

		if (!is_whole || r.status != cases[i].status)
			printf("\n%s", cases[i].input);
		UNIT_TRUE(is_whole);
		UNIT_INT(r.status, cases[i].status);
		UNIT_INT(r.is_head && r.status != 400, cases[i].is_head);
		if (r.status == 0)
			UNIT_STR(r.token, TOKEN);
	}
}

static void more_is_awaited_at_every_octet(void)
{
	static const char whole[] = "GET " PATH TOKEN " HTTP/1.1\r\n" HOST "Accept: */*\r\n\r\n";
	struct challenge_http_request r;

	for (size_t n = 0; n < sizeof(whole) - 1; n++)
		UNIT_TRUE(!challenge_http_request_read(str_bytes(whole, n), &r));
	UNIT_TRUE(challenge_http_request_read(str_bytes(whole, sizeof(whole) - 1), &r));
}

static void nothing_is_awaited_for_ever(void)
{
	struct buf input = BUF_MAX(2 * CHALLENGE_HTTP_REQUEST_MAX);
	struct challenge_http_request r;

	while (input.n < CHALLENGE_HTTP_REQUEST_MAX - 1)
		buf_put_char(&input, 'a');
	UNIT_TRUE(!challenge_http_request_read(buf_str(&input), &r));
	buf_put_char(&input, 'a');
	UNIT_TRUE(challenge_http_request_read(buf_str(&input), &r));
	UNIT_INT(r.status, 431);
	buf_reset(&input);
	buf_put_text(&input, "GET / HTTP/1.0\r\n");
	while (input.n < CHALLENGE_HTTP_REQUEST_MAX)
		buf_put_text(&input, "A: b\r\n");
	UNIT_TRUE(challenge_http_request_read(buf_str(&input), &r));
	UNIT_INT(r.status, 431);
	buf_clear(&input);
}

static void a_token_has_an_alphabet_and_an_end(void)
{
	char longest[CHALLENGE_HTTP_REQUEST_TOKEN + 1];

	memset(longest, 'a', sizeof(longest));
	UNIT_TRUE(challenge_http_request_is_token(str_bytes(longest, CHALLENGE_HTTP_REQUEST_TOKEN)));
	UNIT_TRUE(!challenge_http_request_is_token(str_bytes(longest, sizeof(longest))));
	UNIT_TRUE(challenge_http_request_is_token(STR("-_09azAZ")));
	for (unsigned c = 0; c < 256; c++) {
		char one = (char)c;
		bool is_good = c == '-' || c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

		UNIT_TRUE(challenge_http_request_is_token(str_bytes(&one, 1)) == is_good);
	}
	UNIT_TRUE(!challenge_http_request_is_token(STR("")));
}

UNIT_TESTS({"whole requests have a verdict", whole_requests_have_a_verdict},
	   {"more is awaited at every octet", more_is_awaited_at_every_octet},
	   {"nothing is awaited for ever", nothing_is_awaited_for_ever},
	   {"a token has an alphabet and an end", a_token_has_an_alphabet_and_an_end})
