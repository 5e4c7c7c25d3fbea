/* SPDX-License-Identifier: Apache-2.0
 *
 * All addresses are kept as IPv6, so that there is one comparison.
 */
#include "lib/base/network.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/mem.h"

enum { ALL_BITS = 128, MAPPED_BITS = 96, CUSTOMER_BITS = 64, ADDRESS_TEXT = INET6_ADDRSTRLEN };

static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};

static bool is_mapped(const unsigned char address[16])
{
	return memcmp(address, mapped, sizeof(mapped)) == 0;
}

/* Sets *most to how many bits a network of such an address can have. */
static bool parse_address(struct str text, unsigned char address[16], unsigned *most)
{
	char copy[ADDRESS_TEXT];

	if (!str_copy(text, copy, sizeof(copy)))
		return false;
	if (inet_pton(AF_INET, copy, address + sizeof(mapped)) == 1) {
		memcpy(address, mapped, sizeof(mapped));
		*most = ALL_BITS - MAPPED_BITS;
		return true;
	}
	*most = ALL_BITS;
	return inet_pton(AF_INET6, copy, address) == 1;
}

/* Leaves only the first bits. True: there were no others. */
static bool cut(unsigned char address[16], unsigned bits)
{
	bool was_cut = true;

	for (unsigned i = 0; i < 16; i++) {
		unsigned here = bits >= 8 * (i + 1) ? 8 : bits > 8 * i ? bits - 8 * i : 0;
		unsigned char kept = address[i] & (unsigned char)(0xff00U >> here);

		was_cut &= kept == address[i];
		address[i] = kept;
	}
	return was_cut;
}

static bool parse_network(struct str text, struct network *out, struct err *err)
{
	struct str address = str_first(text, str_find(text, '/'));
	struct str shown = str_first(text, 80);
	uint64_t bits;
	unsigned most;

	if (!parse_address(address, out->address, &most))
		return err_set(err, "\"%.*s\" is not an IPv4 or IPv6 network; allowed: such as 10.0.0.0/8, 192.0.2.7, "
				    "2001:db8::/32", STR_ARG(shown));
	bits = most;
	if (address.n < text.n && !str_u64(str_from(text, address.n + 1), 0, most, &bits))
		return err_set(err, "\"%.*s\" has no number of bits from 0 to %u behind its /", STR_ARG(shown), most);
	out->bits = (uint8_t)(bits + ALL_BITS - most);
	if (!cut(out->address, out->bits))
		return err_set(err, "\"%.*s\" names an address within a network; allowed: the network's first "
				    "address, or an address without /", STR_ARG(shown));
	return true;
}

/* The next word; blanks and commas are between them. */
static bool next_word(struct str *rest, struct str *word)
{
	size_t n = 0;

	while (rest->n > 0 && strchr(" \t\r\n,", rest->p[0]) != NULL && rest->p[0] != '\0')
		*rest = str_from(*rest, 1);
	while (n < rest->n && (rest->p[n] == '\0' || strchr(" \t\r\n,", rest->p[n]) == NULL))
		n++;
	*word = str_first(*rest, n);
	*rest = str_from(*rest, n);
	return n > 0;
}

bool network_is_this_host(struct str host)
{
	static const unsigned char six[16] = {[15] = 1};
	unsigned char address[16];
	unsigned most;

	if (str_starts(host, STR("[")) && str_ends(host, STR("]")))
		host = str_first(str_from(host, 1), host.n - 2);
	if (str_ieq(host, STR("localhost")))
		return true;
	return parse_address(host, address, &most) &&
	       (memcmp(address, six, sizeof(six)) == 0 || (is_mapped(address) && address[12] == 127));
}

static bool has(const struct network *network, const unsigned char address[16])
{
	unsigned whole = network->bits / 8, rest = network->bits % 8;
	unsigned mask = 0xff00U >> rest & 0xff;

	/* ::/0 would hold them all. */
	if (is_mapped(address) && network->bits < MAPPED_BITS)
		return false;
	return memcmp(network->address, address, whole) == 0 &&
	       (rest == 0 || (address[whole] & mask) == network->address[whole]);
}

#define FOUR [10] = 0xff, [11] = 0xff

bool network_is_near(struct str text)
{
	static const struct network near[] = {
		{{FOUR, [12] = 127}, 104},
		{{FOUR, [12] = 169, [13] = 254}, 112},
		{{FOUR}, 104},
		{{FOUR, [12] = 224}, 100},
		{{FOUR, [12] = 255, [13] = 255, [14] = 255, [15] = 255}, 128},
		{{0}, 96},
		{{0xfe, 0x80}, 10},
		{{0xff}, 8},
		{{0xfd, 0x00, 0x0e, 0xc2}, 32}, /* Amazon's metadata */
	};
	unsigned char address[16];
	unsigned most;

	if (!parse_address(text, address, &most))
		return false;
	for (size_t i = 0; i < sizeof(near) / sizeof(near[0]); i++)
		if (has(&near[i], address))
			return true;
	return false;
}

bool network_list_parse(struct str text, struct network_list *out, struct err *err)
{
	struct str rest = text, word;
	size_t n = 0;

	*out = (struct network_list){0};
	while (next_word(&rest, &word))
		n++;
	if (n == 0)
		return true;
	out->network = mem_array(n, sizeof(*out->network));
	rest = text;
	while (next_word(&rest, &word))
		if (!parse_network(word, &out->network[out->n++], err)) {
			network_list_clear(out);
			return false;
		}
	return true;
}

bool network_list_has(const struct network_list *list, struct str address)
{
	unsigned char bytes[16];
	unsigned most;

	if (list->n == 0 || !parse_address(address, bytes, &most))
		return false;
	for (size_t i = 0; i < list->n; i++)
		if (has(&list->network[i], bytes))
			return true;
	return false;
}

void network_list_clear(struct network_list *list)
{
	free(list->network);
	*list = (struct network_list){0};
}

bool network_is_address(struct str text)
{
	unsigned char bytes[16];
	unsigned most;

	return parse_address(text, bytes, &most);
}

bool network_key(struct str address, char out[NETWORK_KEY])
{
	unsigned char bytes[16];
	char text[ADDRESS_TEXT];
	unsigned most;

	out[0] = '\0';
	if (str_ends(address, STR("::/64")))
		address.n -= 3;
	if (!parse_address(address, bytes, &most))
		return false;
	if (is_mapped(bytes)) {
		inet_ntop(AF_INET, bytes + sizeof(mapped), text, sizeof(text));
		snprintf(out, NETWORK_KEY, "%s", text);
		return true;
	}
	cut(bytes, CUSTOMER_BITS);
	inet_ntop(AF_INET6, bytes, text, sizeof(text));
	snprintf(out, NETWORK_KEY, "%s/64", text);
	return true;
}
