/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of deliver/mime_message.c: what becomes of odd messages. Nothing of them may be lost.
 */
#include "deliver/mime_message.h"

#include <stdlib.h>
#include <sys/resource.h>

#include "deliver/mime_charset.h"
#include "lib/base/buf.h"
#include "tests/support/unit.h"

/* The parts as text: "text text/plain [hello]; attachment image/png a.png <id> 5". */
static char *describe(struct str content)
{
	static const char *const roles[] = {"text", "html", "alternative", "inline", "attachment"};
	struct buf out = BUF_MAX(1 << 20);
	struct mime_message m;

	mime_message_prepare();
	UNIT_TRUE(mime_message_parse(&m, content));
	for (unsigned i = 0; i < m.n_parts; i++) {
		const struct mime_part *p = &m.parts[i];

		buf_printf(&out, "%s%s %.*s", i > 0 ? "; " : "", roles[p->role], STR_ARG(p->type));
		if (p->name.n > 0)
			buf_printf(&out, " '%.*s'", STR_ARG(p->name));
		if (p->content_id.n > 0)
			buf_printf(&out, " <%.*s>", STR_ARG(p->content_id));
		buf_printf(&out, " [%.*s]", STR_ARG(p->body));
		if (p->role <= MIME_ALTERNATIVE)
			UNIT_TRUE(str_is_utf8(p->body));
	}
	mime_message_clear(&m);
	return buf_take_text(&out);
}

