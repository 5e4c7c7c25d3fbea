/* SPDX-License-Identifier: Apache-2.0
 *
 * The whole: made, given settings, and the frames handed to whoever answers them.
 */
#include "gate/gate.h"

#include <stdio.h>
#include <stdlib.h>

#include "gate/gate_auth.h"
#include "gate/gate_connect.h"
#include "gate/gate_mail.h"
#include "gate/gate_peer.h"
#include "gate/gate_recipient.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/service/service.h"

enum { MOST_FAILING = 4096 };

static void on_changed(void *ctx, int64_t generation)
{
	struct gate *gate = ctx;

	gate->generation = generation;
	gate_auth_forget(gate->auth);
}

struct gate *gate_new(struct loop *loop, const struct gate_options *options)
{
	struct gate *gate = mem_zero(sizeof(*gate));

	gate->loop = loop;
	gate->settings = options->settings;
	/* settings_check() let it through. */
	network_list_parse(str_of(options->settings->limits.allow), &gate->allow, NULL);
	gate->store = gate_store_new(loop, options->settings, options->redis_ca, options->host);
	gate->failures = gate_failures_new(MOST_FAILING);
	gate->auth = gate_auth_new(gate);
	gate->recipients = gate_recipients_new(gate);
	gate->users = gate_users_new(loop, &(struct gate_users_options){
						   .settings = options->settings,
						   .database_host = options->database_host,
						   .database_ca_file = options->database_ca_file,
						   .changed = on_changed,
						   .ctx = gate,
					   });
	return gate;
}

void gate_free(struct gate **gate)
{
	struct gate *g = *gate;

	if (g == NULL)
		return;
	gate_auth_free(&g->auth);
	gate_users_free(&g->users);
	gate_store_free(&g->store);
	while (g->peers != NULL)
		gate_peer_drop(g->peers);
	gate_failures_free(&g->failures);
	gate_recipients_free(&g->recipients);
	network_list_clear(&g->allow);
	mem_free(gate);
}

void gate_use_settings(struct gate *gate, const struct settings *settings)
{
	gate->settings = settings;
	network_list_clear(&gate->allow);
	network_list_parse(str_of(settings->limits.allow), &gate->allow, NULL);
	gate_store_use_settings(gate->store, settings);
	gate_users_use_settings(gate->users, settings);
	gate_auth_use_settings(gate->auth);
}

static bool on_frame(void *ctx, struct ipc_peer *ipc, struct ipc_frame *frame)
{
	struct gate_peer *peer = ctx;
	struct ipc_connect connect;
	struct ipc_may_send mail;
	struct ipc_may_receive recipient;

	(void)ipc;
	switch (frame->type) {
	case IPC_CONNECT:
		if (!ipc_get_connect(&frame->body, &connect))
			return false;
		gate_connect(peer, frame->id, &connect);
		return true;
	case IPC_DISCONNECT:
		if (!ipc_get_connect(&frame->body, &connect))
			return false;
		gate_connect_end(peer, &connect);
		return true;
	case IPC_AUTH:
		return gate_auth_ask(peer, frame);
	case IPC_MAY_SEND:
		if (!ipc_get_may_send(&frame->body, &mail))
			return false;
		gate_mail_may_send(peer, frame->id, &mail);
		return true;
	case IPC_MAY_RECEIVE:
		if (!ipc_get_may_receive(&frame->body, &recipient))
			return false;
		gate_recipient_may_receive(peer, frame->id, &recipient);
		return true;
	case IPC_NOT_SENT:
		if (!ipc_get_may_send(&frame->body, &mail))
			return false;
		gate_mail_not_sent(peer, &mail);
		return true;
	default:
		return false;
	}
}

/* What a smtpd that is gone had counted is given back: its sessions ended with it. */
static void lose(struct gate_peer *peer)
{
	gate_connect_end_all(peer);
	gate_auth_forget_peer(peer->gate->auth, peer);
	gate_peer_drop(peer);
}

static void on_close(void *ctx, struct ipc_peer *ipc, const char *why)
{
	struct gate_peer *peer = ctx;

	if (why != NULL)
		log_warn(NULL, "gate.peer.lost", log_uint("slot", ipc_peer_slot(ipc)),
			 log_text("why", why));
	service_peer_lost(ROLE_SMTPD, ipc_peer_slot(ipc));
	lose(peer);
}

static const struct ipc_events events = {on_frame, on_close};

void gate_add_peer(struct gate *gate, unsigned slot, int fd)
{
	struct gate_peer *peer = gate->peers;

	/* The old one is cut on the other side: nobody waits for its answers. */
	while (peer != NULL && ipc_peer_slot(peer->ipc) != slot)
		peer = peer->next;
	if (peer != NULL)
		lose(peer);
	peer = gate_peer_new(gate);
	peer->ipc = ipc_peer_new(gate->loop, fd, ROLE_GATE, ROLE_SMTPD, slot, &events, peer);
}

struct gate_address gate_address(const struct gate *gate, struct str client)
{
	struct gate_address a = {.is_allowed = network_list_has(&gate->allow, client)};

	/* What is no address is counted all the same, as one. */
	if (!network_key(client, a.key))
		snprintf(a.key, sizeof(a.key), "unknown");
	return a;
}
