/* SPDX-License-Identifier: Apache-2.0
 *
 * cert-renewer: obtains certificates by ACME (RFC 8555), renews them, and keeps their OCSP responses fresh. It has the
 * certificates' keys and no other secret of the service: no database, no provider's key. While no certificate is from acme it
 * has nothing to do.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cert-renewer/cert_control.h"
#include "cert-renewer/cert_jobs.h"
#include "cert-renewer/cert_parts.h"
#include "cert-renewer/cert_run.h"
#include "lib/aws/aws_sources.h"
#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/service/service.h"
#include "lib/service/service_rights.h"
#include "lib/settings/settings_certificate.h"

enum {
	CA_MAX = 16 << 20,
	CONNECT_TIMEOUT = 15000000,
	CONNECTIONS = 8,
	DRAIN_MOST = 5000000, /* for what is presented to be taken away again */
	DRAIN_LOOK = 50000,
};

struct cert_renewer {
	struct service_env *env;
	struct tls_client *trust_acme, *trust_others;
	struct aws_sources *aws; /* NULL: none */
	int store, webroot, backup;
	struct cert_parts parts;
	struct http_client *http_others; /* backup and alerts */
	struct cert_jobs *jobs;
	struct loop_timer *drain;
	int64_t drain_until; /* monotonic */
};

/* ---- prepare: what the new root directory will not show ---- */

/* Without them nobody is trusted, and each call says so. */
static struct tls_client *read_ca(const char *path, bool is_needed)
{
	struct buf pem = BUF_MAX(CA_MAX);
	struct tls_client *trust = NULL;
	struct err err;

	if (fd_read_file(path, &pem, &err) && (pem.n > 0 || err_set(&err, "%s is empty", path)))
		trust = tls_client_new(buf_str(&pem), false, TLS_1_2, &err);
	if (trust == NULL && is_needed)
		log_error(NULL, "cert.ca.missing", log_text("reason", err.text));
	buf_clear(&pem);
	return trust;
}

/* A certificate may be added to the settings at any time: the store is there from the start. */
static void open_store(struct cert_renewer *c, uid_t user, gid_t group)
{
	struct err err;

	if (cert_store_open(c->env->settings->instance.state_dir, user, group, &c->store, &err))
		return;
	if (settings_certificate_has_acme(c->env->settings))
		die("%s", err.text);
	log_warn(NULL, "cert.store.not_opened", log_text("reason", err.text));
}

/* One that was there before keeps its owner: the settings may name it by mistake. */
static int open_directory(const char *path, const char *setting, bool is_made, uid_t user, gid_t group)
{
	bool is_new = is_made && path[0] != '\0' && mkdir(path, 0700) == 0;
	int fd;

	if (path[0] == '\0')
		return -1;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (is_new ? O_NOFOLLOW : 0));
	if (fd < 0 || (is_new && geteuid() == 0 && fchown(fd, user, group) < 0))
		log_error(NULL, "cert.directory.not_opened", log_text("setting", setting), log_text("directory", path),
			  log_text("reason", strerror(errno)));
	return fd;
}

static void prepare(struct service_env *env)
{
	const struct settings *settings = env->settings;
	struct cert_renewer *c = mem_zero(sizeof(*c));
	uid_t user;
	gid_t group;

	env->state = c;
	*c = (struct cert_renewer){.env = env, .store = -1};
	service_rights_user(ROLE_CERT_RENEWER, &user, &group);
	open_store(c, user, group);
	c->webroot = open_directory(settings->acme.webroot, "acme.webroot", false, user, group);
	c->backup = open_directory(settings->acme.backup_directory, "acme.backup_directory", true, user, group);
	c->trust_acme = read_ca(settings->acme.ca_file, settings_certificate_has_acme(settings));
	c->trust_others = read_ca(settings->alerts.ca_file, settings_certificate_has_acme(settings));
	if (settings_certificate_wants_aws(settings))
		c->aws = aws_sources_take();
	http_client_prepare();
}

/* ---- start ---- */

