/* SPDX-License-Identifier: Apache-2.0
 *
 * One table, first match wins. Codes: RFC 5321, 4.2.2 and 4.3.2; RFC 4954, 4.7 and 6 (AUTH); RFC 3207, 4 (STARTTLS); RFC 1870,
 * 6 (SIZE); RFC 6531, 3.5 (5.6.7). Enhanced codes: RFC 3463 and its registry. Words: what servers say that have no code of
 * their own for it; Postfix (access(5), smtpd_recipient_restrictions), Exim, Amazon SES ("SMTP response codes"), SendGrid.
 *
 * A refusal of ourselves (login, sender, relaying) is never taken for one of a recipient: no mail is to bounce because a key
 * was changed. Nor the other way round: servers repeat the addresses of a client's client, and what stands in those must not
 * take a provider down. So the codes that are about an address alone come first, and words are not looked for in addresses.
 */
#include "deliver/smtp_meaning.h"

#define ANYWHERE 0x7f
#define OPEN SMTP_MEANING_OPEN
#define TLS SMTP_MEANING_TLS
#define AUTH SMTP_MEANING_AUTH
#define MAIL SMTP_MEANING_MAIL
#define RCPT SMTP_MEANING_RCPT
#define DATA SMTP_MEANING_DATA
#define FINAL SMTP_MEANING_FINAL
#define FAULT IPC_OUTCOME_PROVIDER_FAULT
#define TRANSIENT IPC_OUTCOME_TRANSIENT
#define PERMANENT IPC_OUTCOME_PERMANENT
#define UNFIT IPC_OUTCOME_UNFIT

