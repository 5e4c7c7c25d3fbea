/* SPDX-License-Identifier: Apache-2.0
 *
 * What master's files share: one struct, made in master_main.c.
 */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/net/loop.h"
#include "lib/settings/settings.h"
#include "master/master_identity.h"
#include "master/master_inherit.h"
#include "master/master_listen.h"
#include "master/master_notice.h"

struct master_ask;
struct master_challenge;
struct master_children;
struct master_renewer;
struct master_tickets;
struct master_stop;
struct master_upgrade;

enum master_state {
	MASTER_RUNNING,
	MASTER_DRAINING, /* the front finishes its sessions */
	MASTER_DRAINED,	 /* there is no front; the rest goes on */
	MASTER_STOPPING,
	MASTER_UPGRADING, /* as stopping, but a new program follows in this process */
};

struct master {
	struct loop *loop;
	char program[PATH_MAX]; /* where it was when it started; "": nobody knows */
	char **argv;
	const char *settings_path;
	struct settings *settings; /* in use; counts that were 0 ("one a core") are worked out */
	struct master_identities identities;
	struct master_tickets *tickets;
	struct master_listen listen;
	struct master_inherited inherited;
	struct master_children *children;
	struct master_challenge *challenge;
	struct master_renewer *renewer;
	struct master_notices notices;
	struct master_stop *stop;
	struct master_upgrade *upgrade;
	struct master_ask *asks; /* under way */
	int metrics_fd;
	int64_t started_at; /* wall clock */
	enum master_state state;
};

/* Every child ends. */
static inline bool master_is_ending(const struct master *m)
{
	return m->state >= MASTER_STOPPING;
}

#endif
