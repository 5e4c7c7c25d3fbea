/* SPDX-License-Identifier: Apache-2.0
 *
 * Listening sockets from whoever started this process (sd_listen_fds(3), by hand): systemd's socket activation and its
 * FD store, or this program before an upgrade. They are descriptors from 3 on, described in the environment.
 */
#ifndef MASTER_MASTER_INHERIT_H
#define MASTER_MASTER_INHERIT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/str.h"
#include "master/master_listen.h"

enum { MASTER_INHERIT_MOST = 64, MASTER_INHERIT_FIRST = 3 };

struct master_inherited {
	struct {
		int fd; /* -1: taken */
		char name[MASTER_LISTEN_FD_NAME];
	} socket[MASTER_INHERIT_MOST];
	size_t n;
};

/* Pure: how many descriptors $LISTEN_PID and $LISTEN_FDS (either may be NULL) give to process `pid`. */
size_t master_inherit_count(const char *listen_pid, const char *listen_fds, int64_t pid);

/* Takes what the environment describes, and the description out of it. */
void master_inherit_take(struct master_inherited *in);
/* The one that listens on this address and port, now the caller's, and its name; -1: there is none. Port 0 stands for any
 * port of a socket whose name is *name. */
int master_inherit_find(struct master_inherited *in, const struct sockaddr *address, char name[MASTER_LISTEN_FD_NAME]);
/* Says and closes what nobody wanted; the FD store forgets it too. */
void master_inherit_close(struct master_inherited *in);

/* Makes the open sockets those of `in`, as the process that comes after an exec will find them, and describes them in
 * the environment. `keep` are other descriptors that must not be in their way: they are moved. */
void master_inherit_leave(struct master_inherited *in, struct master_listen *listen, int *const *keep, size_t n_keep);
/* There was no exec after all: `in` stays. */
void master_inherit_stay(struct master_inherited *in);

#endif
