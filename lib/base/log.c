/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing log lines: one write(2) a line, so that lines of several processes never mix. The process'
 * log is the one thing in the house that is global: every layer writes to it.
 */
#include "lib/base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/fd.h"

enum { LOG_LINE_MAX = 8192, LOG_TEXT_MAX = 512 };

static struct {
	char role[32];
	int pid; /* 0: not asked for yet */
	enum log_format format;
	enum log_level level;
} sink = {"smtp-proxy", 0, LOG_FORMAT_JSON, LOG_LEVEL_INFO};

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void log_open(const char *role, int slot)
{
	sink.pid = (int)getpid();
	if (slot < 0)
		snprintf(sink.role, sizeof(sink.role), "%s", role);
	else
		snprintf(sink.role, sizeof(sink.role), "%s[%d]", role, slot);
}

void log_set(enum log_format format, enum log_level level)
{
	sink.format = format;
	sink.level = level;
}

enum log_level log_threshold(void)
{
	return sink.level;
}

struct log_field log_str(const char *name, struct str text)
{
	return (struct log_field){LOG_KIND_TEXT, name, {.text = text}};
}

struct log_field log_text(const char *name, const char *text)
{
	return log_str(name, str_of(text));
}

struct log_field log_int(const char *name, int64_t i)
{
	return (struct log_field){LOG_KIND_INT, name, {.i = i}};
}

struct log_field log_uint(const char *name, uint64_t u)
{
	return (struct log_field){LOG_KIND_UINT, name, {.u = u}};
}

struct log_field log_bool(const char *name, bool b)
{
	return (struct log_field){LOG_KIND_BOOL, name, {.b = b}};
}

struct log_field log_ms(const char *name, int64_t microseconds)
{
	return (struct log_field){LOG_KIND_MS, name, {.i = microseconds}};
}

/* The text inside JSON quotes. Whatever is not well-formed UTF-8 goes byte by byte as \u00XX, so that
 * a hostile name cannot break the line or a terminal. */
static void put_escaped(struct buf *out, struct str s)
{
	bool utf8;

	s = str_first(s, LOG_TEXT_MAX);
	while (s.n > 0 && !str_is_utf8(s) && ((unsigned char)s.p[s.n - 1] & 0x80) &&
	       str_is_utf8(str_first(s, s.n - 1)))
		s.n--;
	utf8 = str_is_utf8(s);
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8))
			buf_printf(out, "\\u%04x", c);
		else if (c == 0xc2 && (unsigned char)s.p[i + 1] < 0xa0)
			/* U+0080 to U+009F: control characters, to a terminal the same as ESC and another */
			buf_printf(out, "\\u%04x", (unsigned char)s.p[++i]);
		else
			buf_put_char(out, (char)c);
	}
}

static void put_value(struct buf *out, const struct log_field *f)
{
	switch (f->kind) {
	case LOG_KIND_TEXT:
		buf_put_char(out, '"');
		put_escaped(out, f->as.text);
		buf_put_char(out, '"');
		break;
	case LOG_KIND_INT:
		buf_printf(out, "%" PRId64, f->as.i);
		break;
	case LOG_KIND_UINT:
		buf_printf(out, "%" PRIu64, f->as.u);
		break;
	case LOG_KIND_BOOL:
		buf_put_text(out, f->as.b ? "true" : "false");
		break;
	case LOG_KIND_MS:
		buf_printf(out, "%.3f", (double)f->as.i / 1000);
		break;
	case LOG_KIND_END:
		break;
	}
}

static void put_field(struct buf *out, const struct log_field *f)
{
	if (sink.format == LOG_FORMAT_JSON)
		buf_printf(out, ",\"%s\":", f->name);
	else
		buf_printf(out, " %s=", f->name);
	put_value(out, f);
}

static void put_context(struct buf *out, const struct log_context *ctx)
{
	const struct log_field fields[] = {
		log_text("session", ctx->session),
		log_text("message", ctx->message),
		log_text("tenant", ctx->tenant),
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (fields[i].as.text.n > 0)
			put_field(out, &fields[i]);
}

static void put_head(struct buf *out, enum log_level level, const char *event)
{
	struct timespec now;
	struct tm utc;
	char stamp[32];

	if (sink.pid == 0)
		sink.pid = (int)getpid();
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
	if (sink.format == LOG_FORMAT_JSON)
		buf_printf(out,
			   "{\"time\":\"%s.%06ldZ\",\"level\":\"%s\",\"role\":\"%s\",\"pid\":%d,"
			   "\"event\":\"%s\"",
			   stamp, now.tv_nsec / 1000, level_names[level], sink.role, sink.pid,
			   event);
	else
		buf_printf(out, "%s.%03ldZ %-5s %s[%d] %s", stamp, now.tv_nsec / 1000000,
			   level_names[level], sink.role, sink.pid, event);
}

void log_write(const struct log_context *ctx, enum log_level level, const char *event,
	       const struct log_field *fields)
{
	struct buf line = BUF_MAX(LOG_LINE_MAX);

	put_head(&line, level, event);
	if (ctx != NULL)
		put_context(&line, ctx);
	for (; fields->kind != LOG_KIND_END; fields++)
		put_field(&line, fields);
	if (sink.format == LOG_FORMAT_JSON)
		buf_put_char(&line, '}');
	buf_put_char(&line, '\n');
	/* A log that cannot be written must not stop mail, and there is nobody left to tell. */
	if (!line.is_full)
		fd_write_all(STDOUT_FILENO, line.p, line.n);
	buf_clear(&line);
}
