/* SPDX-License-Identifier: Apache-2.0
 *
 * The dialogue. With PIPELINING the envelope and DATA are one packet; without it each command waits for its answer. What
 * the server offered before STARTTLS is forgotten (RFC 3207, 4.2).
 */
#include "deliver/smtp_client.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "deliver/smtp_meaning.h"
#include "lib/base/encode.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"

enum {
	OUT_MAX = 1 << 20, /* the longest envelope */
	PIECE = 65536,
	WORDS_MAX = 2048,
};

void smtp_client_init(struct smtp_client *c, const struct smtp_client_login *login, bool is_secure)
{
	*c = (struct smtp_client){.login = login, .is_secure = is_secure, .out = BUF_MAX(OUT_MAX)};
}

static void forget_message(struct smtp_client *c)
{
	c->mail = NULL;
	mem_free(&c->recipients);
}

void smtp_client_clear(struct smtp_client *c)
{
	forget_message(c);
	buf_clear_secret(&c->out);
	provider_verdict_clear(&c->verdict);
}

/* ---- saying ---- */

static enum smtp_client_event __attribute__((format(printf, 3, 4)))
say(struct smtp_client *c, enum smtp_client_stage stage, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	buf_vprintf(&c->out, format, args);
	va_end(args);
	buf_put_text(&c->out, "\r\n");
	c->stage = stage;
	return SMTP_CLIENT_WAITS;
}

/* A secret as base64. */
static enum smtp_client_event say_secret(struct smtp_client *c, enum smtp_client_stage stage, const char *before,
					 struct str secret)
{
	buf_put_text(&c->out, before);
	encode_base64(&c->out, secret);
	buf_put_text(&c->out, "\r\n");
	c->stage = stage;
	return SMTP_CLIENT_WAITS;
}

/* ---- verdicts ---- */

static enum smtp_client_event end(struct smtp_client *c)
{
	c->stage = SMTP_CLIENT_OVER;
	return SMTP_CLIENT_HAS_ENDED;
}

/* The reply's class, code and words as the verdict. */
static void judge(struct smtp_client *c, enum smtp_meaning_at at, const char *what, const struct smtp_answer *answer)
{
	struct smtp_meaning meaning = smtp_meaning_of(at, answer);
	struct buf words = BUF_MAX(WORDS_MAX);
	char status[12];

	smtp_meaning_status(answer, status);
	smtp_meaning_words(answer, &words);
	provider_verdict_clear(&c->verdict);
	provider_verdict_set(&c->verdict, meaning.class, answer->code, status, "%s: %.*s", what, STR_ARG(buf_str(&words)));
	c->verdict.about = meaning.about;
	buf_clear(&words);
}

static enum smtp_client_event end_by(struct smtp_client *c, enum smtp_meaning_at at, const char *what,
				     const struct smtp_answer *answer)
{
	judge(c, at, what, answer);
	return end(c);
}

static enum smtp_client_event end_fault(struct smtp_client *c, enum ipc_about about, const char *status, const char *reason)
{
	provider_verdict_clear(&c->verdict);
	provider_verdict_set(&c->verdict, IPC_OUTCOME_PROVIDER_FAULT, 0, status, "%s", reason);
	c->verdict.about = about;
	return end(c);
}

/* ---- the session: greeting, TLS, login ---- */

static enum smtp_client_event become_ready(struct smtp_client *c)
{
	c->stage = SMTP_CLIENT_READY;
	return SMTP_CLIENT_IS_READY;
}

static enum smtp_client_event say_ehlo(struct smtp_client *c)
{
	c->offer = (struct smtp_mail_offer){0};
	return say(c, SMTP_CLIENT_EHLO, "EHLO %s", c->login->hello);
}

static enum smtp_client_event auth_plain(struct smtp_client *c)
{
	struct buf both = BUF_MAX(32768);
	enum smtp_client_event event;

	buf_put_char(&both, '\0');
	buf_put_text(&both, c->login->user);
	buf_put_char(&both, '\0');
	buf_put_text(&both, c->login->password);
	event = say_secret(c, SMTP_CLIENT_AUTH_PLAIN, "AUTH PLAIN ", buf_str(&both));
	buf_clear_secret(&both);
	return event;
}

