/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a child, the same for all of them: first words with master, rights, start, then the
 * control socket on the loop. What differs is in the program's struct service.
 */
#include "lib/service/service.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/service/metrics.h"
#include "lib/service/service_rights.h"
#include "lib/settings/settings_wire.h"

struct child {
	struct service_env env;
	const struct service *service;
	struct ipc_peer *master;
	struct settings *settings; /* env.settings */
	struct settings *pending;  /* came, but not yet in use: see apply_settings() */
	char host_name[256];
	bool is_serving, is_draining;
	uint32_t link[ROLE_COUNT][METRICS_PARTS]; /* the number of the last PEER from each */
};

/* Only one child lives in a process. Static, so that what hangs on it is not taken for lost at the end. */
static struct child the_child;

static void use_settings(struct child *c, struct settings *settings)
{
	bool is_plain = settings->log.format == LOG_PLAIN ||
			(settings->log.format == LOG_AUTO && isatty(STDOUT_FILENO));

	c->settings = settings;
	c->env.settings = settings;
	c->env.host_name = c->host_name;
	if (settings->instance.host_name[0] != '\0')
		c->env.host_name = settings->instance.host_name;
	log_set(is_plain ? LOG_FORMAT_PLAIN : LOG_FORMAT_JSON, (enum log_level)settings->log.level);
	metrics_name_keys(settings);
}

/* Reloaded settings are taken into use before whatever follows them (an identity, GO). */
static void apply_settings(struct child *c)
{
	struct settings *old = c->settings;

	if (c->pending == NULL)
		return;
	use_settings(c, c->pending);
	c->pending = NULL;
	if (c->service->on_reload != NULL)
		c->service->on_reload(&c->env, old);
	settings_free(&old);
}

static bool take_settings(struct child *c, struct ipc_frame *frame)
{
	struct err err;

	settings_free(&c->pending);
	c->pending = settings_wire_get(str_bytes(frame->body.p, frame->body.n), &err);
	if (c->pending == NULL)
		log_error(NULL, "service.settings.bad", log_text("reason", err.text));
	return c->pending != NULL;
}

static bool take_listener(struct child *c, struct ipc_frame *frame)
{
	uint32_t index = reader_u32(&frame->body);

	if (!reader_is_done(&frame->body) || frame->fd < 0 || c->service->on_listener == NULL ||
	    (index < SERVICE_LISTENER_TLS_ALPN_01 && index >= c->settings->n_listener))
		return false;
	c->service->on_listener(&c->env, index, frame->fd);
	frame->fd = -1;
	return true;
}

static bool take_identity(struct child *c, struct ipc_frame *frame)
{
	struct ipc_identity identity;

	if (c->service->on_identity == NULL || !ipc_get_identity(&frame->body, &identity))
		return false;
	apply_settings(c);
	c->service->on_identity(&c->env, &identity);
	return true;
}

static bool take_client_trust(struct child *c, struct ipc_frame *frame)
{
	uint32_t size = reader_u32(&frame->body);
	const char *map = NULL;

	if (c->service->on_client_trust == NULL || !reader_is_done(&frame->body) || frame->fd < 0 ||
	    !fd_is_sealed(frame->fd, size) || (size > 0 && (map = fd_map(frame->fd, size)) == NULL))
		return false;
	apply_settings(c);
	c->service->on_client_trust(&c->env, str_bytes(map, size));
	if (map != NULL)
		fd_unmap(map, size);
	return true;
}

static bool take_ticket_keys(struct child *c, struct ipc_frame *frame)
{
	struct ipc_ticket_keys keys;

	if (c->service->on_ticket_keys == NULL || !ipc_get_ticket_keys(&frame->body, &keys))
		return false;
	c->service->on_ticket_keys(&c->env, &keys);
	return true;
}

