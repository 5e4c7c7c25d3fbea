/* SPDX-License-Identifier: Apache-2.0
 *
 * All of gate: who asks, what is known, what is counted. The questions are answered in gate_connect.c, gate_auth.c,
 * gate_mail.c and gate_recipient.c, an operator's in gate_control.c.
 */
#ifndef GATE_GATE_H
#define GATE_GATE_H

#include "gate/gate_failures.h"
#include "gate/gate_store.h"
#include "gate/gate_users.h"
#include "lib/base/network.h"
#include "lib/ipc/ipc.h"

struct gate_auth;
struct gate_peer;
struct gate_recipients;

struct gate {
	struct loop *loop;
	const struct settings *settings; /* the newest; borrowed */
	struct network_list allow;
	struct gate_store *store;
	struct gate_failures *failures;
	struct gate_users *users;
	struct gate_auth *auth;
	struct gate_recipients *recipients;
	struct gate_peer *peers;
	int64_t connections; /* that are in, on this host */
	int64_t generation;  /* of the last change to users that was heard of; 0: none yet */
};

struct gate_options {
	const struct settings *settings;
	const char *host;			      /* this host, among those that share a Redis */
	const char *database_host, *database_ca_file; /* as the process sees them (struct service_env) */
	struct str redis_ca;			      /* PEM; borrowed for the call */
};

struct gate *gate_new(struct loop *loop, const struct gate_options *options);
/* What is under way gets no answer. */
void gate_free(struct gate **gate);
void gate_use_settings(struct gate *gate, const struct settings *settings);

/* Takes over the connection to a smtpd and answers it. */
void gate_add_peer(struct gate *gate, unsigned slot, int fd);

/* A client's address as gate counts it. */
struct gate_address {
	char key[NETWORK_KEY];
	bool is_allowed; /* limits.allow: never limited or banned */
};
struct gate_address gate_address(const struct gate *gate, struct str client);

#endif
