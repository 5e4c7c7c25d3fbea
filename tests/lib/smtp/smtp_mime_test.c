/* SPDX-License-Identifier: Apache-2.0
 *
 * The structure of messages: tables, each message whole and in pieces of every size.
 */
#include "lib/smtp/smtp_mime.h"

#include "tests/support/unit.h"

#define MULTI "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
#define FILE_OF(text) "--b\r\nContent-Disposition: attachment\r\n\r\n" text "\r\n"

static struct smtp_mime take(struct str message, size_t step, const struct smtp_mime_limits *limits)
{
	struct smtp_mime m;

	smtp_mime_begin(&m, limits);
	for (; message.n > 0; message = str_from(message, step))
		smtp_mime_take(&m, str_first(message, step));
	smtp_mime_end(&m);
	smtp_mime_clear(&m);
	return m;
}

static void attachments_are_measured_decoded(void)
{
	static const struct {
		const char *message;
		unsigned octets;
	} cases[] = {
		/* what is an attachment */
		{"Subject: x\r\n\r\nbody\r\n", 0},
		{"\r\nbody\r\n", 0},
		{"no header\r\n", 0},
		{"Content-Type: text/plain\r\n\r\nbody\r\n", 0},
		{"Content-Type: text/plain; name=x\r\n\r\nbody\r\n", 4},
		{"Content-Type: text/plain; name*0*=x\r\n\r\nbody\r\n", 4},
		{"Content-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nbody\r\n", 4},
		{"Content-Disposition: inline;\r\n filename*=utf-8''x\r\n\r\nbody\r\n", 4},
		{"Content-Disposition: inline\r\n\r\nbody\r\n", 0},
		{"Content-Type: application/pdf\r\n\r\nbody\r\n", 4},
		{"CONTENT-TYPE : IMAGE/png\r\n\r\nbody\r\n", 4},
		{"Content-Type:\r\n\timage/png\r\n\r\nbody\r\n", 4},
		{"Content-Type: (an) image (it is) / png\r\n\r\nbody\r\n", 4},
		{"Content-Type: nonsense\r\n\r\nbody\r\n", 0},
		{"Content-Type: \r\n\r\nbody\r\n", 0},
		{"Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\nbody\r\n", 0},
		{"Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n\r\nbody\r\n", 0},
		{"Content-Type: text/plain\r\nContent-Type: image/png\r\n\r\nbody\r\n", 0},
		/* how large it is */
		{"Content-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD\r\nRA==\r\n", 4},
		{"Content-Type: a/b\r\nContent-Transfer-Encoding: BASE64 \r\n\r\nQU JD\r\nREU=\r\n", 5},
		{"Content-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJDREU\r\n", 5},
		{"Content-Type: a/b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\na=41=\r\nb\r\nc\r\n", 6},
		{"Content-Type: a/b\r\nContent-Transfer-Encoding: 8bit\r\n\r\na=41=\r\nb\r\nc\r\n", 11},
		/* parts */
		{MULTI "preamble\r\n--b\r\n\r\ntext\r\n--b--\r\nepilogue\r\n", 0},
		{MULTI FILE_OF("12345") FILE_OF("123") "--b--\r\nepilogue\r\n", 8},
		{MULTI FILE_OF("12345") FILE_OF("123"), 8},
		{MULTI FILE_OF("12345") "--b \t\r\n\r\ntext\r\n--b-- \r\n", 5},
		{MULTI FILE_OF("-\r\n--\r\n--c\r\n--bb\r\n-") "--b--\r\n", 19},
		{MULTI "--b\r\nContent-Type: image/png\r\n--b\r\nContent-Type: image/png\r\n\r\n1\r\n--b--", 1},
		{MULTI "--b\r\nContent-Type: image/png\r\nno field\r\n--b--\r\n", 8},
		{"Content-Type: multipart/mixed; boundary=\"=_a:b c \"\r\n\r\n--=_a:b c\r\nContent-Type: a/b\r\n"
		 "--=_a:b c\r\nContent-Type: a/b\r\n\r\n12\r\n--=_a:b c--\r\n", 2},
		{"Content-Type: multipart/mixed; boundary*0=\"a\"; boundary*1=b\r\n\r\n--ab\r\nContent-Type: a/b\r\n\r\n12\r\n", 2},
		{"Content-Type: multipart/mixed;\r\n boundary=\"1234567890123456789012345678901234567890"
		 "1234567890123456789012345678901234567890\"\r\n\r\n--1234567890123456789012345678901234567890"
		 "1234567890123456789012345678901234567890\r\nContent-Type: a/b\r\n\r\n12\r\n", 2},
		/* parts in parts */
		{MULTI "--b\r\nContent-Type: multipart/related; boundary=c\r\n\r\n--c\r\nContent-Type: a/b\r\n\r\n12\r\n"
		       "--c--\r\nnothing\r\n--b\r\nContent-Type: a/b\r\n\r\n123\r\n--b--\r\n", 5},
		{MULTI "--b\r\nContent-Type: multipart/related; boundary=c\r\n\r\n--c\r\nContent-Type: a/b\r\n\r\n12\r\n"
		       "--b\r\nContent-Type: a/b\r\n\r\n123\r\n--c\r\n--b--\r\n", 10},
		{MULTI "--b\r\nContent-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: a/b\r\n\r\n12\r\n"
		       "--b--\r\n--b\r\nContent-Type: a/b\r\n\r\n123\r\n--b--\r\n", 5},
		{MULTI "--b\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: a/b\r\n\r\n12\r\n--b--\r\n", 2},
		{MULTI "--b\r\nContent-Type: message/rfc822\r\n\r\nbare\r\n--b--\r\n", 0},
		{MULTI "--b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD\r\n--b--\r\n", 3},
		{"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nContent-Type: a/b\r\n\r\n12\r\n--b\r\n"
		 "Content-Type: text/plain\r\n\r\n123\r\n--b--\r\n", 2},
		{"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\nbare\r\n--b--\r\n", 0},
	};
	static const struct smtp_mime_limits none = {0};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t step = 1; step < 400; step += step < 40 ? 1 : 100) {
			struct smtp_mime m = take(str_of(cases[i].message), step, &none);

			UNIT_INT(m.refusal, SMTP_REPLY_NONE);
			if (m.attachments != cases[i].octets && step == 1)
				printf("%s", cases[i].message);
			UNIT_INT(m.attachments, cases[i].octets);
		}
}

