/* SPDX-License-Identifier: Apache-2.0
 *
 * What smtp-proxyctl prints: an aligned table for people, or with --json one JSON object a line.
 *
 *	static const struct ctl_out_column columns[] = {{"id", "ID"}, {"size", "SIZE"}};
 *	struct ctl_out *out = ctl_out_new(ctl, columns, 2);
 *	ctl_out_text(out, id); ctl_out_int(out, size);		(a row: one call per column, in order)
 *	ctl_out_free(&out);					(prints)
 *
 * ctl_out_record() prints one thing instead: "name: value" lines for people.
 */
#ifndef CTL_CTL_OUT_H
#define CTL_CTL_OUT_H

#include "ctl/ctl.h"

struct ctl_out_column {
	const char *name;  /* in JSON */
	const char *title; /* for people; NULL: only in JSON */
};

struct ctl_out;

/* columns are borrowed for the life of the out. */
struct ctl_out *ctl_out_new(const struct ctl *ctl, const struct ctl_out_column *columns, size_t n);
/* As ctl_out_new(), but each row is shown to people as lines "TITLE: value", rows apart by an empty line. */
struct ctl_out *ctl_out_record(const struct ctl *ctl, const struct ctl_out_column *columns, size_t n);

/* The next cell. People see control characters and bad UTF-8 as '?', an empty text as '-'. */
void ctl_out_text(struct ctl_out *out, const char *text);
void ctl_out_str(struct ctl_out *out, struct str text);
void ctl_out_int(struct ctl_out *out, int64_t value);
void ctl_out_bool(struct ctl_out *out, bool value);
/* A time, microseconds since 1970: ISO 8601 in UTC with milliseconds. 0: none. */
void ctl_out_time(struct ctl_out *out, int64_t wall);
/* A duration in microseconds: people see "1m 30s", JSON has seconds. */
void ctl_out_span(struct ctl_out *out, int64_t microseconds);
/* No value: null. */
void ctl_out_null(struct ctl_out *out);

/* How many rows are complete. */
size_t ctl_out_rows(const struct ctl_out *out);
/* Prints and frees. The last row must be complete. */
void ctl_out_free(struct ctl_out **out);

/* A sentence about what was done: people see the sentence; with --json {"done":"..."}. */
void ctl_out_done(const struct ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
