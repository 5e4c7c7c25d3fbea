/* SPDX-License-Identifier: Apache-2.0
 *
 * The transaction: who may begin one, UTF-8, what becomes of it.
 */
#include "smtpd/smtpd_mail.h"

#include "tests/smtpd/dialogue.h"

#define MUELLER "m\xc3\xbcller"

static void beyond_ascii_needs_smtputf8(void)
{
	PLAY({USER, "MAIL FROM:<" MUELLER "@b>\r\n", "553 5.6.7"},
	     {USER, "MAIL FROM:<a@" MUELLER ".test>\r\n", "553 5.6.7"},
	     {USER, "MAIL FROM:<" MUELLER "@b> SMTPUTF8\r\n", "250 2.1.0"},
	     {USER, "MAIL FROM:<" MUELLER "@" MUELLER ".test> smtputf8 BODY=8BITMIME SIZE=1\r\n", "250 2.1.0"},
	     {USER, "MAIL FROM:<> SMTPUTF8\r\n", "250 2.1.0"},
	     {USER, "MAIL FROM:<a@b> SMTPUTF8\r\nRCPT TO:<" MUELLER "@b>\r\nDATA\r\n", "250 2.1.0 | 250 2.1.5 | 354"},
	     {USER, "MAIL FROM:<a@b>\r\nRCPT TO:<" MUELLER "@b>\r\nRCPT TO:<c@d>\r\n", "250 2.1.0 | 553 5.6.7 | 250 2.1.5"},
	     {USER, "MAIL FROM:<a@b> SMTPUTF8=1\r\nMAIL FROM:<a@b> SMTPUTF8 SMTPUTF8\r\nMAIL FROM:<a@b> SMTPUTF8=\r\n",
	      "501 5.5.4 | 501 5.5.4 | 501 5.5.4"},
	     {USER, "MAIL FROM:<a\xe2\x80\xae@b> SMTPUTF8\r\nMAIL FROM:<a@b\xe3\x80\x82""c> SMTPUTF8\r\n",
	      "501 5.1.7 | 501 5.1.7"},
	     {USER, "MAIL FROM:<m\xfcller@b> SMTPUTF8\r\nMAIL FROM:<a@b>\r\nRCPT TO:<m\xfcller@b>\r\n",
	      "501 5.5.2 | 250 2.1.0 | 501 5.5.2"},
	     {USER, "VRFY " MUELLER "\r\nVRFY " MUELLER " SMTPUTF8\r\nVRFY a SMTPUTF8\r\nVRFY SMTPUTF8\r\n",
	      "553 5.6.7 | 252 2.5.0 | 252 2.5.0 | 252 2.5.0"},
	     {SECURE, "EHLO " MUELLER "\r\n", OFFERS " AUTH PLAIN LOGIN;"},
	     {SECURE, "EHLO m\xfcller\r\nNOOP m\xfcller\r\nm\xfcller\r\n", "501 5.5.2 | 501 5.5.2 | 500 5.5.2"});
}

