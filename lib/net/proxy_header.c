/* SPDX-License-Identifier: Apache-2.0
 *
 * The PROXY protocol's header, as www.haproxy.org/download/2.9/doc/proxy-protocol.txt has it. Pure: hostile bytes.
 */
#include "lib/net/proxy_header.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "lib/base/buf.h"

enum {
	HEAD = 16, /* signature, version and command, family and protocol, length */
	TCP4_ADDRESSES = 12,
	TCP6_ADDRESSES = 36,
	UNIX_ADDRESSES = 216,
	TLV_CRC32C = 3,
	V1_PARTS = 6,
};

static const struct str v1_signature = STR("PROXY "), v2_signature = STR("\r\n\r\n\0\r\nQUIT\n");

static enum proxy_header_result bad(struct proxy_header *out, const char *why)
{
	out->why = why;
	return PROXY_HEADER_BAD;
}

/* ---- version 1 ---- */

static bool read_address(struct str text, bool is_six, struct sockaddr_storage *to)
{
	struct sockaddr_in6 *six = (void *)to;
	struct sockaddr_in *four = (void *)to;
	char copy[INET6_ADDRSTRLEN];

	if (!str_copy(text, copy, sizeof(copy)))
		return false;
	to->ss_family = is_six ? AF_INET6 : AF_INET;
	return inet_pton(to->ss_family, copy, is_six ? (void *)&six->sin6_addr : (void *)&four->sin_addr) == 1;
}

static bool is_port(struct str text)
{
	uint64_t port;

	return text.n <= 5 && (text.n == 1 || text.p[0] != '0') && str_u64(text, 0, 65535, &port);
}

/* "PROXY TCP4 192.0.2.1 198.51.100.1 56324 587" */
static enum proxy_header_result take_v1(struct str line, struct proxy_header *out)
{
	struct str part[V1_PARTS], rest = line;
	struct sockaddr_storage to = {0};
	unsigned n = 0;
	bool is_six;

	while (n < V1_PARTS && str_next(&rest, ' ', &part[n]))
		n++;
	if (n >= 2 && str_eq(part[1], STR("UNKNOWN"))) { /* whatever follows */
		out->is_unknown = true;
		return PROXY_HEADER_OK;
	}
	if (n != V1_PARTS || rest.p != NULL)
		return bad(out, "version 1: not six words");
	is_six = str_eq(part[1], STR("TCP6"));
	if (!is_six && !str_eq(part[1], STR("TCP4")))
		return bad(out, "version 1: neither TCP4, TCP6 nor UNKNOWN");
	if (!read_address(part[2], is_six, &out->from) || !read_address(part[3], is_six, &to))
		return bad(out, "version 1: a bad address");
	if (!is_port(part[4]) || !is_port(part[5]))
		return bad(out, "version 1: a bad port");
	return PROXY_HEADER_OK;
}

static enum proxy_header_result parse_v1(struct str bytes, struct proxy_header *out)
{
	struct str start = str_first(bytes, PROXY_HEADER_V1_MAX);
	size_t end = str_find(start, '\n');

	if (end == start.n)
		return start.n < PROXY_HEADER_V1_MAX ? PROXY_HEADER_MORE
						      : bad(out, "version 1: longer than 107 octets");
	if (start.p[end - 1] != '\r')
		return bad(out, "version 1: no CRLF");
	out->length = end + 1;
	return take_v1(str_first(start, end - 1), out);
}

/* ---- version 2 ---- */

