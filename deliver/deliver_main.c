/* SPDX-License-Identifier: Apache-2.0
 *
 * A delivery agent: faces the providers. It has their keys and no database; qmgr gives it jobs and is told
 * what came of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "deliver/deliver_check.h"
#include "deliver/deliver_explain.h"
#include "deliver/deliver_job.h"
#include "deliver/deliver_journal.h"
#include "deliver/deliver_link.h"
#include "deliver/mime_message.h"
#include "deliver/provider.h"
#include "deliver/smtp_pool.h"
#include "lib/aws/aws_sources.h"
#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/net/http_client.h"
#include "lib/service/service.h"
#include "lib/service/service_rights.h"
#include "lib/settings/settings_provider.h"

enum {
	CA_MAX = 16 << 20,
	CONNECT_TIMEOUT = 10000000,
	CONNECTIONS = 256,
	TICK = 1000000,
	SETTLE_TIME = 5000000, /* for qmgr to commit the last outcomes */
};

struct deliver {
	struct service_env *env;
	struct tls_client *trust;
	int journal_files[DELIVER_JOURNAL_FILES];
	int left_files[DELIVER_JOURNAL_SLOTS][DELIVER_JOURNAL_FILES]; /* of slots that have no agent now */
	unsigned n_left;
	struct deliver_job_directory directories[DELIVER_JOB_DIRECTORIES];
	struct aws_sources *aws; /* NULL: no provider wants them */
	struct deliver_job_pool pool;
	struct deliver_link *link;
	struct loop_timer *tick;
	int64_t drain_until; /* monotonic; 0: not draining. Then the calls under way are cut */
	int64_t settle_until;
};

/* ---- prepare: what the new root directory will not show ---- */

/* Makes the directory and those above it. True when the last one is new. */
static bool make_directories(const char *path)
{
	char *copy = mem_text(path);
	bool is_new = false;

	for (char *p = copy + 1; *p != '\0'; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		mkdir(copy, 0755); /* what fails here fails below, and is said there */
		*p = '/';
	}
	is_new = mkdir(copy, 0750) == 0;
	free(copy);
	return is_new;
}

/* A directory that was there before keeps its owner: the settings may name it by mistake. One that is new is
 * not followed elsewhere: whoever may write beside it could have put a link in its place. */
static int open_directory(const struct settings_provider *row, uid_t user, gid_t group)
{
	bool is_new = make_directories(row->directory);
	int fd = open(row->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (is_new ? O_NOFOLLOW : 0));

	if (fd >= 0 && is_new && geteuid() == 0 && fchown(fd, user, group) < 0)
		log_error(NULL, "deliver.directory.not_given", log_text("directory", row->directory),
			  log_text("reason", strerror(errno)));
	if (fd < 0)
		log_error(NULL, "deliver.directory.not_opened", log_text("provider", row->key),
			  log_text("directory", row->directory), log_text("reason", strerror(errno)));
	return fd;
}

static void open_directories(struct deliver *d, uid_t user, gid_t group)
{
	const struct settings *settings = d->env->settings;

	for (size_t i = 0; i < settings->n_provider; i++) {
		const struct settings_provider *row = &settings->provider[i];

		if (row->type != PROVIDER_FILE || row->directory[0] == '\0' ||
		    d->pool.n_directories == DELIVER_JOB_DIRECTORIES)
			continue;
		d->directories[d->pool.n_directories++] = (struct deliver_job_directory){
			.path = mem_text(row->directory),
			.fd = open_directory(row, user, group),
		};
	}
	d->pool.directories = d->directories;
}

/* A host without the authorities can still serve providers of other kinds: then nobody's certificate is
 * trusted, and each call says so. */
static void read_ca(struct deliver *d)
{
	struct buf pem = BUF_MAX(CA_MAX);
	struct err err;

	if (fd_read_file(d->env->settings->deliver.ca_file, &pem, &err) &&
	    (pem.n > 0 || err_set(&err, "%s is empty", d->env->settings->deliver.ca_file)))
		d->trust = tls_client_new(buf_str(&pem), false, TLS_1_2, &err);
	if (d->trust == NULL)
		log_error(NULL, "deliver.ca.missing", log_text("reason", err.text));
	buf_clear(&pem);
}

/* The host had more agents before: each that there is now speaks for some of those. */
static void open_left_journals(struct deliver *d, uid_t user, gid_t group)
{
	const struct settings *settings = d->env->settings;
	unsigned agents = (unsigned)settings->deliver.agents;
	struct err err;

	for (unsigned slot = d->env->slot + agents; agents > 0 && slot < DELIVER_JOURNAL_SLOTS; slot += agents) {
		if (!deliver_journal_is_left(settings->instance.state_dir, slot))
			continue;
		if (!deliver_journal_open(settings->instance.state_dir, slot, user, group,
					  d->left_files[d->n_left], &err))
			die("%s", err.text);
		d->n_left++;
	}
}

