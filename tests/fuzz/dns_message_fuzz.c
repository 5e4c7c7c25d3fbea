/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers of name servers: arbitrary bytes. All that is read of one lies within it, the walk ends, and nobody signs by chance.
 */
#include "cert-renewer/dns_message.h"

#include "cert-renewer/dns_tsig.h"
#include "lib/base/trouble.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_at(struct str all, const struct dns_message *m)
{
	struct dns_message_record r = {0};
	struct dns_name target;
	char text[DNS_NAME_TEXT];
	size_t n = 0;

	while (dns_message_next(m, &r)) {
		must(++n <= all.n);
		must(r.data.n == 0 || (r.data.p >= all.p && r.data.p + r.data.n <= all.p + all.n));
		must(r.name.n > 0 && r.name.n <= DNS_NAME_MAX && r.name.octets[r.name.n - 1] == 0);
		dns_message_name_text(&r.name, text);
		dns_message_text_is(&r, STR("gfj9Xq...Rg85nM"));
		if (dns_message_target(m, &r, &target))
			dns_message_name_text(&target, text);
	}
	must(m->is_truncated || n == (size_t)m->n_records[DNS_ANSWER] + m->n_records[DNS_AUTHORITY] + m->n_records[DNS_ADDITIONAL]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct {
		enum dns_opcode opcode;
		enum dns_type type;
	} asked[] = {{DNS_QUERY, DNS_TXT}, {DNS_QUERY, DNS_SOA}, {DNS_UPDATE, DNS_SOA}};
	struct str all = str_bytes(data, size);
	struct dns_tsig_key key = {.digest = DIGEST_SHA256, .secret = STR("another key than in the corpus")};
	struct dns_tsig_mac mac = {.n = 32};
	struct dns_tsig_check check;
	struct dns_message m;
	const char *why;
	uint16_t id = size < 2 ? 0 : (uint16_t)(data[0] << 8 | data[1]);

	must(dns_message_name(STR("acme-key"), &key.name));
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		struct dns_message_question q = {.opcode = asked[i].opcode, .type = asked[i].type};

		must(dns_message_name(i == 0 ? STR("_acme-challenge.example.com") : STR("example.com"), &q.name));
		if (!dns_message_read(all, id, &q, &m, &why))
			continue;
		look_at(all, &m);
		must(!dns_tsig_check(&m, &key, &mac, 1795351548, &check) && check.why[0] != '\0');
	}
	return 0;
}