static enum smtp_client_event log_in(struct smtp_client *c)
{
	if (c->login->user[0] == '\0')
		return become_ready(c);
	if (!c->is_secure && !c->login->may_be_clear)
		return end_fault(c, IPC_ABOUT_PROVIDER, "4.7.0", "the password is not sent without TLS to another host");
	if (c->offer.has_plain)
		return auth_plain(c);
	if (c->offer.has_login)
		return say(c, SMTP_CLIENT_AUTH_LOGIN, "AUTH LOGIN");
	return end_fault(c, IPC_ABOUT_CREDENTIAL, "4.7.0", "the server offers neither AUTH PLAIN nor AUTH LOGIN");
}

static enum smtp_client_event on_auth(struct smtp_client *c, const struct smtp_answer *answer)
{
	if (answer->code == 235)
		return become_ready(c);
	if (answer->code == 334 && c->stage == SMTP_CLIENT_AUTH_LOGIN)
		return say_secret(c, SMTP_CLIENT_AUTH_USER, "", str_of(c->login->user));
	if (answer->code == 334 && c->stage == SMTP_CLIENT_AUTH_USER)
		return say_secret(c, SMTP_CLIENT_AUTH_PASSWORD, "", str_of(c->login->password));
	/* The mechanism is not good (RFC 4954, 4, 6): perhaps the other one is. */
	if (c->stage == SMTP_CLIENT_AUTH_PLAIN && (answer->code == 504 || answer->code == 534) && c->offer.has_login)
		return say(c, SMTP_CLIENT_AUTH_LOGIN, "AUTH LOGIN");
	return end_by(c, SMTP_MEANING_AUTH, "AUTH", answer);
}

static void take_mechanisms(struct smtp_mail_offer *offer, struct str words)
{
	struct str word;

	while (str_next(&words, ' ', &word)) {
		offer->has_plain |= str_ieq(word, STR("PLAIN"));
		offer->has_login |= str_ieq(word, STR("LOGIN"));
	}
}

static void take_offer(struct smtp_mail_offer *offer, struct str line)
{
	struct str word = str_first(line, str_find(line, ' '));
	struct str rest = str_trim(str_from(line, word.n));

	offer->has_starttls |= str_ieq(word, STR("STARTTLS"));
	offer->has_pipelining |= str_ieq(word, STR("PIPELINING"));
	offer->has_8bit |= str_ieq(word, STR("8BITMIME"));
	offer->has_utf8 |= str_ieq(word, STR("SMTPUTF8"));
	offer->has_dsn |= str_ieq(word, STR("DSN"));
	if (str_ieq(word, STR("SIZE"))) {
		offer->has_size = true;
		str_u64(rest, 0, UINT64_MAX, &offer->size);
	}
	if (str_ieq(word, STR("AUTH")))
		take_mechanisms(offer, rest);
	else if (str_istarts(word, STR("AUTH="))) /* from before RFC 2554 */
		take_mechanisms(offer, str_from(line, 5));
}

static enum smtp_client_event on_hello(struct smtp_client *c, const struct smtp_answer *answer)
{
	bool needs_tls = c->login->wants_starttls && !c->is_secure;
	bool needs_ehlo = needs_tls || c->login->user[0] != '\0';
	struct str lines = answer->lines, line;

	if (answer->code / 100 == 5 && c->stage == SMTP_CLIENT_EHLO && !needs_ehlo)
		return say(c, SMTP_CLIENT_HELO, "HELO %s", c->login->hello);
	if (answer->code != 250)
		return end_by(c, SMTP_MEANING_OPEN, c->stage == SMTP_CLIENT_EHLO ? "EHLO" : "HELO", answer);
	if (c->stage == SMTP_CLIENT_EHLO) {
		smtp_reply_next_line(&lines, &line); /* its name */
		while (lines.n > 0 && smtp_reply_next_line(&lines, &line))
			take_offer(&c->offer, line);
	}
	if (!needs_tls)
		return log_in(c);
	if (!c->offer.has_starttls)
		return end_fault(c, IPC_ABOUT_PROVIDER, "4.7.4", "the server does not offer STARTTLS, and nothing is sent in clear");
	return say(c, SMTP_CLIENT_STARTTLS, "STARTTLS");
}

static enum smtp_client_event on_starttls(struct smtp_client *c, const struct smtp_answer *answer)
{
	if (answer->code != 220)
		return end_by(c, SMTP_MEANING_TLS, "STARTTLS", answer);
	c->stage = SMTP_CLIENT_HANDSHAKE;
	return SMTP_CLIENT_WANTS_TLS;
}

void smtp_client_secured(struct smtp_client *c)
{
	bool is_starttls = c->stage == SMTP_CLIENT_HANDSHAKE;

	c->is_secure = true;
	if (is_starttls)
		say_ehlo(c);
}

/* ---- a message: the envelope ---- */

