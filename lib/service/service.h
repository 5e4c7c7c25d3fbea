/* SPDX-License-Identifier: Apache-2.0
 *
 * How a child lives: started by master with its control socket as descriptor 3, it gets its settings,
 * gives up its rights (service_rights.c), starts, is handed descriptors, says READY, and serves until it
 * is told to drain or master is gone. A child's main() is one call of service_main().
 */
#ifndef LIB_SERVICE_SERVICE_H
#define LIB_SERVICE_SERVICE_H

#include "lib/base/str.h"
#include "lib/ipc/ipc.h"
#include "lib/ipc/ipc_body.h"
#include "lib/net/loop.h"
#include "lib/settings/settings.h"

enum { SERVICE_CONTROL_FD = 3 };
/* IPC_LISTENER's index of sockets that are no listeners of the settings: the api's own, and cert-renewer's two. */
#define SERVICE_LISTENER_API UINT32_MAX
#define SERVICE_LISTENER_HTTP_01 (UINT32_MAX - 1)
#define SERVICE_LISTENER_TLS_ALPN_01 (UINT32_MAX - 2)

struct service_env {
	struct loop *loop;
	const struct settings *settings; /* replaced on reload */
	unsigned slot;			 /* which of its role, from 0 */
	const char *host_name;		 /* settings->instance.host_name, or the system's */
	const char *database_host;	 /* settings->database.host as seen from the new root directory */
	const char *database_ca_file;	 /* likewise */
	int64_t drain_time;		 /* set before on_drain: how long it may take; microseconds */
	void *state;			 /* the child's own, set in start */
};

/* The callbacks that a child has no use for are NULL. In this order: */
struct service {
	enum role role;
	/* Still with master's rights: open what the new root directory will not show (journal, CA bundle).
	 * Parses nothing hostile. */
	void (*prepare)(struct service_env *env);
	/* Rights are given up: make the state. */
	void (*start)(struct service_env *env);
	/* Handed over by master, before READY and (peers, identity) at any later time. The fd is the child's.
	 * `which` is an index in settings->listener, or one of SERVICE_LISTENER_.... A reload calls on_reload first, then
	 * on_identity. */
	void (*on_listener)(struct service_env *env, uint32_t which, int fd);
	void (*on_identity)(struct service_env *env, const struct ipc_identity *identity);
	/* Authorities and revocation lists for client certificates, PEM; empty when there are none. Identities follow. */
	void (*on_client_trust)(struct service_env *env, struct str pem);
	void (*on_ticket_keys)(struct service_env *env, const struct ipc_ticket_keys *keys);
	void (*on_peer)(struct service_env *env, enum role role, unsigned slot, int fd);
	/* All is there: serve. READY is sent when it returns (and after each reload). */
	void (*on_go)(struct service_env *env);
	/* env->settings are new ones; `old` is freed afterwards. */
	void (*on_reload)(struct service_env *env, const struct settings *old);
	/* An operator asks ("ban list"): service_tell() answers, now or later. */
	void (*on_ask)(struct service_env *env, uint64_t id, struct str words);
	/* A frame that only this role gets. False: it is not as it must be, and master is not heard any more. */
	bool (*on_frame)(struct service_env *env, struct ipc_frame *frame);
	/* Take nothing new, finish what is begun within env->drain_time (later master kills), then call service_exit().
	 * Without it the child just ends. */
	void (*on_drain)(struct service_env *env);
};

/* Runs the child; returns its exit status. */
int service_main(int argc, char **argv, const struct service *service);
/* The connection that on_peer brought last from this peer is closed: when the peer lives, master makes a new one.
 * Without a master (in a unit test) nothing happens. */
void service_peer_lost(enum role role, unsigned slot);
/* The answer to on_ask: a JSON object, at most 128 KiB. */
void service_tell(uint64_t id, struct str json);
/* A frame of this role's own to master. Without a master (in a unit test) nothing happens. */
void service_say(enum ipc_type type, uint64_t id, struct str body);
/* Ends the loop at the end of this turn: service_main() returns 0. */
void service_exit(struct service_env *env);

#endif
