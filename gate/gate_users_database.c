/* SPDX-License-Identifier: Apache-2.0
 *
 * Statements on gate's own connection: a look-up by name, by certificate or by id, and every two seconds the count of
 * changes.
 */
#include "gate/gate_users_database.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/queue/pg.h"
#include "lib/service/metrics.h"

#define POLL (2 * CLOCK_SECOND)

/* Always a row, so that an unknown user costs what a known one does. The certificate's words are an index's; a second
 * row says that it stands for several. */
#define LOOK_UP \
	"SELECT c.generation, u.tenant_id, u.user_id, t.name, u.name, u.password, u.is_enabled AND t.is_enabled, " \
	"array_to_string(u.senders, ' '), array_to_string(u.networks, ' '), t.mode, " \
	"u.per_second, u.per_minute, u.per_hour, u.per_day, u.per_month, " \
	"t.per_second, t.per_minute, t.per_hour, t.per_day, t.per_month, u.is_test, t.has_suppressions " \
	"FROM change c LEFT JOIN (smtp_user u JOIN tenant t USING (tenant_id)) ON "
#define OF_USERS " WHERE c.topic = 'smtp_user' LIMIT 2"
static const char *const look_up[] = {
	[GATE_USERS_BY_NAME] = LOOK_UP "u.name = $1" OF_USERS,
	[GATE_USERS_BY_CERTIFICATE] = LOOK_UP "u.certificates && $1::text[] AND ($2 = '' OR u.name = $2)" OF_USERS,
	[GATE_USERS_BY_ID] = LOOK_UP "u.tenant_id = $1 AND u.user_id = $2" OF_USERS,
};
enum { TENANT = 1, USER, TENANT_NAME, USER_NAME, PASSWORD, ENABLED, SENDERS, NETWORKS, MODE, USERS_LIMITS,
       TENANTS_LIMITS = USERS_LIMITS + GATE_SPANS, IS_TEST = TENANTS_LIMITS + GATE_SPANS, HAS_SUPPRESSIONS };

/* A certificate has some names; more than so many are no certificate's that stands for a user. */
enum { WORDS_MOST = 64 };

/* The list is in lower case as the database makes it: that counts beyond ASCII. */
static const char ask_suppressed[] =
	"SELECT EXISTS (SELECT FROM suppression WHERE tenant_id = $1::uuid AND address IN (lower($2::text), lower($3::text)))";

static const char ask_generation[] = "SELECT generation FROM change WHERE topic = 'smtp_user'";

enum known { NOT_YET, IS_UP, IS_DOWN };

struct database {
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
	struct database *users;
	gate_users_fn *fn;
	void *ctx;
	enum gate_users_by by;
	struct pg_params *params; /* while it waits for the first connection */
	struct look_up *next;
};

static void see_generation(struct database *users, int64_t generation)
{
	bool is_changed = users->generation != 0 && generation != users->generation;

	users->generation = generation;
	if (is_changed)
		users->changed(users->ctx, generation);
}

static void on_generation(void *ctx, enum pg_status status, const struct pg_result *r,
			  const struct err *err)
{
	struct database *users = ctx;

	(void)err;
	users->is_asking = false;
	if (status == PG_OK && pg_rows(r) == 1)
		see_generation(users, pg_int8(r, 0, 0));
}

static void ask(struct database *users)
{
	if (users->is_asking || !pg_is_up(users->pg))
		return;
	users->is_asking = true;
	pg_run(users->pg, ask_generation, NULL, on_generation, users);
}

static void on_poll(void *ctx)
{
	struct database *users = ctx;

	ask(users);
	loop_timer_set(users->poll, POLL);
}

static void on_user(void *ctx, enum pg_status status, const struct pg_result *r, const struct err *err);

static void run(struct look_up *l)
{
	pg_run(l->users->pg, look_up[l->by], l->params, on_user, l);
	pg_params_free(&l->params);
}

