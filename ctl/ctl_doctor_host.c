/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxyctl doctor: this host. Files and directories, Redis, and the service if it runs.
 */
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "ctl/ctl_control.h"
#include "ctl/ctl_doctor.h"
#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/net/redis.h"
#include "lib/net/tls.h"

enum { CA_MAX = 16 << 20 };

#define REDIS_PATIENCE (3 * CLOCK_SECOND)

/* ---- files ---- */

static void look_at_directory(struct ctl_doctor *d, const char *check, const char *path, bool is_needed)
{
	struct stat st;

	if (stat(path, &st) < 0 && errno == ENOENT && !is_needed)
		ctl_doctor_say(d, CTL_DOCTOR_OK, check, "", "%s is not there; the service makes it", path);
	else if (stat(path, &st) < 0)
		ctl_doctor_say(d, CTL_DOCTOR_ERROR, check, "make it, or correct the rights to the one above it", "%s: %s", path,
			       strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		ctl_doctor_say(d, CTL_DOCTOR_ERROR, check, "move it away", "%s is no directory", path);
	else if ((st.st_mode & 022) != 0 && (st.st_mode & S_ISVTX) == 0)
		ctl_doctor_say(d, CTL_DOCTOR_ERROR, check, "chmod go-w", "%s (mode %04o): others may change what is in it", path,
			       (unsigned)st.st_mode & 07777U);
	else
		ctl_doctor_say(d, CTL_DOCTOR_OK, check, "", "%s", path);
}

static void look_at_secret(struct ctl_doctor *d, const char *check, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		ctl_doctor_say(d, CTL_DOCTOR_ERROR, check, "correct the setting, or the rights to its directory", "%s: %s", path,
			       strerror(errno));
	else
		ctl_doctor_secret(d, check, path, &st);
}

static void look_at_files(struct ctl_doctor *d)
{
	char journal[PATH_MAX];

	look_at_secret(d, "files.settings", d->ctl->config_path);
	look_at_directory(d, "files.state_dir", d->settings->instance.state_dir, true);
	look_at_directory(d, "files.run_dir", d->settings->instance.run_dir, false);
	if (snprintf(journal, sizeof(journal), "%s/journal", d->settings->instance.state_dir) < (int)sizeof(journal))
		look_at_directory(d, "files.journal", journal, false);
}

/* ---- Redis ---- */

struct ping {
	bool is_over, is_good;
	char why[256];
};

static void on_redis_state(void *ctx, bool is_up, const char *why)
{
	struct ping *ping = ctx;

	if (is_up)
		ping->is_over = ping->is_good = true;
	else if (!ping->is_over)
		str_copy(str_first(str_of(why), sizeof(ping->why) - 1), ping->why, sizeof(ping->why));
	ping->is_over = true;
}

static struct tls_client *redis_trust(const struct settings *s, struct err *err)
{
	struct buf pem = BUF_MAX(CA_MAX);
	struct tls_client *tls = NULL;

	if (s->redis.ca_file[0] == '\0' || fd_read_file(s->redis.ca_file, &pem, err))
		tls = tls_client_new(buf_str(&pem), false, TLS_1_2, err);
	buf_clear(&pem);
	return tls;
}

static void ping_redis(const struct settings *s, const struct redis_url *url, struct ping *ping)
{
	struct loop *loop = loop_new();
	struct tls_client *tls = NULL;
	struct redis *redis;
	struct err err;
	int64_t until = clock_mono() + REDIS_PATIENCE;

	if (url->is_tls && (tls = redis_trust(s, &err)) == NULL) {
		str_copy(str_first(str_of(err.text), sizeof(ping->why) - 1), ping->why, sizeof(ping->why));
	} else {
		redis = redis_new(loop, url, tls, REDIS_PATIENCE, on_redis_state, ping);
		while (!ping->is_over && clock_mono() < until)
			loop_turn(loop, 100 * CLOCK_MS);
		redis_free(&redis);
		loop_turn(loop, 0);
	}
	tls_client_free(&tls);
	loop_free(&loop);
}

static void look_at_redis(struct ctl_doctor *d)
{
	struct ping ping = {.why = "it does not answer"};
	struct redis_url url;
	struct err err;

	if (d->settings->redis.url[0] == '\0')
		return;
	if (!redis_url_parse(str_of(d->settings->redis.url), &url, &err)) {
		ctl_doctor_say(d, CTL_DOCTOR_ERROR, "redis.reachable", "correct redis.url", "%s", err.text);
		return;
	}
	ping_redis(d->settings, &url, &ping);
	if (ping.is_good)
		ctl_doctor_say(d, CTL_DOCTOR_OK, "redis.reachable", "", "%s port %u", url.host, url.port);
	else
		ctl_doctor_say(d, CTL_DOCTOR_ERROR, "redis.reachable",
			       "start it, or correct redis.url; until then each host counts and bans by itself", "%s port %u: %s",
			       url.host, url.port, ping.why);
	redis_url_clear(&url);
}

/* ---- the running service ---- */

static void look_at_children(struct ctl_doctor *d, struct json_object *status)
{
	struct json_object *children = ctl_control_part(status, "children");
	size_t n = json_object_is_type(children, json_type_array) ? json_object_array_length(children) : 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *child = json_object_array_get_idx(children, i);
		const char *state = ctl_control_text(child, "state");

		if (strcmp(state, "ready") != 0)
			ctl_doctor_say(d, CTL_DOCTOR_ERROR, "service.process", "the log says why", "%s %lld is not ready: %s",
				       ctl_control_text(child, "role"), (long long)ctl_control_int(child, "slot"), state);
	}
}

