/* SPDX-License-Identifier: Apache-2.0
 *
 * Failures are counted in the store, so that hosts which share one count together. The last that is allowed is one
 * less than limits.failed_logins: the one after it bans.
 */
#include "gate/gate_ban.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/service/metrics.h"

/* With a higher limit than that, what is over it waits for its span's end. */
enum { FORGIVEN = 1024 };

struct failing {
	struct gate *gate;
	gate_ban_fn *fn;
	void *ctx;
	char address[NETWORK_KEY];
};

static struct gate_take take_of(const struct gate *gate, const char *address)
{
	struct gate_take take = {.span = gate->settings->limits.failed_login_time,
				 .limit = gate->settings->limits.failed_logins - 1};

	snprintf(take.key, sizeof(take.key), "failures:%s", address);
	return take;
}

/* "5 failed logins within 300 s: app, app, not a known user" */
static void put_reason(const struct gate *gate, const char *address, char out[GATE_STORE_REASON])
{
	struct gate_failure last[GATE_FAILURES_KEPT];
	size_t n = gate_failures_list(gate->failures, address, last);
	struct buf text = BUF_MAX(GATE_STORE_REASON - 1);

	buf_printf(&text, "%" PRId64 " failed logins within %" PRId64 " s", gate->settings->limits.failed_logins,
		   (int64_t)(gate->settings->limits.failed_login_time / CLOCK_SECOND));
	for (size_t i = n; i-- > 0;) {
		const char *user = last[i].user[0] != '\0' ? last[i].user : "not a known user";

		/* Only what Redis gives back as it is; the rest of the names are in the log. */
		if (!str_is_printable(str_of(user)) || !buf_printf(&text, "%s%s", i + 1 == n ? ": " : ", ", user))
			break;
	}
	str_copy(buf_str(&text), out, GATE_STORE_REASON);
	buf_clear(&text);
}

static void on_taken(void *ctx, int full)
{
	struct failing f = *(struct failing *)ctx;
	char reason[GATE_STORE_REASON];

	free(ctx);
	if (full == GATE_STORE_NONE) {
		f.fn(f.ctx, false);
		return;
	}
	put_reason(f.gate, f.address, reason);
	gate_ban_add(f.gate, f.address, f.gate->settings->limits.ban_time, reason);
	f.fn(f.ctx, true);
}

static void on_ban(void *ctx, const struct gate_ban *ban)
{
	struct failing *f = ctx;
	struct gate_take take = take_of(f->gate, f->address);

	if (ban == NULL && f->gate->settings->limits.failed_logins > 0) {
		gate_store_take(f->gate->store, &take, 1, on_taken, f);
		return;
	}
	f->fn(f->ctx, ban != NULL);
	free(f);
}

void gate_ban_failed(struct gate *gate, const struct gate_address *address, const struct gate_failure *failure,
		     gate_ban_fn *fn, void *ctx)
{
	struct failing *f;

	if (address->is_allowed) {
		fn(ctx, false);
		return;
	}
	gate_failures_add(gate->failures, address->key, failure);
	f = mem_zero(sizeof(*f));
	*f = (struct failing){.gate = gate, .fn = fn, .ctx = ctx};
	str_copy(str_of(address->key), f->address, sizeof(f->address));
	gate_store_find_ban(gate->store, f->address, on_ban, f);
}

void gate_ban_add(struct gate *gate, const char *address, int64_t time, const char *reason)
{
	struct gate_ban ban = {.since = clock_wall()};

	ban.until = ban.since + time;
	str_copy(str_of(address), ban.address, sizeof(ban.address));
	str_copy(str_first(str_of(reason), GATE_STORE_REASON - 1), ban.reason, sizeof(ban.reason));
	gate_store_ban(gate->store, &ban);
	metrics_add(METRIC_BANNED, 1);
	log_warn(NULL, "gate.address.banned", log_text("client", ban.address),
		 log_int("seconds", time / CLOCK_SECOND), log_text("why", ban.reason));
}

void gate_ban_lift(struct gate *gate, const char *address)
{
	struct gate_take takes[GATE_STORE_TAKES], take = take_of(gate, address);

	gate_store_lift(gate->store, address);
	gate_failures_forget(gate->failures, address);
	/* Or its next failure would be one too many again. */
	for (size_t i = 0; i < GATE_STORE_TAKES; i++)
		takes[i] = take;
	for (int64_t left = take.limit < FORGIVEN ? take.limit : FORGIVEN; left > 0; left -= GATE_STORE_TAKES)
		gate_store_give(gate->store, takes, (size_t)(left < GATE_STORE_TAKES ? left : GATE_STORE_TAKES));
	log_info(NULL, "gate.address.lifted", log_text("client", address));
}
