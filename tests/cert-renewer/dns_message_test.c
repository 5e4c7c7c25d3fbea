/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages of the DNS: what dig and nsupdate (BIND 9.18) said to named, and what it answered, octet for octet; and malformed
 * ones.
 */
#include "cert-renewer/dns_message.h"

#include "lib/base/encode.h"
#include "tests/support/unit.h"

#define NAME "0f5f61636d652d6368616c6c656e6765076578616d706c6503636f6d00" /* _acme-challenge.example.com */
#define ZONE "076578616d706c6503636f6d00"

static struct str octets_of(struct buf *out, const char *hex)
{
	buf_reset(out);
	for (; hex[0] != '\0'; hex += 2)
		buf_put_u8(out, (uint8_t)(encode_hex_digit(hex[0]) << 4 | encode_hex_digit(hex[1])));
	return buf_str(out);
}

static void name_of(const char *text, struct dns_name *name)
{
	UNIT_TRUE(dns_message_name(str_of(text), name));
}

static void check_put(uint16_t id, const struct dns_message_question *q, const char *expected)
{
	struct buf out = BUF_MAX(DNS_MESSAGE_MAX), hex = BUF_MAX(4096);

	dns_message_put(&out, id, q);
	encode_hex(&hex, buf_str(&out));
	UNIT_STR(buf_str(&hex), expected);
	buf_clear(&out);
	buf_clear(&hex);
}

static void queries_are_dig_s(void)
{
	struct dns_message_question q = {.opcode = DNS_QUERY, .type = DNS_TXT};

	name_of("_acme-challenge.Example.com.", &q.name);
	check_put(0x8052, &q, "805201000001000000000000" NAME "00100001");
}

/* nsupdate's, but for the pointer to the zone's name in its record's. */
static void updates_are_nsupdate_s(void)
{
	struct dns_message_question q = {.opcode = DNS_UPDATE, .value = STR("gfj9Xq...Rg85nM")};

	name_of("example.com", &q.name);
	name_of("_acme-challenge.example.com", &q.record);
	check_put(0x029e, &q,
		  "029e28000001000000010000" ZONE "00060001" NAME "001000010000003c00100f67666a3958712e2e2e526738356e4d");
	q.is_removal = true;
	check_put(0x029e, &q,
		  "029e28000001000000010000" ZONE "00060001" NAME "001000fe0000000000100f67666a3958712e2e2e526738356e4d");
}

static void names_are_read_from_text(void)
{
	static const struct {
		const char *text, *shown; /* NULL: it cannot be one */
	} cases[] = {
		{"example.com", "example.com"},
		{"EXAMPLE.com.", "example.com"},
		{"*.example.com", "*.example.com"},
		{"com", "com"},
		{"", NULL},
		{".", NULL},
		{".example.com", NULL},
		{"example..com", NULL},
		{"exam ple.com", NULL},
		{"exam\\ple.com", NULL},
		{"exam\xc3\xa4ple.com", NULL},
		/* 63 octets, and 64 */
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL},
	};
	char text[DNS_NAME_TEXT];
	struct dns_name name;
	struct buf longest = BUF_MAX(300);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool ok = dns_message_name(str_of(cases[i].text), &name);

		UNIT_INT(ok, cases[i].shown != NULL);
		if (ok)
			UNIT_TEXT(dns_message_name_text(&name, text), cases[i].shown);
	}
	/* 255 octets with all lengths: 126 labels of one octet are 253 of them. */
	for (int i = 0; i < 126; i++)
		buf_put_text(&longest, "a.");
	UNIT_TRUE(dns_message_name(buf_str(&longest), &name));
	buf_put_text(&longest, "a.");
	UNIT_TRUE(dns_message_name(buf_str(&longest), &name));
	UNIT_INT(name.n, DNS_NAME_MAX);
	buf_put_text(&longest, "a.");
	UNIT_TRUE(!dns_message_name(buf_str(&longest), &name));
	buf_clear(&longest);
}

static void names_have_parents(void)
{
	struct dns_name name, zone, other;

	name_of("_acme-challenge.example.com", &name);
	name_of("example.com", &zone);
	name_of("ample.com", &other);
	UNIT_TRUE(dns_message_name_is_in(&name, &zone));
	UNIT_TRUE(dns_message_name_is_in(&zone, &zone));
	UNIT_TRUE(!dns_message_name_is_in(&zone, &name));
	UNIT_TRUE(!dns_message_name_is_in(&name, &other));
	UNIT_TRUE(dns_message_name_parent(&name) && dns_message_name_eq(&name, &zone));
	UNIT_TRUE(dns_message_name_parent(&name) && dns_message_name_parent(&name));
	UNIT_INT(name.n, 1);
	UNIT_TRUE(!dns_message_name_parent(&name));
}

static bool read_hex(struct buf *b, const char *hex, uint16_t id, enum dns_type type, const char *name, struct dns_message *m)
{
	struct dns_message_question q = {.opcode = DNS_QUERY, .type = type};
	const char *why;

	name_of(name, &q.name);
	return dns_message_read(octets_of(b, hex), id, &q, m, &why);
}

