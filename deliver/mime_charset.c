/* SPDX-License-Identifier: Apache-2.0
 *
 * Charset conversion with the C library's iconv. Called by mime_message.c. The descriptors stay open for
 * the life of the process: that keeps glibc's converter modules in memory, which a process in an empty root
 * directory could not load any more (GMime's decoding of encoded words needs the same modules).
 */
#include "deliver/mime_charset.h"

#include <errno.h>
#include <iconv.h>
#include <stddef.h>

#define NO_CONVERTER ((iconv_t)-1)

/* What mail calls it, separated by blanks, and what is read instead: often the superset that the senders
 * really use (WHATWG's Encoding Standard, "Names and labels"). */
static const struct charset {
	const char *labels, *name;
} charsets[] = {
	{"iso-8859-1 iso8859-1 iso_8859-1 latin1 windows-1252 cp1252 x-cp1252", "CP1252"},
	{"iso-8859-2 iso8859-2 latin2", "ISO-8859-2"},
	{"iso-8859-3 iso8859-3 latin3", "ISO-8859-3"},
	{"iso-8859-4 iso8859-4 latin4", "ISO-8859-4"},
	{"iso-8859-5 iso8859-5 cyrillic", "ISO-8859-5"},
	{"iso-8859-6 iso8859-6 iso-8859-6-i iso-8859-6-e arabic", "ISO-8859-6"},
	{"iso-8859-7 iso8859-7 greek", "ISO-8859-7"},
	{"iso-8859-8 iso8859-8 iso-8859-8-i iso-8859-8-e hebrew", "ISO-8859-8"},
	{"iso-8859-9 iso8859-9 latin5 windows-1254 cp1254", "CP1254"},
	{"iso-8859-10 iso8859-10 latin6", "ISO-8859-10"},
	{"iso-8859-11 iso8859-11 tis-620 windows-874 cp874", "CP874"},
	{"iso-8859-13 iso8859-13", "ISO-8859-13"},
	{"iso-8859-14 iso8859-14", "ISO-8859-14"},
	{"iso-8859-15 iso8859-15 latin9 latin-9", "ISO-8859-15"},
	{"iso-8859-16 iso8859-16", "ISO-8859-16"},
	{"windows-1250 cp1250 x-cp1250", "CP1250"},
	{"windows-1251 cp1251 x-cp1251", "CP1251"},
	{"windows-1253 cp1253 x-cp1253", "CP1253"},
	{"windows-1255 cp1255 x-cp1255", "CP1255"},
	{"windows-1256 cp1256 x-cp1256", "CP1256"},
	{"windows-1257 cp1257 x-cp1257", "CP1257"},
	{"windows-1258 cp1258 x-cp1258", "CP1258"},
	{"koi8-r koi8r koi8", "KOI8-R"},
	{"koi8-u koi8-ru", "KOI8-U"},
	{"ibm437 cp437", "CP437"},
	{"ibm850 cp850", "CP850"},
	{"ibm852 cp852", "CP852"},
	{"ibm866 cp866", "CP866"},
	{"macintosh mac x-mac-roman", "MACINTOSH"},
	{"gb18030 gbk gb2312 gb_2312-80 x-gbk cp936 euc-cn csgb2312", "GB18030"},
	{"big5 big5-hkscs x-x-big5 csbig5 cp950", "BIG5-HKSCS"},
	{"euc-tw", "EUC-TW"},
	{"shift_jis shift-jis sjis x-sjis ms_kanji windows-31j cp932", "CP932"},
	{"euc-jp x-euc-jp", "EUC-JP-MS"},
	{"iso-2022-jp iso-2022-jp-1 iso-2022-jp-2", "ISO-2022-JP-2"},
	{"iso-2022-jp-3", "ISO-2022-JP-3"},
	{"euc-kr ks_c_5601-1987 ks_c_5601 ksc5601 uhc cp949 windows-949", "UHC"},
	{"iso-2022-kr", "ISO-2022-KR"},
	{"iso-2022-cn", "ISO-2022-CN"},
	{"utf-7 unicode-1-1-utf-7", "UTF-7"},
	{"utf-16 unicode", "UTF-16"},
	{"utf-16be", "UTF-16BE"},
	{"utf-16le", "UTF-16LE"},
	{"utf-32", "UTF-32"},
};

