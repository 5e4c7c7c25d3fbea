/* SPDX-License-Identifier: Apache-2.0
 *
 * The queue manager's main(): who this host is, then the callbacks of service_main().
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/base/uuid.h"
#include "qmgr/qmgr.h"
#include "qmgr/qmgr_provider_control.h"
#include "qmgr/qmgr_provider_share.h"

enum { PATH_SIZE = 4096, CA_MAX = 16 << 20 };

/* What is found before the root directory is given up. */
static char owner[UUID_TEXT], place[QMGR_LEASE_PLACE];
static unsigned cores;
static struct buf redis_ca = {.max = CA_MAX};

static bool read_owner(const char *path)
{
	struct buf text = BUF_MAX(256);
	struct uuid id;
	bool ok = fd_read_file(path, &text, NULL) &&
		  uuid_parse(str_first(buf_str(&text), UUID_TEXT - 1), &id);

	if (ok)
		uuid_format(&id, owner);
	buf_clear(&text);
	return ok;
}

/* The host's name among the owners of shards: made once, and kept, so that a restarted host finds
 * its shards at once. */
static void know_owner(const char *path)
{
	struct uuid id = uuid_new(clock_wall());
	int fd;

	if (read_owner(path))
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	uuid_format(&id, owner);
	if (fd < 0 || !fd_write_all(fd, owner, UUID_TEXT - 1) || !fd_write_all(fd, "\n", 1) ||
	    fsync(fd) < 0)
		die("%s: %s", path, strerror(errno));
	fd_close(&fd);
}

/* Where only a successor of this process can be: the same file under the same kernel. A copied machine has another kernel, a
 * copied directory another file. */
static void know_place(const char *path)
{
	struct buf boot = BUF_MAX(64);
	struct uuid id = {{0}};
	struct stat file;
	char text[UUID_TEXT];

	if (!fd_read_file("/proc/sys/kernel/random/boot_id", &boot, NULL) ||
	    !uuid_parse(str_first(buf_str(&boot), UUID_TEXT - 1), &id) || stat(path, &file) < 0) {
		id = uuid_new(clock_wall());
		memset(&file, 0, sizeof(file));
	}
	snprintf(place, sizeof(place), "%s %ju:%ju", uuid_format(&id, text), (uintmax_t)file.st_dev, (uintmax_t)file.st_ino);
	buf_clear(&boot);
}

static void prepare(struct service_env *env)
{
	const struct settings *s = env->settings;
	struct buf path = BUF_MAX(PATH_SIZE);
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	struct err err;
	char *text;

	if (!buf_printf(&path, "%s/host_id", env->settings->instance.state_dir))
		die("instance.state_dir is too long");
	text = buf_take_text(&path);
	if (str_starts(str_of(s->redis.url), STR("rediss:")) && !fd_read_file(s->redis.ca_file, &redis_ca, &err))
		die("redis.ca_file: %s", err.text);
	know_owner(text);
	know_place(text);
	free(text);
	cores = n < 1 ? 1 : n > QMGR_AGENTS ? QMGR_AGENTS : (unsigned)n;
}

static void start(struct service_env *env)
{
	unsigned agents = (unsigned)env->settings->deliver.agents;

	env->state = qmgr_new(env, owner, place, agents == 0 ? cores : agents);
	qmgr_provider_share_init(env->state, buf_str(&redis_ca));
	buf_clear(&redis_ca);
}

static void on_peer(struct service_env *env, enum role role, unsigned slot, int fd)
{
	if (role != ROLE_SMTPD && role != ROLE_DELIVER && role != ROLE_CERT_RENEWER) {
		log_error(NULL, "qmgr.peer.unwanted", log_text("role", role_name(role)));
		fd_close(&fd);
		return;
	}
	qmgr_on_peer(env->state, role, slot, fd);
}

static void on_go(struct service_env *env)
{
	qmgr_go(env->state);
}

static void on_reload(struct service_env *env, const struct settings *old)
{
	(void)old;
	qmgr_on_reload(env->state);
}

static void on_ask(struct service_env *env, uint64_t id, struct str words)
{
	struct buf answer = BUF_MAX(131072); /* as IPC(TELL) */

	qmgr_provider_control_ask(env->state, words, &answer);
	service_tell(id, buf_str(&answer));
	buf_clear(&answer);
}

static void on_drain(struct service_env *env)
{
	qmgr_drain(env->state);
}

int main(int argc, char **argv)
{
	return service_main(argc, argv,
			    &(struct service){
				    .role = ROLE_QMGR,
				    .prepare = prepare,
				    .start = start,
				    .on_peer = on_peer,
				    .on_go = on_go,
				    .on_reload = on_reload,
				    .on_ask = on_ask,
				    .on_drain = on_drain,
			    });
}
