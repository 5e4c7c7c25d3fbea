/* SPDX-License-Identifier: Apache-2.0
 *
 * Three parts: for people, for programs, and the message or its header.
 */
#include "qmgr/qmgr_bounce.h"

#include <time.h>

#include "lib/base/encode.h"

enum { FULL_MOST = 65536, REASON_MOST = 400 };

/* ---- what was asked ---- */

static bool has_word(struct str list, struct str word)
{
	struct str one;

	while (str_next(&list, ',', &one))
		if (str_eq(one, word))
			return true;
	return false;
}

static void take_words(struct str line, struct qmgr_bounce_wish *wish)
{
	struct str word;

	while (str_next(&line, ' ', &word)) {
		struct str words = str_from(word, 7);

		if (str_eq(word, STR("RET=HDRS")))
			wish->is_headers = true;
		else if (str_starts(word, STR("ENVID=")))
			wish->envid = str_from(word, 6);
		else if (str_starts(word, STR("ORCPT=")))
			wish->orcpt = str_from(word, 6);
		else if (str_starts(word, STR("NOTIFY="))) {
			wish->wants[QMGR_BOUNCE_FAILED] = has_word(words, STR("FAILURE"));
			wish->wants[QMGR_BOUNCE_DELAYED] = has_word(words, STR("DELAY"));
			wish->wants[QMGR_BOUNCE_RELAYED] = has_word(words, STR("SUCCESS"));
		}
	}
}

void qmgr_bounce_wishes(struct str dsn, struct qmgr_bounce_wish *wishes)
{
	/* Who asks for nothing hears of failures (RFC 3461, 4.1); of delays only who asks. */
	struct qmgr_bounce_wish of_all = {.wants = {[QMGR_BOUNCE_FAILED] = true}};
	struct str line = STR("");

	if (str_next(&dsn, '\n', &line))
		take_words(line, &of_all);
	for (unsigned i = 0; i < IPC_RECIPIENTS_MAX; i++)
		wishes[i] = of_all;
	while (str_next(&dsn, '\n', &line)) {
		uint64_t index;

		if (str_u64(str_first(line, str_find(line, ' ')), 0, IPC_RECIPIENTS_MAX - 1, &index))
			take_words(line, &wishes[index]);
	}
}

/* ---- pieces ---- */

static bool has_any(const struct qmgr_bounce *b, enum qmgr_bounce_action action)
{
	for (unsigned i = 0; i < b->n_recipients; i++)
		if (b->recipients[i].action == action)
			return true;
	return false;
}

/* RET is of failures only (RFC 3461, 4.3). */
static bool is_full(const struct qmgr_bounce *b)
{
	return !b->is_headers && has_any(b, QMGR_BOUNCE_FAILED) && b->content.n > 0 && b->content.n <= FULL_MOST;
}

/* Up to the empty line, which is not of it. */
static struct str header_of(struct str content)
{
	for (size_t i = 0; i + 3 < content.n; i++)
		if (content.p[i] == '\r' && content.p[i + 1] == '\n' && content.p[i + 2] == '\r' && content.p[i + 3] == '\n')
			return str_first(content, i + 2);
	return content;
}

static struct str returned(const struct qmgr_bounce *b)
{
	return is_full(b) ? b->content : header_of(b->content);
}

bool qmgr_bounce_is_utf8(const struct qmgr_bounce *b)
{
	bool is_ascii = str_is_ascii(b->to) && str_is_ascii(b->from);

	for (unsigned i = 0; i < b->n_recipients; i++)
		is_ascii = is_ascii && str_is_ascii(b->recipients[i].address) && str_is_ascii(b->recipients[i].orcpt);
	return !is_ascii || !str_is_ascii(header_of(b->content));
}

bool qmgr_bounce_is_8bit(const struct qmgr_bounce *b)
{
	return qmgr_bounce_is_utf8(b) || !str_is_ascii(returned(b));
}

