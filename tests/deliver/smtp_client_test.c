/* SPDX-License-Identifier: Apache-2.0
 *
 * Dialogues with servers of all kinds, their replies cut at every octet: what we say, and what becomes of the message.
 *
 * A script has a line for each line on the wire: "<" the server's, ">" ours; "T" TLS stands; "X" the connection is lost,
 * "x" it is lost before all of ours has left.
 */
#include "deliver/smtp_client.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/support/unit.h"

static const struct str one[] = {{"b@example.com", 13}};
static const struct str two[] = {{"b@example.com", 13}, {"c@example.com", 13}};
static const struct str utf8[] = {{"z\xc3\xbc@example.com", 15}};

#define HI "< 220 hi\n> EHLO me.test\n"
#define PLAIN HI "< 250 x\n"
#define PIPED HI "< 250-x\n< 250 PIPELINING\n"
#define ONE "> MAIL FROM:<a@example.com>\n> RCPT TO:<b@example.com>\n> DATA\n"
#define TWO "> MAIL FROM:<a@example.com>\n> RCPT TO:<b@example.com>\n> RCPT TO:<c@example.com>\n> DATA\n"
#define BODY "> Subject: x\n> \n> hello\n> .\n"
#define RSET "> RSET\n< 250 ok\n"

enum { STARTTLS = 1, LOGIN = 2, LOCAL = 4, UTF8 = 8, TWICE = 16, NEVER_SENT = 32 };