static void only_what_is_beyond_a_limit_is_refused(void)
{
	static const struct smtp_mime_limits limits = {
		.header_size = 100, .header_fields = 4, .mime_depth = 3, .attachment_size = 10, .attachments_size = 16};
	static const struct {
		const char *message;
		enum smtp_reply refusal;
	} cases[] = {
		{"A: 1\r\nB: 2\r\n 3\r\nC: 4\r\nD: 5\r\n\r\nE: 6\r\n", SMTP_REPLY_NONE},
		{"A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n\r\n", SMTP_REPLY_TOO_MANY_FIELDS},
		{"A: 5678901234567890123456789012345678901234567890\r\n 345678901234567890123456789012345678901234567\r\n"
		 "\r\nbody\r\n", SMTP_REPLY_NONE},
		{"A: 5678901234567890123456789012345678901234567890\r\n 345678901234567890123456789012345678901234567890\r\n"
		 "\r\nbody\r\n", SMTP_REPLY_HEADER_TOO_LARGE},
		{"5678901234567890123456789012345678901234567890 345678901234567890123456789012345678901234567890 12345678\r\n"
		 "\r\nbody\r\n", SMTP_REPLY_NONE},
		{MULTI "--b\r\nA:\r\nB:\r\nC:\r\nD:\r\n\r\n--b\r\nA:\r\nB:\r\nC:\r\nD:\r\nE:\r\n",
		 SMTP_REPLY_TOO_MANY_FIELDS},
		{MULTI "--b\r\nA: 5678901234567890123456789012345678901234567890123456789012345678901234567890"
		       "1234567890123456789012345678\r\n\r\n", SMTP_REPLY_HEADER_TOO_LARGE},
		{MULTI FILE_OF("1234567890") "--b--\r\n", SMTP_REPLY_NONE},
		{MULTI FILE_OF("12345678901") "--b--\r\n", SMTP_REPLY_ATTACHMENT_TOO_LARGE},
		{MULTI FILE_OF("1234567890") FILE_OF("123456") "--b--\r\n", SMTP_REPLY_NONE},
		{MULTI FILE_OF("1234567890") FILE_OF("1234567") "--b--\r\n", SMTP_REPLY_ATTACHMENTS_TOO_LARGE},
		{MULTI FILE_OF("1234567890") FILE_OF("123456789012") "--b\r\n", SMTP_REPLY_ATTACHMENTS_TOO_LARGE},
		{MULTI FILE_OF("123456") FILE_OF("12345678901") "--b\r\n", SMTP_REPLY_ATTACHMENT_TOO_LARGE},
		{MULTI "--b\r\nContent-Type: multipart/x; boundary=c\r\n\r\n--c\r\nContent-Type: message/rfc822\r\n\r\n\r\n",
		 SMTP_REPLY_NONE},
		{MULTI "--b\r\nContent-Type: multipart/x; boundary=c\r\n\r\n--c\r\nContent-Type: message/rfc822\r\n\r\n"
		       "Content-Type: multipart/x; boundary=d\r\n\r\n", SMTP_REPLY_MIME_TOO_DEEP},
		{MULTI "--b\r\nContent-Type: multipart/x; boundary=c\r\n\r\n--c\r\nContent-Type: message/rfc822\r\n\r\n"
		       "\r\n--c--\r\n--b\r\nContent-Type: multipart/x; boundary=d\r\n\r\n--d\r\n"
		       "Content-Type: message/rfc822\r\n\r\n\r\n", SMTP_REPLY_NONE},
		{"Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\n"
		 "Content-Type: message/rfc822\r\n\r\n", SMTP_REPLY_MIME_TOO_DEEP},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t step = 1; step < 400; step += step < 40 ? 1 : 100) {
			struct smtp_mime m = take(str_of(cases[i].message), step, &limits);

			if (m.refusal != cases[i].refusal && step == 1)
				printf("%s", cases[i].message);
			UNIT_TEXT(smtp_reply_token(m.refusal), smtp_reply_token(cases[i].refusal));
		}
}

