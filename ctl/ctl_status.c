/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxyctl status, reload, stop: what is asked of a running master over its control socket
 * (master/master_status.c), one line in, one JSON object out.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctl/ctl_out.h"
#include "lib/base/clock.h"
#include "lib/base/fd.h"

enum { ANSWER_MAX = 1 << 20, PATIENCE_SECONDS = 10 };

static int connect_master(struct ctl *ctl)
{
	const struct timeval patience = {PATIENCE_SECONDS, 0};
	const char *run_dir = ctl_settings(ctl)->instance.run_dir;
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		ctl_fail(EX_OSERR, "socket: %s", strerror(errno));
	if (snprintf(a.sun_path, sizeof(a.sun_path), "%s/control", run_dir) >= (int)sizeof(a.sun_path))
		ctl_fail(EX_CONFIG, "instance.run_dir is too long for a socket in it");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
		ctl_fail(EX_OSERR, "setsockopt: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	if (errno == EACCES || errno == EPERM)
		ctl_fail(EX_NOPERM, "%s: only root, or whoever started smtp-proxy, may ask it", a.sun_path);
	ctl_fail(EX_UNAVAILABLE, "smtp-proxy is not running (%s: %s)", a.sun_path, strerror(errno));
}

/* Asks, and returns the answer: an object that the caller puts away. `text` is the answer as it came. */
static struct json_object *ask(struct ctl *ctl, const char *line, struct buf *text)
{
	int fd = connect_master(ctl);
	struct json_object *answer;
	ssize_t got;

	if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0 || send(fd, "\n", 1, MSG_NOSIGNAL) < 0)
		ctl_fail(EX_UNAVAILABLE, "smtp-proxy took no question: %s", strerror(errno));
	do {
		char *room = buf_room(text, 65536);

		if (room == NULL)
			ctl_fail(EX_PROTOCOL, "smtp-proxy's answer is too long");
		got = recv(fd, room, 65536, 0);
		if (got > 0)
			buf_added(text, (size_t)got);
	} while (got > 0);
	fd_close(&fd);
	buf_put_char(text, '\0');
	answer = json_tokener_parse(text->p);
	if (answer == NULL)
		ctl_fail(EX_UNAVAILABLE, "smtp-proxy gave no answer");
	return answer;
}

static const char *text_of(struct json_object *o, const char *name)
{
	struct json_object *value;

	return json_object_object_get_ex(o, name, &value) ? json_object_get_string(value) : "";
}

static int64_t int_of(struct json_object *o, const char *name)
{
	struct json_object *value;

	return json_object_object_get_ex(o, name, &value) ? json_object_get_int64(value) : 0;
}

static struct json_object *part_of(struct json_object *o, const char *name)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(o, name, &value);
	return value;
}

static void show_head(struct ctl *ctl, struct json_object *status)
{
	static const struct ctl_out_column columns[] = {
		{"version", "version"},	    {"pid", "process"},		{"state", "state"},
		{"uptime", "running for"},  {"settings", "settings"},	{"certificate", "certificate"},
		{"not_after", "valid until"},
	};
	struct ctl_out *out = ctl_out_record(ctl, columns, sizeof(columns) / sizeof(columns[0]));
	struct json_object *certificate = part_of(status, "certificate");

	ctl_out_text(out, text_of(status, "version"));
	ctl_out_int(out, int_of(status, "pid"));
	ctl_out_text(out, text_of(status, "state"));
	ctl_out_span(out, int_of(status, "uptime") * CLOCK_SECOND);
	ctl_out_text(out, text_of(status, "settings"));
	ctl_out_text(out, text_of(certificate, "subject"));
	ctl_out_time(out, int_of(certificate, "not_after") * CLOCK_SECOND);
	ctl_out_free(&out);
}

static void show_socket(struct ctl_out *out, struct json_object *socket)
{
	ctl_out_text(out, text_of(socket, "name"));
	ctl_out_text(out, text_of(socket, "address"));
	ctl_out_int(out, int_of(socket, "port"));
}