/* What qmgr says of them (qmgr/qmgr_provider_control.c). */
static void look_at_providers(struct ctl_doctor *d)
{
	struct json_object *answers = ctl_control_ask_children(d->ctl, "provider list");
	struct json_object *answer = ctl_control_part(json_object_array_get_idx(answers, 0), "answer");
	struct json_object *list = ctl_control_part(answer, "providers");
	size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;

	if (n == 0)
		ctl_doctor_say(d, CTL_DOCTOR_WARNING, "provider.state", "smtp-proxyctl status shows whether qmgr runs",
			       "qmgr tells of no provider");
	for (size_t i = 0; i < n; i++) {
		struct json_object *one = json_object_array_get_idx(list, i);
		bool is_up = strcmp(ctl_control_text(one, "state"), "up") == 0;

		ctl_doctor_say(d, is_up ? CTL_DOCTOR_OK : CTL_DOCTOR_WARNING, "provider.state",
			       is_up ? "" : "smtp-proxyctl provider test says what it answers", "%s is %s%s%s",
			       ctl_control_text(one, "provider"), ctl_control_text(one, "state"), is_up ? "" : ": ",
			       is_up ? "" : ctl_control_text(one, "why"));
	}
	json_object_put(answers);
}

static void look_at_service(struct ctl_doctor *d)
{
	struct json_object *status = ctl_control_try(d->ctl, "status");

	if (status == NULL) {
		ctl_doctor_say(d, CTL_DOCTOR_WARNING, "service.running",
			       "start it; or, if it runs, ask as root or as whoever started it", "no smtp-proxy answers in %s",
			       d->settings->instance.run_dir);
		return;
	}
	ctl_doctor_say(d, CTL_DOCTOR_OK, "service.running", "", "version %s, %s", ctl_control_text(status, "version"),
		       ctl_control_text(status, "state"));
	look_at_children(d, status);
	json_object_put(status);
	look_at_providers(d);
	ctl_doctor_cert_ask(d);
}

void ctl_doctor_host_look(struct ctl_doctor *d)
{
	look_at_files(d);
	ctl_doctor_cert_look(d);
	look_at_redis(d);
	look_at_service(d);
}
