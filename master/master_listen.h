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

enum { MASTER_LISTEN_MOST = 16 /* as LIST(listener) in settings.def */, MASTER_LISTEN_FD_NAME = 256 };

/* What an authority of certificates asks. */
enum { MASTER_LISTEN_HTTP_01, MASTER_LISTEN_TLS_ALPN_01, MASTER_LISTEN_ACME };

struct master_inherited;

struct master_socket {
	char name[SETTINGS_KEY]; /* the listener's key; "api"; "acme.http", "acme.alpn" */
	char address[INET6_ADDRSTRLEN];
	uint16_t port; /* the real one, when the settings say 0 */
	int fd;
	/* As it is called in systemd's FD store ("listener.KEY", or the name), or by whoever we have it from. */
	char fd_name[MASTER_LISTEN_FD_NAME];
};

struct master_listen {
	struct master_socket listener[MASTER_LISTEN_MOST];
	size_t n;
	struct master_socket api;
	struct master_socket acme[MASTER_LISTEN_ACME]; /* fd -1: not wanted, or cannot be had */
};

/* Binds all of them, or takes those that were inherited, and logs each; systemd's FD store gets them. What was inherited
 * and is not wanted is closed. False: err says which cannot be had and why; nothing is left open. */
bool master_listen_open(struct master_listen *listen, const struct settings *settings,
			struct master_inherited *inherited, struct err *err);
/* Binds those of `acme` that certificates want now, closes those that none wants any more. `inherited` may be NULL. False: err says which
 * cannot be had; the others are there. */
bool master_listen_acme(struct master_listen *listen, const struct settings *settings, struct master_inherited *inherited,
			struct err *err);
/* Closes those that take mail, for good: the FD store forgets them. The api's stays. */
void master_listen_close_front(struct master_listen *listen);
/* Closes our copies. What the FD store keeps goes on listening, for the process that follows. */
void master_listen_close(struct master_listen *listen);

#endif
