/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of deliver/mime_ascii.c and deliver/mime_ascii_field.c: what is not ASCII, or hidden, is encoded; the rest stays.
 */
#include "deliver/mime_ascii.h"

#include <stdlib.h>

#include "deliver/mime_charset.h"
#include "tests/support/unit.h"

/* The section and what is behind it. */
static bool convert(struct mime_ascii *m, const char *content)
{
	const char *end = strstr(content, "\r\n\r\n");
	struct str all = str_of(content);
	size_t header = end == NULL ? all.n : (size_t)(end - content) + 2;

	mime_charset_prepare();
	*m = (struct mime_ascii){.hidden = STR("{{")};
	return mime_ascii(m, str_first(all, header), str_from(all, header));
}

static const struct {
	const char *name, *content, *expected; /* NULL: as it was */
} cases[] = {
	{"ASCII stays", "From: a@a\r\nX-Odd\r\n\r\n {{x}}\r\n.\n\r=3D", NULL},
	{"nothing stays nothing", "", NULL},
	{"a header alone", "From: a@a\r\n", NULL},
	{"text in UTF-8", "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\nTo: b@b\r\n\r\n"
			  "Gr\xc3\xbc\xc3\x9f" "e = 1 \r\nb\t\r\n\r\n.",
	 "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nTo: b@b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
	 "Gr=C3=BC=C3=9Fe =3D 1=20\r\nb=09\r\n\r\n."},
	{"text without a header of MIME's", "From: a@a\r\n\r\n\xc3\xbc and so on",
	 "From: a@a\r\nContent-Transfer-Encoding: quoted-printable\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
	 "=C3=BC and so on"},
	{"much that is not ASCII is base64", "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\n\xf0\xd2\xc9\xd7\xc5\xd4",
	 "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=koi8-r\r\nContent-Transfer-Encoding: base64\r\n\r\n8NLJ18XU\r\n"},
	{"octets in base64, in lines", "MIME-Version: 1.0\r\nContent-Type: application/x; a=b\r\n\r\n"
	 "\xff" "23456789012345678901234567890123456789012345678901234567\x80",
	 "MIME-Version: 1.0\r\nContent-Type: application/x; a=b\r\nContent-Transfer-Encoding: base64\r\n\r\n"
	 "/zIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3\r\ngA==\r\n"},
	{"a long line is broken", "MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n"
	 "\xe9" "234567890123456789012345678901234567890123456789012345678901234567890123456789",
	 "MIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
	 "=E9" "234567890123456789012345678901234567890123456789012345678901234567890123=\r\n456789"},
	{"of a multipart only the parts that need it",
	 "Content-Type: multipart/mixed;\r\n boundary=\"a b\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\npre\xe9\r\n--a b\r\n"
	 "Content-Type: text/plain\r\n\r\nplain\r\n\r\n--a b \r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>\xc3\xa9 it is</p>\r\n--a b--\r\nepi\xe9\r\n",
	 "Content-Type: multipart/mixed;\r\n boundary=\"a b\"\r\nContent-Transfer-Encoding: 7bit\r\n\r\npre?\r\n--a b\r\n"
	 "Content-Type: text/plain\r\n\r\nplain\r\n\r\n--a b \r\nContent-Type: text/html; charset=utf-8\r\n"
	 "Content-Transfer-Encoding: quoted-printable\r\n\r\n<p>=C3=A9 it is</p>\r\n--a b--\r\nepi?\r\n"},
	{"a message in the message",
	 "Content-Type: message/rfc822\r\n\r\nSubject: \xc3\xa9 {{\r\nMIME-Version: 1.0\r\nMessage-ID: <{{@x>\r\n\r\nit is \xc3\xa9\r\n",
	 "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\nSubject: =?utf-8?q?=C3=A9?= {{\r\nMIME-Version: 1.0\r\n"
	 "Message-ID: <{{@x>\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nit is =C3=A9\r\n"},
	{"what is coded badly", "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3\xa9\r\n"
	 "--x\r\nContent-Transfer-Encoding: BASE64\r\n\r\neHg\xff=\r\n--x--\r\n",
	 "Content-Type: multipart/mixed; boundary=x\r\nContent-Transfer-Encoding: 7bit\r\n\r\n--x\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A9\r\n"
	 "--x\r\nContent-Transfer-Encoding: BASE64\r\n\r\neHg=\r\n--x--\r\n"},
	{"a subject in UTF-8", "Subject: Gr\xc3\xbc\xc3\x9f" "e aus K\xc3\xb6ln heute\r\n\r\n.", "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= aus =?utf-8?q?K=C3=B6ln?= heute\r\n\r\n."},
	{"blanks between encoded words are kept", "Subject: \xc3\xbc \xc3\xb6 =?utf-8?q?x?= \xc3\xa4\r\n\r\n.",
	 "Subject: =?utf-8?q?=C3=BC_=C3=B6_?= =?utf-8?q?x?= =?utf-8?q?_=C3=A4?=\r\n\r\n."},
	{"a subject in Latin 1", "Subject: caf\xe9\r\n\r\n.", "Subject: =?utf-8?q?caf=C3=A9?=\r\n\r\n."},
	{"orders in a subject", "Subject: Hi {{name}}, {{ if x }}\r\n\r\n{{body}}",
	 "Subject: Hi =?utf-8?q?=7B=7Bname=7D=7D=2C_=7B=7B?= if x }}\r\n\r\n{{body}}"},
	{"a long word", "Subject: \xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\r\n\r\n.",
	 "Subject: =?utf-8?q?=C3=A9=C3=A9=C3=A9=C3=A9=C3=A9=C3=A9=C3=A9=C3=A9=C3=A9?=\r\n =?utf-8?q?=C3=A9?=\r\n\r\n."},
	{"names of addresses", "From: J\xc3\xb6rg M <a@a>\r\nTo: \"M\xc3\xbcller, {{x}}\"<b@b>, c@c (\xc3\xa9 (in) x),\r\n \xc3\x9c" "b: d@d;\r\nCc: \"plain\" <e@e>\r\n\r\n.",
	 "From: =?utf-8?q?J=C3=B6rg?= M <a@a>\r\nTo: =?utf-8?q?M=C3=BCller=2C_=7B=7Bx=7D=7D?= <b@b>, c@c (=?utf-8?q?=C3=A9_=28in=29_x?=),\r\n"
	 " =?utf-8?q?=C3=9Cb?=: d@d;\r\nCc: \"plain\" <e@e>\r\n\r\n."},
	{"file names", "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Disposition: attachment; filename=\"\xc3\xa9 {{a}}.txt\"; size=1\r\n\r\n.\r\n--x--",
	 "Content-Type: multipart/mixed; boundary=x\r\nContent-Transfer-Encoding: 7bit\r\n\r\n--x\r\nContent-Disposition: attachment;\r\n"
	 " filename*=utf-8''%C3%A9%20%7B%7Ba%7D%7D.txt; size=1\r\n\r\n.\r\n--x--"},
	{"orders in a part's header", "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Description: {{a}}\r\n\r\n{{b}}\r\n--x--",
	 "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Description: =?utf-8?q?=7B=7Ba=7D=7D?=\r\n\r\n{{b}}\r\n--x--"},
	{"URLs", "List-Unsubscribe: <https://x/{{id}}?\xc3\xa9>\r\n\r\n.", "List-Unsubscribe: <https://x/%7B%7Bid}}?%C3%A9>\r\n\r\n."},
	{"traces", "Received: from \xc3\xa9 ({{x)\r\n\tby us\r\n\r\n.", "Received: from ?? (?{x)\r\n\tby us\r\n\r\n."},
	{"a part that is a header alone", "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nX: \xc3\xa9\r\n--x--",
	 "Content-Type: multipart/mixed; boundary=x\r\nContent-Transfer-Encoding: 7bit\r\n\r\n--x\r\nX: =?utf-8?q?=C3=A9?=\r\n--x--"},
	{"a line that is no field", "From: a@a\r\n\xc3\xa9 no field\r\n\r\n.", "From: a@a\r\n\r\n."},
};

