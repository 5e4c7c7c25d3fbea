/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxyctl ban list, why, lift, add: the addresses that gate lets nobody in from (gate/gate_control.c answers).
 */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>

#include "ctl/ctl_control.h"
#include "ctl/ctl_out.h"
#include "lib/base/clock.h"
#include "lib/base/network.h"
#include "lib/settings/settings_units.h"

enum { LONGEST_DAYS = 30 };

/* What gate says; there is one gate. The caller puts the answers away. */
static struct json_object *ask(struct ctl *ctl, const char *line, struct json_object **answers)
{
	struct json_object *answer;

	*answers = ctl_control_ask_children(ctl, line);
	answer = ctl_control_part(json_object_array_get_idx(*answers, 0), "answer");
	if (answer == NULL)
		ctl_fail(EX_TEMPFAIL, "gate does not answer; is it running? (smtp-proxyctl status)");
	if (ctl_control_text(answer, "error")[0] != '\0')
		ctl_fail(EX_DATAERR, "%s", ctl_control_text(answer, "error"));
	return answer;
}

static void name_address(const char *address, char key[NETWORK_KEY])
{
	if (!network_key(str_of(address), key))
		ctl_fail(EX_DATAERR, "%s: not an IPv4 or IPv6 address; allowed: such as 192.0.2.7, 2001:db8::25, "
				     "2001:db8:0:1::/64", address);
}

static struct json_object *ask_about(struct ctl *ctl, const char *verb, const char *address,
				     struct json_object **answers)
{
	char key[NETWORK_KEY], line[NETWORK_KEY + 32];

	name_address(address, key);
	snprintf(line, sizeof(line), "ban %s %s", verb, key);
	return ask(ctl, line, answers);
}

int ctl_ban_list(struct ctl *ctl)
{
	static const struct ctl_out_column columns[] = {
		{"address", "ADDRESS"}, {"since", "SINCE"}, {"until", "UNTIL"}, {"reason", "REASON"}};
	struct json_object *answers, *answer, *bans;
	struct ctl_out *out;
	size_t n;

	ctl_end(ctl);
	answer = ask(ctl, "ban list", &answers);
	bans = ctl_control_part(answer, "bans");
	if (!json_object_is_type(bans, json_type_array))
		ctl_fail(EX_PROTOCOL, "gate did not understand: is it another version?");
	n = json_object_array_length(bans);
	out = ctl_out_new(ctl, columns, sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < n; i++) {
		struct json_object *ban = json_object_array_get_idx(bans, i);

		ctl_out_text(out, ctl_control_text(ban, "address"));
		ctl_out_time(out, ctl_control_int(ban, "since") * CLOCK_SECOND);
		ctl_out_time(out, ctl_control_int(ban, "until") * CLOCK_SECOND);
		ctl_out_text(out, ctl_control_text(ban, "reason"));
	}
	ctl_out_free(&out);
	if ((size_t)ctl_control_int(answer, "total") > n)
		ctl_warn("these are the newest %zu of %" PRId64, n, ctl_control_int(answer, "total"));
	json_object_put(answers);
	return EX_OK;
}

static const char *state_of(struct json_object *answer)
{
	if (ctl_control_bool(answer, "allowed"))
		return "never: it is in limits.allow";
	return ctl_control_bool(answer, "banned") ? "yes" : "no";
}

static void show_failures(struct ctl *ctl, struct json_object *failures)
{
	static const struct ctl_out_column columns[] = {
		{"at", "FAILED LOGIN"}, {"client", "CLIENT"}, {"user", "USER"}, {"why", "WHY"}};
	struct ctl_out *out;

	if (!json_object_is_type(failures, json_type_array) || json_object_array_length(failures) == 0)
		return;
	out = ctl_out_new(ctl, columns, sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < json_object_array_length(failures); i++) {
		struct json_object *failure = json_object_array_get_idx(failures, i);

		ctl_out_time(out, ctl_control_int(failure, "at") * CLOCK_SECOND);
		ctl_out_text(out, ctl_control_text(failure, "client"));
		ctl_out_text(out, ctl_control_text(failure, "user"));
		ctl_out_text(out, ctl_control_text(failure, "why"));
	}
	ctl_out_free(&out);
}

int ctl_ban_why(struct ctl *ctl)
{
	static const struct ctl_out_column columns[] = {{"address", "address"}, {"banned", "banned"}, {"since", "since"},
							{"until", "until"},	{"reason", "reason"}};
	const char *address = ctl_argument(ctl, "the address");
	struct json_object *answers, *answer;
	struct ctl_out *out;

	ctl_end(ctl);
	answer = ask_about(ctl, "why", address, &answers);
	if (ctl->is_json) {
		puts(json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
		json_object_put(answers);
		return EX_OK;
	}
	out = ctl_out_record(ctl, columns, sizeof(columns) / sizeof(columns[0]));
	ctl_out_text(out, ctl_control_text(answer, "address"));
	ctl_out_text(out, state_of(answer));
	ctl_out_time(out, ctl_control_int(answer, "since") * CLOCK_SECOND);
	ctl_out_time(out, ctl_control_int(answer, "until") * CLOCK_SECOND);
	ctl_out_text(out, ctl_control_text(answer, "reason"));
	ctl_out_free(&out);
	show_failures(ctl, ctl_control_part(answer, "failures"));
	json_object_put(answers);
	return EX_OK;
}

int ctl_ban_lift(struct ctl *ctl)
{
	const char *address = ctl_argument(ctl, "the address");
	struct json_object *answers, *answer;

	ctl_end(ctl);
	answer = ask_about(ctl, "lift", address, &answers);
	if (ctl_control_bool(answer, "banned"))
		ctl_out_done(ctl, "%s is not banned any more", ctl_control_text(answer, "address"));
	else
		ctl_out_done(ctl, "%s was not banned; its failed logins are forgotten",
			     ctl_control_text(answer, "address"));
	json_object_put(answers);
	return EX_OK;
}

static int64_t take_time(struct ctl *ctl)
{
	const char *text = ctl_option(ctl, "--time");
	int64_t time = 0;

	if (text == NULL)
		return 0;
	if (!settings_units_parse(SETTINGS_DURATION, str_of(text), &time) || time < CLOCK_SECOND ||
	    time > LONGEST_DAYS * 86400 * CLOCK_SECOND)
		ctl_usage(ctl, "--time: \"%s\" is not a time from 1s to %dd", text, LONGEST_DAYS);
	return time / CLOCK_SECOND;
}

int ctl_ban_add(struct ctl *ctl)
{
	int64_t seconds = take_time(ctl);
	const char *reason = ctl_option(ctl, "--reason"), *address = ctl_argument(ctl, "the address");
	struct buf line = BUF_MAX(1024);
	struct json_object *answers, *answer;
	char key[NETWORK_KEY];

	ctl_end(ctl);
	name_address(address, key);
	if (reason != NULL && (!str_is_printable(str_of(reason)) || strlen(reason) > 100))
		ctl_usage(ctl, "--reason: at most 100 printable ASCII characters");
	buf_printf(&line, "ban add %s %" PRId64 " %s%s%s", key, seconds, ctl_who(), reason != NULL ? " " : "",
		   reason != NULL ? reason : "");
	buf_put_char(&line, '\0');
	answer = ask(ctl, line.p, &answers);
	buf_clear(&line);
	ctl_out_done(ctl, "%s is banned", ctl_control_text(answer, "address"));
	json_object_put(answers);
	return EX_OK;
}
