/* SPDX-License-Identifier: Apache-2.0
 *
 * The restart policy: at once after a crash in service, with a doubling delay for what dies at start, so
 * that a broken program or setting does not eat the machine.
 */
#include "master/master_restart.h"

int64_t master_restart_delay(struct master_restart *restart, int64_t ready_at, int64_t now,
			     bool *is_new_step)
{
	int64_t before = restart->delay;

	if (ready_at != 0 && now - ready_at >= MASTER_RESTART_PROVEN)
		*restart = (struct master_restart){0};
	else if (ready_at != 0 && !restart->is_shaky && before == 0)
		restart->is_shaky = true;
	else if (before == 0)
		restart->delay = MASTER_RESTART_FIRST;
	else
		restart->delay = 2 * before > MASTER_RESTART_LONGEST ? MASTER_RESTART_LONGEST : 2 * before;
	*is_new_step = restart->delay != before;
	return restart->delay;
}
