/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxyctl provider list, suspend, resume, test: what qmgr and deliver say of the providers (qmgr/qmgr_provider_control.c,
 * deliver/deliver_check.c), and what operators say, which qmgr notices within two seconds.
 */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "ctl/ctl_control.h"
#include "ctl/ctl_out.h"
#include "ctl/ctl_pg.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/settings/settings_units.h"

enum { LONGEST_DAYS = 365, REASON_MOST = 200 };
static const int64_t usual_time = 300 * CLOCK_SECOND;

#define SQL_SUSPEND \
	"INSERT INTO provider_state (provider, suspended_until, reason, who, changed_at)" \
	" VALUES ($1::text, now() + $2::int8 * interval '1 microsecond', $3::text, $4::text, clock_timestamp())" \
	" ON CONFLICT (provider) DO UPDATE SET suspended_until = excluded.suspended_until, reason = excluded.reason," \
	"  who = excluded.who, changed_at = excluded.changed_at RETURNING suspended_until"

#define SQL_RESUME \
	"INSERT INTO provider_state (provider, who, changed_at) VALUES ($1::text, $2::text, clock_timestamp())" \
	" ON CONFLICT (provider) DO UPDATE SET suspended_until = NULL, reason = '', who = excluded.who," \
	"  changed_at = excluded.changed_at"

static const struct ctl_out_column list_columns[] = {
	{"provider", "PROVIDER"},
	{"state", "STATE"},
	{"why", "WHY"},
	{"last_error", "LAST ERROR"},
	{"until", "NEXT TRY"},
	{"in_flight", "NOW"},
	{"calls", "CALLS"},
	{"failed", "FAILED"},
	{"throttled", "THROTTLED"},
	{"calls_per_second", "PER SECOND"},
	{"day", "DAY"},
	{"per_day", NULL},
	{"month", "MONTH"},
	{"per_month", NULL},
	{"window_calls", NULL},
	{"window_failed", NULL},
	{"down_since", NULL},
	{"suspended_until", NULL},
	{"suspended_by", NULL},
	{"credentials_refused", NULL},
};

/* "80" or, with a limit, "80/100". */
static void put_use(const struct ctl *ctl, struct ctl_out *out, struct json_object *one, const char *used, const char *limit)
{
	char text[64];

	if (ctl->is_json || ctl_control_int(one, limit) == 0) {
		ctl_out_int(out, ctl_control_int(one, used));
		return;
	}
	snprintf(text, sizeof(text), "%" PRId64 "/%" PRId64, ctl_control_int(one, used), ctl_control_int(one, limit));
	ctl_out_text(out, text);
}

static void put_rate(struct ctl_out *out, int64_t thousandths)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRId64 ".%" PRId64, thousandths / 1000, thousandths % 1000 / 100);
	ctl_out_text(out, thousandths == 0 ? "" : text);
}

static int64_t next_try(struct json_object *one)
{
	static const char *const names[] = {"suspended_until", "probe_at", "paused_until"};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (ctl_control_int(one, names[i]) != 0)
			return ctl_control_int(one, names[i]) * CLOCK_SECOND;
	return 0;
}

static void put(const struct ctl *ctl, struct ctl_out *out, struct json_object *one)
{
	ctl_out_text(out, ctl_control_text(one, "provider"));
	ctl_out_text(out, ctl_control_text(one, "state"));
	ctl_out_text(out, ctl_control_text(one, "why"));
	ctl_out_text(out, ctl_control_text(one, "last_error"));
	ctl_out_time(out, next_try(one));
	ctl_out_int(out, ctl_control_int(one, "in_flight"));
	ctl_out_int(out, ctl_control_int(one, "calls"));
	ctl_out_int(out, ctl_control_int(one, "failed"));
	ctl_out_int(out, ctl_control_int(one, "throttled"));
	put_rate(out, ctl_control_int(one, "calls_in_1000_seconds"));
	put_use(ctl, out, one, "day", "per_day");
	ctl_out_int(out, ctl_control_int(one, "per_day"));
	put_use(ctl, out, one, "month", "per_month");
	ctl_out_int(out, ctl_control_int(one, "per_month"));
	ctl_out_int(out, ctl_control_int(one, "window_calls"));
	ctl_out_int(out, ctl_control_int(one, "window_failed"));
	ctl_out_time(out, ctl_control_int(one, "down_since") * CLOCK_SECOND);
	ctl_out_time(out, ctl_control_int(one, "suspended_until") * CLOCK_SECOND);
	ctl_out_text(out, ctl_control_text(one, "suspended_by"));
	ctl_out_int(out, ctl_control_int(one, "credentials_refused"));
}

