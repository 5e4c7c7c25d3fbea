/* SPDX-License-Identifier: Apache-2.0
 *
 * The envelope's lines. A parameter is only given where the server offers its extension: whoever does not offer it may
 * refuse the command for it.
 */
#include "deliver/smtp_mail.h"

#include <stdlib.h>

#include "deliver/mime_ascii.h"
#include "lib/base/mem.h"

static bool has_high(struct str s)
{
	return !str_is_ascii(s);
}

/* The header section: up to the first empty line. */
static struct str header_of(struct str content)
{
	struct str rest = content, line;

	while (str_next(&rest, '\n', &line) && line.n > 0 && !str_eq(line, STR("\r")))
		continue;
	return str_first(content, rest.p == NULL ? content.n : content.n - rest.n);
}

static struct str keep(char **at, struct str s)
{
	struct str kept = {*at, s.n};

	if (s.n > 0)
		memcpy(*at, s.p, s.n);
	*at += s.n;
	return kept;
}

void smtp_mail_strip(struct mime_strip *strip, struct str content)
{
	/* Who obeys them, in this order: SendGrid, SES, Mailgun, Postmark, SparkPost, Mandrill, Mailjet, Brevo, Elastic Email,
	 * MailerSend, SMTP2GO, Mailtrap, Sendmachine, Campaigner, Postal, Resend, SocketLabs, PowerMTA, GreenArrow. They choose
	 * templates, sub-accounts, addresses to send from, and further recipients. */
	static const char *const orders[] = {
		"x-smtpapi", "x-ses-*", "x-mailgun-*", "x-pm-*", "x-msys-*", "x-mc-*", "x-mj-*", "x-mailjet-*", "x-mailin-*", "x-sib-*",
		"x-elasticemail-*", "x-mailersend-*", "x-smtp2go-*", "x-mt-*", "x-sm-*", "x-cmp-*", "x-postal-*", "resend-idempotency-key", "x-xsmailingid",
		"x-xsmessageid", "x-virtual-mta", "x-job", "x-dkim-options", "x-greenarrow-*", NULL};

	mime_strip(strip, content, orders);
}

void smtp_mail_copy(struct smtp_mail *mail, const struct ipc_message *message)
{
	size_t size = message->mail_from.n + message->dsn.n + message->content.n;
	struct mime_strip strip;
	char *at;

	*mail = (struct smtp_mail){.n_recipients = message->n_recipients};
	for (unsigned i = 0; i < message->n_recipients; i++)
		size += message->recipients[i].n;
	at = mail->memory = mem_zero(size + 1);
	mail->recipients = mem_array(message->n_recipients, sizeof(*mail->recipients));
	mail->from = keep(&at, message->mail_from);
	mail->has_utf8_address = has_high(mail->from);
	for (unsigned i = 0; i < message->n_recipients; i++) {
		mail->recipients[i] = keep(&at, message->recipients[i]);
		mail->has_utf8_address |= has_high(mail->recipients[i]);
	}
	mail->dsn = keep(&at, message->dsn);
	smtp_mail_strip(&strip, message->content);
	mail->content = keep(&at, strip.header);
	mail->content.n += keep(&at, strip.body).n;
	mime_strip_clear(&strip);
	mail->needs_8bit = has_high(mail->content);
	/* Octets beyond ASCII in the header are UTF-8 only where the client said so; else they are just passed on. */
	mail->needs_utf8 = mail->has_utf8_address || (message->is_utf8 && mail->needs_8bit && has_high(header_of(mail->content)));
}

void smtp_mail_clear(struct smtp_mail *mail)
{
	free(mail->recipients);
	free(mail->memory);
	buf_clear(&mail->ascii);
	*mail = (struct smtp_mail){0};
}

/* What would end a command or its path. smtpd lets nothing such in; a line of ours must not depend on it. */
static bool is_speakable(struct str address)
{
	for (size_t i = 0; i < address.n; i++)
		if ((unsigned char)address.p[i] < ' ' || address.p[i] == 0x7f)
			return false;
	return true;
}

static bool unfit(struct provider_verdict *verdict, const char *status, const char *reason)
{
	provider_verdict_set(verdict, IPC_OUTCOME_UNFIT, 0, status, "%s", reason);
	return false;
}

