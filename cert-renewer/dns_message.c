/* SPDX-License-Identifier: Apache-2.0
 *
 * Octets of the DNS. An answer is walked through once, wholly, before anything of it is believed; what is read of it later has
 * been seen to be there.
 */
#include "cert-renewer/dns_message.h"

#include <stdio.h>

#include "lib/base/trouble.h"

enum {
	LABEL_MAX = 63,
	FLAG_ANSWER = 0x8000,
	FLAG_AUTHORITATIVE = 0x0400,
	FLAG_TRUNCATED = 0x0200,
	FLAG_RECURSION = 0x0100,
	OPCODE_SHIFT = 11,
	UPDATE_TTL = 60,
};

const char *dns_message_rcode(unsigned rcode)
{
	static const char *const names[] = {
		[DNS_NOERROR] = "NOERROR", [DNS_FORMERR] = "FORMERR",	[DNS_SERVFAIL] = "SERVFAIL", [DNS_NXDOMAIN] = "NXDOMAIN",
		[DNS_NOTIMP] = "NOTIMP",   [DNS_REFUSED] = "REFUSED",	[6] = "YXDOMAIN",	     [7] = "YXRRSET",
		[8] = "NXRRSET",	   [DNS_NOTAUTH] = "NOTAUTH",	[DNS_NOTZONE] = "NOTZONE",   [DNS_BADSIG] = "BADSIG",
		[DNS_BADKEY] = "BADKEY",   [DNS_BADTIME] = "BADTIME",	[DNS_BADTRUNC] = "BADTRUNC",
	};

	return rcode < sizeof(names) / sizeof(names[0]) && names[rcode] != NULL ? names[rcode] : "an unknown error";
}

/* ---- names ---- */

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool add_label(struct dns_name *name, struct str label)
{
	if (label.n == 0 || label.n > LABEL_MAX || name->n + 1 + label.n + 1 > DNS_NAME_MAX)
		return false;
	name->octets[name->n++] = (unsigned char)label.n;
	for (size_t i = 0; i < label.n; i++)
		name->octets[name->n++] = (unsigned char)lower(label.p[i]);
	return true;
}

bool dns_message_name(struct str text, struct dns_name *name)
{
	struct str label;

	*name = (struct dns_name){0};
	if (str_ends(text, STR(".")))
		text.n--;
	if (text.n == 0 || !str_is_printable(text) || str_find(text, '\\') < text.n || str_find(text, ' ') < text.n)
		return false;
	while (str_next(&text, '.', &label))
		if (!add_label(name, label))
			return false;
	name->octets[name->n++] = 0;
	return true;
}

char *dns_message_name_text(const struct dns_name *name, char out[DNS_NAME_TEXT])
{
	struct buf text = BUF_MAX(DNS_NAME_TEXT);

	for (unsigned at = 0; at < name->n && name->octets[at] != 0; at += 1u + name->octets[at]) {
		if (at > 0)
			buf_put_char(&text, '.');
		for (unsigned i = 1; i <= name->octets[at]; i++) {
			unsigned char c = name->octets[at + i];

			if (c > ' ' && c < 0x7f && c != '.' && c != '\\')
				buf_put_char(&text, (char)c);
			else
				buf_printf(&text, "\\%03u", c);
		}
	}
	if (text.n == 0)
		buf_put_char(&text, '.');
	must(str_copy(buf_str(&text), out, DNS_NAME_TEXT));
	buf_clear(&text);
	return out;
}

bool dns_message_name_eq(const struct dns_name *a, const struct dns_name *b)
{
	return str_eq(str_bytes(a->octets, a->n), str_bytes(b->octets, b->n));
}

bool dns_message_name_parent(struct dns_name *name)
{
	unsigned first = 1u + name->octets[0];

	if (name->n <= 1)
		return false;
	name->n -= first;
	memmove(name->octets, name->octets + first, name->n);
	return true;
}

bool dns_message_name_is_in(const struct dns_name *name, const struct dns_name *zone)
{
	struct dns_name n = *name;

	do {
		if (dns_message_name_eq(&n, zone))
			return true;
	} while (dns_message_name_parent(&n));
	return false;
}