static void put_date(struct buf *out, const char *name, int64_t wall)
{
	time_t t = (time_t)(wall / 1000000);
	struct tm tm;
	char text[64];

	gmtime_r(&t, &tm);
	strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S +0000", &tm);
	buf_printf(out, "%s: %s\r\n", name, text);
}

/* What an xtext says (RFC 3461, 4); what is none stays as it is. A control character would end the field. */
static void put_xtext(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		int high = i + 2 < s.n && s.p[i] == '+' ? encode_hex_digit(s.p[i + 1]) : -1;
		int low = high >= 0 ? encode_hex_digit(s.p[i + 2]) : -1;
		char c = low >= 0 ? (char)(high * 16 + low) : s.p[i];

		buf_put_char(out, (unsigned char)c < ' ' || c == 0x7f ? '?' : c);
		i += low >= 0 ? 2 : 0;
	}
}

/* One line of ASCII. */
static void put_words(struct buf *out, struct str s)
{
	s = str_first(s, REASON_MOST);
	for (size_t i = 0; i < s.n; i++)
		buf_put_char(out, s.p[i] >= ' ' && s.p[i] <= '~' ? s.p[i] : '?');
}

/* RFC 3463: class.subject.detail, of this class. */
static bool is_status(struct str s, char class)
{
	struct str part;
	unsigned n = 0;

	if (s.n == 0 || s.p[0] != class)
		return false;
	while (str_next(&s, '.', &part)) {
		uint64_t number;

		if (part.n == 0 || part.n > 3 || !str_u64(part, 0, 999, &number))
			return false;
		n++;
	}
	return n == 3;
}

/* ---- the parts ---- */

static const struct action {
	const char *name, *status, *subject, *words;
} actions[QMGR_BOUNCE_ACTIONS] = {
	[QMGR_BOUNCE_FAILED] = {"failed", "5.0.0", "Undelivered mail returned to sender",
				"Your message could not be delivered to these recipients, and will not be tried again:"},
	[QMGR_BOUNCE_DELAYED] = {"delayed", "4.0.0", "Delayed mail: it will be tried again",
				 "Your message could not be delivered to these recipients yet. It will be tried again, you need do nothing:"},
	[QMGR_BOUNCE_RELAYED] = {"relayed", "2.0.0", "Your mail was passed on",
				 "Your message was passed on for these recipients to a system that sends no such reports. That it was "
				 "delivered to them is not known, and will not be reported:"},
};

static void put_for_people(struct buf *out, const struct qmgr_bounce *b, bool is_utf8)
{
	buf_printf(out, "Content-Type: text/plain; charset=%s\r\nContent-Transfer-Encoding: %s\r\n\r\n", is_utf8 ? "utf-8" : "us-ascii",
		   is_utf8 ? "8bit" : "7bit");
	for (unsigned action = 0; action < QMGR_BOUNCE_ACTIONS; action++) {
		if (has_any(b, action))
			buf_printf(out, "%s\r\n\r\n", actions[action].words);
		for (unsigned i = 0; i < b->n_recipients; i++) {
			const struct qmgr_bounce_recipient *r = &b->recipients[i];

			if (r->action != action)
				continue;
			buf_printf(out, "    <%.*s>\r\n", STR_ARG(r->address));
			if (action == QMGR_BOUNCE_RELAYED || r->reason.n == 0)
				continue;
			buf_put_text(out, "        ");
			put_words(out, r->reason);
			buf_put_text(out, "\r\n");
		}
		if (has_any(b, action))
			buf_put_text(out, "\r\n");
	}
	buf_printf(out, "Below is a report for programs%s.\r\n", b->content.n > 0 ? ", and your message or its header" : "");
}

static void put_original(struct buf *out, struct str orcpt)
{
	size_t type = str_find(orcpt, ';');

	if (type == orcpt.n)
		return;
	buf_printf(out, "Original-Recipient: %.*s; ", STR_ARG(str_first(orcpt, type)));
	if (str_ieq(str_first(orcpt, type), STR("utf-8")))
		buf_put_str(out, str_from(orcpt, type + 1));
	else
		put_xtext(out, str_from(orcpt, type + 1));
	buf_put_text(out, "\r\n");
}

