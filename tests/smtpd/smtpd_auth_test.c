/* SPDX-License-Identifier: Apache-2.0
 *
 * Logins.
 */
#include "smtpd/smtpd_auth.h"

#include "lib/base/encode.h"
#include "tests/smtpd/dialogue.h"

static void logins_as_real_clients_do_them(void)
{
	/* user "a", password "b" */
	PLAY({HELLO, "AUTH PLAIN AGEAYg==\r\n", "235 2.7.0"},
	     {HELLO, "AUTH  PLAIN  AGEAYg==\r\n", "235 2.7.0"},
	     {HELLO, "auth plain AGEAYg==\r\n", "235 2.7.0"},
	     {HELLO, "AUTH PLAIN\r\nAGEAYg==\r\n", "334 | 235 2.7.0"},
	     {HELLO, "AUTH PLAIN YQBhAGI=\r\n", "235 2.7.0"}, /* authzid = user */
	     {HELLO, "AUTH PLAIN YwBhAGI=\r\n", "535 5.7.8"}, /* another authzid */
	     {HELLO, "AUTH LOGIN\r\nYQ==\r\nYg==\r\n", "334 | 334 | 235 2.7.0"},
	     {HELLO, "AUTH login YQ==\r\nYg==\r\n", "334 | 235 2.7.0"},
	     {HELLO, "AUTH LOGIN =\r\nYg==\r\n", "334 | 535 5.7.8"},
	     {HELLO, "AUTH LOGIN\r\n\r\nYg==\r\n", "334 | 334 | 535 5.7.8"},
	     {HELLO, "AUTH LOGIN   YQ==  \r\n  Yg==\t\r\n", "334 | 235 2.7.0"},
	     {HELLO, "AUTH LOGIN YQ==\r\n!\r\nNOOP\r\n", "334 | 501 5.5.2 | 250 2.0.0"},
	     {HELLO, "AUTH PLAIN\r\n\r\nNOOP\r\n", "334 | 501 5.5.2 | 250 2.0.0"},
	     {HELLO, "AUTH PLAIN\r\n=\r\nNOOP\r\n", "334 | 501 5.5.2 | 250 2.0.0"},
	     {HELLO, "AUTH PLAIN *\r\nNOOP\r\n", "501 5.7.0 | 250 2.0.0"},
	     {HELLO, "AUTH PLAIN AGEA Yg==\r\nNOOP\r\n", "501 5.5.2 | 250 2.0.0"},
	     {HELLO, "AUTH PLAIN AGEAYg\r\nNOOP\r\n", "501 5.5.2 | 250 2.0.0"},
	     {HELLO, "AUTH PLAIN QUIT\r\nNOOP\r\n", "501 5.5.2 | 250 2.0.0"},
	     {HELLO, "AUTH PLAIN\r\nQUIT\r\nNOOP\r\n", "334 | 501 5.5.2 | 250 2.0.0"},
	     {HELLO, "AUTH EXTERNAL\r\n", "504 5.5.4"}, /* no certificate was shown */
	     {HELLO, "AUTH GSSAPI x\r\nAUTH XOAUTH2 x\r\nAUTH =\r\n", "504 5.5.4 | 504 5.5.4 | 504 5.5.4"},
	     {HELLO, "AUTH PLAIN AP8AYg==\r\n", "535 5.7.8"}, /* no UTF-8 */
	     {HELLO, "AUTH PLAIN AAoAYg==\r\n", "535 5.7.8"}, /* a newline for a user */
	     {HELLO, "AUTH LOGIN YQBi\r\nYg==\r\n", "334 | 535 5.7.8"}, /* a NUL in it */
	     {HELLO, "AUTH LOGIN YQ==\r\nYgBj\r\n", "334 | 535 5.7.8"},
	     {HELLO, "AUTH\r\n", "501 5.5.4"},
	     {HELLO, "AUTH CRAM-MD5\r\n", "504 5.5.4"},
	     {HELLO, "AUTH PLAIN\r\n*\r\nNOOP\r\n", "334 | 501 5.7.0 | 250 2.0.0"},
	     {HELLO, "AUTH LOGIN\r\nYQ==\r\n*\r\nNOOP\r\n", "334 | 334 | 501 5.7.0 | 250 2.0.0"},
	     {HELLO, "AUTH PLAIN !!!!\r\nAUTH PLAIN =\r\nAUTH PLAIN YQ==\r\nAUTH PLAIN AGE=\r\n",
	      "501 5.5.2 | 501 5.5.2 | 501 5.5.2 | 501 5.5.2"},
	     {HELLO, "AUTH PLAIN AABi\r\nAUTH PLAIN AGEA\r\nAUTH PLAIN AGEAYgBj\r\n",
	      "535 5.7.8 | 535 5.7.8 | 535 5.7.8"}, /* no user, no password, a NUL in it */
	     {HELLO, "AUTH PLAIN AGEAYg==\r\nMAIL FROM:<a@b>\r\n", "235 2.7.0 | 250 2.1.0"});
}

