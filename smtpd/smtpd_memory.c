/* SPDX-License-Identifier: Apache-2.0
 *
 * Budgets, and the directory of the files.
 */
#include "smtpd/smtpd_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/trouble.h"
#include "lib/service/metrics.h"

enum { SMALL = 32768 }; /* spilling less than this frees too little for its system calls */

void smtpd_memory_open(struct smtpd_memory *m, const char *state_dir, uid_t user, gid_t group)
{
	char path[4096];

	m->directory = -1;
	if (snprintf(path, sizeof(path), "%s/smtpd", state_dir) >= (int)sizeof(path))
		errno = ENAMETOOLONG;
	else if (mkdir(path, 0700) == 0 || errno == EEXIST)
		m->directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (m->directory >= 0 && geteuid() == 0 &&
	    (fchown(m->directory, user, group) < 0 || fchmod(m->directory, 0700) < 0))
		fd_close(&m->directory);
	if (m->directory < 0)
		log_error(NULL, "smtpd.spill.no_directory", log_text("directory", path),
			  log_text("reason", strerror(errno)),
			  log_text("effect", "large messages are refused when memory is short"));
}

static void change(uint64_t *total, uint64_t *share, uint64_t now)
{
	must(*total >= *share);
	*total = *total - *share + now;
	*share = now;
}

void smtpd_memory_hold(struct smtpd_memory_share *share, uint64_t memory, uint64_t file, uint64_t handover)
{
	struct smtpd_memory *m = share->of;

	if (m == NULL || (share->memory == memory && share->file == file && share->handover == handover))
		return;
	change(&m->in_memory, &share->memory, memory);
	change(&m->in_files, &share->file, file);
	change(&m->in_handover, &share->handover, handover);
	metrics_set(METRIC_MEMORY, (int64_t)(m->in_memory + m->in_handover));
	metrics_set(METRIC_SPILL, (int64_t)m->in_files);
}

/* The last quarter is left to small messages and to headers. */
static uint64_t tight(const struct smtpd_memory *m)
{
	return m->memory - m->memory / 4;
}

bool smtpd_memory_is_full(const struct smtpd_memory_share *share)
{
	return share->of != NULL && share->of->in_memory > share->of->memory;
}

bool smtpd_memory_must_spill(const struct smtpd_memory_share *share)
{
	return share->of != NULL &&
	       share->of->in_memory > (share->memory >= SMALL ? tight(share->of) : share->of->memory);
}

bool smtpd_memory_may_write(const struct smtpd_memory_share *share, uint64_t n)
{
	const struct smtpd_memory *m = share->of;

	return m->directory >= 0 && m->in_files <= m->spill && n <= m->spill - m->in_files;
}

bool smtpd_memory_may_hand_over(const struct smtpd_memory_share *share)
{
	return share->of->in_handover <= share->of->memory;
}

bool smtpd_memory_has_room(const struct smtpd_memory *m, uint64_t size)
{
	uint64_t most;

	if (m == NULL)
		return true;
	most = size < SMALL ? m->memory : tight(m);
	if (m->in_memory <= most && size <= most - m->in_memory)
		return true;
	return m->directory >= 0 && m->in_files <= m->spill && size <= m->spill - m->in_files;
}