static const struct dialogue {
	const char *script;
	/* "class code status about id" ("dsn": the server makes the reports), then for each refused recipient "; index class code status"; messages apart by " | ".
	 * "ended" for a session that ends before or between messages. */
	const char *verdict;
	unsigned flags;
	const struct str *recipients;
	unsigned n_recipients;
	const char *content, *dsn;
} dialogues[] = {
	/* The plain road, with and without pipelining. */
	{PLAIN "> MAIL FROM:<a@example.com>\n< 250 ok\n> RCPT TO:<b@example.com>\n< 250 ok\n> DATA\n< 354 go\n" BODY
	       "< 250 2.0.0 Ok: queued as 4XyZ1\n", "sent 250 2.0.0 nothing 4XyZ1", 0, one, 1, NULL, NULL},
	{PIPED ONE "< 250 ok\n< 250 ok\n< 354 go\n" BODY "< 250 ok\n", "sent 250 2.0.0 nothing ", 0, one, 1, NULL, NULL},
	{PIPED ONE "< 250 ok\n< 250 ok\n< 354 go\n" BODY "< 250 ok\n" ONE "< 250 ok\n< 250 ok\n< 354 go\n" BODY "< 250 2.6.0 Ok 0102-ab\n",
	 "sent 250 2.0.0 nothing  | sent 250 2.6.0 nothing 0102-ab", TWICE, one, 1, NULL, NULL},
	/* Greetings and EHLO. */
	{"< 220-many\n< 220-lines\n< 220 hi\n> EHLO me.test\n< 500 what\n> HELO me.test\n< 250 x\n> MAIL FROM:<a@example.com>\n"
	 "< 250 ok\n> RCPT TO:<b@example.com>\n< 250 ok\n> DATA\n< 354 go\n" BODY "< 250 ok\n", "sent 250 2.0.0 nothing ", 0, one, 1, NULL, NULL},
	{"< 554 5.7.1 go away\n", "ended fault 554 5.7.1 provider ", 0, one, 1, NULL, NULL},
	{"< 421 4.3.2 later\n", "ended transient 421 4.3.2 provider ", 0, one, 1, NULL, NULL},
	{"< 421 4.7.0 too many connections\n", "ended transient 421 4.7.0 throttle ", 0, one, 1, NULL, NULL},
	{HI "< 451 later\n", "ended transient 451 4.0.0 provider ", 0, one, 1, NULL, NULL},
	{HI "< 502 no\n> HELO me.test\n< 550 no\n", "ended fault 550 5.0.0 provider ", 0, one, 1, NULL, NULL},
	{HI "< 500 no\n", "ended fault 500 5.0.0 provider ", STARTTLS, one, 1, NULL, NULL},
	{"X", "ended transient 0 4.4.2 provider ", 0, one, 1, NULL, NULL},
	{"< SSH-2.0-x\n", "ended transient 0 4.4.2 provider ", 0, one, 1, NULL, NULL},
	/* STARTTLS: what was said before is forgotten. */
	{HI "< 250-x\n< 250-DSN\n< 250-PIPELINING\n< 250-AUTH PLAIN\n< 250 STARTTLS\n> STARTTLS\n< 220 go\nT> EHLO me.test\n< 250 x\n"
	    "> MAIL FROM:<a@example.com>\n< 250 ok\n> RCPT TO:<b@example.com>\n< 250 ok\n> DATA\n< 354 go\n" BODY "< 250 ok\n",
	 "sent 250 2.0.0 nothing ", STARTTLS, one, 1, NULL, NULL},
	{PIPED, "ended fault 0 4.7.4 provider ", STARTTLS, one, 1, NULL, NULL},
	{HI "< 250-x\n< 250 STARTTLS\n> STARTTLS\n< 454 4.7.0 not now\n", "ended transient 454 4.7.0 provider ", STARTTLS, one, 1, NULL, NULL},
	{HI "< 250-x\n< 250 STARTTLS\n> STARTTLS\n< 501 no\n", "ended fault 501 5.0.0 provider ", STARTTLS, one, 1, NULL, NULL},
	/* AUTH: only under TLS or to this host; PLAIN before LOGIN. */
	{HI "< 250-x\n< 250 AUTH LOGIN PLAIN\n> AUTH PLAIN AHVzZXIAc2VjcmV0\n< 235 2.7.0 ok\n> MAIL FROM:<a@example.com>\nX",
	 "transient 0 4.4.2 provider ", LOGIN | LOCAL, one, 1, NULL, NULL},
	{HI "< 250-x\n< 250 AUTH LOGIN\n> AUTH LOGIN\n< 334 VXNlcm5hbWU6\n> dXNlcg==\n< 334 UGFzc3dvcmQ6\n> c2VjcmV0\n< 235 ok\n"
	    "> MAIL FROM:<a@example.com>\nX", "transient 0 4.4.2 provider ", LOGIN | LOCAL, one, 1, NULL, NULL},
	{HI "< 250-x\n< 250 AUTH=PLAIN LOGIN\n> AUTH PLAIN AHVzZXIAc2VjcmV0\n< 504 5.5.4 not that\n> AUTH LOGIN\n< 535 5.7.8 no\n",
	 "ended fault 535 5.7.8 credential ", LOGIN | LOCAL, one, 1, NULL, NULL},
	{HI "< 250-x\n< 250 AUTH PLAIN\n> AUTH PLAIN AHVzZXIAc2VjcmV0\n< 535 5.7.8 no\n", "ended fault 535 5.7.8 credential ", LOGIN | LOCAL, one, 1, NULL, NULL},
	{HI "< 250-x\n< 250 AUTH PLAIN\n> AUTH PLAIN AHVzZXIAc2VjcmV0\n< 454 4.7.0 later\n", "ended transient 454 4.7.0 provider ", LOGIN | LOCAL, one, 1, NULL, NULL},
	{HI "< 250-x\n< 250 AUTH CRAM-MD5 GSSAPI\n", "ended fault 0 4.7.0 credential ", LOGIN | LOCAL, one, 1, NULL, NULL},
	{HI "< 250-x\n< 250 AUTH PLAIN\n", "ended fault 0 4.7.0 provider ", LOGIN, one, 1, NULL, NULL},
	/* MAIL */
	{PIPED ONE "< 550 5.7.1 not you\n< 503 no\n< 503 no\n" RSET, "fault 550 5.7.1 sender ", 0, one, 1, NULL, NULL},
	{PLAIN "> MAIL FROM:<a@example.com>\n< 553 5.1.8 who\n" RSET, "fault 553 5.1.8 sender ", 0, one, 1, NULL, NULL},
	{PLAIN "> MAIL FROM:<a@example.com>\n< 530 5.7.0 log in\n" RSET, "fault 530 5.7.0 credential ", 0, one, 1, NULL, NULL},
	{PLAIN "> MAIL FROM:<a@example.com>\n< 452 4.3.1 full\n" RSET, "transient 452 4.3.1 provider ", 0, one, 1, NULL, NULL},
	{PLAIN "> MAIL FROM:<a@example.com>\n< 552 5.3.4 too large\n" RSET, "unfit 552 5.3.4 nothing ", 0, one, 1, NULL, NULL},
	{PIPED ONE "< 421 bye\n", "transient 421 4.0.0 provider ", 0, one, 1, NULL, NULL},
	/* MAIL is refused, and what follows is taken all the same: no empty message to anybody. */
	{PIPED ONE "< 550 no\n< 250 ok\n< 354 go\n", "fault 550 5.0.0 sender ", 0, one, 1, NULL, NULL},
	/* RCPT: each for itself. */
	{PIPED TWO "< 250 ok\n< 550 5.1.1 unknown\n< 250 ok\n< 354 go\n" BODY "< 250 ok\n", "sent 250 2.0.0 nothing ; 0 permanent 550 5.1.1", 0, two, 2, NULL, NULL},
	{PIPED TWO "< 250 ok\n< 250 ok\n< 450 4.2.1 busy\n< 354 go\n" BODY "< 250 ok\n", "sent 250 2.0.0 nothing ; 1 transient 450 4.2.1", 0, two, 2, NULL, NULL},
	{PIPED TWO "< 250 ok\n< 550 no\n< 551 gone\n< 554 none\n" RSET, "permanent 550 5.0.0 nothing ; 1 permanent 551 5.0.0", 0, two, 2, NULL, NULL},
	{PIPED TWO "< 250 ok\n< 550 no\n< 451 later\n< 503 none\n" RSET, "transient 451 4.0.0 nothing ; 0 permanent 550 5.0.0", 0, two, 2, NULL, NULL},
	{PIPED ONE "< 250 ok\n< 550 5.1.1 no\n< 354 go\n> .\n< 554 none\n" RSET, "permanent 550 5.1.1 nothing ", 0, one, 1, NULL, NULL},
	{PIPED ONE "< 250 ok\n< 554 5.7.1 Relay access denied\n< 554 none\n" RSET, "fault 554 5.7.1 credential ", 0, one, 1, NULL, NULL},
	{PIPED TWO "< 250 ok\n< 250 ok\n< 554 5.7.1 Relay access denied\n< 354 go\n" BODY "< 250 ok\n", "sent 250 2.0.0 nothing ; 1 transient 554 5.7.1", 0, two, 2, NULL, NULL},
	{PIPED ONE "< 250 ok\n< 553 5.7.1 <a@example.com>: Sender address rejected: not owned by user\n< 554 none\n" RSET,
	 "fault 553 5.7.1 sender ", 0, one, 1, NULL, NULL},
	{PLAIN "> MAIL FROM:<a@example.com>\n< 250 ok\n> RCPT TO:<b@example.com>\n< 552 5.5.3 too many recipients\n" RSET, "transient 552 5.5.3 nothing ", 0, one, 1, NULL, NULL},
	/* DATA */
	{PIPED ONE "< 250 ok\n< 250 ok\n< 451 4.3.0 later\n" RSET, "transient 451 4.3.0 provider ", 0, one, 1, NULL, NULL},
	{PIPED ONE "< 250 ok\n< 250 ok\n< 554 5.6.0 no\n" RSET, "permanent 554 5.6.0 nothing ", 0, one, 1, NULL, NULL},
	{PIPED ONE "< 250 ok\n< 250 ok\n< 250 ok\n", "transient 250 2.0.0 provider ", 0, one, 1, NULL, NULL},
	/* The final answer. */
	{PIPED ONE "< 250 ok\n< 250 ok\n< 354 go\n" BODY "< 554 5.7.1 spam\n" RSET, "permanent 554 5.7.1 nothing ", 0, one, 1, NULL, NULL},
	{PIPED ONE "< 250 ok\n< 250 ok\n< 354 go\n" BODY "< 552 5.3.4 large\n" RSET, "permanent 552 5.3.4 nothing ", 0, one, 1, NULL, NULL},
	{PIPED ONE "< 250 ok\n< 250 ok\n< 354 go\n" BODY "< 454 Throttling failure: Maximum sending rate exceeded.\n" RSET,
	 "transient 454 4.0.0 throttle ", 0, one, 1, NULL, NULL},
	{PIPED ONE "< 250 ok\n< 250 ok\n< 354 go\n" BODY "< 554-Message rejected:\n< 554 Email address is not verified.\n" RSET,
	 "fault 554 5.0.0 sender ", 0, one, 1, NULL, NULL},
	{PIPED ONE "< 250 ok\n< 250 ok\n< 354 go\n" BODY "< 530 5.7.0 who are you\n" RSET, "fault 530 5.7.0 credential ", 0, one, 1, NULL, NULL},
	{PIPED ONE "< 250 ok\n< 250 ok\n< 354 go\n" BODY "< 421 4.3.2 closing\n", "transient 421 4.3.2 provider ", 0, one, 1, NULL, NULL},
	{PIPED ONE "< 250 ok\n< 250 ok\n< 354 go\n" BODY "< 354 go\n", "unknown 354 4.5.0 provider ", 0, one, 1, NULL, NULL},
	{PIPED TWO "< 250 ok\n< 550 5.1.1 no\n< 250 ok\n< 354 go\n" BODY "< 451 4.3.0 later\n" RSET,
	 "transient 451 4.3.0 provider ; 0 permanent 550 5.1.1", 0, two, 2, NULL, NULL},
	/* Lost: before the final dot nothing was taken; after it nobody knows. */
	{PIPED ONE "X", "transient 0 4.4.2 provider ", 0, one, 1, NULL, NULL},
	{PIPED ONE "< 250 ok\n< 250 ok\nX", "transient 0 4.4.2 provider ", 0, one, 1, NULL, NULL},
	{PIPED ONE "< 250 ok\n< 250 ok\n< 354 go\n" BODY "x", "transient 0 4.4.2 provider ", 0, one, 1, NULL, NULL},
	{PIPED ONE "< 250 ok\n< 250 ok\n< 354 go\n" BODY "X", "unknown 0 4.4.2 provider ", 0, one, 1, NULL, NULL},
	{PIPED TWO "< 250 ok\n< 550 5.1.1 no\n< 250 ok\n< 354 go\n" BODY "X", "unknown 0 4.4.2 provider ; 0 permanent 550 5.1.1", 0, two, 2, NULL, NULL},
	{PIPED ONE "< 250 ok\n< 250 ok\n< 354 go\n" BODY "< HTTP/1.1 400\n", "unknown 0 4.4.2 provider ", 0, one, 1, NULL, NULL},
	{PIPED ONE "< 250 ok\n< 25x\n", "transient 0 4.4.2 provider ", 0, one, 1, NULL, NULL},
	{PIPED ONE "< 250-ok\n< 550 ok\n", "transient 0 4.4.2 provider ", 0, one, 1, NULL, NULL},
	/* Between messages. */
	{PIPED ONE "< 250 ok\n< 250 ok\n< 354 go\n" BODY "< 250 ok\n< 421 idle too long\n", "sent 250 2.0.0 nothing  | ended transient 421 4.0.0 provider ", 0, one, 1, NULL, NULL},
	{PIPED ONE "< 250 ok\n< 550 no\n< 554 no\n> RSET\n< 500 what\n", "permanent 550 5.0.0 nothing  | ended fault 500 5.0.0 provider ", 0, one, 1, NULL, NULL},
	/* What the server offers, and what it does not. */
	{HI "< 250-x\n< 250-PIPELINING\n< 250-SIZE 1000\n< 250-8BITMIME\n< 250-SMTPUTF8\n< 250 DSN\n"
	    "> MAIL FROM:<a@example.com> SIZE=21 RET=HDRS ENVID=QQ1\n> RCPT TO:<b@example.com> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x@y\n"
	    "> RCPT TO:<c@example.com>\n> DATA\nX", "transient 0 4.4.2 provider ", 0, two, 2, NULL,
	 "RET=HDRS ENVID=QQ1\n0 NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x@y\n"},
	{HI "< 250-x\n< 250 DSN\n> MAIL FROM:<a@example.com>\n< 250 ok\n> RCPT TO:<b@example.com>\n< 250 ok\n"
	    "> RCPT TO:<c@example.com> NOTIFY=NEVER\nX", "transient 0 4.4.2 provider ", 0, two, 2, NULL, "\n1 NOTIFY=NEVER\n"},
	{PIPED ONE "X", "transient 0 4.4.2 provider ", 0, one, 1, NULL, "RET=FULL\n0 NOTIFY=NEVER\n"},
	{HI "< 250-x\n< 250 DSN\n> MAIL FROM:<a@example.com>\n< 250 ok\n> RCPT TO:<b@example.com> NOTIFY=SUCCESS\n< 250 ok\n> DATA\n"
	    "< 354 go\n" BODY "< 250 ok\n", "sent 250 2.0.0 nothing dsn", 0, one, 1, NULL, "\n0 NOTIFY=SUCCESS\n"},
	{HI "< 250 x\n> MAIL FROM:<a@example.com>\n< 250 ok\n> RCPT TO:<b@example.com>\n< 250 ok\n> DATA\n< 354 go\n" BODY "< 250 ok\n",
	 "sent 250 2.0.0 nothing ", 0, one, 1, NULL, "\n0 NOTIFY=SUCCESS\n"},
	{HI "< 250-x\n< 250 SIZE 20\n", "unfit 0 5.3.4 nothing ", NEVER_SENT, one, 1, NULL, NULL},
	{HI "< 250-x\n< 250 SIZE 0\n> MAIL FROM:<a@example.com> SIZE=21\nX", "transient 0 4.4.2 provider ", 0, one, 1, NULL, NULL},
	{HI "< 250-x\n< 250 SIZE\n> MAIL FROM:<a@example.com> SIZE=21\nX", "transient 0 4.4.2 provider ", 0, one, 1, NULL, NULL},
	{PIPED ONE "< 250 ok\n< 250 ok\n< 354 go\n> Subject: x\n> MIME-Version: 1.0\n> Content-Type: text/plain; charset=iso-8859-1\n"
	       "> Content-Transfer-Encoding: base64\n> \n> 5A0K\n> .\n< 250 ok\n", "sent 250 2.0.0 nothing ", 0, one, 1,
	 "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xe4\r\n", NULL},
	{HI "< 250-x\n< 250 8bitmime\n> MAIL FROM:<a@example.com> BODY=8BITMIME\nX", "transient 0 4.4.2 provider ", 0, one, 1, "S: x\r\n\r\n\xe4\r\n", NULL},
	{HI "< 250-x\n< 250 8BITMIME\n", "unfit 0 5.6.7 nothing ", NEVER_SENT, utf8, 1, NULL, NULL},
	{HI "< 250-x\n< 250-8BITMIME\n< 250 SMTPUTF8\n> MAIL FROM:<a@example.com> SMTPUTF8\n< 250 ok\n> RCPT TO:<z\xc3\xbc@example.com>\nX",
	 "transient 0 4.4.2 provider ", 0, utf8, 1, NULL, NULL},
	{HI "< 250-x\n< 250 8BITMIME\n> MAIL FROM:<a@example.com>\n< 250 ok\n> RCPT TO:<b@example.com>\n< 250 ok\n> DATA\n< 354 go\n"
	    "> Subject: =?utf-8?q?=C3=BC?=\n> \n> x\n> .\n< 250 ok\n", "sent 250 2.0.0 nothing ", UTF8, one, 1, "Subject: \xc3\xbc\r\n\r\nx\r\n", NULL},
	{HI "< 250-x\n< 250 8BITMIME\n", "unfit 0 5.6.7 nothing ", NEVER_SENT | UTF8, one, 1, "To: z\xc3\xbc@example.com\r\n\r\nx\r\n", NULL},
	/* Declared, and not needed. */
	{HI "< 250-x\n< 250 8BITMIME\n> MAIL FROM:<a@example.com> BODY=8BITMIME\nX", "transient 0 4.4.2 provider ", UTF8, one, 1, "S: x\r\n\r\n\xc3\xbc\r\n", NULL},
	/* Dots, and a message without an end. */
	{PIPED ONE "< 250 ok\n< 250 ok\n< 354 go\n> ..\n> ...x\n> y.\n> .\n< 250 ok\n", "sent 250 2.0.0 nothing ", 0, one, 1, ".\r\n..x\r\ny.", NULL},
	{PIPED ONE "< 250 ok\n< 250 ok\n< 354 go\n> .\n< 250 ok\n", "sent 250 2.0.0 nothing ", 0, one, 1, "", NULL},
};

