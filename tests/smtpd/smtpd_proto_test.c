/* SPDX-License-Identifier: Apache-2.0
 *
 * The dialogue: commands, their order, logins, messages.
 */
#include "smtpd/smtpd_proto.h"

#include <unistd.h>

#include "lib/service/metrics.h"
#include "tests/smtpd/dialogue.h"

static void commands_in_clear(void)
{
	PLAY({CLEAR, "EHLO x\r\n", OFFERS " STARTTLS;"},
	     {CLEAR, "HELO x\r\n", "250"},
	     {CLEAR, "ehlo [127.0.0.1]\r\nNOOP\r\nnoop x y\r\nHELP\r\nVRFY a\r\nRSET\r\n",
	      OFFERS " STARTTLS; | 250 2.0.0 | "
	      "250 2.0.0 | 214 2.0.0 | 252 2.5.0 | 250 2.0.0"},
	     {CLEAR, "EHLO\r\nHELO\r\nEHLO \x01\r\n", "501 5.5.4 | 501 5.5.4 | 501 5.5.2"},
	     {CLEAR, "EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<a@b>\r\nDATA\r\n",
	      OFFERS " STARTTLS; | 530 5.7.0 | "
	      "530 5.7.0 | 530 5.7.0"},
	     {CLEAR, "AUTH PLAIN AGEAYg==\r\n", "538 5.7.11"},
	     {CLEAR, "STARTTLS x\r\n", "501 5.5.4"},
	     {CLEAR, "WHAT\r\n\r\n NOOP\r\nEXPN x\r\nVRFY\r\n",
	      "500 5.5.2 | 500 5.5.2 | 500 5.5.2 | 502 5.5.1 | 501 5.5.4"},
	     {CLEAR, "QUIT\r\nNOOP\r\n", "221 2.0.0"},
	     {CLEAR, "POST / HTTP/1.1\r\nHost: x\r\n", "421 4.7.0"});
}

static void what_follows_starttls_in_clear_is_thrown_away(void)
{
	struct session s;

	PLAY({CLEAR, "STARTTLS\r\nNOOP\r\nRSET\r\n", "220 2.0.0"});
	begin(&s, CLEAR);
	say_text(&s, "EHLO evil\r\n");
	buf_reset(&s.out);
	say_text(&s, "STARTTLS\r\nMAIL FROM:<evil@x>\r\nNO");
	hear(&s, "220 2.0.0");
	UNIT_INT(s.tls_started, 1);
	smtpd_proto_secured(&s.p, "TLSv1.3", "X");
	say_text(&s, "NOOP\r\nMAIL FROM:<a@b>\r\nEHLO x\r\nSTARTTLS\r\n");
	/* forgotten: EHLO is due again */
	hear(&s, "250 2.0.0 | 503 5.5.1 | " OFFERS " AUTH PLAIN LOGIN; | 503 5.5.1");
	end(&s);
}

static void without_a_certificate_tls_is_not_offered(void)
{
	rules.has_certificate = false;
	PLAY({CLEAR, "EHLO x\r\nSTARTTLS\r\n",
	      OFFERS " | 454 4.7.0"});
	set_rules();
}

static void the_order_of_commands_is_kept(void)
{
	PLAY({SECURE, "MAIL FROM:<a@b>\r\nAUTH PLAIN AGEAYg==\r\nRCPT TO:<a@b>\r\n",
	      "503 5.5.1 | 503 5.5.1 | 503 5.5.1"},
	     {HELLO, "MAIL FROM:<a@b>\r\nRCPT TO:<a@b>\r\nDATA\r\n", "530 5.7.0 | 530 5.7.0 | 530 5.7.0"},
	     {USER, "RCPT TO:<a@b>\r\nDATA\r\n", "503 5.5.1 | 503 5.5.1"},
	     {USER, "MAIL FROM:<a@b>\r\nMAIL FROM:<a@b>\r\nDATA\r\n", "250 2.1.0 | 503 5.5.1 | 503 5.5.1"},
	     {USER, "MAIL FROM:<a@b>\r\nAUTH PLAIN AGEAYg==\r\nSTARTTLS\r\n", "250 2.1.0 | 503 5.5.1 | 503 5.5.1"},
	     {USER, "AUTH PLAIN AGEAYg==\r\n", "503 5.5.1"},
	     {USER, "MAIL FROM:<a@b>\r\nRSET\r\nRCPT TO:<a@b>\r\n", "250 2.1.0 | 250 2.0.0 | 503 5.5.1"},
	     {USER, "MAIL FROM:<a@b>\r\nHELO x\r\nRCPT TO:<a@b>\r\nMAIL FROM:<>\r\n",
	      "250 2.1.0 | 250 | 503 5.5.1 | 250 2.1.0"},
	     {USER, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nMAIL FROM:<a@b>\r\nDATA x\r\nDATA\r\n",
	      "250 2.1.0 | 250 2.1.5 | 250 2.1.5 | 503 5.5.1 | 501 5.5.4 | 354"});
}

