/* SPDX-License-Identifier: Apache-2.0
 *
 * client_message: what is built, byte for byte where it matters. Boundaries are random: they are
 * read from the header first.
 */
#include "client/client_message.h"

#include <stdlib.h>

#include "lib/base/encode.h"
#include "tests/support/unit.h"

static const char *const one_to[] = {"Ann <ann@example.org>"};

static struct client_message plain(void)
{
	return (struct client_message){
		.from = "sender@example.com",
		.to = {(const char **)one_to, 1},
		.subject = "Hello",
		.text = "One\nTwo\n",
		.id = "1@example.com",
		.date = 1769860800,
	};
}

static char *build(const struct client_message *m)
{
	struct buf out = BUF_MAX(CLIENT_MESSAGE_MAX);
	struct err err;

	if (!client_message_build(m, &out, &err)) {
		buf_clear(&out);
		return NULL;
	}
	return buf_take_text(&out);
}

/* Every line ends in CRLF, none is longer than RFC 5322 allows, no bare CR or LF. */
static void check_lines(const char *text)
{
	struct str rest = str_of(text), line;

	while (str_next(&rest, '\n', &line)) {
		if (rest.p == NULL)
			break;
		UNIT_TRUE(str_ends(line, STR("\r")));
		UNIT_TRUE(line.n <= 999);
		UNIT_TRUE(line.n == 0 || memchr(line.p, '\r', line.n - 1) == NULL);
	}
	UNIT_INT(line.n, 0);
}

static void has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		printf("\nmissing: %s\nin: %s\n", part, text);
	UNIT_TRUE(strstr(text, part) != NULL);
}

static void a_plain_message_is_as_rfc_5322_wants(void)
{
	struct client_message m = plain();
	char *text = build(&m);

	UNIT_TEXT(text, "From: sender@example.com\r\n"
			"To: Ann <ann@example.org>\r\n"
			"Subject: Hello\r\n"
			"Date: Sat, 31 Jan 2026 12:00:00 +0000\r\n"
			"Message-ID: <1@example.com>\r\n"
			"MIME-Version: 1.0\r\n"
			"Content-Type: text/plain; charset=us-ascii\r\n"
			"\r\n"
			"One\r\nTwo\r\n");
	free(text);
}

static void other_characters_become_encoded_words(void)
{
	struct client_message m = plain();
	const char *to[] = {"Zo\xc3\xab <zoe@example.org>"};
	char *text;

	m.subject = "Gr\xc3\xbc\xc3\x9f"
		    "e";
	m.to.text = to;
	m.text = "caf\xc3\xa9";
	text = build(&m);
	has(text, "Subject: =?UTF-8?B?R3LDvMOfZQ==?=\r\n");
	has(text, "To: =?UTF-8?B?Wm/Dqw==?= <zoe@example.org>\r\n");
	has(text, "charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nY2Fmw6k=\r\n");
	UNIT_TRUE(str_is_ascii(str_of(text)));
	check_lines(text);
	free(text);
}

static void a_long_subject_is_cut_between_characters(void)
{
	struct client_message m = plain();
	struct str rest, line;
	char subject[301], *text;

	for (int i = 0; i < 100; i++)
		memcpy(subject + 3 * i, "\xe2\x82\xac", 4);
	m.subject = subject;
	text = build(&m);
	check_lines(text);
	rest = str_of(strstr(text, "Subject:"));
	for (int words = 0; str_next(&rest, '\n', &line); words++) {
		struct buf raw = BUF_MAX(1000);
		struct str word = str_trim(str_from(line, words == 0 ? 8 : 0));

		if (words > 0 && !str_starts(line, STR(" ")))
			break;
		word.n -= str_ends(word, STR("\r"));
		UNIT_TRUE(line.n <= 77);
		UNIT_TRUE(str_starts(word, STR("=?UTF-8?B?")) && str_ends(word, STR("?=")));
		UNIT_TRUE(encode_from_base64(&raw, str_first(str_from(word, 10), word.n - 12)));
		UNIT_TRUE(str_is_utf8(buf_str(&raw)));
		buf_clear(&raw);
	}
	free(text);
}

static void text_and_html_are_alternatives(void)
{
	struct client_message m = plain();
	char *text;

	m.html = "<p>One</p>";
	text = build(&m);
	has(text, "Content-Type: multipart/alternative; boundary=\"=_");
	UNIT_TRUE(strstr(text, "text/plain") < strstr(text, "text/html"));
	has(text, "<p>One</p>\r\n");
	check_lines(text);
	free(text);
}