struct run {
	const struct dialogue *d;
	struct smtp_client c;
	struct smtp_client_login login;
	struct smtp_mail mail;
	struct buf said, verdicts;
	unsigned n_sent;
};

static void note_verdict(struct run *r, const char *before)
{
	static const char *const about[] = {"nothing", "sender", "throttle", "credential", "provider"};
	static const char *const class[] = {"sent", "transient", "permanent", "fault", "unknown", "unfit"};
	const struct provider_verdict *v = &r->c.verdict;
	struct reader reader = reader_of(buf_str(&v->refusals));
	struct ipc_refusal refusal;

	buf_printf(&r->verdicts, "%s%s%s %u %s %s %s", r->verdicts.n > 0 ? " | " : "", before, class[v->class], v->code, v->status,
		   about[v->about], v->provider_id);
	if (v->is_dsn_passed)
		buf_put_text(&r->verdicts, "dsn");
	while (ipc_get_refusal(&reader, &refusal))
		buf_printf(&r->verdicts, "; %u %s %u %.*s", refusal.recipient, class[refusal.class], refusal.code, STR_ARG(refusal.status));
}

static void send_next(struct run *r)
{
	if (r->n_sent == (r->d->flags & TWICE ? 2 : 1))
		return;
	r->n_sent++;
	if (!smtp_client_send(&r->c, &r->mail))
		note_verdict(r, "");
}