static void what_named_answers_is_read(void)
{
	struct buf b = BUF_MAX(DNS_MESSAGE_MAX);
	struct dns_message_record r = {0};
	struct dns_message m;
	char text[DNS_NAME_TEXT];

	UNIT_TRUE(read_hex(&b,
			   "8052850000010001000000000f5f61636d652d6368616c6c656e6765076578616d706c6503636f6d0000100001c00c0010"
			   "00010000003c00100f67666a3958712e2e2e526738356e4d",
			   0x8052, DNS_TXT, "_acme-challenge.example.com", &m));
	UNIT_TRUE(m.is_authoritative && !m.is_truncated);
	UNIT_TRUE(dns_message_next(&m, &r));
	UNIT_TEXT(dns_message_name_text(&r.name, text), "_acme-challenge.example.com");
	UNIT_INT(r.section, DNS_ANSWER);
	UNIT_INT(r.ttl, 60);
	UNIT_TRUE(dns_message_text_is(&r, STR("gfj9Xq...Rg85nM")));
	UNIT_TRUE(!dns_message_text_is(&r, STR("gfj9Xq...Rg85n")));
	UNIT_TRUE(!dns_message_text_is(&r, STR("gfj9Xq...Rg85nM.")));
	UNIT_TRUE(!dns_message_next(&m, &r));

	r = (struct dns_message_record){0};
	UNIT_TRUE(read_hex(&b,
			   "6c9385030001000000010000076e6f7468696e67076578616d706c6503636f6d0000060001c01400060001000000000021"
			   "026e73c0140561646d696ec0140000000200000e1000000258000151800000003c",
			   0x6c93, DNS_SOA, "nothing.example.com", &m));
	UNIT_INT(m.rcode, DNS_NXDOMAIN);
	UNIT_TRUE(dns_message_next(&m, &r));
	UNIT_TEXT(dns_message_name_text(&r.name, text), "example.com");
	UNIT_INT(r.section, DNS_AUTHORITY);
	UNIT_INT(r.type, DNS_SOA);

	UNIT_TRUE(read_hex(&b, "9ad08105000100000000000003777777076578616d706c65036e65740000060001", 0x9ad0, DNS_SOA,
			   "www.example.net", &m));
	UNIT_INT(m.rcode, DNS_REFUSED);
	buf_clear(&b);
}

static void texts_in_several_strings_are_one(void)
{
	struct dns_message_record r = {.type = DNS_TXT};

	r.data = STR("\x02""ab\x00\x01""c");
	UNIT_TRUE(dns_message_text_is(&r, STR("abc")));
	UNIT_TRUE(!dns_message_text_is(&r, STR("ab")));
	UNIT_TRUE(!dns_message_text_is(&r, STR("abcd")));
	r.data = STR("\x04""abc");
	UNIT_TRUE(!dns_message_text_is(&r, STR("abc")));
	r.data = STR("");
	UNIT_TRUE(!dns_message_text_is(&r, STR("")));
	r = (struct dns_message_record){.type = DNS_CNAME, .data = STR("\x01""a")};
	UNIT_TRUE(!dns_message_text_is(&r, STR("a")));
}

static void an_alias_leads_on(void)
{
	struct buf b = BUF_MAX(DNS_MESSAGE_MAX);
	struct dns_message_record r = {0};
	struct dns_name target;
	struct dns_message m;
	char text[DNS_NAME_TEXT];
	unsigned hops = 0;

	UNIT_TRUE(read_hex(&b, "000185000001000100000000" "0161" ZONE "00100001" "c00c00050001000000000004" "0162c00e", 1, DNS_TXT,
			   "a.example.com", &m));
	UNIT_TRUE(dns_message_next(&m, &r));
	UNIT_TRUE(dns_message_target(&m, &r, &target));
	UNIT_TEXT(dns_message_name_text(&target, text), "b.example.com");
	/* From one to the next, in whatever order: a leads to b.example.com, and that to example.com. */
	UNIT_TRUE(read_hex(&b,
			   "000185000001000200000000" "0161" ZONE "00100001" "0162c00e00050001000000000002" "c00e"
			   "c00c00050001000000000004" "0162c00e",
			   1, DNS_TXT, "a.example.com", &m));
	name_of("a.example.com", &target);
	UNIT_TRUE(dns_message_follow(&m, &target, &hops));
	UNIT_TEXT(dns_message_name_text(&target, text), "example.com");
	UNIT_INT(hops, 2);
	UNIT_TRUE(!dns_message_follow(&m, &target, &hops));
	/* Not without end: a leads to a. */
	UNIT_TRUE(read_hex(&b, "000185000001000100000000" "0161" ZONE "00100001" "c00c00050001000000000002" "c00c", 1, DNS_TXT,
			   "a.example.com", &m));
	name_of("a.example.com", &target);
	UNIT_TRUE(dns_message_follow(&m, &target, &hops));
	UNIT_INT(hops, DNS_HOPS_MAX);
	UNIT_TRUE(!dns_message_follow(&m, &target, &hops));
	/* More in the record than the name. */
	r = (struct dns_message_record){0};
	UNIT_TRUE(read_hex(&b, "000185000001000100000000" "0161" ZONE "00100001" "c00c00050001000000000005" "0162c00e00", 1,
			   DNS_TXT, "a.example.com", &m));
	UNIT_TRUE(dns_message_next(&m, &r) && !dns_message_target(&m, &r, &target));
	buf_clear(&b);
}

