/* SPDX-License-Identifier: Apache-2.0
 *
 * One line an event, on standard output: a JSON object, or plain words for a terminal. Every line has
 * time, level, role[slot], pid, a unique event name, and the ids of the session and message it is
 * about; so a message can be followed through all processes by its id.
 *
 *	log_info(&ctx, "smtpd.session.end", log_uint("bytes", n), log_text("reply", token));
 *
 * Levels: error = someone must act; warn = degraded; info = one line per session, per change of a
 * message's state, per start and stop; debug = per command. The event name occurs once in the source.
 * Never a password, a key, an AUTH line or message content.
 */
#ifndef LIB_BASE_LOG_H
#define LIB_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/str.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_JSON, LOG_FORMAT_PLAIN };

/* What a line is about. Any member may be NULL or "". Borrowed for the call. */
struct log_context {
	const char *session;
	const char *message;
	const char *tenant;
};

enum log_kind { LOG_KIND_END, LOG_KIND_TEXT, LOG_KIND_INT, LOG_KIND_UINT, LOG_KIND_BOOL, LOG_KIND_MS };

struct log_field {
	enum log_kind kind;
	const char *name;
	union {
		struct str text;
		int64_t i;
		uint64_t u;
		bool b;
	} as;
};

/* The fields of a line. Bytes that are not printable UTF-8 are escaped; a text is cut at 512 bytes. */
struct log_field log_text(const char *name, const char *text);
struct log_field log_str(const char *name, struct str text);
struct log_field log_int(const char *name, int64_t i);
struct log_field log_uint(const char *name, uint64_t u);
struct log_field log_bool(const char *name, bool b);
/* A span of time given in microseconds, written as milliseconds with three decimals. */
struct log_field log_ms(const char *name, int64_t microseconds);

#define LOG_LINE(ctx, level, event, ...) \
	((level) <= log_threshold() \
		 ? log_write(ctx, level, event, (const struct log_field[]){__VA_ARGS__ __VA_OPT__(,) {0}}) \
		 : (void)0)
#define log_error(ctx, event, ...) LOG_LINE(ctx, LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define log_warn(ctx, event, ...) LOG_LINE(ctx, LOG_LEVEL_WARN, event, __VA_ARGS__)
#define log_info(ctx, event, ...) LOG_LINE(ctx, LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_debug(ctx, event, ...) LOG_LINE(ctx, LOG_LEVEL_DEBUG, event, __VA_ARGS__)

/* Fields end with one of kind LOG_KIND_END. Use the macros above. */
void log_write(const struct log_context *ctx, enum log_level level, const char *event,
	       const struct log_field *fields);

/* Who writes: "smtpd" and slot 0 give role "smtpd[0]"; slot < 0 leaves the number out. */
void log_open(const char *role, int slot);
void log_set(enum log_format format, enum log_level level);
enum log_level log_threshold(void);

#endif