static const struct {
	const char *name, *content, *expected;
} cases[] = {
	{"plain", "To: a@b\r\n\r\nhello", "text text/plain [hello]"},
	{"nothing", "", ""},
	{"no body", "To: a@b\r\n", "text text/plain []"},
	{"no headers", "hello\r\n\r\nworld", "text text/plain [hello\r\n\r\nworld]"},
	{"no headers, a colon later", " x: y\r\nhello", "text text/plain [ x: y\r\nhello]"},
	{"a line among the headers that is none", "To: a@b\r\nnonsense\r\nSubject: x\r\n\r\nhello",
	 "text text/plain [hello]"},
	{"multipart without a boundary", "Content-Type: multipart/mixed\r\n\r\nhello\r\n--x\r\nfoo\r\n",
	 "text text/plain [hello\r\n--x\r\nfoo\r\n]"},
	{"multipart with a boundary that is not there", "Content-Type: multipart/mixed; boundary=x\r\n\r\nh\xe9llo",
	 "text text/plain [h\xc3\xa9llo]"},
	{"multipart without its end", "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nfoo",
	 "text text/plain [foo]"},
	{"multipart that ends within a part's headers",
	 "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nfoo\r\n--x\r\nContent-Type: image/png\r\n",
	 "text text/plain [foo]; attachment image/png []"},
	{"a content type that makes no sense", "Content-Type: ;;=\r\n\r\nhello", "text text/plain [hello]"},
	{"a content type without a subtype", "Content-Type: text\r\n\r\nhello", "text text/plain [hello]"},
	{"an unknown transfer encoding", "Content-Transfer-Encoding: x-strange\r\n\r\nhello", "text text/plain [hello]"},
	{"quoted-printable with faults", "Content-Transfer-Encoding: quoted-printable\r\n\r\na=3Db=ZZ=\r\nc=",
	 "text text/plain [a=b=ZZc]"},
	{"base64 with faults", "Content-Transfer-Encoding: base64\r\n\r\naGVs!!bG8", "text text/plain [hello]"},
	{"Latin 1", "Content-Type: text/plain; charset=iso-8859-1\r\n\r\ncaf\xe9", "text text/plain [caf\xc3\xa9]"},
	{"Windows' quotes in what says it is Latin 1", "Content-Type: text/plain; charset=iso-8859-1\r\n\r\n\x93x\x94",
	 "text text/plain [\xe2\x80\x9cx\xe2\x80\x9d]"},
	{"Shift JIS", "Content-Type: text/plain; charset=\"Shift_JIS\"\r\n\r\n\x83\x65\x83\x58\x83\x67",
	 "text text/plain [\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88]"},
	{"ISO-2022-JP", "Content-Type: text/plain; charset=ISO-2022-JP\r\n\r\n\x1b$B%F%9%H\x1b(B",
	 "text text/plain [\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88]"},
	{"GB2312", "Content-Type: text/plain; charset=gb2312\r\n\r\n\xc4\xe3\xba\xc3",
	 "text text/plain [\xe4\xbd\xa0\xe5\xa5\xbd]"},
	{"KOI8-R in base64",
	 "Content-Type: text/plain; charset=koi8-r\r\nContent-Transfer-Encoding: base64\r\n\r\n0NLJ18XU",
	 "text text/plain [\xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82]"},
	{"8-bit text that says nothing", "To: a@b\r\n\r\ncaf\xe9", "text text/plain [caf\xc3\xa9]"},
	{"UTF-8 that says it is ASCII", "Content-Type: text/plain; charset=us-ascii\r\n\r\ncaf\xc3\xa9",
	 "text text/plain [caf\xc3\xa9]"},
	{"faults in UTF-8", "Content-Type: text/plain; charset=utf-8\r\n\r\na\xff" "b\xc3",
	 "text text/plain [a\xef\xbf\xbd" "b\xef\xbf\xbd]"},
	{"an unknown charset", "Content-Type: text/plain; charset=x-klingon\r\n\r\na\xff" "b",
	 "text text/plain [a\xef\xbf\xbd" "b]"},
	{"an unknown charset that is UTF-8", "Content-Type: text/plain; charset=../../x\r\n\r\ncaf\xc3\xa9",
	 "text text/plain [caf\xc3\xa9]"},
	{"faults in a charset", "Content-Type: text/plain; charset=shift_jis\r\n\r\na\x83",
	 "text text/plain [a\xef\xbf\xbd]"},
	{"file names as RFC 2231, continued",
	 "Content-Type: application/pdf\r\nContent-Disposition: attachment; filename*0*=utf-8''h%C3%A9;\r\n"
	 " filename*1=llo.pdf\r\n\r\nx",
	 "attachment application/pdf 'h\xc3\xa9llo.pdf' [x]"},
	{"a file name as encoded words",
	 "Content-Type: application/pdf; name=\"=?utf-8?q?J=C3=A9.pdf?=\"\r\n\r\nx",
	 "attachment application/pdf 'J\xc3\xa9.pdf' [x]"},
	{"a file name with line ends in it",
	 "Content-Type: application/pdf; name=\"a\r\n b\x01.pdf\"\r\n\r\nx", "attachment application/pdf 'a b .pdf' [x]"},
	{"only an attachment", "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\naGk=",
	 "attachment image/png [hi]"},
	{"a text that is attached", "Content-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nhello",
	 "attachment text/plain [hello]"},
	{"an attached text changes to UTF-8 with its charset",
	 "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/csv; charset=latin1; name=a.csv\r\n\r\n"
	 "\xe9\r\n--x\r\nContent-Type: text/csv; name=b.csv\r\n\r\n\xe9\r\n--x--\r\n",
	 "attachment text/csv 'a.csv' [\xc3\xa9]; attachment text/csv 'b.csv' [\xe9]"},
	{"an attached message",
	 "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: message/rfc822\r\n\r\n"
	 "Subject: inner\r\n\r\nbody\r\n--x--\r\n",
	 "attachment message/rfc822 'message.eml' [Subject: inner\r\n\r\nbody]"},
	{"several texts are one, when there is no html",
	 "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\none\r\n--x\r\n\r\ntwo\r\n--x--\r\n",
	 "text text/plain [one\r\ntwo]"},
	{"several texts beside html are attached",
	 "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\none\r\n--x\r\nContent-Type: text/html\r\n\r\n<p>\r\n"
	 "--x\r\n\r\ntwo\r\n--x--\r\n",
	 "text text/plain [one]; html text/html [<p>]; attachment text/plain [two]"},
	{"an image that the html shows is inline, whatever it says",
	 "Content-Type: multipart/related; boundary=x\r\n\r\n--x\r\nContent-Type: text/html\r\n\r\n<img src=cid:a@b>\r\n"
	 "--x\r\nContent-Type: image/gif\r\nContent-ID: <a@b>\r\nContent-Disposition: attachment\r\n\r\nGIF\r\n--x\r\n"
	 "Content-Type: image/gif\r\nContent-ID: <c@d>\r\nContent-Disposition: attachment\r\n\r\nGIF\r\n--x--\r\n",
	 "html text/html [<img src=cid:a@b>]; inline image/gif <a@b> [GIF]; attachment image/gif <c@d> [GIF]"},
	{"a signed message keeps its signature",
	 "Content-Type: multipart/signed; boundary=x; protocol=\"application/pgp-signature\"\r\n\r\n--x\r\n\r\none\r\n--x\r\n"
	 "Content-Type: application/pgp-signature\r\n\r\nsig\r\n--x--\r\n",
	 "text text/plain [one]; attachment application/pgp-signature [sig]"},
	{"a type with strange characters", "Content-Type: Image/P\xc3\xa9\r\n\r\nx",
	 "attachment application/octet-stream [x]"},
	{"LF only", "Content-Type: multipart/mixed; boundary=x\n\n--x\n\none\n--x--\n", "text text/plain [one]"},
};