static void the_end_of_the_header_is_told(void)
{
	static const struct {
		const char *message;
		unsigned end;
		bool is_bare;
	} cases[] = {
		{"A: 1\r\n\r\nbody\r\n", 6, false}, {"\r\nbody\r\n", 0, false},	  {"", 0, false},
		{"A: 1\r\n", 6, false},		    {"A: 1", 4, false},		  {"A: 1\r\n 2\r\nbare\r\n", 10, true},
		{"bare\r\nA: 1\r\n", 0, true},	    {" A: 1\r\n\r\n", 0, true},	  {"A:\r\n \r\nB:\r\n\r\n", 11, false},
		{"bare ", 0, true},		    {"A:\r\n--x: y\r\n\r\n", 12, false},
		/* the colon may come with the next lines */
		{"A\r\n : 1\r\nB: 2\r\n\r\nx", 15, false}, {"A \r\n \r\n\t:\r\n 1\r\n\r\nx", 15, false},
		{"A: 1\r\nB\r\n 2: 3\r\n", 6, true}, {"A: 1\r\nB\r\n \r\nC: 3\r\n", 6, true},
		{"A: 1\r\nB\r\n \r\n\r\n", 6, true}, {"A: 1\r\nB\r\n \r\n", 6, true},
	};
	static const struct smtp_mime_limits none = {0};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t step = 1; step < 20; step++) {
			struct smtp_mime m = take(str_of(cases[i].message), step, &none);

			UNIT_TRUE(m.is_header_done);
			UNIT_INT(m.header_end, cases[i].end);
			UNIT_INT(m.is_bare, cases[i].is_bare);
		}
}

/* A line longer than any that is kept, where lines are looked at. */
static void put_long(struct buf *b, const char *first, size_t n)
{
	buf_put_text(b, first);
	for (size_t i = 0; i < n; i++)
		buf_put_char(b, 'x');
	buf_put_text(b, "\r\n");
}

