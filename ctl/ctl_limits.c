/* SPDX-License-Identifier: Apache-2.0
 *
 * Limits and lists of tenants and users.
 */
#include "ctl/ctl_limits.h"

#include <inttypes.h>
#include <stdlib.h>

#include "lib/base/mem.h"

static const char *const spans[CTL_LIMITS] = {"second", "minute", "hour", "day", "month"};

struct ctl_limits ctl_limits_take(struct ctl *ctl)
{
	static const char *const options[CTL_LIMITS] = {"--per-second", "--per-minute", "--per-hour", "--per-day",
							"--per-month"};
	struct ctl_limits limits = {.is_given = false};

	for (unsigned i = 0; i < CTL_LIMITS; i++) {
		const char *text = ctl_option(ctl, options[i]);
		uint64_t value = 0;

		limits.per[i] = -1;
		if (text == NULL)
			continue;
		if (strcmp(text, "none") != 0 && !str_u64(str_of(text), 0, INT32_MAX, &value))
			ctl_usage(ctl, "%s: \"%s\" is neither a number from 0 to %d nor none", options[i], text,
				  INT32_MAX);
		limits.per[i] = (int32_t)value;
		limits.is_given = true;
	}
	return limits;
}

void ctl_limits_put(const struct ctl_limits *limits, struct pg_params *params)
{
	for (unsigned i = 0; i < CTL_LIMITS; i++)
		pg_put_int4(params, limits->per[i]);
}

void ctl_limits_show(struct ctl_out *out, const struct pg_result *r, unsigned row, unsigned column)
{
	struct buf text = BUF_MAX(256);

	for (unsigned i = 0; i < CTL_LIMITS; i++)
		if (!pg_is_null(r, row, column + i))
			buf_printf(&text, "%s%" PRId32 "/%s", text.n > 0 ? " " : "", pg_int4(r, row, column + i),
				   spans[i]);
	ctl_out_str(out, buf_str(&text));
	buf_clear(&text);
	for (unsigned i = 0; i < CTL_LIMITS; i++)
		if (pg_is_null(r, row, column + i))
			ctl_out_null(out);
		else
			ctl_out_int(out, pg_int4(r, row, column + i));
}

void ctl_limits_put_words(struct pg_params *params, const char *text, void (*check)(char *word))
{
	char *copy, *rest = NULL;

	if (text == NULL) {
		pg_put_null(params);
		return;
	}
	copy = mem_text(text);
	pg_open_array(params, PG_TEXT);
	for (char *word = strtok_r(copy, " ,\t\r\n", &rest); word != NULL; word = strtok_r(NULL, " ,\t\r\n", &rest)) {
		check(word);
		pg_put_text(params, str_of(word));
	}
	pg_close_array(params);
	free(copy);
}