/* All of it is text of ASCII then: the addresses were before. */
static bool make_ascii(struct smtp_mail *mail, const char *missing, struct provider_verdict *verdict)
{
	static const char *const none[] = {NULL};
	struct mime_ascii ascii = {.hidden = STR("")};
	struct mime_strip parts;
	bool ok;

	mime_strip(&parts, mail->content, none);
	ok = mime_ascii(&ascii, parts.header, parts.body);
	mime_strip_clear(&parts);
	if (ok) {
		mail->ascii = ascii.out;
		ascii.out = (struct buf){0};
		mail->content = buf_str(&mail->ascii);
		mail->needs_8bit = mail->needs_utf8 = false;
	} else {
		provider_verdict_set(verdict, IPC_OUTCOME_UNFIT, 0, ascii.is_address ? "5.6.7" : "5.6.3",
				     "the server does not offer %s, and the message cannot do without: %s", missing, ascii.trouble);
	}
	mime_ascii_clear(&ascii);
	return ok;
}

bool smtp_mail_fit(struct smtp_mail *mail, const struct smtp_mail_offer *offer, struct provider_verdict *verdict)
{
	bool is_speakable_all = is_speakable(mail->from);

	for (unsigned i = 0; i < mail->n_recipients; i++)
		is_speakable_all &= is_speakable(mail->recipients[i]);
	if (!is_speakable_all)
		return unfit(verdict, "5.1.3", "an address has a control character");
	if (mail->has_utf8_address && !offer->has_utf8)
		return unfit(verdict, "5.6.7", "an address is not ASCII, and the server does not offer SMTPUTF8");
	if (mail->needs_utf8 && !offer->has_utf8 && !make_ascii(mail, "SMTPUTF8", verdict))
		return false;
	if (mail->needs_8bit && !offer->has_8bit && !make_ascii(mail, "8BITMIME", verdict))
		return false;
	if (offer->size != 0 && mail->content.n > offer->size)
		return unfit(verdict, "5.3.4", "the message is larger than the server takes (SIZE)");
	return true;
}

/* The line of ipc_message.dsn that begins so, without it; or empty. MAIL's is the first and begins with nothing. */
static struct str dsn_line(const struct smtp_mail *mail, struct str before)
{
	struct str rest = mail->dsn, line;
	bool is_first = true;

	while (str_next(&rest, '\n', &line)) {
		if (before.n == 0 || (!is_first && str_starts(line, before)))
			return str_from(line, before.n);
		is_first = false;
	}
	return STR("");
}

static void put_words(struct buf *out, struct str words, const struct smtp_mail *mail)
{
	struct str word;

	while (str_next(&words, ' ', &word))
		/* utf-8-addr-unitext goes with SMTPUTF8 only (RFC 6533, 3). */
		if (word.n > 0 && is_speakable(word) && (mail->needs_utf8 || str_is_ascii(word))) {
			buf_put_char(out, ' ');
			buf_put_str(out, word);
		}
}

void smtp_mail_put_mail(struct buf *out, const struct smtp_mail *mail, const struct smtp_mail_offer *offer)
{
	buf_put_text(out, "MAIL FROM:<");
	buf_put_str(out, mail->from);
	buf_put_char(out, '>');
	if (offer->has_size)
		buf_printf(out, " SIZE=%zu", mail->content.n);
	if (offer->has_8bit && mail->needs_8bit)
		buf_put_text(out, " BODY=8BITMIME");
	if (mail->needs_utf8)
		buf_put_text(out, " SMTPUTF8");
	if (offer->has_dsn)
		put_words(out, dsn_line(mail, STR("")), mail);
	buf_put_text(out, "\r\n");
}

void smtp_mail_put_rcpt(struct buf *out, const struct smtp_mail *mail, const struct smtp_mail_offer *offer, unsigned i)
{
	struct buf before = BUF_MAX(16);

	buf_put_text(out, "RCPT TO:<");
	buf_put_str(out, mail->recipients[i]);
	buf_put_char(out, '>');
	if (offer->has_dsn && mail->dsn.n > 0) {
		buf_printf(&before, "%u ", i);
		put_words(out, dsn_line(mail, buf_str(&before)), mail);
		buf_clear(&before);
	}
	buf_put_text(out, "\r\n");
}
