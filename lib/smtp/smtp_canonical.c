/* SPDX-License-Identifier: Apache-2.0
 *
 * Punycode is decoded (RFC 3492), which needs no tables; to encode a name as IDNA does would.
 */
#include "lib/smtp/smtp_canonical.h"

#include "lib/base/trouble.h"
#include "lib/smtp/smtp_address.h"

enum { LABEL_MAX = 63, CODE_POINT_MAX = 0x10ffff };

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static void put_lower(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		buf_put_char(out, lower(s.p[i]));
}

/* ---- domains ---- */

static void put_utf8(struct buf *out, uint32_t c)
{
	if (c < 0x80) {
		buf_put_char(out, (char)c);
		return;
	}
	if (c < 0x800) {
		buf_put_u8(out, (uint8_t)(0xc0 | c >> 6));
	} else {
		if (c < 0x10000) {
			buf_put_u8(out, (uint8_t)(0xe0 | c >> 12));
		} else {
			buf_put_u8(out, (uint8_t)(0xf0 | c >> 18));
			buf_put_u8(out, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
		}
		buf_put_u8(out, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
	}
	buf_put_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
}

/* RFC 3492, 5: base 36, tmin 1, tmax 26, skew 38, damp 700. */
static uint32_t adapt(uint32_t delta, uint32_t n, bool is_first)
{
	uint32_t k = 0;

	delta /= is_first ? 700 : 2;
	for (delta += delta / n; delta > 35 * 26 / 2; delta /= 35)
		k += 36;
	return k + 36 * delta / (delta + 38);
}

/* The next variable-length integer (RFC 3492, 3.3), as what it adds to *i. */
static bool take_delta(struct str *s, uint32_t bias, uint32_t *i)
{
	uint64_t sum = *i, weight = 1;

	for (uint32_t k = 36;; k += 36) {
		uint32_t threshold = k <= bias ? 1 : k >= bias + 26 ? 26 : k - bias, digit;
		char c = s->n > 0 ? lower(s->p[0]) : '\0';

		if (c >= 'a' && c <= 'z')
			digit = (uint32_t)(c - 'a');
		else if (c >= '0' && c <= '9')
			digit = (uint32_t)(c - '0') + 26;
		else
			return false;
		*s = str_from(*s, 1);
		sum += digit * weight;
		if (sum > (uint64_t)CODE_POINT_MAX * (LABEL_MAX + 1))
			return false;
		if (digit < threshold) {
			*i = (uint32_t)sum;
			return true;
		}
		weight *= 36 - threshold;
		if (weight > UINT32_MAX)
			return false;
	}
}

/* What stands behind "xn--" as code points; how many, or 0: it is no Punycode. */
static uint32_t decode(struct str s, uint32_t out[LABEL_MAX])
{
	uint32_t n = 0, code = 0x80, i = 0, bias = 72;
	size_t basic = s.n;

	while (basic > 0 && s.p[basic - 1] != '-')
		basic--;
	for (size_t k = 0; k + 1 < basic; k++)
		out[n++] = (unsigned char)lower(s.p[k]);
	s = str_from(s, basic);
	while (s.n > 0) {
		uint32_t before = i;

		if (n == LABEL_MAX || !take_delta(&s, bias, &i))
			return 0;
		n++;
		bias = adapt(i - before, n, before == 0);
		code += i / n;
		i %= n;
		if (code > CODE_POINT_MAX)
			return 0;
		for (uint32_t k = n - 1; k > i; k--)
			out[k] = out[k - 1];
		out[i++] = code;
	}
	return n;
}

/* A label that says that it is one and is not stays what it is. */
static void put_label(struct buf *out, struct str label)
{
	struct buf decoded = BUF_MAX(4 * LABEL_MAX);
	uint32_t points[LABEL_MAX];

	if (label.n <= LABEL_MAX && str_is_ascii(label) && str_istarts(label, STR("xn--")))
		for (uint32_t i = 0, n = decode(str_from(label, 4), points); i < n; i++)
			put_utf8(&decoded, points[i]);
	if (decoded.n > 0 && !str_is_ascii(buf_str(&decoded)) && smtp_address_is_domain(buf_str(&decoded)))
		buf_put_str(out, buf_str(&decoded));
	else
		put_lower(out, label);
	buf_clear(&decoded);
}

static void put_domain(struct buf *out, struct str domain)
{
	struct buf labels = BUF_MAX(4096);
	struct str rest = domain, label;

	while (str_next(&rest, '.', &label)) {
		if (labels.n > 0)
			buf_put_char(&labels, '.');
		put_label(&labels, label);
	}
	/* No name of U-labels that is longer is let in, so none is to be found by it. */
	if (domain.p[0] == '[' || labels.is_full || labels.n > SMTP_ADDRESS_DOMAIN_MAX)
		put_lower(out, domain);
	else
		buf_put_str(out, buf_str(&labels));
	buf_clear(&labels);
}

/* ---- local parts ---- */

static bool is_dot_string(struct str local)
{
	struct buf mailbox = BUF_MAX(SMTP_ADDRESS_LOCAL_MAX + 2);
	struct smtp_address a;
	bool is = buf_put_str(&mailbox, local) && buf_put_text(&mailbox, "@x") && local.n > 0 && local.p[0] != '"' &&
		  smtp_address_parse(buf_str(&mailbox), &a) == SMTP_ADDRESS_OK && a.local.n == local.n;

	buf_clear(&mailbox);
	return is;
}

static void put_local(struct buf *out, struct str local)
{
	struct buf plain = BUF_MAX(SMTP_ADDRESS_LOCAL_MAX);

	if (local.p[0] != '"') {
		put_lower(out, local);
		return;
	}
	for (size_t i = 1; i + 1 < local.n; i++) {
		i += local.p[i] == '\\';
		buf_put_char(&plain, lower(local.p[i]));
	}
	if (is_dot_string(buf_str(&plain))) {
		buf_put_str(out, buf_str(&plain));
	} else {
		buf_put_char(out, '"');
		for (size_t i = 0; i < plain.n; i++) {
			if (plain.p[i] == '"' || plain.p[i] == '\\')
				buf_put_char(out, '\\');
			buf_put_char(out, plain.p[i]);
		}
		buf_put_char(out, '"');
	}
	buf_clear(&plain);
}

bool smtp_canonical_address(struct str address, struct buf *out)
{
	struct smtp_address a = {.domain = str_from(address, 1)};
	bool is_domain = address.n > 0 && address.p[0] == '@';

	if (is_domain ? !smtp_address_is_domain(a.domain) : smtp_address_parse(address, &a) != SMTP_ADDRESS_OK)
		return false;
	if (!is_domain)
		put_local(out, a.local);
	buf_put_char(out, '@');
	put_domain(out, a.domain);
	return true;
}
