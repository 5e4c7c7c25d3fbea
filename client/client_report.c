/* SPDX-License-Identifier: Apache-2.0
 *
 * Output of test-client. JSON is written by hand: the program needs no library for it.
 */
#include "client/client_report.h"

#include <stdarg.h>
#include <stdio.h>
#include <sysexits.h>

void client_report_line(void *ctx, bool is_from_server, struct str line)
{
	(void)ctx;
	fprintf(stderr, "%s ", is_from_server ? "<" : ">");
	/* A server's bytes must not steer the terminal. */
	for (size_t i = 0; i < line.n; i++)
		fputc((unsigned char)line.p[i] < ' ' || line.p[i] == 0x7f ? '?' : line.p[i],
		      stderr);
	fputc('\n', stderr);
}

void client_report_error(const char *format, ...)
{
	char text[4096];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (char *c = text; *c != '\0'; c++)
		if (((unsigned char)*c < ' ' && *c != '\n') || *c == 0x7f)
			*c = '?';
	fprintf(stderr, "test-client: %s\n", text);
}

int client_report_status(unsigned code)
{
	if (code / 100 == 4)
		return EX_TEMPFAIL;
	return code / 100 == 5 ? EX_DATAERR : EX_PROTOCOL;
}

/* The length of the well-formed UTF-8 character that s begins with, 0 when there is none. */
static size_t character(struct str s)
{
	for (size_t n = 1; n <= 4 && n <= s.n; n++)
		if (str_is_utf8(str_first(s, n)))
			return n;
	return 0;
}

void client_report_json_text(struct buf *out, struct str text)
{
	buf_put_char(out, '"');
	while (text.n > 0) {
		size_t n = character(text);
		unsigned char c = (unsigned char)text.p[0];

		if (n == 0)
			buf_put_text(out, "\xef\xbf\xbd");
		else if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else if (c < ' ')
			buf_printf(out, "\\u%04x", c);
		else
			buf_put_str(out, str_first(text, n));
		text = str_from(text, n > 0 ? n : 1);
	}
	buf_put_char(out, '"');
}

void client_report_json_stats(struct buf *out, const struct client_stats_summary *s)
{
	buf_printf(out,
		   "{\"n\":%zu,\"mean\":%.3f,\"p50\":%.3f,\"p90\":%.3f,\"p95\":%.3f,\"p99\":%.3f,"
		   "\"max\":%.3f}",
		   s->n, s->mean, s->p50, s->p90, s->p95, s->p99, s->max);
}