static unsigned octet_at(struct str octets, size_t at)
{
	return (unsigned char)octets.p[at];
}

/* Every pointer leads further to the front than the one before, and than where the name began: so it ends. */
bool dns_message_name_at(struct str octets, size_t *at, struct dns_name *name)
{
	size_t here = *at, front = *at;
	bool has_jumped = false;

	*name = (struct dns_name){0};
	while (here < octets.n) {
		unsigned length = octet_at(octets, here);

		if (length == 0) {
			name->octets[name->n++] = 0;
			if (!has_jumped)
				*at = here + 1;
			return true;
		}
		if (length <= LABEL_MAX) {
			if (octets.n - here <= length || !add_label(name, str_bytes(octets.p + here + 1, length)))
				return false;
			here += 1 + length;
			continue;
		}
		if (length < 0xc0 || octets.n - here < 2)
			return false;
		if (!has_jumped)
			*at = here + 2;
		has_jumped = true;
		here = ((size_t)(length & 0x3f) << 8) | octet_at(octets, here + 1);
		if (here >= front)
			return false;
		front = here;
	}
	return false;
}

/* ---- what is said ---- */

static void put_name(struct buf *out, const struct dns_name *name)
{
	buf_put(out, name->octets, name->n);
}

static void put_update(struct buf *out, const struct dns_message_question *q)
{
	must(q->value.n <= 255);
	put_name(out, &q->record);
	buf_put_u16(out, DNS_TXT);
	/* RFC 2136, 2.5.1 and 2.5.4 */
	buf_put_u16(out, q->is_removal ? DNS_CLASS_NONE : DNS_CLASS_IN);
	buf_put_u32(out, q->is_removal ? 0 : UPDATE_TTL);
	buf_put_u16(out, (uint16_t)(1 + q->value.n));
	buf_put_u8(out, (uint8_t)q->value.n);
	buf_put_str(out, q->value);
}

void dns_message_put(struct buf *out, uint16_t id, const struct dns_message_question *q)
{
	bool is_update = q->opcode == DNS_UPDATE;

	buf_put_u16(out, id);
	buf_put_u16(out, is_update ? DNS_UPDATE << OPCODE_SHIFT : FLAG_RECURSION);
	buf_put_u16(out, 1);
	buf_put_u16(out, 0);
	buf_put_u16(out, is_update ? 1 : 0);
	buf_put_u16(out, 0);
	put_name(out, &q->name);
	buf_put_u16(out, (uint16_t)(is_update ? DNS_SOA : q->type));
	buf_put_u16(out, DNS_CLASS_IN);
	if (is_update)
		put_update(out, q);
	must(!out->is_full);
}

/* ---- what is answered ---- */

/* Reads the record at *at, which moves behind it. */
static bool record_at(struct str octets, size_t *at, struct dns_message_record *r)
{
	struct reader reader;
	unsigned size;

	if (!dns_message_name_at(octets, at, &r->name))
		return false;
	reader = reader_of(str_from(octets, *at));
	r->type = reader_u16(&reader);
	r->class = reader_u16(&reader);
	r->ttl = reader_u32(&reader);
	size = reader_u16(&reader);
	r->data = reader_bytes(&reader, size);
	if (reader.is_bad)
		return false;
	*at = octets.n - reader.n;
	r->data_at = *at - size;
	return true;
}

/* An update's answer, and one of a server that understood nothing, may be without the question (RFC 2136, 3.8). */
static bool is_ours(struct str octets, unsigned count, size_t *at, const struct dns_message_question *q, unsigned rcode)
{
	struct dns_name name;
	struct reader reader;
	unsigned type, class;

	if (count == 0)
		return q->opcode == DNS_UPDATE || rcode != DNS_NOERROR;
	if (count != 1 || !dns_message_name_at(octets, at, &name) || !dns_message_name_eq(&name, &q->name))
		return false;
	reader = reader_of(str_from(octets, *at));
	type = reader_u16(&reader);
	class = reader_u16(&reader);
	*at += 4;
	return !reader.is_bad && type == (unsigned)(q->opcode == DNS_UPDATE ? DNS_SOA : q->type) && class == DNS_CLASS_IN;
}

