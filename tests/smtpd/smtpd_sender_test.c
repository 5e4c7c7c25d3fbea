/* SPDX-License-Identifier: Apache-2.0
 *
 * Senders that a user is restricted to.
 */
#include "smtpd/smtpd_sender.h"

#include "tests/smtpd/dialogue.h"

static void addresses_and_domains(void)
{
	static const struct {
		const char *senders, *mailbox;
		bool is_permitted;
	} cases[] = {
		{NULL, "a@b", true},
		{"", "a@b", true},
		{"  ", "a@b", true},
		{"a@b.example", "a@b.example", true},
		{"a@b.example", "a@B.Example", true},
		{"a@b.example", "A@b.example", false}, /* local parts are their host's business */
		{"a@b.example", "c@b.example", false},
		{"a@b.example", "a@c.b.example", false},
		{"a@b.example", "xa@b.example", false},
		{"@b.example", "a@b.example", true},
		{"@b.example", "any.one+tag@B.EXAMPLE", true},
		{"@b.example", "a@c.b.example", false},
		{"@b.example", "a@cb.example", false},
		{"@b.example", "a@b.example.com", false},
		{"@b.example", "\"x@b.example\"@evil.test", false},
		{"@b.example", "a@[127.0.0.1]", false},
		{"@b.example", "b.example", false},
		{"@b.example", "@b.example@evil.test", false},
		{"x@y.test @b.example z@y.test", "z@y.test", true},
		{"x@y.test @b.example z@y.test", "q@b.example", true},
		{"x@y.test  @b.example", "q@y.test", false},
		{"@b\xc3\xbc.example", "a@b\xc3\xbc.example", true},
		{"x@y.test", "", true}, /* the null sender */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool is_permitted = smtpd_sender_is_permitted(cases[i].senders, str_of(cases[i].mailbox));

		if (is_permitted != cases[i].is_permitted)
			printf("\n%s:", cases[i].mailbox);
		UNIT_INT(is_permitted, cases[i].is_permitted);
	}
}

static void all_addresses_of_a_field_count(void)
{
	static const struct {
		const char *senders, *addresses, *stranger; /* NULL: all are permitted */
		bool is_odd;
	} cases[] = {
		{NULL, "", NULL, false},
		{NULL, "x@evil.test", NULL, true},
		{"@b.test", "a@b.test", NULL, false},
		{"@b.test", "a@b.test  c@B.test ", NULL, false},
		{"@b.test", "a@b.test x@evil.test y@evil.test", "x@evil.test", false},
		{"@b.test", "m\xc3\xbcller@evil.test", "m??ller@evil.test", false},
		{"@b.test", "", "nobody: the message has no address in From", false},
		{"@b.test", "a@b.test", "somebody: not every address in From and Sender can be made out", true},
		{"@b.test", "x@evil.test", "x@evil.test", true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf stranger = BUF_MAX(100);

		UNIT_INT(smtpd_sender_are_permitted(cases[i].senders, str_of(cases[i].addresses), cases[i].is_odd, &stranger),
			 cases[i].stranger == NULL);
		UNIT_STR(buf_str(&stranger), cases[i].stranger == NULL ? "" : cases[i].stranger);
		buf_clear(&stranger);
	}
}

static void mail_is_refused_before_it_is_counted(void)
{
	struct session s;

	senders = "a@b @c.test";
	PLAY({USER, "MAIL FROM:<x@y>\r\nMAIL FROM:<a@B>\r\n", "553 5.7.1 | 250 2.1.0"},
	     {USER, "MAIL FROM:<x@C.Test>\r\n", "250 2.1.0"}, {USER, "MAIL FROM:<>\r\n", "250 2.1.0"});
	begin(&s, USER);
	say_text(&s, "MAIL FROM:<x@y>\r\n");
	UNIT_STR(buf_str(&s.out), "553 5.7.1 This user may not send as x@y\r\n");
	buf_reset(&s.out);
	say_text(&s, "MAIL FROM:<m\xc3\xbcller@y> SMTPUTF8\r\n");
	UNIT_STR(buf_str(&s.out), "553 5.7.1 This user may not send as m??ller@y\r\n");
	UNIT_INT(s.asked_to_send, 0);
	end(&s);
	set_rules();
}

static void the_from_field_is_held_against_them_too(void)
{
	static const struct {
		const char *header;
		bool is_permitted;
	} cases[] = {
		{"From: a@c.test\r\n", true},
		{"from : Some One <a@C.test>\r\n", true},
		{"From: \"x@evil.test\" <a@c.test>\r\n", true},
		{"From:\r\n a@c.test\r\n", true},
		{"Subject: x\r\n", false},
		{"From: x@evil.test\r\n", false},
		{"From: a@c.test, x@evil.test\r\n", false},
		{"From: a@c.test\r\nFrom: x@evil.test\r\n", false},
		{"From: a@c.test\r\nSender: x@evil.test\r\n", false},
		{"From: a@c.test <x@evil.test>\r\n", false},
		{"From: \"a@c.test\" <x@evil.test>\r\n", false},
	};

	senders = "@c.test";
	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		const char *header = cases[i / 2].header;
		struct session s;
		char size[40];

		begin(&s, USER);
		if (i % 2) {
			snprintf(size, sizeof(size), "BDAT %zu LAST\r\n", strlen(header) + 2);
			say_text(&s, "MAIL FROM:<a@c.test>\r\nRCPT TO:<r@d>\r\n");
			say_text(&s, size);
		} else {
			say_text(&s, "MAIL FROM:<a@c.test>\r\nRCPT TO:<r@d>\r\nDATA\r\n");
		}
		say_text(&s, header);
		say_text(&s, i % 2 ? "\r\n" : "\r\n.\r\n");
		if (s.submitted != cases[i / 2].is_permitted)
			printf("\n%s:", header);
		UNIT_INT(s.submitted, cases[i / 2].is_permitted);
		UNIT_INT(s.not_sent, !cases[i / 2].is_permitted);
		UNIT_INT(s.p.last_reply, cases[i / 2].is_permitted ? SMTP_REPLY_QUEUED : SMTP_REPLY_SENDER_NOT_PERMITTED);
		end(&s);
	}
	set_rules();
}

UNIT_TESTS({"rules", set_rules}, {"addresses and domains", addresses_and_domains},
	   {"all addresses of a field count", all_addresses_of_a_field_count},
	   {"MAIL is refused before it is counted", mail_is_refused_before_it_is_counted},
	   {"the From field is held against them too", the_from_field_is_held_against_them_too})
