/* SPDX-License-Identifier: Apache-2.0
 *
 * The tenants, from the database or the settings, hashed by id. An entry stays for the life of the process: messages and lanes point
 * to it.
 */
#include "qmgr/qmgr_tenant.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/queue/named_id.h"
#include "qmgr/qmgr.h"
#include "qmgr/qmgr_sql.h"

enum { TABLE_FIRST = 256, NONE_AT_A_TIME = 64, UNROUTED_AT_A_TIME = 64 };

void qmgr_tenant_init(struct qmgr *q)
{
	q->tenants.table_size = TABLE_FIRST;
	q->tenants.table = mem_array(TABLE_FIRST, sizeof(*q->tenants.table));
}

void qmgr_tenant_clear(struct qmgr *q)
{
	for (size_t i = 0; i < q->tenants.table_size; i++) {
		while (q->tenants.table[i] != NULL) {
			struct qmgr_tenant *t = q->tenants.table[i];

			q->tenants.table[i] = t->hash_next;
			mem_free(&t->redirect_to);
			mem_free(&t->credentials);
			mem_free(&t->bounce_from);
			mem_free(&t->fallbacks);
			qmgr_tenant_routes_clear(&t->routes);
			qmgr_lane_clear(&t->lanes);
			free(t);
		}
	}
	mem_free(&q->tenants.table);
}

static size_t place_of(const struct qmgr_tenants *t, const struct uuid *id)
{
	uint64_t hash;

	memcpy(&hash, id->b + 8, sizeof(hash));
	return (size_t)((hash * 0x9e3779b97f4a7c15ULL) >> 20) & (t->table_size - 1);
}

static void grow(struct qmgr_tenants *t)
{
	struct qmgr_tenant **old = t->table;
	size_t old_size = t->table_size;

	t->table_size *= 2;
	t->table = mem_array(t->table_size, sizeof(*t->table));
	for (size_t i = 0; i < old_size; i++) {
		while (old[i] != NULL) {
			struct qmgr_tenant *one = old[i];
			size_t at = place_of(t, &one->id);

			old[i] = one->hash_next;
			one->hash_next = t->table[at];
			t->table[at] = one;
		}
	}
	free(old);
}

unsigned qmgr_tenant_provider_index(const struct qmgr *q, const char *key)
{
	const struct settings *settings = q->env->settings;

	for (unsigned i = 0; i < settings->n_provider; i++)
		if (strcmp(settings->provider[i].key, key) == 0)
			return i;
	return QMGR_SCHEDULE_NONE;
}

static int64_t own_or(int64_t own, int64_t of_settings)
{
	return own >= 0 ? own : of_settings;
}

static void follow_wishes(const struct qmgr *q, struct qmgr_tenant *t)
{
	const struct settings *s = q->env->settings;

	t->wishes = (struct qmgr_tenant_wishes){
		.retry_first = own_or(t->own.retry_first, s->queue.retry_first),
		.retry_longest = own_or(t->own.retry_longest, s->queue.retry_longest),
		.max_age = own_or(t->own.max_age, s->queue.max_age),
		.max_attempts = own_or(t->own.max_attempts, s->queue.max_attempts),
		.keep_messages = own_or(t->own.keep_messages, s->queue.keep_messages),
		.idempotency_window = own_or(t->own.idempotency_window, s->queue.idempotency_window),
	};
}

/* True: its plain route has changed. */
static bool follow_provider(const struct qmgr *q, struct qmgr_tenant *t)
{
	const char *provider = t->provider[0] != '\0' ? t->provider : q->env->settings->queue.default_provider;
	struct buf targets = BUF_MAX(ROUTE_TEXT);
	bool is_new;
	char *text;

	buf_put_text(&targets, provider);
	if (t->fallbacks != NULL)
		buf_printf(&targets, "%s%s", provider[0] != '\0' ? " > " : "", t->fallbacks);
	text = buf_take_text(&targets);
	is_new = qmgr_tenant_routes_set_plain(&t->routes, q->env->settings, text);
	free(text);
	return is_new;
}

static void follow(struct qmgr *q, struct qmgr_tenant *t)
{
	follow_wishes(q, t);
	if (t->is_gone)
		qmgr_lane_use(&q->schedule, &t->lanes, QMGR_SCHEDULE_NONE);
	else if (t->is_known)
		qmgr_lane_use(&q->schedule, &t->lanes, QMGR_SCHEDULE_UNROUTED);
	if (follow_provider(q, t)) {
		t->is_warned = false;
		qmgr_lane_unroute(&q->schedule, &t->lanes);
	}
}

