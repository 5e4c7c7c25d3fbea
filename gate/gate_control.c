/* SPDX-License-Identifier: Apache-2.0
 *
 * Times in the answers are seconds since 1970.
 */
#include "gate/gate_control.h"

#include <stdlib.h>

#include "gate/gate_ban.h"
#include "lib/base/clock.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"

enum {
	ANSWER_MAX = 131072, /* as IPC(TELL) */
	LISTED = 300,	     /* fit into it */
	BAN_SECONDS_MOST = 30 * 86400,
};

struct question {
	struct gate *gate;
	gate_control_fn *fn;
	void *ctx;
	struct gate_address address;
	struct buf out;
};

/* Ends the question. */
static void answer(struct question *q)
{
	buf_put_char(&q->out, '}');
	q->fn(q->ctx, buf_str(&q->out));
	buf_clear(&q->out);
	free(q);
}

static void refuse(struct question *q, const char *why)
{
	json_put_text(&q->out, "error", str_of(why));
	answer(q);
}

static void put_ban(struct buf *out, const struct gate_ban *ban)
{
	json_put_text(out, "address", str_of(ban->address));
	json_put_int(out, "since", ban->since / CLOCK_SECOND);
	json_put_int(out, "until", ban->until / CLOCK_SECOND);
	json_put_text(out, "reason", str_of(ban->reason));
}

static void on_list(void *ctx, const struct gate_ban *bans, size_t n, size_t total)
{
	struct question *q = ctx;

	json_begin(&q->out, "bans", '[');
	for (size_t i = 0; i < n && i < LISTED; i++) {
		json_begin(&q->out, NULL, '{');
		put_ban(&q->out, &bans[i]);
		buf_put_char(&q->out, '}');
	}
	buf_put_char(&q->out, ']');
	json_put_int(&q->out, "total", (int64_t)total);
	answer(q);
}

static void put_failure(struct buf *out, const struct gate_failure *failure)
{
	json_begin(out, NULL, '{');
	json_put_int(out, "at", failure->at / CLOCK_SECOND);
	json_put_text(out, "client", str_of(failure->client));
	json_put_text(out, "user", str_of(failure->user));
	json_put_text(out, "why", str_of(failure->why));
	buf_put_char(out, '}');
}

static void on_why(void *ctx, const struct gate_ban *ban)
{
	struct question *q = ctx;
	struct gate_ban none = {.since = 0};
	struct gate_failure failures[GATE_FAILURES_KEPT];
	size_t n = gate_failures_list(q->gate->failures, q->address.key, failures);

	str_copy(str_of(q->address.key), none.address, sizeof(none.address));
	put_ban(&q->out, ban != NULL ? ban : &none);
	json_put_bool(&q->out, "banned", ban != NULL);
	json_put_bool(&q->out, "allowed", q->address.is_allowed);
	json_begin(&q->out, "failures", '[');
	for (size_t i = 0; i < n; i++)
		put_failure(&q->out, &failures[i]);
	buf_put_char(&q->out, ']');
	answer(q);
}

static void on_lift(void *ctx, const struct gate_ban *ban)
{
	struct question *q = ctx;

	gate_ban_lift(q->gate, q->address.key);
	json_put_text(&q->out, "address", str_of(q->address.key));
	json_put_bool(&q->out, "banned", ban != NULL);
	answer(q);
}

static void add(struct question *q, struct str rest)
{
	struct str seconds_text, who;
	struct buf reason = BUF_MAX(GATE_STORE_REASON);
	int64_t time = q->gate->settings->limits.ban_time;
	uint64_t seconds;

	if (!str_next(&rest, ' ', &seconds_text) || !str_u64(seconds_text, 0, BAN_SECONDS_MOST, &seconds) ||
	    !str_next(&rest, ' ', &who) || !str_is_printable(who) || !str_is_printable(rest)) {
		refuse(q, "what is needed: ban add ADDRESS SECONDS WHO [REASON], printable, and 30 days at most");
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
	json_put_text(&q->out, "address", str_of(q->address.key));
	json_put_int(&q->out, "until", (clock_wall() + time) / CLOCK_SECOND);
	answer(q);
}

void gate_control_ask(struct gate *gate, struct str words, gate_control_fn *fn, void *ctx)
{
	struct question *q = mem_zero(sizeof(*q));
	struct str rest = words, subject = STR(""), verb = STR(""), address = STR("");
	char key[NETWORK_KEY];

	*q = (struct question){.gate = gate, .fn = fn, .ctx = ctx, .out = BUF_MAX(ANSWER_MAX)};
	json_begin(&q->out, NULL, '{');
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