static void show_listeners(struct ctl *ctl, struct json_object *status)
{
	static const struct ctl_out_column columns[] = {
		{"name", "LISTENER"}, {"address", "ADDRESS"}, {"port", "PORT"}};
	struct ctl_out *out = ctl_out_new(ctl, columns, 3);
	struct json_object *listeners = part_of(status, "listeners");

	for (size_t i = 0; i < json_object_array_length(listeners); i++)
		show_socket(out, json_object_array_get_idx(listeners, i));
	show_socket(out, part_of(status, "api"));
	ctl_out_free(&out);
}

static void show_children(struct ctl *ctl, struct json_object *status)
{
	static const struct ctl_out_column columns[] = {
		{"role", "PROCESS"}, {"slot", "SLOT"},	    {"pid", "PID"}, {"state", "STATE"},
		{"since", "SINCE"},  {"restarts", "RESTARTS"}};
	struct ctl_out *out = ctl_out_new(ctl, columns, sizeof(columns) / sizeof(columns[0]));
	struct json_object *children = part_of(status, "children");

	for (size_t i = 0; i < json_object_array_length(children); i++) {
		struct json_object *child = json_object_array_get_idx(children, i);

		ctl_out_text(out, text_of(child, "role"));
		ctl_out_int(out, int_of(child, "slot"));
		ctl_out_int(out, int_of(child, "pid"));
		ctl_out_text(out, text_of(child, "state"));
		ctl_out_time(out, int_of(child, "since") * CLOCK_SECOND);
		ctl_out_int(out, int_of(child, "restarts"));
	}
	ctl_out_free(&out);
}

static void show_metrics(struct ctl *ctl, struct json_object *status)
{
	static const struct {
		struct ctl_out_column column;
		bool is_switch;
	} shown[] = {
		{{"sessions", "sessions"}, false},
		{{"accepted", "accepted"}, false},
		{{"refused", "refused"}, false},
		{{"queue_depth", "in the queue"}, false},
		{{"in_flight", "calls under way"}, false},
		{{"sent", "sent"}, false},
		{{"deferred", "deferred"}, false},
		{{"failed", "failed"}, false},
		{{"unknown", "unknown"}, false},
		{{"dead_letters", "dead letters"}, false},
		{{"queue_database_up", "queue has its database"}, true},
		{{"gate_database_up", "gate has its database"}, true},
	};
	enum { SHOWN = sizeof(shown) / sizeof(shown[0]) };
	struct ctl_out_column columns[SHOWN];
	struct json_object *metrics = part_of(status, "metrics");
	struct ctl_out *out;

	for (size_t i = 0; i < SHOWN; i++)
		columns[i] = shown[i].column;
	out = ctl_out_record(ctl, columns, SHOWN);
	for (size_t i = 0; i < SHOWN; i++) {
		int64_t value = int_of(metrics, columns[i].name);

		if (shown[i].is_switch)
			ctl_out_bool(out, value != 0);
		else
			ctl_out_int(out, value);
	}
	ctl_out_free(&out);
}

int ctl_status_show(struct ctl *ctl)
{
	struct buf text = BUF_MAX(ANSWER_MAX);
	struct json_object *status;

	ctl_end(ctl);
	status = ask(ctl, "status", &text);
	if (ctl->is_json) {
		fputs(text.p, stdout);
	} else {
		show_head(ctl, status);
		putchar('\n');
		show_listeners(ctl, status);
		putchar('\n');
		show_children(ctl, status);
		putchar('\n');
		show_metrics(ctl, status);
	}
	json_object_put(status);
	buf_clear(&text);
	return EX_OK;
}

static int tell(struct ctl *ctl, const char *what, const char *sentence)
{
	struct buf text = BUF_MAX(ANSWER_MAX);
	struct json_object *answer;
	bool ok;

	ctl_end(ctl);
	answer = ask(ctl, what, &text);
	ok = strcmp(text_of(answer, "done"), what) == 0;
	json_object_put(answer);
	buf_clear(&text);
	if (!ok)
		ctl_fail(EX_PROTOCOL, "smtp-proxy did not understand \"%s\": is it another version?", what);
	ctl_out_done(ctl, "%s", sentence);
	return EX_OK;
}

int ctl_status_reload(struct ctl *ctl)
{
	return tell(ctl, "reload", "Settings and certificate are being read again; the log says what came of it.");
}

int ctl_status_stop(struct ctl *ctl)
{
	return tell(ctl, "stop", "smtp-proxy finishes what it has begun, then ends.");
}