static void start_others(struct cert_renewer *c)
{
	const struct cert_backup_config backup = {
		.loop = c->env->loop,
		.http = c->http_others,
		.settings = c->env->settings,
		.aws = c->aws,
		.directory = c->backup,
	};
	const struct cert_alert_config alert = {
		.loop = c->env->loop,
		.http = c->http_others,
		.settings = c->env->settings,
		.aws = c->aws,
		.host_name = c->env->host_name,
	};
	const struct challenges_config challenges = {
		.loop = c->env->loop,
		.settings = c->env->settings,
		.share = c->parts.share,
		.webroot = c->webroot,
	};

	c->parts.backup = cert_backup_new(&backup);
	c->parts.alert = cert_alert_new(&alert);
	c->parts.challenges = challenges_new(&challenges);
}

static void start_jobs(struct cert_renewer *c)
{
	struct cert_account_config account = {
		.loop = c->env->loop,
		.http = c->parts.http,
		.store = c->parts.store,
		.backup = c->parts.backup,
		.settings = c->env->settings,
		.on_end = cert_jobs_interrupt,
		.on_ready = cert_jobs_poke,
	};

	c->jobs = cert_jobs_new(&c->parts);
	account.ctx = c->jobs;
	c->parts.account = cert_account_new(&account);
}

static void start(struct service_env *env)
{
	struct cert_renewer *c = env->state;
	struct http_client_config http = {
		.trust = c->trust_acme, .connect_timeout = CONNECT_TIMEOUT, .max_connections = CONNECTIONS};

	c->parts = (struct cert_parts){
		.loop = env->loop,
		.settings = env->settings,
		.store = cert_store_new(c->store, env->settings->instance.state_dir),
		.share = cert_share_new(env->loop),
		.http = http_client_new(env->loop, &http),
		.host_name = env->host_name,
	};
	http.trust = c->trust_others;
	c->http_others = http_client_new(env->loop, &http);
	start_others(c);
	start_jobs(c);
}

/* ---- serving ---- */

static void on_go(struct service_env *env)
{
	struct cert_renewer *c = env->state;

	cert_jobs_use_settings(c->jobs);
}

static void on_reload(struct service_env *env, const struct settings *old)
{
	struct cert_renewer *c = env->state;

	(void)old;
	c->parts.settings = env->settings;
	c->parts.host_name = env->host_name;
	challenges_use_settings(c->parts.challenges, env->settings);
	cert_backup_use_settings(c->parts.backup, env->settings);
	cert_alert_use_settings(c->parts.alert, env->settings);
	cert_account_use_settings(c->parts.account, env->settings);
	if (c->drain == NULL)
		cert_jobs_use_settings(c->jobs);
}

static void on_listener(struct service_env *env, uint32_t which, int fd)
{
	struct cert_renewer *c = env->state;

	if (!challenges_listen(c->parts.challenges, which, fd))
		fd_close(&fd);
}

static void on_peer(struct service_env *env, enum role role, unsigned slot, int fd)
{
	struct cert_renewer *c = env->state;

	if (role == ROLE_QMGR)
		cert_share_connect(c->parts.share, slot, fd);
	else
		fd_close(&fd);
}

static bool on_frame(struct service_env *env, struct ipc_frame *frame)
{
	(void)env;
	return cert_run_take(frame);
}

static void on_ask(struct service_env *env, uint64_t id, struct str words)
{
	struct cert_renewer *c = env->state;

	cert_control_ask(&c->parts, c->jobs, id, words, service_tell);
}

/* Programs of the operator's and name servers are given a moment to take away what was presented. */
static void on_drain_look(void *ctx)
{
	struct cert_renewer *c = ctx;

	if (!challenges_are_idle(c->parts.challenges) && clock_mono() < c->drain_until) {
		loop_timer_set(c->drain, DRAIN_LOOK);
		return;
	}
	challenges_say_left(c->parts.challenges);
	service_exit(c->env);
}

static void on_drain(struct service_env *env)
{
	struct cert_renewer *c = env->state;

	cert_jobs_stop(c->jobs);
	c->drain_until = clock_mono() + (env->drain_time < DRAIN_MOST ? env->drain_time : DRAIN_MOST);
	c->drain = loop_timer_new(env->loop, on_drain_look, c);
	loop_timer_set(c->drain, 0);
}

int main(int argc, char **argv)
{
	return service_main(argc, argv, &(struct service){
		.role = ROLE_CERT_RENEWER,
		.prepare = prepare,
		.start = start,
		.on_listener = on_listener,
		.on_peer = on_peer,
		.on_go = on_go,
		.on_reload = on_reload,
		.on_ask = on_ask,
		.on_frame = on_frame,
		.on_drain = on_drain,
	});
}
