/* SPDX-License-Identifier: Apache-2.0
 *
 * smtpd: the network face. Thousands of SMTP sessions on one loop; no database, no provider keys.
 */
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/service/metrics.h"
#include "lib/service/service.h"
#include "lib/service/service_rights.h"
#include "smtpd/smtpd_accept.h"
#include "smtpd/smtpd_arrival.h"
#include "smtpd/smtpd_drain.h"
#include "smtpd/smtpd_session.h"
#include "smtpd/smtpd_tls.h"

enum { LISTENERS_MAX = 16, ANSWER_MAX = 128 * 1024 };

struct state {
	struct smtpd_worker worker;
	struct smtpd_memory memory;
	struct smtpd_tls *tls;
	struct smtpd_listener listeners[LISTENERS_MAX];
	struct smtpd_accept *accepts[LISTENERS_MAX]; /* NULL: draining */
	unsigned n_listeners;
};

/* What a reload may change of it. Its networks were checked with the settings. */
static void use_listener(struct smtpd_listener *listener, const struct settings_listener *settings)
{
	struct err err;

	listener->mode = (enum ipc_mode)settings->mode;
	listener->client_certificate = settings->client_certificate;
	network_list_clear(&listener->proxies);
	if (!network_list_parse(str_of(settings->proxy_networks), &listener->proxies, &err))
		log_error(NULL, "smtpd.listener.networks", log_text("listener", listener->key),
			  log_text("reason", err.text));
}

static void use_listeners(struct state *state, const struct settings *settings)
{
	for (unsigned i = 0; i < state->n_listeners; i++)
		for (size_t j = 0; j < settings->n_listener; j++)
			if (strcmp(state->listeners[i].key, settings->listener[j].key) == 0)
				use_listener(&state->listeners[i], &settings->listener[j]);
}

static void use_settings(struct service_env *env)
{
	struct state *state = env->state;
	const struct settings *settings = env->settings;

	state->worker.settings = settings;
	state->worker.rules.host_name = env->host_name;
	state->worker.rules.message_size = (uint64_t)settings->smtpd.message_size;
	state->worker.rules.recipients = (unsigned)settings->smtpd.recipients;
	state->worker.rules.max_errors = (unsigned)settings->smtpd.max_errors;
	state->worker.rules.key_field = settings->smtpd.idempotency_header;
	state->worker.rules.takes_envid_as_key = settings->smtpd.idempotency_envid;
	state->worker.rules.refuses_bare_newline = settings->smtpd.bare_newline == BARE_NEWLINE_REFUSE;
	state->worker.rules.takes_empty_hello = settings->smtpd.empty_hello;
	state->worker.rules.content = (struct smtp_mime_limits){
		.header_size = (uint64_t)settings->smtpd.header_size,
		.header_fields = (unsigned)settings->smtpd.header_fields,
		.mime_depth = (unsigned)settings->smtpd.mime_depth,
		.attachment_size = (uint64_t)settings->smtpd.attachment_size,
		.attachments_size = (uint64_t)settings->smtpd.attachments_size,
	};
	state->worker.rules.memory = &state->memory;
	state->memory.memory = (uint64_t)settings->smtpd.memory;
	state->memory.spill = (uint64_t)settings->smtpd.spill;
}

static void on_empty(void *ctx)
{
	service_exit(ctx);
}

static void prepare(struct service_env *env)
{
	struct state *state = mem_zero(sizeof(*state));
	uid_t user;
	gid_t group;

	env->state = state;
	service_rights_user(ROLE_SMTPD, &user, &group);
	smtpd_memory_open(&state->memory, env->settings->instance.state_dir, user, group);
}

static void start(struct service_env *env)
{
	static const struct smtpd_gate_answers answers = {smtpd_arrival_answered, smtpd_session_authenticated,
							  smtpd_session_may_send, smtpd_session_may_receive,
							  smtpd_session_tell_gate};
	struct state *state = env->state;

	state->worker.loop = env->loop;
	state->worker.gate = smtpd_gate_new(env->loop, &answers, &state->worker);
	state->worker.queue = smtpd_queue_new(env->loop, smtpd_session_submitted);
	smtpd_queue_show_full(state->worker.queue, &state->worker.rules.is_under_pressure);
	state->worker.on_empty = on_empty;
	state->worker.ctx = env;
	use_settings(env);
	state->tls = smtpd_tls_new(&state->worker);
}

static void on_listener(struct service_env *env, uint32_t which, int fd)
{
	struct state *state = env->state;
	struct smtpd_listener *listener = &state->listeners[state->n_listeners];
	const struct settings_listener *settings = &env->settings->listener[which];

	must(which < env->settings->n_listener && state->n_listeners < LISTENERS_MAX);
	listener->key = mem_text(settings->key);
	listener->is_implicit_tls = settings->tls == LISTENER_IMPLICIT;
	use_listener(listener, settings);
	state->accepts[state->n_listeners++] = smtpd_accept_new(&state->worker, listener, fd);
}

static void on_identity(struct service_env *env, const struct ipc_identity *identity)
{
	smtpd_tls_take_identity(((struct state *)env->state)->tls, identity);
}

static void on_client_trust(struct service_env *env, struct str pem)
{
	smtpd_tls_take_trust(((struct state *)env->state)->tls, pem);
}

static void on_ticket_keys(struct service_env *env, const struct ipc_ticket_keys *keys)
{
	smtpd_tls_take_tickets(((struct state *)env->state)->tls, keys);
}

/* One kind of question is for us: "tls status". */
static void on_ask(struct service_env *env, uint64_t id, struct str words)
{
	struct buf json = BUF_MAX(ANSWER_MAX);

	if (str_eq(words, STR("tls status")))
		smtpd_tls_tell(((struct state *)env->state)->tls, &json);
	else
		buf_put_text(&json, "{\"error\":\"tls status is understood\"}");
	service_tell(id, buf_str(&json));
	buf_clear(&json);
}

static void on_peer(struct service_env *env, enum role role, unsigned slot, int fd)
{
	struct state *state = env->state;

	if (role == ROLE_GATE)
		smtpd_gate_connect(state->worker.gate, slot, fd);
	else if (role == ROLE_QMGR)
		smtpd_queue_connect(state->worker.queue, slot, fd);
	else
		die("master sent a peer of role %s", role_name(role));
}

static void on_go(struct service_env *env)
{
	struct state *state = env->state;

	for (unsigned i = 0; i < state->n_listeners; i++)
		if (state->accepts[i] != NULL)
			smtpd_accept_resume(state->accepts[i]);
}

static void on_reload(struct service_env *env, const struct settings *old)
{
	(void)old;
	use_settings(env);
	use_listeners(env->state, env->settings);
}

static void on_drain(struct service_env *env)
{
	struct state *state = env->state;

	for (unsigned i = 0; i < state->n_listeners; i++)
		smtpd_accept_free(&state->accepts[i]);
	smtpd_drain_begin(&state->worker, env->drain_time);
}

int main(int argc, char **argv)
{
	static const struct service service = {
		.role = ROLE_SMTPD,
		.prepare = prepare,
		.start = start,
		.on_listener = on_listener,
		.on_identity = on_identity,
		.on_client_trust = on_client_trust,
		.on_ticket_keys = on_ticket_keys,
		.on_ask = on_ask,
		.on_peer = on_peer,
		.on_go = on_go,
		.on_reload = on_reload,
		.on_drain = on_drain,
	};

	return service_main(argc, argv, &service);
}
