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
	} cases[] = {
		{NULL, "", NULL},
		{NULL, "x@evil.test", NULL},
		{"@b.test", "a@b.test", NULL},
		{"@b.test", "a@b.test  c@B.test ", NULL},
		{"@b.test", "a@b.test x@evil.test y@evil.test", "x@evil.test"},
		{"@b.test", "m\xc3\xbcller@evil.test", "m??ller@evil.test"},
		{"@b.test", "", "nobody: the message has no address in From"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf stranger = BUF_MAX(100);

		UNIT_INT(smtpd_sender_are_permitted(cases[i].senders, str_of(cases[i].addresses), &stranger),
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
	UNIT_INT(s.asked_to_send, 0);
	end(&s);
	set_rules();
}

UNIT_TESTS({"rules", set_rules}, {"addresses and domains", addresses_and_domains},
	   {"all addresses of a field count", all_addresses_of_a_field_count},
	   {"MAIL is refused before it is counted", mail_is_refused_before_it_is_counted})