static void what_is_not_ascii_is_encoded(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *expected = cases[i].expected != NULL ? cases[i].expected : cases[i].content;
		struct mime_ascii m;

		UNIT_TRUE(convert(&m, cases[i].content));
		if (!str_eq(buf_str(&m.out), str_of(expected)))
			printf("\n%s:", cases[i].name);
		UNIT_STR(buf_str(&m.out), expected);
		UNIT_TRUE((m.changed.n == 0) == (cases[i].expected == NULL));
		mime_ascii_clear(&m);
	}
}

static void what_cannot_be_encoded_is_told(void)
{
	static const struct {
		const char *content, *trouble;
		bool is_address;
	} rows[] = {
		{"From: \xc3\xa9@a\r\n\r\n.", "From has an address that is not ASCII", true},
		{"To: x <b@\xc3\xa9.example>\r\n\r\n.", "To has an address that is not ASCII", true},
		{"Cc: \"\xc3\xa9\"@x\r\n\r\n.", "Cc has an address that is not ASCII", true},
		{"Reply-To: {{a}}@x\r\n\r\n.", "Reply-To has an address in which nothing can be encoded", false},
		{"Message-ID: <{{a@x>\r\n\r\n.", "Message-ID has something that cannot be encoded there", false},
		{"Content-Type: multipart/mixed; boundary=\"{{\"\r\n\r\n.", "Content-Type has something that cannot be encoded there", false},
		{"Content-Type: multipart/signed; boundary=x\r\n\r\n--x\r\n\r\n\xc3\xa9\r\n--x--\r\n",
		 "it is signed, and its signature would not outlive the encoding", false},
		{"X-{{a}}: b\r\n\r\n.", "X-{{a}} has something that cannot be encoded there", false},
		{"Content-Type: {{/x\r\n\r\n.", "Content-Type has something that cannot be encoded there", false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mime_ascii m;

		UNIT_TRUE(!convert(&m, rows[i].content));
		UNIT_TEXT(m.trouble, rows[i].trouble);
		UNIT_INT(m.is_address, rows[i].is_address);
		mime_ascii_clear(&m);
	}
}

static void deep_nesting_is_refused(void)
{
	struct buf content = BUF_MAX(1 << 20);
	struct mime_ascii m;
	char *text;

	for (unsigned i = 0; i < 40; i++)
		buf_printf(&content, "Content-Type: multipart/mixed; boundary=b%u\r\n\r\n--b%u\r\n", i, i);
	buf_put_text(&content, "\r\n\xff");
	text = buf_take_text(&content);
	UNIT_TRUE(!convert(&m, text));
	UNIT_TEXT(m.trouble, "its parts are nested too deep");
	mime_ascii_clear(&m);
	free(text);
}

UNIT_TESTS({"what is not ASCII is encoded", what_is_not_ascii_is_encoded},
	   {"what cannot be encoded is told", what_cannot_be_encoded_is_told},
	   {"deep nesting is refused", deep_nesting_is_refused})