static void put_recipient(struct buf *out, const struct qmgr_bounce *b, const struct qmgr_bounce_recipient *r)
{
	const struct action *a = &actions[r->action];

	buf_put_text(out, "\r\n");
	put_original(out, r->orcpt);
	buf_printf(out, "Final-Recipient: %s; %.*s\r\nAction: %s\r\n", str_is_ascii(r->address) ? "rfc822" : "utf-8",
		   STR_ARG(r->address), a->name);
	buf_printf(out, "Status: %.*s\r\n", STR_ARG(is_status(r->status, a->status[0]) ? r->status : str_of(a->status)));
	if (r->reason.n > 0) {
		buf_printf(out, "Diagnostic-Code: X-Provider; %u ", r->code);
		put_words(out, r->reason);
		buf_put_text(out, "\r\n");
	}
	if (r->action == QMGR_BOUNCE_DELAYED && b->retry_until > 0)
		put_date(out, "Will-Retry-Until", b->retry_until);
}

static void put_for_programs(struct buf *out, const struct qmgr_bounce *b, bool is_utf8)
{
	buf_printf(out, "Content-Type: message/%s\r\n%s\r\n", is_utf8 ? "global-delivery-status" : "delivery-status",
		   is_utf8 ? "Content-Transfer-Encoding: 8bit\r\n" : "");
	buf_printf(out, "Reporting-MTA: dns; %s\r\n", b->host);
	if (b->envid.n > 0) {
		buf_put_text(out, "Original-Envelope-Id: ");
		put_xtext(out, b->envid);
		buf_put_text(out, "\r\n");
	}
	put_date(out, "Arrival-Date", b->arrived_at);
	for (unsigned i = 0; i < b->n_recipients; i++)
		put_recipient(out, b, &b->recipients[i]);
}

static void put_returned(struct buf *out, const struct qmgr_bounce *b, bool is_utf8)
{
	struct str what = returned(b);
	const char *type = is_full(b) ? (is_utf8 ? "message/global" : "message/rfc822")
				      : (is_utf8 ? "message/global-headers" : "text/rfc822-headers");

	buf_printf(out, "Content-Type: %s\r\n%s\r\n", type,
		   str_is_ascii(what) ? "" : "Content-Transfer-Encoding: 8bit\r\n");
	buf_put_str(out, what);
	if (!str_ends(what, STR("\r\n")))
		buf_put_text(out, "\r\n");
}

void qmgr_bounce_put(struct buf *out, const struct qmgr_bounce *b)
{
	bool is_utf8 = qmgr_bounce_is_utf8(b);
	unsigned subject = QMGR_BOUNCE_FAILED; /* the gravest that there is */
	char id[UUID_TEXT];

	while (subject + 1 < QMGR_BOUNCE_ACTIONS && !has_any(b, subject))
		subject++;
	uuid_format(&b->id, id);
	buf_printf(out, "From: Mail Delivery System <%.*s>\r\nTo: <%.*s>\r\n", STR_ARG(b->from), STR_ARG(b->to));
	buf_printf(out, "Subject: %s\r\n", actions[subject].subject);
	put_date(out, "Date", b->now);
	buf_printf(out, "Message-ID: <%s@%s>\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n", id, b->host);
	buf_printf(out, "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"%s\"\r\n", id);
	if (qmgr_bounce_is_8bit(b))
		buf_put_text(out, "Content-Transfer-Encoding: 8bit\r\n");
	buf_printf(out, "\r\n--%s\r\n", id);
	put_for_people(out, b, is_utf8);
	buf_printf(out, "\r\n--%s\r\n", id);
	put_for_programs(out, b, is_utf8);
	if (b->content.n > 0) {
		buf_printf(out, "\r\n--%s\r\n", id);
		put_returned(out, b, is_utf8);
	}
	buf_printf(out, "\r\n--%s--\r\n", id);
}
