/* SPDX-License-Identifier: Apache-2.0
 *
 * Fills {n}, {count}, {time} and {random} into texts. Called by client_batch.c.
 */
#include "client/client_template.h"

#include <time.h>

static void put_time(struct buf *out, int64_t seconds)
{
	time_t t = (time_t)seconds;
	char text[32];
	struct tm tm;

	gmtime_r(&t, &tm);
	if (strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) > 0)
		buf_put_text(out, text);
}

static bool put_value(struct str word, const struct client_template_values *v, struct buf *out)
{
	if (str_eq(word, STR("n")))
		buf_printf(out, "%llu", (unsigned long long)v->n);
	else if (str_eq(word, STR("count")))
		buf_printf(out, "%llu", (unsigned long long)v->count);
	else if (str_eq(word, STR("time")))
		put_time(out, v->time);
	else if (str_eq(word, STR("random")))
		buf_printf(out, "%016llx", (unsigned long long)v->random);
	else
		return false;
	return true;
}

void client_template_fill(struct str text, const struct client_template_values *values,
			  struct buf *out)
{
	while (text.n > 0) {
		size_t open = str_find(text, '{');
		struct str after = str_from(text, open + 1);
		size_t close = str_find(after, '}');

		buf_put_str(out, str_first(text, open));
		if (open == text.n)
			return;
		if (close < after.n && put_value(str_first(after, close), values, out)) {
			text = str_from(after, close + 1);
		} else {
			buf_put_char(out, '{');
			text = after;
		}
	}
}
