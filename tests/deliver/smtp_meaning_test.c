/* SPDX-License-Identifier: Apache-2.0
 *
 * What refusals mean where they come, in the words of servers that are about; what their last words say of the message's id.
 */
#include "deliver/smtp_meaning.h"

#include "tests/support/unit.h"

#define OPEN SMTP_MEANING_OPEN
#define TLS SMTP_MEANING_TLS
#define AUTH SMTP_MEANING_AUTH
#define MAIL SMTP_MEANING_MAIL
#define RCPT SMTP_MEANING_RCPT
#define DATA SMTP_MEANING_DATA
#define FINAL SMTP_MEANING_FINAL

static struct smtp_answer answer_of(const char *text)
{
	static char line[1024];
	struct str input;
	struct smtp_answer answer = {0};

	snprintf(line, sizeof(line), "%s\r\n", text);
	input = str_of(line);
	UNIT_INT(smtp_reply_take(&input, &answer), SMTP_REPLY_OK_ANSWER);
	return answer;
}

static void refusals_mean_what_they_say(void)
{
	static const struct {
		const char *text;
		enum smtp_meaning_at at;
		enum ipc_outcome_class class;
		enum ipc_about about;
	} cases[] = {
		{"421 4.7.0 mx.test Error: too many connections from 192.0.2.1", OPEN, IPC_OUTCOME_TRANSIENT, IPC_ABOUT_THROTTLE},
		{"421 Service not available", OPEN, IPC_OUTCOME_TRANSIENT, IPC_ABOUT_PROVIDER},
		{"554 5.7.1 blocked", OPEN, IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_PROVIDER},
		{"454 4.7.0 TLS not available", TLS, IPC_OUTCOME_TRANSIENT, IPC_ABOUT_PROVIDER},
		{"535 Authentication Credentials Invalid", AUTH, IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_CREDENTIAL},
		{"534 5.7.9 too weak", AUTH, IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_CREDENTIAL},
		{"538 5.7.11 encrypt", AUTH, IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_CREDENTIAL},
		{"432 4.7.12 change your password", AUTH, IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_CREDENTIAL},
		{"454 4.7.0 Temporary authentication failure", AUTH, IPC_OUTCOME_TRANSIENT, IPC_ABOUT_PROVIDER},
		{"451 Authentication failed: Maximum credits exceeded", AUTH, IPC_OUTCOME_TRANSIENT, IPC_ABOUT_PROVIDER},
		{"503 5.5.1 no", AUTH, IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_CREDENTIAL},
		{"530 5.7.0 Must issue a STARTTLS command first", MAIL, IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_CREDENTIAL},
		{"550 Unauthenticated senders not allowed", MAIL, IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_SENDER},
		{"501 5.1.7 Bad sender address syntax", MAIL, IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_SENDER},
		{"450 4.1.8 <a@b>: Sender address rejected: Domain not found", MAIL, IPC_OUTCOME_TRANSIENT, IPC_ABOUT_SENDER},
		{"552 5.3.4 Message size exceeds fixed limit", MAIL, IPC_OUTCOME_UNFIT, IPC_ABOUT_NOTHING},
		{"550 5.6.7 no SMTPUTF8", MAIL, IPC_OUTCOME_UNFIT, IPC_ABOUT_NOTHING},
		{"503 5.5.1 Error: send HELO/EHLO first", MAIL, IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_PROVIDER},
		{"555 5.5.4 Unsupported option", MAIL, IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_PROVIDER},
		{"451 4.7.1 Greylisted", MAIL, IPC_OUTCOME_TRANSIENT, IPC_ABOUT_THROTTLE},
		{"452 4.3.1 Insufficient system storage", MAIL, IPC_OUTCOME_TRANSIENT, IPC_ABOUT_PROVIDER},
		{"550 5.1.1 User unknown", RCPT, IPC_OUTCOME_PERMANENT, IPC_ABOUT_NOTHING},
		/* What stands in somebody's address is not the server's word. */
		{"550 5.1.1 <relay@d.example>: Recipient address rejected: User unknown", RCPT, IPC_OUTCOME_PERMANENT, IPC_ABOUT_NOTHING},
		{"554 5.7.1 <relay@d.example>: no", RCPT, IPC_OUTCOME_PERMANENT, IPC_ABOUT_NOTHING},
		{"554 relay@d.example: no", RCPT, IPC_OUTCOME_PERMANENT, IPC_ABOUT_NOTHING},
		{"554 <\"access denied: user\"@d>: no", RCPT, IPC_OUTCOME_PERMANENT, IPC_ABOUT_NOTHING},
		{"554 \"access denied: user\"@d: no", RCPT, IPC_OUTCOME_PERMANENT, IPC_ABOUT_NOTHING},
		{"504 5.5.2 <x@nodot>: Recipient address rejected: need fully-qualified address", RCPT, IPC_OUTCOME_PERMANENT, IPC_ABOUT_NOTHING},
		{"504 5.5.2 <x@nodot>: Sender address rejected: need fully-qualified address", SMTP_MEANING_MAIL, IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_SENDER},
		{"450 <throttling@d.example>: later", SMTP_MEANING_MAIL, IPC_OUTCOME_TRANSIENT, IPC_ABOUT_PROVIDER},
		{"553 5.1.3 bad", RCPT, IPC_OUTCOME_PERMANENT, IPC_ABOUT_NOTHING},
		{"501 5.1.3 Bad recipient address syntax", RCPT, IPC_OUTCOME_PERMANENT, IPC_ABOUT_NOTHING},
		{"552 5.2.2 Mailbox full", RCPT, IPC_OUTCOME_PERMANENT, IPC_ABOUT_NOTHING},
		{"452 4.5.3 Error: too many recipients", RCPT, IPC_OUTCOME_TRANSIENT, IPC_ABOUT_NOTHING},
		{"552 too many recipients", RCPT, IPC_OUTCOME_TRANSIENT, IPC_ABOUT_NOTHING},
		{"450 4.2.1 rate limit", RCPT, IPC_OUTCOME_TRANSIENT, IPC_ABOUT_NOTHING},
		{"454 4.7.1 <b@c>: Relay access denied", RCPT, IPC_OUTCOME_TRANSIENT, IPC_ABOUT_THROTTLE},
		{"550 relay not permitted", RCPT, IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_CREDENTIAL},
		{"554 5.7.1 <b@c>: Relay access denied", RCPT, IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_CREDENTIAL},
		{"554 5.7.1 <x[192.0.2.1]>: Client host rejected: Access denied", RCPT, IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_CREDENTIAL},
		{"530 5.7.0 Authentication required", RCPT, IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_CREDENTIAL},
		{"550 Sender verify failed", RCPT, IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_SENDER},
		{"503 5.5.1 Error: need MAIL command", RCPT, IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_PROVIDER},
		{"554 5.5.1 Error: no valid recipients", DATA, IPC_OUTCOME_PERMANENT, IPC_ABOUT_NOTHING},
		{"454 Throttling failure: Daily message quota exceeded", FINAL, IPC_OUTCOME_TRANSIENT, IPC_ABOUT_THROTTLE},
		{"554 Access denied: User `x' is not authorized to perform `ses:SendRawEmail'", FINAL, IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_CREDENTIAL},
		{"550 The from address does not match a verified Sender Identity", FINAL, IPC_OUTCOME_PROVIDER_FAULT, IPC_ABOUT_SENDER},
		{"554 5.7.1 Spam message rejected", FINAL, IPC_OUTCOME_PERMANENT, IPC_ABOUT_NOTHING},
		{"451 4.3.0 queue file write error", FINAL, IPC_OUTCOME_TRANSIENT, IPC_ABOUT_PROVIDER},
		{"450 4.2.0 later", FINAL, IPC_OUTCOME_TRANSIENT, IPC_ABOUT_NOTHING},
		{"452 4.3.1 full", FINAL, IPC_OUTCOME_TRANSIENT, IPC_ABOUT_PROVIDER},
		{"250 ok", DATA, IPC_OUTCOME_TRANSIENT, IPC_ABOUT_PROVIDER},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct smtp_answer answer = answer_of(cases[i].text);
		struct smtp_meaning meaning = smtp_meaning_of(cases[i].at, &answer);

		if (meaning.class != cases[i].class || meaning.about != cases[i].about)
			printf("\n%s\n", cases[i].text);
		UNIT_INT(meaning.class, cases[i].class);
		UNIT_INT(meaning.about, cases[i].about);
	}
}