static void take_all(struct run *r, struct str *input)
{
	enum smtp_client_event event;

	do {
		event = smtp_client_take(&r->c, input);
		if (event == SMTP_CLIENT_IS_READY || (event == SMTP_CLIENT_HAS_VERDICT && r->c.stage == SMTP_CLIENT_READY)) {
			if (event == SMTP_CLIENT_HAS_VERDICT)
				note_verdict(r, "");
			send_next(r);
		} else if (event == SMTP_CLIENT_HAS_VERDICT) {
			note_verdict(r, "");
		} else if (event == SMTP_CLIENT_HAS_ENDED) {
			note_verdict(r, "ended ");
		}
		while (r->c.stage == SMTP_CLIENT_CONTENT)
			smtp_client_more(&r->c);
	} while (event != SMTP_CLIENT_WAITS && event != SMTP_CLIENT_WANTS_TLS && r->c.stage != SMTP_CLIENT_OVER);
}

/* The octets arrive one more at a time from `cut` on: before it all together. */
static void feed(struct run *r, struct str bytes, size_t cut)
{
	struct buf seen = BUF_MAX(65536);

	for (size_t i = 0; i < bytes.n; i++) {
		struct str input;

		buf_put_char(&seen, bytes.p[i]);
		if (i + 1 < cut && i + 1 < bytes.n)
			continue;
		input = buf_str(&seen);
		take_all(r, &input);
		buf_consume(&seen, seen.n - input.n);
	}
	buf_clear(&seen);
}