static struct qmgr_tenant *find(const struct qmgr_tenants *t, const struct uuid *id)
{
	struct qmgr_tenant *one = t->table[place_of(t, id)];

	while (one != NULL && !uuid_eq(&one->id, id))
		one = one->hash_next;
	return one;
}

static struct qmgr_tenant *make(struct qmgr *q, const struct uuid *id)
{
	struct qmgr_tenants *t = &q->tenants;
	struct qmgr_tenant *one;
	size_t at;

	if (t->n >= t->table_size)
		grow(t);
	one = mem_zero(sizeof(*one));
	one->id = *id;
	at = place_of(t, id);
	one->hash_next = t->table[at];
	t->table[at] = one;
	t->n++;
	one->made_in = t->load;
	one->own = (struct qmgr_tenant_wishes){-1, -1, -1, -1, -1, -1};
	qmgr_tenant_routes_init(&one->routes);
	qmgr_lane_init(&one->lanes);
	follow(q, one);
	return one;
}

/* NULL for an empty one. */
static void keep_text(char **at, struct str text)
{
	mem_free(at);
	if (text.n > 0)
		*at = str_dup(text);
}

/* What the section tenants says of it; without a word it has the default provider. */
static void use_settings(struct qmgr *q, struct qmgr_tenant *one)
{
	const struct settings *settings = q->env->settings;

	one->is_known = true;
	one->provider[0] = '\0';
	mem_free(&one->fallbacks);
	for (unsigned i = 0; i < settings->n_tenant; i++) {
		const struct settings_tenant *t = &settings->tenant[i];
		struct uuid id = named_id("tenant", str_of(t->key));

		if (!uuid_eq(&id, &one->id))
			continue;
		str_copy(str_of(t->key), one->name, sizeof(one->name));
		str_copy(str_of(t->provider), one->provider, sizeof(one->provider));
		keep_text(&one->fallbacks, str_of(t->fallbacks));
	}
}

struct qmgr_tenant *qmgr_tenant_of(struct qmgr *q, const struct uuid *id)
{
	struct qmgr_tenant *one = find(&q->tenants, id);

	if (one != NULL)
		return one;
	one = make(q, id);
	if (q->has_tenants) {
		/* gate saw its row before we did. */
		qmgr_tenant_load(q);
	} else {
		use_settings(q, one);
		follow(q, one);
	}
	return one;
}

void qmgr_tenant_follow_settings(struct qmgr *q)
{
	q->schedule.provider[QMGR_SCHEDULE_NONE].concurrency = NONE_AT_A_TIME;
	q->schedule.provider[QMGR_SCHEDULE_UNROUTED].concurrency = UNROUTED_AT_A_TIME;
	qmgr_route_forget_unfit(q);
	for (size_t i = 0; i < q->tenants.table_size; i++)
		for (struct qmgr_tenant *t = q->tenants.table[i]; t != NULL; t = t->hash_next) {
			if (!q->has_tenants)
				use_settings(q, t);
			qmgr_tenant_routes_resolve(&t->routes, q->env->settings);
			follow(q, t);
			/* Indices of the former settings. */
			qmgr_lane_unroute(&q->schedule, &t->lanes);
		}
}

void qmgr_tenant_follow_providers(struct qmgr *q)
{
	qmgr_lane_unroute_all(&q->schedule);
	qmgr_waiting_follow_providers(q);
	qmgr_dispatch_pump(q);
}

/* The table was read: who was known before that and is not in it any more is gone. */
static void miss_tenants(struct qmgr *q)
{
	for (size_t i = 0; i < q->tenants.table_size; i++)
		for (struct qmgr_tenant *t = q->tenants.table[i]; t != NULL; t = t->hash_next) {
			if (t->seen_in == q->tenants.load || t->made_in == q->tenants.load)
				continue;
			t->is_known = t->is_gone = true;
			follow(q, t);
		}
}

static int64_t own_number(const struct pg_result *result, unsigned row, unsigned column)
{
	return pg_is_null(result, row, column) ? -1 : pg_int8(result, row, column);
}

