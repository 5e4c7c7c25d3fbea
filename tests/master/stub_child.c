/* SPDX-License-Identifier: Apache-2.0
 *
 * A child that serves nobody: for the tests of master. It is whichever role its name says, lists what master
 * gave it in the log, and misbehaves when the file RUN_DIR/misbehave-ROLE says how.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/service/metrics.h"
#include "lib/service/service.h"

enum { ANSWER_ROOM = 1100 };

static char misbehaviour[32];

static void prepare(struct service_env *env)
{
	char path[512];
	struct buf text = BUF_MAX(sizeof(misbehaviour) - 1);

	snprintf(path, sizeof(path), "%s/misbehave-%s", env->settings->instance.run_dir,
		 program_invocation_short_name);
	if (fd_read_file(path, &text, NULL))
		str_copy(buf_str(&text), misbehaviour, sizeof(misbehaviour));
	buf_clear(&text);
	if (strcmp(misbehaviour, "die at start") == 0)
		exit(3);
}

static void on_listener(struct service_env *env, uint32_t which, int fd)
{
	log_info(NULL, "stub.listener", log_text("listener", which < env->settings->n_listener ? env->settings->listener[which].key : "api"));
	fd_close(&fd);
}

static void on_identity(struct service_env *env, const struct ipc_identity *identity)
{
	(void)env;
	log_info(NULL, "stub.identity", log_uint("bytes", identity->pem.n));
}

static void on_client_trust(struct service_env *env, struct str pem)
{
	(void)env;
	log_info(NULL, "stub.client_trust", log_uint("bytes", pem.n));
}

static void on_ticket_keys(struct service_env *env, const struct ipc_ticket_keys *keys)
{
	(void)env;
	log_info(NULL, "stub.ticket_keys", log_uint("bytes", keys->keys.n));
}

static void on_peer(struct service_env *env, enum role role, unsigned slot, int fd)
{
	(void)env;
	log_info(NULL, "stub.peer", log_text("peer", role_name(role)), log_uint("slot", slot));
	fd_close(&fd);
}

static void on_go(struct service_env *env)
{
	(void)env;
	metrics_add(METRIC_CONNECTIONS, 1);
	metrics_set(METRIC_ACTIVE_CONNECTIONS, 5);
	if (strcmp(misbehaviour, "call") == 0)
		kill(getppid(), 0); /* not among the permitted system calls */
	log_info(NULL, "stub.go", log_bool("hidden_root", access("/etc/passwd", R_OK) < 0),
		 log_int("uid", getuid()));
}

static void on_reload(struct service_env *env, const struct settings *old)
{
	log_info(NULL, "stub.reload", log_int("max_errors", env->settings->smtpd.max_errors),
		 log_int("was", old->smtpd.max_errors));
}

static void on_ask(struct service_env *env, uint64_t id, struct str words)
{
	char answer[ANSWER_ROOM];

	log_info(NULL, "stub.asked", log_str("words", words));
	if (str_ends(words, STR(" leave")))
		service_exit(env);
	if (strcmp(misbehaviour, "no answer") == 0)
		return;
	if (strcmp(misbehaviour, "break out") == 0) {
		service_tell(id + 1, STR("{\"for\":\"others\"}"));
		service_tell(id, STR("\"}]}\n{\"answers\":[\\\xff\0"));
		service_tell(id, STR("{\"twice\":true}"));
		return;
	}
	snprintf(answer, sizeof(answer), "{\"heard\":\"%.*s\"}", STR_ARG(words));
	service_tell(id, str_of(answer));
}

static void on_drain(struct service_env *env)
{
	log_info(NULL, "stub.drain", log_ms("limit_ms", env->drain_time));
	if (strcmp(misbehaviour, "linger") != 0) /* until it is asked to leave */
		service_exit(env);
}

int main(int argc, char **argv)
{
	struct service service = {
		.prepare = prepare,
		.on_listener = on_listener,
		.on_identity = on_identity,
		.on_client_trust = on_client_trust,
		.on_ticket_keys = on_ticket_keys,
		.on_peer = on_peer,
		.on_go = on_go,
		.on_reload = on_reload,
		.on_ask = on_ask,
		.on_drain = on_drain,
	};

	for (unsigned role = ROLE_MASTER + 1; role < ROLE_COUNT; role++)
		if (strcmp(program_invocation_short_name, role_name((enum role)role)) == 0)
			service.role = (enum role)role;
	return service_main(argc, argv, &service);
}