static const struct {
	unsigned at;
	unsigned low, high;
	const char *status; /* how the enhanced code begins, "" for any */
	const char *words;  /* somewhere in the text, in any case; "" for any */
	enum ipc_outcome_class class;
	enum ipc_about about;
} rows[] = {
	/* This recipient or sender and nothing else (RFC 3463, 3.2 and 3.3; 5.5.2: Postfix's reject_non_fqdn_...). */
	{RCPT, 550, 559, "5.1.1", "", PERMANENT, IPC_ABOUT_NOTHING}, /* and 5.1.10 */
	{RCPT, 550, 559, "5.1.2", "", PERMANENT, IPC_ABOUT_NOTHING},
	{RCPT, 550, 559, "5.1.3", "", PERMANENT, IPC_ABOUT_NOTHING},
	{RCPT, 550, 559, "5.1.6", "", PERMANENT, IPC_ABOUT_NOTHING},
	{RCPT, 550, 559, "5.2.", "", PERMANENT, IPC_ABOUT_NOTHING},
	{RCPT, 504, 504, "5.5.2", "", PERMANENT, IPC_ABOUT_NOTHING},
	{MAIL, 504, 504, "5.5.2", "", FAULT, IPC_ABOUT_SENDER},

	/* Too much for it. 421 4.7.0 and 450 4.7.x are Postfix's anvil and many others' word for it; SES has 454. */
	{ANYWHERE & ~RCPT, 400, 499, "", "throttl", TRANSIENT, IPC_ABOUT_THROTTLE},
	{ANYWHERE & ~RCPT, 400, 499, "", "too many", TRANSIENT, IPC_ABOUT_THROTTLE},
	{ANYWHERE & ~RCPT, 400, 499, "", "rate limit", TRANSIENT, IPC_ABOUT_THROTTLE},
	{ANYWHERE & ~RCPT, 400, 499, "", "rate exceeded", TRANSIENT, IPC_ABOUT_THROTTLE},
	{OPEN | MAIL | DATA | FINAL, 400, 499, "4.7.", "", TRANSIENT, IPC_ABOUT_THROTTLE},
	{MAIL | RCPT | DATA | FINAL, 454, 454, "", "", TRANSIENT, IPC_ABOUT_THROTTLE},
	/* It ends the session. */
	{ANYWHERE, 421, 421, "", "", TRANSIENT, IPC_ABOUT_PROVIDER},
	/* Not logged in, or not well enough. */
	{ANYWHERE, 530, 530, "", "", FAULT, IPC_ABOUT_CREDENTIAL},
	{ANYWHERE, 534, 535, "", "", FAULT, IPC_ABOUT_CREDENTIAL},
	{ANYWHERE, 538, 538, "", "", FAULT, IPC_ABOUT_CREDENTIAL},
	{AUTH, 432, 432, "", "", FAULT, IPC_ABOUT_CREDENTIAL}, /* the password must be changed first */
	{AUTH, 400, 499, "", "", TRANSIENT, IPC_ABOUT_PROVIDER},
	{AUTH, 500, 599, "", "", FAULT, IPC_ABOUT_CREDENTIAL},
	{OPEN | TLS, 400, 499, "", "", TRANSIENT, IPC_ABOUT_PROVIDER},
	{OPEN | TLS, 500, 599, "", "", FAULT, IPC_ABOUT_PROVIDER},

	/* The commands are not to its taste. */
	{MAIL | RCPT | DATA, 500, 500, "", "", FAULT, IPC_ABOUT_PROVIDER},
	{MAIL | RCPT | DATA, 502, 504, "5.5.", "", FAULT, IPC_ABOUT_PROVIDER},
	{MAIL | RCPT | DATA, 502, 502, "", "", FAULT, IPC_ABOUT_PROVIDER},
	{RCPT | DATA, 503, 504, "", "", FAULT, IPC_ABOUT_PROVIDER},
	{MAIL | RCPT, 555, 555, "", "", FAULT, IPC_ABOUT_PROVIDER},

	/* The sender. Many servers say it only at RCPT (Postfix: smtpd_delay_reject), or after the message (SES, SendGrid). */
	{MAIL, 500, 599, "5.6.7", "", UNFIT, IPC_ABOUT_NOTHING},
	{MAIL, 552, 552, "", "", UNFIT, IPC_ABOUT_NOTHING}, /* SIZE= is too large */
	{MAIL, 500, 599, "", "", FAULT, IPC_ABOUT_SENDER},
	{RCPT | DATA | FINAL, 500, 599, "5.1.7", "", FAULT, IPC_ABOUT_SENDER},
	{RCPT | DATA | FINAL, 500, 599, "5.1.8", "", FAULT, IPC_ABOUT_SENDER},
	{RCPT | DATA | FINAL, 500, 599, "", "sender address rejected", FAULT, IPC_ABOUT_SENDER},
	{RCPT | DATA | FINAL, 500, 599, "", "sender verify failed", FAULT, IPC_ABOUT_SENDER},
	{RCPT | DATA | FINAL, 500, 599, "", "address is not verified", FAULT, IPC_ABOUT_SENDER},
	{RCPT | DATA | FINAL, 500, 599, "", "verified sender", FAULT, IPC_ABOUT_SENDER},
	{MAIL | RCPT | DATA | FINAL, 400, 499, "4.1.7", "", TRANSIENT, IPC_ABOUT_SENDER},
	{MAIL | RCPT | DATA | FINAL, 400, 499, "4.1.8", "", TRANSIENT, IPC_ABOUT_SENDER},

	/* This host or account. */
	{RCPT, 500, 599, "", "relay", FAULT, IPC_ABOUT_CREDENTIAL},
	{RCPT | DATA | FINAL, 500, 599, "", "client host rejected", FAULT, IPC_ABOUT_CREDENTIAL},
	{RCPT | DATA | FINAL, 500, 599, "", "access denied: user", FAULT, IPC_ABOUT_CREDENTIAL},
	{RCPT, 500, 599, "", "helo command rejected", FAULT, IPC_ABOUT_PROVIDER},

	/* One too many recipients (RFC 5321, 4.5.3.1.10: once that was 552). */
	{RCPT, 552, 552, "5.5.3", "", TRANSIENT, IPC_ABOUT_NOTHING},
	{RCPT, 552, 552, "", "too many recipients", TRANSIENT, IPC_ABOUT_NOTHING},
	{RCPT, 400, 499, "", "", TRANSIENT, IPC_ABOUT_NOTHING},
	{RCPT, 500, 599, "", "", PERMANENT, IPC_ABOUT_NOTHING},

	/* The message, or its one recipient after all. */
	{DATA | FINAL, 400, 499, "4.1.", "", TRANSIENT, IPC_ABOUT_NOTHING},
	{DATA | FINAL, 400, 499, "4.2.", "", TRANSIENT, IPC_ABOUT_NOTHING},
	{DATA | FINAL, 400, 499, "4.6.", "", TRANSIENT, IPC_ABOUT_NOTHING},
	{MAIL | DATA | FINAL, 400, 499, "", "", TRANSIENT, IPC_ABOUT_PROVIDER},
	{DATA | FINAL, 500, 599, "", "", PERMANENT, IPC_ABOUT_NOTHING},
};