int ctl_provider_list(struct ctl *ctl)
{
	struct json_object *answers, *list;
	struct ctl_out *out;

	ctl_end(ctl);
	answers = ctl_control_ask_children(ctl, "provider list");
	list = ctl_control_part(ctl_control_part(json_object_array_get_idx(answers, 0), "answer"), "providers");
	if (!json_object_is_type(list, json_type_array))
		ctl_fail(EX_TEMPFAIL, "qmgr does not answer; is it running? (smtp-proxyctl status)");
	out = ctl_out_new(ctl, list_columns, sizeof(list_columns) / sizeof(list_columns[0]));
	for (size_t i = 0; i < json_object_array_length(list); i++)
		put(ctl, out, json_object_array_get_idx(list, i));
	ctl_out_free(&out);
	json_object_put(answers);
	return EX_OK;
}

/* A provider of the settings. */
static const char *take_key(struct ctl *ctl)
{
	const char *key = ctl_argument(ctl, "the provider");
	const struct settings *s = ctl_settings(ctl);

	for (size_t i = 0; i < s->n_provider; i++)
		if (strcmp(s->provider[i].key, key) == 0)
			return key;
	ctl_fail(EX_DATAERR, "there is no provider \"%s\" in the settings", key);
}

static int64_t take_time(struct ctl *ctl)
{
	const char *text = ctl_option(ctl, "--time");
	int64_t time = usual_time;

	if (text != NULL && (!settings_units_parse(SETTINGS_DURATION, str_of(text), &time) || time < CLOCK_SECOND ||
			     time > LONGEST_DAYS * 86400 * CLOCK_SECOND))
		ctl_usage(ctl, "--time: \"%s\" is not a time from 1s to %dd", text, LONGEST_DAYS);
	return time;
}

int ctl_provider_test(struct ctl *ctl)
{
	static const struct ctl_out_column columns[] = {
		{"agent", "AGENT"}, {"is_good", "GOOD"}, {"code", "CODE"}, {"reason", "ANSWER"}, {"took", "TOOK"}};
	const char *key = take_key(ctl);
	char line[SETTINGS_KEY + 8];
	struct json_object *answers;
	struct ctl_out *out;
	int status = EX_OK;
	size_t n;

	ctl_end(ctl);
	snprintf(line, sizeof(line), "check %s", key);
	answers = ctl_control_ask_children(ctl, line);
	n = json_object_array_length(answers);
	if (n == 0)
		ctl_fail(EX_TEMPFAIL, "there is no agent to ask (smtp-proxyctl status)");
	out = ctl_out_new(ctl, columns, sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < n; i++) {
		struct json_object *one = json_object_array_get_idx(answers, i), *answer = ctl_control_part(one, "answer");

		ctl_out_int(out, ctl_control_int(one, "slot"));
		ctl_out_bool(out, ctl_control_bool(answer, "is_good"));
		ctl_out_int(out, ctl_control_int(answer, "code"));
		ctl_out_text(out, answer == NULL ? "the agent did not answer in time" : ctl_control_text(answer, "reason"));
		ctl_out_span(out, ctl_control_int(answer, "took"));
		if (!ctl_control_bool(answer, "is_good"))
			status = EX_UNAVAILABLE;
	}
	ctl_out_free(&out);
	json_object_put(answers);
	return status;
}

int ctl_provider_suspend(struct ctl *ctl)
{
	static const struct ctl_out_column columns[] = {{"provider", "suspended"}, {"until", "until"}};
	int64_t time = take_time(ctl);
	const char *reason = ctl_option(ctl, "--reason"), *key = take_key(ctl);
	struct pg_params *p = pg_params_new();
	const struct pg_result *r;
	struct ctl_out *out;
	struct ctl_pg *db;

	ctl_end(ctl);
	if (reason == NULL || reason[0] == '\0')
		ctl_usage(ctl, "--reason is missing: whoever finds it suspended wants to know why");
	if (!str_is_printable(str_of(reason)) || strlen(reason) > REASON_MOST)
		ctl_usage(ctl, "--reason: at most %d printable ASCII characters", REASON_MOST);
	db = ctl_pg_open(ctl);
	pg_put_text(p, str_of(key));
	pg_put_int8(p, time);
	pg_put_text(p, str_of(reason));
	pg_put_text(p, str_of(ctl_who()));
	r = ctl_pg_run(db, SQL_SUSPEND, p);
	out = ctl_out_record(ctl, columns, 2);
	ctl_out_text(out, key);
	ctl_out_time(out, pg_time(r, 0, 0));
	ctl_out_free(&out);
	pg_params_free(&p);
	ctl_pg_close(&db);
	return EX_OK;
}

int ctl_provider_resume(struct ctl *ctl)
{
	const char *key = take_key(ctl);
	struct pg_params *p = pg_params_new();
	struct ctl_pg *db;

	ctl_end(ctl);
	db = ctl_pg_open(ctl);
	pg_put_text(p, str_of(key));
	pg_put_text(p, str_of(ctl_who()));
	ctl_pg_run(db, SQL_RESUME, p);
	pg_params_free(&p);
	ctl_pg_close(&db);
	ctl_out_done(ctl, "%s: not suspended, and what it failed before does not count any more", key);
	return EX_OK;
}