static void odd_messages_lose_nothing(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *actual = describe(str_of(cases[i].content));

		if (strcmp(actual, cases[i].expected) != 0)
			printf("\n%s:", cases[i].name);
		UNIT_TEXT(actual, cases[i].expected);
		free(actual);
	}
}

static void deep_nesting_ends(void)
{
	struct buf content = BUF_MAX(4 << 20);
	struct mime_message m;

	mime_message_prepare();
	buf_put_text(&content, "To: a@b\r\n");
	for (unsigned i = 0; i < 5000; i++)
		buf_printf(&content, "Content-Type: multipart/mixed; boundary=b%u\r\n\r\n--b%u\r\n", i, i);
	buf_put_text(&content, "\r\nhello");
	UNIT_TRUE(mime_message_parse(&m, buf_str(&content)));
	UNIT_INT(m.n_parts, 1);
	UNIT_STR(m.parts[0].type, "application/octet-stream");
	UNIT_TRUE(m.parts[0].body.n > 1000);
	mime_message_clear(&m);
	buf_clear(&content);
}

static void many_parts_are_refused(void)
{
	struct buf content = BUF_MAX(4 << 20);
	struct mime_message m;

	mime_message_prepare();
	buf_put_text(&content, "Content-Type: multipart/mixed; boundary=x\r\n\r\n");
	for (unsigned i = 0; i < MIME_MESSAGE_PARTS; i++)
		buf_put_text(&content, "--x\r\nContent-Type: image/png\r\n\r\ny\r\n");
	UNIT_TRUE(mime_message_parse(&m, buf_str(&content)));
	UNIT_INT(m.n_parts, MIME_MESSAGE_PARTS);
	mime_message_clear(&m);
	buf_put_text(&content, "--x\r\nContent-Type: image/png\r\n\r\ny\r\n");
	UNIT_TRUE(!mime_message_parse(&m, buf_str(&content)));
	mime_message_clear(&m);
	for (unsigned i = 0; i < 60000; i++)
		buf_put_text(&content, "--x\r\n\r\ny\r\n");
	UNIT_TRUE(!mime_message_parse(&m, buf_str(&content)));
	mime_message_clear(&m);
	buf_clear(&content);
}

static void many_addresses_are_bounded(void)
{
	struct buf content = BUF_MAX(8 << 20);
	struct mime_message m;

	mime_message_prepare();
	buf_put_text(&content, "To: b@b");
	for (unsigned i = 0; i < 400000; i++)
		buf_put_text(&content, ",a@a.example");
	buf_put_text(&content, "\r\nCc: c@c\r\n");
	for (unsigned i = 0; i < 5000; i++)
		buf_put_text(&content, "X: y\r\n");
	buf_put_text(&content, "\r\nhello");
	UNIT_TRUE(mime_message_parse(&m, buf_str(&content)));
	UNIT_INT(m.to.n, 0);
	UNIT_INT(m.cc.n, 1);
	UNIT_INT(m.n_headers, MIME_MESSAGE_FIELDS);
	UNIT_STR(m.parts[0].body, "hello");
	mime_message_clear(&m);
	buf_clear(&content);
}

/* GMime reads each as a group in the group before it, by recursion: 130,000 of them end the process. */
static void groups_in_groups_do_not_end_the_agent(void)
{
	static const char *const begins[] = {"To: ", "X: y\r\nContent-Type: message/rfc822\r\n\r\nTo: ",
					     "Content-Type: message/global\r\n\r\nCc: "};

	mime_message_prepare();
	for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++) {
		struct buf content = BUF_MAX(1 << 20);
		struct mime_message m;

		buf_put_text(&content, begins[i]);
		for (unsigned k = 0; k < 130000; k++)
			buf_put_text(&content, "a:");
		buf_put_text(&content, "\r\n\r\nhello");
		UNIT_TRUE(mime_message_parse(&m, buf_str(&content)));
		UNIT_INT(m.to.n + m.cc.n, 0);
		UNIT_INT(m.n_parts, 1);
		mime_message_clear(&m);
		buf_clear(&content);
	}
}

static void a_message_in_the_message_keeps_its_bytes(void)
{
	char *found = describe(STR("Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n"
				   "Content-Type: Message/RFC822\r\n\r\nTo:  <a@b> \r\nX:y\r\n\r\n--z\r\n--x--\r\n"));

	UNIT_STR(str_of(found), "attachment message/rfc822 'message.eml' [To:  <a@b> \r\nX:y\r\n\r\n--z]");
	free(found);
}

