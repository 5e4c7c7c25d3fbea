/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/net/proxy_header.h"

#include "lib/net/addr.h"
#include "tests/support/unit.h"

#define OK PROXY_HEADER_OK
#define MORE PROXY_HEADER_MORE
#define BAD PROXY_HEADER_BAD

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define FOUR "\xc0\x00\x02\x07\xc6\x33\x64\x01\xdc\x04\x02\x4b" /* 192.0.2.7 to 198.51.100.1 */
#define SIX "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07" "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01" "\xdc\x04\x02\x4b"
#define MAPPED "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x07" "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x01" "\0\1\0\2"
#define A10 "aaaaaaaaaa"
#define A50 A10 A10 A10 A10 A10
#define A200 A50 A50 A50 A50
#define A216 A200 A10 "aaaaaa"

static const struct row {
	struct str bytes;
	enum proxy_header_result result;
	size_t length;
	const char *from; /* NULL: the connection's own */
	bool is_local;
} rows[] = {
	/* version 1 */
	{STR("PROXY TCP4 192.0.2.7 198.51.100.1 56324 587\r\nEHLO x\r\n"), OK, 45, "192.0.2.7", false},
	{STR("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n"), OK, 44, "0.0.0.0", false},
	{STR("PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n"), OK, 40, "2001:db8::7", false},
	{STR("PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n"), OK, 37, "192.0.2.7", false},
	{STR("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"), OK,
	 104, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false},
	{STR("PROXY UNKNOWN\r\n"), OK, 15, NULL, false},
	{STR("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n\x16\x03"), OK, 35, NULL, false},
	{STR("PROXY UNKNOWN what ever it may be or not be\r\n"), OK, 45, NULL, false},
	{STR(""), MORE, 0, NULL, false},
	{STR("P"), MORE, 0, NULL, false},
	{STR("PROXY"), MORE, 0, NULL, false},
	{STR("PROXY "), MORE, 0, NULL, false},
	{STR("PROXY TCP4 192.0.2.7 198.51.100.1 56324 587"), MORE, 0, NULL, false},
	{STR("PROXY TCP4 192.0.2.7 198.51.100.1 56324 587\r"), MORE, 0, NULL, false},
	{STR("PROXY UNKNOWN " A50 A10 A10 A10 A10 "a"), MORE, 0, NULL, false},
	{STR("PROXY UNKNOWN " A50 A10 A10 A10 A10 "a\r\n"), OK, 107, NULL, false},
	{STR("PROXY UNKNOWN " A50 A10 A10 A10 A10 "aa\r\n"), BAD, 0, NULL, false},
	{STR("PROXX"), BAD, 0, NULL, false},
	{STR("PROXY\r\n"), BAD, 0, NULL, false},
	{STR("PROXY \r\n"), BAD, 0, NULL, false},
	{STR("PROXY \n"), BAD, 0, NULL, false},
	{STR("proxy TCP4 192.0.2.7 198.51.100.1 56324 587\r\n"), BAD, 0, NULL, false},
	{STR("PROXY TCP4 192.0.2.7 198.51.100.1 56324 587\n"), BAD, 0, NULL, false},
	{STR("PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n"), BAD, 0, NULL, false},
	{STR("PROXY TCP4 192.0.2.7 198.51.100.1 56324 587 x\r\n"), BAD, 0, NULL, false},
	{STR("PROXY TCP4  192.0.2.7 198.51.100.1 56324 587\r\n"), BAD, 0, NULL, false},
	{STR("PROXY TCP4 192.0.2.7 198.51.100.1 56324 587 \r\n"), BAD, 0, NULL, false},
	{STR("PROXY TCP4 2001:db8::7 198.51.100.1 56324 587\r\n"), BAD, 0, NULL, false},
	{STR("PROXY TCP6 192.0.2.7 2001:db8::1 56324 587\r\n"), BAD, 0, NULL, false},
	{STR("PROXY TCP4 192.0.2.256 198.51.100.1 56324 587\r\n"), BAD, 0, NULL, false},
	{STR("PROXY TCP4 192.0.2.7\0 198.51.100.1 56324 587\r\n"), BAD, 0, NULL, false},
	{STR("PROXY TCP4 192.0.2.7 198.51.100.1 65536 587\r\n"), BAD, 0, NULL, false},
	{STR("PROXY TCP4 192.0.2.7 198.51.100.1 056 587\r\n"), BAD, 0, NULL, false},
	{STR("PROXY TCP4 192.0.2.7 198.51.100.1 +1 587\r\n"), BAD, 0, NULL, false},
	{STR("PROXY TCP4 192.0.2.7 198.51.100.1  587\r\n"), BAD, 0, NULL, false},
	{STR("PROXY UDP4 192.0.2.7 198.51.100.1 1 587\r\n"), BAD, 0, NULL, false},
	/* version 2 */
	{STR(SIGNATURE "\x21\x11\0\x0c" FOUR "EHLO x"), OK, 28, "192.0.2.7", false},
	{STR(SIGNATURE "\x21\x21\0\x24" SIX "\x16\x03"), OK, 52, "2001:db8::7", false},
	{STR(SIGNATURE "\x21\x21\0\x24" MAPPED), OK, 52, "192.0.2.7", false},
	{STR(SIGNATURE "\x21\x31\0\xd8" A216), OK, 232, NULL, false},
	{STR(SIGNATURE "\x21\0\0\0"), OK, 16, NULL, false},
	{STR(SIGNATURE "\x21\0\0\3abc"), OK, 19, NULL, false},
	{STR(SIGNATURE "\x20\0\0\0"), OK, 16, NULL, true},
	{STR(SIGNATURE "\x20\x11\0\x0c" FOUR), OK, 28, NULL, true},
	{STR(SIGNATURE "\x20\x11\0\2ab"), OK, 18, NULL, true},
	{STR(SIGNATURE "\x21\x11\0\x13" FOUR "\x04\0\4abcd"), OK, 35, "192.0.2.7", false},
	{STR(SIGNATURE "\x21\x11\0\x12" FOUR "\x04\0\0\xea\0\0"), OK, 34, "192.0.2.7", false},
	/* its checksum: computed by another implementation */
	{STR(SIGNATURE "\x21\x11\0\x13" FOUR "\x03\0\4\xea\x56\x15\xad"), OK, 35, "192.0.2.7", false},
	{STR(SIGNATURE "\x21\x11\0\x13" FOUR "\x03\0\4\xea\x56\x15\xac"), BAD, 0, NULL, false},
	{STR(SIGNATURE "\x21\x11\0\x12" FOUR "\x03\0\3\xea\x56\x15"), BAD, 0, NULL, false},
	{STR("\r"), MORE, 0, NULL, false},
	{STR(SIGNATURE), MORE, 0, NULL, false},
	{STR(SIGNATURE "\x21\x11\0"), MORE, 0, NULL, false},
	{STR(SIGNATURE "\x21\x11\0\x0c"), MORE, 0, NULL, false},
	{STR(SIGNATURE "\x21\x11\0\x0c\xc0\x00\x02"), MORE, 0, NULL, false},
	{STR(SIGNATURE "\x20\0\2\x08"), MORE, 0, NULL, false},
	{STR(SIGNATURE "\x20\0\2\x09"), BAD, 0, NULL, false},
	{STR(SIGNATURE "\x21\x11\xff\xff"), BAD, 0, NULL, false},
	{STR("\r\n\r\n\0\r\nQUIT\r"), BAD, 0, NULL, false},
	{STR("\r\nEHLO"), BAD, 0, NULL, false},
	{STR(SIGNATURE "\x11\x11\0\x0c" FOUR), BAD, 0, NULL, false},
	{STR(SIGNATURE "\x22\x11\0\x0c" FOUR), BAD, 0, NULL, false},
	{STR(SIGNATURE "\x21\x12\0\x0c" FOUR), BAD, 0, NULL, false},
	{STR(SIGNATURE "\x21\x10\0\x0c" FOUR), BAD, 0, NULL, false},
	{STR(SIGNATURE "\x21\x41\0\x0c" FOUR), BAD, 0, NULL, false},
	{STR(SIGNATURE "\x21\x11\0\x0b" FOUR), BAD, 0, NULL, false},
	{STR(SIGNATURE "\x21\x21\0\x0c" FOUR), BAD, 0, NULL, false},
	{STR(SIGNATURE "\x21\x11\0\x0d" FOUR "\x04"), BAD, 0, NULL, false},
	{STR(SIGNATURE "\x21\x11\0\x0f" FOUR "\x04\0\1x"), BAD, 0, NULL, false},
	/* none */
	{STR("EHLO client.test\r\n"), BAD, 0, NULL, false},
	{STR("\x16\x03\x01"), BAD, 0, NULL, false},
	{STR("\0"), BAD, 0, NULL, false},
};

static void every_header_says_whose_it_is(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct proxy_header h;
		char from[ADDR_TEXT];

		UNIT_INT(proxy_header_parse(rows[i].bytes, &h), rows[i].result);
		UNIT_INT(h.why != NULL, rows[i].result == BAD);
		if (rows[i].result != OK)
			continue;
		UNIT_INT(h.length, rows[i].length);
		UNIT_INT(h.is_local, rows[i].is_local);
		UNIT_INT(h.is_local || h.is_unknown, rows[i].from == NULL);
		if (rows[i].from != NULL)
			UNIT_TEXT(addr_text(&h.from, from), rows[i].from);
	}
}

/* What comes in pieces is the same header, and no piece of one is anything else. */
static void a_header_may_come_in_pieces(void)
{
	struct proxy_header h;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t n = 0; rows[i].result == OK && n < rows[i].length; n++)
			UNIT_INT(proxy_header_parse(str_first(rows[i].bytes, n), &h), MORE);
}

UNIT_TESTS({"every header says whose it is", every_header_says_whose_it_is},
	   {"a header may come in pieces", a_header_may_come_in_pieces})