static void ids_are_found_in_the_last_words(void)
{
	static const struct {
		const char *text, *id;
	} cases[] = {
		{"250 2.0.0 Ok: queued as 4WxYz1234", "4WxYz1234"},
		{"250 Ok: queued as geopod-ismtpd-3-abc_XYZ", "geopod-ismtpd-3-abc_XYZ"},
		{"250 Ok 0102018f-1a2b-000000", "0102018f-1a2b-000000"},
		{"250 OK id=1sABcd-0000Ab-Cd", "1sABcd-0000Ab-Cd"},
		{"250 2.0.0 OK 77/11-12345-ABCDEF56", "77/11-12345-ABCDEF56"},
		{"250 2.0.0 OK  1718000000 a640c23a62f3a-a6f0 - gsmtp", "1718000000"},
		{"250 2.6.0 <abc1@x.example> [InternalId=1] Queued mail for delivery", ""},
		{"250 Great success", ""},
		{"250 ok", ""},
		{"250", ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct smtp_answer answer = answer_of(cases[i].text);

		UNIT_STR(smtp_meaning_id(&answer), cases[i].id);
	}
}

static void words_and_status_of_many_lines(void)
{
	struct smtp_answer answer = answer_of("550-5.7.1 Not today.\r\n550-5.7.1 See https://x.example/1\r\n550 5.7.1  - gsmtp");
	struct buf words = BUF_MAX(1000);
	char status[12];

	smtp_meaning_words(&answer, &words);
	UNIT_STR(buf_str(&words), "Not today. See https://x.example/1 - gsmtp");
	smtp_meaning_status(&answer, status);
	UNIT_TEXT(status, "5.7.1");
	answer = answer_of("451 later");
	smtp_meaning_status(&answer, status);
	UNIT_TEXT(status, "4.0.0");
	buf_clear(&words);
}

UNIT_TESTS({"refusals mean what they say", refusals_mean_what_they_say},
	   {"ids are found in the last words", ids_are_found_in_the_last_words},
	   {"words and status of many lines", words_and_status_of_many_lines})
