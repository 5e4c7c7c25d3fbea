/* SPDX-License-Identifier: Apache-2.0
 *
 * RFC 3461's parameters: which are good, and how they come to the queue.
 */
#include "smtpd/smtpd_dsn.h"

#include "tests/smtpd/dialogue.h"

#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static void parameters_of_mail(void)
{
	static const struct {
		const char *parameters;
		bool is_good;
	} cases[] = {
		{"RET=FULL", true},
		{"RET=HDRS", true},
		{"ret=hdrs", true},
		{"RET=HDRS ENVID=QQ314159", true},
		{"ENVID=QQ314159 RET=FULL SIZE=100 BODY=8BITMIME SMTPUTF8", true},
		{"ENVID=a+20b", true}, /* a blank, 4.4 */
		{"ENVID=+2B+3D", true},
		{"ENVID=" HUNDRED, true},
		{"RET", false},
		{"RET=", false},
		{"RET=ALL", false},
		{"RET=FULL RET=FULL", false},
		{"RET=FULL RET=HDRS", false},
		{"ENVID", false},
		{"ENVID=", false},
		{"ENVID=" HUNDRED "x", false},
		{"ENVID=a ENVID=a", false},
		{"ENVID=a+", false},
		{"ENVID=a+2", false},
		{"ENVID=a+2b", false}, /* upper case, 4 */
		{"ENVID=a+GG", false},
		{"ENVID=a=b", false},
		{"ENVID=a+0Ab", false}, /* it would write a line of a report */
		{"ENVID=a+0D", false},
		{"ENVID=a+00", false},
		{"ENVID=a+7F", false},
		{"ENVID=a+80", false},
		{"ENVID=a+FF", false},
		{"ENVID=m\xc3\xbcller", false},
		{"NOTIFY=NEVER", false},
		{"ORCPT=rfc822;a@b", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct session s;

		begin(&s, USER);
		say_text(&s, "MAIL FROM:<a@b> ");
		say_text(&s, cases[i].parameters);
		say_text(&s, "\r\n");
		if ((s.p.state == SMTPD_MAIL) != cases[i].is_good)
			printf("\n%s:", cases[i].parameters);
		UNIT_INT(s.p.state == SMTPD_MAIL, cases[i].is_good);
		UNIT_TRUE(cases[i].is_good || s.p.last_reply == SMTP_REPLY_BAD_PARAMETER ||
			  s.p.last_reply == SMTP_REPLY_UNKNOWN_PARAMETER);
		UNIT_INT(s.asked_to_send, cases[i].is_good);
		end(&s);
	}
}

static void parameters_of_rcpt(void)
{
	static const struct {
		const char *parameters;
		bool is_good, is_good_in_utf8;
	} cases[] = {
		{"NOTIFY=NEVER", true, true},
		{"NOTIFY=SUCCESS", true, true},
		{"NOTIFY=FAILURE", true, true},
		{"NOTIFY=DELAY", true, true},
		{"NOTIFY=SUCCESS,FAILURE,DELAY", true, true},
		{"notify=delay,Success", true, true},
		{"ORCPT=rfc822;a@b.example", true, true},
		{"ORCPT=RFC822;a+2Bb@b", true, true},
		{"NOTIFY=FAILURE ORCPT=rfc822;a@b", true, true},
		{"ORCPT=x400;/C=us/", false, false}, /* = must be +3D */
		{"ORCPT=x400;/C+3Dus/", true, true},
		{"ORCPT=utf-8;a@b", true, true}, /* RFC 6533 */
		{"ORCPT=UTF-8;\\x{FC}ller@b", true, true},
		{"ORCPT=utf-8;\\x{1F4E7}@b", true, true},
		{"ORCPT=utf-8;\\x{10FFFF}", true, true},
		{"ORCPT=utf-8;a\\x{2B}b\\x{3D}c\\x{5C}d", true, true},
		{"ORCPT=utf-8;m\xc3\xbcller@b", false, true},
		{"ORCPT=rfc822;m\xc3\xbcller@b", false, false},
		{"ORCPT=utf-8;\\x{}", false, false},
		{"ORCPT=utf-8;\\x{F}", false, false},
		{"ORCPT=utf-8;\\x{110000}", false, false},
		{"ORCPT=utf-8;\\x{D800}", false, false},
		{"ORCPT=utf-8;\\x{0A}", false, false},
		{"ORCPT=utf-8;\\x{85}", false, false},
		{"ORCPT=utf-8;\\x{0000000}", false, false},
		{"ORCPT=utf-8;\\x{FG}", false, false},
		{"ORCPT=utf-8;\\x{FC", false, false},
		{"ORCPT=utf-8;\\x", false, false},
		{"ORCPT=utf-8;\\y{FC}", false, false},
		{"ORCPT=utf-8;a+2Bb", false, false},
		{"ORCPT=utf-8;", false, false},
		{"NOTIFY", false, false},
		{"NOTIFY=", false, false},
		{"NOTIFY=,", false, false},
		{"NOTIFY=SUCCESS,", false, false},
		{"NOTIFY=,SUCCESS", false, false},
		{"NOTIFY=SOMETIMES", false, false},
		{"NOTIFY=NEVER,SUCCESS", false, false},
		{"NOTIFY=SUCCESS,NEVER", false, false},
		{"NOTIFY=NEVER,NEVER", false, false},
		{"NOTIFY=SUCCESS,SUCCESS", false, false},
		{"NOTIFY=NEVER NOTIFY=NEVER", false, false},
		{"ORCPT", false, false},
		{"ORCPT=a@b", false, false},
		{"ORCPT=;a@b", false, false},
		{"ORCPT=rfc822;", false, false},
		{"ORCPT=rfc 822;a@b", false, false},
		{"ORCPT=rf(c;a@b", false, false},
		{"ORCPT=rfc822;a+0A@b", false, false},
		{"ORCPT=rfc822;a ORCPT=rfc822;a", false, false},
		{"ORCPT=rfc822;" HUNDRED HUNDRED HUNDRED HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN "abc", true, true},
		{"ORCPT=rfc822;" HUNDRED HUNDRED HUNDRED HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN "abcd", false, false},
		{"RET=FULL", false, false},
		{"ENVID=a", false, false},
		{"SIZE=1", false, false},
		{"SMTPUTF8", false, false},
	};

	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		bool is_good = i % 2 ? cases[i / 2].is_good_in_utf8 : cases[i / 2].is_good;
		struct session s;

		begin(&s, USER);
		say_text(&s, i % 2 ? "MAIL FROM:<a@b> SMTPUTF8\r\nRCPT TO:<c@d> " : "MAIL FROM:<a@b>\r\nRCPT TO:<c@d> ");
		say_text(&s, cases[i / 2].parameters);
		say_text(&s, "\r\n");
		if ((s.p.state == SMTPD_RCPT) != is_good)
			printf("\n%s:", cases[i / 2].parameters);
		UNIT_INT(s.p.state == SMTPD_RCPT, is_good);
		UNIT_TRUE(is_good || s.p.last_reply == SMTP_REPLY_BAD_PARAMETER ||
			  s.p.last_reply == SMTP_REPLY_UNKNOWN_PARAMETER);
		end(&s);
	}
}