static void a_thousand_texts_take_the_memory_of_one(void)
{
	struct buf content = BUF_MAX(8 << 20);
	struct rusage before, after;
	struct mime_message m;

	mime_message_prepare();
	buf_put_text(&content, "Content-Type: multipart/mixed; boundary=x\r\n\r\n");
	for (unsigned i = 0; i < MIME_MESSAGE_PARTS; i++) {
		buf_put_text(&content, "--x\r\n\r\n");
		for (unsigned k = 0; k < 64; k++)
			buf_put_text(&content, "0123456789012345678901234567890123456789012345678901234567890\r\n");
	}
	getrusage(RUSAGE_SELF, &before);
	UNIT_TRUE(mime_message_parse(&m, buf_str(&content)));
	getrusage(RUSAGE_SELF, &after);
	UNIT_INT(m.n_parts, 1);
	UNIT_TRUE(m.parts[0].body.n > MIME_MESSAGE_PARTS * 64 * 60);
	UNIT_TRUE(after.ru_maxrss - before.ru_maxrss < 200 * 1024);
	mime_message_clear(&m);
	buf_clear(&content);
}

static void many_header_fields_are_refused(void)
{
	struct buf content = BUF_MAX(8 << 20);
	struct mime_message m;

	mime_message_prepare();
	for (unsigned i = 0; i < 30000; i++)
		buf_put_text(&content, "X: y\r\n");
	buf_put_text(&content, "\r\nhello");
	UNIT_TRUE(!mime_message_parse(&m, buf_str(&content)));
	mime_message_clear(&m);
	buf_reset(&content);
	buf_put_text(&content, "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n");
	for (unsigned i = 0; i < 120000; i++)
		buf_put_text(&content, "X: y\r\n");
	UNIT_TRUE(!mime_message_parse(&m, buf_str(&content)));
	mime_message_clear(&m);
	/* The same lines in a text are only text. */
	buf_reset(&content);
	buf_put_text(&content, "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n");
	for (unsigned i = 0; i < 120000; i++)
		buf_put_text(&content, "X: y\r\n");
	UNIT_TRUE(mime_message_parse(&m, buf_str(&content)));
	mime_message_clear(&m);
	buf_clear(&content);
}

static void headers_are_unfolded_and_encoded(void)
{
	static const struct {
		const char *content, *name, *value;
	} fields[] = {
		{"X-A: one\r\n two\r\n\tthree \r\n\r\n", "X-A", "one two three"},
		{"X-B : old style\r\n\r\n", "X-B", "old style"},
		{"X-C:\r\n folded at once\r\n\r\n", "X-C", "folded at once"},
		{"X-D: a\x01\x7f" "b\r\n\r\n", "X-D", "a  b"},
		{"X-E: =?utf-8?q?as_it_is?=\r\n\r\n", "X-E", "=?utf-8?q?as_it_is?="},
		{"X-F: caf\xc3\xa9\r\n\r\n", "X-F", "=?UTF-8?b?Y2Fmw6k=?="},
		{"X G: no\r\nX-H: yes\r\n\r\n", "X-H", "yes"},
		{"X-I: end", "X-I", "end"},
	};

	mime_message_prepare();
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		struct mime_message m;

		UNIT_TRUE(mime_message_parse(&m, str_of(fields[i].content)));
		UNIT_INT(m.n_headers, 1);
		UNIT_STR(m.headers[0].name, fields[i].name);
		UNIT_STR(m.headers[0].value, fields[i].value);
		mime_message_clear(&m);
	}
}

static void bytes_that_need_no_decoding_are_not_copied(void)
{
	static const char content[] = "To: a@b\r\n\r\nhello";
	struct mime_message m;

	mime_message_prepare();
	UNIT_TRUE(mime_message_parse(&m, str_of(content)));
	UNIT_TRUE(m.parts[0].body.p == content + sizeof(content) - 6);
	mime_message_clear(&m);
}

UNIT_TESTS({"odd messages lose nothing", odd_messages_lose_nothing}, {"deep nesting ends", deep_nesting_ends},
	   {"many parts are refused", many_parts_are_refused},
	   {"many addresses are bounded", many_addresses_are_bounded},
	   {"groups in groups do not end the agent", groups_in_groups_do_not_end_the_agent},
	   {"a message in the message keeps its bytes", a_message_in_the_message_keeps_its_bytes},
	   {"a thousand texts take the memory of one", a_thousand_texts_take_the_memory_of_one},
	   {"many header fields are refused", many_header_fields_are_refused},
	   {"headers are unfolded and encoded", headers_are_unfolded_and_encoded},
	   {"bytes that need no decoding are not copied", bytes_that_need_no_decoding_are_not_copied})