static void sloppy_and_bad_envelopes(void)
{
	PLAY({USER, "MAIL FROM: <a@b> SIZE=100 BODY=8BITMIME AUTH=<>\r\nRCPT TO: <c@d>\r\n", "250 2.1.0 | 250 2.1.5"},
	     {USER, "mail from:<a@b>\r\nrcpt to:<c@d>\r\ndata\r\n", "250 2.1.0 | 250 2.1.5 | 354"},
	     {USER, "MAIL FROM:<>\r\n", "250 2.1.0"},
	     {USER, "MAIL FROM:a@b\r\n", "250 2.1.0"},
	     {USER, "MAIL\r\nMAIL FROM\r\nMAIL TO:<a@b>\r\nMAIL FROM:<a@b\r\n",
	      "501 5.5.4 | 501 5.5.4 | 501 5.5.4 | 501 5.5.4"},
	     {USER, "MAIL FROM:<a@>\r\nMAIL FROM:<a>\r\nMAIL FROM:a b\r\nMAIL FROM:<a@b\xff>\r\n",
	      "501 5.1.7 | 501 5.1.7 | 501 5.1.7 | 501 5.5.2"},
	     {USER, "MAIL FROM:<m\xc3\xbcller@b>\r\n", "553 5.6.7"},
	     {USER, "MAIL FROM:<a@b> FUNNY\r\nMAIL FROM:<a@b> NOTIFY=NEVER\r\nMAIL FROM:<a@b> BODY\r\n",
	      "555 5.5.4 | 555 5.5.4 | 501 5.5.4"},
	     {USER, "MAIL FROM:<a@b> SIZE=x\r\nMAIL FROM:<a@b> SIZE=\r\nMAIL FROM:<a@b> SIZE=1 SIZE=1\r\n",
	      "501 5.5.4 | 501 5.5.4 | 501 5.5.4"},
	     {USER, "MAIL FROM:<a@b> BODY=NONE\r\nMAIL FROM:<a@b> SIZE=99999999999999999999\r\n",
	      "501 5.5.4 | 501 5.5.4"},
	     {USER, "MAIL FROM:<a@b> SIZE=2001\r\nMAIL FROM:<a@b> SIZE=2000\r\n", "552 5.3.4 | 250 2.1.0"},
	     {USER, "MAIL FROM:<a@b>\r\nRCPT TO:<>\r\nRCPT TO:<a>\r\nRCPT TO:<a@b> SIZE=1\r\nRCPT\r\n",
	      "250 2.1.0 | 501 5.1.3 | 501 5.1.3 | 555 5.5.4 | 501 5.5.4"},
	     {USER, "MAIL FROM:<a@b>\r\nRCPT TO:<m\xc3\xbcller@b>\r\nDATA\r\n", "250 2.1.0 | 553 5.6.7 | 503 5.5.1"},
	     {USER, "MAIL FROM:<a@b>\r\nRCPT TO:<a@b>\r\nRCPT TO:<b@b>\r\nRCPT TO:<a@B>\r\nRCPT TO:<c@b>\r\n"
		    "RCPT TO:<d@b>\r\nRCPT TO:<a@b>\r\n",
	      "250 2.1.0 | 250 2.1.5 | 250 2.1.5 | 250 2.1.5 | 250 2.1.5 | 452 4.5.3 | 250 2.1.5"});
}