static void take_ask(struct child *c, struct ipc_frame *frame)
{
	if (c->service->on_ask != NULL)
		c->service->on_ask(&c->env, frame->id, str_bytes(frame->body.p, frame->body.n));
	else
		service_tell(frame->id, STR("{\"error\":\"this process knows nothing of it\"}"));
}

static bool take_peer(struct child *c, struct ipc_frame *frame)
{
	uint32_t role = reader_u32(&frame->body), slot = reader_u32(&frame->body),
		 number = reader_u32(&frame->body);

	if (!reader_is_done(&frame->body) || frame->fd < 0 || role >= ROLE_COUNT || slot >= METRICS_PARTS ||
	    c->service->on_peer == NULL)
		return false;
	c->link[role][slot] = number;
	c->service->on_peer(&c->env, (enum role)role, slot, frame->fd);
	frame->fd = -1;
	return true;
}

static void go(struct child *c)
{
	apply_settings(c);
	if (!c->is_serving) {
		c->is_serving = true;
		if (c->service->on_go != NULL)
			c->service->on_go(&c->env);
	}
	ipc_send(c->master, IPC_READY, 0, STR(""), -1);
}

static void drain(struct child *c, int64_t limit)
{
	if (c->is_draining)
		return;
	c->is_draining = true;
	c->env.drain_time = limit;
	log_info(NULL, "service.drain");
	if (c->is_serving && c->service->on_drain != NULL)
		c->service->on_drain(&c->env);
	else
		service_exit(&c->env);
}

static bool take_drain(struct child *c, struct ipc_frame *frame)
{
	uint32_t limit = reader_u32(&frame->body);

	if (!reader_is_done(&frame->body))
		return false;
	drain(c, limit * CLOCK_MS);
	return true;
}

static void on_sigterm(void *ctx)
{
	struct child *c = ctx;

	drain(c, c->settings->smtpd.drain_time);
}

static bool on_frame(void *ctx, struct ipc_peer *peer, struct ipc_frame *frame)
{
	struct child *c = ctx;

	switch (frame->type) {
	case IPC_SETTINGS:
		return take_settings(c, frame);
	case IPC_LISTENER:
		return take_listener(c, frame);
	case IPC_IDENTITY:
		return take_identity(c, frame);
	case IPC_CLIENT_TRUST:
		return take_client_trust(c, frame);
	case IPC_TICKET_KEYS:
		return take_ticket_keys(c, frame);
	case IPC_ASK:
		take_ask(c, frame);
		return true;
	case IPC_PEER:
		return take_peer(c, frame);
	case IPC_GO:
		go(c);
		return true;
	case IPC_DRAIN:
		return take_drain(c, frame);
	case IPC_PING:
		ipc_send(peer, IPC_PONG, frame->id, STR(""), -1);
		return true;
	case IPC_METRICS: /* a second time */
		return false;
	default:
		return c->service->on_frame != NULL && c->service->on_frame(&c->env, frame);
	}
}

/* Master is gone, and what it promised to others with it: end now, as a crash would. */
static void on_close(void *ctx, struct ipc_peer *peer, const char *why)
{
	(void)ctx;
	(void)peer;
	log_warn(NULL, "service.orphaned", log_text("reason", why));
#ifdef SP_COVERAGE
	exit(EX_OK); /* writes the counters */
#else
	_exit(EX_OK);
#endif
}

static void first_frame(struct child *c, enum ipc_type type, struct ipc_frame *frame, struct buf *body)
{
	if (!ipc_read(SERVICE_CONTROL_FD, c->service->role, ROLE_MASTER, frame, body))
		die_with(EX_PROTOCOL, "master is gone, or says what nobody understands");
	if (frame->type != type)
		die_with(EX_PROTOCOL, "master said %s where %s was due", ipc_type_name(frame->type),
			 ipc_type_name(type));
}

