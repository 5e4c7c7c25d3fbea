/* SPDX-License-Identifier: Apache-2.0
 *
 * What is signed: the message as it was before the record, and most of the record (RFC 8945, 4.3); of an answer before that
 * the question's signature.
 */
#include "cert-renewer/dns_tsig.h"

#include "lib/base/trouble.h"

enum { DIGESTED_MAX = 2 * DNS_MESSAGE_MAX, ADDITIONAL_COUNT_AT = 10, TIME_SIZE = 6 };

struct tsig {
	struct dns_name algorithm;
	uint64_t time; /* of 48 bits */
	unsigned fudge, original_id, error;
	struct str mac, other;
};

static void algorithm_name(enum digest digest, struct dns_name *name)
{
	static const char *const names[] = {
		[DIGEST_SHA256] = "hmac-sha256", [DIGEST_SHA384] = "hmac-sha384", [DIGEST_SHA512] = "hmac-sha512"};

	must(dns_message_name(str_of(names[digest]), name));
}

static void put_time(struct buf *out, uint64_t time)
{
	buf_put_u16(out, (uint16_t)(time >> 32));
	buf_put_u32(out, (uint32_t)time);
}

static void put_variables(struct buf *out, const struct dns_tsig_key *key, const struct tsig *t)
{
	buf_put(out, key->name.octets, key->name.n);
	buf_put_u16(out, DNS_CLASS_ANY);
	buf_put_u32(out, 0);
	buf_put(out, t->algorithm.octets, t->algorithm.n);
	put_time(out, t->time);
	buf_put_u16(out, (uint16_t)t->fudge);
	buf_put_u16(out, (uint16_t)t->error);
	buf_put_u16(out, (uint16_t)t->other.n);
	buf_put_str(out, t->other);
}

void dns_tsig_sign(struct buf *message, const struct dns_tsig_key *key, int64_t now, struct dns_tsig_mac *mac)
{
	struct tsig t = {.time = (uint64_t)now, .fudge = DNS_TSIG_FUDGE};
	struct buf digested = BUF_MAX(DIGESTED_MAX);
	const char id[] = {message->p[0], message->p[1]};

	algorithm_name(key->digest, &t.algorithm);
	buf_put_str(&digested, buf_str(message));
	put_variables(&digested, key, &t);
	mac->n = digest_hmac(key->digest, key->secret, buf_str(&digested), mac->octets);
	buf_clear(&digested);

	buf_put(message, key->name.octets, key->name.n);
	buf_put_u16(message, DNS_TSIG);
	buf_put_u16(message, DNS_CLASS_ANY);
	buf_put_u32(message, 0);
	buf_put_u16(message, (uint16_t)(t.algorithm.n + TIME_SIZE + 2 + 2 + mac->n + 2 + 2 + 2));
	buf_put(message, t.algorithm.octets, t.algorithm.n);
	put_time(message, t.time);
	buf_put_u16(message, (uint16_t)t.fudge);
	buf_put_u16(message, (uint16_t)mac->n);
	buf_put(message, mac->octets, mac->n);
	buf_put(message, id, sizeof(id));
	buf_put_u16(message, 0);
	buf_put_u16(message, 0);
	must(!message->is_full);
	message->p[ADDITIONAL_COUNT_AT + 1]++;
}

static bool read_tsig(const struct dns_message *m, const struct dns_message_record *r, struct tsig *t)
{
	struct reader reader;
	size_t at = r->data_at;

	if (!dns_message_name_at(m->octets, &at, &t->algorithm) || at > r->data_at + r->data.n)
		return false;
	reader = reader_of(str_from(r->data, at - r->data_at));
	t->time = (uint64_t)reader_u16(&reader) << 32;
	t->time |= reader_u32(&reader);
	t->fudge = reader_u16(&reader);
	t->mac = reader_bytes(&reader, reader_u16(&reader));
	t->original_id = reader_u16(&reader);
	t->error = reader_u16(&reader);
	t->other = reader_bytes(&reader, reader_u16(&reader));
	return reader_is_done(&reader);
}

static bool find_last(const struct dns_message *m, struct dns_message_record *last)
{
	struct dns_message_record r = {0};
	bool found = false;

	while (dns_message_next(m, &r)) {
		*last = r;
		found = true;
	}
	return found && last->type == DNS_TSIG && last->section == DNS_ADDITIONAL && last->class == DNS_CLASS_ANY && last->ttl == 0;
}

static bool is_mac_good(const struct dns_message *m, const struct dns_tsig_key *key, const struct dns_tsig_mac *question,
			const struct tsig *t)
{
	struct buf digested = BUF_MAX(DIGESTED_MAX);
	unsigned char mac[DIGEST_MAX], difference = 0;
	unsigned count = m->n_records[DNS_ADDITIONAL] - 1;
	size_t n;

	buf_put_u16(&digested, (uint16_t)question->n);
	buf_put(&digested, question->octets, question->n);
	/* As it was before the record came to it. */
	buf_put_u16(&digested, (uint16_t)t->original_id);
	buf_put(&digested, m->octets.p + 2, ADDITIONAL_COUNT_AT - 2);
	buf_put_u16(&digested, (uint16_t)count);
	buf_put(&digested, m->octets.p + DNS_MESSAGE_HEAD, m->last_at - DNS_MESSAGE_HEAD);
	put_variables(&digested, key, t);
	must(!digested.is_full);
	n = digest_hmac(key->digest, key->secret, buf_str(&digested), mac);
	buf_clear(&digested);
	if (t->mac.n != n)
		return false;
	/* In the same time, wherever they differ. */
	for (size_t i = 0; i < n; i++)
		difference |= mac[i] ^ (unsigned char)t->mac.p[i];
	return difference == 0;
}

static bool is_in_time(const struct tsig *t, int64_t now)
{
	int64_t apart = (int64_t)t->time - now;

	return apart <= (int64_t)t->fudge && -apart <= (int64_t)t->fudge;
}

static int64_t read_server_time(struct str other)
{
	struct reader reader = reader_of(other);
	int64_t high = reader_u16(&reader), low = reader_u32(&reader);

	return reader_is_done(&reader) ? high << 32 | low : 0;
}

static bool fail(struct dns_tsig_check *check, const char *why)
{
	check->why = why;
	return false;
}

bool dns_tsig_check(const struct dns_message *answer, const struct dns_tsig_key *key, const struct dns_tsig_mac *question,
		    int64_t now, struct dns_tsig_check *check)
{
	struct dns_message_record r;
	struct dns_name algorithm;
	struct tsig t;

	*check = (struct dns_tsig_check){.why = ""};
	if (!find_last(answer, &r))
		return fail(check, "its answer is not signed");
	if (!read_tsig(answer, &r, &t))
		return fail(check, "its answer's signature is malformed");
	/* The answer is a refusal: to believe it does no harm. */
	if (answer->rcode == DNS_NOTAUTH && (t.error == DNS_BADKEY || t.error == DNS_BADSIG)) {
		check->error = t.error;
		return fail(check, "it does not take our signature");
	}
	algorithm_name(key->digest, &algorithm);
	if (!dns_message_name_eq(&r.name, &key->name) || !dns_message_name_eq(&t.algorithm, &algorithm))
		return fail(check, "its answer is signed with another key");
	if (!is_mac_good(answer, key, question, &t))
		return fail(check, "its answer's signature is wrong");
	if (!is_in_time(&t, now))
		return fail(check, "its answer was signed at another time: the clocks differ");
	check->error = t.error;
	if (t.error == DNS_BADTIME)
		check->server_time = read_server_time(t.other);
	return true;
}