static void bare_newlines_and_long_lines_are_500(void)
{
	struct session s;

	PLAY({USER, "NOOP\nRSET\r\nNOOP\r\n", "500 5.5.2 | 250 2.0.0"},
	     {USER, "NO\rOP\r\nNOOP\r\n", "500 5.5.2 | 250 2.0.0"},
	     {USER, "MAIL FROM:<a@b>\nRCPT TO:<c@d>\r\nRCPT TO:<c@d>\r\n", "500 5.5.2 | 503 5.5.1"},
	     {HELLO, "AUTH LOGIN\r\nYQ==\nYg==\r\nNOOP\r\n", "334 | 500 5.5.2 | 250 2.0.0"});
	begin(&s, USER);
	for (int i = 0; i < 3000; i++)
		say(&s, "x", 1);
	say_text(&s, "\r\nNOOP\r\n");
	hear(&s, "500 5.5.2 | 250 2.0.0");
	end(&s);
	begin(&s, HELLO);
	say_text(&s, "AUTH PLAIN\r\n");
	for (int i = 0; i < 20000; i++)
		say(&s, "A", 1);
	say_text(&s, "\r\nNOOP\r\n");
	hear(&s, "334 | 500 5.5.6 | 250 2.0.0");
	end(&s);
}

static void a_nul_in_a_command_is_no_harm(void)
{
	struct session s;

	begin(&s, USER);
	say(&s, "NO\0OP\r\nMAIL FROM:<a\0@b>\r\nEHLO \0\r\n", 33);
	hear(&s, "500 5.5.2 | 501 5.1.7 | 501 5.5.2");
	end(&s);
}

static void a_message_is_handed_over_with_its_trace(void)
{
	struct session s;
	struct str stored;

	begin(&s, USER);
	say_text(&s, "MAIL FROM:<a@b> BODY=8BITMIME\r\nRCPT TO:<c@d>\r\nDATA\r\n");
	say_text(&s, "Subject: x\r\nDate: y\r\nMessage-Id: z\r\n\r\n..\r\n.\r\n");
	UNIT_INT(s.submitted, 1);
	stored = buf_str(&s.stored);
	UNIT_TRUE(str_starts(stored, STR("a@b>c@d,8:Received: from client.test ([192.0.2.7])\r\n\tby mail.test with "
					 "ESMTPSA id ")));
	UNIT_TRUE(str_ends(stored, STR("\r\n\t(TLSv1.3 TLS_AES_128_GCM_SHA256)\r\n\tfor <c@d>;\r\n\tTue, 14 Nov 2023 "
				       "22:13:20 +0000\r\nSubject: x\r\nDate: y\r\nMessage-Id: z\r\n\r\n.\r\n")));
	buf_consume(&s.out, s.out.n - strlen("250 2.0.0 Ok: queued as 018bcfe5-6800-7000-8000-000000000000\r\n"));
	UNIT_TRUE(str_starts(buf_str(&s.out), STR("250 2.0.0 Ok: queued as 018bcfe5-6800-7")));
	end(&s);
}

