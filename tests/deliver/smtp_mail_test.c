/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of deliver/smtp_mail.c; what it says to a server is in smtp_client_test.c.
 */
#include "deliver/smtp_mail.h"

#include "tests/support/unit.h"

static const struct {
	const char *content, *copied, *taken;
} cases[] = {
	{"", "", ""},
	{"no field", "no field", ""},
	{"From: a@b\r\n\r\nX-SMTPAPI: in the body\r\n", "From: a@b\r\n\r\nX-SMTPAPI: in the body\r\n", ""},
	{"From: a@b\r\nX-SMTPAPI: {\"to\":[\"victim@c\"]}\r\nSubject: s\r\n\r\nbody\r\n", "From: a@b\r\nSubject: s\r\n\r\nbody\r\n", "X-SMTPAPI"},
	{"x-ses-configuration-set: other\r\n and more\r\nX-Mailgun-Deliver-By: x\r\nX-PM-Tag: x\r\nX-MSYS-API: {}\r\nX-MC-Subaccount: x\r\n\r\n.",
	 "\r\n.", "x-ses-configuration-set, X-Mailgun-Deliver-By, X-PM-Tag, X-MSYS-API, X-MC-Subaccount"},
	{"X-MJ-TemplateID: 1\nX-Mailjet-TrackOpen: 1\nX-Mailin-Tag: t\nX-Priority: 1\n\n.", "X-Priority: 1\n\n.",
	 "X-MJ-TemplateID, X-Mailjet-TrackOpen, X-Mailin-Tag"},
	/* Near, and nobody's orders. */
	{"X-Mailer: m\r\nX-SMTPAPI-Like: x\r\nX-Jobs: x\r\nX-Session: x\r\nResent-To: a@b\r\n\r\n.",
	 "X-Mailer: m\r\nX-SMTPAPI-Like: x\r\nX-Jobs: x\r\nX-Session: x\r\nResent-To: a@b\r\n\r\n.", ""},
	{"X-SMTPAPI: {}", "", "X-SMTPAPI"},
};

static void orders_to_a_provider_behind_the_server_are_taken_out(void)
{
	static const struct str to[] = {{"b@example.com", 13}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ipc_message message = {.mail_from = STR("a@example.com"), .recipients = to, .n_recipients = 1,
					      .dsn = STR("RET=FULL"), .content = str_of(cases[i].content)};
		struct mime_strip strip;
		struct smtp_mail mail;

		smtp_mail_copy(&mail, &message);
		UNIT_STR(mail.content, cases[i].copied);
		UNIT_STR(mail.from, "a@example.com");
		UNIT_STR(mail.recipients[0], "b@example.com");
		UNIT_STR(mail.dsn, "RET=FULL");
		smtp_mail_clear(&mail);
		smtp_mail_strip(&strip, message.content);
		UNIT_STR(buf_str(&strip.names), cases[i].taken);
		mime_strip_clear(&strip);
	}
}

UNIT_TESTS({"orders to a provider behind the server are taken out", orders_to_a_provider_behind_the_server_are_taken_out})
