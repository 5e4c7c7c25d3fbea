/* SPDX-License-Identifier: Apache-2.0
 *
 * The listening sockets: bound once, before any child lives, and kept by master, so that clients wait in
 * the backlog while a child is away. master accepts nothing itself.
 */
#ifndef MASTER_MASTER_LISTEN_H
#define MASTER_MASTER_LISTEN_H

#include <netinet/in.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/settings/settings.h"

enum { MASTER_LISTEN_MOST = 16 }; /* as LIST(listener) in settings.def */

struct master_socket {
	char name[SETTINGS_KEY]; /* the listener's key; "api" */
	char address[INET6_ADDRSTRLEN];
	uint16_t port; /* the real one, when the settings say 0 */
	int fd;
};

struct master_listen {
	struct master_socket listener[MASTER_LISTEN_MOST];
	size_t n;
	struct master_socket api;
};

/* Binds all of them, and logs each. False: err says which cannot be had and why; nothing is left open. */
bool master_listen_open(struct master_listen *listen, const struct settings *settings, struct err *err);
/* Closes those that take mail; the api's stays. */
void master_listen_close_front(struct master_listen *listen);
void master_listen_close(struct master_listen *listen);

#endif
