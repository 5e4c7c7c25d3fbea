/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of qmgr/qmgr_bounce.c.
 */
#include "qmgr/qmgr_bounce.h"

#include <string.h>

#include "tests/support/unit.h"

#define ID "018f0000-0000-7000-8000-0000000000aa"

static void what_was_asked_for_a_recipient(void)
{
	static const struct {
		const char *dsn;
		unsigned recipient;
		bool is_never, is_headers;
		const char *orcpt, *envid;
	} cases[] = {
		{"", 0, false, false, "", ""},
		{"RET=HDRS ENVID=QQ+2B1\n", 0, false, true, "", "QQ+2B1"},
		{"RET=FULL\n0 NOTIFY=NEVER\n", 0, true, false, "", ""},
		{"\n0 NOTIFY=NEVER\n", 1, false, false, "", ""},
		{"\n1 NOTIFY=SUCCESS,DELAY\n", 1, true, false, "", ""},
		{"\n1 NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a@b\n", 1, false, false, "rfc822;a@b", ""},
		{"\n10 NOTIFY=NEVER\n1 ORCPT=rfc822;c@d\n", 1, false, false, "rfc822;c@d", ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct qmgr_bounce_wish wish = qmgr_bounce_wish(str_of(cases[i].dsn), cases[i].recipient);

		UNIT_INT(wish.is_never, cases[i].is_never);
		UNIT_INT(wish.is_headers, cases[i].is_headers);
		UNIT_STR(wish.orcpt, cases[i].orcpt);
		UNIT_STR(wish.envid, cases[i].envid);
	}
}

static struct qmgr_bounce bounce_of(const struct qmgr_bounce_recipient *recipient)
{
	struct qmgr_bounce b = {
		.host = "mail.test",
		.from = STR("mailer@a.example"),
		.to = STR("sender@a.example"),
		.now = 1763719200000000,
		.arrived_at = 1763715600000000,
		.recipients = recipient,
		.n_recipients = 1,
		.code = 550,
		.status = STR("5.1.1"),
		.reason = STR("no such user"),
		.content = STR("Subject: hello\r\nX: y\r\n\r\nwords\r\n"),
	};

	UNIT_TRUE(uuid_parse(STR(ID), &b.id));
	return b;
}

static void a_plain_bounce_is_this(void)
{
	static const char expected[] =
		"From: Mail Delivery System <mailer@a.example>\r\n"
		"To: <sender@a.example>\r\n"
		"Subject: Undelivered mail returned to sender\r\n"
		"Date: Fri, 21 Nov 2025 10:00:00 +0000\r\n"
		"Message-ID: <" ID "@mail.test>\r\n"
		"Auto-Submitted: auto-replied\r\n"
		"MIME-Version: 1.0\r\n"
		"Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"" ID "\"\r\n"
		"\r\n--" ID "\r\n"
		"Content-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
		"Your message could not be delivered to these recipients, and will not be tried again:\r\n\r\n"
		"    <x@b.example>\r\n"
		"\r\nThe reason that was given:\r\n\r\n    no such user\r\n"
		"\r\nBelow is a report for programs, and your message or its header.\r\n"
		"\r\n--" ID "\r\n"
		"Content-Type: message/delivery-status\r\n\r\n"
		"Reporting-MTA: dns; mail.test\r\n"
		"Original-Envelope-Id: Q+1\r\n"
		"Arrival-Date: Fri, 21 Nov 2025 09:00:00 +0000\r\n"
		"\r\n"
		"Original-Recipient: rfc822; first+x@b.example\r\n"
		"Final-Recipient: rfc822; x@b.example\r\nAction: failed\r\nStatus: 5.1.1\r\n"
		"Diagnostic-Code: X-Provider; 550 no such user\r\n"
		"\r\n--" ID "\r\n"
		"Content-Type: message/rfc822\r\n\r\n"
		"Subject: hello\r\nX: y\r\n\r\nwords\r\n"
		"\r\n--" ID "--\r\n";
	struct qmgr_bounce_recipient r = {STR("x@b.example"), STR("rfc822;first+2Bx@b.example")};
	struct qmgr_bounce b = bounce_of(&r);
	struct buf out = BUF_MAX(65536);

	b.envid = STR("Q+2B1");
	UNIT_TRUE(!qmgr_bounce_is_utf8(&b) && !qmgr_bounce_is_8bit(&b));
	qmgr_bounce_put(&out, &b);
	UNIT_STR(buf_str(&out), expected);
	buf_clear(&out);
}

static bool has(struct str text, const char *words)
{
	return memmem(text.p, text.n, words, strlen(words)) != NULL;
}

static void what_cannot_stand_there_is_made_harmless(void)
{
	struct qmgr_bounce_recipient r = {STR("x@b.example"), STR("rfc822;a+0D+0ABcc:+20z@z")};
	struct qmgr_bounce b = bounce_of(&r);
	struct buf out = BUF_MAX(65536);

	b.status = STR("4.2.0");
	b.reason = STR("two\r\nBcc: z@z \xc3\xa9");
	qmgr_bounce_put(&out, &b);
	UNIT_TRUE(!has(buf_str(&out), "\nBcc:"));
	UNIT_TRUE(has(buf_str(&out), "Status: 5.0.0\r\n"));
	UNIT_TRUE(has(buf_str(&out), "550 two??Bcc: z@z ??\r\n"));
	buf_clear(&out);
}

static void only_the_header_returns_when_that_is_wanted_or_the_rest_is_gone(void)
{
	struct qmgr_bounce_recipient r = {STR("x@b.example"), STR("")};
	struct qmgr_bounce b = bounce_of(&r);
	struct buf out = BUF_MAX(65536);

	b.is_headers = true;
	qmgr_bounce_put(&out, &b);
	UNIT_TRUE(has(buf_str(&out), "text/rfc822-headers\r\n\r\nSubject: hello\r\nX: y\r\n\r\n--"));
	buf_clear(&out);
	b.is_headers = false;
	b.content = STR("");
	qmgr_bounce_put(&out, &b);
	UNIT_TRUE(has(buf_str(&out), "text/rfc822-headers\r\n\r\n\r\n\r\n--"));
	buf_clear(&out);
}

static void beyond_ascii_it_is_as_rfc_6533_says(void)
{
	struct qmgr_bounce_recipient r = {STR("gr\xc3\xbc\xc3\x9f""e@b.example"), STR("utf-8;gr\xc3\xbc@b.example")};
	struct qmgr_bounce b = bounce_of(&r);
	struct buf out = BUF_MAX(65536);

	UNIT_TRUE(qmgr_bounce_is_utf8(&b) && qmgr_bounce_is_8bit(&b));
	qmgr_bounce_put(&out, &b);
	UNIT_TRUE(has(buf_str(&out), "Content-Type: message/global-delivery-status\r\n"));
	UNIT_TRUE(has(buf_str(&out), "Final-Recipient: utf-8; gr\xc3\xbc\xc3\x9f""e@b.example\r\n"));
	UNIT_TRUE(has(buf_str(&out), "Original-Recipient: utf-8; gr\xc3\xbc@b.example\r\n"));
	UNIT_TRUE(has(buf_str(&out), "Content-Type: message/global\r\n"));
	buf_clear(&out);
	r = (struct qmgr_bounce_recipient){STR("x@b.example"), STR("")};
	b.content = STR("Subject: x\r\n\r\ncaf\xc3\xa9\r\n");
	UNIT_TRUE(!qmgr_bounce_is_utf8(&b) && qmgr_bounce_is_8bit(&b));
}

UNIT_TESTS({"what was asked for a recipient", what_was_asked_for_a_recipient}, {"a plain bounce is this", a_plain_bounce_is_this},
	   {"what cannot stand there is made harmless", what_cannot_stand_there_is_made_harmless},
	   {"only the header returns when that is wanted or the rest is gone", only_the_header_returns_when_that_is_wanted_or_the_rest_is_gone},
	   {"beyond ASCII it is as RFC 6533 says", beyond_ascii_it_is_as_rfc_6533_says})