static void take_row(struct qmgr *q, struct qmgr_tenant *t, const struct pg_result *result, unsigned row)
{
	str_copy(pg_text(result, row, 1), t->name, sizeof(t->name));
	str_copy(pg_text(result, row, 2), t->provider, sizeof(t->provider));
	t->holds_unknown = pg_bool(result, row, 3);
	t->is_test = pg_bool(result, row, 4);
	keep_text(&t->redirect_to, pg_text(result, row, 5));
	keep_text(&t->credentials, pg_text(result, row, 13));
	keep_text(&t->bounce_from, pg_text(result, row, 6));
	t->own = (struct qmgr_tenant_wishes){
		.retry_first = own_number(result, row, 7),
		.retry_longest = own_number(result, row, 8),
		.max_age = own_number(result, row, 9),
		.max_attempts = own_number(result, row, 10),
		.keep_messages = own_number(result, row, 11),
		.idempotency_window = own_number(result, row, 12),
	};
	t->seen_in = q->tenants.load;
	t->is_known = true;
	t->is_gone = false;
}

/* Rows from `row` on of one tenant; returns where they end. */
static unsigned take_routes(struct qmgr *q, const struct pg_result *result, unsigned row)
{
	struct uuid id = pg_uuid(result, row, 0), other = id;
	struct qmgr_tenant *t = find(&q->tenants, &id);
	unsigned end = row;

	while (end < pg_rows(result) && uuid_eq(&other, &id))
		if (++end < pg_rows(result))
			other = pg_uuid(result, end, 0);
	if (t == NULL)
		t = make(q, &id);
	t->routes_in = q->tenants.load;
	if (qmgr_tenant_routes_take(&t->routes, q->env->settings, result, row, end))
		qmgr_lane_unroute(&q->schedule, &t->lanes);
	return end;
}

static void on_routes(void *ctx, enum pg_status status, const struct pg_result *result, const struct err *err)
{
	struct qmgr *q = ctx;

	q->tenants.has_routes = status == PG_OK;
	if (status != PG_OK) {
		log_warn(NULL, "qmgr.route.unread", log_text("why", err->text));
		return;
	}
	q->tenants.n_routes = pg_rows(result);
	for (unsigned row = 0; row < pg_rows(result);)
		row = take_routes(q, result, row);
	for (size_t i = 0; i < q->tenants.table_size; i++)
		for (struct qmgr_tenant *t = q->tenants.table[i]; t != NULL; t = t->hash_next)
			if (t->routes_in != q->tenants.load &&
			    qmgr_tenant_routes_take(&t->routes, q->env->settings, result, 0, 0))
				qmgr_lane_unroute(&q->schedule, &t->lanes);
}

static void on_tenants(void *ctx, enum pg_status status, const struct pg_result *result,
		       const struct err *err)
{
	struct qmgr *q = ctx;
	bool is_stale = q->tenants.is_stale;

	q->tenants.is_loading = q->tenants.is_stale = false;
	if (status != PG_OK || !q->tenants.has_routes) {
		log_warn(NULL, "qmgr.tenant.unread", log_text("why", status != PG_OK ? err->text : "their routes are not known"));
		q->lease.generation = 0; /* the next look at the leases asks again */
		return;
	}
	for (unsigned row = 0; row < pg_rows(result); row++) {
		struct uuid id = pg_uuid(result, row, 0);
		struct qmgr_tenant *t = find(&q->tenants, &id);

		if (t == NULL)
			t = make(q, &id);
		take_row(q, t, result, row);
		follow(q, t);
	}
	log_info(NULL, "qmgr.tenant.read", log_uint("tenants", pg_rows(result)), log_uint("routes", q->tenants.n_routes),
		 log_int("generation", q->tenants.generation));
	miss_tenants(q);
	qmgr_dispatch_pump(q);
	if (is_stale)
		qmgr_tenant_load(q);
}

void qmgr_tenant_load(struct qmgr *q)
{
	if (q->control_pg == NULL || !q->has_tenants)
		return;
	if (q->tenants.is_loading) {
		q->tenants.is_stale = true;
		return;
	}
	q->tenants.is_loading = true;
	q->tenants.load++;
	q->tenants.generation = q->lease.generation;
	/* Routes first: a tenant that is known has them. */
	pg_run(q->control_pg, QMGR_SQL_ROUTES, NULL, on_routes, q);
	pg_run(q->control_pg, QMGR_SQL_TENANTS, NULL, on_tenants, q);
}
