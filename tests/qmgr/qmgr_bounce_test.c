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
		const char *wants; /* failed, delayed, relayed */
		bool is_headers;
		const char *orcpt, *envid;
	} cases[] = {
		{"", 0, "f", false, "", ""},
		{"RET=HDRS ENVID=QQ+2B1\n", 0, "f", true, "", "QQ+2B1"},
		{"RET=FULL\n0 NOTIFY=NEVER\n", 0, "", false, "", ""},
		{"\n0 NOTIFY=NEVER\n", 1, "f", false, "", ""},
		{"\n1 NOTIFY=SUCCESS,DELAY\n", 1, "dr", false, "", ""},
		{"\n1 NOTIFY=DELAY\n", 0, "f", false, "", ""},
		{"\n1 NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a@b\n", 1, "fr", false, "rfc822;a@b", ""},
		{"\n10 NOTIFY=NEVER\n1 ORCPT=rfc822;c@d\n", 1, "f", false, "rfc822;c@d", ""},
		{"\n1000 NOTIFY=NEVER\n999 NOTIFY=SUCCESS\nx NOTIFY=NEVER\n\n", 999, "r", false, "", ""},
	};
	static struct qmgr_bounce_wish wishes[IPC_RECIPIENTS_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct qmgr_bounce_wish *wish = &wishes[cases[i].recipient];
		char wants[4] = "", *at = wants;

		qmgr_bounce_wishes(str_of(cases[i].dsn), wishes);
		for (unsigned action = 0; action < QMGR_BOUNCE_ACTIONS; action++)
			if (wish->wants[action])
				*at++ = "fdr"[action];
		UNIT_TEXT(wants, cases[i].wants);
		UNIT_INT(wish->is_headers, cases[i].is_headers);
		UNIT_STR(wish->orcpt, cases[i].orcpt);
		UNIT_STR(wish->envid, cases[i].envid);
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
		"    <x@b.example>\r\n        no such user\r\n"
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
	struct qmgr_bounce_recipient r = {STR("x@b.example"), STR("rfc822;first+2Bx@b.example"), QMGR_BOUNCE_FAILED, 550, STR("5.1.1"), STR("no such user")};
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
	struct qmgr_bounce_recipient r = {STR("x@b.example"), STR("rfc822;a+0D+0ABcc:+20z@z"), QMGR_BOUNCE_FAILED, 550, STR("5.1.1"), STR("no such user")};
	struct qmgr_bounce b = bounce_of(&r);
	struct buf out = BUF_MAX(65536);

	r.status = STR("4.2.0");
	r.reason = STR("two\r\nBcc: z@z \xc3\xa9");
	qmgr_bounce_put(&out, &b);
	UNIT_TRUE(!has(buf_str(&out), "\nBcc:"));
	UNIT_TRUE(has(buf_str(&out), "Status: 5.0.0\r\n"));
	UNIT_TRUE(has(buf_str(&out), "550 two??Bcc: z@z ??\r\n"));
	buf_clear(&out);
}

static void only_the_header_returns_when_that_is_wanted_or_the_rest_is_gone(void)
{
	struct qmgr_bounce_recipient r = {STR("x@b.example"), STR(""), QMGR_BOUNCE_FAILED, 550, STR("5.1.1"), STR("no such user")};
	struct qmgr_bounce b = bounce_of(&r);
	struct buf out = BUF_MAX(65536);

	b.is_headers = true;
	qmgr_bounce_put(&out, &b);
	UNIT_TRUE(has(buf_str(&out), "text/rfc822-headers\r\n\r\nSubject: hello\r\nX: y\r\n\r\n--"));
	buf_clear(&out);
	b.is_headers = false;
	b.content = STR("");
	qmgr_bounce_put(&out, &b);
	UNIT_TRUE(!has(buf_str(&out), "rfc822-headers") && !has(buf_str(&out), "your message or"));
	buf_clear(&out);
}