static void lose(struct run *r, bool has_unsent)
{
	bool has_message = r->c.mail != NULL;

	smtp_client_lost(&r->c, has_unsent, "gone");
	note_verdict(r, has_message ? "" : "ended ");
}

static void expect(struct run *r, struct buf *expected)
{
	if (!str_eq(buf_str(&r->c.out), buf_str(expected)))
		printf("\nin the dialogue %s", r->d->script);
	unit_text(__FILE__, __LINE__, buf_str(&r->c.out), buf_str(expected));
	buf_reset(&r->c.out);
	buf_reset(expected);
}

static void play(const struct dialogue *d, size_t cut)
{
	struct ipc_message message = {.mail_from = STR("a@example.com"), .recipients = d->recipients,
				      .n_recipients = d->n_recipients, .is_utf8 = (d->flags & UTF8) != 0,
				      .content = d->content != NULL ? str_of(d->content) : STR("Subject: x\r\n\r\nhello\r\n"),
				      .dsn = str_of(d->dsn)};
	struct run r = {.d = d, .said = BUF_MAX(65536), .verdicts = BUF_MAX(65536)};
	struct buf heard = BUF_MAX(65536), expected = BUF_MAX(65536);
	struct str rest = str_of(d->script), line;

	r.login = (struct smtp_client_login){"me.test", d->flags & LOGIN ? "user" : "", "secret", (d->flags & STARTTLS) != 0,
					     (d->flags & LOCAL) != 0};
	if (d->content == NULL)
		message.content = STR("Subject: x\r\n\r\nhello\r\n");
	smtp_mail_copy(&r.mail, &message);
	smtp_client_init(&r.c, &r.login, false);
	while (rest.n > 0) {
		char kind = rest.p[0];

		if (kind != '<' && heard.n > 0) {
			feed(&r, buf_str(&heard), cut);
			buf_reset(&heard);
		}
		if (kind != '>' && expected.n > 0)
			expect(&r, &expected);
		rest = str_from(rest, 1);
		if (kind == 'T') {
			UNIT_INT(r.c.stage, SMTP_CLIENT_HANDSHAKE);
			smtp_client_secured(&r.c);
			continue;
		}
		if (kind == 'X' || kind == 'x') {
			lose(&r, kind == 'x');
			continue;
		}
		str_next(&rest, '\n', &line);
		buf_put_str(kind == '<' ? &heard : &expected, str_from(line, 1));
		buf_put_text(kind == '<' ? &heard : &expected, "\r\n");
	}
	feed(&r, buf_str(&heard), cut);
	expect(&r, &expected);
	unit_text(__FILE__, __LINE__, buf_str(&r.verdicts), str_of(d->verdict));
	if (!str_eq(buf_str(&r.verdicts), str_of(d->verdict)))
		printf("in the dialogue %s\n", d->script);
	UNIT_INT(r.n_sent > 0 && (d->flags & NEVER_SENT) ? r.c.stage : SMTP_CLIENT_READY, SMTP_CLIENT_READY);
	smtp_client_clear(&r.c);
	smtp_mail_clear(&r.mail);
	buf_clear(&heard);
	buf_clear(&expected);
	buf_clear(&r.verdicts);
	buf_clear(&r.said);
}

