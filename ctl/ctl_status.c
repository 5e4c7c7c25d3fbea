/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxyctl status, reload, drain, upgrade, stop: what is asked of a running master, and told to it.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctl/ctl_control.h"
#include "ctl/ctl_out.h"
#include "lib/base/clock.h"

/* Between two looks at what is waited for. */
static const struct timespec step = {0, 200 * 1000 * 1000};

/* Which one clients see that name no host, and how many others there are; when the first of all ends. */
static void put_certificates(struct ctl_out *out, struct json_object *status)
{
	struct json_object *one = ctl_control_part(status, "certificate"), *all = ctl_control_part(status, "certificates");
	size_t n = json_object_is_type(all, json_type_array) ? json_object_array_length(all) : 0;
	int64_t first = ctl_control_int(one, "not_after");
	char text[512];

	for (size_t i = 0; i < n; i++) {
		int64_t end = ctl_control_int(json_object_array_get_idx(all, i), "not_after");

		first = end < first ? end : first;
	}
	if (ctl_control_bool(status, "is_placeholder"))
		snprintf(text, sizeof(text), "none yet: clients are shown a placeholder; see smtp-proxyctl cert list");
	else if (n > 1)
		snprintf(text, sizeof(text), "%s, and %zu more: smtp-proxyctl cert list", ctl_control_text(one, "subject"), n - 1);
	else
		snprintf(text, sizeof(text), "%s", ctl_control_text(one, "subject"));
	ctl_out_text(out, text);
	if (ctl_control_bool(status, "is_placeholder"))
		ctl_out_null(out);
	else
		ctl_out_time(out, first * CLOCK_SECOND);
}

static void show_head(struct ctl *ctl, struct json_object *status)
{
	static const struct ctl_out_column columns[] = {
		{"version", "version"},	    {"pid", "process"},		{"state", "state"},
		{"uptime", "running for"},  {"settings", "settings"},	{"certificate", "certificate"},
		{"not_after", "valid until"}, {"notice", "notice"},
	};
	struct ctl_out *out = ctl_out_record(ctl, columns, sizeof(columns) / sizeof(columns[0]));

	ctl_out_text(out, ctl_control_text(status, "version"));
	ctl_out_int(out, ctl_control_int(status, "pid"));
	ctl_out_text(out, ctl_control_text(status, "state"));
	ctl_out_span(out, ctl_control_int(status, "uptime") * CLOCK_SECOND);
	ctl_out_text(out, ctl_control_text(status, "settings"));
	put_certificates(out, status);
	ctl_out_text(out, ctl_control_text(status, "notice"));
	ctl_out_free(&out);
}

static void show_socket(struct ctl_out *out, struct json_object *socket)
{
	ctl_out_text(out, ctl_control_text(socket, "name"));
	ctl_out_text(out, ctl_control_text(socket, "address"));
	ctl_out_int(out, ctl_control_int(socket, "port"));
	ctl_out_text(out, ctl_control_text(socket, "tls"));
	ctl_out_text(out, ctl_control_text(socket, "mode"));
}

static void show_listeners(struct ctl *ctl, struct json_object *status)
{
	static const struct ctl_out_column columns[] = {
		{"name", "LISTENER"}, {"address", "ADDRESS"}, {"port", "PORT"}, {"tls", "TLS"}, {"mode", "MODE"}};
	struct ctl_out *out = ctl_out_new(ctl, columns, sizeof(columns) / sizeof(columns[0]));
	struct json_object *listeners = ctl_control_part(status, "listeners");

	for (size_t i = 0; i < json_object_array_length(listeners); i++)
		show_socket(out, json_object_array_get_idx(listeners, i));
	show_socket(out, ctl_control_part(status, "api"));
	ctl_out_free(&out);
}