static void endless_lines_need_no_memory(void)
{
	static const struct smtp_mime_limits limits = {.header_size = 100000};
	static const size_t lengths[] = {4000, 4090, 4091, 4092, 4093, 4094, 4095, 4096, 4097, 20000};
	struct buf b = BUF_MAX(1 << 20);

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		for (size_t step = 1; step < 30000; step = step * 3 + 1) {
			struct smtp_mime m;

			buf_reset(&b);
			put_long(&b, "X: ", lengths[i]);
			put_long(&b, "Content-Type: multipart/x; boundary=b; y=", lengths[i]);
			put_long(&b, "--b", lengths[i]);
			buf_put_text(&b, "--b\r\nContent-Type: a/b\r\n\r\n");
			put_long(&b, "--b", lengths[i]);
			put_long(&b, "-", lengths[i]);
			buf_put_text(&b, "--b--\r\n");
			m = take(buf_str(&b), step, &limits);
			UNIT_INT(m.refusal, SMTP_REPLY_NONE);
			UNIT_INT(m.header_end, 3 + lengths[i] + 2 + 41 + lengths[i] + 2);
			UNIT_TRUE(m.is_bare);
			UNIT_INT(m.attachments, 3 + lengths[i] + 2 + 1 + lengths[i]);
		}
	buf_clear(&b);
}

static void a_name_is_waited_for_no_longer_than_is_kept(void)
{
	struct buf b = BUF_MAX(1 << 20);

	for (size_t n = 1000; n < 1100; n++)
		for (size_t step = 100; step < 30000; step *= 7) {
			struct smtp_mime m;
			static const struct smtp_mime_limits none = {0};

			buf_reset(&b);
			buf_put_text(&b, "A: 1\r\nContent-Type\r\n");
			for (size_t i = 0; i < n; i++)
				buf_put_text(&b, "      \r\n");
			buf_put_text(&b, " : a/b\r\n\r\n12345\r\n");
			m = take(buf_str(&b), step, &none);
			UNIT_INT(m.is_bare, 14 + 8 * n + 8 > 8192);
			UNIT_INT(m.header_end, m.is_bare ? 6 : 6 + 14 + 8 * n + 8);
			UNIT_INT(m.attachments, m.is_bare ? 0 : 5);
		}
	buf_clear(&b);
}

static void what_was_held_for_a_name_is_body_after_all(void)
{
	static const struct {
		const char *message;
		unsigned octets;
	} cases[] = {
		{"Content-Type: a/b\r\nabc\r\n \r\nxyz\r\n", 3 + 2 + 1 + 2 + 3},
		{"Content-Type: a/b\r\nabc\r\n x: y\r\n", 3 + 2 + 5},
		{"Content-Type: multipart/x; boundary=b\r\n--b\r\nContent-Type: a/b\r\n\r\n123\r\n--b--\r\n", 3},
		{"Content-Type: message/rfc822\r\nfoo\r\n \r\n : x\r\nContent-Type: a/b\r\n\r\n1234\r\n", 0},
		{"Content-Type: message/rfc822\r\n\r\nfoo\r\n \r\n : x\r\nContent-Type: a/b\r\n\r\n1234\r\n", 4},
		{"Content-Type\r\n : a/b\r\nfoo\r\n", 3},
	};
	static const struct smtp_mime_limits none = {0};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t step = 1; step < 40; step++)
			UNIT_INT(take(str_of(cases[i].message), step, &none).attachments, cases[i].octets);
}

UNIT_TESTS({"attachments are measured decoded", attachments_are_measured_decoded},
	   {"only what is beyond a limit is refused", only_what_is_beyond_a_limit_is_refused},
	   {"the end of the header is told", the_end_of_the_header_is_told},
	   {"a name is waited for no longer than is kept", a_name_is_waited_for_no_longer_than_is_kept},
	   {"what was held for a name is body after all", what_was_held_for_a_name_is_body_after_all},
	   {"endless lines need no memory", endless_lines_need_no_memory})
