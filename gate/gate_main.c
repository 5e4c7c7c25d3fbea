/* SPDX-License-Identifier: Apache-2.0
 *
 * gate: who may come in. smtpd asks it over a socket pair; it alone may read the users' password
 * hashes.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gate/gate.h"
#include "gate/gate_auth.h"
#include "gate/gate_control.h"
#include "gate/gate_users_cakemail.h"
#include "lib/base/fd.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/service/service.h"

enum { CA_MAX = 16 << 20, HOST_TEXT = 384 };

/* Read before the new root directory hides it. */
static struct buf redis_ca = {.max = CA_MAX};

static char boot[64];
static uint64_t place[2];

/* The same for each gate of this host, and only for those: hosts behind a balancer may all have one name. */
static void know_host(const char *state_dir)
{
	struct buf text = BUF_MAX(sizeof(boot) - 1);
	struct stat st;

	if (fd_read_file("/proc/sys/kernel/random/boot_id", &text, NULL))
		str_copy(str_trim(buf_str(&text)), boot, sizeof(boot));
	buf_clear(&text);
	if (stat(state_dir, &st) == 0) {
		place[0] = st.st_dev;
		place[1] = st.st_ino;
	}
}

static void prepare(struct service_env *env)
{
	const struct settings *s = env->settings;
	struct err err;

	know_host(s->instance.state_dir);
	if (str_starts(str_of(s->redis.url), STR("rediss:")) && !fd_read_file(s->redis.ca_file, &redis_ca, &err))
		die("redis.ca_file: %s", err.text);
	if (s->gate.users == GATE_USERS_CAKEMAIL)
		gate_users_cakemail_prepare(s);
}

static void start(struct service_env *env)
{
	char host[HOST_TEXT];
	struct gate_options options = {
		.settings = env->settings,
		.host = host,
		.database_host = env->database_host,
		.database_ca_file = env->database_ca_file,
		.redis_ca = buf_str(&redis_ca),
	};

	snprintf(host, sizeof(host), "%s/%" PRIu64 "/%" PRIu64 "/%s", boot, place[0], place[1], env->host_name);
	env->state = gate_new(env->loop, &options);
	buf_clear(&redis_ca);
}

static void on_peer(struct service_env *env, enum role role, unsigned slot, int fd)
{
	if (role == ROLE_SMTPD)
		gate_add_peer(env->state, slot, fd);
	else
		close(fd);
}

static void on_reload(struct service_env *env, const struct settings *old)
{
	(void)old;
	gate_use_settings(env->state, env->settings);
}

static void tell(void *ctx, struct str json)
{
	uint64_t *id = ctx;

	service_tell(*id, json);
	free(id);
}

static void on_ask(struct service_env *env, uint64_t id, struct str words)
{
	uint64_t *asked = mem_zero(sizeof(*asked));

	*asked = id;
	gate_control_ask(env->state, words, tell, asked);
}

static void on_drained(void *ctx)
{
	service_exit(ctx);
}

static void on_drain(struct service_env *env)
{
	const struct gate *gate = env->state;

	gate_auth_drain(gate->auth, on_drained, env);
}

int main(int argc, char **argv)
{
	return service_main(argc, argv,
			    &(struct service){
				    .role = ROLE_GATE,
				    .prepare = prepare,
				    .start = start,
				    .on_peer = on_peer,
				    .on_reload = on_reload,
				    .on_ask = on_ask,
				    .on_drain = on_drain,
			    });
}
