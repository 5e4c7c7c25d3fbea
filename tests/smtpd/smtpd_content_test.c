/* SPDX-License-Identifier: Apache-2.0
 *
 * What becomes of a message's octets: the header that is completed, the memory file of a large one.
 */
#include "smtpd/smtpd_content.h"

#include <stdlib.h>
#include <sys/resource.h>

#include "lib/base/fd.h"
#include "lib/ipc/ipc_body.h"
#include "tests/support/unit.h"

#define ID "Message-ID: <018bcfe5-6800-7000-8000-000000000001@mail.test>\r\n"
#define DATE "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
#define WALL 1700000000000000

static const struct uuid id = {{0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00, 0x70, 0x00, 0x80, 0, 0, 0, 0, 0, 0, 1}};

static void begin(struct smtpd_content *c, uint64_t limit)
{
	const struct smtpd_content_plan plan = {.limit = limit, .id = id, .host = "mail.test", .wall = WALL};

	smtpd_content_begin(c, &plan, STR("Received: us\r\n"));
}

static void what_is_missing_in_the_header_is_added(void)
{
	static const struct {
		const char *wire, *message;
	} cases[] = {
		{"Subject: x\r\n\r\nbody\r\n.\r\n", ID DATE "Subject: x\r\n\r\nbody\r\n"},
		{"Date: y\r\nMESSAGE-id: z\r\n\r\nbody\r\n.\r\n", "Date: y\r\nMESSAGE-id: z\r\n\r\nbody\r\n"},
		{"Date: y\r\n\r\nMessage-ID: z\r\n.\r\n", ID "Date: y\r\n\r\nMessage-ID: z\r\n"},
		{"Message-ID: z\r\n\r\nDate: y\r\n.\r\n", DATE "Message-ID: z\r\n\r\nDate: y\r\n"},
		{"X: a\r\n Date: folded\r\n\tMessage-ID: folded\r\n\r\n.\r\n",
		 ID DATE "X: a\r\n Date: folded\r\n\tMessage-ID: folded\r\n\r\n"},
		{"Date : y\r\nMessage-ID : z\r\n\r\n.\r\n", "Date : y\r\nMessage-ID : z\r\n\r\n"},
		/* no body, no header, no anything */
		{"Subject: x\r\n.\r\n", ID DATE "Subject: x\r\n"},
		{"\r\nbody\r\n.\r\n", ID DATE "\r\nbody\r\n"},
		{".\r\n", ID DATE},
		/* a body without a header must not become one */
		{"Hello there\r\nDate: y\r\n.\r\n", ID DATE "\r\nHello there\r\nDate: y\r\n"},
		{" folded\r\nDate: y\r\n.\r\n", ID DATE "\r\n folded\r\nDate: y\r\n"},
		{"Date: y\r\nno field\r\n\r\nx\r\n.\r\n", ID "Date: y\r\n\r\nno field\r\n\r\nx\r\n"},
		{": x\r\n\r\n.\r\n", ID DATE "\r\n: x\r\n\r\n"},
		{"Hello \r\n\r\nx\r\n.\r\n", ID DATE "\r\nHello \r\n\r\nx\r\n"},
		/* what must not leave */
		{"Bcc: a@b\r\nA: 1\r\nBCC : c@d,\r\n e@f\r\n\tg@h\r\nB: 2\r\nresent-bcc: i@j\r\n\r\nBcc: k\r\n.\r\n",
		 ID DATE "A: 1\r\nB: 2\r\n\r\nBcc: k\r\n"},
		{"Return-Path: <a@b>\r\nReceived: x\r\nBcc-x: 1\r\n Bcc: 2\r\n\r\n.\r\n",
		 ID DATE "Received: x\r\nBcc-x: 1\r\n Bcc: 2\r\n\r\n"},
		{"Bcc: a@b\r\n\r\n.\r\n", ID DATE "\r\n"},
		{"Bcc:\r\n.\r\n", ID DATE},
		{"Bcc: a@b\r\nbare\r\nBcc: c\r\n.\r\n", ID DATE "\r\nbare\r\nBcc: c\r\n"},
		{"A: 1\r\nBcc\r\n : c\r\nBcc \r\n\t\r\n\t:\r\n d\r\nB: 2\r\n\r\nx\r\n.\r\n", ID DATE "A: 1\r\nB: 2\r\n\r\nx\r\n"},
		/* what others would take for the end of the header */
		{"Subject\r\n : x\r\nDate \r\n : y\r\nTo: z\r\n\r\n.\r\n", ID "Subject: x\r\nDate: y\r\nTo: z\r\n\r\n"},
		{"Message-ID: z\r\nB\r\n cc: x\r\nDate: y\r\n.\r\n", DATE "Message-ID: z\r\n\r\nB\r\n cc: x\r\nDate: y\r\n"},
		{"Message-ID: z\r\nBcc\xa0: x\r\nDate: y\r\n.\r\n", DATE "Message-ID: z\r\n\r\nBcc\xa0: x\r\nDate: y\r\n"},
		/* all else stays as it is */
		{"x-ODD  :\t1 \r\nX-Odd:\r\n\t\r\nSubject: =?utf-8?q?x?=\r\n\r\n\r\n.\r\n",
		 ID DATE "x-ODD  :\t1 \r\nX-Odd:\r\n\t\r\nSubject: =?utf-8?q?x?=\r\n\r\n\r\n"},
		{"Dat\nMessage-ID: z\n.\r\n\r\n.\r\n", ID DATE "\r\nDat\r\nMessage-ID: z\r\n.\r\n\r\n"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t step = 1; step < 60; step++) {
			struct str rest = str_of(cases[i].wire);
			struct smtpd_content c;
			bool done = false;

			begin(&c, 100000);
			while (rest.n > 0) {
				struct str piece = str_first(rest, step);

				rest = str_from(rest, step);
				done = smtpd_content_take(&c, &piece);
			}
			UNIT_TRUE(done);
			UNIT_STR(str_first(buf_str(&c.bytes), 14), "Received: us\r\n");
			UNIT_STR(str_from(buf_str(&c.bytes), 14), cases[i].message);
			UNIT_INT(smtpd_content_size(&c), c.bytes.n);
			smtpd_content_clear(&c);
		}
}

static void it_is_known_who_a_message_is_from(void)
{
	static const struct {
		const char *header, *from;
		bool is_odd;
	} cases[] = {
		{"From: Joe <joe@example.com>\r\n", "joe@example.com", false},
		{"from : joe@a.org,\r\n ann@a.org\r\nSender: c@d.org\r\nResent-From: e@f.org\r\nTo: g@h.org\r\n",
		 "joe@a.org ann@a.org c@d.org e@f.org", false},
		{"From: a@b.org\r\nResent-Sender: c@d.org\r\n", "a@b.org c@d.org", false},
		{"From: a@b.org\r\nFrom: c@d.org\r\n", "a@b.org c@d.org", false},
		{"Subject: x\r\n", "", false},
		{"From: Joe\r\nSender: a@b.org\r\n", "a@b.org", true},
		{"From: <a@b.org\r\n", "a@b.org", true},
		{"X: y\r\n\r\nFrom: a@b.org\r\n", "", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct smtpd_content c;
		struct str header = str_of(cases[i].header), end = STR(".\r\n");

		begin(&c, 100000);
		smtpd_content_take(&c, &header);
		UNIT_TRUE(smtpd_content_take(&c, &end));
		UNIT_STR(buf_str(&c.from), cases[i].from);
		UNIT_INT(c.is_from_odd, cases[i].is_odd);
		smtpd_content_clear(&c);
	}
}

static void a_message_that_goes_round_is_refused(void)
{
	for (unsigned hops = 99; hops <= 102; hops++)
		for (size_t body = 0; body < 200000; body += 99999) {
			struct buf wire = BUF_MAX(1 << 20);
			struct smtpd_content c;
			struct str rest;

			for (unsigned i = 0; i < hops; i++)
				buf_put_text(&wire, "received: by a\r\n\tfor b\r\n");
			buf_put_text(&wire, "Received-SPF: none\r\n\r\n");
			for (size_t i = 0; i < body; i++)
				buf_put_text(&wire, i % 50 == 49 ? "\r\n" : "x");
			buf_put_text(&wire, "\r\n.\r\n");
			begin(&c, 1000000);
			rest = buf_str(&wire);
			UNIT_TRUE(smtpd_content_take(&c, &rest));
			UNIT_INT(rest.n, 0);
			UNIT_INT(c.refusal, hops <= 100 ? SMTP_REPLY_NONE : SMTP_REPLY_TOO_MANY_HOPS);
			smtpd_content_clear(&c);
			buf_clear(&wire);
		}
}

/* The first limit that is passed is the reason, in pieces of every size; then nothing is kept. */
static void what_is_beyond_a_limit_is_dropped_and_counted(void)
{
	static const struct {
		const char *wire;
		enum smtp_reply refusal;
		uint64_t limit;
	} cases[] = {
		{"A: 1\r\nB: 2\r\n\r\n123456789012345678901234567890\r\n.\r\n", SMTP_REPLY_NONE, 50},
		{"A: 1\r\nB: 2\r\nC: 3\r\n\r\n\r\n.\r\n", SMTP_REPLY_TOO_MANY_FIELDS, 50},
		{"A: 123456789012345678901234567890\r\n\r\n.\r\n", SMTP_REPLY_HEADER_TOO_LARGE, 50},
		{"A: 1\r\n\r\n123456789012345678901234567890123456789012345\r\n.\r\n", SMTP_REPLY_TOO_LARGE, 50},
		{"A: 1\r\nB: 1234567890\r\nC: 3\r\n\r\n\r\n.\r\n", SMTP_REPLY_TOO_LARGE, 20},
		{"Content-Type: a/b\r\n\r\n12345678901\r\n.\r\n", SMTP_REPLY_ATTACHMENT_TOO_LARGE, 50},
		{"Content-Type: a/b\r\n\r\n123456789012345678901234567890123\r\n.\r\n", SMTP_REPLY_ATTACHMENT_TOO_LARGE, 50},
		{"12345678901234567890123456789012345678901234567890\r\nA: 1\r\nB: 2\r\n.\r\n", SMTP_REPLY_TOO_LARGE, 50},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t step = 1; step < 80; step++) {
			struct smtpd_content_plan plan = {.limit = cases[i].limit,
							  .limits = {30, 10, 100, 2, 5},
							  .id = id,
							  .host = "mail.test",
							  .wall = WALL};
			struct str rest = str_of(cases[i].wire);
			struct smtpd_content c;
			bool done = false;

			smtpd_content_begin(&c, &plan, STR("Received: us\r\n"));
			for (; rest.n > 0; rest = str_from(rest, step)) {
				struct str piece = str_first(rest, step);

				done = smtpd_content_take(&c, &piece);
			}
			UNIT_TRUE(done);
			UNIT_TEXT(smtp_reply_token(c.refusal), smtp_reply_token(cases[i].refusal));
			UNIT_INT(c.data.size, strlen(cases[i].wire) - 3);
			UNIT_INT(c.bytes.p == NULL, c.refusal != SMTP_REPLY_NONE);
			smtpd_content_clear(&c);
		}
}

/* A message of n lines of ten octets. */
static void take_lines(struct smtpd_content *c, size_t n, size_t step)
{
	char *text = malloc(n * 10 + 32);
	struct str rest;
	size_t at = 0;

	memcpy(text, "D: x\r\n\r\n", 8);
	for (at = 8; n > 0; n--, at += 10)
		memcpy(text + at, "12345678\r\n", 10);
	memcpy(text + at, ".\r\n", 3);
	rest = str_bytes(text, at + 3);
	while (rest.n > 0) {
		struct str piece = str_first(rest, step);

		rest = str_from(rest, step);
		smtpd_content_take(c, &piece);
	}
	free(text);
}

static void a_large_message_is_a_sealed_file(void)
{
	static const size_t lines[] = {6000, 6536, 6537, 6538, 6539, 6540, 6541, 6542, 6543, 7000, 20000, 100000};
	static const size_t steps[] = {1000000000, 65536, 16384, 1000};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		for (size_t k = 0; k < sizeof(steps) / sizeof(steps[0]); k++) {
			struct smtpd_content c;
			uint64_t size = 14 + strlen(ID DATE) + 8 + lines[i] * 10;
			const char *map;

			begin(&c, 10 << 20);
			take_lines(&c, lines[i], steps[k]);
			UNIT_INT(smtpd_content_size(&c), size);
			UNIT_INT(c.fd >= 0, size > IPC_INLINE_MAX);
			if (c.fd >= 0) {
				UNIT_INT(c.bytes.n, 0);
				UNIT_TRUE(fd_is_sealed(c.fd, size));
				map = fd_map(c.fd, size);
				UNIT_TRUE(map != NULL && memcmp(map, "Received: us\r\n" ID DATE "D: x\r\n\r\n12345678\r\n",
								14 + strlen(ID DATE) + 18) == 0);
				UNIT_TRUE(memcmp(map + size - 12, "\r\n12345678\r\n", 12) == 0);
				fd_unmap(map, size);
			}
			smtpd_content_clear(&c);
		}
}

static void over_the_limit_nothing_is_kept(void)
{
	struct smtpd_content c;

	begin(&c, 1008);
	take_lines(&c, 100, 100);
	UNIT_INT(c.refusal, SMTP_REPLY_NONE);
	smtpd_content_clear(&c);
	begin(&c, 1007);
	take_lines(&c, 100, 100);
	UNIT_INT(c.refusal, SMTP_REPLY_TOO_LARGE);
	UNIT_INT(c.bytes.n, 0);
	smtpd_content_clear(&c);
	begin(&c, 500000);
	take_lines(&c, 100000, 10000);
	UNIT_TRUE(c.refusal == SMTP_REPLY_TOO_LARGE && c.fd < 0);
	UNIT_INT(c.data.size, 1000008);
	smtpd_content_clear(&c);
}

static void without_descriptors_a_large_message_is_broken(void)
{
	struct rlimit files, none;
	struct smtpd_content c;

	UNIT_INT(getrlimit(RLIMIT_NOFILE, &files), 0);
	none = (struct rlimit){0, files.rlim_max};
	for (int lines = 6600; lines < 100000; lines += 90000) {
		begin(&c, 10 << 20);
		UNIT_INT(setrlimit(RLIMIT_NOFILE, &none), 0);
		take_lines(&c, (unsigned)lines, 10000);
		UNIT_INT(setrlimit(RLIMIT_NOFILE, &files), 0);
		UNIT_TRUE(c.refusal == SMTP_REPLY_NOT_STORED && c.fd < 0);
		smtpd_content_clear(&c);
	}
}

static void a_large_header_is_put_in_order_too(void)
{
	struct smtpd_content c;
	struct str in = STR("\r\nDate: late\r\n.\r\n");

	begin(&c, 10 << 20);
	for (int i = 0; i < 20000; i++) {
		struct str field = STR("X: yyyy\r\n");

		smtpd_content_take(&c, &field);
	}
	UNIT_TRUE(smtpd_content_take(&c, &in));
	UNIT_INT(smtpd_content_size(&c), 14 + strlen(ID DATE) + 20000 * 9 + 2 + 12);
	smtpd_content_clear(&c);
}

static void dates_are_those_of_rfc_5322(void)
{
	char date[SMTPD_CONTENT_DATE];

	UNIT_TEXT(smtpd_content_date(0, date), "Thu, 01 Jan 1970 00:00:00 +0000");
	UNIT_TEXT(smtpd_content_date(WALL, date), "Tue, 14 Nov 2023 22:13:20 +0000");
}

UNIT_TESTS({"what is missing in the header is added", what_is_missing_in_the_header_is_added},
	   {"it is known who a message is from", it_is_known_who_a_message_is_from},
	   {"a message that goes round is refused", a_message_that_goes_round_is_refused},
	   {"what is beyond a limit is dropped and counted", what_is_beyond_a_limit_is_dropped_and_counted},
	   {"a large message is a sealed file", a_large_message_is_a_sealed_file},
	   {"over the limit nothing is kept", over_the_limit_nothing_is_kept},
	   {"without descriptors a large message is broken", without_descriptors_a_large_message_is_broken},
	   {"a large header is put in order too", a_large_header_is_put_in_order_too},
	   {"dates are those of RFC 5322", dates_are_those_of_rfc_5322})
