/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxyctl status, reload, stop: what is asked of a running master, and told to it.
 */
#include <json-c/json.h>
#include <stdio.h>

#include "ctl/ctl_control.h"
#include "ctl/ctl_out.h"
#include "lib/base/clock.h"

static void show_head(struct ctl *ctl, struct json_object *status)
{
	static const struct ctl_out_column columns[] = {
		{"version", "version"},	    {"pid", "process"},		{"state", "state"},
		{"uptime", "running for"},  {"settings", "settings"},	{"certificate", "certificate"},
		{"not_after", "valid until"},
	};
	struct ctl_out *out = ctl_out_record(ctl, columns, sizeof(columns) / sizeof(columns[0]));
	struct json_object *certificate = ctl_control_part(status, "certificate");

	ctl_out_text(out, ctl_control_text(status, "version"));
	ctl_out_int(out, ctl_control_int(status, "pid"));
	ctl_out_text(out, ctl_control_text(status, "state"));
	ctl_out_span(out, ctl_control_int(status, "uptime") * CLOCK_SECOND);
	ctl_out_text(out, ctl_control_text(status, "settings"));
	ctl_out_text(out, ctl_control_text(certificate, "subject"));
	ctl_out_time(out, ctl_control_int(certificate, "not_after") * CLOCK_SECOND);
	ctl_out_free(&out);
}

static void show_socket(struct ctl_out *out, struct json_object *socket)
{
	ctl_out_text(out, ctl_control_text(socket, "name"));
	ctl_out_text(out, ctl_control_text(socket, "address"));
	ctl_out_int(out, ctl_control_int(socket, "port"));
}

static void show_listeners(struct ctl *ctl, struct json_object *status)
{
	static const struct ctl_out_column columns[] = {
		{"name", "LISTENER"}, {"address", "ADDRESS"}, {"port", "PORT"}};
	struct ctl_out *out = ctl_out_new(ctl, columns, 3);
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
	struct ctl_out *out;

	for (size_t i = 0; i < SHOWN; i++)
		columns[i] = shown[i].column;
	out = ctl_out_record(ctl, columns, SHOWN);
	for (size_t i = 0; i < SHOWN; i++) {
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

int ctl_status_stop(struct ctl *ctl)
{
	ctl_end(ctl);
	ctl_control_tell(ctl, "stop");
	ctl_out_done(ctl, "smtp-proxy finishes what it has begun, then ends.");
	return EX_OK;
}