static bool walk(struct dns_message *m)
{
	unsigned n = m->n_records[DNS_ANSWER] + m->n_records[DNS_AUTHORITY] + m->n_records[DNS_ADDITIONAL];
	struct dns_message_record r;
	size_t at = m->records_at;

	for (unsigned i = 0; i < n; i++) {
		m->last_at = at;
		if (!record_at(m->octets, &at, &r))
			return false;
		/* One that signs stands at the end (RFC 8945, 5.1). */
		if (r.type == DNS_TSIG && i + 1 < n)
			return false;
	}
	return at == m->octets.n;
}

bool dns_message_read(struct str octets, uint16_t id, const struct dns_message_question *q, struct dns_message *m, const char **why)
{
	struct reader reader = reader_of(octets);
	unsigned its_id = reader_u16(&reader), flags = reader_u16(&reader), n_questions = reader_u16(&reader);
	size_t at = DNS_MESSAGE_HEAD;

	*m = (struct dns_message){.octets = octets, .rcode = flags & 0xf, .opcode = (flags >> OPCODE_SHIFT) & 0xf};
	m->is_truncated = (flags & FLAG_TRUNCATED) != 0;
	m->is_authoritative = (flags & FLAG_AUTHORITATIVE) != 0;
	for (unsigned i = 0; i < DNS_SECTIONS; i++)
		m->n_records[i] = reader_u16(&reader);
	*why = "it is malformed";
	if (reader.is_bad || octets.n > DNS_MESSAGE_MAX)
		return false;
	if (its_id != id || (flags & FLAG_ANSWER) == 0 || m->opcode != q->opcode ||
	    !is_ours(octets, n_questions, &at, q, m->rcode)) {
		*why = "it is the answer to another question";
		return false;
	}
	m->records_at = m->last_at = at;
	/* What is cut off in the middle of a record is asked for again, over TCP. */
	return walk(m) || m->is_truncated;
}

bool dns_message_next(const struct dns_message *m, struct dns_message_record *r)
{
	unsigned index = r->next_at == 0 ? 0 : r->index + 1, first = 0, section = 0;
	size_t at = r->next_at == 0 ? m->records_at : r->next_at;

	while (section < DNS_SECTIONS && index >= first + m->n_records[section])
		first += m->n_records[section++];
	if (section == DNS_SECTIONS || !record_at(m->octets, &at, r))
		return false;
	r->section = (enum dns_section)section;
	r->index = index;
	r->next_at = at;
	return true;
}

bool dns_message_target(const struct dns_message *m, const struct dns_message_record *r, struct dns_name *target)
{
	size_t at = r->data_at;

	return r->type == DNS_CNAME && dns_message_name_at(m->octets, &at, target) && at == r->data_at + r->data.n;
}

bool dns_message_follow(const struct dns_message *m, struct dns_name *name, unsigned *hops)
{
	struct dns_message_record r = {0};
	struct dns_name target;
	bool moved = false;

	while (*hops < DNS_HOPS_MAX && dns_message_next(m, &r)) {
		if (r.section != DNS_ANSWER || r.class != DNS_CLASS_IN || !dns_message_name_eq(&r.name, name) ||
		    !dns_message_target(m, &r, &target))
			continue;
		*name = target;
		*hops += 1;
		moved = true;
		r = (struct dns_message_record){0}; /* they may stand in any order */
	}
	return moved;
}

bool dns_message_text_is(const struct dns_message_record *r, struct str value)
{
	struct str data = r->data;

	if (r->type != DNS_TXT || data.n == 0)
		return false;
	while (data.n > 0) {
		size_t n = octet_at(data, 0);

		data = str_from(data, 1);
		if (data.n < n || value.n < n || !str_eq(str_first(data, n), str_first(value, n)))
			return false;
		data = str_from(data, n);
		value = str_from(value, n);
	}
	return value.n == 0;
}
