/* SPDX-License-Identifier: Apache-2.0
 *
 * The grammar of the DSN parameters. Pure.
 */
#include "smtpd/smtpd_dsn.h"

#include "lib/base/encode.h"

static const struct {
	struct str word;
	unsigned bit;
} notify_words[] = {{STR("NEVER"), 1}, {STR("SUCCESS"), 2}, {STR("FAILURE"), 4}, {STR("DELAY"), 8}};

enum { NEVER = 1, NOTIFY_WORDS = 4 };

static int hex_digit(char c, bool takes_lower)
{
	return takes_lower || c < 'a' ? encode_hex_digit(c) : -1;
}

bool smtpd_dsn_is_xtext(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		int high, low;

		if (s.p[i] < '!' || s.p[i] > '~' || s.p[i] == '=')
			return false;
		if (s.p[i] != '+')
			continue;
		if (s.n - i < 3)
			return false;
		high = hex_digit(s.p[i + 1], false);
		low = hex_digit(s.p[i + 2], false);
		if (high < 2 || high > 7 || low < 0 || high * 16 + low == 0x7f)
			return false;
		i += 2;
	}
	return s.n > 0;
}

void smtpd_dsn_put_decoded(struct buf *out, struct str xtext)
{
	for (size_t i = 0; i < xtext.n; i++) {
		bool is_escaped = xtext.p[i] == '+' && xtext.n - i > 2;

		buf_put_char(out, is_escaped ? (char)(encode_hex_digit(xtext.p[i + 1]) * 16 + encode_hex_digit(xtext.p[i + 2]))
					     : xtext.p[i]);
		i += is_escaped ? 2 : 0;
	}
}

/* "\x{HEX}" at the front of s: how long it is; 0 when it is none, or a control character, or no character. */
static size_t embedded(struct str s)
{
	struct str digits = str_first(str_from(s, 3), str_find(str_from(s, 3), '}'));
	uint32_t c = 0;

	if (!str_starts(s, STR("\\x{")) || digits.n < 2 || digits.n > 6 || digits.n + 4 > s.n)
		return 0;
	for (size_t i = 0; i < digits.n; i++) {
		int digit = hex_digit(digits.p[i], true);

		if (digit < 0)
			return 0;
		c = c * 16 + (uint32_t)digit;
	}
	if (c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff)
		return 0;
	return digits.n + 4;
}

/* RFC 6533, 3: utf-8-addr-xtext, and when the session speaks UTF-8 utf-8-addr-unitext. */
static bool is_utf8_address(struct str s, bool is_utf8)
{
	if (s.n == 0 || !str_is_utf8(s))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '\\') {
			size_t n = embedded(str_from(s, i));

			if (n == 0)
				return false;
			i += n - 1;
		} else if (c <= ' ' || c == 0x7f || c == '+' || c == '=' || (c >= 0x80 && !is_utf8)) {
			return false;
		}
	}
	return true;
}

/* addr-type ";" address */
static bool is_orcpt(struct str s, bool is_utf8)
{
	size_t end = str_find(s, ';');
	struct str type = str_first(s, end), address = str_from(s, end + 1);

	if (end == s.n || type.n == 0 || s.n > SMTPD_DSN_ORCPT_MAX)
		return false;
	for (size_t i = 0; i < type.n; i++) /* an atom */
		if (type.p[i] <= ' ' || type.p[i] > '~' || strchr("()<>@,;:\\\"/[]?=", type.p[i]) != NULL)
			return false;
	return str_ieq(type, STR("utf-8")) ? is_utf8_address(address, is_utf8) : smtpd_dsn_is_xtext(address);
}

static enum smtp_reply take_text(struct str *place, struct str value, bool is_good)
{
	if (place->p != NULL || !is_good)
		return SMTP_REPLY_BAD_PARAMETER;
	*place = value;
	return SMTP_REPLY_NONE;
}

