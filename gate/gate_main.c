/* SPDX-License-Identifier: Apache-2.0
 *
 * gate: who may come in. smtpd asks it over a socket pair; it alone may read the users' password
 * hashes.
 */
#include <unistd.h>

#include "gate/gate_auth.h"
#include "lib/base/clock.h"
#include "lib/service/service.h"

static void start(struct service_env *env)
{
	struct gate_users_options options = {
		.settings = env->settings,
		.database_host = env->database_host,
		.database_ca_file = env->database_ca_file,
	};

	env->state = gate_auth_new(env->loop, &options);
}

static void on_peer(struct service_env *env, enum role role, unsigned slot, int fd)
{
	if (role == ROLE_SMTPD)
		gate_auth_add_peer(env->state, slot, fd);
	else
		close(fd);
}

static void on_reload(struct service_env *env, const struct settings *old)
{
	(void)old;
	gate_auth_use_settings(env->state, env->settings);
}

static void on_drained(void *ctx)
{
	service_exit(ctx);
}

static void on_drain(struct service_env *env)
{
	gate_auth_drain(env->state, on_drained, env);
}

int main(int argc, char **argv)
{
	return service_main(argc, argv,
			    &(struct service){
				    .role = ROLE_GATE,
				    .start = start,
				    .on_peer = on_peer,
				    .on_reload = on_reload,
				    .on_drain = on_drain,
			    });
}
