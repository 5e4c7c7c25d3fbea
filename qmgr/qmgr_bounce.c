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
		if (str_eq(word, STR("RET=HDRS")))
			wish->is_headers = true;
		else if (str_starts(word, STR("ENVID=")))
			wish->envid = str_from(word, 6);
		else if (str_starts(word, STR("ORCPT=")))
			wish->orcpt = str_from(word, 6);
		else if (str_starts(word, STR("NOTIFY=")))
			wish->is_never = !has_word(str_from(word, 7), STR("FAILURE"));
	}
}

struct qmgr_bounce_wish qmgr_bounce_wish(struct str dsn, unsigned recipient)
{
	struct qmgr_bounce_wish wish = {.is_never = false};
	struct str line;
	bool is_first = true;

	while (str_next(&dsn, '\n', &line)) {
		struct str number = str_first(line, str_find(line, ' '));
		uint64_t index;

		if (is_first || (str_u64(number, 0, UINT32_MAX, &index) && index == recipient))
			take_words(line, &wish);
		is_first = false;
	}
	return wish;
}

/* ---- pieces ---- */

static bool is_full(const struct qmgr_bounce *b)
{
	return !b->is_headers && b->content.n > 0 && b->content.n <= FULL_MOST;
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

/* RFC 3463: class.subject.detail; of a failure the class is 5. */
static bool is_status(struct str s)
{
	struct str part;
	unsigned n = 0;

	if (!str_starts(s, STR("5.")))
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

static void put_for_people(struct buf *out, const struct qmgr_bounce *b, bool is_utf8)
{
	buf_printf(out, "Content-Type: text/plain; charset=%s\r\nContent-Transfer-Encoding: %s\r\n\r\n", is_utf8 ? "utf-8" : "us-ascii",
		   is_utf8 ? "8bit" : "7bit");
	buf_put_text(out, "Your message could not be delivered to these recipients, and will not be tried again:\r\n\r\n");
	for (unsigned i = 0; i < b->n_recipients; i++)
		buf_printf(out, "    <%.*s>\r\n", STR_ARG(b->recipients[i].address));
	buf_put_text(out, "\r\nThe reason that was given:\r\n\r\n    ");
	put_words(out, b->reason.n > 0 ? b->reason : STR("none"));
	buf_put_text(out, "\r\n\r\nBelow is a report for programs, and your message or its header.\r\n");
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
	for (unsigned i = 0; i < b->n_recipients; i++) {
		const struct qmgr_bounce_recipient *r = &b->recipients[i];
		size_t type = str_find(r->orcpt, ';');

		buf_put_text(out, "\r\n");
		if (type < r->orcpt.n) {
			buf_printf(out, "Original-Recipient: %.*s; ", STR_ARG(str_first(r->orcpt, type)));
			if (str_ieq(str_first(r->orcpt, type), STR("utf-8")))
				buf_put_str(out, str_from(r->orcpt, type + 1));
			else
				put_xtext(out, str_from(r->orcpt, type + 1));
			buf_put_text(out, "\r\n");
		}
		buf_printf(out, "Final-Recipient: %s; %.*s\r\nAction: failed\r\n", str_is_ascii(r->address) ? "rfc822" : "utf-8",
			   STR_ARG(r->address));
		buf_printf(out, "Status: %.*s\r\n", STR_ARG(is_status(b->status) ? b->status : STR("5.0.0")));
		if (b->reason.n > 0) {
			buf_printf(out, "Diagnostic-Code: X-Provider; %u ", b->code);
			put_words(out, b->reason);
			buf_put_text(out, "\r\n");
		}
	}
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
	char id[UUID_TEXT];

	uuid_format(&b->id, id);
	buf_printf(out, "From: Mail Delivery System <%.*s>\r\nTo: <%.*s>\r\n", STR_ARG(b->from), STR_ARG(b->to));
	buf_put_text(out, "Subject: Undelivered mail returned to sender\r\n");
	put_date(out, "Date", b->now);
	buf_printf(out, "Message-ID: <%s@%s>\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n", id, b->host);
	buf_printf(out, "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"%s\"\r\n", id);
	if (qmgr_bounce_is_8bit(b))
		buf_put_text(out, "Content-Transfer-Encoding: 8bit\r\n");
	buf_printf(out, "\r\n--%s\r\n", id);
	put_for_people(out, b, is_utf8);
	buf_printf(out, "\r\n--%s\r\n", id);
	put_for_programs(out, b, is_utf8);
	buf_printf(out, "\r\n--%s\r\n", id);
	put_returned(out, b, is_utf8);
	buf_printf(out, "\r\n--%s--\r\n", id);
}
