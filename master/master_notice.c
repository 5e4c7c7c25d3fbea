/* SPDX-License-Identifier: Apache-2.0
 *
 * A line feed in a text would be another variable to the service manager (sd_notify(3)).
 */
#include "master/master_notice.h"

#include <string.h>

#include "master/master_notify.h"

enum { ALL_MAX = MASTER_NOTICES * (MASTER_NOTICE_MAX + 2) };

void master_notice_put(const struct master_notices *notices, struct buf *out)
{
	bool is_first = true;

	for (unsigned i = 0; i < MASTER_NOTICES; i++) {
		if (notices->text[i][0] == '\0')
			continue;
		if (!is_first)
			buf_put_text(out, "; ");
		buf_put_text(out, notices->text[i]);
		is_first = false;
	}
}

void master_notice_tell(const struct master_notices *notices)
{
	struct buf all = BUF_MAX(ALL_MAX);

	master_notice_put(notices, &all);
	master_notify_status(buf_str(&all));
	buf_clear(&all);
}

void master_notice_set(struct master_notices *notices, enum master_notice which, struct str text)
{
	char fresh[MASTER_NOTICE_MAX + 1] = "";
	struct str kept = str_first(text, MASTER_NOTICE_MAX);

	for (size_t i = 0; i < kept.n; i++)
		fresh[i] = kept.p[i] >= ' ' && kept.p[i] <= '~' ? kept.p[i] : '?';
	if (strcmp(fresh, notices->text[which]) == 0)
		return;
	memcpy(notices->text[which], fresh, sizeof(fresh));
	master_notice_tell(notices);
}