static void several_recipients_do_not_learn_of_each_other(void)
{
	struct session s;

	begin(&s, USER);
	say_text(&s, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nRCPT TO:<c@D>\r\nDATA\r\n\r\n.\r\n");
	UNIT_TRUE(str_starts(buf_str(&s.stored), STR("a@b>c@d,e@f,7:")));
	UNIT_TRUE(memmem(s.stored.p, s.stored.n, "for <", 5) == NULL);
	end(&s);
}

static void a_helo_name_cannot_write_a_header(void)
{
	struct session s;

	begin(&s, USER);
	say_text(&s, "EHLO x)y;(\"<z>\r\n" ENVELOPE "\r\n.\r\n");
	UNIT_TRUE(str_starts(str_from(buf_str(&s.stored), 10), STR("Received: from x?y????z? ([192.0.2.7])\r\n")));
	end(&s);
}

static void pipelined_messages_are_answered_in_order(void)
{
	PLAY({USER, ENVELOPE "x: y\r\n\r\n1\r\n.\r\n" ENVELOPE "x: y\r\n\r\n2\r\n.\r\nQUIT\r\n",
	      "250 2.1.0 | 250 2.1.5 | 354 | 250 2.0.0 | 250 2.1.0 | 250 2.1.5 | 354 | 250 2.0.0 | 221 2.0.0"},
	     /* RFC 2920, 3.1: the client has to look at each answer */
	     {USER, "MAIL FROM:<a@b>\r\nRCPT TO:<bad>\r\nDATA\r\nRSET\r\n", "250 2.1.0 | 501 5.1.3 | 503 5.5.1 | 250 2.0.0"},
	     {USER, "MAIL FROM:<bad>\r\nRCPT TO:<c@d>\r\nDATA\r\nNOOP\r\n", "501 5.1.7 | 503 5.5.1 | 503 5.5.1 | 250 2.0.0"});
}

static void while_a_message_is_stored_input_waits(void)
{
	struct session s;

	begin(&s, USER);
	s.is_later = true;
	say_text(&s, ENVELOPE "x: y\r\n\r\n1\r\n.\r\nNOOP\r\n");
	hear(&s, "250 2.1.0 | 250 2.1.5 | 354");
	UNIT_STR(buf_str(&s.input), "NOOP\r\n");
	smtpd_proto_submitted(&s.p, &(struct ipc_submit_result){.verdict = IPC_SUBMIT_UNAVAILABLE});
	feed(&s);
	hear(&s, "451 4.3.0 | 250 2.0.0");
	UNIT_INT(s.p.refused, 1);
	end(&s);
}

static void too_large_a_message_is_read_and_refused(void)
{
	struct session s;

	begin(&s, USER);
	say_text(&s, ENVELOPE);
	for (int i = 0; i < 100; i++)
		say_text(&s, "0123456789012345678901234567\r\n");
	say_text(&s, ".\r\n" ENVELOPE "x: y\r\n\r\n.\r\n");
	hear(&s, "250 2.1.0 | 250 2.1.5 | 354 | 552 5.3.4 | 250 2.1.0 | 250 2.1.5 | 354 | 250 2.0.0");
	UNIT_INT(s.submitted, 1);
	end(&s);
}

static void bare_newlines_in_a_message(void)
{
	struct session s;

	begin(&s, USER);
	say_text(&s, ENVELOPE "x: y\r\n\r\na\n.\r\nb\rc\r\n.\r\n");
	hear(&s, "250 2.1.0 | 250 2.1.5 | 354 | 250 2.0.0");
	UNIT_TRUE(str_ends(buf_str(&s.stored), STR("\r\n\r\na\r\n.\r\nb c\r\n")));
	end(&s);
	rules.refuses_bare_newline = true;
	PLAY({USER, ENVELOPE "x: y\r\n\r\na\nb\r\n.\r\nNOOP\r\n",
	      "250 2.1.0 | 250 2.1.5 | 354 | 550 5.6.11 | 250 2.0.0"});
	set_rules();
}

static void too_many_errors_end_the_session(void)
{
	rules.max_errors = 3;
	PLAY({CLEAR, "A\r\nB\r\nNOOP\r\nC\r\nNOOP\r\n", "500 5.5.2 | 500 5.5.2 | 250 2.0.0 | 500 5.5.2 | 421 4.7.0"},
	     /* an accepted message pays for the errors before it */
	     {USER, "A\r\nB\r\n" ENVELOPE ".\r\nA\r\nB\r\nNOOP\r\n",
	      "500 5.5.2 | 500 5.5.2 | 250 2.1.0 | 250 2.1.5 | 354 | 250 2.0.0 | 500 5.5.2 | 500 5.5.2 | 250 2.0.0"});
	set_rules();
}

static void draining_lets_a_message_finish(void)
{
	struct session s;

	begin(&s, USER);
	say_text(&s, "MAIL FROM:<a@b>\r\n");
	s.p.is_draining = true;
	say_text(&s, "RCPT TO:<c@d>\r\nDATA\r\n");
	hear(&s, "250 2.1.0 | 250 2.1.5 | 354");
	s.is_later = true;
	say_text(&s, "x: y\r\n\r\n.\r\nMAIL FROM:<next@b>\r\n");
	smtpd_proto_submitted(&s.p, &(struct ipc_submit_result){.verdict = IPC_SUBMIT_STORED});
	feed(&s);
	hear(&s, "250 2.0.0 | 421 4.3.2");
	end(&s);
}

static void replies_that_pile_up_stop_the_dialogue(void)
{
	struct session s;
	size_t all = 0, rounds = 0;

	begin(&s, HELLO);
	for (int i = 0; i < 10000; i++)
		buf_put_text(&s.input, "HELP\r\n");
	while (s.input.n > 0 && rounds++ < 100) {
		buf_reset(&s.out); /* the client has read them */
		feed(&s);
		UNIT_TRUE(s.out.n > 0 && s.out.n < SMTPD_PROTO_REPLIES + 1024);
		all += s.out.n;
	}
	UNIT_TRUE(rounds > 10 && rounds < 100);
	UNIT_INT(all % 10000, 0);
	end(&s);
}

static void a_session_can_be_dropped_anywhere(void)
{
	static const char *const scripts[] = {"AUTH LOGIN\r\nYQ==\r\n", "AUTH PLAIN AGEAYg==\r\n" ENVELOPE "x: y\r\n\r\nhalf",
					      "AUTH PLAIN AGEAYg==\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"};
	struct session s;

	for (size_t i = 0; i < 3; i++) {
		begin(&s, HELLO);
		say_text(&s, scripts[i]);
		end(&s);
	}
}

static void what_rfc_5321_permits_around_commands(void)
{
	PLAY({USER, "RSET x\r\nQUIT now\r\nRSET\r\nRSET  \r\nNOOP \t\r\nQUIT \r\n",
	      "501 5.5.4 | 501 5.5.4 | 250 2.0.0 | 250 2.0.0 | 250 2.0.0 | 221 2.0.0"},
	     {USER, "HELP\r\nHELP MAIL\r\nhelp me please\r\n", "214 2.0.0 | 214 2.0.0 | 214 2.0.0"},
	     {USER, "EXPN list\r\nETRN x\r\nTURN\r\nBURL x\r\nSEND x\r\nSOML x\r\nSAML x\r\n",
	      "502 5.5.1 | 502 5.5.1 | 502 5.5.1 | 502 5.5.1 | 502 5.5.1 | 502 5.5.1 | 502 5.5.1"},
	     {USER, "MAIL FROM:  <a@b>   SIZE=1   \r\nrcpt to: <c@d>  \r\nDATA \r\n", "250 2.1.0 | 250 2.1.5 | 354"},
	     {USER, "MAIL From:<a@b> body=8bitmime size=1\r\n", "250 2.1.0"},
	     {USER, "MAIL FROM:<a@b>SIZE=1\r\nMAIL FROM<a@b>\r\nMAIL FROM:\r\nMAIL FROM: \r\n",
	      "501 5.5.4 | 501 5.5.4 | 501 5.5.4 | 501 5.5.4"},
	     {USER, "MAIL FROM:<a@b> BODY=BINARYMIME\r\nMAIL FROM:<a@b> REQUIRETLS\r\nMAIL FROM:<a@b> HOLDFOR=1\r\n",
	      "501 5.5.4 | 555 5.5.4 | 555 5.5.4"},
	     {SECURE, "EHLO [IPv6:::1]\r\nHELO a b\r\nEHLO image.jpeg\r\n",
	      OFFERS " AUTH PLAIN LOGIN; | 250 | " OFFERS " AUTH PLAIN LOGIN;"},
	     {CLEAR, "NOOP \xc3\xbc\r\nNOOP \xfc\r\nNOOP \x07\r\nN\xfcOP\r\n",
	      "250 2.0.0 | 501 5.5.2 | 501 5.5.2 | 500 5.5.2"});
}

static void a_hello_may_be_empty_when_the_rules_say_so(void)
{
	struct session s;

	rules.takes_empty_hello = true;
	PLAY({SECURE, "HELO\r\nEHLO \r\nNOOP\r\n", "250 | " OFFERS " AUTH PLAIN LOGIN; | 250 2.0.0"});
	begin(&s, SECURE);
	say_text(&s, "EHLO\r\nAUTH PLAIN AGEAYg==\r\n" ENVELOPE ".\r\n");
	UNIT_TRUE(memmem(s.stored.p, s.stored.n, "from [192.0.2.7] ([192.0.2.7])\r\n", 32) != NULL);
	end(&s);
	set_rules();
}

static void a_draining_session_ends_after_its_next_reply(void)
{
	static const struct {
		enum begin begin;
		const char *before, *then, *heard;
	} cases[] = {
		{USER, "", "NOOP\r\nNOOP\r\n", "250 2.0.0 | 421 4.3.2"},
		{CLEAR, "", "EHLO x\r\nSTARTTLS\r\n", OFFERS " STARTTLS; | 421 4.3.2"},
		{HELLO, "", "AUTH LOGIN\r\nYQ==\r\nYg==\r\n", "334 | 334 | 235 2.7.0 | 421 4.3.2"},
		{USER, "MAIL FROM:<a@b>\r\n", "RCPT TO:<c@d>\r\nRSET\r\nNOOP\r\n", "250 2.1.5 | 250 2.0.0 | 421 4.3.2"},
		{USER, "", ENVELOPE ".\r\nNOOP\r\n", "250 2.1.0 | 250 2.1.5 | 354 | 250 2.0.0 | 421 4.3.2"},
		{USER, "", "QUIT\r\n", "221 2.0.0"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct session s;

		begin(&s, cases[i].begin);
		say_text(&s, cases[i].before);
		buf_reset(&s.out);
		s.p.is_draining = true;
		say_text(&s, cases[i].then);
		hear(&s, cases[i].heard);
		UNIT_INT(s.p.state, SMTPD_CLOSED);
		end(&s);
	}
}

static void every_reply_is_counted(void)
{
	int fd = metrics_create();
	struct session s;

	begin(&s, USER);
	say_text(&s, "NOOP\r\nNOOP\r\nWHAT\r\n" ENVELOPE ".\r\nQUIT\r\n");
	UNIT_INT(metrics_sum(METRIC_REPLIES, SMTP_REPLY_GREETING), 1);
	UNIT_INT(metrics_sum(METRIC_REPLIES, SMTP_REPLY_EHLO), 1);
	UNIT_INT(metrics_sum(METRIC_REPLIES, SMTP_REPLY_AUTH_OK), 1);
	UNIT_INT(metrics_sum(METRIC_REPLIES, SMTP_REPLY_OK), 2);
	UNIT_INT(metrics_sum(METRIC_REPLIES, SMTP_REPLY_UNKNOWN_COMMAND), 1);
	UNIT_INT(metrics_sum(METRIC_REPLIES, SMTP_REPLY_QUEUED), 1);
	UNIT_INT(metrics_sum(METRIC_REPLIES, SMTP_REPLY_BYE), 1);
	end(&s);
	close(fd);
}

UNIT_TESTS({"rules", set_rules}, {"commands in clear", commands_in_clear},
	   {"what follows STARTTLS in clear is thrown away", what_follows_starttls_in_clear_is_thrown_away},
	   {"without a certificate TLS is not offered", without_a_certificate_tls_is_not_offered},
	   {"the order of commands is kept", the_order_of_commands_is_kept},
	   {"sloppy and bad envelopes", sloppy_and_bad_envelopes},
	   {"bare newlines and long lines are 500", bare_newlines_and_long_lines_are_500},
	   {"a NUL in a command is no harm", a_nul_in_a_command_is_no_harm},
	   {"a message is handed over with its trace", a_message_is_handed_over_with_its_trace},
	   {"several recipients do not learn of each other", several_recipients_do_not_learn_of_each_other},
	   {"a HELO name cannot write a header", a_helo_name_cannot_write_a_header},
	   {"pipelined messages are answered in order", pipelined_messages_are_answered_in_order},
	   {"while a message is stored input waits", while_a_message_is_stored_input_waits},
	   {"too large a message is read and refused", too_large_a_message_is_read_and_refused},
	   {"bare newlines in a message", bare_newlines_in_a_message},
	   {"too many errors end the session", too_many_errors_end_the_session},
	   {"draining lets a message finish", draining_lets_a_message_finish},
	   {"replies that pile up stop the dialogue", replies_that_pile_up_stop_the_dialogue},
	   {"a session can be dropped anywhere", a_session_can_be_dropped_anywhere},
	   {"what RFC 5321 permits around commands", what_rfc_5321_permits_around_commands},
	   {"a hello may be empty when the rules say so", a_hello_may_be_empty_when_the_rules_say_so},
	   {"a draining session ends after its next reply", a_draining_session_ends_after_its_next_reply},
	   {"every reply is counted", every_reply_is_counted})
