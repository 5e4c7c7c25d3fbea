/* SPDX-License-Identifier: Apache-2.0
 *
 * The dialogue as scripts: what a client says, which replies it hears. Replies are shortened to code and
 * enhanced code, one a word; the lines of a longer reply are kept. For the tests of smtpd_proto.c and its commands.
 */
#ifndef TESTS_SMTPD_DIALOGUE_H
#define TESTS_SMTPD_DIALOGUE_H

#include "smtpd/smtpd_mail.h"
#include "smtpd/smtpd_proto.h"

#include <stdlib.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "tests/support/unit.h"

enum begin { CLEAR, SECURE, HELLO, USER }; /* HELLO: under TLS and after EHLO; USER: and after AUTH */

/* A session with a gate and a queue that answer at once, or, when told so, later. */
struct session {
	struct smtpd_proto p;
	struct buf out, input, stored, dsn, key;
	char user[300], password[1100];
	unsigned asked, asked_external, asked_to_send, not_sent, submitted, tls_started;
	enum ipc_auth_verdict auth_verdict;
	enum ipc_may_send_verdict may_send_verdict;
	char asked_for[300];
	unsigned asked_recipients;
	bool is_recipient_later;
	struct ipc_submit_result submit_result;
	bool is_later, is_counted_later;
};

/* What every session begins with; a test that changes them sets them back with set_rules(). */
static struct smtpd_rules rules;
static const char *certificate, *user_name, *senders;
static enum ipc_mode tenant_mode;
static const struct uuid some_id = {{1}};

__attribute__((unused)) static void answer_auth(struct session *s)
{
	struct ipc_auth_result result = {.verdict = s->auth_verdict, .tenant = some_id, .user = some_id,
					 .tenant_name = STR("acme"), .user_name = str_of(user_name),
					 .senders = str_of(senders), .mode = tenant_mode};

	smtpd_proto_authenticated(&s->p, &result);
}

__attribute__((unused)) static void start_tls(void *ctx)
{
	((struct session *)ctx)->tls_started++;
}

__attribute__((unused)) static void authenticate(void *ctx, struct str user, struct str password)
{
	struct session *s = ctx;

	s->asked++;
	str_copy(user, s->user, sizeof(s->user));
	str_copy(password, s->password, sizeof(s->password));
	if (!s->is_later)
		answer_auth(s);
}

__attribute__((unused)) static void submit(void *ctx, struct smtpd_mail *mail)
{
	struct session *s = ctx;

	s->submitted++;
	buf_reset(&s->stored);
	buf_printf(&s->stored, "%s>", mail->from);
	for (unsigned i = 0; i < mail->n_recipients; i++)
		buf_printf(&s->stored, "%.*s,", STR_ARG(mail->recipients[i]));
	buf_printf(&s->stored, "%s%s:", mail->is_8bit ? "8" : "7", mail->is_utf8 ? "U" : "");
	buf_reset(&s->dsn);
	buf_put_str(&s->dsn, buf_str(&mail->dsn));
	buf_reset(&s->key);
	buf_put_str(&s->key, smtpd_mail_key(mail));
	buf_put_str(&s->stored, buf_str(&mail->content.bytes));
	if (!s->is_later)
		smtpd_proto_submitted(&s->p, &s->submit_result);
}

__attribute__((unused)) static void may_send(void *ctx)
{
	struct session *s = ctx;

	s->asked_to_send++;
	if (!s->is_counted_later)
		smtpd_proto_may_send(&s->p, s->may_send_verdict, s->may_send_verdict == IPC_MAY_SEND_OK);
}

__attribute__((unused)) static void not_sent(void *ctx)
{
	((struct session *)ctx)->not_sent++;
}

__attribute__((unused)) static void authenticate_external(void *ctx, struct str user)
{
	struct session *s = ctx;

	s->asked_external++;
	str_copy(user, s->user, sizeof(s->user));
	if (!s->is_later)
		answer_auth(s);
}

/* A gate for which what begins with "no" is suppressed, and of what begins with "odd" nothing is known. */
__attribute__((unused)) static void answer_recipient(struct session *s)
{
	smtpd_proto_may_receive(&s->p, strncmp(s->asked_for, "no", 2) == 0    ? IPC_MAY_RECEIVE_SUPPRESSED
				       : strncmp(s->asked_for, "odd", 3) == 0 ? IPC_MAY_RECEIVE_UNAVAILABLE
									      : IPC_MAY_RECEIVE_OK);
}

__attribute__((unused)) static void may_receive(void *ctx, struct str recipient)
{
	struct session *s = ctx;

	s->asked_recipients++;
	str_copy(recipient, s->asked_for, sizeof(s->asked_for));
	if (!s->is_recipient_later)
		answer_recipient(s);
}