/* Each recipient with its own action, status and words; the subject says the gravest. */
static void recipients_that_fared_differently_stand_in_one_report(void)
{
	struct qmgr_bounce_recipient all[] = {
		{STR("late@b.example"), STR(""), QMGR_BOUNCE_DELAYED, 451, STR("4.2.1"), STR("busy")},
		{STR("gone@b.example"), STR(""), QMGR_BOUNCE_FAILED, 550, STR("5.1.1"), STR("no such user")},
		{STR("on@b.example"), STR("rfc822;on@b"), QMGR_BOUNCE_RELAYED, 250, STR("2.6.0"), STR("queued")},
		{STR("full@b.example"), STR(""), QMGR_BOUNCE_FAILED, 552, STR(""), STR("full")},
	};
	struct qmgr_bounce b = bounce_of(all);
	struct buf out = BUF_MAX(65536);

	b.n_recipients = 4;
	b.retry_until = b.now;
	qmgr_bounce_put(&out, &b);
	UNIT_TRUE(has(buf_str(&out), "Subject: Undelivered mail"));
	UNIT_TRUE(has(buf_str(&out), "tried again:\r\n\r\n    <gone@b.example>\r\n        no such user\r\n    <full@b.example>\r\n"));
	UNIT_TRUE(has(buf_str(&out), "Final-Recipient: rfc822; late@b.example\r\nAction: delayed\r\nStatus: 4.2.1\r\n"
				     "Diagnostic-Code: X-Provider; 451 busy\r\nWill-Retry-Until: Fri, 21 Nov 2025 10:00:00 +0000\r\n"));
	UNIT_TRUE(has(buf_str(&out), "gone@b.example\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: X-Provider; 550 no"));
	UNIT_TRUE(has(buf_str(&out), "full@b.example\r\nAction: failed\r\nStatus: 5.0.0\r\n"));
	UNIT_TRUE(has(buf_str(&out), "Original-Recipient: rfc822; on@b\r\nFinal-Recipient: rfc822; on@b.example\r\n"
				     "Action: relayed\r\nStatus: 2.6.0\r\n"));
	UNIT_TRUE(has(buf_str(&out), "Content-Type: message/rfc822\r\n"));
	buf_clear(&out);
}

/* RFC 3461, 4.3 and 5.2.3 */
static void without_a_failure_only_the_header_returns_and_delivered_is_not_claimed(void)
{
	struct qmgr_bounce_recipient r = {STR("x@b.example"), STR(""), QMGR_BOUNCE_RELAYED, 202, STR(""), STR("Accepted")};
	struct qmgr_bounce b = bounce_of(&r);
	struct buf out = BUF_MAX(65536);

	qmgr_bounce_put(&out, &b);
	UNIT_TRUE(has(buf_str(&out), "Subject: Your mail was passed on\r\n"));
	UNIT_TRUE(has(buf_str(&out), "delivered to them is not known"));
	UNIT_TRUE(has(buf_str(&out), "Action: relayed\r\nStatus: 2.0.0\r\n"));
	UNIT_TRUE(!has(buf_str(&out), "Action: delivered") && !has(buf_str(&out), "words"));
	UNIT_TRUE(has(buf_str(&out), "text/rfc822-headers\r\n\r\nSubject: hello\r\n"));
	buf_clear(&out);
	r.action = QMGR_BOUNCE_DELAYED;
	qmgr_bounce_put(&out, &b);
	UNIT_TRUE(has(buf_str(&out), "Subject: Delayed mail"));
	UNIT_TRUE(has(buf_str(&out), "Action: delayed\r\nStatus: 4.0.0\r\n") && !has(buf_str(&out), "Will-Retry-Until"));
	UNIT_TRUE(has(buf_str(&out), "text/rfc822-headers"));
	buf_clear(&out);
}

static void beyond_ascii_it_is_as_rfc_6533_says(void)
{
	struct qmgr_bounce_recipient r = {STR("gr\xc3\xbc\xc3\x9f""e@b.example"), STR("utf-8;gr\xc3\xbc@b.example"), QMGR_BOUNCE_FAILED, 550, STR("5.1.1"), STR("no such user")};
	struct qmgr_bounce b = bounce_of(&r);
	struct buf out = BUF_MAX(65536);

	UNIT_TRUE(qmgr_bounce_is_utf8(&b) && qmgr_bounce_is_8bit(&b));
	qmgr_bounce_put(&out, &b);
	UNIT_TRUE(has(buf_str(&out), "Content-Type: message/global-delivery-status\r\n"));
	UNIT_TRUE(has(buf_str(&out), "Final-Recipient: utf-8; gr\xc3\xbc\xc3\x9f""e@b.example\r\n"));
	UNIT_TRUE(has(buf_str(&out), "Original-Recipient: utf-8; gr\xc3\xbc@b.example\r\n"));
	UNIT_TRUE(has(buf_str(&out), "Content-Type: message/global\r\n"));
	buf_clear(&out);
	r = (struct qmgr_bounce_recipient){STR("x@b.example"), STR(""), QMGR_BOUNCE_FAILED, 550, STR("5.1.1"), STR("no such user")};
	b.content = STR("Subject: x\r\n\r\ncaf\xc3\xa9\r\n");
	UNIT_TRUE(!qmgr_bounce_is_utf8(&b) && qmgr_bounce_is_8bit(&b));
}

UNIT_TESTS({"what was asked for a recipient", what_was_asked_for_a_recipient}, {"a plain bounce is this", a_plain_bounce_is_this},
	   {"what cannot stand there is made harmless", what_cannot_stand_there_is_made_harmless},
	   {"only the header returns when that is wanted or the rest is gone", only_the_header_returns_when_that_is_wanted_or_the_rest_is_gone},
	   {"recipients that fared differently stand in one report", recipients_that_fared_differently_stand_in_one_report},
	   {"without a failure only the header returns and delivered is not claimed",
	    without_a_failure_only_the_header_returns_and_delivered_is_not_claimed},
	   {"beyond ASCII it is as RFC 6533 says", beyond_ascii_it_is_as_rfc_6533_says})
