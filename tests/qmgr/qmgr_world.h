/* SPDX-License-Identifier: Apache-2.0
 *
 * A queue manager in the test's own process, on a throw-away Postgres, between an smtpd and delivery
 * agents that are played by the test: what it tells them is kept, what they say is said by calls.
 */
#ifndef TESTS_QMGR_QMGR_WORLD_H
#define TESTS_QMGR_QMGR_WORLD_H

#include "lib/ipc/ipc_body.h"
#include "qmgr/qmgr.h"
#include "tests/support/unit.h"

enum { WORLD_AGENTS = 2, WORLD_KEPT = 4096, WORLD_CONTENT = 128 };

struct world_answer {
	uint64_t frame_id;
	enum ipc_submit_verdict verdict;
	char reason[128], provider_id[64];
	struct uuid id;
};

struct world_job {
	unsigned agent;
	struct uuid message;
	uint64_t number;
	int64_t begin_before;
	uint32_t attempt, size;
	unsigned part, n_recipients;
	bool has_file, is_test;
	char recipient[128]; /* the first */
	char provider[64], mail_from[128], dsn[128];
	char content[WORLD_CONTENT]; /* its beginning */
	char whom[IPC_RECIPIENTS_MAX * sizeof(uint16_t)];
	size_t whom_n;
};

/* One host. */
struct world {
	struct service_env env;
	struct settings *settings;
	struct qmgr *qmgr;
	char owner[UUID_TEXT], place[16];
	struct ipc_peer *smtpd, *agent[WORLD_AGENTS];
	struct world_answer answer[WORLD_KEPT];
	unsigned n_answers;
	struct world_job job[WORLD_KEPT];
	unsigned n_jobs;
	struct ipc_attempt stored[WORLD_KEPT];
	unsigned n_stored;
	bool is_full;	     /* PRESSURE said so last */
	unsigned n_pressures;
};

extern struct uuid world_tenant;

/* A new database with a tenant "acme"; nothing runs yet. */
void world_begin(void);
const char *world_database(void);
/* ... without any database; nor has world_start() then. */
void world_begin_alone(void);
/* Starts a host's qmgr; its agents are there and have said PLACES unless `is_silent`. */
struct world *world_start(const char *owner, bool is_silent);
/* ... on another machine than the others. */
struct world *world_start_at(const char *place, const char *owner, bool is_silent);
/* As kill -9: nothing is said. The world keeps what was heard; world_restart() makes another one. */
void world_kill(struct world *w);
void world_restart(struct world *w, bool is_silent);
/* ... which has its peers, and no GO yet. */
void world_restart_early(struct world *w);
void world_free(struct world **w);
/* All worlds share one loop. Turns it until cond() or, failing the test, for 15 s. */
bool world_until(bool (*cond)(struct world *w, unsigned n), struct world *w, unsigned n);
/* Turns it for so long. */
void world_pass(int64_t microseconds);

bool world_owns_all(struct world *w, unsigned n);
bool world_has_answers(struct world *w, unsigned n);
bool world_has_jobs(struct world *w, unsigned n);
bool world_has_stored(struct world *w, unsigned n);

/* smtpd's words. */
/* The connection is cut, and there is a new one before qmgr hears of it. */
void world_reconnect_smtpd(struct world *w);
struct uuid world_submit(struct world *w, uint64_t frame_id, const char *content);
void world_submit_message(struct world *w, uint64_t frame_id, const struct ipc_message *m, int fd);
/* As smtpd does after world_reconnect_smtpd() or world_restart(). */
void world_submit_again(struct world *w, uint64_t frame_id, const struct ipc_message *m);
struct ipc_message world_message(const char *content);

/* The agents' words. */
void world_connect_agent(struct world *w, unsigned agent);
void world_close_agent(struct world *w, unsigned agent);
void world_places(struct world *w, unsigned agent, unsigned places);
void world_running(struct world *w, unsigned agent, const struct uuid *id, uint32_t attempt);
void world_running_part(struct world *w, unsigned agent, const struct uuid *id, unsigned part, uint32_t attempt);
/* The n-th job came too late for its agent. */
void world_late(struct world *w, unsigned job);
void world_outcome(struct world *w, unsigned agent, const struct uuid *id, uint32_t attempt,
		   enum ipc_outcome_class class);

/* What came of the n-th job, an attempt of the queue or a call of a direct mode. Refusals count the message's recipients. */
void world_report(struct world *w, unsigned job, const struct ipc_outcome *o);

/* ... with refusals for good and for now: "1P 2T". */
void world_report_each(struct world *w, unsigned job, enum ipc_outcome_class class, const char *refusals);

/* The number that a query gives. */
long long world_count(const char *sql);

/* Waits until qmgr remembers no message: one that is done stays while the database is being read (qmgr_message.h). */
bool world_is_empty(struct world *w, unsigned n);

static inline void forgotten(struct world *w)
{
	UNIT_TRUE(world_until(world_is_empty, w, 0));
}

/* Waits until smtpd has so many answers, the agents so many jobs, and so many outcomes are struck out. */
static inline void answered(struct world *w, unsigned n)
{
	UNIT_TRUE(world_until(world_has_answers, w, n));
}

static inline void given(struct world *w, unsigned n)
{
	UNIT_TRUE(world_until(world_has_jobs, w, n));
}

static inline void struck_out(struct world *w, unsigned n)
{
	UNIT_TRUE(world_until(world_has_stored, w, n));
}

#endif