static void they_go_with_the_message(void)
{
	static const struct {
		const char *commands, *dsn;
	} cases[] = {
		{"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", ""},
		{"MAIL FROM:<a@b> RET=HDRS ENVID=QQ314159\r\nRCPT TO:<c@d> NOTIFY=delay,success ORCPT=rfc822;a@b.example\r\n",
		 "RET=HDRS ENVID=QQ314159\n0 NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@b.example\n"},
		{"MAIL FROM:<a@b> ENVID=x\r\nRCPT TO:<c@d>\r\n", "ENVID=x\n"},
		{"MAIL FROM:<a@b> RET=full\r\nRCPT TO:<c@d>\r\n", "RET=FULL\n"},
		{"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@d> NOTIFY=NEVER\r\nRCPT TO:<f@d> ORCPT=rfc822;x\r\n",
		 "\n1 NOTIFY=NEVER\n2 ORCPT=rfc822;x\n"},
		/* named twice: the first one's hold */
		{"MAIL FROM:<a@b>\r\nRCPT TO:<c@d> NOTIFY=NEVER\r\nRCPT TO:<c@D> NOTIFY=SUCCESS\r\nRCPT TO:<e@d> NOTIFY=DELAY\r\n",
		 "\n0 NOTIFY=NEVER\n1 NOTIFY=DELAY\n"},
		/* those of refused recipients are not there */
		{"MAIL FROM:<a@b>\r\nRCPT TO:<bad> NOTIFY=NEVER\r\nRCPT TO:<c@d> NOTIFY=DELAY\r\n", "\n0 NOTIFY=DELAY\n"},
		/* nor those of an earlier transaction */
		{"MAIL FROM:<a@b> RET=FULL\r\nRSET\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct session s;

		begin(&s, USER);
		say_text(&s, cases[i].commands);
		say_text(&s, "DATA\r\n.\r\n");
		UNIT_INT(s.submitted, 1);
		UNIT_STR(buf_str(&s.dsn), cases[i].dsn);
		end(&s);
	}
}

/* Many long ORCPTs are too many recipients, not a message that qmgr does not take. */
static void they_count_towards_what_a_message_may_have(void)
{
	struct session s;
	struct buf line = BUF_MAX(4096);
	unsigned accepted = 0;

	rules.recipients = 1000;
	begin(&s, USER);
	say_text(&s, "MAIL FROM:<a@b>\r\n");
	for (int i = 0; i < 1000; i++) {
		buf_reset(&line);
		buf_printf(&line, "RCPT TO:<r%d@example.com> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;%s\r\n", i,
			   HUNDRED HUNDRED HUNDRED HUNDRED);
		say(&s, line.p, line.n);
		accepted += s.p.last_reply == SMTP_REPLY_RECIPIENT_OK;
		UNIT_TRUE(s.p.last_reply == SMTP_REPLY_RECIPIENT_OK || s.p.last_reply == SMTP_REPLY_TOO_MANY_RECIPIENTS);
	}
	UNIT_TRUE(accepted > 100 && accepted < 200);
	UNIT_TRUE(!s.p.mail->dsn.is_full && s.p.mail->dsn.n <= IPC_DSN_MAX);
	buf_clear(&line);
	end(&s);
	set_rules();
}

UNIT_TESTS({"rules", set_rules}, {"parameters of MAIL", parameters_of_mail},
	   {"parameters of RCPT", parameters_of_rcpt}, {"they go with the message", they_go_with_the_message},
	   {"they count towards what a message may have", they_count_towards_what_a_message_may_have})