enum { CHARSETS = sizeof(charsets) / sizeof(charsets[0]) };

/* The names that GMime asks iconv for need modules of their own. */
static const char *const for_encoded_words[] = {
	"ISO-8859-1", "ISO-8859-9", "ISO-8859-11", "TIS-620", "GBK", "EUC-CN",
	"BIG5", "SJIS", "EUC-JP", "EUC-KR", "JOHAB", "ISO-2022-JP", "CP936",
};

enum { FOR_ENCODED_WORDS = sizeof(for_encoded_words) / sizeof(for_encoded_words[0]) };

static iconv_t converters[CHARSETS], kept[FOR_ENCODED_WORDS];
static bool is_prepared;

void mime_charset_prepare(void)
{
	if (is_prepared)
		return;
	/* A system without some of them (a trimmed container) reads those as unknown charsets. */
	for (size_t i = 0; i < CHARSETS; i++)
		converters[i] = iconv_open("UTF-8", charsets[i].name);
	for (size_t i = 0; i < FOR_ENCODED_WORDS; i++)
		kept[i] = iconv_open("UTF-8", for_encoded_words[i]);
	is_prepared = true;
}

static bool has_label(struct str labels, struct str label)
{
	struct str one;

	while (str_next(&labels, ' ', &one))
		if (str_ieq(one, label))
			return true;
	return false;
}

static iconv_t converter_of(struct str charset)
{
	if (charset.n == 0 || str_ieq(charset, STR("utf-8")) || str_ieq(charset, STR("us-ascii")))
		return NO_CONVERTER;
	for (size_t i = 0; i < CHARSETS; i++)
		if (has_label(str_of(charsets[i].labels), charset))
			return is_prepared ? converters[i] : NO_CONVERTER;
	return NO_CONVERTER;
}

static void put_replacement(struct buf *out, bool *is_lossy)
{
	buf_put(out, "\xef\xbf\xbd", 3);
	*is_lossy = true;
}

static void convert(iconv_t converter, struct str bytes, struct buf *out, bool *is_lossy)
{
	char *in = (char *)(uintptr_t)bytes.p;
	size_t left = bytes.n;

	iconv(converter, NULL, NULL, NULL, NULL);
	while (left > 0 && !out->is_full) {
		size_t room = left + left / 2 + 64;
		char *to = buf_room(out, room), *start = to;
		size_t done;

		if (to == NULL)
			break;
		done = iconv(converter, &in, &left, &to, &room);
		buf_added(out, (size_t)(to - start));
		if (done != (size_t)-1 || errno == E2BIG)
			continue;
		put_replacement(out, is_lossy);
		if (errno == EINVAL)
			break; /* the text ends within a character */
		in++;
		left--;
	}
}

/* How long the UTF-8 character at the front is; 0 when there is none. */
static size_t character_length(struct str s)
{
	for (size_t n = 1; n <= 4 && n <= s.n; n++)
		if (str_is_utf8(str_first(s, n)))
			return n;
	return 0;
}

/* UTF-8 with faults in it: what is well-formed stays. */
static void repair(struct str bytes, struct buf *out, bool *is_lossy)
{
	while (bytes.n > 0 && !out->is_full) {
		size_t n = character_length(bytes);

		if (n > 0)
			buf_put_str(out, str_first(bytes, n));
		else
			put_replacement(out, is_lossy);
		bytes = str_from(bytes, n > 0 ? n : 1);
	}
}

struct str mime_charset_to_utf8(struct str bytes, struct str charset, struct buf *out, bool *is_lossy)
{
	iconv_t converter = converter_of(charset);
	bool ignored;

	if (is_lossy == NULL)
		is_lossy = &ignored;
	*is_lossy = false;
	if (converter == NO_CONVERTER) {
		if (str_is_utf8(bytes))
			return bytes;
		/* 8-bit text that claims to be ASCII, or claims nothing, is Western more often than not. */
		if (charset.n == 0 || str_ieq(charset, STR("us-ascii")) || str_ieq(charset, STR("ascii")))
			converter = converter_of(STR("windows-1252"));
	}
	if (converter != NO_CONVERTER)
		convert(converter, bytes, out, is_lossy);
	else
		repair(bytes, out, is_lossy);
	return buf_str(out);
}