static void adopt_left_journals(struct deliver *d)
{
	struct err err;

	for (unsigned i = 0; i < d->n_left; i++) {
		struct deliver_journal *left = deliver_journal_new(d->left_files[i]);
		unsigned n = deliver_journal_count(left);

		if (deliver_journal_adopt(d->pool.journal, &left, &err))
			log_info(NULL, "deliver.journal.adopted", log_uint("outcomes", n));
		else
			log_error(NULL, "deliver.journal.not_adopted", log_text("reason", err.text));
	}
}

static void prepare(struct service_env *env)
{
	struct deliver *d = mem_zero(sizeof(*d));
	struct err err;
	uid_t user;
	gid_t group;

	env->state = d;
	d->env = env;
	service_rights_user(ROLE_DELIVER, &user, &group);
	if (!deliver_journal_open(env->settings->instance.state_dir, env->slot, user, group, d->journal_files, &err))
		die("%s", err.text);
	open_left_journals(d, user, group);
	open_directories(d, user, group);
	read_ca(d);
	if (settings_provider_wants_aws(env->settings))
		d->aws = aws_sources_take();
	http_client_prepare();
	mime_message_prepare();
}

/* ---- serving ---- */

/* Calls are finished, as long as there is time. Outcomes that qmgr does not take wait in the journal for the next start. */
static bool is_drained(struct deliver *d, int64_t now)
{
	if (d->pool.n_running > 0) {
		d->settle_until = now + SETTLE_TIME;
		return now >= d->drain_until;
	}
	return deliver_journal_count(d->pool.journal) == 0 || !deliver_link_is_connected(d->link) || now >= d->settle_until;
}

/* In the journal a call that is cut is begun and not answered: the next start says so. */
static void end_drain(struct deliver *d)
{
	if (d->pool.n_running > 0)
		log_warn(NULL, "deliver.drain.cut", log_uint("calls", d->pool.n_running),
			 log_text("effect", "nobody knows whether the providers took them"));
	service_exit(d->env);
}

static void on_tick(void *ctx)
{
	struct deliver *d = ctx;
	int64_t now = clock_mono();

	deliver_journal_tick(d->pool.journal, now);
	if (d->drain_until != 0 && is_drained(d, now))
		end_drain(d);
	if (d->drain_until == 0 && d->pool.n_running == 0 && deliver_link_is_lost(d->link, now)) {
		log_error(NULL, "deliver.qmgr.lost", log_text("effect", "the agent starts again"));
		service_exit(d->env);
	}
	loop_timer_set(d->tick, d->drain_until != 0 ? TICK / 20 : TICK);
}

static void start(struct service_env *env)
{
	struct deliver *d = env->state;
	const struct http_client_config http = {
		.trust = d->trust,
		.connect_timeout = CONNECT_TIMEOUT,
		.max_connections = CONNECTIONS,
	};

	d->pool.settings = env->settings;
	d->pool.http = http_client_new(env->loop, &http);
	d->pool.smtp = smtp_pool_new(env->loop, d->trust, env->host_name);
	d->pool.tokens = deliver_token_cache_new(d->pool.http, d->aws);
	d->pool.journal = deliver_journal_new(d->journal_files);
	adopt_left_journals(d);
	d->link = deliver_link_new(env->loop, &d->pool);
	deliver_link_set_places(d->link, (unsigned)env->settings->deliver.places);
	d->tick = loop_timer_new(env->loop, on_tick, d);
	loop_timer_set(d->tick, TICK);
}

static void on_peer(struct service_env *env, enum role role, unsigned slot, int fd)
{
	struct deliver *d = env->state;

	if (role == ROLE_QMGR)
		deliver_link_connect(d->link, slot, fd);
	else
		fd_close(&fd);
}

static void on_reload(struct service_env *env, const struct settings *old)
{
	struct deliver *d = env->state;

	(void)old;
	d->pool.settings = env->settings;
	deliver_job_reload(&d->pool);
	if (d->drain_until == 0)
		deliver_link_set_places(d->link, (unsigned)env->settings->deliver.places);
}

static void on_ask(struct service_env *env, uint64_t id, struct str words)
{
	struct deliver *d = env->state;

	deliver_check_ask(&d->pool, id, words, service_tell);
}

static void on_drain(struct service_env *env)
{
	struct deliver *d = env->state;

	log_info(NULL, "deliver.drain.begun", log_text("text", "Graceful shutdown initiated, processing remaining messages"),
		 log_uint("calls", d->pool.n_running), log_ms("limit_ms", env->drain_time));
	d->drain_until = clock_mono() + env->drain_time;
	d->settle_until = clock_mono() + SETTLE_TIME;
	smtp_pool_drain(d->pool.smtp);
	deliver_link_set_places(d->link, 0);
	loop_timer_set(d->tick, 0);
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--explain") == 0)
		return deliver_explain();
	return service_main(argc, argv, &(struct service){
		.role = ROLE_DELIVER,
		.prepare = prepare,
		.start = start,
		.on_peer = on_peer,
		.on_reload = on_reload,
		.on_ask = on_ask,
		.on_drain = on_drain,
	});
}
