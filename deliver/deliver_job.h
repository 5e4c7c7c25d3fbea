/* SPDX-License-Identifier: Apache-2.0
 *
 * One job after the other, many at a time: build the provider's request, send it, say what the answer
 * means, put it into the journal, report it.
 */
#ifndef DELIVER_JOB_H
#define DELIVER_JOB_H

#include <stdint.h>

#include "deliver/deliver_journal.h"
#include "deliver/deliver_token.h"
#include "lib/ipc/ipc_body.h"
#include "lib/net/http_client.h"
#include "lib/settings/settings.h"

enum { DELIVER_JOB_DIRECTORIES = 64 };

/* A directory that prepare() opened for a provider of type file. */
struct deliver_job_directory {
	char *path;
	int fd;
};

/* The outcome is in the journal: `body` is the OUTCOME frame's. */
typedef void deliver_job_fn(void *ctx, uint64_t number, struct str body);

struct deliver_job;

/* What the jobs share. The owner fills in the first block and frees what it points to. */
struct deliver_job_pool {
	struct http_client *http;
	struct smtp_pool *smtp;
	struct deliver_journal *journal;
	struct deliver_token_cache *tokens;
	const struct settings *settings;
	const struct deliver_job_directory *directories;
	unsigned n_directories;
	deliver_job_fn *on_outcome;
	void *ctx;

	struct deliver_job *running;
	unsigned n_running;
};

/* Works on a job that is neither running nor in the journal. The message's content must be complete, and
 * is only used during the call; `file` is where it is when it is large, and may be closed afterwards too. The outcome may
 * come before this returns. */
void deliver_job_start(struct deliver_job_pool *pool, uint64_t number, const struct ipc_job *job, int file);
/* Forgets the jobs of which nothing was sent and nothing is in the journal, for they wait: another qmgr gives them anew. */
void deliver_job_forget(struct deliver_job_pool *pool);
/* The settings are others now: providers are counted under their new places. */
void deliver_job_reload(struct deliver_job_pool *pool);
/* Forgets the jobs that run, for the end of the process; http and smtp must be gone. */
void deliver_job_abandon(struct deliver_job_pool *pool);

#endif
