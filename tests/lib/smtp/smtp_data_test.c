/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of a message, its dots and its newlines, split at every byte.
 */
#include "lib/smtp/smtp_data.h"

#include "tests/support/unit.h"

static const struct {
	const char *wire, *message;
	bool is_done, has_bare;
	const char *rest; /* when done: what follows the end */
} cases[] = {
	{".\r\n", "", true, false, ""},
	{"a\r\n.\r\nQUIT\r\n", "a\r\n", true, false, "QUIT\r\n"},
	{"a\r\nb\r\n\r\nc\r\n.\r\n", "a\r\nb\r\n\r\nc\r\n", true, false, ""},
	{"..\r\n.\r\n", ".\r\n", true, false, ""},
	{"..a\r\n...\r\n.b\r\n.\r\n", ".a\r\n..\r\nb\r\n", true, false, ""},
	{"a.\r\n.\r\n", "a.\r\n", true, false, ""},
	{"a\r\n", "a\r\n", false, false, NULL},
	{"a", "a", false, false, NULL},
	{"a\r\n.", "a\r\n", false, false, NULL},
	{"a\r\n.\r", "a\r\n", false, false, NULL},
	/* SMTP smuggling: none of these is an end */
	{"a\n.\r\nb\r\n.\r\n", "a\r\n.\r\nb\r\n", true, true, ""},
	{"a\r\n.\nb\r\n.\r\n", "a\r\n\r\nb\r\n", true, true, ""},
	{"a\n.\nb\r\n.\r\n", "a\r\n.\r\nb\r\n", true, true, ""},
	{"a\r.\r\nb\r\n.\r\n", "a .\r\nb\r\n", true, true, ""},
	{"a\r\n.\rb\r\n.\r\n", "a\r\n b\r\n", true, true, ""},
	{"a\r\n.\r\r\n.\r\n", "a\r\n \r\n", true, true, ""},
	{"a\r.\rb\r\n.\r\n", "a . b\r\n", true, true, ""},
	{"a\r\r\n.\r\n", "a \r\n", true, true, ""},
	{"a\r\rb\r\n.\r\n", "a  b\r\n", true, true, ""},
	{"\n.\r\n.\r\n", "\r\n.\r\n", true, true, ""},
	{"\r\n.\r\n", "\r\n", true, false, ""},
	{"a\nb\n\n.\r\n\r\n.\r\n", "a\r\nb\r\n\r\n.\r\n\r\n", true, true, ""},
};

/* Two cuts, at i and k. */
static void run(size_t which, size_t i, size_t k)
{
	struct str all = str_of(cases[which].wire), rest = {NULL, 0};
	struct str parts[3] = {str_first(all, i), str_from(str_first(all, k), i), str_from(all, k)};
	struct smtp_data data = {0};
	struct buf out = BUF_MAX(4096);
	bool done = false;

	for (int n = 0; n < 3; n++) {
		struct str in = parts[n];

		done = smtp_data_take(&data, &in, &out);
		if (done) {
			rest = str_bytes(in.p, (size_t)(all.p + all.n - in.p));
			break;
		}
		UNIT_INT(in.n, 0);
	}
	UNIT_STR(buf_str(&out), cases[which].message);
	UNIT_INT(done, cases[which].is_done);
	UNIT_INT(data.has_bare, cases[which].has_bare);
	UNIT_INT(data.size, out.n);
	if (done)
		UNIT_STR(rest, cases[which].rest);
	buf_clear(&out);
}

static void only_crlf_dot_crlf_ends_however_it_is_cut(void)
{
	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		size_t n = strlen(cases[c].wire);

		for (size_t i = 0; i <= n; i++)
			for (size_t k = i; k <= n; k++)
				run(c, i, k);
	}
}

static void without_a_place_to_go_the_octets_are_only_counted(void)
{
	struct smtp_data data = {0};
	struct str in = STR("abc\r\n..\n.\r\n\r\n.\r\nRSET");

	UNIT_TRUE(smtp_data_take(&data, &in, NULL));
	UNIT_INT(data.size, 5 + 3 + 3 + 2);
	UNIT_STR(in, "RSET");
}

static void what_is_stuffed_comes_out_as_it_was(void)
{
	static const struct {
		const char *message, *wire;
	} messages[] = {
		{"", ".\r\n"},
		{"a\r\n", "a\r\n.\r\n"},
		{"a", "a\r\n.\r\n"},
		{".\r\n..a\r\nb.\r\n", "..\r\n...a\r\nb.\r\n.\r\n"},
		{"a\n.b\n", "a\r\n..b\r\n.\r\n"},
		{"\r\n", "\r\n.\r\n"},
		{"a\r", "a\r\n.\r\n"},
		{"\r", "\r\n.\r\n"},
		{"a\r\r\n.b\r.\r\n", "a\r\r\n..b\r.\r\n.\r\n"},
		{"\r.\r\n..\r\n", "\r.\r\n...\r\n.\r\n"},
	};

	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		struct str all = str_of(messages[i].message);
		struct buf out = BUF_MAX(4096);

		smtp_data_put(&out, all);
		UNIT_STR(buf_str(&out), messages[i].wire);
		buf_clear(&out);
		for (size_t cut = 0; cut <= all.n; cut++) {
			struct smtp_data_put put = {0};

			smtp_data_put_piece(&put, &out, str_first(all, cut));
			smtp_data_put_piece(&put, &out, str_from(all, cut));
			smtp_data_put_end(&put, &out);
			UNIT_STR(buf_str(&out), messages[i].wire);
			buf_clear(&out);
		}
	}
}

static void chunks_have_no_dots_and_end_where_they_end(void)
{
	static const struct {
		const char *octets, *message;
		bool has_bare;
	} chunks[] = {
		{"", "", false},
		{"a\r\n", "a\r\n", false},
		{"a", "a\r\n", false},
		{".\r\n", ".\r\n", false},
		{"..\r\n.\r\n.a\r\n", "..\r\n.\r\n.a\r\n", false},
		{"a\r\n.\r\nb", "a\r\n.\r\nb\r\n", false},
		{"a\nb\n", "a\r\nb\r\n", true},
		{"\n\n", "\r\n\r\n", true},
		{"a\rb\r\n", "a b\r\n", true},
		{"a\r\rb", "a  b\r\n", true},
		{"a\r\r\n", "a \r\n", true},
		{"a\r", "a\r\n", true},
		{"\r\n\r\n", "\r\n\r\n", false},
	};

	for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++)
		for (size_t cut = 0; cut <= strlen(chunks[i].octets); cut++) {
			struct str all = str_of(chunks[i].octets);
			struct smtp_data data = {0};
			struct buf out = BUF_MAX(4096);

			smtp_data_take_chunk(&data, str_first(all, cut), &out);
			smtp_data_take_chunk(&data, str_from(all, cut), &out);
			smtp_data_end(&data, &out);
			UNIT_STR(buf_str(&out), chunks[i].message);
			UNIT_INT(data.has_bare, chunks[i].has_bare);
			UNIT_INT(data.size, out.n);
			buf_clear(&out);
		}
}

UNIT_TESTS({"only CRLF.CRLF ends a message, however it is cut", only_crlf_dot_crlf_ends_however_it_is_cut},
	   {"without a place to go the octets are only counted",
	    without_a_place_to_go_the_octets_are_only_counted},
	   {"what is stuffed comes out as it was", what_is_stuffed_comes_out_as_it_was},
	   {"chunks have no dots and end where they end", chunks_have_no_dots_and_end_where_they_end})