/* Castagnoli's, as in iSCSI. Bit by bit: a header is small and comes once a connection. */
static uint32_t crc32c(uint32_t crc, struct str bytes)
{
	for (size_t i = 0; i < bytes.n; i++) {
		crc ^= (unsigned char)bytes.p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return crc;
}

/* The checksum is of the whole header with zeroes in its own place. */
static bool is_checksum(struct str header, struct str place)
{
	size_t at = (size_t)(place.p - header.p);
	struct reader r = reader_of(place);
	uint32_t crc = crc32c(UINT32_MAX, str_first(header, at));

	crc = crc32c(crc, STR("\0\0\0\0"));
	crc = crc32c(crc, str_from(header, at + place.n));
	return (crc ^ UINT32_MAX) == reader_u32(&r);
}

/* What follows the addresses: type, length, value. We need none of it, but a lie about a length is one. */
static enum proxy_header_result check_rest(struct str header, struct reader *r, struct proxy_header *out)
{
	while (r->n > 0 && !r->is_bad) {
		uint8_t type = reader_u8(r);
		struct str value = reader_bytes(r, reader_u16(r));

		if (type == TLV_CRC32C && !r->is_bad && (value.n != 4 || !is_checksum(header, value)))
			return bad(out, "version 2: a wrong checksum");
	}
	return r->is_bad ? bad(out, "version 2: a field that is longer than the header") : PROXY_HEADER_OK;
}

static enum proxy_header_result take_v2(struct str header, unsigned family, struct proxy_header *out)
{
	static const size_t sizes[] = {0, TCP4_ADDRESSES, TCP6_ADDRESSES, UNIX_ADDRESSES};
	struct sockaddr_in6 *six = (void *)&out->from;
	struct sockaddr_in *four = (void *)&out->from;
	struct reader r = reader_of(str_from(header, HEAD));
	struct str addresses = reader_bytes(&r, sizes[family]);

	if (r.is_bad)
		return bad(out, "version 2: too short for its addresses");
	if (family == 1) {
		four->sin_family = AF_INET;
		memcpy(&four->sin_addr, addresses.p, sizeof(four->sin_addr));
	} else if (family == 2) {
		six->sin6_family = AF_INET6;
		memcpy(&six->sin6_addr, addresses.p, sizeof(six->sin6_addr));
	} else {
		out->is_unknown = true;
	}
	return check_rest(header, &r, out);
}

static enum proxy_header_result parse_v2(struct str bytes, struct proxy_header *out)
{
	struct reader r = reader_of(str_from(bytes, v2_signature.n));
	unsigned what, whom;

	if (bytes.n < HEAD)
		return PROXY_HEADER_MORE;
	what = reader_u8(&r);
	whom = reader_u8(&r);
	out->length = HEAD + (size_t)reader_u16(&r);
	if (what != 0x20 && what != 0x21)
		return bad(out, "version 2: neither LOCAL nor PROXY");
	if (whom >> 4 > 3 || (whom & 15) > 1)
		return bad(out, "version 2: not a stream of a known family");
	if (out->length > PROXY_HEADER_MAX)
		return bad(out, "version 2: longer than 536 octets");
	if (bytes.n < out->length)
		return PROXY_HEADER_MORE;
	out->is_local = what == 0x20;
	/* Of these two even the length alone is to be believed. */
	if (out->is_local || whom == 0) {
		out->is_unknown = !out->is_local;
		return PROXY_HEADER_OK;
	}
	if ((whom & 15) == 0)
		return bad(out, "version 2: a family without a protocol");
	return take_v2(str_first(bytes, out->length), whom >> 4, out);
}

enum proxy_header_result proxy_header_parse(struct str bytes, struct proxy_header *out)
{
	*out = (struct proxy_header){0};
	if (bytes.n == 0)
		return PROXY_HEADER_MORE;
	if (str_eq(str_first(bytes, v1_signature.n), str_first(v1_signature, bytes.n)))
		return bytes.n < v1_signature.n ? PROXY_HEADER_MORE : parse_v1(bytes, out);
	if (str_eq(str_first(bytes, v2_signature.n), str_first(v2_signature, bytes.n)))
		return bytes.n < v2_signature.n ? PROXY_HEADER_MORE : parse_v2(bytes, out);
	return bad(out, "no PROXY header");
}