static void the_exact_bytes_of_a_prompt(void)
{
	struct session s;

	begin(&s, HELLO);
	say_text(&s, "AUTH PLAIN\r\n");
	UNIT_STR(buf_str(&s.out), "334 \r\n");
	say_text(&s, "*\r\n");
	buf_reset(&s.out);
	say_text(&s, "AUTH LOGIN\r\nYQ==\r\n");
	UNIT_STR(buf_str(&s.out), "334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n");
	end(&s);
}

static void gate_decides(void)
{
	struct session s;

	begin(&s, HELLO);
	s.auth_verdict = IPC_AUTH_BAD;
	say_text(&s, "AUTH PLAIN AGEAYg==\r\nMAIL FROM:<a@b>\r\n");
	hear(&s, "535 5.7.8 | 530 5.7.0");
	s.auth_verdict = IPC_AUTH_UNAVAILABLE;
	say_text(&s, "AUTH LOGIN\r\nYQ==\r\nYg==\r\n");
	hear(&s, "334 | 334 | 454 4.7.0");
	s.auth_verdict = IPC_AUTH_OK;
	s.is_later = true;
	say_text(&s, "AUTH PLAIN AGEAYg==\r\nMAIL FROM:<a@b>\r\n");
	hear(&s, "");
	UNIT_TEXT(s.user, "a");
	UNIT_TEXT(s.password, "b");
	answer_auth(&s);
	feed(&s);
	hear(&s, "235 2.7.0 | 250 2.1.0");
	UNIT_INT(s.asked, 3);
	UNIT_TEXT(s.p.user, "a");
	UNIT_TEXT(s.p.tenant_name, "acme");
	end(&s);
}

static void a_client_with_a_certificate_needs_no_password(void)
{
	struct session s;

	certificate = "sha256:00 dns:app.example";
	user_name = "app";
	PLAY({HELLO, "AUTH EXTERNAL\r\n\r\n", "334 | 235 2.7.0"},
	     {HELLO, "AUTH EXTERNAL\r\nYXBw\r\n", "334 | 235 2.7.0"},
	     {HELLO, "AUTH EXTERNAL =\r\n", "235 2.7.0"},
	     {HELLO, "auth external YXBw\r\n", "235 2.7.0"},
	     {HELLO, "AUTH EXTERNAL\r\n*\r\nNOOP\r\n", "334 | 501 5.7.0 | 250 2.0.0"},
	     {HELLO, "AUTH EXTERNAL !\r\nNOOP\r\n", "501 5.5.2 | 250 2.0.0"},
	     {HELLO, "AUTH EXTERNAL YQBi\r\n", "535 5.7.8"}, /* a NUL in it */
	     {HELLO, "AUTH PLAIN AGEAYg==\r\n", "235 2.7.0"},
	     {CLEAR, "EHLO x\r\nAUTH EXTERNAL =\r\n", OFFERS " STARTTLS; | 538 5.7.11"},
	     {SECURE, "EHLO x\r\n", OFFERS " AUTH PLAIN LOGIN EXTERNAL;"});
	begin(&s, HELLO);
	say_text(&s, "AUTH EXTERNAL\r\n");
	UNIT_STR(buf_str(&s.out), "334 \r\n");
	say_text(&s, "YXBw\r\n");
	UNIT_INT(s.asked_external, 1);
	UNIT_INT(s.asked, 0);
	UNIT_TEXT(s.user, "app");
	UNIT_TEXT(s.p.user, "app");
	end(&s);
	begin(&s, HELLO);
	say_text(&s, "AUTH EXTERNAL =\r\n");
	UNIT_TEXT(s.user, "");
	UNIT_TEXT(s.p.user, "app"); /* gate knows whose certificate it is */
	end(&s);
	begin(&s, HELLO);
	s.auth_verdict = IPC_AUTH_BAD;
	say_text(&s, "AUTH EXTERNAL =\r\nMAIL FROM:<a@b>\r\n");
	hear(&s, "535 5.7.8 | 530 5.7.0");
	end(&s);
	set_rules();
}