#define ANSWER(counts, rest) "00018500" "0001" counts "0161" ZONE "00100001" rest

static void malformed_answers_are_refused(void)
{
	static const char *const cases[] = {
		"",
		"0001850000010000000000",			    /* not even a head */
		"000105000001000000000000" "0161" ZONE "00100001", /* a question */
		"000285000001000000000000" "0161" ZONE "00100001", /* another id */
		"0001ad00" "0001000000000000" "0161" ZONE "00100001", /* another opcode */
		"000185000000000000000000",			    /* no question, no error */
		"000185000002000000000000" "0161" ZONE "00100001" "0161" ZONE "00100001",
		"000185000001000000000000" "0162" ZONE "00100001", /* another name */
		"000185000001000000000000" "0161" ZONE "00060001", /* type */
		"000185000001000000000000" "0161" ZONE "00100003", /* class */
		"000185000001000000000000" "0161" ZONE "001000",
		ANSWER("000000000000", "00"),			       /* something behind it */
		ANSWER("000100000000", ""),			       /* less than it says */
		ANSWER("000100000000", "c00c00100001000000000002" "01"), /* data cut off */
		ANSWER("000100000000", "c00c0010000100000000"),
		ANSWER("000100000000", "c01f001000010000000000020161"), /* a name that points to itself */
		ANSWER("000100000000", "c021001000010000000000020161"), /* forward */
		ANSWER("000100000000", "ffff001000010000000000020161"),
		ANSWER("000100000000", "80001000010000000000020161"),  /* neither label nor pointer */
		ANSWER("000100000000", "40001000010000000000020161"),
		ANSWER("000100000000", "3f6161"),		       /* a label that is cut off */
		ANSWER("000100000000", "c0"),
		ANSWER("000200000000", "c00c00fa00ff000000000000" "c00c001000010000000000020161"), /* signed in the middle */
	};
	struct buf b = BUF_MAX(DNS_MESSAGE_MAX);
	struct dns_message m;

	UNIT_TRUE(read_hex(&b, ANSWER("000100000000", "c00c001000010000000000020161"), 1, DNS_TXT, "a.example.com", &m));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool ok = read_hex(&b, cases[i], 1, DNS_TXT, "a.example.com", &m);

		if (ok)
			printf("\n%s", cases[i]);
		UNIT_TRUE(!ok);
	}
	/* What an error's answer may lack. */
	UNIT_TRUE(read_hex(&b, "000180010000000000000000", 1, DNS_TXT, "a.example.com", &m));
	UNIT_INT(m.rcode, DNS_FORMERR);
	/* What is cut off may end in the middle. */
	UNIT_TRUE(read_hex(&b, "00018700" "0001000200000000" "0161" ZONE "00100001" "c00c001000", 1, DNS_TXT, "a.example.com", &m));
	UNIT_TRUE(m.is_truncated);
	buf_clear(&b);
}

/* Pointers that lead ever further to the front, and a name too long at the end of them. */
static void names_do_not_grow_without_end(void)
{
	struct buf b = BUF_MAX(DNS_MESSAGE_MAX);
	struct dns_name name;
	size_t at = 0, last = 0;

	octets_of(&b, "0161" "00");
	for (unsigned i = 0; i < 126; i++) {
		at = b.n;
		buf_put_text(&b, "\x01""b");
		buf_put_u16(&b, (uint16_t)(0xc000 | last));
		last = at;
		UNIT_TRUE(dns_message_name_at(buf_str(&b), &at, &name));
		UNIT_INT(at, b.n);
		UNIT_INT(name.n, 2 * i + 5);
	}
	at = b.n;
	buf_put_text(&b, "\x01""b");
	buf_put_u16(&b, (uint16_t)(0xc000 | last));
	UNIT_TRUE(!dns_message_name_at(buf_str(&b), &at, &name));
	buf_clear(&b);
}

UNIT_TESTS({"queries are dig's", queries_are_dig_s}, {"updates are nsupdate's", updates_are_nsupdate_s},
	   {"names are read from text", names_are_read_from_text}, {"names have parents", names_have_parents},
	   {"what named answers is read", what_named_answers_is_read},
	   {"texts in several strings are one", texts_in_several_strings_are_one}, {"an alias leads on", an_alias_leads_on},
	   {"malformed answers are refused", malformed_answers_are_refused},
	   {"names do not grow without end", names_do_not_grow_without_end})