static void show_children(struct ctl *ctl, struct json_object *status)
{
	static const struct ctl_out_column columns[] = {
		{"role", "PROCESS"}, {"slot", "SLOT"},	    {"pid", "PID"}, {"state", "STATE"},
		{"since", "SINCE"},  {"restarts", "RESTARTS"}};
	struct ctl_out *out = ctl_out_new(ctl, columns, sizeof(columns) / sizeof(columns[0]));
	struct json_object *children = ctl_control_part(status, "children");

	for (size_t i = 0; i < json_object_array_length(children); i++) {
		struct json_object *child = json_object_array_get_idx(children, i);

		ctl_out_text(out, ctl_control_text(child, "role"));
		ctl_out_int(out, ctl_control_int(child, "slot"));
		ctl_out_int(out, ctl_control_int(child, "pid"));
		ctl_out_text(out, ctl_control_text(child, "state"));
		ctl_out_time(out, ctl_control_int(child, "since") * CLOCK_SECOND);
		ctl_out_int(out, ctl_control_int(child, "restarts"));
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
	struct json_object *metrics = ctl_control_part(status, "metrics");
	const struct settings *s = ctl_settings(ctl);
	/* The last two are about the database, where there is a use for it. */
	size_t n = s->database.host[0] == '\0' ? SHOWN - 2 : s->gate.users != GATE_USERS_DATABASE ? SHOWN - 1 : SHOWN;
	struct ctl_out *out;

	for (size_t i = 0; i < n; i++)
		columns[i] = shown[i].column;
	out = ctl_out_record(ctl, columns, n);
	for (size_t i = 0; i < n; i++) {
		int64_t value = ctl_control_int(metrics, columns[i].name);

		if (shown[i].is_switch)
			ctl_out_bool(out, value != 0);
		else
			ctl_out_int(out, value);
	}
	ctl_out_free(&out);
}

int ctl_status_show(struct ctl *ctl)
{
	struct json_object *status;

	ctl_end(ctl);
	status = ctl_control_ask(ctl, "status");
	if (ctl->is_json) {
		puts(json_object_to_json_string_ext(status, JSON_C_TO_STRING_PLAIN));
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
	return EX_OK;
}

int ctl_status_reload(struct ctl *ctl)
{
	ctl_end(ctl);
	ctl_control_tell(ctl, "reload");
	ctl_out_done(ctl, "Settings and certificate are being read again; the log says what came of it.");
	return EX_OK;
}

static bool is_drained(struct ctl *ctl)
{
	struct json_object *status = ctl_control_ask(ctl, "status");
	const char *state = ctl_control_text(status, "state");
	bool is_over = strcmp(state, "drained") == 0;

	if (!is_over && strcmp(state, "draining") != 0)
		ctl_fail(EX_TEMPFAIL, "smtp-proxy was told something else meanwhile: it is %s", state);
	json_object_put(status);
	return is_over;
}

int ctl_status_drain(struct ctl *ctl)
{
	bool is_patient = ctl_flag(ctl, "--wait");

	ctl_end(ctl);
	ctl_control_tell(ctl, "drain");
	while (is_patient && !is_drained(ctl))
		nanosleep(&step, NULL);
	ctl_out_done(ctl, is_patient ? "No mail is taken any more, and no session is left."
				     : "No more mail is taken; sessions finish what they have begun.");
	return EX_OK;
}

static bool all_are_ready(struct json_object *status)
{
	struct json_object *children = ctl_control_part(status, "children");

	for (size_t i = 0; i < json_object_array_length(children); i++)
		if (strcmp(ctl_control_text(json_object_array_get_idx(children, i), "state"), "ready") != 0)
			return false;
	return true;
}

/* Between two programs nobody answers, for a moment. */
static bool has_followed(struct ctl *ctl, int64_t old_start)
{
	struct json_object *status = ctl_control_try(ctl, "status");
	bool is_new = status != NULL && ctl_control_int(status, "started_at") != old_start, is_ready;

	if (status != NULL && !is_new && strcmp(ctl_control_text(status, "state"), "upgrading") != 0)
		ctl_fail(EX_UNAVAILABLE, "the program could not be replaced: the old one runs on, and its log says why");
	is_ready = is_new && all_are_ready(status);
	json_object_put(status);
	return is_ready;
}

static void wait_for_the_new(struct ctl *ctl, int64_t old_start)
{
	/* The sessions', the calls' to providers, and what the start takes. */
	int64_t until = clock_mono() + ctl_settings(ctl)->smtpd.upgrade_time +
			ctl_settings(ctl)->deliver.call_timeout + 120 * CLOCK_SECOND;

	while (!has_followed(ctl, old_start)) {
		if (clock_mono() > until)
			ctl_fail(EX_TEMPFAIL, "the new program is not ready yet; smtp-proxyctl status says how far it is");
		nanosleep(&step, NULL);
	}
}

int ctl_status_upgrade(struct ctl *ctl)
{
	bool is_patient = ctl_flag(ctl, "--wait");
	struct json_object *status;
	int64_t old_start;

	ctl_end(ctl);
	status = ctl_control_ask(ctl, "status");
	old_start = ctl_control_int(status, "started_at");
	json_object_put(status);
	ctl_control_tell(ctl, "upgrade");
	if (is_patient)
		wait_for_the_new(ctl, old_start);
	ctl_out_done(ctl, is_patient ? "The program that is installed now has taken over."
				     : "The program that is installed now takes over when the sessions are over.");
	return EX_OK;
}

int ctl_status_stop(struct ctl *ctl)
{
	ctl_end(ctl);
	ctl_control_tell(ctl, "stop");
	ctl_out_done(ctl, "smtp-proxy finishes what it has begun, then ends.");
	return EX_OK;
}
