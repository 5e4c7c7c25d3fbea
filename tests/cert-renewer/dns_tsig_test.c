/* SPDX-License-Identifier: Apache-2.0
 *
 * TSIG: an update that nsupdate signed and named answered (BIND 9.18), octet for octet.
 */
#include "cert-renewer/dns_tsig.h"

#include "lib/base/encode.h"
#include "tests/support/unit.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define UNSIGNED_UPDATE \
	"029e28000001000000010000076578616d706c6503636f6d00000600010f5f61636d652d6368616c6c656e6765c00c001000010000003c0010" \
	"0f67666a3958712e2e2e526738356e4d"
#define MAC "4a994223020ff8ec2071f7fd33194018e68f94f6dfae8ec50a99e4ff94a43a20"
#define TSIG_HEAD "0861636d652d6b65790000fa00ff00000000003d0b686d61632d7368613235360000006b02e3fc012c0020"
#define ANSWER \
	"029ea8000001000000000001076578616d706c6503636f6d0000060001" TSIG_HEAD \
	"ef595ccc67db29580bc2be163bf62f0b23746858d89062321fb21e433e0345a3029e00000000"
#define BADSIG_ANSWER \
	"5499a8090001000000000001076578616d706c6503636f6d00000600010861636d652d6b65790000fa00ff00000000001d0b686d61632d7368" \
	"613235360000006b02e3fc012c0000549900100000"

enum { SIGNED_AT = 0x6b02e3fc };

static struct str octets_of(struct buf *out, const char *hex)
{
	buf_reset(out);
	for (; hex[0] != '\0'; hex += 2)
		buf_put_u8(out, (uint8_t)(encode_hex_digit(hex[0]) << 4 | encode_hex_digit(hex[1])));
	return buf_str(out);
}

static struct dns_tsig_key make_key(const char *name)
{
	struct dns_tsig_key key = {.digest = DIGEST_SHA256, .secret = STR(SECRET)};

	UNIT_TRUE(dns_message_name(str_of(name), &key.name));
	return key;
}

static void read_answer(struct str octets, uint16_t id, struct dns_message *m)
{
	struct dns_message_question q = {.opcode = DNS_UPDATE};
	const char *why;

	UNIT_TRUE(dns_message_name(STR("example.com"), &q.name));
	UNIT_TRUE(dns_message_read(octets, id, &q, m, &why));
}

static void a_signature_is_nsupdate_s(void)
{
	struct dns_tsig_key key = make_key("ACME-key");
	struct buf message = BUF_MAX(DNS_MESSAGE_MAX), hex = BUF_MAX(4096);
	struct dns_tsig_mac mac;

	octets_of(&message, UNSIGNED_UPDATE);
	dns_tsig_sign(&message, &key, SIGNED_AT, &mac);
	encode_hex(&hex, buf_str(&message));
	UNIT_STR(buf_str(&hex),
		 "029e28000001000000010001076578616d706c6503636f6d00000600010f5f61636d652d6368616c6c656e6765c00c001000010000003c"
		 "00100f67666a3958712e2e2e526738356e4d" TSIG_HEAD MAC "029e00000000");
	buf_reset(&hex);
	encode_hex(&hex, str_bytes(mac.octets, mac.n));
	UNIT_STR(buf_str(&hex), MAC);
	buf_clear(&message);
	buf_clear(&hex);
}

static struct dns_tsig_mac question_mac(void)
{
	struct dns_tsig_mac mac = {.n = 32};
	struct buf b = BUF_MAX(64);

	memcpy(mac.octets, octets_of(&b, MAC).p, mac.n);
	buf_clear(&b);
	return mac;
}

static void named_s_answer_is_believed_only_as_it_is(void)
{
	struct dns_tsig_key key = make_key("acme-key"), other = make_key("other-key"), wrong = key;
	struct dns_tsig_mac mac = question_mac(), another = mac;
	struct buf b = BUF_MAX(DNS_MESSAGE_MAX);
	struct dns_tsig_check check;
	struct dns_message m;

	read_answer(octets_of(&b, ANSWER), 0x029e, &m);
	UNIT_TRUE(dns_tsig_check(&m, &key, &mac, SIGNED_AT, &check));
	UNIT_INT(check.error, 0);
	UNIT_TRUE(dns_tsig_check(&m, &key, &mac, SIGNED_AT + DNS_TSIG_FUDGE, &check));
	UNIT_TRUE(dns_tsig_check(&m, &key, &mac, SIGNED_AT - DNS_TSIG_FUDGE, &check));
	UNIT_TRUE(!dns_tsig_check(&m, &key, &mac, SIGNED_AT + DNS_TSIG_FUDGE + 1, &check));
	UNIT_TRUE(!dns_tsig_check(&m, &key, &mac, SIGNED_AT - DNS_TSIG_FUDGE - 1, &check));
	UNIT_TRUE(!dns_tsig_check(&m, &other, &mac, SIGNED_AT, &check));
	UNIT_TEXT(check.why, "its answer is signed with another key");
	wrong.secret = STR("0123456789abcdef0123456789abcdeg");
	UNIT_TRUE(!dns_tsig_check(&m, &wrong, &mac, SIGNED_AT, &check));
	UNIT_TEXT(check.why, "its answer's signature is wrong");
	wrong = key;
	wrong.digest = DIGEST_SHA512;
	UNIT_TRUE(!dns_tsig_check(&m, &wrong, &mac, SIGNED_AT, &check));
	/* The answer to another question. */
	another.octets[0] ^= 1;
	UNIT_TRUE(!dns_tsig_check(&m, &key, &another, SIGNED_AT, &check));
	UNIT_TRUE(dns_tsig_check(&m, &key, &mac, SIGNED_AT, &check));
	buf_clear(&b);
}

