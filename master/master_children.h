/* SPDX-License-Identifier: Apache-2.0
 *
 * The children: who there is, who talks to whom, starting them again, draining them. The program itself
 * is started by master_spawn.c, the wait before a restart decided by master_restart.c.
 */
#ifndef MASTER_MASTER_CHILDREN_H
#define MASTER_MASTER_CHILDREN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/ipc/ipc.h"
#include "master/master.h"
#include "master/master_restart.h"

enum master_child_state {
	MASTER_CHILD_WAITING,  /* dead, will be started when its delay is over */
	MASTER_CHILD_STARTING, /* runs, has not said READY */
	MASTER_CHILD_READY,
	MASTER_CHILD_DRAINING, /* told to finish */
	MASTER_CHILD_GONE,     /* ended for good */
};

struct master_child {
	enum role role;
	unsigned slot;
	unsigned part; /* of the metrics */
	enum master_child_state state;
	int64_t since; /* wall clock: when the state was entered */
	pid_t pid;     /* 0: does not run */
	unsigned restarts;
	int64_t ready_at;     /* monotonic; 0: not yet */
	unsigned gos;	      /* GO frames that have no READY yet */
	unsigned pings;	      /* PING frames that have no PONG yet */
	bool is_killed;	      /* by us: its end is no news */
	struct ipc_peer *control;
	struct loop_timer *timer; /* of the restart */
	struct master_restart restart;
	struct master *master;
};

struct master_children_events {
	/* Every child is ready: after start (once), and after each reload. */
	void (*on_ready)(struct master *master, bool is_first);
	/* One has ended that will not be started again. */
	void (*on_gone)(struct master *master);
	/* A frame that only this child's role sends. False: it is not as it must be. */
	bool (*on_frame)(struct master *master, const struct master_child *child, struct ipc_frame *frame);
	/* A process that is none of them has ended. */
	void (*on_other)(struct master *master, pid_t pid, int status);
};

/* Makes the table from the settings; nothing runs yet. `events` is borrowed. */
struct master_children *master_children_new(struct master *master,
					    const struct master_children_events *events);
void master_children_free(struct master_children **children);
void master_children_start(struct master_children *children);
/* Sends all of them master->settings, and those that face clients the identity too. */
void master_children_reload(struct master_children *children, bool with_identity);
/* Tells all of a role to finish within `limit` microseconds; from now on none of them is started again. */
void master_children_drain(struct master_children *children, enum role role, int64_t limit);
/* One of master->listen.acme is there now: cert-renewer gets it. */
void master_children_hand_acme(struct master_children *children, unsigned which);
/* The certificates are others: who faces clients gets them. */
void master_children_hand_identity(struct master_children *children);
void master_children_kill(struct master_children *children, enum role role, const char *why);
/* All of a role have ended for good. */
bool master_children_are_gone(const struct master_children *children, enum role role);

size_t master_children_count(const struct master_children *children);
const struct master_child *master_children_at(const struct master_children *children, size_t i);
const char *master_children_state_name(enum master_child_state state);

#endif