static void what_gate_knows_of_the_user_is_kept(void)
{
	struct session s;

	user_name = "canonical";
	senders = "@b.example";
	tenant_mode = IPC_DIRECT;
	begin(&s, USER);
	UNIT_TEXT(s.p.user, "canonical");
	UNIT_TEXT(s.p.senders, "@b.example");
	UNIT_TEXT(s.p.tenant_name, "acme");
	UNIT_INT(smtpd_proto_mode(&s.p), IPC_DIRECT);
	end(&s);
	tenant_mode = IPC_MODE_OF_LISTENER;
	begin(&s, USER);
	s.p.listener_mode = IPC_DIRECT_THEN_QUEUE;
	UNIT_INT(smtpd_proto_mode(&s.p), IPC_DIRECT_THEN_QUEUE);
	end(&s);
	set_rules();
}

static void the_failure_that_bans_ends_the_session(void)
{
	struct session s;

	begin(&s, HELLO);
	s.auth_verdict = IPC_AUTH_BANNED;
	say_text(&s, "AUTH PLAIN AGEAYg==\r\nNOOP\r\n");
	hear(&s, "535 5.7.8 | 421 4.7.0");
	UNIT_INT(s.p.last_reply, SMTP_REPLY_BANNED);
	UNIT_INT(s.p.state, SMTPD_CLOSED);
	end(&s);
}

static void an_answer_after_the_end_is_not_heard(void)
{
	struct session s;

	begin(&s, HELLO);
	s.is_later = true;
	say_text(&s, "AUTH PLAIN AGEAYg==\r\n");
	smtpd_proto_refuse(&s.p, SMTP_REPLY_SESSION_TOO_LONG);
	hear(&s, "421 4.4.2");
	answer_auth(&s);
	hear(&s, "");
	UNIT_TRUE(s.p.user == NULL);
	end(&s);
}

static void say_login(struct session *s, char user_letter, size_t user, size_t password)
{
	struct buf message = BUF_MAX(16384), text = BUF_MAX(32768);

	buf_put_char(&message, '\0');
	for (size_t i = 0; i < user; i++)
		buf_put_char(&message, user_letter);
	buf_put_char(&message, '\0');
	for (size_t i = 0; i < password; i++)
		buf_put_char(&message, 'p');
	buf_put_text(&text, "AUTH PLAIN ");
	encode_base64(&text, buf_str(&message));
	buf_put_text(&text, "\r\n");
	say(s, text.p, text.n);
	buf_clear(&message);
	buf_clear(&text);
}

static void names_and_passwords_have_their_lengths(void)
{
	static const struct {
		size_t user, password;
		const char *heard;
	} cases[] = {{SMTPD_AUTH_USER_MAX, SMTPD_AUTH_PASSWORD_MAX, "235 2.7.0"},
		     {SMTPD_AUTH_USER_MAX + 1, 10, "535 5.7.8"},
		     {10, SMTPD_AUTH_PASSWORD_MAX + 1, "535 5.7.8"},
		     {10, 9000, "535 5.7.8"},
		     {0, 10, "535 5.7.8"},
		     {10, 0, "535 5.7.8"},
		     {10, 10000, "500 5.5.6"}}; /* the line is longer than 12288 */

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct session s;

		begin(&s, HELLO);
		say_login(&s, 'u', cases[i].user, cases[i].password);
		hear(&s, cases[i].heard);
		say_text(&s, "NOOP\r\n");
		hear(&s, "250 2.0.0");
		end(&s);
	}
}

UNIT_TESTS({"rules", set_rules}, {"logins as real clients do them", logins_as_real_clients_do_them},
	   {"the exact bytes of a prompt", the_exact_bytes_of_a_prompt}, {"gate decides", gate_decides},
	   {"a client with a certificate needs no password", a_client_with_a_certificate_needs_no_password},
	   {"what gate knows of the user is kept", what_gate_knows_of_the_user_is_kept},
	   {"the failure that bans ends the session", the_failure_that_bans_ends_the_session},
	   {"an answer after the end is not heard", an_answer_after_the_end_is_not_heard},
	   {"names and passwords have their lengths", names_and_passwords_have_their_lengths})