/* Each octet of the answer counts. */
static void no_octet_can_be_changed(void)
{
	struct dns_message_question q = {.opcode = DNS_UPDATE};
	struct dns_tsig_key key = make_key("acme-key");
	struct dns_tsig_mac mac = question_mac();
	struct buf b = BUF_MAX(DNS_MESSAGE_MAX);
	struct dns_tsig_check check;
	struct dns_message m;
	const char *why;
	size_t n = octets_of(&b, ANSWER).n;

	UNIT_TRUE(dns_message_name(STR("example.com"), &q.name));
	for (size_t i = 2; i < n; i++) {
		octets_of(&b, ANSWER);
		b.p[i] ^= 0x01;
		if (!dns_message_read(buf_str(&b), 0x029e, &q, &m, &why))
			continue;
		if (dns_tsig_check(&m, &key, &mac, SIGNED_AT, &check))
			printf("\noctet %zu", i);
		UNIT_TRUE(!dns_tsig_check(&m, &key, &mac, SIGNED_AT, &check));
	}
	/* The id that a forwarder changed on the way is that which was signed. */
	octets_of(&b, ANSWER);
	b.p[0] = 0x77;
	read_answer(buf_str(&b), 0x779e, &m);
	UNIT_TRUE(dns_tsig_check(&m, &key, &mac, SIGNED_AT, &check));
	buf_clear(&b);
}

static void an_unsigned_refusal_is_told(void)
{
	struct dns_tsig_key key = make_key("acme-key");
	struct dns_tsig_mac mac = question_mac();
	struct buf b = BUF_MAX(DNS_MESSAGE_MAX);
	struct dns_tsig_check check;
	struct dns_message m;

	read_answer(octets_of(&b, BADSIG_ANSWER), 0x5499, &m);
	UNIT_TRUE(!dns_tsig_check(&m, &key, &mac, SIGNED_AT, &check));
	UNIT_INT(check.error, DNS_BADSIG);
	/* As an answer that all is well it is none. */
	b.p[3] = 0;
	read_answer(buf_str(&b), 0x5499, &m);
	UNIT_TRUE(!dns_tsig_check(&m, &key, &mac, SIGNED_AT, &check));
	UNIT_INT(check.error, 0);
	read_answer(octets_of(&b, "029ea8000001000000000000076578616d706c6503636f6d0000060001"), 0x029e, &m);
	UNIT_TRUE(!dns_tsig_check(&m, &key, &mac, SIGNED_AT, &check));
	UNIT_TEXT(check.why, "its answer is not signed");
	buf_clear(&b);
}

/* RFC 8945, 5.2.3: signed with the time of the question; the server's own time is beside it. */
static void a_clock_that_differs_is_told(void)
{
	struct dns_tsig_key key = make_key("acme-key");
	struct dns_tsig_mac mac = question_mac();
	struct buf digested = BUF_MAX(4096), answer = BUF_MAX(4096), part = BUF_MAX(4096);
	unsigned char signature[DIGEST_MAX];
	struct dns_tsig_check check;
	struct dns_message m;

	buf_put_u16(&digested, 32);
	buf_put_str(&digested, octets_of(&part, MAC));
	buf_put_str(&digested, octets_of(&part, "029ea8090001000000000000076578616d706c6503636f6d0000060001"));
	buf_put_str(&digested, octets_of(&part, "0861636d652d6b657900" "00ff" "00000000" "0b686d61632d73686132353600"
						"00006b02e3fc" "012c" "0012" "0006" "00006b02e7e4"));
	digest_hmac(DIGEST_SHA256, key.secret, buf_str(&digested), signature);
	buf_put_str(&answer, octets_of(&part, "029ea8090001000000000001076578616d706c6503636f6d0000060001"
					      "0861636d652d6b657900" "00fa" "00ff" "00000000" "0043" "0b686d61632d73686132353600"
					      "00006b02e3fc" "012c" "0020"));
	buf_put(&answer, signature, 32);
	buf_put_str(&answer, octets_of(&part, "029e" "0012" "0006" "00006b02e7e4"));
	read_answer(buf_str(&answer), 0x029e, &m);
	UNIT_TRUE(dns_tsig_check(&m, &key, &mac, SIGNED_AT, &check));
	UNIT_INT(check.error, DNS_BADTIME);
	UNIT_INT(check.server_time, SIGNED_AT + 1000);
	buf_clear(&digested);
	buf_clear(&answer);
	buf_clear(&part);
}

UNIT_TESTS({"a clock that differs is told", a_clock_that_differs_is_told}, {"a signature is nsupdate's", a_signature_is_nsupdate_s},
	   {"named's answer is believed only as it is", named_s_answer_is_believed_only_as_it_is},
	   {"no octet can be changed", no_octet_can_be_changed}, {"an unsigned refusal is told", an_unsigned_refusal_is_told})