static void dialogues_are_as_they_should_be(void)
{
	for (size_t i = 0; i < sizeof(dialogues) / sizeof(dialogues[0]); i++)
		play(&dialogues[i], 100000);
}

static void replies_may_come_in_any_pieces(void)
{
	for (size_t i = 0; i < sizeof(dialogues) / sizeof(dialogues[0]); i++)
		for (size_t cut = 0; cut < 120; cut++)
			play(&dialogues[i], cut);
}

/* A message that was begun and not even MAIL was answered: it can go by another connection. */
static void an_untouched_message_is_known_as_such(void)
{
	static const struct {
		const char *replies;
		bool is_untouched;
	} cases[] = {
		{"", true},
		{"421 4.4.2 idle\r\n", true},
		{"250 ok\r\n", false},
		{"250 ok\r\n421 bye\r\n", false},
		{"250 ok\r\n250 ok\r\n", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		static const struct smtp_client_login login = {"me.test", "", "", false, true};
		struct ipc_message message = {.mail_from = STR(""), .recipients = one, .n_recipients = 1, .content = STR("x")};
		struct str input = STR("220 hi\r\n250-x\r\n250 PIPELINING\r\n");
		struct smtp_mail mail;
		struct smtp_client c;

		smtp_mail_copy(&mail, &message);
		smtp_client_init(&c, &login, false);
		UNIT_INT(smtp_client_take(&c, &input), SMTP_CLIENT_IS_READY);
		buf_reset(&c.out);
		UNIT_TRUE(smtp_client_send(&c, &mail));
		UNIT_STR(buf_str(&c.out), "MAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n");
		input = str_of(cases[i].replies);
		while (input.n > 0 && smtp_client_take(&c, &input) == SMTP_CLIENT_WAITS)
			continue;
		if (c.stage != SMTP_CLIENT_OVER)
			smtp_client_lost(&c, false, "gone");
		UNIT_INT(c.verdict.class, IPC_OUTCOME_TRANSIENT);
		UNIT_INT(c.is_untouched, cases[i].is_untouched);
		smtp_client_clear(&c);
		smtp_mail_clear(&mail);
	}
}

static void a_large_message_is_said_in_pieces(void)
{
	static const struct smtp_client_login login = {"me.test", "", "", false, true};
	enum { SIZE = 300000 };
	struct buf content = BUF_MAX(SIZE + 100), all = BUF_MAX(2 * SIZE), expected = BUF_MAX(2 * SIZE);
	struct str input = STR("220 hi\r\n250 x\r\n");
	struct ipc_message message = {.mail_from = STR("a@b"), .recipients = one, .n_recipients = 1};
	struct smtp_mail mail;
	struct smtp_client c;

	while (content.n < SIZE)
		buf_put_text(&content, content.n % 7 == 0 ? ".dots\r\n" : content.n % 3 == 0 ? "\r\n" : "some text that is no line yet, ");
	message.content = buf_str(&content);
	smtp_mail_copy(&mail, &message);
	smtp_client_init(&c, &login, false);
	UNIT_INT(smtp_client_take(&c, &input), SMTP_CLIENT_IS_READY);
	UNIT_TRUE(smtp_client_send(&c, &mail));
	input = STR("250 ok\r\n250 ok\r\n354 go\r\n");
	UNIT_INT(smtp_client_take(&c, &input), SMTP_CLIENT_WANTS_CONTENT);
	while (c.stage == SMTP_CLIENT_CONTENT) {
		buf_reset(&c.out);
		smtp_client_more(&c);
		UNIT_TRUE(c.out.n < 140000);
		buf_put_str(&all, buf_str(&c.out));
	}
	smtp_data_put(&expected, buf_str(&content));
	UNIT_TRUE(str_eq(buf_str(&all), buf_str(&expected)));
	smtp_client_clear(&c);
	smtp_mail_clear(&mail);
	buf_clear(&content);
	buf_clear(&all);
	buf_clear(&expected);
}

UNIT_TESTS({"dialogues are as they should be", dialogues_are_as_they_should_be},
	   {"replies may come in any pieces", replies_may_come_in_any_pieces},
	   {"an untouched message is known as such", an_untouched_message_is_known_as_such},
	   {"a large message is said in pieces", a_large_message_is_said_in_pieces})