static void say_command(struct smtp_client *c, unsigned at)
{
	if (at == 0)
		smtp_mail_put_mail(&c->out, c->mail, &c->offer);
	else if (at <= c->mail->n_recipients)
		smtp_mail_put_rcpt(&c->out, c->mail, &c->offer, at - 1);
	else
		buf_put_text(&c->out, "DATA\r\n");
}

static void say_envelope(struct smtp_client *c)
{
	do {
		say_command(c, c->n_said++);
	} while (c->offer.has_pipelining && c->n_said < c->mail->n_recipients + 2);
	/* smtpd takes no addresses or parameters so long that this could be. */
	must(!c->out.is_full);
	c->stage = SMTP_CLIENT_ENVELOPE;
}

bool smtp_client_send(struct smtp_client *c, struct smtp_mail *mail)
{
	must(c->stage == SMTP_CLIENT_READY && mail->n_recipients > 0);
	provider_verdict_clear(&c->verdict);
	if (!smtp_mail_fit(mail, &c->offer, &c->verdict))
		return false;
	c->mail = mail;
	c->n_said = c->n_answered = c->n_taken = 0;
	c->n_sent = 0;
	c->data = (struct smtp_data_put){0};
	c->recipients = mem_array(mail->n_recipients, sizeof(*c->recipients));
	c->verdict = (struct provider_verdict){.class = IPC_OUTCOME_CLASSES};
	c->n_messages++;
	say_envelope(c);
	return true;
}

/* ---- a message: what came of it ---- */

/* A recipient whom the server did not take for a reason that lies with us is not refused for good. */
static enum ipc_outcome_class class_of_recipient(enum ipc_outcome_class class)
{
	return class == IPC_OUTCOME_PERMANENT ? IPC_OUTCOME_PERMANENT : IPC_OUTCOME_TRANSIENT;
}

/* Those who fared otherwise than the verdict says. */
static void put_refusals(struct smtp_client *c)
{
	for (unsigned i = 0; i < c->mail->n_recipients; i++) {
		const struct smtp_client_recipient *r = &c->recipients[i];

		bool is_same = r->class == c->verdict.class &&
			       (r->code == c->verdict.code || r->class != IPC_OUTCOME_PERMANENT);

		if (r->class != IPC_OUTCOME_SENT && !is_same)
			provider_verdict_refuse(&c->verdict, i, class_of_recipient(r->class), r->code, r->status, "%s", r->reason);
	}
}

/* The message is done with. The session is reset where its transaction may still stand. */
static enum smtp_client_event done(struct smtp_client *c, enum smtp_client_stage next)
{
	put_refusals(c);
	c->is_untouched = c->n_answered == 0;
	forget_message(c);
	c->stage = next;
	if (next == SMTP_CLIENT_RESET)
		say(c, SMTP_CLIENT_RESET, "RSET");
	return SMTP_CLIENT_HAS_VERDICT;
}

/* No recipient was taken: the verdict is what was said to one of them: what is the fault of none of them, or may pass,
 * before a refusal for good. */
static void judge_refused(struct smtp_client *c)
{
	static const enum ipc_outcome_class order[] = {IPC_OUTCOME_PROVIDER_FAULT, IPC_OUTCOME_TRANSIENT, IPC_OUTCOME_PERMANENT};

	for (size_t k = 0; k < sizeof(order) / sizeof(order[0]); k++)
		for (unsigned i = 0; i < c->mail->n_recipients; i++) {
			const struct smtp_client_recipient *r = &c->recipients[i];

			if (r->class != order[k])
				continue;
			provider_verdict_set(&c->verdict, r->class, r->code, r->status, "%s", r->reason);
			c->verdict.about = r->about;
			return;
		}
	must(false);
}

static bool has_verdict(const struct smtp_client *c)
{
	return c->verdict.class != IPC_OUTCOME_CLASSES;
}

static void on_rcpt(struct smtp_client *c, unsigned i, const struct smtp_answer *answer)
{
	struct smtp_client_recipient *r = &c->recipients[i];
	struct smtp_meaning meaning = {IPC_OUTCOME_SENT, IPC_ABOUT_NOTHING};
	struct buf words = BUF_MAX(WORDS_MAX);

	if (answer->code / 100 != 2)
		meaning = smtp_meaning_of(SMTP_MEANING_RCPT, answer);
	c->n_taken += meaning.class == IPC_OUTCOME_SENT;
	r->class = meaning.class;
	r->about = meaning.about;
	r->code = answer->code;
	smtp_meaning_status(answer, r->status);
	smtp_meaning_words(answer, &words);
	snprintf(r->reason, sizeof(r->reason), "RCPT TO: %.*s", STR_ARG(buf_str(&words)));
	buf_clear(&words);
}