/* SETTINGS and METRICS, which come before all else. */
static void first_words(struct child *c)
{
	struct ipc_frame frame = {.fd = -1};
	struct buf body = BUF_MAX(SETTINGS_WIRE_MAX);
	struct settings *settings;
	struct err err;
	uint32_t part;

	first_frame(c, IPC_SETTINGS, &frame, &body);
	settings = settings_wire_get(buf_str(&body), &err);
	if (settings == NULL)
		die_with(EX_PROTOCOL, "settings from master: %s", err.text);
	first_frame(c, IPC_METRICS, &frame, &body);
	part = reader_u32(&frame.body);
	c->env.slot = reader_u32(&frame.body);
	if (!reader_is_done(&frame.body) || frame.fd < 0)
		die_with(EX_PROTOCOL, "master sent no metrics segment");
	metrics_open(frame.fd, part);
	fd_close(&frame.fd);
	buf_clear_secret(&body);
	log_open(role_name(c->service->role), (int)c->env.slot);
	use_settings(c, settings);
}

static void check_control(const char *name)
{
	struct stat st;
	int flags;

	if (fstat(SERVICE_CONTROL_FD, &st) < 0 || !S_ISSOCK(st.st_mode)) {
		fprintf(stderr, "%s is started by smtp-proxy, not by hand.\n", name);
		exit(EX_USAGE);
	}
	fd_set_cloexec(SERVICE_CONTROL_FD, true);
	flags = fcntl(SERVICE_CONTROL_FD, F_GETFL);
	if (flags < 0 || fcntl(SERVICE_CONTROL_FD, F_SETFL, flags & ~O_NONBLOCK) < 0)
		die("fcntl: %s", strerror(errno)); /* the first words are waited for */
}

static void drop_rights(struct child *c)
{
	const char *host, *ca_file;

	service_rights_drop(c->service->role, c->settings, &host, &ca_file);
	/* Copies: the settings may be replaced. */
	c->env.database_host = mem_text(host);
	c->env.database_ca_file = mem_text(ca_file);
}

int service_main(int argc, char **argv, const struct service *service)
{
	static const struct ipc_events events = {on_frame, on_close};
	struct child *c = &the_child;

	(void)argc;
	check_control(argv[0]);
	log_open(role_name(service->role), -1);
	/* Master's death must be ours even when the loop hangs. (service_rights_drop() asks for it again.) */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		die("prctl: %s", strerror(errno));
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN); /* a terminal sends it to all of us: master decides */
	signal(SIGHUP, SIG_IGN);
	c->service = service;
	if (gethostname(c->host_name, sizeof(c->host_name) - 1) < 0)
		die("gethostname: %s", strerror(errno));
	first_words(c);
	c->env.loop = loop_new();
	if (service->prepare != NULL)
		service->prepare(&c->env);
	drop_rights(c);
	loop_on_signal(c->env.loop, SIGTERM, on_sigterm, c);
	if (service->start != NULL)
		service->start(&c->env);
	c->master = ipc_peer_new(c->env.loop, SERVICE_CONTROL_FD, service->role, ROLE_MASTER, 0, &events, c);
	loop_run(c->env.loop);
	log_info(NULL, "service.end");
	return EX_OK;
}

void service_peer_lost(enum role role, unsigned slot)
{
	struct child *c = &the_child;
	struct buf body = BUF_MAX(16);

	must(role < ROLE_COUNT && slot < METRICS_PARTS);
	if (c->master == NULL)
		return;
	buf_put_u32(&body, role);
	buf_put_u32(&body, slot);
	buf_put_u32(&body, c->link[role][slot]);
	ipc_send(c->master, IPC_PEER_LOST, 0, buf_str(&body), -1);
	buf_clear(&body);
}

void service_tell(uint64_t id, struct str json)
{
	service_say(IPC_TELL, id, json);
}

void service_say(enum ipc_type type, uint64_t id, struct str body)
{
	if (the_child.master != NULL)
		ipc_send(the_child.master, type, id, body, -1);
}

void service_exit(struct service_env *env)
{
	loop_stop(env->loop);
}
