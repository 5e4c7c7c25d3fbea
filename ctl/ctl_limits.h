/* SPDX-License-Identifier: Apache-2.0
 *
 * The limits that tenants and users have alike: --per-second, --per-minute, --per-hour, --per-day, --per-month. And
 * lists as options: words with blanks or commas between them.
 */
#ifndef CTL_CTL_LIMITS_H
#define CTL_CTL_LIMITS_H

#include "ctl/ctl_out.h"
#include "lib/queue/pg.h"

enum { CTL_LIMITS = 5 };

struct ctl_limits {
	int32_t per[CTL_LIMITS]; /* -1: not given; 0: no limit */
	bool is_given;		 /* one of them */
};

/* Takes the options. */
struct ctl_limits ctl_limits_take(struct ctl *ctl);
/* The assignments of an UPDATE, whose parameters from $5 on these are. */
#define CTL_LIMITS_SET \
	"per_second = CASE WHEN $5 < 0 THEN per_second ELSE nullif($5, 0) END, " \
	"per_minute = CASE WHEN $6 < 0 THEN per_minute ELSE nullif($6, 0) END, " \
	"per_hour = CASE WHEN $7 < 0 THEN per_hour ELSE nullif($7, 0) END, " \
	"per_day = CASE WHEN $8 < 0 THEN per_day ELSE nullif($8, 0) END, " \
	"per_month = CASE WHEN $9 < 0 THEN per_month ELSE nullif($9, 0) END"
void ctl_limits_put(const struct ctl_limits *limits, struct pg_params *params);

/* Columns of a list: for people one, "10/second 1000/day"; in JSON a number each. */
#define CTL_LIMITS_COLUMNS \
	{"limits", "LIMITS"}, {"per_second", NULL}, {"per_minute", NULL}, {"per_hour", NULL}, {"per_day", NULL}, \
	{"per_month", NULL}
/* Their cells: from the row's columns `column` and the four behind it. */
void ctl_limits_show(struct ctl_out *out, const struct pg_result *r, unsigned row, unsigned column);

/* A list as a text[] parameter, NULL when text is. check() may change a word (it is NUL-terminated) and ends the
 * program when it is wrong. */
void ctl_limits_put_words(struct pg_params *params, const char *text, void (*check)(char *word));

#endif