static void attachments_are_base64_with_their_names(void)
{
	struct client_message m = plain();
	char bytes[200], *text, *line;
	struct client_attachment a[] = {
		{"a \"b\".bin", "application/octet-stream", {bytes, sizeof(bytes)}},
		{"\xc3\xbc.pdf", "application/pdf", {"", 0}},
	};

	memset(bytes, 0xff, sizeof(bytes));
	m.attachments = a;
	m.n_attachments = 2;
	text = build(&m);
	has(text, "Content-Type: multipart/mixed; boundary=\"=_");
	has(text, "Content-Disposition: attachment;\r\n filename=\"a \\\"b\\\".bin\"\r\n");
	has(text, "Content-Disposition: attachment;\r\n filename*0*=UTF-8''%C3%BC%2E%70%64%66\r\n");
	line = strstr(text, "////");
	UNIT_INT(strcspn(line, "\r"), 76);
	check_lines(text);
	free(text);
}

static void given_fields_replace_made_ones(void)
{
	struct client_message m = plain();
	const char *header[] = {"X-Load-ID: 17", "subject: Mine",
				"Date: Thu, 1 Jan 1970 00:00:00 +0000"};
	char *text;

	m.header.text = header;
	m.header.n = 3;
	text = build(&m);
	has(text, "X-Load-ID: 17\r\n");
	has(text, "subject: Mine\r\n");
	UNIT_TRUE(strstr(text, "Subject: Hello") == NULL);
	UNIT_TRUE(strstr(strstr(text, "Date:") + 1, "Date:") == NULL);
	free(text);
}

static void what_would_break_out_of_the_header_is_refused(void)
{
	static const char *const bad[] = {"no colon", ": no name", "X Y: blank in the name",
					  "X: a\r\nBcc: b", "X: a\nBcc: b"};
	struct client_message m = plain();

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *header[] = {bad[i]};

		m.header.text = header;
		m.header.n = 1;
		UNIT_TRUE(build(&m) == NULL);
	}
	m = plain();
	m.subject = "a\r\nBcc: b@example.org";
	UNIT_TRUE(build(&m) == NULL);
}

static void long_lines_and_control_characters_are_encoded(void)
{
	struct client_message m = plain();
	char body[2001], *text;

	memset(body, 'x', 2000);
	body[2000] = '\0';
	m.text = body;
	text = build(&m);
	has(text, "base64");
	check_lines(text);
	free(text);
	m.text = "a\rb";
	text = build(&m);
	has(text, "\r\n\r\nYQ1i\r\n");
	free(text);
}

static const struct {
	const char *text, *address; /* NULL: refused */
} addresses[] = {
	{"ann@example.org", "ann@example.org"},
	{" Ann <ann@example.org> ", "ann@example.org"},
	{"<ann@example.org>", "ann@example.org"},
	{"\"Ann, B\" <ann@example.org>", "ann@example.org"},
	{"", NULL},
	{"ann", NULL},
	{"@example.org", NULL},
	{"ann@", NULL},
	{"ann@example.org>", NULL},
	{"<ann@example.org> SIZE=1>", NULL},
	{"<a<b@c>", "b@c"},
	{"ann@example.org\r\nRCPT TO:<x@y>", NULL},
	{"ann b@example.org", NULL},
};

static void an_address_cannot_break_out_of_its_command(void)
{
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		struct str address = {0};
		bool ok = client_message_address(str_of(addresses[i].text), &address);

		if (ok != (addresses[i].address != NULL))
			printf("\n%s\n", addresses[i].text);
		UNIT_TRUE(ok == (addresses[i].address != NULL));
		if (ok)
			UNIT_STR(address, addresses[i].address);
	}
}

static void the_type_follows_the_ending(void)
{
	UNIT_TEXT(client_message_type("report.PDF"), "application/pdf");
	UNIT_TEXT(client_message_type("x.jpeg"), "image/jpeg");
	UNIT_TEXT(client_message_type("README"), "application/octet-stream");
	UNIT_TEXT(client_message_type(".pdf"), "application/octet-stream");
}

UNIT_TESTS({"a plain message is as RFC 5322 wants", a_plain_message_is_as_rfc_5322_wants},
	   {"other characters become encoded words", other_characters_become_encoded_words},
	   {"a long subject is cut between characters", a_long_subject_is_cut_between_characters},
	   {"text and html are alternatives", text_and_html_are_alternatives},
	   {"attachments are base64 with their names", attachments_are_base64_with_their_names},
	   {"given fields replace made ones", given_fields_replace_made_ones},
	   {"what would break out of the header is refused",
	    what_would_break_out_of_the_header_is_refused},
	   {"long lines and control characters are encoded",
	    long_lines_and_control_characters_are_encoded},
	   {"an address cannot break out of its command",
	    an_address_cannot_break_out_of_its_command},
	   {"the type follows the ending", the_type_follows_the_ending})