static enum smtp_client_event on_data(struct smtp_client *c, const struct smtp_answer *answer)
{
	bool is_wanted = answer->code == 354;

	if (c->n_taken > 0 && !has_verdict(c)) {
		if (is_wanted) {
			c->stage = SMTP_CLIENT_CONTENT;
			return SMTP_CLIENT_WANTS_CONTENT;
		}
		judge(c, SMTP_MEANING_DATA, "DATA", answer);
		return done(c, answer->code / 100 >= 4 ? SMTP_CLIENT_RESET : SMTP_CLIENT_OVER);
	}
	if (!has_verdict(c))
		judge_refused(c);
	if (!is_wanted)
		return done(c, SMTP_CLIENT_RESET);
	/* MAIL was refused and recipients were taken: whatever this is, an empty message to them it shall not be. */
	if (c->n_taken > 0)
		return done(c, SMTP_CLIENT_OVER);
	return say(c, SMTP_CLIENT_EMPTY, "."); /* RFC 2920, 3.1 */
}

/* It ends the session whatever was asked (RFC 5321, 3.8), and answers nothing more. */
static enum smtp_client_event on_closing(struct smtp_client *c, const struct smtp_answer *answer)
{
	if (!has_verdict(c))
		judge(c, SMTP_MEANING_MAIL, "the envelope", answer);
	return done(c, SMTP_CLIENT_OVER);
}

static enum smtp_client_event on_envelope(struct smtp_client *c, const struct smtp_answer *answer)
{
	unsigned at;

	if (answer->code == 421)
		return on_closing(c, answer);
	at = c->n_answered++;
	if (at == c->mail->n_recipients + 1)
		return on_data(c, answer);
	if (at == 0 && answer->code / 100 != 2)
		judge(c, SMTP_MEANING_MAIL, "MAIL FROM", answer);
	else if (at > 0 && !has_verdict(c)) /* after a refused MAIL they are refused for that */
		on_rcpt(c, at - 1, answer);
	else if (at > 0)
		c->n_taken += answer->code / 100 == 2;
	if (c->n_answered < c->n_said)
		return SMTP_CLIENT_WAITS;
	if (has_verdict(c))
		return done(c, SMTP_CLIENT_RESET);
	if (at == c->mail->n_recipients && c->n_taken == 0) {
		judge_refused(c);
		return done(c, SMTP_CLIENT_RESET);
	}
	say_envelope(c);
	return SMTP_CLIENT_WAITS;
}

/* ---- a message: its content ---- */

void smtp_client_more(struct smtp_client *c)
{
	struct str piece;

	if (c->stage != SMTP_CLIENT_CONTENT)
		return;
	piece = str_first(str_from(c->mail->content, c->n_sent), PIECE);
	smtp_data_put_piece(&c->data, &c->out, piece);
	c->n_sent += piece.n;
	if (c->n_sent < c->mail->content.n)
		return;
	smtp_data_put_end(&c->data, &c->out);
	c->stage = SMTP_CLIENT_FINAL;
}

static enum smtp_client_event on_final(struct smtp_client *c, const struct smtp_answer *answer)
{
	struct buf words = BUF_MAX(WORDS_MAX);
	char status[12];

	if (answer->code / 100 == 3) {
		provider_verdict_set(&c->verdict, IPC_OUTCOME_UNKNOWN, answer->code, "4.5.0", "the answer to the message is none: %.*s",
				     STR_ARG(answer->text));
		return done(c, SMTP_CLIENT_OVER);
	}
	if (answer->code / 100 != 2) {
		judge(c, SMTP_MEANING_FINAL, "the message", answer);
		return done(c, answer->code == 421 ? SMTP_CLIENT_OVER : SMTP_CLIENT_RESET);
	}
	smtp_meaning_status(answer, status);
	smtp_meaning_words(answer, &words);
	provider_verdict_set(&c->verdict, IPC_OUTCOME_SENT, answer->code, status, "%.*s", STR_ARG(buf_str(&words)));
	str_copy(smtp_meaning_id(answer), c->verdict.provider_id, sizeof(c->verdict.provider_id));
	c->verdict.is_dsn_passed = c->offer.has_dsn;
	buf_clear(&words);
	return done(c, SMTP_CLIENT_READY);
}

