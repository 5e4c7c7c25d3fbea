/* SPDX-License-Identifier: Apache-2.0
 *
 * Times in the answers are seconds since 1970.
 */
#include "gate/gate_control.h"

#include <json-c/json.h>
#include <stdlib.h>

#include "gate/gate_ban.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"

enum {
	LISTED = 300, /* fit into a TELL frame */
	BAN_SECONDS_MOST = 30 * 86400,
};

struct question {
	struct gate *gate;
	gate_control_fn *fn;
	void *ctx;
	struct gate_address address;
};

static void put_text(struct json_object *o, const char *name, const char *text)
{
	json_object_object_add(o, name, json_object_new_string(text));
}

static void put_int(struct json_object *o, const char *name, int64_t value)
{
	json_object_object_add(o, name, json_object_new_int64(value));
}

static void put_time(struct json_object *o, const char *name, int64_t wall)
{
	put_int(o, name, wall / CLOCK_SECOND);
}

/* Ends the answer and the question. */
static void answer(struct question *q, struct json_object *o)
{
	q->fn(q->ctx, str_of(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)));
	json_object_put(o);
	free(q);
}

static void refuse(struct question *q, const char *why)
{
	struct json_object *o = json_object_new_object();

	put_text(o, "error", why);
	answer(q, o);
}

static void put_ban(struct json_object *o, const struct gate_ban *ban)
{
	put_text(o, "address", ban->address);
	put_time(o, "since", ban->since);
	put_time(o, "until", ban->until);
	put_text(o, "reason", ban->reason);
}

static void on_list(void *ctx, const struct gate_ban *bans, size_t n, size_t total)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();

	for (size_t i = 0; i < n && i < LISTED; i++) {
		struct json_object *one = json_object_new_object();

		put_ban(one, &bans[i]);
		json_object_array_add(list, one);
	}
	json_object_object_add(o, "bans", list);
	put_int(o, "total", (int64_t)total);
	answer(ctx, o);
}

static void on_why(void *ctx, const struct gate_ban *ban)
{
	struct question *q = ctx;
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();
	struct gate_failure failures[GATE_FAILURES_KEPT];
	size_t n = gate_failures_list(q->gate->failures, q->address.key, failures);

	put_text(o, "address", q->address.key);
	json_object_object_add(o, "banned", json_object_new_boolean(ban != NULL));
	json_object_object_add(o, "allowed", json_object_new_boolean(q->address.is_allowed));
	if (ban != NULL)
		put_ban(o, ban);
	for (size_t i = 0; i < n; i++) {
		struct json_object *one = json_object_new_object();

		put_time(one, "at", failures[i].at);
		put_text(one, "client", failures[i].client);
		put_text(one, "user", failures[i].user);
		put_text(one, "why", failures[i].why);
		json_object_array_add(list, one);
	}
	json_object_object_add(o, "failures", list);
	answer(q, o);
}

static void on_lift(void *ctx, const struct gate_ban *ban)
{
	struct question *q = ctx;
	struct json_object *o = json_object_new_object();

	gate_ban_lift(q->gate, q->address.key);
	put_text(o, "address", q->address.key);
	json_object_object_add(o, "banned", json_object_new_boolean(ban != NULL));
	answer(q, o);
}

static void add(struct question *q, struct str rest)
{
	struct json_object *o;
	struct str seconds_text, who;
	struct buf reason = BUF_MAX(GATE_STORE_REASON - 1);
	int64_t time = q->gate->settings->limits.ban_time;
	uint64_t seconds;

	if (!str_next(&rest, ' ', &seconds_text) || !str_u64(seconds_text, 0, BAN_SECONDS_MOST, &seconds) ||
	    !str_next(&rest, ' ', &who) || !str_is_printable(who) || !str_is_printable(rest)) {
		refuse(q, "ban add ADDRESS SECONDS WHO [REASON]");
		return;
	}
	if (q->address.is_allowed) {
		refuse(q, "this address is never banned: it is in limits.allow");
		return;
	}
	buf_printf(&reason, "by %.*s%s", STR_ARG(str_first(who, 32)), rest.n > 0 ? ": " : "");
	buf_put_str(&reason, str_first(rest, GATE_STORE_REASON - 1 - reason.n));
	buf_put_char(&reason, '\0');
	if (seconds > 0)
		time = (int64_t)seconds * CLOCK_SECOND;
	gate_ban_add(q->gate, q->address.key, time, reason.p);
	buf_clear(&reason);
	o = json_object_new_object();
	put_text(o, "address", q->address.key);
	put_time(o, "until", clock_wall() + time);
	answer(q, o);
}

void gate_control_ask(struct gate *gate, struct str words, gate_control_fn *fn, void *ctx)
{
	struct question *q = mem_zero(sizeof(*q));
	struct str rest = words, subject = STR(""), verb = STR(""), address = STR("");
	char key[NETWORK_KEY];

	*q = (struct question){.gate = gate, .fn = fn, .ctx = ctx};
	str_next(&rest, ' ', &subject);
	str_next(&rest, ' ', &verb);
	if (str_eq(words, STR("ban list"))) {
		gate_store_list_bans(gate->store, on_list, q);
		return;
	}
	str_next(&rest, ' ', &address);
	if (!str_eq(subject, STR("ban"))) {
		refuse(q, "gate does not know these words");
		return;
	}
	if (!network_key(address, key)) {
		refuse(q, "this is no IPv4 or IPv6 address");
		return;
	}
	q->address = gate_address(gate, address);
	if (str_eq(verb, STR("why")))
		gate_store_find_ban(gate->store, q->address.key, on_why, q);
	else if (str_eq(verb, STR("lift")))
		gate_store_find_ban(gate->store, q->address.key, on_lift, q);
	else if (str_eq(verb, STR("add")))
		add(q, rest);
	else
		refuse(q, "gate does not know these words");
}
