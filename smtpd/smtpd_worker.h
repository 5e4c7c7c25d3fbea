/* SPDX-License-Identifier: Apache-2.0
 *
 * What all connections of this process have in common, and what those of a listener have.
 */
#ifndef SMTPD_SMTPD_WORKER_H
#define SMTPD_SMTPD_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/log_limit.h"
#include "lib/base/network.h"
#include "lib/net/addr.h"
#include "lib/net/loop.h"
#include "lib/net/tls.h"
#include "lib/settings/settings.h"
#include "smtpd/smtpd_gate.h"
#include "smtpd/smtpd_proto.h"
#include "smtpd/smtpd_queue.h"

struct smtpd_session;
struct smtpd_arrival;

/* Lives as long as the process: its socket is closed before its sessions end. */
struct smtpd_listener {
	const char *key; /* its name in the settings */
	bool is_implicit_tls;
	enum ipc_mode mode;
	int client_certificate; /* CLIENT_CERTIFICATE_... of settings.h */
	struct network_list proxies; /* connections from there begin with a PROXY header */
};

struct smtpd_worker {
	struct loop *loop;
	const struct settings *settings;
	struct smtpd_rules rules;
	struct tls_server *tls; /* NULL: there is no certificate (yet) */
	struct smtpd_gate *gate;
	struct smtpd_queue *queue;
	struct smtpd_arrival *arrivals; /* not let in yet */
	struct smtpd_session *sessions;
	size_t n_arrivals, n_sessions;
	struct log_limit refusals, silent_ends, proxy_failures; /* of which a stranger can cause any number */
	/* smtpd_drain.c: */
	struct loop_timer *drain_timer;
	int64_t drain_idle_at; /* then sessions without a message end unasked (monotonic) */
	bool is_draining, is_cut;
	/* The last session of a draining worker has ended. */
	void (*on_empty)(void *ctx);
	void *ctx;
};

enum { SMTPD_SESSION_ID = 17 };

/* One whose connection may become a session. */
struct smtpd_guest {
	const struct smtpd_listener *listener;
	int fd;
	bool is_local; /* a balancer's own connection, its health check: neither counted nor asked about */
	char session[SMTPD_SESSION_ID];
	char client[ADDR_TEXT]; /* its address: behind a balancer the real one */
};

#endif