/* A word in the middle of the message: the server has made up its mind (it is too large, say) and does not read on. */
static enum smtp_client_event on_early(struct smtp_client *c, const struct smtp_answer *answer)
{
	judge(c, SMTP_MEANING_FINAL, "the message, before its end", answer);
	return done(c, SMTP_CLIENT_OVER);
}

/* ---- replies ---- */

static enum smtp_client_event on_reply(struct smtp_client *c, const struct smtp_answer *answer)
{
	switch (c->stage) {
	case SMTP_CLIENT_GREETING:
		return answer->code == 220 ? say_ehlo(c) : end_by(c, SMTP_MEANING_OPEN, "the greeting", answer);
	case SMTP_CLIENT_EHLO:
	case SMTP_CLIENT_HELO:
		return on_hello(c, answer);
	case SMTP_CLIENT_STARTTLS:
		return on_starttls(c, answer);
	case SMTP_CLIENT_AUTH_PLAIN:
	case SMTP_CLIENT_AUTH_LOGIN:
	case SMTP_CLIENT_AUTH_USER:
	case SMTP_CLIENT_AUTH_PASSWORD:
		return on_auth(c, answer);
	case SMTP_CLIENT_ENVELOPE:
		return on_envelope(c, answer);
	case SMTP_CLIENT_CONTENT:
		return on_early(c, answer);
	case SMTP_CLIENT_FINAL:
		return on_final(c, answer);
	case SMTP_CLIENT_EMPTY:
		return done(c, SMTP_CLIENT_RESET);
	case SMTP_CLIENT_RESET:
		return answer->code / 100 == 2 ? become_ready(c) : end_by(c, SMTP_MEANING_OPEN, "RSET", answer);
	case SMTP_CLIENT_HANDSHAKE:
	case SMTP_CLIENT_READY:
	case SMTP_CLIENT_QUIT:
	case SMTP_CLIENT_OVER:
		break;
	}
	/* QUIT is answered; or it speaks out of turn: what it says next would be taken for an answer. */
	return end_by(c, SMTP_MEANING_OPEN, "unasked", answer);
}

/* What the end of the connection, or of what can be understood, means for a message under way. */
static void judge_lost(struct smtp_client *c, bool may_be_taken, unsigned code, const char *why)
{
	provider_verdict_clear(&c->verdict);
	if (may_be_taken)
		provider_verdict_set(&c->verdict, IPC_OUTCOME_UNKNOWN, code, "4.4.2", "the message was sent, no answer came: %s", why);
	else if (c->mail == NULL || !has_verdict(c))
		provider_verdict_set(&c->verdict, IPC_OUTCOME_TRANSIENT, code, "4.4.2", "%s", why);
	if (c->mail != NULL && may_be_taken)
		put_refusals(c);
	c->is_untouched = c->mail != NULL && c->n_answered == 0;
	forget_message(c);
	c->stage = SMTP_CLIENT_OVER;
}

static enum smtp_client_event on_garbage(struct smtp_client *c, struct str input)
{
	struct str line = str_first(input, str_find(str_first(input, 100), '\n'));
	bool may_be_taken = c->stage == SMTP_CLIENT_FINAL;
	bool has_message = c->mail != NULL;
	char why[160];

	snprintf(why, sizeof(why), "the server does not speak SMTP: %.*s", STR_ARG(line));
	judge_lost(c, may_be_taken, 0, why);
	return has_message ? SMTP_CLIENT_HAS_VERDICT : SMTP_CLIENT_HAS_ENDED;
}

enum smtp_client_event smtp_client_take(struct smtp_client *c, struct str *input)
{
	enum smtp_client_event event = SMTP_CLIENT_WAITS;
	struct smtp_answer answer;

	while (event == SMTP_CLIENT_WAITS && c->stage != SMTP_CLIENT_OVER && c->stage != SMTP_CLIENT_HANDSHAKE) {
		switch (smtp_reply_take(input, &answer)) {
		case SMTP_REPLY_MORE:
			return SMTP_CLIENT_WAITS;
		case SMTP_REPLY_MALFORMED:
			return on_garbage(c, *input);
		case SMTP_REPLY_OK_ANSWER:
			break;
		}
		event = on_reply(c, &answer);
	}
	return event;
}

void smtp_client_lost(struct smtp_client *c, bool has_unsent, const char *why)
{
	judge_lost(c, c->stage == SMTP_CLIENT_FINAL && !has_unsent, 0, why);
}

void smtp_client_quit(struct smtp_client *c)
{
	must(c->stage == SMTP_CLIENT_READY);
	say(c, SMTP_CLIENT_QUIT, "QUIT");
}