static const struct smtpd_calls calls = {start_tls, authenticate, authenticate_external, may_send,
					 may_receive, not_sent, submit};

__attribute__((unused)) static void feed(struct session *s)
{
	size_t used = smtpd_proto_input(&s->p, buf_str(&s->input), 1700000000000000);

	if (s->p.is_starting_tls)
		used = s->input.n;
	buf_consume(&s->input, used);
}

__attribute__((unused)) static void say(struct session *s, const char *bytes, size_t n)
{
	buf_put(&s->input, bytes, n);
	feed(s);
}

__attribute__((unused)) static void say_text(struct session *s, const char *text)
{
	say(s, text, strlen(text));
}

__attribute__((unused)) static void begin(struct session *s, enum begin at)
{
	memset(s, 0, sizeof(*s));
	buf_init(&s->out, 1 << 20);
	buf_init(&s->input, 1 << 20);
	buf_init(&s->stored, 1 << 20);
	buf_init(&s->dsn, 1 << 20);
	buf_init(&s->key, IPC_KEY_MAX);
	smtpd_proto_init(&s->p, &rules, &calls, s, "192.0.2.7");
	s->p.out = &s->out;
	smtpd_proto_greet(&s->p);
	s->p.certificate = certificate;
	if (at >= SECURE)
		smtpd_proto_secured(&s->p, "TLSv1.3", "TLS_AES_128_GCM_SHA256");
	if (at >= HELLO)
		say_text(s, "EHLO client.test\r\n");
	if (at >= USER)
		say_text(s, "AUTH PLAIN AGEAYg==\r\n");
	buf_reset(&s->out);
}

__attribute__((unused)) static void end(struct session *s)
{
	smtpd_proto_clear(&s->p);
	buf_clear(&s->out);
	buf_clear(&s->input);
	buf_clear(&s->stored);
	buf_clear(&s->dsn);
	buf_clear(&s->key);
}

/* "250 2.0.0 Ok" becomes "250 2.0.0", words are parted by " | ". */
__attribute__((unused)) static void shorten(struct str out, struct buf *to)
{
	while (out.n > 0) {
		struct str before = out, text;
		struct smtp_answer answer;

		UNIT_INT(smtp_reply_take(&out, &answer), SMTP_REPLY_OK_ANSWER);
		if (out.n == before.n)
			return;
		if (to->n > 0)
			buf_put_text(to, " | ");
		buf_printf(to, "%u", answer.code);
		if (str_find(answer.lines, '\n') + 1 < answer.lines.n)
			while (smtp_reply_next_line(&answer.lines, &text))
				buf_printf(to, " %.*s;", STR_ARG(text));
		else if (answer.status.n > 0)
			buf_printf(to, " %.*s", STR_ARG(answer.status));
	}
}

__attribute__((unused)) static void hear(struct session *s, const char *expected)
{
	struct buf got = BUF_MAX(65536);

	shorten(buf_str(&s->out), &got);
	UNIT_STR(buf_str(&got), expected);
	buf_clear(&got);
	buf_reset(&s->out);
}

struct script {
	enum begin begin;
	const char *say, *hear;
};

#define OFFERS "250 mail.test; SIZE 2000; PIPELINING; 8BITMIME; ENHANCEDSTATUSCODES; CHUNKING; SMTPUTF8; DSN; LIMITS RCPTMAX=3;"
#define ENVELOPE "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"

/* Said at once, and byte by byte. */
__attribute__((unused)) static void play(const struct script *script)
{
	struct session s;

	begin(&s, script->begin);
	say_text(&s, script->say);
	hear(&s, script->hear);
	UNIT_TRUE(s.input.n == 0 || s.p.state == SMTPD_CLOSED || str_find(buf_str(&s.input), '\n') == s.input.n);
	end(&s);
	begin(&s, script->begin);
	for (const char *c = script->say; *c != '\0' && !s.p.is_starting_tls; c++)
		say(&s, c, 1);
	hear(&s, script->hear);
	end(&s);
}

#define PLAY(...) \
	const struct script scripts[] = {__VA_ARGS__}; \
	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) \
		play(&scripts[i])

__attribute__((unused)) static void set_rules(void)
{
	rules = (struct smtpd_rules){.host_name = "mail.test", .message_size = 2000, .recipients = 3,
				     .max_errors = 20, .has_certificate = true};
	certificate = user_name = senders = NULL;
	tenant_mode = IPC_MODE_OF_LISTENER;
	log_set(LOG_FORMAT_JSON, LOG_LEVEL_WARN); /* not a line for each refusal */
}

#endif
