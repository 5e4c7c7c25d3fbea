/* SPDX-License-Identifier: Apache-2.0
 *
 * The job's frame written anew, and a mapping of its own. Called by deliver_job.c.
 */
#include "deliver/deliver_kept.h"

#include <stdlib.h>

#include "lib/base/fd.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/ipc/ipc.h"

struct deliver_kept {
	struct buf frame;
	struct str *recipients;
	const char *map; /* of a large content */
	struct ipc_job job;
};

struct deliver_kept *deliver_kept_new(const struct ipc_job *job, int file)
{
	struct deliver_kept *kept = mem_zero(sizeof(*kept));
	struct ipc_job bare = *job;
	struct reader r;

	if (job->message.size > IPC_INLINE_MAX) {
		bare.message.content = STR("");
		kept->map = fd_map(file, job->message.size);
		if (kept->map == NULL) {
			deliver_kept_free(&kept);
			return NULL;
		}
	}
	kept->frame = BUF_MAX(IPC_BODY_MAX);
	kept->recipients = mem_array(job->message.n_recipients, sizeof(*kept->recipients));
	ipc_put_job(&kept->frame, &bare);
	r = reader_of(buf_str(&kept->frame));
	must(ipc_get_job(&r, &kept->job, kept->recipients));
	if (kept->map != NULL)
		kept->job.message.content = str_bytes(kept->map, kept->job.message.size);
	return kept;
}

const struct ipc_job *deliver_kept_job(const struct deliver_kept *kept)
{
	return &kept->job;
}

void deliver_kept_free(struct deliver_kept **kept)
{
	struct deliver_kept *k = *kept;

	if (k == NULL)
		return;
	fd_unmap(k->map, k->job.message.size);
	buf_clear_secret(&k->frame);
	mem_free(&k->recipients);
	mem_free(kept);
}
