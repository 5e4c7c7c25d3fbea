/* SPDX-License-Identifier: Apache-2.0
 *
 * Two statements on gate's own connection: one look-up, and every two seconds the count of changes.
 */
#include "gate/gate_users.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/service/metrics.h"

#define POLL (2 * CLOCK_SECOND)

/* Always one row, so that an unknown user costs what a known one does. */
static const char look_up[] =
	"SELECT c.generation, u.tenant_id, u.user_id, t.name, u.password, u.is_enabled AND "
	"t.is_enabled "
	"FROM change c LEFT JOIN (smtp_user u JOIN tenant t USING (tenant_id)) ON u.name = $1 "
	"WHERE c.topic = 'smtp_user'";
static const char ask_generation[] = "SELECT generation FROM change WHERE topic = 'smtp_user'";

enum known { NOT_YET, IS_UP, IS_DOWN };

struct gate_users {
	struct pg *pg;
	struct loop_timer *poll;
	gate_users_changed_fn *changed;
	void *ctx;
	enum known known;
	bool is_asking;
	int64_t generation; /* the last seen; 0: none yet */
	/* Before it is known whether there is a database, a look-up waits: a gate that was started again would
	 * else turn clients away for some milliseconds. */
	struct look_up *waiting;
};

struct look_up {
	struct gate_users *users;
	gate_users_fn *fn;
	void *ctx;
	struct pg_params *params; /* while it waits for the first connection */
	struct look_up *next;
};

static void see_generation(struct gate_users *users, int64_t generation)
{
	bool is_changed = users->generation != 0 && generation != users->generation;

	users->generation = generation;
	if (is_changed)
		users->changed(users->ctx, generation);
}

static void on_generation(void *ctx, enum pg_status status, const struct pg_result *r,
			  const struct err *err)
{
	struct gate_users *users = ctx;

	(void)err;
	users->is_asking = false;
	if (status == PG_OK && pg_rows(r) == 1)
		see_generation(users, pg_int8(r, 0, 0));
}

static void ask(struct gate_users *users)
{
	if (users->is_asking || !pg_is_up(users->pg))
		return;
	users->is_asking = true;
	pg_run(users->pg, ask_generation, NULL, on_generation, users);
}

static void on_poll(void *ctx)
{
	struct gate_users *users = ctx;

	ask(users);
	loop_timer_set(users->poll, POLL);
}

static void on_user(void *ctx, enum pg_status status, const struct pg_result *r, const struct err *err);

static void run(struct look_up *l)
{
	pg_run(l->users->pg, look_up, l->params, on_user, l);
	pg_params_free(&l->params);
}

/* Says so once, when it changes. */
static void on_state(void *ctx, bool is_up, const char *why)
{
	struct gate_users *users = ctx;

	metrics_set(METRIC_GATE_DATABASE_UP, is_up);
	if (is_up && users->known != IS_UP)
		log_info(NULL, "gate.database.up");
	else if (!is_up && users->known != IS_DOWN)
		log_warn(NULL, "gate.database.down", log_text("why", why));
	users->known = is_up ? IS_UP : IS_DOWN;
	while (users->waiting != NULL) {
		struct look_up *l = users->waiting;

		users->waiting = l->next;
		run(l);
	}
	if (is_up)
		ask(users);
}

struct gate_users *gate_users_new(struct loop *loop, const struct pg_options *options,
				  gate_users_changed_fn *changed, void *ctx)
{
	struct gate_users *users = mem_zero(sizeof(*users));

	users->changed = changed;
	users->ctx = ctx;
	users->pg = pg_new(loop, options, on_state, users);
	users->poll = loop_timer_new(loop, on_poll, users);
	loop_timer_set(users->poll, POLL);
	return users;
}

void gate_users_free(struct gate_users **users)
{
	if (*users == NULL)
		return;
	pg_free(&(*users)->pg);
	while ((*users)->waiting != NULL) {
		struct look_up *l = (*users)->waiting;

		(*users)->waiting = l->next;
		pg_params_free(&l->params);
		free(l);
	}
	loop_timer_free(&(*users)->poll);
	mem_free(users);
}

/* A tenant's name that is longer than the schema allows is cut: it is for the log. */
static void read_user(const struct pg_result *r, struct gate_user *user)
{
	user->generation = pg_int8(r, 0, 0);
	user->identity.tenant = pg_uuid(r, 0, 1);
	user->identity.user = pg_uuid(r, 0, 2);
	str_copy(str_first(pg_text(r, 0, 3), GATE_TENANT_NAME - 1), user->identity.tenant_name,
		 GATE_TENANT_NAME);
	user->hash = pg_text(r, 0, 4);
	user->is_enabled = pg_bool(r, 0, 5);
}

static void on_user(void *ctx, enum pg_status status, const struct pg_result *r,
		    const struct err *err)
{
	struct look_up l = *(struct look_up *)ctx;
	struct gate_user user = {.is_enabled = false};
	struct err strange;

	free(ctx);
	if (status != PG_OK) {
		l.fn(l.ctx, GATE_USERS_UNAVAILABLE, NULL, err);
		return;
	}
	if (pg_rows(r) != 1) {
		err_set(&strange, "the table change has %u rows for smtp_user", pg_rows(r));
		l.fn(l.ctx, GATE_USERS_UNAVAILABLE, NULL, &strange);
		return;
	}
	see_generation(l.users, pg_int8(r, 0, 0));
	if (pg_is_null(r, 0, 2)) {
		l.fn(l.ctx, GATE_USERS_UNKNOWN, NULL, err);
		return;
	}
	read_user(r, &user);
	l.fn(l.ctx, GATE_USERS_KNOWN, &user, err);
}

void gate_users_find(struct gate_users *users, struct str name, gate_users_fn *fn, void *ctx)
{
	struct look_up *l = mem_zero(sizeof(*l));
	struct pg_params *p = pg_params_new();

	*l = (struct look_up){.users = users, .fn = fn, .ctx = ctx, .params = p};
	/* No name that is stored is not UTF-8 or has a NUL; the database would refuse to compare.
	 */
	if (str_is_utf8(name) && str_find(name, '\0') == name.n)
		pg_put_text(p, name);
	else
		pg_put_text(p, STR(""));
	if (users->known != NOT_YET) {
		run(l);
		return;
	}
	l->next = users->waiting;
	users->waiting = l;
}