static void the_trace_says_how_it_came(void)
{
	static const struct {
		const char *say, *with, *stored;
	} cases[] = {
		{"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", " with ESMTPSA id ", "a@b>c@d,7:"},
		{"MAIL FROM:<a@b> BODY=8BITMIME\r\nRCPT TO:<c@d>\r\n", " with ESMTPSA id ", "a@b>c@d,8:"},
		{"MAIL FROM:<a@b> SMTPUTF8\r\nRCPT TO:<c@d>\r\n", " with UTF8SMTPSA id ", "a@b>c@d,7U:"},
		{"MAIL FROM:<" MUELLER "@b> SMTPUTF8\r\nRCPT TO:<" MUELLER "@d>\r\n", "\tfor <" MUELLER "@d>;",
		 MUELLER "@b>" MUELLER "@d,7U:"},
		{"HELO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", " with SMTP id ", "a@b>c@d,7:"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct session s;

		begin(&s, USER);
		say_text(&s, cases[i].say);
		say_text(&s, "DATA\r\n.\r\n");
		UNIT_TRUE(str_starts(buf_str(&s.stored), str_of(cases[i].stored)));
		UNIT_TRUE(memmem(s.stored.p, s.stored.n, cases[i].with, strlen(cases[i].with)) != NULL);
		end(&s);
	}
}

static void a_full_queue_refuses_mail(void)
{
	rules.is_under_pressure = true;
	PLAY({USER, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nNOOP\r\n", "451 4.3.2 | 503 5.5.1 | 503 5.5.1 | 250 2.0.0"},
	     {USER, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n",
	      "451 4.3.2 | 503 5.5.1 | 503 5.5.1 | 250 2.0.0"},
	     /* what is for good is said all the same */
	     {USER, "MAIL FROM:<bad>\r\nMAIL FROM:<a@b> SIZE=9999\r\n", "501 5.1.7 | 552 5.3.4"});
	set_rules();
}

static void a_full_queue_is_no_matter_to_direct_mail(void)
{
	struct session s;

	rules.is_under_pressure = true;
	begin(&s, USER);
	s.p.tenant_mode = IPC_DIRECT;
	say_text(&s, "MAIL FROM:<a@b>\r\n");
	hear(&s, "250 2.1.0");
	end(&s);
	begin(&s, USER);
	s.p.tenant_mode = IPC_DIRECT_THEN_QUEUE;
	say_text(&s, "MAIL FROM:<a@b>\r\n");
	hear(&s, "451 4.3.2");
	end(&s);
	set_rules();
}

static void gate_counts_what_is_sent(void)
{
	static const struct {
		enum ipc_may_send_verdict verdict;
		const char *heard;
	} cases[] = {{IPC_MAY_SEND_OK, "250 2.1.0"},
		     {IPC_MAY_SEND_ADDRESS, "450 4.7.1"},
		     {IPC_MAY_SEND_USER, "450 4.7.1"},
		     {IPC_MAY_SEND_TENANT, "450 4.7.1"}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int is_later = 0; is_later < 2; is_later++) {
			struct session s;

			begin(&s, USER);
			s.may_send_verdict = cases[i].verdict;
			s.is_counted_later = is_later;
			say_text(&s, "MAIL FROM:<a@b>\r\nNOOP\r\n");
			if (is_later) {
				hear(&s, "");
				smtpd_proto_may_send(&s.p, cases[i].verdict, cases[i].verdict == IPC_MAY_SEND_OK);
				hear(&s, cases[i].heard);
				feed(&s);
				hear(&s, "250 2.0.0");
			} else {
				UNIT_TRUE(str_ends(buf_str(&s.out), STR("250 2.0.0 Ok\r\n")));
			}
			UNIT_INT(s.asked_to_send, 1);
			UNIT_INT(s.p.mail != NULL, cases[i].verdict == IPC_MAY_SEND_OK);
			smtpd_proto_clear(&s.p);
			UNIT_INT(s.not_sent, cases[i].verdict == IPC_MAY_SEND_OK);
			end(&s);
		}
}

static void what_is_not_accepted_is_given_back(void)
{
	static const struct {
		const char *say;
		unsigned asked, not_sent;
	} cases[] = {
		{"MAIL FROM:<bad>\r\nMAIL FROM:<a@b> X\r\nMAIL FROM:<a@b> SIZE=9999\r\n", 0, 0},
		{"MAIL FROM:<a@b>\r\nRSET\r\nRSET\r\n", 1, 1},
		{"MAIL FROM:<a@b>\r\nEHLO x\r\n", 1, 1},
		{"MAIL FROM:<a@b>\r\nHELO x\r\n", 1, 1},
		{"MAIL FROM:<a@b>\r\nQUIT\r\n", 1, 1},
		{"MAIL FROM:<a@b>\r\nMAIL FROM:<a@b>\r\n", 1, 1},
		{"MAIL FROM:<a@b>\r\nRCPT TO:<bad>\r\n", 1, 1},
		{ENVELOPE "half", 1, 1},
		{ENVELOPE ".\r\n", 1, 0},
		{ENVELOPE ".\r\n" ENVELOPE ".\r\nQUIT\r\n", 2, 0},
		{ENVELOPE ".\r\nMAIL FROM:<a@b>\r\n", 2, 1},
		{"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 0 LAST\r\n", 1, 0},
		{"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 0\r\n", 1, 1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct session s;

		begin(&s, USER);
		say_text(&s, cases[i].say);
		smtpd_proto_clear(&s.p);
		UNIT_INT(s.asked_to_send, cases[i].asked);
		UNIT_INT(s.not_sent, cases[i].not_sent);
		end(&s);
	}
}

static void while_its_answer_is_due_a_message_counts(void)
{
	struct session s;

	/* the client goes: it may be stored all the same */
	begin(&s, USER);
	s.is_later = true;
	say_text(&s, ENVELOPE ".\r\n");
	smtpd_proto_clear(&s.p);
	UNIT_INT(s.not_sent, 0);
	end(&s);
	/* the session is ended, then the answer comes */
	for (int is_stored = 0; is_stored < 2; is_stored++) {
		begin(&s, USER);
		s.is_later = true;
		say_text(&s, ENVELOPE ".\r\n");
		smtpd_proto_refuse(&s.p, SMTP_REPLY_SESSION_TOO_LONG);
		buf_reset(&s.out);
		smtpd_proto_submitted(&s.p, &(struct ipc_submit_result){
						    .verdict = is_stored ? IPC_SUBMIT_STORED : IPC_SUBMIT_UNAVAILABLE});
		hear(&s, "");
		smtpd_proto_clear(&s.p);
		UNIT_INT(s.not_sent, !is_stored);
		end(&s);
	}
	begin(&s, USER);
	s.is_counted_later = true;
	say_text(&s, "MAIL FROM:<a@b>\r\n");
	smtpd_proto_refuse(&s.p, SMTP_REPLY_SESSION_TOO_LONG);
	buf_reset(&s.out);
	smtpd_proto_may_send(&s.p, IPC_MAY_SEND_OK, true);
	hear(&s, "");
	smtpd_proto_clear(&s.p);
	UNIT_INT(s.not_sent, 1);
	end(&s);
}

static void what_nobody_counted_is_not_given_back(void)
{
	struct session s;

	begin(&s, USER);
	s.is_counted_later = true;
	say_text(&s, "MAIL FROM:<a@b>\r\n");
	smtpd_proto_may_send(&s.p, IPC_MAY_SEND_OK, false);
	hear(&s, "250 2.1.0");
	say_text(&s, "RSET\r\n");
	hear(&s, "250 2.0.0");
	UNIT_INT(s.not_sent, 0);
	end(&s);
}

static void suppressed_recipients_are_not_taken(void)
{
	static const struct {
		const char *say, *hear, *stored;
		unsigned asked;
	} cases[] = {
		{"RCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nDATA\r\n.\r\n", "250 2.1.5 | 250 2.1.5 | 354 | 250 2.0.0", "a@b>c@d,e@f,7:", 2},
		{"RCPT TO:<no@d>\r\nRCPT TO:<e@f> NOTIFY=NEVER ORCPT=rfc822;x\r\nRCPT TO:<odd@f>\r\nDATA\r\n.\r\n",
		 "550 5.7.1 | 250 2.1.5 | 451 4.3.0 | 354 | 250 2.0.0", "a@b>e@f,7:", 3},
		{"RCPT TO:<no@d>\r\nDATA\r\nRSET\r\n", "550 5.7.1 | 503 5.5.1 | 250 2.0.0", "", 1},
		{"RCPT TO:<odd@d>\r\nBDAT 1 LAST\r\nxRSET\r\n", "451 4.3.0 | 503 5.5.1 | 250 2.0.0", "", 1},
		/* those that are refused anyway, or known, are not asked for */
		{"RCPT TO:<c>\r\nRCPT TO:<c@d> X\r\nRCPT TO:<c@d>\r\nRCPT TO:<c@D>\r\n",
		 "501 5.1.3 | 555 5.5.4 | 250 2.1.5 | 250 2.1.5", "", 1},
		{"RCPT TO:<c@d>\r\nRCPT TO:<c@e>\r\nRCPT TO:<c@f>\r\nRCPT TO:<c@g>\r\n",
		 "250 2.1.5 | 250 2.1.5 | 250 2.1.5 | 452 4.5.3", "", 4},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (int is_later = 0; is_later < 2; is_later++) {
			struct session s;

			begin(&s, USER);
			s.p.asks_recipients = true;
			say_text(&s, "MAIL FROM:<a@b>\r\n");
			buf_reset(&s.out);
			s.is_recipient_later = is_later;
			say_text(&s, cases[i].say);
			while (s.p.is_waiting) {
				answer_recipient(&s);
				feed(&s);
			}
			hear(&s, cases[i].hear);
			UNIT_INT(s.asked_recipients, cases[i].asked);
			UNIT_TRUE(str_starts(buf_str(&s.stored), str_of(cases[i].stored)));
			if (strstr(cases[i].say, "ORCPT") != NULL)
				UNIT_STR(buf_str(&s.dsn), "\n0 NOTIFY=NEVER ORCPT=rfc822;x\n");
			end(&s);
		}
}

static void who_leaves_while_a_recipient_is_asked_for_has_sent_nothing(void)
{
	struct session s;

	for (int is_closed = 0; is_closed < 2; is_closed++) {
		begin(&s, USER);
		s.p.asks_recipients = s.is_recipient_later = true;
		say_text(&s, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d> ORCPT=rfc822;x\r\n");
		if (is_closed) {
			smtpd_proto_refuse(&s.p, SMTP_REPLY_SESSION_TOO_LONG);
			buf_reset(&s.out);
			answer_recipient(&s);
			hear(&s, "");
		}
		smtpd_proto_clear(&s.p);
		UNIT_INT(s.not_sent, 1);
		end(&s);
	}
}

static void the_answer_is_the_verdict(void)
{
	static const struct {
		struct ipc_submit_result result;
		const char *reply; /* NULL: with our id */
		unsigned refused, not_sent;
	} cases[] = {
		{{.verdict = IPC_SUBMIT_STORED}, NULL, 0, 0},
		{{.verdict = IPC_SUBMIT_UNAVAILABLE}, "451 4.3.0 Cannot be queued now, try again later\r\n", 1, 1},
		{{.verdict = IPC_SUBMIT_SENT, .provider_id = STR("<p-1@x>")},
		 "250 2.0.0 Message accepted for delivery: <p-1@x>\r\n", 0, 0},
		{{.verdict = IPC_SUBMIT_REFUSED, .reason = STR("no such\r\n250 sender\xff")},
		 "550 5.0.0 Message rejected: no such??250 sender?\r\n", 1, 1},
		{{.verdict = IPC_SUBMIT_REFUSED}, "550 5.0.0 Message rejected: no reason was given\r\n", 1, 1},
		{{.verdict = IPC_SUBMIT_RATE_LIMITED}, "451 4.7.1 Rate limit exceeded, try again later\r\n", 1, 1},
		{{.verdict = IPC_SUBMIT_FAILING}, "451 4.3.0 Temporary failure, try again later\r\n", 1, 1},
		{{.verdict = IPC_SUBMIT_UNREACHABLE}, "451 4.4.1 Service temporarily unavailable\r\n", 1, 1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct session s;

		begin(&s, USER);
		s.submit_result = cases[i].result;
		say_text(&s, ENVELOPE);
		buf_reset(&s.out);
		say_text(&s, ".\r\n");
		if (cases[i].reply != NULL)
			UNIT_STR(buf_str(&s.out), cases[i].reply);
		else
			UNIT_TRUE(str_starts(buf_str(&s.out), STR("250 2.0.0 Ok: queued as 018bcfe5-6800-7")));
		UNIT_INT(s.p.refused, cases[i].refused);
		UNIT_INT(s.not_sent, cases[i].not_sent);
		UNIT_INT(s.p.state, SMTPD_READY);
		end(&s);
	}
}

/* What goes on is the message without the field, and the key beside it. */
static void the_idempotency_key_is_taken_out(void)
{
	static char long_key[300], most_key[300];
	const struct {
		const char *mail, *header, *key, *reply;
	} cases[] = {
		{"", "X-Idempotency-Key: order-17\r\n", "order-17", "250 2.0.0"},
		{"", "x-idempotency-key :\t a b {1} \r\nTo: c@d\r\n", "a b {1}", "250 2.0.0"},
		{"", "To: c@d\r\nX-Idempotency-Key:x\r\n", "x", "250 2.0.0"},
		{"", "To: c@d\r\n", "", "250 2.0.0"},
		{"", "To: c@d\r\n\r\nX-Idempotency-Key: in the body\r\n", "", "250 2.0.0"},
		{"", most_key, most_key + 19, "250 2.0.0"},
		{"", long_key, "", "554 5.6.0"},
		{"", "X-Idempotency-Key: a\r\nX-Idempotency-Key: a\r\n", "", "554 5.6.0"},
		{"", "X-Idempotency-Key:\r\n", "", "554 5.6.0"},
		{"", "X-Idempotency-Key: \t\r\n", "", "554 5.6.0"},
		{"", "X-Idempotency-Key: a\r\n b\r\n", "", "554 5.6.0"},
		{"", "X-Idempotency-Key: a\x01\r\n", "", "554 5.6.0"},
		{"", "X-Idempotency-Key: \xc3\xa9\r\n", "", "554 5.6.0"},
		{" ENVID=QQ+2B3", "To: c@d\r\n", "QQ+3", "250 2.0.0"},
		{" ENVID=QQ+2B3", "X-Idempotency-Key: field\r\n", "field", "250 2.0.0"},
	};

	snprintf(most_key, sizeof(most_key), "X-Idempotency-Key: %0256d", 7);
	snprintf(long_key, sizeof(long_key), "X-Idempotency-Key: %0257d\r\n", 7);
	rules.key_field = "X-Idempotency-Key";
	rules.takes_envid_as_key = true;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct session s;

		begin(&s, USER);
		say_text(&s, "MAIL FROM:<a@b>");
		say_text(&s, cases[i].mail);
		say_text(&s, "\r\nRCPT TO:<c@d>\r\nDATA\r\n");
		buf_reset(&s.out);
		say_text(&s, cases[i].header);
		say_text(&s, "\r\n.\r\n");
		hear(&s, cases[i].reply);
		UNIT_STR(buf_str(&s.key), cases[i].key);
		UNIT_TRUE(s.stored.n == 0 || memmem(s.stored.p, s.stored.n, "order", 5) == NULL);
		UNIT_TRUE(strstr(cases[i].header, "To:") == NULL || s.stored.n == 0 ||
			  memmem(s.stored.p, s.stored.n, "To: c@d\r\n", 9) != NULL);
		end(&s);
	}
	set_rules();
}

static void without_the_settings_there_is_no_key(void)
{
	struct session s;

	begin(&s, USER);
	say_text(&s, "MAIL FROM:<a@b> ENVID=x\r\nRCPT TO:<c@d>\r\nDATA\r\nX-Idempotency-Key: a\r\n\r\n.\r\n");
	UNIT_INT(s.submitted, 1);
	UNIT_INT(s.key.n, 0);
	UNIT_TRUE(memmem(s.stored.p, s.stored.n, "X-Idempotency-Key: a", 20) != NULL);
	end(&s);
}

static void a_repetition_has_the_id_of_the_first(void)
{
	static const struct {
		enum ipc_submit_verdict verdict;
		const char *reply;
		enum smtp_reply token;
	} cases[] = {
		{IPC_SUBMIT_STORED, "250 2.0.0 Ok: queued as 01000000-0000-0000-0000-000000000000\r\n", SMTP_REPLY_REPEATED},
		{IPC_SUBMIT_SENT, "250 2.0.0 Message accepted for delivery: p-1\r\n", SMTP_REPLY_PROVIDER_TOOK_BEFORE},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct session s;

		begin(&s, USER);
		s.submit_result = (struct ipc_submit_result){
			.verdict = cases[i].verdict, .provider_id = STR("p-1"), .id = some_id};
		say_text(&s, ENVELOPE);
		buf_reset(&s.out);
		say_text(&s, ".\r\n");
		UNIT_STR(buf_str(&s.out), cases[i].reply);
		UNIT_INT(s.p.last_reply, cases[i].token);
		UNIT_INT(s.p.refused, 0);
		end(&s);
	}
}

UNIT_TESTS({"rules", set_rules}, {"beyond ASCII needs SMTPUTF8", beyond_ascii_needs_smtputf8},
	   {"the trace says how it came", the_trace_says_how_it_came},
	   {"a full queue refuses MAIL", a_full_queue_refuses_mail},
	   {"a full queue is no matter to direct mail", a_full_queue_is_no_matter_to_direct_mail},
	   {"gate counts what is sent", gate_counts_what_is_sent},
	   {"what is not accepted is given back", what_is_not_accepted_is_given_back},
	   {"while its answer is due a message counts", while_its_answer_is_due_a_message_counts},
	   {"what nobody counted is not given back", what_nobody_counted_is_not_given_back},
	   {"the answer is the verdict", the_answer_is_the_verdict},
	   {"suppressed recipients are not taken", suppressed_recipients_are_not_taken},
	   {"who leaves while a recipient is asked for has sent nothing",
	    who_leaves_while_a_recipient_is_asked_for_has_sent_nothing},
	   {"the idempotency key is taken out", the_idempotency_key_is_taken_out},
	   {"without the settings there is no key", without_the_settings_there_is_no_key},
	   {"a repetition has the id of the first", a_repetition_has_the_id_of_the_first})
