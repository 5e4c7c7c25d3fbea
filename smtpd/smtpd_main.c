/* SPDX-License-Identifier: Apache-2.0
 *
 * smtpd: the network face. Thousands of SMTP sessions on one loop; no database, no provider keys.
 */
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/service/metrics.h"
#include "lib/service/service.h"
#include "smtpd/smtpd_accept.h"

enum { LISTENERS_MAX = 16 };

struct state {
	struct smtpd_worker worker;
	struct smtpd_accept *listeners[LISTENERS_MAX];
	unsigned n_listeners;
};

static void use_settings(struct service_env *env)
{
	struct state *state = env->state;
	const struct settings *settings = env->settings;

	state->worker.settings = settings;
	state->worker.rules.host_name = env->host_name;
	state->worker.rules.message_size = (uint64_t)settings->smtpd.message_size;
	state->worker.rules.recipients = (unsigned)settings->smtpd.recipients;
	state->worker.rules.max_errors = (unsigned)settings->smtpd.max_errors;
	state->worker.rules.refuses_bare_newline = settings->smtpd.bare_newline == BARE_NEWLINE_REFUSE;
}

static void on_empty(void *ctx)
{
	service_exit(ctx);
}

static void start(struct service_env *env)
{
	struct state *state = mem_zero(sizeof(*state));

	env->state = state;
	state->worker.loop = env->loop;
	state->worker.gate = smtpd_gate_new(env->loop, smtpd_session_authenticated);
	state->worker.queue = smtpd_queue_new(env->loop, smtpd_session_submitted);
	smtpd_queue_show_full(state->worker.queue, &state->worker.rules.is_under_pressure);
	state->worker.on_empty = on_empty;
	state->worker.ctx = env;
	use_settings(env);
}

static void on_listener(struct service_env *env, const struct settings_listener *listener, int fd)
{
	struct state *state = env->state;

	must(listener != NULL && state->n_listeners < LISTENERS_MAX);
	state->listeners[state->n_listeners++] =
		smtpd_accept_new(&state->worker, fd, listener->tls == LISTENER_IMPLICIT);
}

/* New handshakes show the new certificate; sessions keep the one they began with. */
static void on_identity(struct service_env *env, const struct ipc_identity *identity)
{
	struct state *state = env->state;
	enum tls_min min = env->settings->tls.min_version == TLS_MIN_1_3 ? TLS_1_3 : TLS_1_2;
	struct tls_certificate certificate;
	struct str pem = identity->pem;
	struct tls_server *tls;
	struct err err;
	int64_t now = clock_wall() / CLOCK_SECOND;

	tls = tls_server_new(pem, min, now, &err);
	if (tls == NULL || !tls_certificate_read(pem, true, now, &certificate, &err)) {
		tls_server_free(&tls);
		metrics_add(METRIC_CERTIFICATE_FAILURES, 1);
		log_error(NULL, "smtpd.certificate.refused", log_text("reason", err.text));
		return;
	}
	tls_server_free(&state->worker.tls);
	state->worker.tls = tls;
	state->worker.rules.has_certificate = true;
	log_info(NULL, "smtpd.certificate.loaded", log_text("subject", certificate.subject),
		 log_text("names", certificate.names), log_text("serial", certificate.serial),
		 log_int("not_after", certificate.not_after));
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
		smtpd_accept_resume(state->listeners[i]);
}

static void on_reload(struct service_env *env, const struct settings *old)
{
	(void)old;
	use_settings(env);
}

static void on_drain(struct service_env *env)
{
	struct state *state = env->state;

	for (unsigned i = 0; i < state->n_listeners; i++)
		smtpd_accept_free(&state->listeners[i]);
	state->n_listeners = 0;
	smtpd_session_drain_all(&state->worker);
}

int main(int argc, char **argv)
{
	static const struct service service = {
		.role = ROLE_SMTPD,
		.start = start,
		.on_listener = on_listener,
		.on_identity = on_identity,
		.on_peer = on_peer,
		.on_go = on_go,
		.on_reload = on_reload,
		.on_drain = on_drain,
	};

	return service_main(argc, argv, &service);
}