/* How much at the front may be an address, or hold one: <...>, "...", or a word with an @. */
static size_t address_length(struct str text)
{
	char end = text.p[0] == '<' ? '>' : text.p[0] == '"' ? '"' : ' ';
	size_t n = end == ' ' ? str_find(text, ' ') : 1 + str_find(str_from(text, 1), end);

	if (end != ' ')
		return n < text.n ? n + 1 : 0;
	return str_find(str_first(text, n), '@') < n ? n : 0;
}

/* In any case, and not in an address. */
static bool has_words(struct str text, struct str words)
{
	bool is_begin = true; /* of a word */

	for (size_t i = 0; i + words.n <= text.n; i++) {
		struct str rest = str_from(text, i);
		size_t n = is_begin && rest.n > 0 ? address_length(rest) : 0;

		if (str_ieq(str_first(rest, words.n), words) && n == 0)
			return true;
		is_begin = rest.n > 0 && (rest.p[0] == ' ' || rest.p[0] == '\n');
		i += n > 0 ? n - 1 : 0;
	}
	return false;
}

struct smtp_meaning smtp_meaning_of(enum smtp_meaning_at at, const struct smtp_answer *answer)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if ((rows[i].at & at) && answer->code >= rows[i].low && answer->code <= rows[i].high &&
		    str_starts(answer->status, str_of(rows[i].status)) && has_words(answer->lines, str_of(rows[i].words)))
			return (struct smtp_meaning){rows[i].class, rows[i].about};
	/* A success where none can be: whatever it was an answer to, it was not ours. */
	return (struct smtp_meaning){TRANSIENT, IPC_ABOUT_PROVIDER};
}

void smtp_meaning_status(const struct smtp_answer *answer, char out[12])
{
	if (answer->status.n == 0 || !str_copy(answer->status, out, 12))
		str_copy(answer->code >= 500 ? STR("5.0.0") : answer->code >= 400 ? STR("4.0.0") : STR("2.0.0"), out, 12);
}

/* "5.1.1 No such user" without its code, when it is the reply's. */
static struct str without_status(struct str text, struct str status)
{
	if (status.n > 0 && str_starts(text, status) && text.n > status.n && text.p[status.n] == ' ')
		return str_trim(str_from(text, status.n));
	return str_trim(text);
}

void smtp_meaning_words(const struct smtp_answer *answer, struct buf *out)
{
	struct str lines = answer->lines, text;

	while (lines.n > 0 && smtp_reply_next_line(&lines, &text)) {
		text = without_status(text, answer->status);
		if (text.n > 0 && out->n > 0)
			buf_put_char(out, ' ');
		buf_put_str(out, text);
	}
}

/* The first word of a text, without what is put around an id. */
static struct str word_of(struct str text)
{
	struct str word;

	while (text.n > 0 && strchr(" :=<\"'", text.p[0]) != NULL)
		text = str_from(text, 1);
	word = str_first(text, str_find(text, ' '));
	while (word.n > 0 && strchr(">.,;\"'", word.p[word.n - 1]) != NULL)
		word.n--;
	return str_is_printable(word) ? word : str_first(word, 0);
}

/* What stands behind these words, where they begin a word; empty when they are not there. */
static struct str behind(struct str text, struct str words)
{
	for (size_t i = 0; i + words.n <= text.n; i++)
		if ((i == 0 || text.p[i - 1] == ' ') && str_ieq(str_first(str_from(text, i), words.n), words))
			return str_from(text, i + words.n);
	return str_first(text, 0);
}

static bool has_digit(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] >= '0' && s.p[i] <= '9')
			return true;
	return false;
}

struct str smtp_meaning_id(const struct smtp_answer *answer)
{
	/* "Ok: queued as X" (Postfix, SendGrid), "OK id=X" (Exim), "Ok X" (SES), "OK X" (SparkPost). */
	static const struct str before[] = {STR("queued as "), STR("id="), STR("ok ")};
	struct str text = without_status(answer->text, answer->status), id;

	for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
		id = word_of(behind(text, before[i]));
		if (has_digit(id) && id.n < 256)
			return id;
	}
	return STR("");
}