static enum smtp_reply take_ret(struct smtpd_dsn *dsn, struct str value)
{
	if (dsn->ret != NULL)
		return SMTP_REPLY_BAD_PARAMETER;
	dsn->ret = str_ieq(value, STR("FULL")) ? "FULL" : str_ieq(value, STR("HDRS")) ? "HDRS" : NULL;
	return dsn->ret != NULL ? SMTP_REPLY_NONE : SMTP_REPLY_BAD_PARAMETER;
}

static unsigned notify_bit(struct str word)
{
	for (size_t i = 0; i < NOTIFY_WORDS; i++)
		if (str_ieq(word, notify_words[i].word))
			return notify_words[i].bit;
	return 0;
}

static enum smtp_reply take_notify(struct smtpd_dsn *dsn, struct str value)
{
	struct str word;

	if (dsn->notify != 0)
		return SMTP_REPLY_BAD_PARAMETER;
	while (str_next(&value, ',', &word)) {
		unsigned bit = notify_bit(word);

		if (bit == 0 || (dsn->notify & bit))
			return SMTP_REPLY_BAD_PARAMETER;
		dsn->notify |= bit;
	}
	if (dsn->notify == 0 || ((dsn->notify & NEVER) && dsn->notify != NEVER))
		return SMTP_REPLY_BAD_PARAMETER;
	return SMTP_REPLY_NONE;
}

enum smtp_reply smtpd_dsn_of_mail(struct smtpd_dsn *dsn, struct str name, struct str value)
{
	if (str_ieq(name, STR("RET")))
		return take_ret(dsn, value);
	if (str_ieq(name, STR("ENVID")))
		return take_text(&dsn->envid, value, value.n <= SMTPD_DSN_ENVID_MAX && smtpd_dsn_is_xtext(value));
	return SMTP_REPLY_UNKNOWN_PARAMETER;
}

enum smtp_reply smtpd_dsn_of_rcpt(struct smtpd_dsn *dsn, struct str name, struct str value, bool is_utf8)
{
	if (str_ieq(name, STR("NOTIFY")))
		return take_notify(dsn, value);
	if (str_ieq(name, STR("ORCPT")))
		return take_text(&dsn->orcpt, value, is_orcpt(value, is_utf8));
	return SMTP_REPLY_UNKNOWN_PARAMETER;
}

void smtpd_dsn_put_mail(struct buf *out, const struct smtpd_dsn *dsn)
{
	if (dsn->ret == NULL && dsn->envid.n == 0)
		return;
	if (dsn->ret != NULL)
		buf_printf(out, "RET=%s%s", dsn->ret, dsn->envid.n > 0 ? " " : "");
	if (dsn->envid.n > 0)
		buf_printf(out, "ENVID=%.*s", STR_ARG(dsn->envid));
	buf_put_char(out, '\n');
}

size_t smtpd_dsn_rcpt_size(const struct smtpd_dsn *dsn)
{
	/* Its number, the names, the words of NOTIFY and the first line's end. */
	return dsn->notify == 0 && dsn->orcpt.n == 0 ? 0 : dsn->orcpt.n + 64;
}

void smtpd_dsn_put_rcpt(struct buf *out, unsigned index, const struct smtpd_dsn *dsn)
{
	const char *before = " NOTIFY=";

	if (dsn->notify == 0 && dsn->orcpt.n == 0)
		return;
	if (out->n == 0) /* MAIL's line is there in any case */
		buf_put_char(out, '\n');
	buf_printf(out, "%u", index);
	for (size_t i = 0; i < NOTIFY_WORDS; i++)
		if (dsn->notify & notify_words[i].bit) {
			buf_printf(out, "%s%.*s", before, STR_ARG(notify_words[i].word));
			before = ",";
		}
	if (dsn->orcpt.n > 0)
		buf_printf(out, " ORCPT=%.*s", STR_ARG(dsn->orcpt));
	buf_put_char(out, '\n');
}