/* Says so once, when it changes. */
static void on_state(void *ctx, bool is_up, const char *why)
{
	struct database *users = ctx;

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

static void *open_database(struct loop *loop, const struct gate_users_options *options)
{
	const struct settings *s = options->settings;
	struct database *users = mem_zero(sizeof(*users));
	struct pg_options pg = {
		.host = options->database_host,
		.port = (uint16_t)s->database.port,
		.name = s->database.name,
		.user = "smtp_proxy_gate",
		.password = s->database.gate_password,
		.ca_file = options->database_ca_file,
		.application = "smtp-proxy gate",
		.sslmode = s->database.sslmode,
		.connect_timeout = 5 * CLOCK_SECOND,
		.statement_timeout = 5 * CLOCK_SECOND,
	};

	users->changed = options->changed;
	users->ctx = options->ctx;
	users->pg = pg_new(loop, &pg, on_state, users);
	users->poll = loop_timer_new(loop, on_poll, users);
	loop_timer_set(users->poll, POLL);
	return users;
}

static void close_database(void *source)
{
	struct database *users = source;

	pg_free(&users->pg);
	while (users->waiting != NULL) {
		struct look_up *l = users->waiting;

		users->waiting = l->next;
		pg_params_free(&l->params);
		free(l);
	}
	loop_timer_free(&users->poll);
	free(users);
}

static enum ipc_mode mode_of(struct str name)
{
	static const char *const names[IPC_MODES] = {[IPC_QUEUED] = "queued",
						     [IPC_DIRECT] = "direct",
						     [IPC_DIRECT_THEN_QUEUE] = "direct-then-queue"};

	for (unsigned m = 0; m < IPC_MODES; m++)
		if (names[m] != NULL && str_eq(name, str_of(names[m])))
			return m;
	return IPC_MODE_OF_LISTENER;
}

static void read_limits(const struct pg_result *r, unsigned column, struct gate_limits *limits)
{
	for (unsigned i = 0; i < GATE_SPANS; i++)
		limits->most[i] = pg_int4(r, 0, column + i);
}

static void read_user(const struct pg_result *r, struct gate_user *user)
{
	user->generation = pg_int8(r, 0, 0);
	user->tenant = pg_uuid(r, 0, TENANT);
	user->user = pg_uuid(r, 0, USER);
	user->tenant_name = pg_text(r, 0, TENANT_NAME);
	user->user_name = pg_text(r, 0, USER_NAME);
	user->hash = pg_text(r, 0, PASSWORD);
	user->is_enabled = pg_bool(r, 0, ENABLED);
	user->senders = pg_text(r, 0, SENDERS);
	user->networks = pg_text(r, 0, NETWORKS);
	user->mode = mode_of(pg_text(r, 0, MODE));
	user->is_test = pg_bool(r, 0, IS_TEST);
	user->has_suppressions = pg_bool(r, 0, HAS_SUPPRESSIONS);
	read_limits(r, USERS_LIMITS, &user->user_limits);
	read_limits(r, TENANTS_LIMITS, &user->tenant_limits);
}

static void on_user(void *ctx, enum pg_status status, const struct pg_result *r,
		    const struct err *err)
{
	struct look_up l = *(struct look_up *)ctx;
	struct gate_user user = {.is_enabled = false};
	struct err why;

	free(ctx);
	if (status != PG_OK) {
		l.fn(l.ctx, GATE_USERS_UNAVAILABLE, NULL, err);
		return;
	}
	if (pg_rows(r) == 0) {
		err_set(&why, "the table change has no row for smtp_user");
		l.fn(l.ctx, GATE_USERS_UNAVAILABLE, NULL, &why);
		return;
	}
	see_generation(l.users, pg_int8(r, 0, 0));
	if (pg_is_null(r, 0, USER) || pg_rows(r) > 1) {
		err_set(&why, "%s", gate_users_why_unknown(l.by, pg_rows(r) > 1));
		l.fn(l.ctx, GATE_USERS_UNKNOWN, NULL, &why);
		return;
	}
	read_user(r, &user);
	l.fn(l.ctx, GATE_USERS_KNOWN, &user, NULL);
}

/* No text that is stored is not UTF-8 or has a NUL; the database would refuse to compare. */
static bool is_storable(struct str text)
{
	return str_is_utf8(text) && str_find(text, '\0') == text.n;
}

static void put_text(struct pg_params *p, struct str text)
{
	pg_put_text(p, is_storable(text) ? text : STR(""));
}

static void put_words(struct pg_params *p, struct str words)
{
	struct str word;
	unsigned n = 0;

	pg_open_array(p, PG_TEXT);
	while (n < WORDS_MOST && str_next(&words, ' ', &word))
		if (word.n > 0 && is_storable(word)) {
			pg_put_text(p, word);
			n++;
		}
	pg_close_array(p);
}

static struct pg_params *params_of(const struct gate_users_question *q)
{
	struct pg_params *p = pg_params_new();

	switch (q->by) {
	case GATE_USERS_BY_NAME:
		put_text(p, q->name);
		break;
	case GATE_USERS_BY_CERTIFICATE:
		put_words(p, q->certificate);
		/* A name that nobody can have is not the empty one. */
		pg_put_text(p, is_storable(q->name) ? q->name : STR("\x7f"));
		break;
	case GATE_USERS_BY_ID:
		pg_put_uuid(p, &q->tenant);
		pg_put_uuid(p, &q->user);
		break;
	}
	return p;
}

static void find(void *source, const struct gate_users_question *question, gate_users_fn *fn, void *ctx)
{
	struct database *users = source;
	struct look_up *l = mem_zero(sizeof(*l));

	*l = (struct look_up){.users = users, .fn = fn, .ctx = ctx, .by = question->by, .params = params_of(question)};
	if (users->known != NOT_YET) {
		run(l);
		return;
	}
	l->next = users->waiting;
	users->waiting = l;
}

struct suppressed {
	gate_users_suppressed_fn *fn;
	void *ctx;
};

static void on_suppressed(void *ctx, enum pg_status status, const struct pg_result *r, const struct err *err)
{
	struct suppressed s = *(struct suppressed *)ctx;

	free(ctx);
	if (status != PG_OK)
		s.fn(s.ctx, GATE_USERS_UNAVAILABLE, err);
	else
		s.fn(s.ctx, pg_bool(r, 0, 0) ? GATE_USERS_KNOWN : GATE_USERS_UNKNOWN, NULL);
}

static void find_suppressed(void *source, const struct uuid *tenant, struct str address, gate_users_suppressed_fn *fn,
			    void *ctx)
{
	struct database *users = source;
	struct suppressed *s = mem_zero(sizeof(*s));
	struct pg_params *p = pg_params_new();
	size_t at = address.n;

	while (at > 0 && address.p[at - 1] != '@')
		at--;
	*s = (struct suppressed){fn, ctx};
	pg_put_uuid(p, tenant);
	put_text(p, address);
	put_text(p, str_from(address, at > 0 ? at - 1 : 0)); /* "@domain" */
	pg_run(users->pg, ask_suppressed, p, on_suppressed, s);
	pg_params_free(&p);
}

const struct gate_users_source gate_users_database = {
	.find_suppressed = find_suppressed,
	.open = open_database,
	.close = close_database,
	.find = find,
};
