/* SPDX-License-Identifier: Apache-2.0
 *
 * Texts as Postgres takes them.
 */
#include "qmgr/qmgr_sql.h"

#include <string.h>

void qmgr_sql_put_element(struct buf *out, struct str text)
{
	buf_put_char(out, '"');
	for (size_t at = 0; at < text.n; at++) {
		char c = text.p[at];

		if (c == '"' || c == '\\')
			buf_put_char(out, '\\');
		buf_put_char(out, c);
	}
	buf_put_char(out, '"');
}

void qmgr_sql_put_array(struct buf *out, const struct str *texts, unsigned n)
{
	buf_put_char(out, '{');
	for (unsigned i = 0; i < n; i++) {
		if (i > 0)
			buf_put_char(out, ',');
		qmgr_sql_put_element(out, texts[i]);
	}
	buf_put_char(out, '}');
}

bool qmgr_sql_is_text(struct str text)
{
	return str_find(text, '\0') == text.n && str_is_utf8(text);
}

void qmgr_sql_put_text(struct buf *out, struct str text)
{
	if (qmgr_sql_is_text(text)) {
		buf_put_str(out, text);
		return;
	}
	for (size_t i = 0; i < text.n; i++)
		buf_put_char(out, text.p[i] < ' ' || text.p[i] > '~' ? '?' : text.p[i]);
}

bool qmgr_sql_is_bad_row(const char *sqlstate)
{
	return strncmp(sqlstate, "22", 2) == 0 || strncmp(sqlstate, "23", 2) == 0 ||
	       strncmp(sqlstate, "54", 2) == 0;
}
